//! Every event: journal first, then everybody else.

use crate::lateness::Late;
use crate::power::Power;
use bench_instruments::Clock;
use bench_journal::Journal;
use bench_run::{BenchTime, Diagnosis, Entry, Event, Measurement, Step, measured};
use bench_steps::Record;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// What somebody who looks on sees.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// The journal has this entry.
    Entry(&'a Entry),
    /// How far something long in a step has come, from 0 to 1. No journal has it.
    Progress { step: &'a str, what: &'a str, share: f64 },
}

/// Looks on.
pub type Observer = Box<dyn FnMut(Seen<'_>)>;

/// Shared by all steps of a run; single-threaded, borrowed only for the length of a call.
pub struct Recorder {
    clock: Rc<dyn Clock>,
    inner: RefCell<Inner>,
}

struct Inner {
    journal: Journal,
    observers: Vec<Observer>,
    failure: Option<io::Error>,
    /// Measurements of the newest attempt of each step.
    delivered: BTreeMap<String, (u8, Vec<Measurement>)>,
}

impl Recorder {
    pub fn new(journal: Journal, clock: Rc<dyn Clock>, observers: Vec<Observer>) -> Rc<Self> {
        let inner = Inner { journal, observers, failure: None, delivered: BTreeMap::new() };
        Rc::new(Self { clock, inner: RefCell::new(inner) })
    }

    /// Writes an event down, then shows it. After a failed write nothing more is shown: nobody may see what has no
    /// record.
    pub fn emit(&self, event: Event) {
        let at = self.clock.now();
        let mut inner = self.inner.borrow_mut();
        let Inner { journal, observers, failure, delivered } = &mut *inner;
        match &event {
            Event::StepStarted { step, attempt } => {
                delivered.insert(step.clone(), (*attempt, Vec::new()));
            }
            Event::Measured { step, attempt, measurement } => {
                if let Some((running, list)) = delivered.get_mut(step)
                    && running == attempt
                {
                    list.push(measurement.clone());
                }
            }
            _ => {}
        }
        match journal.append(at, event) {
            Ok(entry) => observers.iter_mut().for_each(|observer| observer(Seen::Entry(entry))),
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }

    fn progress(&self, step: &str, what: &str, share: f64) {
        let observers = &mut self.inner.borrow_mut().observers;
        observers.iter_mut().for_each(|observer| observer(Seen::Progress { step, what, share }));
    }

    /// Why the journal could not be written, if so.
    pub fn failure(&self) -> Option<String> {
        self.inner.borrow().failure.as_ref().map(ToString::to_string)
    }

    /// Everything recorded so far is on the disk when this returns.
    pub fn sync(&self) -> io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        if let Some(failure) = &inner.failure {
            return Err(io::Error::new(failure.kind(), failure.to_string()));
        }
        inner.journal.sync()
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.inner.borrow().journal.entries().to_vec()
    }

    /// Chain value of the journal's last line.
    pub fn seal(&self) -> Option<String> {
        self.inner.borrow().journal.seal()
    }

    pub fn stats(&self) -> bench_journal::Stats {
        self.inner.borrow().journal.stats()
    }

    pub fn folder(&self) -> std::path::PathBuf {
        self.inner.borrow().journal.folder().to_owned()
    }

    pub(crate) fn delivered(&self, step: &str, attempt: u8) -> Vec<Measurement> {
        let inner = self.inner.borrow();
        let newest = inner.delivered.get(step).filter(|(running, _)| *running == attempt);
        newest.map(|(_, list)| list.clone()).unwrap_or_default()
    }

    /// Measurements of the newest attempt of every step.
    pub(crate) fn all_delivered(&self) -> Vec<Measurement> {
        self.inner.borrow().delivered.values().flat_map(|(_, list)| list.clone()).collect()
    }

    /// Number of the newest attempt at a step.
    pub(crate) fn attempt(&self, step: &str) -> u8 {
        self.inner.borrow().delivered.get(step).map_or(0, |(attempt, _)| *attempt)
    }

    pub(crate) fn for_step<'a>(&'a self, step: &'a Step, attempt: u8, power: &'a Power) -> StepRecord<'a> {
        StepRecord { recorder: self, step, attempt, power, missed: Cell::new(None) }
    }
}

/// What one attempt at a step reports to.
pub(crate) struct StepRecord<'a> {
    recorder: &'a Recorder,
    step: &'a Step,
    attempt: u8,
    power: &'a Power,
    /// The longest delay that made the step miss a window.
    missed: Cell<Option<Late>>,
}

impl StepRecord<'_> {
    pub(crate) fn missed(&self) -> Option<Late> {
        self.missed.get()
    }
}

impl Record for StepRecord<'_> {
    fn measured(&self, name: &str, reading: Option<f64>) {
        if self.power.look_before_judging().is_err() {
            // Read from a module whose power is gone: nothing is judged any more, and the run is being stopped.
            return;
        }
        let (step, attempt) = (self.step.id.clone(), self.attempt);
        match self.step.measurements.iter().find(|spec| spec.name == name) {
            Some(spec) => self.recorder.emit(Event::Measured { step, attempt, measurement: measured(spec, reading) }),
            // A reading without limits cannot be judged; the promised one is missing then, which is an error.
            None => self.note(format!("{name} was measured ({reading:?}) but not promised")),
        }
    }
    fn diagnosed(&self, diagnosis: Diagnosis) {
        self.recorder.emit(Event::Diagnosed { step: self.step.id.clone(), attempt: self.attempt, diagnosis });
    }
    fn timely(&self, since: BenchTime, slack: Duration) {
        let late = self.power.lateness().since(since);
        if late.by > slack && self.missed.get().is_none_or(|known| late.by > known.by) {
            self.missed.set(Some(late));
        }
    }
    fn progress(&self, what: &str, share: f64) {
        self.recorder.progress(&self.step.id, what, share);
    }
    fn dialogue(&self, text: String) {
        self.recorder.emit(Event::Dialogue { step: Some(self.step.id.clone()), text });
    }
    fn note(&self, text: String) {
        self.recorder.emit(Event::Note { step: Some(self.step.id.clone()), text });
    }
}
