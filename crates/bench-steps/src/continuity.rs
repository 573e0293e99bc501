//! `continuity`: checks each supply and ground contact by itself, through the module, before power.
//!
//! A contact that shares its net with others is measured alone: its own feed is opened, and the ohmmeter must still
//! reach the net through the module. A contact that is alone on its net cannot be measured this way and is refused.

use crate::reach;
use crate::resolve::{can_drive, feeds_ports, pin_name};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::{Injected, OPEN_OHMS};
use bench_plan::{
    Coverage, Function, LimitsOf, NailWiring, Ohms, ParamProblem, RawPinSelector, Reach, Resolved, Surroundings,
};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Supply and ground contacts.
    pins: RawPinSelector,
    /// Resistance from the contact to its net, through the module.
    ohms: LimitsOf<Ohms>,
}

pub struct Continuity {
    contacts: Vec<ContactUnderTest>,
    /// Contacts whose protection diodes lead into the rail of the ports: a third path into it.
    ways_in: Vec<Contact>,
}

struct ContactUnderTest {
    contact: Contact,
    /// The rail, or ground when `None`.
    rail: Option<String>,
    /// The other contacts of the net.
    others: Vec<Contact>,
    feeds_ports: bool,
    spec: MeasurementSpec,
}

impl Kind for Continuity {
    const NAME: &'static str = "continuity";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::ohms("ohms")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let span = params.pins.span();
        let chosen = params.pins.resolve(around.dut)?;
        let net = |contact: Contact| match around.fixture.nail(contact).map(|nail| &nail.wiring) {
            Some(NailWiring::Rail { rail, .. }) => Some(Some(*rail)),
            Some(NailWiring::Ground { .. }) => Some(None),
            _ => None,
        };
        let mut contacts = Vec::new();
        for contact in chosen {
            let label = around.dut.label(contact);
            let Some(own) = net(contact) else {
                return Err(ParamProblem::new(format!("contact {label} is neither a supply nor a ground nail"))
                    .at(span, "selects it")
                    .help("continuity is for functions \"power\" and \"ground\"; use `isolation` or `interconnect`"));
            };
            let others: Vec<Contact> = around
                .fixture
                .nails
                .keys()
                .copied()
                .filter(|&other| other != contact && net(other) == Some(own))
                .collect();
            if others.is_empty() {
                return Err(ParamProblem::new(format!("contact {label} is alone on its net"))
                    .at(span, "selects it")
                    .help("nothing can be measured through the module; exclude it"));
            }
            let rail = own.and_then(|rail| around.fixture.rails.get(rail));
            contacts.push(ContactUnderTest {
                contact,
                rail: rail.map(|rail| rail.name.clone()),
                others,
                feeds_ports: rail.is_some_and(|rail| feeds_ports(around.fixture, rail)),
                spec: MeasurementSpec {
                    name: format!("{}.{contact}", pin_name(around.dut, contact)),
                    unit: MeasurementUnit::Ohms,
                    limits: params.ohms.limits(),
                    contacts: vec![contact],
                },
            });
        }
        Ok(Resolved {
            measurements: contacts.iter().map(|tested| tested.spec.clone()).collect(),
            coverage: contacts
                .iter()
                .map(|tested| Coverage { contact: tested.contact, aspects: vec!["open"] })
                .collect(),
            uses: resource::list(&[resource::MEASURE_BUS, resource::RAILS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(5),
            procedure: Box::new(Continuity { contacts, ways_in: ways_in(around) }),
        })
    }
}

/// Several, because one of them may be open itself.
const WAYS_IN: usize = 3;

fn ways_in(around: &Surroundings<'_>) -> Vec<Contact> {
    let gpio = around.dut.with_function(Function::Gpio).filter(|info| info.port.is_some());
    gpio.map(|info| info.contact).filter(|&contact| can_drive(around.fixture, contact)).take(WAYS_IN).collect()
}

#[async_trait(?Send)]
impl Procedure for Continuity {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let mut open: Vec<(&ContactUnderTest, f64)> = Vec::new();
        for tested in &self.contacts {
            nest.rails.feed(tested.contact, false).await?;
            let ohms = self.through_module(nest, tested).await;
            nest.rails.feed(tested.contact, true).await?;
            let ohms = ohms?;
            log.measured(&tested.spec.name, Some(ohms));
            if judge(&tested.spec.limits, Some(ohms)) == Verdict::Fail {
                // A larger resistance would let the ohmmeter charge the rail too much for the next measurement.
                nest.drained(tested.contact).await?;
                open.push((tested, ohms));
            }
        }
        let all_open = open.len() == self.contacts.len();
        if all_open && open.len() > 2 {
            return Err(no_module(log));
        }
        let good = self.good_one_of_two(nest, &open).await?;
        if all_open && open.len() == 2 && good.is_none() && open.iter().all(|(_, ohms)| *ohms >= OPEN_OHMS) {
            return Err(no_module(log));
        }
        for (contact, ohms) in at_fault(&open).into_iter().filter(|(contact, _)| Some(*contact) != good) {
            let label = nest.label(contact);
            let text = if ohms >= OPEN_OHMS {
                format!("contact {label}: open")
            } else {
                format!("contact {label}: cold joint, {} in series", MeasurementUnit::Ohms.show(ohms))
            };
            log.diagnosed(Diagnosis { defect: Defect::Open, contacts: vec![contact], text });
        }
        Ok(())
    }
}

