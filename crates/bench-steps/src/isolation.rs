//! `isolation`: measures every contact against all others, ground and the rails, before power.
//!
//! All other nails are held low, and the ohmmeter measures one contact after the other with less than a diode's
//! voltage. An unwanted path is then followed to the contact at its other end.

use crate::diagnose::exchange::exchanged;
use crate::diagnose::short::{Meter, Path, ground_all_but, paths};
use crate::reach;
use crate::resolve::{can_drive, pin_name};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::{ContactSet, OPEN_OHMS};
use bench_plan::{Coverage, LimitsOf, Ohms, ParamProblem, RawPinSelector, Reach, Resolved, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Contacts with a nail that can drive.
    pins: RawPinSelector,
    /// Resistance from the contact to everything else, held at 0 V.
    ohms: LimitsOf<Ohms>,
    /// Contacts that the module without power holds at 0 V by itself, with separate limits.
    #[serde(default)]
    held: Vec<HeldPins>,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct HeldPins {
    /// Contacts with a nail that can drive.
    pins: RawPinSelector,
    /// Contacts that hold them. A largest resistance is required: without it a missing path would go unnoticed.
    ohms: LimitsOf<Ohms>,
}

pub struct Isolation {
    contacts: Vec<ContactUnderTest>,
}

struct ContactUnderTest {
    contact: Contact,
    spec: MeasurementSpec,
    is_held: bool,
}

impl Kind for Isolation {
    const NAME: &'static str = "isolation";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::ohms("ohms"), reach::ohms("held.ohms")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let mut contacts: Vec<ContactUnderTest> = Vec::new();
        let free = (params.pins, params.ohms, false);
        let held = params.held.into_iter().map(|held| (held.pins, held.ohms, true));
        for (pins, ohms, is_held) in std::iter::once(free).chain(held) {
            let selected = if is_held { pins.resolve_reached(around.dut)? } else { pins.resolve(around.dut)? };
            for contact in selected {
                let problem = |what: &str| {
                    let label = around.dut.label(contact);
                    ParamProblem::new(format!("contact {label} {what}")).at(pins.span(), "selects it")
                };
                if !can_drive(around.fixture, contact) {
                    return Err(problem("has no nail that can drive").help(
                        "isolation is for signal contacts; use `continuity` and `rail-resistance` for supplies",
                    ));
                }
                if contacts.iter().any(|tested| tested.contact == contact) {
                    return Err(problem("is selected twice").help("list contacts that the module holds only in `held`"));
                }
                let spec = MeasurementSpec {
                    name: format!("{}.{contact}", pin_name(around.dut, contact)),
                    unit: MeasurementUnit::Ohms,
                    limits: ohms.limits(),
                    contacts: vec![contact],
                };
                contacts.push(ContactUnderTest { contact, spec, is_held });
            }
        }
        let aspects = |tested: &ContactUnderTest| {
            let mut aspects = vec!["short to contact", "short to ground", "short to rail"];
            if tested.is_held {
                aspects.extend(["open", "cold joint"]);
            }
            aspects
        };
        Ok(Resolved {
            measurements: contacts.iter().map(|tested| tested.spec.clone()).collect(),
            coverage: contacts
                .iter()
                .map(|tested| Coverage { contact: tested.contact, aspects: aspects(tested) })
                .collect(),
            uses: resource::list(&[resource::NAILS, resource::MEASURE_BUS, resource::RAILS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(15),
            procedure: Box::new(Isolation { contacts }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Isolation {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, log)).await
    }
}

impl Isolation {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let wired = nest.nails.wired();
        let mut seen = Vec::with_capacity(self.contacts.len());
        for tested in &self.contacts {
            nest.nails.set(ground_all_but(wired, tested.contact)).await?;
            let ohms = nest.bus.ohms(tested.contact).await?;
            log.measured(&tested.spec.name, Some(ohms));
            seen.push(Seen { tested, ohms });
        }
        nest.nails.release_all().await?;
        let mut joined: Vec<&Seen<'_>> = seen.iter().filter(|seen| seen.is_below()).collect();
        let mut lost: Vec<&Seen<'_>> = seen.iter().filter(|seen| seen.is_above()).collect();
        for (a, b) in swapped(&joined, &lost) {
            log.diagnosed(exchanged(nest, a, b));
            joined.retain(|seen| seen.tested.contact != a);
            lost.retain(|seen| seen.tested.contact != b);
        }
        for seen in lost {
            let elsewhere = self.held_elsewhere(nest, seen).await?;
            log.diagnosed(elsewhere.map_or_else(|| seen.lost(nest), |it| exchanged(nest, seen.tested.contact, it)));
        }
        self.follow(nest, log, &joined).await
    }

    /// The only contact outside this step's selection that is held as this one should be.
    async fn held_elsewhere(&self, nest: &Nest, lost: &Seen<'_>) -> Result<Option<Contact>, StepError> {
        let selected: ContactSet = self.contacts.iter().map(|tested| tested.contact).collect();
        let mut held = Vec::new();
        for contact in nest.nails.wired().minus(selected).iter() {
            if lost.tested.holds_with(nest.bus.ohms(contact).await?) {
                held.push(contact);
            }
        }
        Ok(if let &[only] = held.as_slice() { Some(only) } else { None })
    }

    /// Follows each unwanted path to its other end.
    async fn follow(&self, nest: &Nest, log: &dyn StepLog, joined: &[&Seen<'_>]) -> Result<(), StepError> {
        let suspects: ContactSet = joined.iter().map(|seen| seen.tested.contact).collect();
        let limit = joined.iter().filter_map(|seen| seen.tested.spec.limits.min).fold(0.0, f64::max);
        let mut reported: Vec<Diagnosis> = Vec::new();
        for seen in joined {
            let contact = seen.tested.contact;
            for path in paths(nest, Meter::Unpowered, contact, suspects, limit).await? {
                if matches!(&path, Path::Ground(ohms, _) if seen.tested.holds_with(*ohms)) {
                    continue;
                }
                let diagnosis = path.diagnosis(nest, contact);
                // A pair is found from both ends.
                if !reported
                    .iter()
                    .any(|tested| tested.contacts == diagnosis.contacts && tested.defect == diagnosis.defect)
                {
                    log.diagnosed(diagnosis.clone());
                    reported.push(diagnosis);
                }
            }
        }
        Ok(())
    }
}

impl ContactUnderTest {
    /// Whether this resistance to ground is the one that should hold the contact there.
    fn holds_with(&self, ohms: f64) -> bool {
        self.is_held && judge(&self.spec.limits, Some(ohms)) == Verdict::Pass
    }
}

/// A contact with its reading.
struct Seen<'a> {
    tested: &'a ContactUnderTest,
    ohms: f64,
}

impl Seen<'_> {
    fn is_below(&self) -> bool {
        self.tested.spec.limits.min.is_some_and(|min| self.ohms < min)
    }
    fn is_above(&self) -> bool {
        self.tested.spec.limits.max.is_some_and(|max| self.ohms > max)
    }
    fn lost(&self, nest: &Nest) -> Diagnosis {
        let label = nest.label(self.tested.contact);
        let text = if self.ohms >= OPEN_OHMS {
            format!("contact {label}: open, nothing holds it at ground")
        } else {
            let shown = MeasurementUnit::Ohms.show(self.ohms);
            format!("contact {label}: held at ground through {shown}, which is too much: cold joint")
        };
        Diagnosis { defect: Defect::Open, contacts: vec![self.tested.contact], text }
    }
}

/// Pairs of a contact that should be free and one that should be held, each with the reading expected of the other.
fn swapped(joined: &[&Seen<'_>], lost: &[&Seen<'_>]) -> Vec<(Contact, Contact)> {
    let fits = |seen: &Seen<'_>, as_if: &Seen<'_>| judge(&as_if.tested.spec.limits, Some(seen.ohms)) == Verdict::Pass;
    let pairs = joined.iter().flat_map(|a| lost.iter().map(move |b| (a, b)));
    let swapped = pairs.filter(|(a, b)| a.tested.is_held != b.tested.is_held && fits(a, b) && fits(b, a));
    swapped.map(|(a, b)| (a.tested.contact, b.tested.contact)).collect()
}
