//! Limits from data.

use crate::capability::Sample;
use bench_run::Limits;
use serde::Serialize;

/// Standard deviations between mean and limit when the limits fit exactly: a Ppk of 1.67.
const SIGMAS: f64 = 5.0;

/// With fewer good units their spread is unknown.
pub const FEWEST: u64 = 30;

/// Limits that good units keep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Suggestion {
    /// The suggested limits, in the measurement's unit.
    pub limits: Limits,
    /// Width of the guard band inside the plan's limits, at each of them.
    pub guard: f64,
    /// Whether the plan's own limits, minus the guard band, bound the suggestion.
    pub bound_by_plan: bool,
}

/// Suggests limits from good units: five standard deviations around their mean, never outside the plan's limits minus
/// the guard band of twice the gauge's standard deviation (ILAC-G8: at most 2.5 % wrong accepts at a limit). A side
/// that the plan leaves open stays open. `None` with fewer than 30 units, when all values are equal, or when no
/// interval remains.
pub fn suggest(good: &Sample, plan: &Limits, gauge_sd: Option<f64>) -> Option<Suggestion> {
    let sd = good.sd().filter(|sd| *sd > 0.0 && good.n >= FEWEST)?;
    let guard = 2.0 * gauge_sd.unwrap_or(0.0);
    let from_data = (good.mean - SIGMAS * sd, good.mean + SIGMAS * sd);
    let low = plan.min.map(|min| (from_data.0.max(min + guard), from_data.0 < min + guard));
    let high = plan.max.map(|max| (from_data.1.min(max - guard), from_data.1 > max - guard));
    let limits = Limits { min: low.map(|(min, _)| min), max: high.map(|(max, _)| max) };
    if limits.min.zip(limits.max).is_some_and(|(min, max)| min >= max) {
        return None;
    }
    let bound_by_plan = low.is_some_and(|(_, bound)| bound) || high.is_some_and(|(_, bound)| bound);
    Some(Suggestion { limits, guard, bound_by_plan })
}
