//! The answer to a question about many runs.

use crate::{Bar, Capability, NailTrend, Slice, Yields};
use bench_run::{Contact, LateRecord, Limits, MeasurementUnit};
use serde::Serialize;

/// The answer, for text, JSON and pages alike.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Overview {
    /// The question in words: "model b404x, from 2026-01-01".
    pub asked: String,
    /// First and last day with a run; virtual runs have no day.
    pub days: Option<(String, String)>,
    pub total: Yields,
    /// By day, model or the requested group.
    pub groups: Vec<Group>,
    /// Steps that ended the unit, by frequency.
    pub failing_steps: Vec<Slice>,
    /// Contacts in diagnoses, by frequency.
    pub contacts: Vec<Slice>,
    /// By capability, the worst first; those without one last.
    pub measurements: Vec<MeasurementStat>,
    /// Judged runs by hour of the station's day.
    pub hours: Vec<Hour>,
    pub nails: Vec<Nail>,
    /// By share of late runs, the largest first.
    pub controllers: Vec<ControllerStat>,
}

/// Yields of a part of the runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    pub name: String,
    pub yields: Yields,
}

/// Statistics of one measurement of one plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasurementStat {
    pub plan: String,
    pub step: String,
    pub name: String,
    pub unit: MeasurementUnit,
    /// Limits of the newest run.
    pub limits: Limits,
    pub capability: Capability,
    /// Runs in which it was outside its limits or missing.
    pub bad: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<Bar>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trend: Vec<TrendPoint>,
}

/// A group of consecutive runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrendPoint {
    /// Day or number of its first run.
    pub from: String,
    pub n: u64,
    pub mean: f64,
    pub min: f64,
    pub max: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Hour {
    pub hour: u8,
    pub judged: usize,
    pub first_pass: usize,
}

/// One nail of one nest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Nail {
    /// Station and nest.
    pub place: String,
    pub contact: Contact,
    #[serde(flatten)]
    pub trend: NailTrend,
}

/// Lateness of a station's controller.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct ControllerStat {
    /// Station and nest.
    pub place: String,
    pub runs: usize,
    /// Runs with a step in which it was so late that a module would not have been blamed.
    pub late: usize,
    /// Attempts that did not count because of that.
    pub voids: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<LateRecord>,
}

impl ControllerStat {
    /// Late runs, as a share of all.
    pub fn share(&self) -> f64 {
        self.late as f64 / self.runs.max(1) as f64
    }
}
