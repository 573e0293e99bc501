//! What the store keeps of one run.

use crate::examine::{Refused, examine};
use crate::quick;
use crate::shape::{Shape, Shapes};
use bench_journal::{JournalContents, unhex};
use bench_report::{Attempt, RunRecord, StepRecord};
use bench_run::{Defect, LateRecord, MeasurementSpec, PlannedStep, RunOrder, Verdict};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// One run, as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Identifies the run wherever its journal is: its seal, or the hash of its bytes if it has none.
    pub digest: [u8; 32],
    pub sealed: bool,
    pub run_id: String,
    pub serial: String,
    pub model: String,
    pub plan: String,
    pub fixture: String,
    /// `None` on the virtual bench.
    pub station: Option<String>,
    pub nest: Option<String>,
    pub lot: Option<String>,
    /// RFC 3339, as recorded.
    pub started_at: Option<String>,
    /// Position among the runs of the station.
    pub order: Option<RunOrder>,
    pub duration_us: u64,
    pub finished: bool,
    /// As reports show it, and never better than what follows from the readings.
    pub verdict: Verdict,
    pub reason: Option<String>,
    pub shape: Arc<Shape>,
    /// One for each step of the shape.
    pub steps: Vec<StepFact>,
    /// One for each measurement of the shape, of the last attempt; NaN where there is no usable reading.
    pub values: Vec<f64>,
    pub faults: Vec<FaultFact>,
    /// The largest lateness of the controller in a step.
    pub late: Option<LateRecord>,
    /// Attempts that did not count because of that.
    pub voids: u32,
}

/// Result of a step. Void attempts say nothing about the module and are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepFact {
    /// Verdict of the first attempt; `None`: it never ended or never began.
    pub first: Option<Verdict>,
    /// Verdict of the attempt that counts.
    pub last: Option<Verdict>,
    pub attempts: u8,
}

/// A contact in a diagnosis, or a diagnosis without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultFact {
    /// Index of the step in the shape.
    pub step: usize,
    /// Whether the attempt counted; false: a later one passed or had another diagnosis.
    pub counts: bool,
    pub defect: Defect,
    pub contact: Option<u8>,
    pub text: String,
}

impl Facts {
    /// Reads one journal.
    ///
    /// # Errors
    /// When the journal is refused: empty, changed, of an unknown format, or with a verdict that does not follow.
    pub fn read(bytes: &[u8], shapes: &Shapes) -> Result<Self, Refused> {
        match quick::clean_pass(bytes, shapes) {
            Some(facts) => Ok(facts),
            None => Self::read_any(bytes, shapes),
        }
    }

    /// Reads one journal, whatever it contains. [`read`](Self::read) gives the same result, faster for runs that simply
    /// passed.
    ///
    /// # Errors
    /// When the journal is refused.
    pub fn read_any(bytes: &[u8], shapes: &Shapes) -> Result<Self, Refused> {
        let examined = examine(bytes);
        if let Some(refused) = examined.refused() {
            return Err(refused);
        }
        let (Ok(run), Some(record)) = (examined.judgement.contents, examined.record) else {
            return Err(Refused::unread());
        };
        let garbage = |error: serde_json::Error| Refused { reason: format!("line 1: {error}"), ..Refused::unread() };
        let shape = shapes.of_steps(steps_of(&run)).map_err(garbage)?;
        let (digest, sealed) = digest(bytes, &run);
        let values = values(&record, &shape);
        let late = attempts(&record).filter_map(|attempt| attempt.late.clone()).reduce(worse);
        let voids = attempts(&record).filter(|attempt| attempt.void).count();
        Ok(Self {
            digest,
            sealed,
            steps: shape.steps.iter().map(|step| step_fact(&record, &step.id)).collect(),
            faults: faults(&record, &shape),
            station: record.bench.as_ref().and_then(|bench| bench.station().map(str::to_owned)),
            plan: record.provenance.as_ref().map(|made_of| made_of.plan.clone()).unwrap_or_default(),
            fixture: record.provenance.as_ref().map(|made_of| made_of.fixture.clone()).unwrap_or_default(),
            verdict: record.verdict,
            reason: record.doubts.first().cloned().or(record.reason),
            run_id: record.run_id,
            serial: record.serial,
            model: record.model,
            nest: record.nest,
            lot: record.lot,
            started_at: record.started_at,
            order: record.order,
            duration_us: record.duration_us.as_micros(),
            finished: record.finished,
            shape,
            values,
            late,
            voids: u32::try_from(voids).unwrap_or(u32::MAX),
        })
    }

