//! Two records of one unit: as it was tested, and as today's steps judge the same answers.

use bench_report::{RunRecord, StepRecord};
use bench_run::{MeasurementUnit, Verdict};

/// What happens within the same microsecond may come in the other order in a replay, so that a step notices an answer by a
/// few transfers earlier or later.
const SAME_TIME_S: f64 = 10e-3;

/// What differs between a record and its replay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// Verdicts that differ, of the unit or of a step.
    pub verdicts: Vec<VerdictChange>,
    /// Readings that are the same to the last bit; of times, to 10 ms.
    pub equal: usize,
    pub readings: Vec<ReadingChange>,
    /// Readings that only one of the two has.
    pub only_before: Vec<String>,
    pub only_now: Vec<String>,
}

/// A verdict that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct VerdictChange {
    /// The step; `None` for the unit.
    pub step: Option<String>,
    pub before: Option<Verdict>,
    pub now: Option<Verdict>,
}

/// A reading that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadingChange {
    /// "step.measurement".
    pub name: String,
    /// With unit.
    pub before: String,
    pub now: String,
}

impl Comparison {
    /// Whether the unit and every step have the verdicts that they had.
    pub fn same_verdicts(&self) -> bool {
        self.verdicts.is_empty()
    }
}

/// Compares the attempts that count. Steps that only one record has are compared as readings that it lacks.
pub fn compare(before: &RunRecord, now: &RunRecord) -> Comparison {
    let mut comparison = Comparison::default();
    if before.verdict != now.verdict {
        let (before, now) = (Some(before.verdict), Some(now.verdict));
        comparison.verdicts.push(VerdictChange { step: None, before, now });
    }
    let of = |record: &'_ RunRecord, id: &str| record.steps.iter().position(|step| step.id == id);
    for step in &before.steps {
        match of(now, &step.id).and_then(|index| now.steps.get(index)) {
            Some(again) => compare_steps(step, again, &mut comparison),
            None => comparison.only_before.extend(readings(step).map(|(name, _)| name)),
        }
    }
    for step in now.steps.iter().filter(|step| of(before, &step.id).is_none()) {
        comparison.only_now.extend(readings(step).map(|(name, _)| name));
    }
    comparison
}

fn compare_steps(before: &StepRecord, now: &StepRecord, comparison: &mut Comparison) {
    if before.verdict != now.verdict {
        let step = Some(before.id.clone());
        comparison.verdicts.push(VerdictChange { step, before: before.verdict, now: now.verdict });
    }
    let again: Vec<_> = readings(now).collect();
    for (name, reading) in readings(before) {
        match again.iter().find(|(other, _)| *other == name) {
            None => comparison.only_before.push(name),
            Some((_, other)) if other.is(&reading) => comparison.equal += 1,
            Some((_, other)) => {
                let (before, now) = (reading.shown(), other.shown());
                comparison.readings.push(ReadingChange { name, before, now });
            }
        }
    }
    let is_new = |name: &String| readings(before).all(|(other, _)| other != *name);
    comparison.only_now.extend(again.into_iter().map(|(name, _)| name).filter(is_new));
}

struct Reading<'a>(&'a bench_run::Measurement);

impl Reading<'_> {
    fn is(&self, other: &Self) -> bool {
        let same_time = || match (self.0.value, other.0.value) {
            (Some(one), Some(other)) => self.0.unit == MeasurementUnit::Seconds && (one - other).abs() <= SAME_TIME_S,
            _ => false,
        };
        self.0.raw == other.0.raw && (self.0.value.map(f64::to_bits) == other.0.value.map(f64::to_bits) || same_time())
    }

    fn shown(&self) -> String {
        match (self.0.value, &self.0.raw) {
            (Some(value), _) => self.0.unit.show(value),
            (None, Some(raw)) => raw.clone(),
            (None, None) => "not measured".to_owned(),
        }
    }
}

fn readings(step: &StepRecord) -> impl Iterator<Item = (String, Reading<'_>)> {
    let taken = step.last().map(|attempt| attempt.measurements.as_slice()).unwrap_or_default();
    taken.iter().map(|taken| (format!("{}.{}", step.id, taken.measurement.name), Reading(&taken.measurement)))
}
