//! `clamp-diodes`: checks every pad through its protection diodes, before power.
//!
//! ```text
//! to its supply:  source -- 1 kohm -- contact -->|-- supply of the module -- discharge of the rail -- 0 V
//! from ground:    source -- 1 kohm -- one ground contact --[ground of the module]-->|-- contact -- its nail -- 0 V
//! ```
//! For the measurement from ground, every ground feed is open and the rails float. The module's ground can then be
//! lifted, and only the contact under test is at 0 V. The ground must have no other path to the fixture: no debug probe
//! and no shield of an antenna cable.
//!
//! An ohmmeter below a diode's voltage cannot see a diode. A diode proves that there is silicon at the other end of the
//! contact, also on contacts that the firmware cannot reach, and shows any resistance in series with it.

use crate::diagnose::series::{Joint, Look, judge_joints, nothing_flows};
use crate::reach;
use crate::resolve::{self, pin_name};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::MOST_INJECTED_AMPS;
use bench_plan::{
    Amps, Coverage, DutFamily, Fixture, LimitsOf, NailWiring, ParamProblem, RawPinSelector, Reach, Resolved, Spanned,
    Surroundings, Volts,
};
use bench_run::{Contact, MeasurementSpec, MeasurementUnit};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Contacts that lead to silicon.
    pins: RawPinSelector,
    /// Current through the diodes, at most 3 mA; 1 mA by default.
    #[schemars(with = "Option<Amps>")]
    current: Option<Spanned<Amps>>,
    /// Voltage over the diode from the contact to its supply. Not measured without limits.
    to_supply: Option<LimitsOf<Volts>>,
    /// The rail of that supply. Its discharge resistor carries the current too.
    #[schemars(with = "Option<String>")]
    supply: Option<Spanned<String>>,
    /// Voltage over the diode from ground to the contact. Not measured without limits.
    from_ground: Option<LimitsOf<Volts>>,
}

pub struct ClampDiodes {
    contacts: Vec<ContactUnderTest>,
    amps: f64,
    supply: Option<String>,
    /// Every ground contact; the first is the one that is lifted.
    grounds: Vec<Contact>,
}

struct ContactUnderTest {
    contact: Contact,
    held_by: HeldBy,
    to_supply: Option<MeasurementSpec>,
    from_ground: Option<MeasurementSpec>,
    /// Families whose modules also fit into the nest but do not connect this contact.
    nothing_on: Vec<String>,
}

/// What holds a contact at 0 V while the ground is lifted.
enum HeldBy {
    /// Its nail, with this many ohms.
    Nail(f64),
    /// The discharge of its rail.
    Rail(String),
}

const DEFAULT_AMPS: f64 = 1e-3;
/// Output resistance of a nail's driver that pulls low (MCP23017: 0.6 V at 8 mA at most; typically a third of that).
const NAIL_DRIVER_OHMS: f64 = 25.0;
/// Number of contacts tried for a path through the module. It is not plausible that all of them are open.
const PARTNERS: usize = 3;
/// Share of the wanted current that counts as current.
const TOUCHES: f64 = 0.1;
/// Text for the technician when no nail touches anything.
const EMPTY_NEST: &str = "no current flows between any nails: is a module in the nest, and is the lid closed?";
/// Time to remove the charge that the last contact left on rails and pads.
const SETTLE: Duration = Duration::from_millis(2);

