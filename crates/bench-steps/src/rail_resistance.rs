//! `rail-resistance`: measures the resistance of every rail to ground before anything is powered.

use crate::diagnose::short::charged_ohms;
use crate::reach;
use crate::resolve::{self, rail_contacts};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_plan::{Coverage, LimitsOf, Ohms, ParamProblem, Reach, Resolved, Seconds, Spanned, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};
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
    /// Time for the rail's capacitors to charge through the ohmmeter.
    #[serde(default)]
    settle: Option<Seconds>,
}

/// Tolerance of discharge resistors and of the ohm-meter together.
const DISCHARGE_TOLERANCE: f64 = 1.2;

pub struct RailResistance {
    rails: Vec<RailUnderTest>,
    settle: Duration,
}

struct RailUnderTest {
    name: String,
    /// Measured through one of the rail's nails; the feeds join the others to it.
    probe: Contact,
    contacts: Vec<Contact>,
    spec: MeasurementSpec,
}

impl Kind for RailResistance {
    const NAME: &'static str = "rail-resistance";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::ohms("ohms")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let rails = &around.fixture.rails;
        let names: Vec<String> = match &params.rails {
            None => rails.iter().map(|rail| rail.name.clone()).collect(),
            Some(names) => names
                .iter()
                .map(|name| Ok(resolve::rail(around.fixture, name)?.name.clone()))
                .collect::<Result<_, ParamProblem>>()?,
        };
        // A rail that is shorted to another one reads the discharge resistor of that one.
        let discharge_ohms = rails.iter().map(|rail| rail.discharge_ohms).fold(0.0, f64::max);
        if params.ohms.limits().min.is_none_or(|min| min < DISCHARGE_TOLERANCE * discharge_ohms) {
            let text = format!(
                "the least resistance must be more than that of a discharge resistor, {discharge_ohms} ohm and a fifth"
            );
            return Err(ParamProblem::new(text).help("otherwise a rail that is shorted to another one would pass"));
        }
        let mut rails = Vec::new();
        for name in names {
            let contacts = rail_contacts(around.fixture, &name);
            let Some(&probe) = contacts.first() else {
                if around.fixture.base.is_some() {
                    // A reduced fixture reaches none of its contacts, so the rail feeds nothing.
                    continue;
                }
                return Err(ParamProblem::new(format!("no nail of the fixture reaches the rail {name}")));
            };
            let spec = MeasurementSpec {
                name: format!("{name}.to-ground"),
                unit: MeasurementUnit::Ohms,
                limits: params.ohms.limits(),
                contacts: contacts.clone(),
            };
            rails.push(RailUnderTest { name, probe, contacts, spec });
        }
        let covered = rails.iter().flat_map(|rail| rail.contacts.iter());
        Ok(Resolved {
            measurements: rails.iter().map(|rail| rail.spec.clone()).collect(),
            coverage: covered.map(|&contact| Coverage { contact, aspects: vec!["short to ground"] }).collect(),
            uses: resource::list(&[resource::MEASURE_BUS, resource::RAILS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(10),
            procedure: Box::new(RailResistance {
                settle: params.settle.map_or(Duration::from_millis(300), Seconds::duration),
                rails,
            }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for RailResistance {
    fn measures_for_shorts(&self) -> Vec<String> {
        self.rails.iter().map(|rail| rail.name.clone()).collect()
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        for rail in &self.rails {
            let enough = rail.spec.limits.min.unwrap_or(f64::INFINITY);
            let work = charged_ohms(nest, rail.probe, enough, self.settle);
            let ohms = nest.undischarged(&[&rail.name], work).await?;
            nest.drained(rail.probe).await?;
            log.measured(&rail.spec.name, Some(ohms));
            if judge(&rail.spec.limits, Some(ohms)) == Verdict::Pass {
                nest.rails.clear_for_power(&rail.name, ohms)?;
            } else if ohms < enough {
                log.diagnosed(self.name(nest, rail, ohms).await?);
            }
        }
        Ok(())
    }
}

impl RailResistance {
    /// Finds what a rail with too little resistance is shorted to.
    async fn name(&self, nest: &Nest, rail: &RailUnderTest, ohms: f64) -> Result<Diagnosis, StepError> {
        let (defect, to) = match self.other_rail(nest, rail, ohms).await? {
            // The reading is that rail's discharge resistor, in parallel to which the short does not show.
            Some(other) => (Defect::ShortToRail, format!("rail {other}")),
            None => (Defect::ShortToGround, format!("ground, {}", MeasurementUnit::Ohms.show(ohms))),
        };
        let contacts = rail.contacts.iter().map(|&contact| nest.label(contact)).collect::<Vec<_>>().join(", ");
        Ok(Diagnosis {
            defect,
            contacts: rail.contacts.clone(),
            text: format!("rail {} (contacts {contacts}): shorted to {to}; it was not switched on", rail.name),
        })
    }

    /// Returns the rail to which this one is shorted, if not to ground: with that rail's discharge open too, nothing
    /// holds them at 0 V.
    async fn other_rail(&self, nest: &Nest, rail: &RailUnderTest, ohms: f64) -> Result<Option<String>, StepError> {
        for other in nest.rails.names().into_iter().filter(|name| *name != rail.name) {
            let held_by = nest.rails.discharge_ohms(&other)?;
            // A short to ground would still read the same, whether less than that rail's discharge resistor or not.
            let enough = ohms + held_by;
            let work = charged_ohms(nest, rail.probe, enough, self.settle);
            let floating = nest.undischarged(&[&rail.name, &other], work).await?;
            nest.drained(rail.probe).await?;
            if floating >= enough {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }
}
