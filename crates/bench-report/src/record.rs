//! A run put in order: the input of every report.

use bench_run::{
    BenchKind, BenchTime, Contact, Defect, Diagnosis, DiagnosisRun, Entry, Event, LateRecord, Measurement,
    MeasurementSpec, Provenance, RunOrder, Tally, VOID, Verdict,
};
use bench_stats::{FailedStep, RepeatRun};
use serde::Serialize;
use std::borrow::Borrow;
use std::time::Duration;

/// Everything that a report needs about one run on one unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRecord {
    /// Id of the run.
    pub run_id: String,
    /// Serial number of the unit.
    pub serial: String,
    /// Model that the plan is for.
    pub model: String,
    /// RFC 3339; absent on the virtual bench.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// Position among the runs of the station; absent in records of older versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<RunOrder>,
    /// Folder of the run as the caller shows it; see [`RunRecord::with_run_folder`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_folder: Option<String>,
    /// Whether the journal holds the end of the run.
    pub finished: bool,
    /// The verdict to act on: that of the run, worsened where the journal contradicts it (`doubts`), and `error` when
    /// the run is not finished. Never better than what the journal says.
    pub verdict: Verdict,
    /// Why the verdict is not `pass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Contradictions in the journal, and promises of the bench that were not kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
    /// Contacts in diagnoses of failed steps, ascending.
    pub contacts_at_fault: Vec<Contact>,
    /// Diagnoses of all steps that did not pass in their last attempt, without duplicates, by contact.
    pub diagnoses: Vec<Diagnosis>,
    /// In the plan's order.
    pub steps: Vec<StepRecord>,
    /// In the order in which they were first switched.
    pub rails: Vec<RailRecord>,
    /// State of the bench at the end; absent when it is not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safe_state: Option<SafeStateRecord>,
    /// Why the run was stopped early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopping: Option<String>,
    /// Remarks, in the order of time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<NoteRecord>,
    /// The bench's own count; absent when the run is not finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tally: Option<Tally>,
    /// Time of the last entry, microseconds since the run began.
    pub duration_us: BenchTime,
    /// Real instruments or the virtual bench; absent without a start of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bench: Option<BenchKind>,
    /// Name of the nest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nest: Option<String>,
    /// Production lot of the unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lot: Option<String>,
    /// What was ordered when the run looks for a cause: then it is no test of the unit, whatever its verdict is, and
    /// nothing may count it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnosis_run: Option<DiagnosisRun>,
    /// Inputs of the run with their hashes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// Chain value of the journal's last line; see [`RunRecord::with_seal`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// One step of the plan with all its attempts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepRecord {
    /// Id of the step, unique in the plan.
    pub id: String,
    /// Kind of test.
    pub kind: String,
    /// Title of the step.
    pub title: String,
    /// Number of promised measurements per attempt.
    pub promised: usize,
    /// What is promised, where the journal names it.
    #[serde(skip)]
    pub specs: Vec<MeasurementSpec>,
    /// Verdict of the last attempt; absent when the step was never started or never finished.
    pub verdict: Option<Verdict>,
    /// In the order of time.
    pub attempts: Vec<Attempt>,
}

/// One attempt at a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    /// 1 for the first attempt.
    pub number: u8,
    /// Absent when the step was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_us: Option<BenchTime>,
    /// Absent when the attempt did not finish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_us: Option<BenchTime>,
    /// Absent when the attempt did not finish.
    pub verdict: Option<Verdict>,
    /// Why the verdict is not `pass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the plan gave the step another attempt after this one.
    pub retried: bool,
    /// Whether it does not count because the controller was late: neither against the module nor against its contacts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub void: bool,
    /// The largest lateness of the controller during the attempt, if recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<LateRecord>,
    /// In the order of time.
    pub measurements: Vec<MeasurementRecord>,
    /// Diagnoses during this attempt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diagnoses: Vec<Diagnosis>,
}

/// A measurement and when it was recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasurementRecord {
    /// Time of the record, microseconds since the run began.
    pub at_us: BenchTime,
    /// The judged reading.
    #[serde(flatten)]
    pub measurement: Measurement,
}

/// Last known state of a rail.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RailRecord {
    /// Name of the rail.
    pub rail: String,
    /// Whether it was switched on last.
    pub on: bool,
    /// Reading after its last switching.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volts: Option<f64>,
    /// Time of its last switching, microseconds since the run began.
    pub switched_us: BenchTime,
}

/// State of the bench at the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SafeStateRecord {
    /// Whether the bench measured that rails are off and nails released.
    pub confirmed: bool,
    /// Why it is not confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of the record, microseconds since the run began.
    pub at_us: BenchTime,
}