fn no_module(log: &dyn StepLog) -> StepError {
    let text = "no contact of the supplies and grounds reaches a module: is one in the nest, and is the lid closed?";
    log.diagnosed(Diagnosis { defect: Defect::Bench, contacts: Vec::new(), text: text.into() });
    StepError::Bench(text.into())
}

/// Current through a protection diode into the rail.
const WAY_IN_AMPS: f64 = 1e-3;
/// With no more in series, the rail stays below a diode's voltage at that current, too low to feed the module.
const STAYS_LOW_OHMS: f64 = 400.0;

/// When one of the two contacts of a supply is open, the other one reads open too, because the path ends at it. The
/// good one still sees the module's own load; the open one does not.
fn at_fault(open: &[(&ContactUnderTest, f64)]) -> Vec<(Contact, f64)> {
    let lonely = |(tested, ohms): &(&ContactUnderTest, f64)| {
        let whole_net_failed = tested.others.iter().all(|other| open.iter().any(|(two, _)| two.contact == *other));
        let another_is_worse = open
            .iter()
            .any(|(two, worse)| tested.others.contains(&two.contact) && *worse >= OPEN_OHMS && *ohms < 0.5 * OPEN_OHMS);
        whole_net_failed && another_is_worse
    };
    open.iter().filter(|tested| !lonely(tested)).map(|(tested, ohms)| (tested.contact, *ohms)).collect()
}

impl Continuity {
    /// Two contacts that carry a rail are measured through each other, so a bad joint shows at both. A current that
    /// enters through a port's protection diode leaves through one of them at a time, and so shows which one is good.
    async fn good_one_of_two(
        &self,
        nest: &Nest,
        open: &[(&ContactUnderTest, f64)],
    ) -> Result<Option<Contact>, StepError> {
        let of_ports = |(tested, ohms): &&(&ContactUnderTest, f64)| tested.feeds_ports && *ohms < STAYS_LOW_OHMS;
        let mut pair = open.iter().filter(of_ports);
        let (Some((a, ohms)), Some((b, _)), None) = (pair.next(), pair.next(), pair.next()) else { return Ok(None) };
        if a.others != [b.contact] {
            return Ok(None);
        }
        for &way_in in &self.ways_in {
            let (by_a, by_b) =
                (leaving_without(nest, way_in, b.contact).await?, leaving_without(nest, way_in, a.contact).await?);
            let amps = by_a.amps.min(by_b.amps);
            if amps < 0.5 * WAY_IN_AMPS {
                continue; // this contact is open
            }
            // The diode and its series resistance are the same in both.
            let more_in_a = (by_a.volts - by_b.volts) / amps;
            return Ok(match more_in_a {
                more if more > 0.5 * ohms => Some(b.contact),
                more if more < -0.5 * ohms => Some(a.contact),
                _ => None, // both are bad
            });
        }
        Ok(None)
    }

    /// From the contact through the module to its net, minus the resistor that holds the net at 0 V.
    async fn through_module(&self, nest: &Nest, tested: &ContactUnderTest) -> Result<f64, StepError> {
        let held_by = match &tested.rail {
            // A rail that is off is held at 0 V by its discharge resistor, through the feeds of the other contacts.
            Some(rail) => nest.rails.discharge_ohms(rail)?,
            None => 0.0,
        };
        debug_assert!(!tested.others.is_empty());
        let ohms = nest.bus.ohms(tested.contact).await?;
        Ok(if ohms >= OPEN_OHMS { OPEN_OHMS } else { (ohms - held_by).max(0.0) })
    }
}

/// What is needed to drive a current through the diode of `way_in` with the feed of one contact of the rail open.
async fn leaving_without(nest: &Nest, way_in: Contact, contact: Contact) -> Result<Injected, StepError> {
    nest.rails.feed(contact, false).await?;
    let pushed = nest.bus.inject(way_in, WAY_IN_AMPS).await;
    nest.rails.feed(contact, true).await?;
    Ok(pushed?)
}
