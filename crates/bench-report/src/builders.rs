//! Short hand-written runs, for tests and examples.
//!
//! ```
//! use bench_report::{RunRecord, builders::RunBuilder};
//! use bench_run::Verdict;
//!
//! let entries = RunBuilder::new("b404x", "P042")
//!     .plan(&[("supply", "supply", 1)])
//!     .step("supply")
//!     .volts("3V3.volts", 3.301, 3.2, 3.4)
//!     .end(Verdict::Pass)
//!     .safe()
//!     .run_end(Verdict::Pass);
//! assert_eq!(RunRecord::from_entries(&entries).verdict, Verdict::Pass);
//! ```

use bench_run::{
    BenchKind, BenchTime, Contact, Defect, Diagnosis, Entry, Event, JOURNAL_FORMAT, LateRecord, Limits, Measurement,
    MeasurementSpec, MeasurementUnit, PlannedStep, Provenance, Tally, VOID, Verdict, measured,
};

/// Collects events, numbers them, and advances time.
#[derive(Debug, Clone)]
pub struct RunBuilder {
    entries: Vec<Entry>,
    model: String,
    serial: String,
    now: BenchTime,
    step: String,
    attempt: u8,
    tally: Tally,
}

impl RunBuilder {
    /// Creates a run on the virtual bench with seed 7. [`plan`](Self::plan) comes next.
    pub fn new(model: &str, serial: &str) -> Self {
        Self {
            entries: Vec::new(),
            model: model.to_owned(),
            serial: serial.to_owned(),
            now: BenchTime::ZERO,
            step: String::new(),
            attempt: 1,
            tally: Tally::default(),
        }
    }

    /// Starts the run with these steps: id, kind, number of promised measurements. The title is the capitalised id.
    #[must_use]
    pub fn plan(self, steps: &[(&str, &str, usize)]) -> Self {
        let planned = |(id, kind, measurements): &(&str, &str, usize)| PlannedStep {
            id: (*id).to_owned(),
            kind: (*kind).to_owned(),
            title: capital(id),
            measurements: *measurements,
            attempts: None,
            promised: Vec::new(),
        };
        let event = started(&self.model, &self.serial, steps.iter().map(planned).collect());
        self.event(event)
    }

    /// Adds any event, now.
    #[must_use]
    pub fn event(mut self, event: Event) -> Self {
        let seq = self.entries.len() as u64;
        self.entries.push(Entry { v: JOURNAL_FORMAT, seq, at_us: self.now, event });
        self
    }

    /// Advances time.
    #[must_use]
    pub fn wait_us(mut self, us: u64) -> Self {
        self.now.0 += us;
        self
    }

    /// Starts the first attempt at a step, 1 ms after the previous event.
    #[must_use]
    pub fn step(self, id: &str) -> Self {
        self.attempt(id, 1)
    }

    /// Starts an attempt at a step, 1 ms after the previous event.
    #[must_use]
    pub fn attempt(mut self, id: &str, attempt: u8) -> Self {
        (self.step, self.attempt) = (id.to_owned(), attempt);
        let event = Event::StepStarted { step: id.to_owned(), attempt };
        self.wait_us(1_000).event(event)
    }

    /// Adds a judged voltage, 10 ms after the previous event.
    #[must_use]
    pub fn volts(self, name: &str, value: f64, min: f64, max: f64) -> Self {
        self.value(name, Some(value), MeasurementUnit::Volts, Limits::between(min, max), &[])
    }

    /// Adds a judged reading, 10 ms after the previous event. `None` was never taken.
    #[must_use]
    pub fn value(self, name: &str, value: Option<f64>, unit: MeasurementUnit, limits: Limits, contacts: &[u8]) -> Self {
        let contacts = contacts.iter().copied().map(Contact).collect();
        let spec = MeasurementSpec { name: name.to_owned(), unit, limits, contacts };
        self.measurement(measured(&spec, value))
    }

    /// Adds a measurement as given, 10 ms after the previous event.
    #[must_use]
    pub fn measurement(mut self, measurement: Measurement) -> Self {
        self.tally.measurements += 1;
        let event = Event::Measured { step: self.step.clone(), attempt: self.attempt, measurement };
        self.wait_us(10_000).event(event)
    }

    /// Adds a diagnosis of the running step.
    #[must_use]
    pub fn diagnosis(self, defect: Defect, contacts: &[u8], text: &str) -> Self {
        let contacts = contacts.iter().copied().map(Contact).collect();
        let diagnosis = Diagnosis { defect, contacts, text: text.to_owned() };
        let event = Event::Diagnosed { step: self.step.clone(), attempt: self.attempt, diagnosis };
        self.event(event)
    }

    /// Adds a switched rail, with its voltage afterwards in volts.
    #[must_use]
    pub fn rail(self, rail: &str, on: bool, volts: f64) -> Self {
        self.event(Event::RailSwitched { rail: rail.to_owned(), on, volts: Some(volts) })
    }

