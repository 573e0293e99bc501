//! `isolation`: every contact against all others, ground and the rails, before power.
//!
//! All other nails are held low, and the ohm-meter looks at one contact after the other with less than a diode's
//! voltage. A path that should not be there is then followed to the contact at its other end.

use crate::diagnose::short::{Meter, ground_all_but, paths};
use crate::resolve::{can_drive, pin_name};
use crate::{Kind, Nest, Procedure, Record, StepError};
use async_trait::async_trait;
use bench_instruments::ContactSet;
use bench_plan::{Coverage, LimitsOf, Ohms, ParamProblem, RawPinSelector, Resolved, Surroundings};
use bench_run::{Contact, Diagnosis, MeasurementSpec, Unit, Verdict, judge};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Contacts with a nail that can drive.
    pins: RawPinSelector,
    /// Resistance from the contact to everything else, held at 0 V.
    ohms: LimitsOf<Ohms>,
}

pub struct Isolation {
    contacts: Vec<(Contact, MeasurementSpec)>,
}

impl Kind for Isolation {
    const NAME: &'static str = "isolation";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let span = params.pins.span();
        let mut contacts = Vec::new();
        for contact in params.pins.resolve(around.dut)? {
            if !can_drive(around.fixture, contact) {
                let label = around.dut.label(contact);
                return Err(ParamProblem::new(format!("contact {label} has no nail that can drive"))
                    .at(span, "selects it")
                    .help("isolation is for signal contacts; `continuity` and `rail-resistance` look at supplies"));
            }
            let spec = MeasurementSpec {
                name: format!("{}.{contact}", pin_name(around.dut, contact)),
                unit: Unit::Ohms,
                limits: params.ohms.limits(),
                contacts: vec![contact],
            };
            contacts.push((contact, spec));
        }
        Ok(Resolved {
            measurements: contacts.iter().map(|(_, spec)| spec.clone()).collect(),
            coverage: contacts
                .iter()
                .map(|(contact, _)| Coverage {
                    contact: *contact,
                    aspects: vec!["short to contact", "short to ground", "short to rail"],
                })
                .collect(),
            uses: vec!["measure-bus".into(), "nails".into(), "rails".into()],
            default_timeout: Duration::from_secs(15),
            procedure: Box::new(Isolation { contacts }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Isolation {
    async fn run(&self, nest: &Nest, record: &dyn Record) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, record)).await
    }
}

impl Isolation {
    async fn measure(&self, nest: &Nest, record: &dyn Record) -> Result<(), StepError> {
        let wired = nest.nails.wired();
        let mut suspects = ContactSet::EMPTY;
        let mut limit = 0.0;
        for (contact, spec) in &self.contacts {
            nest.nails.set(ground_all_but(wired, *contact)).await?;
            let ohms = nest.bus.ohms(*contact).await?;
            record.measured(&spec.name, Some(ohms));
            if judge(&spec.limits, Some(ohms)) == Verdict::Fail {
                suspects.insert(*contact);
                limit = spec.limits.min.unwrap_or(0.0).max(limit);
            }
        }
        nest.nails.release_all().await?;
        let mut told: Vec<Diagnosis> = Vec::new();
        for contact in suspects.iter() {
            for path in paths(nest, Meter::Unpowered, contact, suspects, limit).await? {
                let diagnosis = path.diagnosis(nest, contact);
                // A pair is found from both its ends.
                if !told.iter().any(|one| one.contacts == diagnosis.contacts && one.defect == diagnosis.defect) {
                    record.diagnosed(diagnosis.clone());
                    told.push(diagnosis);
                }
            }
        }
        Ok(())
    }
}
