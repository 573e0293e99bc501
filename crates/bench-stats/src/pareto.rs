//! Pareto analysis.

use serde::Serialize;
use std::collections::BTreeMap;

/// One cause with its share.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slice {
    /// Name of the cause.
    pub what: String,
    /// Number of occurrences.
    pub count: usize,
    /// Share of all causes.
    pub share: f64,
    /// Cumulative share: this cause and all before it.
    pub cumulated: f64,
}

/// Returns causes by frequency; equal ones in the order of their names.
pub fn pareto(causes: impl IntoIterator<Item = String>) -> Vec<Slice> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for cause in causes {
        *counts.entry(cause).or_default() += 1;
    }
    let all: usize = counts.values().sum();
    let mut sorted: Vec<(String, usize)> = counts.into_iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut before = 0;
    let slice = |(what, count): (String, usize)| {
        before += count;
        Slice { what, count, share: count as f64 / all as f64, cumulated: before as f64 / all as f64 }
    };
    sorted.into_iter().map(slice).collect()
}
