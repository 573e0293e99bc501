//! Distributions of values.

use crate::noise::{differ, rounding};
use serde::Serialize;

/// Number of values from `from` up to, not including, `to`; in the last bar including it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bar {
    /// Lower end, in the unit of the values.
    pub from: f64,
    /// Upper end, in the unit of the values.
    pub to: f64,
    /// Number of values in between.
    pub count: usize,
}

/// Returns bars of equal width over all finite values: the number of Freedman and Diaconis, between 5 and `most`, but no
/// bar narrower than the smallest step between distinct values. One bar when all values are equal.
pub fn histogram(values: &[f64], most: usize) -> Vec<Bar> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(&low), Some(&high)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    let span = high - low;
    // Too narrow to be divided into different parts.
    if !span.is_finite() || !differ(low, high) {
        return vec![Bar { from: low, to: high, count: sorted.len() }];
    }
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
    let width = 2.0 * (at(0.75) - at(0.25)) / (sorted.len() as f64).cbrt();
    let wanted = if width > 0.0 { (span / width).ceil() } else { most as f64 };
    let noise = rounding(low.abs().max(high.abs()));
    let steps = sorted.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step > noise);
    let levels = steps.reduce(f64::min).map_or(1, |step| (span / step).round() as usize).saturating_add(1);
    let bars = (wanted.min(most as f64) as usize).max(5).min(most.max(1)).min(levels);
    let edge = |index: usize| if index == bars { high } else { low + span * index as f64 / bars as f64 };
    let mut made: Vec<Bar> = (0..bars).map(|at| Bar { from: edge(at), to: edge(at + 1), count: 0 }).collect();
    for value in sorted {
        let place = made.iter().rposition(|bar| value >= bar.from).unwrap_or(0);
        made[place].count += 1;
    }
    made
}