/// A remark that is not a measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoteRecord {
    /// Time of the record, microseconds since the run began.
    pub at_us: BenchTime,
    /// Id of the step; absent for a remark on the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The remark.
    pub text: String,
}

/// Contradictions of a record that are listed.
const MOST_CONTRADICTIONS: usize = 5;

impl Attempt {
    /// Describes in one line why it does not count, or how late the controller was in one that does.
    pub fn lateness(&self) -> Option<String> {
        let reason = self.reason.as_deref().unwrap_or_default();
        let late = || self.late.as_ref().map(ToString::to_string);
        if self.void {
            return Some(format!("did not count: {}", reason.strip_prefix(VOID).unwrap_or(reason)));
        }
        // When the lateness is the reason, it need not be repeated.
        late().filter(|late| !reason.contains(late.as_str()))
    }

    /// Time from start to end; `None` when either is not recorded.
    pub fn duration(&self) -> Option<Duration> {
        Some(self.ended_us? - self.started_us?)
    }
}

impl StepRecord {
    /// Returns the attempt that counts.
    pub fn last(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// Whether any attempt began.
    pub fn was_started(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.started_us.is_some())
    }

    /// Returns how many attempts began, without void ones.
    pub fn tries(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.started_us.is_some() && !attempt.void).count()
    }

    /// Returns the total time of all attempts.
    pub fn duration(&self) -> Duration {
        self.attempts.iter().filter_map(Attempt::duration).sum()
    }

    /// An attempt that did not pass after a void one is also void: the void attempt may have left the module in an
    /// undefined state.
    fn void_attempts(&mut self) {
        let mut before = false;
        for attempt in &mut self.attempts {
            let late = attempt.reason.as_deref().is_some_and(|reason| reason.starts_with(VOID));
            attempt.void = attempt.retried && (late || (before && attempt.verdict == Some(Verdict::Error)));
            before = attempt.void;
        }
    }

    fn attempt(&mut self, number: u8) -> &mut Attempt {
        let index = match self.attempts.iter().position(|attempt| attempt.number == number) {
            Some(index) => index,
            None => {
                self.attempts.push(Attempt {
                    number,
                    started_us: None,
                    ended_us: None,
                    verdict: None,
                    reason: None,
                    retried: false,
                    void: false,
                    late: None,
                    measurements: Vec::new(),
                    diagnoses: Vec::new(),
                });
                self.attempts.len() - 1
            }
        };
        &mut self.attempts[index]
    }
}

impl RunRecord {
    /// Reads the entries of one run. Accepts any entries: a run that died in the middle, or no entry at all, gives a
    /// record that is not finished.
    pub fn from_entries<E: Borrow<Entry>>(entries: &[E]) -> Self {
        let mut record = Self {
            run_id: String::new(),
            serial: String::new(),
            model: String::new(),
            started_at: None,
            order: None,
            run_folder: None,
            finished: false,
            verdict: Verdict::Error,
            reason: None,
            doubts: Vec::new(),
            contacts_at_fault: Vec::new(),
            diagnoses: Vec::new(),
            steps: Vec::new(),
            rails: Vec::new(),
            safe_state: None,
            stopping: None,
            notes: Vec::new(),
            tally: None,
            duration_us: entries.last().map_or(BenchTime::ZERO, |entry| entry.borrow().at_us),
            bench: None,
            nest: None,
            lot: None,
            diagnosis_run: None,
            provenance: None,
            seal: None,
        };
        let mut ended = None;
        for entry in entries.iter().map(Borrow::borrow) {
            ended = record.take(entry.at_us, &entry.event).or(ended);
        }
        for step in &mut record.steps {
            step.void_attempts();
            step.verdict = step.attempts.last().filter(|attempt| !attempt.retried).and_then(|attempt| attempt.verdict);
        }
        record.finished = ended.is_some();
        record.doubt(ended);
        record.diagnoses = merged(record.steps.iter().filter(|step| counts(step.verdict)).filter_map(StepRecord::last));
        let failed =
            merged(record.steps.iter().filter(|step| step.verdict == Some(Verdict::Fail)).filter_map(StepRecord::last));
        record.contacts_at_fault = failed
            .into_iter()
            .filter(|diagnosis| diagnosis.defect != Defect::Bench)
            .flat_map(|diagnosis| diagnosis.contacts)
            .collect();
        record.contacts_at_fault.sort_unstable();
        record.contacts_at_fault.dedup();
        record
    }

