//! `restarts`: checks that the chip restarts when it is asked to and when its watchdog is not fed, that it reports which
//! of the two it was, and that the retained memory keeps its content over both.

use super::{defect, done, spec};
use crate::restart::{self, SOFTWARE, STARTS};
use crate::{Kind, Nest, Procedure, StepError, StepLog, resource};
use async_trait::async_trait;
use bench_plan::{ParamProblem, Resolved, Surroundings};
use bench_run::{Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::{INITIAL_BAUD, RETAINED_BYTES, Reply, Request, WATCHDOG_MS};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Rate of the link afterwards; 115200 when left out.
    #[serde(default)]
    baud: Option<u32>,
}

pub struct Restarts {
    baud: u32,
    soft: MeasurementSpec,
    watchdog: MeasurementSpec,
    lost_soft: MeasurementSpec,
    lost_watchdog: MeasurementSpec,
}

/// POWER.RESETREAS: the watchdog.
const WATCHDOG: u32 = 1 << 1;
const SEED: u32 = 0x5EED_2026;
const BITS: u32 = 8 * RETAINED_BYTES as u32;
/// The RC oscillator that the watchdog runs from may be off by 2 %; and the firmware starts again.
const WATCHDOG_ACTS: Duration = Duration::from_millis(WATCHDOG_MS as u64 + WATCHDOG_MS as u64 / 10);

impl Kind for Restarts {
    const NAME: &'static str = "restarts";
    type Params = Params;

    fn resolve(params: Params, _: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let one = |name: &str| spec(name, MeasurementUnit::One, Limits::exactly(1.0));
        let none = |name: &str| spec(name, MeasurementUnit::One, Limits::exactly(0.0));
        let step = Restarts {
            baud: params.baud.unwrap_or(INITIAL_BAUD),
            soft: one("restart.by-software"),
            watchdog: one("restart.by-watchdog"),
            lost_soft: none("retained.lost-in-restart"),
            lost_watchdog: none("retained.lost-by-watchdog"),
        };
        let Restarts { soft, watchdog, lost_soft, lost_watchdog, .. } = &step;
        Ok(Resolved {
            measurements: [soft, watchdog, lost_soft, lost_watchdog].map(Clone::clone).to_vec(),
            coverage: Vec::new(),
            uses: resource::list(&[resource::DUT]),
            shares: Vec::new(),
            default_timeout: 3 * WATCHDOG_ACTS + Duration::from_secs(10),
            procedure: Box::new(step),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Restarts {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        nest.release_ports().await?;
        let soft = Way { order: Request::Restart, takes: STARTS, reason: SOFTWARE, name: "a restart" };
        let starve = Way {
            order: Request::StarveWatchdog,
            takes: WATCHDOG_ACTS,
            reason: WATCHDOG,
            name: "the watchdog's restart",
        };
        for (way, right, lost) in [(soft, &self.soft, &self.lost_soft), (starve, &self.watchdog, &self.lost_watchdog)] {
            let mut bits = 0;
            let mut reported = true;
            for inverse in [false, true] {
                let (reason, wrong) = self.once(nest, log, &way, inverse).await?;
                reported &= reason & way.reason != 0;
                bits += wrong;
                if reason & way.reason == 0 {
                    let text = format!("after {} the chip reports the reset reason {reason:#x}", way.name);
                    let _ = defect(log, text);
                }
            }
            log.measured(&right.name, super::flag(reported));
            log.measured(&lost.name, Some(f64::from(bits)));
            if bits > 0 {
                let _ = defect(log, format!("retained memory: {bits} of {} bits lost in {}", 2 * BITS, way.name));
            }
        }
        restart::greet_again(nest, self.baud, "the link was raised to its rate").await.map(drop)
    }
}

/// One way to restart the chip.
struct Way {
    order: Request,
    takes: Duration,
    reason: u32,
    name: &'static str,
}

impl Restarts {
    /// Restarts once; returns the reason that the chip reports, and the bits that the memory lost.
    async fn once(&self, nest: &Nest, log: &dyn StepLog, way: &Way, inverse: bool) -> Result<(u32, u32), StepError> {
        done(nest.ask(Request::FillRetained { seed: SEED, inverse }).await?)?;
        let written = wrong_bits(nest, inverse).await?;
        if written > 0 {
            return Err(defect(log, format!("retained memory: {written} of {BITS} bits cannot be written")));
        }
        done(nest.ask(way.order.clone()).await?)?;
        nest.settle(way.takes).await;
        let identity = restart::greet_again(nest, INITIAL_BAUD, way.name).await?;
        Ok((identity.reset_reason, wrong_bits(nest, inverse).await?))
    }
}

async fn wrong_bits(nest: &Nest, inverse: bool) -> Result<u32, StepError> {
    match nest.ask(Request::CheckRetained { seed: SEED, inverse }).await? {
        Reply::Retained { wrong_bits } => Ok(wrong_bits),
        other => Err(super::out_of_turn(other)),
    }
}
