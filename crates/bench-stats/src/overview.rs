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
    /// Runs without a trusted day: those of the virtual bench, and of a controller whose clock was wrong.
    pub undated: usize,
    /// Runs that are left out because the question is about days and they have none.
    pub left_out: usize,
    /// Yields of all runs.
    pub total: Yields,
    /// By day, model or the requested group.
    pub groups: Vec<Group>,
    /// Steps that ended the unit, by frequency.
    pub failing_steps: Vec<Slice>,
    /// Contacts in diagnoses, by frequency.
    pub contacts: Vec<Slice>,
    /// By capability against the newest limits, the worst first; those without one last. Where limits changed, one
    /// entry for each segment of equal limits, in the order of testing.
    pub measurements: Vec<MeasurementStat>,
    /// Units by the hour of the station's day in which they were judged for the first time.
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

/// Statistics of one measurement of one plan, as long as its limits were the same.
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
    /// Limits of all these runs.
    pub limits: Limits,
    /// Since when these limits hold.
    pub since: Since,
    /// Whether the newest run had these limits: the figures that count now.
    pub newest: bool,
    /// How the series broke where these limits begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
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

/// The first run with some limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Since {
    /// Id of the run.
    pub run: String,
    /// Its day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
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

/// Units that were judged for the first time in one hour of the day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Hour {
    /// Hour of the station's day, 0 to 23.
    pub hour: u8,
    /// Number of units.
    pub units: usize,
    /// Units that passed in that run, with each step at its first attempt.
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