    /// Adds a note on the run.
    #[must_use]
    pub fn note(self, text: &str) -> Self {
        self.event(Event::Note { step: None, text: text.to_owned() })
    }

    /// Ends the running step without a reason.
    #[must_use]
    pub fn end(self, verdict: Verdict) -> Self {
        self.ended(verdict, None, false)
    }

    /// Ends the running step with a reason.
    #[must_use]
    pub fn end_because(self, verdict: Verdict, reason: &str) -> Self {
        self.ended(verdict, Some(reason), false)
    }

    /// Ends the running attempt, which will be repeated.
    #[must_use]
    pub fn end_retried(self, verdict: Verdict, reason: &str) -> Self {
        self.ended(verdict, Some(reason), true)
    }

    /// Ends the running attempt, which does not count because the controller was late, and will be repeated.
    #[must_use]
    pub fn end_void(self, us: u64, cause: &str) -> Self {
        let late = LateRecord { us, cause: cause.to_owned() };
        let reason = format!("{VOID}{late}");
        self.ended_late(Verdict::Error, Some(&reason), true, Some(late))
    }

    /// Ends the running step, during which the controller was late.
    #[must_use]
    pub fn end_late(self, verdict: Verdict, us: u64, cause: &str) -> Self {
        self.ended_late(verdict, None, false, Some(LateRecord { us, cause: cause.to_owned() }))
    }

    /// Adds a step that was never started.
    #[must_use]
    pub fn skip(mut self, id: &str, reason: &str) -> Self {
        (self.step, self.attempt) = (id.to_owned(), 1);
        self.end_because(Verdict::Skipped, reason)
    }

    fn ended(self, verdict: Verdict, reason: Option<&str>, retried: bool) -> Self {
        self.ended_late(verdict, reason, retried, None)
    }

    fn ended_late(mut self, verdict: Verdict, reason: Option<&str>, retried: bool, late: Option<LateRecord>) -> Self {
        if !retried {
            self.tally.steps += 1;
            *match verdict {
                Verdict::Pass => &mut self.tally.passed,
                Verdict::Fail => &mut self.tally.failed,
                Verdict::Error => &mut self.tally.errors,
                Verdict::Skipped => &mut self.tally.skipped,
                Verdict::Aborted => &mut self.tally.aborted,
            } += 1;
        }
        let reason = reason.map(str::to_owned);
        let event = Event::StepEnded {
            step: self.step.clone(),
            attempt: self.attempt,
            verdict,
            reason,
            procedure: None,
            retried,
            late,
        };
        self.wait_us(1_000).event(event)
    }

    /// Adds the reason why the run is stopped early.
    #[must_use]
    pub fn stopping(self, reason: &str) -> Self {
        self.event(Event::Stopping { reason: reason.to_owned() })
    }

    /// Adds the safe state: rails off and nails released, measured.
    #[must_use]
    pub fn safe(self) -> Self {
        self.event(Event::SafeState { confirmed: true, reason: None })
    }

    /// Adds a safe state that could not be confirmed.
    #[must_use]
    pub fn unsafe_because(self, reason: &str) -> Self {
        self.event(Event::SafeState { confirmed: false, reason: Some(reason.to_owned()) })
    }

    /// Ends the run and returns its entries.
    pub fn run_end(self, verdict: Verdict) -> Vec<Entry> {
        self.run_end_with(verdict, None)
    }

    /// Ends the run with a reason and returns its entries.
    pub fn run_end_because(self, verdict: Verdict, reason: &str) -> Vec<Entry> {
        self.run_end_with(verdict, Some(reason.to_owned()))
    }

    fn run_end_with(self, verdict: Verdict, reason: Option<String>) -> Vec<Entry> {
        let tally = self.tally;
        self.event(Event::RunEnded { verdict, reason, tally }).entries
    }

    /// Returns the entries so far: a run that died here.
    pub fn torn(self) -> Vec<Entry> {
        self.entries
    }
}

/// The start of a run on the virtual bench, with checksums that are easy to distinguish.
pub fn started(model: &str, serial: &str, steps: Vec<PlannedStep>) -> Event {
    Event::RunStarted {
        run_id: "r1".to_owned(),
        serial: serial.to_owned(),
        model: model.to_owned(),
        started_at: None,
        order: None,
        bench: Box::new(BenchKind::Virtual { seed: 7, faults: Vec::new() }),
        lot: None,
        diagnosis: None,
        provenance: Box::new(Provenance {
            bench_version: "0.1.0".to_owned(),
            bench_commit: "0123456".to_owned(),
            plan: "end-of-line".to_owned(),
            plan_sha256: "aa".repeat(32),
            plan_parts: Vec::new(),
            dut_file_sha256: "bb".repeat(32),
            fixture: "bsom-nest".to_owned(),
            fixture_sha256: "cc".repeat(32),
            firmware_sha256: "dd".repeat(32),
            images: Vec::new(),
        }),
        steps,
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