impl Kind for ClampDiodes {
    const NAME: &'static str = "clamp-diodes";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::diode_volts("to_supply"), reach::diode_volts("from_ground")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let span = params.pins.span();
        if params.to_supply.is_none() && params.from_ground.is_none() {
            return Err(ParamProblem::new("no limits for either diode")
                .at(span, "nothing to measure here")
                .help("give `to_supply`, `from_ground` or both"));
        }
        let amps = params.current.as_ref().map_or(DEFAULT_AMPS, |amps| amps.get_ref().get());
        if let Some(current) = &params.current
            && !(amps > 0.0 && amps <= MOST_INJECTED_AMPS)
        {
            let most = MeasurementUnit::Amps.show(MOST_INJECTED_AMPS);
            return Err(ParamProblem::new(format!(
                "{} is not a valid current for a protection diode",
                MeasurementUnit::Amps.show(amps)
            ))
            .at(current.span(), "here")
            .help(format!("above 0 and at most {most}; data sheets promise little beyond 1 mA")));
        }
        let supply = match params.supply {
            Some(name) => Some(resolve::rail(around.fixture, &name)?.name.clone()),
            None => None,
        };
        let limits =
            (params.to_supply.as_ref().map(LimitsOf::limits), params.from_ground.as_ref().map(LimitsOf::limits));
        let mut contacts = Vec::new();
        for contact in params.pins.resolve(around.dut)? {
            let spec = |which: &str, limits| MeasurementSpec {
                name: format!("{}.{which}", pin_name(around.dut, contact)),
                unit: MeasurementUnit::Volts,
                limits,
                contacts: vec![contact],
            };
            let problem = |what: &str| {
                let label = around.dut.label(contact);
                Err(ParamProblem::new(format!("contact {label} {what}")).at(span.clone(), "selects it"))
            };
            let held_by = match around.fixture.nail(contact).map(|nail| &nail.wiring) {
                Some(NailWiring::Io { series_ohms, .. }) => HeldBy::Nail(series_ohms + NAIL_DRIVER_OHMS),
                Some(NailWiring::Rail { .. }) if limits.0.is_some() => {
                    return problem("is a supply itself: there is no diode to a supply");
                }
                Some(NailWiring::Rail { rail, .. }) if resolve::rail_contacts_of(around.fixture, *rail).len() == 1 => {
                    HeldBy::Rail(around.fixture.rails[*rail].name.clone())
                }
                Some(NailWiring::Rail { .. }) => {
                    return problem("shares its rail: the others carry the current as well");
                }
                Some(NailWiring::Ground { .. }) | None => return problem("has no nail that can hold it at 0 V"),
            };
            contacts.push(ContactUnderTest {
                contact,
                held_by,
                to_supply: limits.0.map(|limits| spec("to-supply", limits)),
                from_ground: limits.1.map(|limits| spec("from-ground", limits)),
                nothing_on: leads_nowhere_on(around, contact),
            });
        }
        let grounds = grounds(around.fixture);
        // Every measurement from ground flows through it.
        let only_ground = grounds.as_slice().first().filter(|_| limits.1.is_some() && grounds.len() == 1);
        let by_ground = only_ground.map(|ground| Coverage { contact: *ground, aspects: vec!["open"] });
        let specs =
            |contact: &ContactUnderTest| [contact.to_supply.clone(), contact.from_ground.clone()].into_iter().flatten();
        Ok(Resolved {
            measurements: contacts.iter().flat_map(specs).collect(),
            coverage: contacts
                .iter()
                .map(|contact| Coverage {
                    contact: contact.contact,
                    aspects: vec!["open", "cold joint", "protection diode"],
                })
                .chain(by_ground)
                .collect(),
            uses: resource::list(&[resource::DUT, resource::NAILS, resource::MEASURE_BUS, resource::RAILS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(15),
            procedure: Box::new(ClampDiodes { contacts, amps, supply, grounds }),
        })
    }
}

/// A module of such a family reads as if this contact were open. Its family can only be read once it has power.
fn leads_nowhere_on(around: &Surroundings<'_>, contact: Contact) -> Vec<String> {
    let fits = |family: &&&DutFamily| family.name != around.dut.name && around.fixture.families.contains(&family.name);
    let nowhere = |family: &&&DutFamily| {
        family.contact(contact).is_none_or(|info| info.functions.contains(&bench_plan::Function::Nc))
    };
    around.families.iter().filter(fits).filter(nowhere).map(|family| family.name.clone()).collect()
}

fn grounds(fixture: &Fixture) -> Vec<Contact> {
    let ground = |nail: &&bench_plan::Nail| matches!(nail.wiring, NailWiring::Ground { .. });
    fixture.nails.values().filter(ground).map(|nail| nail.contact).collect()
}

#[async_trait(?Send)]
impl Procedure for ClampDiodes {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, log)).await
    }
}

