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
    /// Yields of all runs.
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
    /// Condition of the nails.
    pub nails: Vec<Nail>,
    /// By share of late runs, the largest first.
    pub controllers: Vec<ControllerStat>,
}

/// Yields of a part of the runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The day, model or other value that the runs share.
    pub name: String,
    /// Yields of these runs.
    pub yields: Yields,
}

/// Statistics of one measurement of one plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasurementStat {
    /// Name of the plan.
    pub plan: String,
    /// Id of the step.
    pub step: String,
    /// Name of the measurement within the step.
    pub name: String,
    /// Unit of limits and values.
    pub unit: MeasurementUnit,
    /// Limits of the newest run.
    pub limits: Limits,
    /// Capability against these limits.
    pub capability: Capability,
    /// Runs in which it was outside its limits or missing.
    pub bad: usize,
    /// Distribution of the values; empty when not requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<Bar>,
    /// Means over time; empty when not requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trend: Vec<TrendPoint>,
}

/// A group of consecutive runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrendPoint {
    /// Day or number of its first run.
    pub from: String,
    /// Number of values.
    pub n: u64,
    /// Mean, in the measurement's unit.
    pub mean: f64,
    /// Least value, in the measurement's unit.
    pub min: f64,
    /// Greatest value, in the measurement's unit.
    pub max: f64,
}

/// Judged runs in one hour of the day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Hour {
    /// Hour of the station's day, 0 to 23.
    pub hour: u8,
    /// Runs in which the module was judged.
    pub judged: usize,
    /// Runs that passed with each step at its first attempt.
    pub first_pass: usize,
}

/// One nail of one nest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Nail {
    /// Station and nest.
    pub place: String,
    /// Contact that the nail touches.
    pub contact: Contact,
    /// Condition of the nail.
    #[serde(flatten)]
    pub trend: NailTrend,
}

/// Lateness of a station's controller.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct ControllerStat {
    /// Station and nest.
    pub place: String,
    /// Number of runs.
    pub runs: usize,
    /// Runs with a step in which it was so late that a module would not have been blamed.
    pub late: usize,
    /// Attempts that did not count because of that.
    pub voids: usize,
    /// The greatest lateness of all runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<LateRecord>,
}

impl ControllerStat {
    /// Late runs, as a share of all.
    pub fn share(&self) -> f64 {
        self.late as f64 / self.runs.max(1) as f64
    }
}
