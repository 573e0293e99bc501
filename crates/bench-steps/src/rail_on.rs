//! `rail-on`: switches a rail on and measures its voltage and current.

use crate::diagnose::held;
use crate::reach;
use crate::resolve::{self, rail_contacts};
use crate::resource;
use crate::{Kind, Leaves, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::{ContactSet, InstrumentError, RailReading};
use bench_plan::{
    Amps, Bound, Coverage, Fixture, LimitsOf, ParamProblem, Rail, Reach, Resolved, Seconds, Spanned, Surroundings,
    Volts,
};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Name of the rail.
    #[schemars(with = "String")]
    rail: Spanned<String>,
    volts: LimitsOf<Volts>,
    amps: LimitsOf<Amps>,
    /// Time between switching on and measuring.
    settle: Seconds,
}

pub struct RailOn {
    rail: String,
    contacts: Vec<Contact>,
    volts: MeasurementSpec,
    amps: MeasurementSpec,
    settle: Duration,
    /// What the module's own converter makes of this rail, if anything: name and contacts.
    makes: Option<(String, Vec<Contact>)>,
    /// Only for the rail that feeds the ports. Another rail is unrelated to their drivers, and its voltage may not
    /// reach them.
    feeds_ports: bool,
    /// The only contact that the firmware drives by itself.
    dut_tx: Contact,
    /// Of the fixture's own supply; `None` for a rail that the module makes.
    limit_amps: Option<f64>,
}

impl Kind for RailOn {
    const NAME: &'static str = "rail-on";
    type Params = Params;
    const REACHES: &'static [Reach] = &[
        Reach {
            key: "volts",
            least: Bound::Value(0.0, "the monitor reads no negative voltage"),
            most: Bound::RailVolts("rail"),
        },
        reach::amps("amps", "rail"),
    ];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let rail = resolve::rail(around.fixture, &params.rail)?;
        let contacts = rail_contacts(around.fixture, &rail.name);
        if contacts.is_empty() {
            return Err(ParamProblem::new(format!("no nail of the fixture reaches the rail {}", rail.name))
                .at(params.rail.span(), "feeds nothing"));
        }
        let spec = |what: &str, unit, limits| MeasurementSpec {
            name: format!("{}.{what}", rail.name),
            unit,
            limits,
            contacts: contacts.clone(),
        };
        let volts = spec("volts", MeasurementUnit::Volts, params.volts.limits());
        let amps = spec("amps", MeasurementUnit::Amps, params.amps.limits());
        Ok(Resolved {
            measurements: vec![volts.clone(), amps.clone()],
            coverage: contacts
                .iter()
                .map(|&contact| Coverage { contact, aspects: vec!["voltage", "current"] })
                .collect(),
            // Needed to test whether TX fights another driver.
            uses: resource::list(&[resource::DUT, resource::NAILS, resource::MEASURE_BUS, resource::RAILS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(1) + params.settle.duration(),
            procedure: Box::new(RailOn {
                rail: rail.name.clone(),
                contacts,
                volts,
                amps,
                settle: params.settle.duration(),
                makes: made_of(around.fixture, rail),
                feeds_ports: resolve::feeds_ports(around.fixture, rail),
                limit_amps: rail.load_ohms.is_none().then_some(rail.current_limit_amps),
                dut_tx: around.fixture.link.dut_tx,
            }),
        })
    }
}

/// The ports' rail, when this one is another. It is made by the module if the module can switch it off, and fed to the
/// module if it cannot ([`Nest::enable_contact`]).
fn made_of(fixture: &Fixture, rail: &Rail) -> Option<(String, Vec<Contact>)> {
    let ports = fixture.rails.iter().find(|other| resolve::feeds_ports(fixture, other))?;
    (ports.name != rail.name).then(|| (ports.name.clone(), rail_contacts(fixture, &ports.name)))
}

/// A good supply holds its voltage at this share of its limit, whatever the module does.
const SUPPLIES: f64 = 0.5;

/// A good supply delivers more than this share into a known load; tolerances of the monitor and the load are smaller.
const DELIVERS: f64 = 0.8;

/// Larger differences are two voltages.
const ABOVE_VOLTS: f64 = 0.5;

