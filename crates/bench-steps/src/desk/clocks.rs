//! `clocks`: times the 32.768 kHz crystal by the 32 MHz crystal, inside the module, and the latter by this computer's
//! clock, over the link.

use super::{defect, spec, yes};
use crate::crystal::QUARTZ_PERCENT;
use crate::reach;
use crate::{Kind, Nest, Procedure, StepError, StepLog, resource};
use async_trait::async_trait;
use bench_instruments::DutError;
use bench_plan::{LimitsOf, ParamProblem, Percent, Reach, Resolved, Seconds, Spanned, Surroundings};
use bench_run::{MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::check::MAX_JOB_MS;
use dut_protocol::{Job, JobResult, MAX_CRYSTAL_PERIODS, Refusal, Reply, Request};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Largest error of the 32.768 kHz crystal by the other one.
    error: LimitsOf<Percent>,
    /// Largest error of the 32 MHz crystal by this computer's clock. A serial adapter delays by some milliseconds.
    by_link: LimitsOf<Percent>,
    /// How long the latter is timed, at most 10 s; 5 s when left out.
    #[serde(default)]
    #[schemars(with = "Option<Seconds>")]
    window: Option<Spanned<Seconds>>,
}

pub struct Clocks {
    window_ms: u16,
    starts: MeasurementSpec,
    error: MeasurementSpec,
    main_runs: MeasurementSpec,
    by_link: MeasurementSpec,
}

const WINDOW_MS: u16 = 5_000;
/// In one percent.
const PPM: f64 = 1e4;
const CRYSTAL_HZ: f64 = 32_768.0;
/// Longest wait for the end of the job after its time.
const LATE: Duration = Duration::from_secs(2);

impl Kind for Clocks {
    const NAME: &'static str = "clocks";
    type Params = Params;
    const REACHES: &'static [Reach] = &[
        reach::error("error", QUARTZ_PERCENT, "no quartz runs that far from its frequency"),
        reach::error("by_link", 100.0, "a clock that takes twice the time does not run"),
    ];

    fn resolve(params: Params, _: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let window_ms = match &params.window {
            None => WINDOW_MS,
            Some(window) => u16::try_from(window.get_ref().duration().as_millis())
                .ok()
                .filter(|ms| (1_000..=MAX_JOB_MS).contains(ms))
                .ok_or_else(|| {
                    ParamProblem::new(format!("{} is outside the allowed time", window.get_ref()))
                        .at(window.span(), "too short or too long")
                        .help("expected 1 s to 10 s")
                })?,
        };
        let step = Clocks {
            window_ms,
            starts: yes("crystal.starts"),
            error: spec("crystal.error", MeasurementUnit::Percent, params.error.limits()),
            main_runs: yes("main-crystal.runs"),
            by_link: spec("main-crystal.error", MeasurementUnit::Percent, params.by_link.limits()),
        };
        Ok(Resolved {
            measurements: vec![step.main_runs.clone(), step.starts.clone(), step.error.clone(), step.by_link.clone()],
            coverage: Vec::new(),
            uses: resource::list(&[resource::DUT]),
            shares: Vec::new(),
            default_timeout: Duration::from_millis(window_ms.into()) + Duration::from_secs(15),
            procedure: Box::new(step),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Clocks {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        let runs = match nest.ask(Request::ReadStatus).await? {
            Reply::Status(status) => status.crystal_32m,
            other => return Err(super::out_of_turn(other)),
        };
        log.measured(&self.main_runs.name, super::flag(runs));
        if !runs {
            return Err(defect(log, "the 32 MHz crystal on the module does not start".to_owned()));
        }
        self.by_each_other(nest, log).await?;
        self.by_the_link(nest, log).await
    }
}

impl Clocks {
    async fn by_each_other(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let us = match nest.request(Request::TimeCrystal { periods: MAX_CRYSTAL_PERIODS }).await {
            Ok(Reply::Crystal { us }) => us,
            Ok(other) => return Err(super::out_of_turn(other)),
            Err(DutError::Refused(Refusal::NotRunning)) => {
                log.measured(&self.starts.name, super::flag(false));
                return Err(defect(log, "the 32.768 kHz crystal on the module does not start".to_owned()));
            }
            Err(error) => return Err(nest.silent(error).await),
        };
        log.measured(&self.starts.name, super::flag(true));
        let seconds = f64::from(MAX_CRYSTAL_PERIODS) / CRYSTAL_HZ;
        // A crystal that is too fast has its periods done sooner.
        let error = 100.0 * (seconds * 1e6 / f64::from(us.max(1)) - 1.0);
        log.measured(&self.error.name, Some(error));
        if judge(&self.error.limits, Some(error)) != Verdict::Pass {
            let text = format!("the 32.768 kHz crystal on the module is off by {:+.0} ppm", error * PPM);
            let _ = defect(log, text);
        }
        Ok(())
    }

    async fn by_the_link(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let job = match nest.ask(Request::StartJob(Job::Wait { ms: self.window_ms })).await? {
            Reply::JobAccepted { job } => job,
            other => return Err(super::out_of_turn(other)),
        };
        let began = nest.clock.now();
        let span = Duration::from_millis(self.window_ms.into());
        let waited = match nest.dut.job_done(job, began + span + LATE).await {
            Ok(JobResult::Waited { ms }) => f64::from(ms) * 1e-3,
            Ok(JobResult::Edges { .. }) => return Err(StepError::Bench("the firmware did another job".to_owned())),
            Err(error) => return Err(nest.silent(error).await),
        };
        let here = (nest.clock.now() - began).as_secs_f64();
        let error = 100.0 * (waited / here - 1.0);
        log.measured(&self.by_link.name, Some(error));
        if judge(&self.by_link.limits, Some(error)) != Verdict::Pass {
            let text =
                format!("the 32 MHz crystal on the module is off by {:+.0} ppm by this computer's clock", error * PPM);
            let _ = defect(log, text);
        }
        Ok(())
    }
}
