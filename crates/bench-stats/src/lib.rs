//! Statistics over many runs. Numbers in, numbers out: no file, no clock, no store.
//!
//! Every figure is checked against an independent computation (`tests/stats/reference.py`, made with SciPy) or against a
//! worked example from the literature that the test names.

#![warn(missing_docs)]

mod capability;
mod distribution;
mod gauge;
mod golden;
mod histogram;
mod limits;
mod nails;
mod noise;
mod overview;
mod pareto;
mod repeated;
mod sum_range;
mod yields;

pub use capability::{Capability, Sample, capability};
pub use gauge::{Acceptance, Gauge, GaugeError, GaugeStudy, gauge};
pub use golden::{FEWEST_GOLDEN, GoldenBand};
pub use histogram::{Bar, histogram};
pub use limits::{FEWEST, Refusal, Suggestion, suggest};
pub use nails::{NailLog, NailReading, NailState, NailTrend};
pub use noise::differ;
pub use overview::{ControllerStat, Group, Hour, MeasurementStat, Nail, Overview, Since, TrendPoint};
pub use pareto::{Slice, pareto};
pub use repeated::{Cause, FailedStep, RepeatRule, RepeatRun, RepeatedCauses, Suspicion};
pub use sum_range::sum_range;
pub use yields::{Counter, Interval, StepYield, UnitRun, Yields, wilson, yields};