    /// This run, from the view of the rule for causes that repeat. Only the attempts that count are in it.
    pub fn repeat_run(&self) -> RepeatRun {
        let (mut passed, mut failed) = (Vec::new(), Vec::new());
        for step in &self.steps {
            match step.verdict {
                Some(Verdict::Pass) => passed.push(step.id.clone()),
                Some(Verdict::Fail | Verdict::Error) => {
                    let diagnoses = step.last().into_iter().filter(|attempt| !attempt.void);
                    let diagnoses = diagnoses.flat_map(|attempt| &attempt.diagnoses);
                    let mut contacts: Vec<Contact> =
                        diagnoses.flat_map(|diagnosis| diagnosis.contacts.iter().copied()).collect();
                    contacts.sort_unstable();
                    contacts.dedup();
                    failed.push(FailedStep { id: step.id.clone(), contacts });
                }
                _ => {}
            }
        }
        RepeatRun { unit: self.serial.clone(), verdict: self.verdict, passed, failed }
    }

    /// The verdict of the steps that ran: in a diagnosis it may be a pass, although the unit was not tested.
    pub fn verdict_of_steps(&self) -> Verdict {
        let passed = self.steps.iter().all(|step| step.verdict == Some(Verdict::Pass)) && !self.steps.is_empty();
        match self.verdict {
            Verdict::Skipped if self.diagnosis_run.is_some() && passed => Verdict::Pass,
            verdict => verdict,
        }
    }

    /// Sets the folder that reports refer to.
    #[must_use]
    pub fn with_run_folder(mut self, folder: impl Into<String>) -> Self {
        self.run_folder = Some(folder.into());
        self
    }

    /// Sets the seal of the journal that it was read from, which identifies the journal later.
    #[must_use]
    pub fn with_seal(mut self, seal: Option<String>) -> Self {
        self.seal = seal;
        self
    }

    /// Takes the judgement of the whole record into account: with these contradictions nothing in it may be acted on.
    #[must_use]
    pub fn with_contradictions(mut self, contradictions: Vec<String>) -> Self {
        if !contradictions.is_empty() {
            self.verdict = self.verdict.and(Verdict::Error);
            self.doubts.push("the record does not hold".to_owned());
            self.doubts.extend(contradictions.into_iter().take(MOST_CONTRADICTIONS));
        }
        self
    }

    /// Takes the verdict of the run itself into account, which may be worse than the recorded one because the record
    /// may be lost by now. Then `reason` is one of the doubts.
    #[must_use]
    pub fn with_outcome(mut self, verdict: Verdict, reason: Option<&str>) -> Self {
        if !self.finished || self.verdict.and(verdict) != self.verdict {
            self.verdict = self.verdict.and(verdict);
            let is_listed =
                |text: &str| [&self.reason, &self.stopping].iter().any(|listed| listed.as_deref() == Some(text));
            self.doubts.extend(reason.filter(|text| !is_listed(text)).map(str::to_owned));
        }
        self
    }

    /// Processes one event; returns the verdict when it is the end of the run.
    fn take(&mut self, at: BenchTime, event: &Event) -> Option<Verdict> {
        match event.clone() {
            Event::RunStarted {
                run_id,
                serial,
                model,
                started_at,
                order,
                bench,
                lot,
                diagnosis,
                provenance,
                steps,
            } => {
                self.diagnosis_run = diagnosis.map(|run| *run);
                self.order = order.map(|order| *order);
                (self.run_id, self.serial, self.model, self.started_at) = (run_id, serial, model, started_at);
                self.nest = match &*bench {
                    BenchKind::Real { nest, .. } => nest.clone(),
                    BenchKind::Virtual { .. } | BenchKind::Replay { .. } => None,
                };
                (self.bench, self.lot) = (Some(*bench), lot);
                self.provenance = Some(*provenance);
                for planned in steps {
                    let step = self.step(&planned.id);
                    (step.kind, step.title, step.promised) = (planned.kind, planned.title, planned.measurements);
                    step.specs = planned.promised;
                }
            }
            Event::StepStarted { step, attempt } => {
                self.step(&step).attempt(attempt).started_us = Some(at);
            }
            Event::Measured { step, attempt, measurement } => {
                self.step(&step).attempt(attempt).measurements.push(MeasurementRecord { at_us: at, measurement });
            }
            Event::Diagnosed { step, attempt, diagnosis } => {
                self.step(&step).attempt(attempt).diagnoses.push(diagnosis);
            }
            // Only for readers of the journal.
            Event::Dialogue { .. } => {}
            Event::Note { step, text } => self.notes.push(NoteRecord { at_us: at, step, text }),
            Event::StepEnded { step, attempt, verdict, reason, retried, procedure: _, late } => {
                let attempt = self.step(&step).attempt(attempt);
                attempt.ended_us = Some(at);
                attempt.verdict = Some(verdict);
                attempt.reason = reason;
                attempt.retried = retried;
                attempt.late = late;
            }
            Event::RailSwitched { rail, on, volts } => {
                let rail_record = RailRecord { rail, on, volts, switched_us: at };
                match self.rails.iter_mut().find(|other| other.rail == rail_record.rail) {
                    Some(other) => *other = rail_record,
                    None => self.rails.push(rail_record),
                }
            }
            Event::Stopping { reason } => self.stopping = self.stopping.take().or(Some(reason)),
            Event::SafeState { confirmed, reason } => {
                self.safe_state = Some(SafeStateRecord { confirmed, reason, at_us: at });
            }
            Event::RunEnded { verdict, reason, tally } => {
                self.reason = reason;
                self.tally = Some(tally);
                return Some(verdict);
            }
        }
        None
    }

