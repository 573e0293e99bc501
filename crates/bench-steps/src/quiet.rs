//! `quiet`: contacts that nothing may drive, while the module has power.

use crate::resolve::pin_name;
use crate::{Kind, Nest, Procedure, Record, StepError};
use async_trait::async_trait;
use bench_plan::{Coverage, LimitsOf, ParamProblem, RawPinSelector, Resolved, Surroundings, Volts};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, Unit, Verdict, judge};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Contacts that reach the measure bus.
    pins: RawPinSelector,
    /// Voltage at the contact, unloaded.
    volts: LimitsOf<Volts>,
}

pub struct Quiet {
    contacts: Vec<(Contact, MeasurementSpec)>,
}

/// A contact that falls below this under a kiloohm was only charged, not driven.
const DRIVEN_VOLTS: f64 = 0.5;

impl Kind for Quiet {
    const NAME: &'static str = "quiet";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let mut contacts = Vec::new();
        for contact in params.pins.resolve(around.dut)? {
            if around.fixture.nail(contact).and_then(|nail| nail.mux).is_none() {
                let label = around.dut.label(contact);
                return Err(ParamProblem::new(format!("contact {label} has no nail that reaches the measure bus"))
                    .at(params.pins.span(), "selects it"));
            }
            let spec = MeasurementSpec {
                name: format!("{}.{contact}", pin_name(around.dut, contact)),
                unit: Unit::Volts,
                limits: params.volts.limits(),
                contacts: vec![contact],
            };
            contacts.push((contact, spec));
        }
        Ok(Resolved {
            measurements: contacts.iter().map(|(_, spec)| spec.clone()).collect(),
            coverage: contacts
                .iter()
                .map(|(contact, _)| Coverage { contact: *contact, aspects: vec!["voltage"] })
                .collect(),
            uses: vec!["measure-bus".into(), "nails".into()],
            default_timeout: Duration::from_secs(2),
            procedure: Box::new(Quiet { contacts }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Quiet {
    async fn run(&self, nest: &Nest, record: &dyn Record) -> Result<(), StepError> {
        nest.release_nails().await?;
        for (contact, spec) in &self.contacts {
            let volts = nest.bus.volts(*contact).await?;
            record.measured(&spec.name, Some(volts));
            if judge(&spec.limits, Some(volts)) == Verdict::Pass {
                continue;
            }
            let loaded = nest.bus.loaded_volts(*contact, 0.0).await?;
            let (label, shown, under_load) = (nest.label(*contact), Unit::Volts.show(volts), Unit::Volts.show(loaded));
            let how = if loaded.abs() > DRIVEN_VOLTS { "driven" } else { "a leak" };
            record.diagnosed(Diagnosis {
                defect: Defect::WrongVoltage,
                contacts: vec![*contact],
                text: format!("contact {label}: carries {shown}, {under_load} under 1 kohm: {how}"),
            });
        }
        Ok(())
    }
}
