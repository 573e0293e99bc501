//! `isolation`: every contact against all others, ground and the rails, before power.
//!
//! All other nails are held low, and the ohm-meter looks at one contact after the other with less than a diode's
//! voltage. A path that should not be there is then followed to the contact at its other end.

use crate::diagnose::exchange::exchanged;
use crate::diagnose::short::{Meter, Path, ground_all_but, paths};
use crate::resolve::{can_drive, pin_name};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::{ContactSet, OPEN_OHMS};
use bench_plan::{Coverage, LimitsOf, Ohms, ParamProblem, RawPinSelector, Resolved, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Contacts with a nail that can drive.
    pins: RawPinSelector,
    /// Resistance from the contact to everything else, held at 0 V.
    ohms: LimitsOf<Ohms>,
    /// Contacts that the module without power holds at 0 V by itself, with limits of their own.
    #[serde(default)]
    held: Vec<HeldPins>,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct HeldPins {
    /// Contacts with a nail that can drive.
    pins: RawPinSelector,
    /// What holds them. Without a greatest resistance nobody would notice that it is not there.
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

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let mut contacts: Vec<ContactUnderTest> = Vec::new();
        let free = (params.pins, params.ohms, false);
        let held = params.held.into_iter().map(|held| (held.pins, held.ohms, true));
        for (pins, ohms, is_held) in std::iter::once(free).chain(held) {
            for contact in pins.resolve(around.dut)? {
                let problem = |what: &str| {
                    let label = around.dut.label(contact);
                    ParamProblem::new(format!("contact {label} {what}")).at(pins.span(), "selects it")
                };
                if !can_drive(around.fixture, contact) {
                    return Err(problem("has no nail that can drive").help(
                        "isolation is for signal contacts; `continuity` and `rail-resistance` look at supplies",
                    ));
                }
                if contacts.iter().any(|one| one.contact == contact) {
                    return Err(problem("is selected twice").help("give what the module holds in `held` alone"));
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
        let aspects = |one: &ContactUnderTest| {
            let mut aspects = vec!["short to contact", "short to ground", "short to rail"];
            if one.is_held {
                aspects.extend(["open", "cold joint"]);
            }
            aspects
        };
        Ok(Resolved {
            measurements: contacts.iter().map(|one| one.spec.clone()).collect(),
            coverage: contacts.iter().map(|one| Coverage { contact: one.contact, aspects: aspects(one) }).collect(),
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
        for one in &self.contacts {
            nest.nails.set(ground_all_but(wired, one.contact)).await?;
            let ohms = nest.bus.ohms(one.contact).await?;
            log.measured(&one.spec.name, Some(ohms));
            seen.push(Seen { one, ohms });
        }
        nest.nails.release_all().await?;
        let mut joined: Vec<&Seen<'_>> = seen.iter().filter(|seen| seen.is_below()).collect();
        let mut lost: Vec<&Seen<'_>> = seen.iter().filter(|seen| seen.is_above()).collect();
        for (a, b) in swapped(&joined, &lost) {
            log.diagnosed(exchanged(nest, a, b));
            joined.retain(|seen| seen.one.contact != a);
            lost.retain(|seen| seen.one.contact != b);
        }
        for seen in lost {
            let elsewhere = self.held_elsewhere(nest, seen).await?;
            log.diagnosed(elsewhere.map_or_else(|| seen.lost(nest), |it| exchanged(nest, seen.one.contact, it)));
        }
        self.follow(nest, log, &joined).await
    }

    /// The one contact outside of this step's selection that is held as this one should be.
    async fn held_elsewhere(&self, nest: &Nest, lost: &Seen<'_>) -> Result<Option<Contact>, StepError> {
        let selected: ContactSet = self.contacts.iter().map(|one| one.contact).collect();
        let mut found = Vec::new();
        for contact in nest.nails.wired().minus(selected).iter() {
            if lost.one.holds_with(nest.bus.ohms(contact).await?) {
                found.push(contact);
            }
        }
        Ok(if let &[only] = found.as_slice() { Some(only) } else { None })
    }

    /// Each path that should not be there to its other end.
    async fn follow(&self, nest: &Nest, log: &dyn StepLog, joined: &[&Seen<'_>]) -> Result<(), StepError> {
        let suspects: ContactSet = joined.iter().map(|seen| seen.one.contact).collect();
        let limit = joined.iter().filter_map(|seen| seen.one.spec.limits.min).fold(0.0, f64::max);
        let mut told: Vec<Diagnosis> = Vec::new();
        for seen in joined {
            let contact = seen.one.contact;
            for path in paths(nest, Meter::Unpowered, contact, suspects, limit).await? {
                if matches!(&path, Path::Ground(ohms, _) if seen.one.holds_with(*ohms)) {
                    continue;
                }
                let diagnosis = path.diagnosis(nest, contact);
                // A pair is found from both its ends.
                if !told.iter().any(|one| one.contacts == diagnosis.contacts && one.defect == diagnosis.defect) {
                    log.diagnosed(diagnosis.clone());
                    told.push(diagnosis);
                }
            }
        }
        Ok(())
    }
}

impl ContactUnderTest {
    /// Whether this resistance to ground is what should hold the contact there.
    fn holds_with(&self, ohms: f64) -> bool {
        self.is_held && judge(&self.spec.limits, Some(ohms)) == Verdict::Pass
    }
}

/// One contact with what was read of it.
struct Seen<'a> {
    one: &'a ContactUnderTest,
    ohms: f64,
}

impl Seen<'_> {
    fn is_below(&self) -> bool {
        self.one.spec.limits.min.is_some_and(|min| self.ohms < min)
    }
    fn is_above(&self) -> bool {
        self.one.spec.limits.max.is_some_and(|max| self.ohms > max)
    }
    fn lost(&self, nest: &Nest) -> Diagnosis {
        let label = nest.label(self.one.contact);
        let text = if self.ohms >= OPEN_OHMS {
            format!("contact {label}: open, nothing holds it at ground")
        } else {
            let shown = MeasurementUnit::Ohms.show(self.ohms);
            format!("contact {label}: held at ground through {shown}, too much: cold joint")
        };
        Diagnosis { defect: Defect::Open, contacts: vec![self.one.contact], text }
    }
}

/// Pairs of a contact that should be free and one that should be held, each of which reads what the other should.
fn swapped(joined: &[&Seen<'_>], lost: &[&Seen<'_>]) -> Vec<(Contact, Contact)> {
    let fits = |seen: &Seen<'_>, as_if: &Seen<'_>| judge(&as_if.one.spec.limits, Some(seen.ohms)) == Verdict::Pass;
    let pairs = joined.iter().flat_map(|a| lost.iter().map(move |b| (a, b)));
    let swapped = pairs.filter(|(a, b)| a.one.is_held != b.one.is_held && fits(a, b) && fits(b, a));
    swapped.map(|(a, b)| (a.one.contact, b.one.contact)).collect()
}
