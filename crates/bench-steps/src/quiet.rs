//! `quiet`: checks contacts that nothing may drive while the module has power.

use crate::diagnose::short::Meter;
use crate::reach;
use crate::resolve::pin_name;
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_plan::{
    Coverage, Function, LimitsOf, Ohms, ParamProblem, RawPinSelector, Reach, Resolved, Surroundings, Volts,
};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Contacts that reach the measure bus.
    pins: RawPinSelector,
    /// Voltage at the contact, unloaded.
    volts: LimitsOf<Volts>,
    /// Resistance to ground, below a diode's voltage. Not measured without limits.
    #[serde(default)]
    ohms: Option<LimitsOf<Ohms>>,
    /// Voltage against a ground contact, to microvolts: for contacts that the module holds at ground.
    #[serde(default)]
    fine: bool,
}

pub struct Quiet {
    contacts: Vec<ContactUnderTest>,
    /// Reference contact of the fine voltages.
    ground: Option<Contact>,
}

struct ContactUnderTest {
    contact: Contact,
    volts: MeasurementSpec,
    ohms: Option<MeasurementSpec>,
}

/// End of the finest range.
const FINE_VOLTS: f64 = 0.2;
/// Voltage for the measurement of resistance: no diode conducts.
const PUSHED_VOLTS: f64 = 0.25;

/// A contact that falls below this under a kiloohm was only charged, not driven.
const DRIVEN_VOLTS: f64 = 0.5;

impl Kind for Quiet {
    const NAME: &'static str = "quiet";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::volts("volts"), reach::ohms("ohms")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let on_bus = |contact: &Contact| around.fixture.nail(*contact).is_some_and(|nail| nail.mux.is_some());
        let ground = around.dut.with_function(Function::Ground).map(|info| info.contact).find(on_bus);
        let limits = params.volts.limits();
        let is_small = |limit: Option<f64>| limit.is_none_or(|volts| volts.abs() <= FINE_VOLTS);
        if params.fine && !(ground.is_some() && is_small(limits.min) && is_small(limits.max)) {
            let text = format!("fine voltages are measured against a ground contact, up to {FINE_VOLTS} V");
            return Err(ParamProblem::new(text).at(params.pins.span(), "in this step").help("leave `fine` out"));
        }
        let mut contacts = Vec::new();
        for contact in params.pins.resolve(around.dut)? {
            if !on_bus(&contact) {
                let label = around.dut.label(contact);
                return Err(ParamProblem::new(format!("contact {label} has no nail that reaches the measure bus"))
                    .at(params.pins.span(), "selects it"));
            }
            let spec = |what: &str, unit, limits| MeasurementSpec {
                name: format!("{}.{contact}{what}", pin_name(around.dut, contact)),
                unit,
                limits,
                contacts: vec![contact],
            };
            contacts.push(ContactUnderTest {
                contact,
                volts: spec("", MeasurementUnit::Volts, limits),
                ohms: params.ohms.as_ref().map(|ohms| spec(".to-ground", MeasurementUnit::Ohms, ohms.limits())),
            });
        }
        let specs = |tested: &ContactUnderTest| std::iter::once(tested.volts.clone()).chain(tested.ohms.clone());
        let aspects = |tested: &ContactUnderTest| match tested.ohms {
            Some(_) => vec!["voltage", "stuck low"],
            None => vec!["voltage"],
        };
        Ok(Resolved {
            measurements: contacts.iter().flat_map(specs).collect(),
            coverage: contacts
                .iter()
                .map(|tested| Coverage { contact: tested.contact, aspects: aspects(tested) })
                .collect(),
            uses: resource::list(&[resource::DUT, resource::NAILS, resource::MEASURE_BUS, resource::RAILS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(3),
            procedure: Box::new(Quiet { contacts, ground: ground.filter(|_| params.fine) }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Quiet {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.release_nails().await?;
        for tested in &self.contacts {
            let volts = self.volts(nest, tested.contact).await?;
            log.measured(&tested.volts.name, Some(volts));
            let mut held = None;
            if let Some(spec) = &tested.ohms {
                let ohms = Meter::Powered(PUSHED_VOLTS).ohms(nest, tested.contact).await?;
                log.measured(&spec.name, Some(ohms));
                held = Some(ohms).filter(|_| judge(&spec.limits, Some(ohms)) == Verdict::Fail);
            }
            let label = nest.label(tested.contact);
            if judge(&tested.volts.limits, Some(volts)) != Verdict::Pass {
                let loaded = nest.bus.loaded_volts(tested.contact, 0.0).await?;
                let (shown, under_load) = (MeasurementUnit::Volts.show(volts), MeasurementUnit::Volts.show(loaded));
                let how = if loaded.abs() > DRIVEN_VOLTS { "driven" } else { "a leak" };
                let from = match self.comes_from(nest, tested.contact, volts).await? {
                    Some(rail) => format!(", from {rail}"),
                    None => String::new(),
                };
                log.diagnosed(Diagnosis {
                    defect: Defect::WrongVoltage,
                    contacts: vec![tested.contact],
                    text: format!("contact {label}: carries {shown}, {under_load} under 1 kohm: {how}{from}"),
                });
            } else if let Some(ohms) = held {
                let shown = MeasurementUnit::Ohms.show(ohms);
                log.diagnosed(Diagnosis {
                    defect: Defect::StuckLow,
                    contacts: vec![tested.contact],
                    text: format!("contact {label}: held at ground through {shown} while the module has power"),
                });
            }
        }
        Ok(())
    }
}

impl Quiet {
    async fn volts(&self, nest: &Nest, contact: Contact) -> Result<f64, StepError> {
        Ok(match self.ground {
            // The ADC's offset is the same in both readings.
            Some(ground) => nest.bus.fine_volts(contact).await? - nest.bus.fine_volts(ground).await?,
            None => nest.bus.volts(contact).await?,
        })
    }

    /// Finds the rail without which the contact is quiet: the last rail that came up goes off first, and all come up
    /// again. The first one stays on, because it feeds the firmware; it is the source when no other rail is.
    async fn comes_from(&self, nest: &Nest, contact: Contact, volts: f64) -> Result<Option<String>, StepError> {
        let mut on = Vec::new();
        for rail in nest.rails.names() {
            if nest.rails.measure(&rail).await?.volts > ON_VOLTS {
                on.push(rail);
            }
        }
        let Some((first, others)) = on.split_first() else { return Ok(None) };
        let mut off = Vec::new();
        let source = self.without_rails(nest, contact, volts, others, &mut off).await;
        let mut again = Ok(());
        for rail in off.iter().rev() {
            again = again.and(nest.rails.on(rail).await);
        }
        let source = source?;
        again?;
        Ok(Some(source.unwrap_or_else(|| first.clone())))
    }

    async fn without_rails(
        &self,
        nest: &Nest,
        contact: Contact,
        volts: f64,
        rails: &[String],
        off: &mut Vec<String>,
    ) -> Result<Option<String>, StepError> {
        for rail in rails.iter().rev() {
            off.push(rail.clone());
            nest.rail_off(rail).await?;
            nest.settle(DISCHARGES).await;
            if self.volts(nest, contact).await?.abs() < 0.5 * volts.abs() {
                return Ok(Some(rail.clone()));
            }
        }
        Ok(None)
    }
}

/// A rail with more is on.
const ON_VOLTS: f64 = 1.0;
/// For a rail to discharge through its resistor.
const DISCHARGES: Duration = Duration::from_millis(60);
