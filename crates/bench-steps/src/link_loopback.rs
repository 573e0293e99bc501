//! `link-loopback`: does the bench's own half of the link work? Run before a module is blamed for being silent.

use crate::nest::LOOPBACK_BROKEN;
use crate::{Kind, Nest, Procedure, Record, StepError};
use async_trait::async_trait;
use bench_plan::{ParamProblem, Resolved, Surroundings};
use bench_run::{Limits, MeasurementSpec, Unit};
use std::time::Duration;

pub struct LinkLoopback;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

const HEARD: &str = "loopback.heard";

impl Kind for LinkLoopback {
    const NAME: &'static str = "link-loopback";
    type Params = Params;

    fn resolve(_: Params, _: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        Ok(Resolved {
            measurements: vec![MeasurementSpec {
                name: HEARD.into(),
                unit: Unit::One,
                limits: Limits::exactly(1.0),
                contacts: Vec::new(),
            }],
            coverage: Vec::new(),
            uses: vec!["dut-link".into()],
            default_timeout: Duration::from_millis(500),
            procedure: Box::new(LinkLoopback),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for LinkLoopback {
    async fn run(&self, nest: &Nest, record: &dyn Record) -> Result<(), StepError> {
        if nest.loopback_works().await? {
            record.measured(HEARD, Some(1.0));
            Ok(())
        } else {
            // Not a measurement out of its limits, which would blame the module.
            Err(StepError::Bench(LOOPBACK_BROKEN.to_owned()))
        }
    }
}