impl ClampDiodes {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.leave_link().await?;
        nest.release_nails().await?;
        let mut joints: Vec<Joint<'_>> =
            self.contacts.iter().map(|contact| Joint::new(contact.contact, &contact.nothing_on)).collect();
        let behind = match &self.supply {
            Some(rail) => nest.rails.discharge_ohms(rail)?,
            None => 0.0,
        };
        for (contact, joint) in self.contacts.iter().zip(&mut joints) {
            let Some(spec) = &contact.to_supply else { continue };
            let pushed = nest.bus.inject(contact.contact, self.amps).await?;
            let volts = pushed.volts - pushed.amps * behind;
            log.measured(&spec.name, Some(volts));
            joint.looks.push(Look { spec, volts, amps: pushed.amps, wanted_amps: self.amps });
        }
        if self.contacts.iter().any(|contact| contact.from_ground.is_some()) {
            self.lifted(nest, self.look_from_ground(nest, log, &mut joints)).await?;
        }
        let by_one_contact = self.grounds.len() == 1 && self.contacts.iter().all(|contact| contact.to_supply.is_none());
        if by_one_contact && nothing_flows(&joints) && !self.any_touches(nest).await? {
            return Err(StepError::Bench(EMPTY_NEST.to_owned()));
        }
        judge_joints(nest, log, &joints);
        Ok(())
    }

    /// Whether current flows into a contact under test and out of another one or a supply. It does whenever nails touch
    /// a module, even without ground.
    async fn any_touches(&self, nest: &Nest) -> Result<bool, StepError> {
        let by_nail = |contact: &&ContactUnderTest| matches!(contact.held_by, HeldBy::Nail(_));
        let mut contacts = self.contacts.iter().filter(by_nail).map(|contact| contact.contact);
        let Some(contact) = contacts.next() else { return Ok(false) };
        let mut touches = false;
        for other in contacts.take(PARTNERS) {
            nest.drive_nail(other, false).await?;
            let pushed = nest.bus.inject(contact, self.amps).await;
            nest.release_nail(other).await?;
            touches |= pushed?.amps > TOUCHES * self.amps;
        }
        Ok(touches)
    }

    /// Runs `work` while the module's ground and every rail float, and restores them also after an error.
    async fn lifted(&self, nest: &Nest, work: impl Future<Output = Result<(), StepError>>) -> Result<(), StepError> {
        let rails = nest.rails.names();
        let rails: Vec<&str> = rails.iter().map(String::as_str).collect();
        let outcome = nest
            .undischarged(&rails, async {
                for ground in &self.grounds {
                    nest.rails.feed(*ground, false).await?;
                }
                work.await
            })
            .await;
        let mut closed = Ok(());
        for ground in &self.grounds {
            closed = closed.and(nest.rails.feed(*ground, true).await);
        }
        nest.settle(SETTLE).await;
        outcome.and(Ok(closed?))
    }

    async fn look_from_ground<'s>(
        &'s self,
        nest: &Nest,
        log: &dyn StepLog,
        joints: &mut [Joint<'s>],
    ) -> Result<(), StepError> {
        let Some(&lifted) = self.grounds.first() else {
            return Err(StepError::Bench("the fixture has no ground nail that could be lifted".into()));
        };
        for (contact, joint) in self.contacts.iter().zip(joints) {
            let Some(spec) = &contact.from_ground else { continue };
            let (pushed, held_ohms) = match &contact.held_by {
                HeldBy::Nail(ohms) => {
                    nest.drive_nail(contact.contact, false).await?;
                    let pushed = nest.bus.inject(lifted, self.amps).await;
                    nest.release_nail(contact.contact).await?;
                    (pushed?, *ohms)
                }
                HeldBy::Rail(rail) => {
                    nest.rails.discharge(rail, true).await?;
                    let pushed = nest.bus.inject(lifted, self.amps).await;
                    nest.rails.discharge(rail, false).await?;
                    (pushed?, nest.rails.discharge_ohms(rail)?)
                }
            };
            let volts = pushed.volts - pushed.amps * held_ohms;
            log.measured(&spec.name, Some(volts));
            joint.looks.push(Look { spec, volts, amps: pushed.amps, wanted_amps: self.amps });
        }
        Ok(())
    }
}