#[async_trait(?Send)]
impl Procedure for RailOn {
    fn leaves(&self) -> Option<Leaves> {
        Some(Leaves::RailOn)
    }

    fn switches_on(&self) -> Vec<String> {
        vec![self.rail.clone()]
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let outcome = self.switch_on(nest, log).await;
        if !matches!(outcome, Ok(Good(true))) {
            // A rail that draws too much must not stay on while other steps run.
            nest.rails.off(&self.rail).await?;
        }
        outcome.map(drop)
    }
}

/// Whether both readings are within their limits.
struct Good(bool);

impl RailOn {
    async fn switch_on(&self, nest: &Nest, log: &dyn StepLog) -> Result<Good, StepError> {
        nest.rails.on(&self.rail).await?;
        nest.settle(self.settle).await;
        let reading = nest.rails.measure(&self.rail).await?;
        log.measured(&self.volts.name, Some(reading.volts));
        log.measured(&self.amps.name, Some(reading.amps));

        let verdict = judge(&self.volts.limits, Some(reading.volts)).and(judge(&self.amps.limits, Some(reading.amps)));
        let low = self.volts.limits.min.is_some_and(|min| reading.volts < min);
        let greedy = self.amps.limits.max.is_some_and(|max| reading.amps > max);
        let volts = MeasurementUnit::Volts.show(reading.volts);
        let amps = MeasurementUnit::Amps.show(reading.amps);
        let (defect, text) = match (low, greedy) {
            (_, true) => (Defect::Overload, format!("rail {}: overloaded, {amps} at {volts}", self.rail)),
            (true, false) => (Defect::WrongVoltage, format!("rail {}: only {volts} at {amps}", self.rail)),
            _ if judge(&self.volts.limits, Some(reading.volts)) == Verdict::Fail => {
                (Defect::WrongVoltage, format!("rail {}: {volts}", self.rail))
            }
            _ if judge(&self.amps.limits, Some(reading.amps)) == Verdict::Fail => {
                (Defect::Other, format!("rail {}: the module draws only {amps}", self.rail))
            }
            _ => return Ok(Good(verdict == Verdict::Pass)),
        };
        if let Some(limit) = self.limit_amps.filter(|limit| low && reading.amps < SUPPLIES * limit) {
            let limit = MeasurementUnit::Amps.show(limit);
            let rail = &self.rail;
            return Err(StepError::Bench(format!(
                "rail {rail}: only {volts} at {amps}, and its supply must deliver {limit}: check the supply of {rail} and \
                 its switch"
            )));
        }
        if defect == Defect::Other
            && let Some(weak) = self.weak_supply(nest).await?
        {
            let (volts, of_load) = (MeasurementUnit::Volts.show(weak.volts), MeasurementUnit::Amps.show(weak.amps));
            let rail = &self.rail;
            return Err(StepError::Bench(format!(
                "rail {rail}: the module draws only {amps}, and its discharge resistor draws only {of_load} at {volts}: check \
                 the supply of {rail}, its current limit, and the shunt of its monitor"
            )));
        }
        let fights = if greedy && !low && self.feeds_ports {
            self.look_for_fighting_tx(nest, reading).await?
        } else {
            Vec::new()
        };
        // The supply is good when it only feeds two drivers that oppose each other.
        for mut fight in fights.iter().cloned() {
            fight.text += &format!("; its driver opposes that, the rail delivers {amps}");
            log.diagnosed(fight);
        }
        if fights.is_empty() {
            let behind = match (greedy, low) {
                (true, _) => self.look_behind_converter(nest, &amps).await?,
                (false, true) => self.look_before_converter(nest, reading).await?,
                (false, false) => None,
            };
            let own = Diagnosis { defect, contacts: self.contacts.clone(), text };
            log.diagnosed(behind.unwrap_or(own));
        }
        Ok(Good(false))
    }

