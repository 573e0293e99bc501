//! The findings of one run that coverage uses.

use bench_engine::Outcome;
use bench_report::RunRecord;
use bench_run::{Contact, Defect, Measurement, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The findings of a run of the plan on one module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunFindings {
    pub verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Steps that ended as `fail` or `error`, in the order in which they ended.
    pub steps: Vec<String>,
    /// Measurements outside their limits or never taken, of each step's last attempt, in the plan's order.
    pub measurements: Vec<Failing>,
    /// As reports show them.
    pub diagnoses: Vec<Said>,
    /// Why they ended so, in the same order.
    #[serde(skip)]
    pub step_reasons: Vec<String>,
    /// Steps that passed.
    #[serde(skip)]
    pub passed: BTreeSet<String>,
    /// Step and its length in microseconds of bench time, in the plan's order.
    #[serde(skip)]
    pub step_us: Vec<(String, u64)>,
    /// Length of the whole run in microseconds of bench time.
    #[serde(skip)]
    pub total_us: u64,
}

/// A measurement that is not good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failing {
    /// "interconnect/A0.high".
    pub name: String,
    pub how: How,
    /// In the base unit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<f64>,
}

/// On which side of its limits a reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    Low,
    High,
    /// There is no usable reading.
    Missing,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Said {
    pub defect: Defect,
    pub contacts: Vec<Contact>,
    pub text: String,
}

impl Failing {
    fn of(step: &str, measurement: &Measurement) -> Self {
        let how = match measurement.value {
            None => How::Missing,
            Some(value) if measurement.limits.min.is_some_and(|min| value < min) => How::Low,
            Some(_) => How::High,
        };
        Self { name: format!("{step}/{}", measurement.name), how, value: measurement.value }
    }
}

/// Every failing measurement of a run on record.
pub fn failing(record: &RunRecord) -> Vec<Failing> {
    let mut failing = Vec::new();
    for step in &record.steps {
        let last = step.last().map(|attempt| attempt.measurements.as_slice()).unwrap_or_default();
        let bad =
            last.iter().map(|taken| &taken.measurement).filter(|measurement| measurement.verdict != Verdict::Pass);
        failing.extend(bad.map(|measurement| Failing::of(&step.id, measurement)));
    }
    failing
}

impl RunFindings {
    pub fn of(record: &RunRecord, outcome: &Outcome) -> Self {
        let bad = |verdict| matches!(verdict, Some(Verdict::Fail | Verdict::Error));
        let mut ended: Vec<_> = record.steps.iter().filter(|step| bad(step.verdict)).collect();
        ended.sort_by_key(|step| step.last().and_then(|attempt| attempt.ended_us));
        let passed = record.steps.iter().filter(|step| step.verdict == Some(Verdict::Pass));
        let said = |diagnosis: &bench_run::Diagnosis| Said {
            defect: diagnosis.defect,
            contacts: diagnosis.contacts.clone(),
            text: diagnosis.text.clone(),
        };
        Self {
            verdict: record.verdict.and(outcome.verdict),
            reason: record.doubts.first().cloned().or_else(|| outcome.reason.clone()),
            step_reasons: ended.iter().filter_map(|step| step.last()?.reason.clone()).collect(),
            steps: ended.into_iter().map(|step| step.id.clone()).collect(),
            measurements: failing(record),
            diagnoses: record.diagnoses.iter().map(said).collect(),
            passed: passed.map(|step| step.id.clone()).collect(),
            step_us: record
                .steps
                .iter()
                .map(|step| (step.id.clone(), u64::try_from(step.duration().as_micros()).unwrap_or(u64::MAX)))
                .collect(),
            total_us: record.duration_us.as_micros(),
        }
    }

    /// The findings of a run that the bench could not do; `bench run` then exits with code 2.
    pub fn broken(reason: String) -> Self {
        Self {
            verdict: Verdict::Error,
            reason: Some(reason),
            steps: Vec::new(),
            step_reasons: Vec::new(),
            measurements: Vec::new(),
            diagnoses: Vec::new(),
            passed: BTreeSet::new(),
            step_us: Vec::new(),
            total_us: 0,
        }
    }

    /// Turns a pass into an error if it depends on something that is not modelled, as `bench run` does.
    pub fn lean_on(&mut self, not_modelled: &[String]) {
        if self.verdict == Verdict::Pass && !not_modelled.is_empty() {
            self.verdict = Verdict::Error;
            self.reason = Some(format!("not modelled: {}", not_modelled.join("; ")));
        }
    }

    /// Whether the unit did not pass, so that it would not be shipped.
    pub fn is_detected(&self) -> bool {
        self.verdict != Verdict::Pass
    }

    /// The diagnoses in one line.
    pub fn said(&self) -> String {
        if self.diagnoses.is_empty() {
            return self.reason.clone().unwrap_or_default();
        }
        self.diagnoses.iter().map(|said| said.text.as_str()).collect::<Vec<_>>().join("; ")
    }
}