    fn step(&mut self, id: &str) -> &mut StepRecord {
        let index = match self.steps.iter().position(|step| step.id == id) {
            Some(index) => index,
            None => {
                self.steps.push(StepRecord {
                    id: id.to_owned(),
                    kind: String::new(),
                    title: id.to_owned(),
                    promised: 0,
                    specs: Vec::new(),
                    verdict: None,
                    attempts: Vec::new(),
                });
                self.steps.len() - 1
            }
        };
        &mut self.steps[index]
    }

    /// Accepts a pass only when everything in the record agrees with it. `ended` is the journal's last statement.
    fn doubt(&mut self, ended: Option<Verdict>) {
        let Some(claimed) = ended else {
            self.verdict = Verdict::Error;
            return;
        };
        self.verdict = claimed;
        let claims = if self.diagnosis_run.is_some() { Verdict::Skipped } else { Verdict::Pass };
        if claimed != claims {
            if claimed == Verdict::Pass {
                self.verdict = Verdict::Error;
                self.doubts.push("the record of a diagnosis says that the unit passed".to_owned());
            }
            return;
        }
        let mut doubts = Vec::new();
        for step in &self.steps {
            let id = &step.id;
            match (step.verdict, step.last()) {
                (Some(Verdict::Pass), Some(last)) => {
                    let taken = last.measurements.len();
                    if taken < step.promised {
                        doubts.push(format!("step {id} passed with {taken} of {} measurements", step.promised));
                    }
                    let bad = |taken: &&MeasurementRecord| taken.measurement.verdict != Verdict::Pass;
                    if let Some(MeasurementRecord { measurement, .. }) = last.measurements.iter().find(bad) {
                        let (name, verdict) = (&measurement.name, measurement.verdict);
                        doubts.push(format!("step {id} passed although {name} is {verdict}"));
                    }
                }
                (Some(Verdict::Skipped), _) => {}
                (Some(verdict), _) => doubts.push(format!("the run passed although step {id} is {verdict}")),
                (None, _) => doubts.push(format!("the run passed although step {id} has no verdict")),
            }
        }
        if !self.steps.iter().any(|step| step.verdict == Some(Verdict::Pass)) {
            doubts.push("the run passed although no step did".to_owned());
        }
        match &self.safe_state {
            Some(state) if state.confirmed => {}
            Some(_) => doubts.push("the run passed although the safe state was not confirmed".to_owned()),
            None => doubts.push("the run passed although the safe state is not on record".to_owned()),
        }
        if !doubts.is_empty() {
            self.verdict = Verdict::Error;
        }
        self.doubts = doubts;
    }
}

/// Whether diagnoses of a step with this verdict are reported. Those of a step that passed in the end, or was repeated
/// with success, are history and stay with the attempt.
fn counts(verdict: Option<Verdict>) -> bool {
    !matches!(verdict, Some(Verdict::Pass | Verdict::Skipped))
}

/// Removes duplicate diagnoses and sorts them: by first contact, then those without contacts, the bench's own last.
pub(crate) fn merged<'a>(attempts: impl Iterator<Item = &'a Attempt>) -> Vec<Diagnosis> {
    let mut merged: Vec<Diagnosis> = Vec::new();
    for diagnosis in attempts.flat_map(|attempt| &attempt.diagnoses) {
        let mut diagnosis = diagnosis.clone();
        diagnosis.contacts.sort_unstable();
        diagnosis.contacts.dedup();
        if !merged.contains(&diagnosis) {
            merged.push(diagnosis);
        }
    }
    merged.sort_by_key(|diagnosis| {
        let first = diagnosis.contacts.first().map_or(u16::MAX, |contact| contact.0.into());
        (diagnosis.defect == Defect::Bench, first, diagnosis.contacts.clone(), diagnosis.defect)
    });
    merged
}
