//! `rail-resistance`: resistance of every rail to ground before anything is powered.

use crate::{Kind, Nest, Procedure, Record, StepError};
use async_trait::async_trait;
use bench_plan::{Coverage, LimitsOf, NailWiring, Ohms, ParamProblem, Resolved, Seconds, Spanned, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, Unit, Verdict, judge};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Names of rails; every rail of the fixture when left out.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    rails: Option<Vec<Spanned<String>>>,
    /// Resistance to ground.
    ohms: LimitsOf<Ohms>,
    /// How long the rail's capacitors may take to charge through the ohm-meter.
    #[serde(default)]
    settle: Option<Seconds>,
}

/// Longest time that the discharge resistors need after a measurement.
const DISCHARGED: Duration = Duration::from_millis(200);

pub struct RailResistance {
    rails: Vec<RailUnderTest>,
    settle: Duration,
}

struct RailUnderTest {
    name: String,
    /// The rail is looked at through one of its nails; the others are joined to it by their feeds.
    probe: Contact,
    contacts: Vec<Contact>,
    spec: MeasurementSpec,
}

impl Kind for RailResistance {
    const NAME: &'static str = "rail-resistance";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let known: Vec<&str> = around.fixture.rails.iter().map(|rail| rail.name.as_str()).collect();
        let names: Vec<String> = match &params.rails {
            None => known.iter().map(|&name| name.to_owned()).collect(),
            Some(names) => {
                for name in names {
                    if around.fixture.rail(name.get_ref()).is_none() {
                        return Err(crate::rail_on::no_such_rail(name, &known));
                    }
                }
                names.iter().map(|name| name.get_ref().clone()).collect()
            }
        };
        let mut rails = Vec::new();
        for name in names {
            let contacts = rail_contacts(around.fixture, &name);
            let Some(&probe) = contacts.first() else {
                return Err(ParamProblem::new(format!("no nail of the fixture reaches the rail {name}")));
            };
            let spec = MeasurementSpec {
                name: format!("{name}.to-ground"),
                unit: Unit::Ohms,
                limits: params.ohms.limits(),
                contacts: contacts.clone(),
            };
            rails.push(RailUnderTest { name, probe, contacts, spec });
        }
        let covered = rails.iter().flat_map(|rail| rail.contacts.iter());
        Ok(Resolved {
            measurements: rails.iter().map(|rail| rail.spec.clone()).collect(),
            coverage: covered.map(|&contact| Coverage { contact, aspects: vec!["short to ground"] }).collect(),
            uses: vec!["measure-bus".into(), "rails".into()],
            default_timeout: Duration::from_secs(10),
            procedure: Box::new(RailResistance {
                settle: params.settle.map_or(Duration::from_millis(300), Seconds::duration),
                rails,
            }),
        })
    }
}

/// The contacts whose nails the fixture feeds from this rail, ascending.
pub(crate) fn rail_contacts(fixture: &bench_plan::Fixture, name: &str) -> Vec<Contact> {
    let index = fixture.rails.iter().position(|rail| rail.name == name);
    let fed = |nail: &&bench_plan::Nail| matches!(nail.wiring, NailWiring::Rail { rail, .. } if Some(rail) == index);
    fixture.nails.values().filter(fed).map(|nail| nail.contact).collect()
}

#[async_trait(?Send)]
impl Procedure for RailResistance {
    async fn run(&self, nest: &Nest, record: &dyn Record) -> Result<(), StepError> {
        for rail in &self.rails {
            nest.rails.discharge(&rail.name, false).await?;
            let ohms = self.charged(nest, rail).await;
            nest.rails.discharge(&rail.name, true).await?;
            let ohms = ohms?;
            record.measured(&rail.spec.name, Some(ohms));
            if judge(&rail.spec.limits, Some(ohms)) == Verdict::Pass {
                nest.rails.clear_for_power(&rail.name, ohms)?;
            } else if rail.spec.limits.min.is_some_and(|min| ohms < min) {
                let to = self.other_rail(nest, rail, ohms).await?;
                let (defect, to) = match to {
                    Some(other) => (Defect::ShortToRail, format!("rail {other}")),
                    None => (Defect::ShortToGround, "ground".to_owned()),
                };
                let contacts = rail.contacts.iter().map(|&contact| nest.label(contact)).collect::<Vec<_>>().join(", ");
                record.diagnosed(Diagnosis {
                    defect,
                    contacts: rail.contacts.clone(),
                    text: format!(
                        "rail {} (contacts {contacts}): shorted to {to}, {}; it was not switched on",
                        rail.name,
                        Unit::Ohms.show(ohms)
                    ),
                });
            }
        }
        Ok(())
    }
}

impl RailResistance {
    /// The rail to which this one is shorted, if not to ground: with that one's discharge opened too, nothing holds
    /// them at 0 V any more.
    async fn other_rail(&self, nest: &Nest, rail: &RailUnderTest, ohms: f64) -> Result<Option<String>, StepError> {
        for other in nest.rails.names().into_iter().filter(|name| *name != rail.name) {
            nest.settle(DISCHARGED).await;
            nest.rails.discharge(&rail.name, false).await?;
            nest.rails.discharge(&other, false).await?;
            let held_by = nest.rails.discharge_ohms(&other)?;
            let deadline = nest.clock.now() + self.settle;
            let mut floating = nest.bus.ohms(rail.probe).await;
            while floating.as_ref().is_ok_and(|now| *now < ohms + held_by) && nest.clock.now() < deadline {
                floating = nest.bus.ohms(rail.probe).await;
            }
            nest.rails.discharge(&other, true).await?;
            nest.rails.discharge(&rail.name, true).await?;
            if floating? >= ohms + held_by {
                nest.settle(DISCHARGED).await;
                return Ok(Some(other));
            }
        }
        nest.settle(DISCHARGED).await;
        Ok(None)
    }

    /// Looks again until the capacitors on the rail have charged far enough to tell it from a short.
    async fn charged(&self, nest: &Nest, rail: &RailUnderTest) -> Result<f64, StepError> {
        let deadline = nest.clock.now() + self.settle;
        loop {
            let ohms = nest.bus.ohms(rail.probe).await?;
            if judge(&rail.spec.limits, Some(ohms)) == Verdict::Pass || nest.clock.now() >= deadline {
                return Ok(ohms);
            }
        }
    }
}
