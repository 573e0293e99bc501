//! Limits from data.

use crate::capability::Sample;
use crate::distribution::{Shape, shape};
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
    /// The least that the limits must let through, so that no unit they were made from fails.
    pub inner: (f64, f64),
    /// The most that the limits may let through: the plan's own limits, minus the guard band.
    pub outer: Limits,
    /// Width of the guard band inside the plan's limits, at each of them.
    pub guard: f64,
    /// Whether `outer` bounds the suggestion.
    pub bound_by_plan: bool,
    /// Whether the limits come from the observed range, because the values are not distributed symmetrically.
    pub from_range: bool,
    /// Whether the values do not vary at their resolution.
    pub constant: bool,
}

/// Why no limits are suggested.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The spread is unknown.
    #[error("{0} good units are too few, {FEWEST} are needed")]
    TooFew(u64),
    /// The values are of two kinds.
    #[error("the values are in two groups, around {0} and {1}: find out which units differ, and separate them")]
    TwoHumps(f64, f64),
    /// The values moved.
    #[error("the values drift, by {0:.1} standard deviations from the first unit to the last: find the cause first")]
    Drift(f64),
    /// Units that passed are outside the present limits of the plan.
    #[error("good units are outside the plan's present limits, which are never widened here")]
    OutsidePlan,
    /// The guard bands at both limits leave nothing between them.
    #[error(
        "the guard band is too wide: {0} at each limit, of limits that are {1} apart; a better instrument is needed"
    )]
    GuardBandFillsLimits(f64, f64),
    /// The bench is not good enough for these limits.
    #[error("good units are within the guard band: it is too wide for these limits")]
    InGuardBand,
}

/// Suggests limits from the values of good units, in the order of testing.
///
/// The limits are five standard deviations around the mean. If the values are skewed, they are the observed range,
/// widened on each side by the distance from the median to that end. They always include every value and half a
/// resolution more, so that no unit fails that they were made from. They are never outside the plan's limits minus the
/// guard band of twice the gauge's standard deviation (ILAC-G8: at most 2.5 % wrong accepts at a limit). A side that
/// the plan leaves open stays open.
///
/// # Errors
/// Why there are no such limits, or why they would mislead.
pub fn suggest(values: &[f64], plan: &Limits, gauge_sd: Option<f64>) -> Result<Suggestion, Refusal> {
    let values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let mut good = Sample::default();
    values.iter().for_each(|value| good.push(*value));
    let sd = good.sd().filter(|_| good.n >= FEWEST).ok_or(Refusal::TooFew(good.n))?;
    let found = shape(&values);
    match found {
        Shape::Drift(by) => return Err(Refusal::Drift(by)),
        Shape::TwoHumps(low, high) => return Err(Refusal::TwoHumps(low, high)),
        Shape::Skewed | Shape::Normal => {}
    }
    let guard = 2.0 * gauge_sd.unwrap_or(0.0);
    let half = good.resolution().unwrap_or(0.0) / 2.0;
    let outer = Limits { min: plan.min.map(|min| min + guard), max: plan.max.map(|max| max - guard) };
    if let (Some(min), Some(max)) = (plan.min, plan.max)
        && guard > 0.0
        && 2.0 * guard >= max - min
    {
        return Err(Refusal::GuardBandFillsLimits(guard, max - min));
    }
    let outside =
        |limits: &Limits| limits.min.is_some_and(|min| good.min < min) || limits.max.is_some_and(|max| good.max > max);
    if outside(plan) {
        return Err(Refusal::OutsidePlan);
    }
    if outside(&outer) {
        return Err(Refusal::InGuardBand);
    }
    let (low, high) = if found == Shape::Skewed {
        let median = median(&values);
        (good.min - (median - good.min), good.max + (good.max - median))
    } else {
        (good.mean - SIGMAS * sd, good.mean + SIGMAS * sd)
    };
    let inner = (good.min, good.max);
    let (low, high) = (low.min(good.min - half), high.max(good.max + half));
    let bound_by_plan = outer.min.is_some_and(|min| low < min) || outer.max.is_some_and(|max| high > max);
    let limits = Limits { min: outer.min.map(|min| low.max(min)), max: outer.max.map(|max| high.min(max)) };
    let (from_range, constant) = (found == Shape::Skewed, sd == 0.0);
    Ok(Suggestion { limits, inner, outer, guard, bound_by_plan, from_range, constant })
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
    if sorted.len().is_multiple_of(2) { f64::midpoint(at(middle.saturating_sub(1)), at(middle)) } else { at(middle) }
}
