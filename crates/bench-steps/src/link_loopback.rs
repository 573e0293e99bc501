//! `link-loopback`: checks the bench's own half of the link, before a silent module is blamed.

use crate::nest::LOOPBACK_BROKEN;
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_plan::{ParamProblem, Resolved, Surroundings};
use bench_run::{Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::INITIAL_BAUD;
use std::time::Duration;

pub struct LinkLoopback {
    /// Rates beyond the initial one.
    baud: Option<u32>,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The rate that later steps use on the link. A line that is too slow for it is the bench's fault, not the
    /// module's.
    #[serde(default)]
    #[schemars(range(min = 1200, max = 1_000_000))]
    baud: Option<u32>,
}

/// A few bytes, whose own time is short.
const LATE_PATTERN: &[u8] = b"late";
/// A serial port of the controller delivers within a few milliseconds; steps that time what the module does rely on it.
const MOST_LATE: Duration = Duration::from_millis(20);
const HEARD: &str = "loopback.heard";

impl Kind for LinkLoopback {
    const NAME: &'static str = "link-loopback";
    type Params = Params;

    fn resolve(params: Params, _: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        Ok(Resolved {
            measurements: vec![MeasurementSpec {
                name: HEARD.into(),
                unit: MeasurementUnit::One,
                limits: Limits::exactly(1.0),
                contacts: Vec::new(),
            }],
            coverage: Vec::new(),
            uses: resource::list(&[resource::DUT]),
            shares: Vec::new(),
            default_timeout: Duration::from_millis(500),
            procedure: Box::new(LinkLoopback { baud: params.baud }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for LinkLoopback {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        // A silent line is an error, not a measurement outside its limits, which would blame the module.
        if !nest.loopback_works_at(Some(INITIAL_BAUD)).await? {
            return Err(StepError::Bench(LOOPBACK_BROKEN.to_owned()));
        }
        if let Some(baud) = self.baud
            && !nest.loopback_works_at(Some(baud)).await?
        {
            return Err(StepError::Bench(format!(
                "over the fixture's loop-back relay the bench hears itself at {INITIAL_BAUD} baud, but not at {baud}: \
                 the cable between the controller's UART and the fixture is damaged or too long"
            )));
        }
        let began = nest.clock.now();
        let back = nest.dut.echo(LATE_PATTERN, None).await?;
        let took = nest.clock.now() - began;
        let own = Duration::from_secs_f64(10.0 * back.len() as f64 / f64::from(INITIAL_BAUD));
        if took.saturating_sub(own) > MOST_LATE {
            return Err(StepError::Bench(format!(
                "the link is {} ms late: bytes reach the program that long after they arrived; set the latency timer of the serial \
                 adapter to 1 ms, or find which program is in between",
                took.saturating_sub(own).as_millis()
            )));
        }
        log.measured(HEARD, Some(1.0));
        Ok(())
    }
}