    /// Whether every step passed at its first attempt.
    pub fn first_pass(&self) -> bool {
        self.verdict == Verdict::Pass && self.steps.iter().all(|step| step.attempts <= 1)
    }
}

fn digest(bytes: &[u8], run: &JournalContents) -> ([u8; 32], bool) {
    let seal = run.seal.as_deref().filter(|_| run.finished).and_then(unhex);
    (seal.unwrap_or_else(|| Sha256::digest(bytes).into()), seal.is_some())
}

/// Returns the promised steps. Format 1 has no names of measurements: the measured ones take the place of the promised
/// ones.
fn steps_of(run: &JournalContents) -> Vec<PlannedStep> {
    use bench_run::Event::{Measured, RunStarted};
    let mut steps: Vec<PlannedStep> = run
        .entries
        .iter()
        .find_map(|entry| match &entry.event {
            RunStarted { steps, .. } => Some(steps.clone()),
            _ => None,
        })
        .unwrap_or_default();
    if steps.iter().any(|step| !step.promised.is_empty()) {
        return steps;
    }
    for entry in &run.entries {
        let Measured { step, measurement, .. } = &entry.event else { continue };
        let Some(step) = steps.iter_mut().find(|planned| planned.id == *step) else { continue };
        if step.promised.iter().all(|spec| spec.name != measurement.name) {
            step.promised.push(MeasurementSpec {
                name: measurement.name.clone(),
                unit: measurement.unit,
                limits: measurement.limits,
                contacts: measurement.contacts.clone(),
            });
        }
    }
    steps
}

/// Returns the longer delay; for equal ones, independent of the order.
pub(crate) fn worse(a: LateRecord, b: LateRecord) -> LateRecord {
    if (b.us, &b.cause) > (a.us, &a.cause) { b } else { a }
}

fn attempts(record: &RunRecord) -> impl Iterator<Item = &Attempt> {
    record.steps.iter().flat_map(|step| &step.attempts)
}

fn step<'a>(record: &'a RunRecord, id: &str) -> Option<&'a StepRecord> {
    record.steps.iter().find(|step| step.id == id)
}

fn step_fact(record: &RunRecord, id: &str) -> StepFact {
    let Some(step) = step(record, id) else { return StepFact::default() };
    StepFact {
        first: step.attempts.iter().find(|attempt| !attempt.void).and_then(|attempt| attempt.verdict),
        last: step.verdict,
        attempts: u8::try_from(step.tries()).unwrap_or(u8::MAX),
    }
}

fn values(record: &RunRecord, shape: &Shape) -> Vec<f64> {
    let mut values = Vec::with_capacity(shape.values());
    for planned in &shape.steps {
        let last = step(record, &planned.id).and_then(StepRecord::last).filter(|attempt| !attempt.void);
        let taken = last.map(|attempt| attempt.measurements.as_slice()).unwrap_or_default();
        for (at, spec) in planned.promised.iter().enumerate() {
            // Usually they were taken in the order of the promises.
            let same = |measured: &&bench_report::MeasurementRecord| measured.measurement.name == spec.name;
            let matching = taken.get(at).filter(same).or_else(|| taken.iter().find(same));
            values.push(matching.and_then(|measured| measured.measurement.value).unwrap_or(f64::NAN));
        }
    }
    values
}

fn faults(record: &RunRecord, shape: &Shape) -> Vec<FaultFact> {
    let mut faults: Vec<FaultFact> = Vec::new();
    for (index, planned) in shape.steps.iter().enumerate() {
        let Some(step) = step(record, &planned.id) else { continue };
        let last = step.attempts.len().wrapping_sub(1);
        for (at, attempt) in step.attempts.iter().enumerate().filter(|(_, attempt)| !attempt.void) {
            let counts = at == last && step.verdict == Some(Verdict::Fail);
            for diagnosis in attempt.diagnoses.iter().filter(|diagnosis| diagnosis.defect != Defect::Bench) {
                let contacts = diagnosis.contacts.iter().map(|contact| Some(contact.0));
                let contacts: Vec<Option<u8>> =
                    if diagnosis.contacts.is_empty() { vec![None] } else { contacts.collect() };
                for contact in contacts {
                    let (step, defect, text) = (index, diagnosis.defect, diagnosis.text.clone());
                    let fault = FaultFact { step, counts, defect, contact, text };
                    if !faults.contains(&fault) {
                        faults.push(fault);
                    }
                }
            }
        }
    }
    faults
}