    /// What the supply gives to the rail's own discharge resistor without the module, if that is too little: then the module
    /// draws little because it gets little. Leaves the rail off.
    async fn weak_supply(&self, nest: &Nest) -> Result<Option<RailReading>, StepError> {
        let (Some(_), Some(least)) = (self.limit_amps, self.volts.limits.min) else { return Ok(None) };
        let rail = &self.rail;
        nest.rails.off(rail).await?;
        match nest.rails.alone(rail, true).await {
            // A bench without that, and a replay of a run that did not look.
            Err(
                InstrumentError::NoSuchRail(_) | InstrumentError::NoInstruments(_) | InstrumentError::NotRecorded(_),
            ) => return Ok(None),
            other => other?,
        }
        let loaded = match nest.rails.load(rail, true).await {
            Ok(()) => nest.rails.measure(rail).await,
            Err(error) => Err(error),
        };
        // Ends the load, too.
        nest.rails.alone(rail, false).await?;
        let loaded = loaded?;
        let due = least / nest.rails.discharge_ohms(rail)?;
        Ok((loaded.amps < DELIVERS * due).then_some(loaded))
    }

    /// An overload that disappears while the module's own converter is off is behind that converter.
    async fn look_behind_converter(&self, nest: &Nest, amps: &str) -> Result<Option<Diagnosis>, StepError> {
        let (Some(enable), Some((made, contacts))) = (nest.enable_contact(), &self.makes) else { return Ok(None) };
        let without = nest.released_after(async {
            nest.drive_nail(enable, false).await?;
            nest.settle(self.settle).await;
            Ok(nest.rails.measure(&self.rail).await?.amps)
        });
        let without = without.await?;
        if self.amps.limits.max.is_none_or(|max| without > max) {
            return Ok(None);
        }
        let text = format!(
            "rail {made}, which the module makes of {}: overloaded, {amps} out of {0}, and {} with contact {} low",
            self.rail,
            MeasurementUnit::Amps.show(without),
            nest.label(enable)
        );
        Ok(Some(Diagnosis { defect: Defect::Overload, contacts: contacts.clone(), text }))
    }

    /// The rail that the module makes is low. If the reset contact still follows its pull-up, the supply is present
    /// inside and only this rail's contact is bad; otherwise the module's input supply is.
    async fn look_before_converter(&self, nest: &Nest, reading: RailReading) -> Result<Option<Diagnosis>, StepError> {
        let (Some(_), Some(reset), true) = (nest.enable_contact(), nest.reset_contact(), self.feeds_ports) else {
            return Ok(None);
        };
        let inside = nest.bus.volts(reset).await?;
        nest.bus.release().await?;
        if inside > reading.volts + ABOVE_VOLTS {
            return Ok(None);
        }
        let (mut contacts, mut fed) = (Vec::new(), Vec::new());
        for rail in nest.rails.names().into_iter().filter(|rail| *rail != self.rail) {
            let feeding = nest.rails.measure(&rail).await?;
            if feeding.volts > reading.volts + ABOVE_VOLTS {
                contacts.extend(nest.rails.contacts(&rail));
                fed.push(format!("{rail} gives {}", MeasurementUnit::Amps.show(feeding.amps)));
            }
        }
        contacts.sort_unstable();
        let labels: Vec<String> = contacts.iter().map(|contact| nest.label(*contact)).collect();
        let text = format!(
            "rail {}: {} inside the module too, {}: cold joint at contact {}, or the module's converter is bad",
            self.rail,
            MeasurementUnit::Volts.show(reading.volts),
            fed.join(", "),
            labels.join(" or ")
        );
        Ok((!contacts.is_empty()).then_some(Diagnosis { defect: Defect::WrongVoltage, contacts, text }))
    }

    /// A moderate overload that disappears in reset comes from a driver that opposes another one. Before the first
    /// request the firmware drives only its TX.
    async fn look_for_fighting_tx(&self, nest: &Nest, busy: RailReading) -> Result<Vec<Diagnosis>, StepError> {
        if nest.reset_contact().is_none() {
            return Ok(Vec::new());
        }
        let cause = held::in_reset(nest, async || {
            let idle = nest.rails.measure(&self.rail).await?;
            if idle.amps > 0.7 * busy.amps {
                return Ok(Vec::new());
            }
            held::name(nest, self.dut_tx, ContactSet::EMPTY, (&self.rail, busy.volts)).await
        })
        .await;
        nest.leave_link().await?;
        cause
    }
}
