//! Writes every event to the journal first, then shows it to the observers.

use crate::lateness::Late;
use crate::panic_text;
use crate::power::Power;
use bench_instruments::{Clock, with_deadline};
use bench_journal::{Journal, Pending};
use bench_run::{BenchTime, Contact, Diagnosis, Entry, Event, Measurement, Step, Verdict, measured};
use bench_steps::StepLog;
use futures_util::future::select;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// How long a line may wait for the disk while steps run. A busy disk answers within a second or two.
pub(crate) const HANGS_AFTER: Duration = Duration::from_secs(5);
/// The same once nothing is powered: then there is time, and the verdict is worth saving.
pub(crate) const LAST_WAIT: Duration = Duration::from_secs(10);

/// Longest real-time wait for the disk on a bench in virtual time. It is long because the computer may be busy.
const BLOCKED_AT_MOST: Duration = Duration::from_secs(60);

/// What an observer sees.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// The journal has this entry.
    Entry(&'a Entry),
    /// Progress of a long operation in a step, from 0 to 1. It is not in the journal.
    Progress { step: &'a str, what: &'a str, share: f64 },
    /// The power stays on after the last step of a diagnosis, for this time at most; zero: no longer. It is not in the
    /// journal.
    Held { left: Duration },
}

/// Is called with everything that happens in a run.
pub type Observer = Box<dyn FnMut(Seen<'_>)>;

/// How a run waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskWait {
    /// The executor keeps running: it kicks the watchdog. For a bench in real time.
    Async,
    /// The thread stops, and virtual time with it: how long the disk takes must not change what a run does.
    Blocking,
}

/// Simulates a slow disk in tests: bench time before the acknowledgement of an entry counts.
pub type Delay = Box<dyn Fn(&Entry) -> Duration>;

/// Shared by all steps of a run; single-threaded, borrowed only for the length of a call.
pub struct Recorder {
    clock: Rc<dyn Clock>,
    wait: DiskWait,
    delay: Option<Delay>,
    inner: RefCell<Inner>,
    /// By index of the step.
    delivered: RefCell<Vec<Delivered>>,
}

struct Inner {
    journal: Journal,
    observers: Vec<Observer>,
    /// Entries that the observers have seen.
    shown: usize,
    /// Whether the end of the run may be shown.
    end_holds: bool,
    failure: Option<io::Error>,
    /// What an observer panicked with.
    panic: Option<String>,
    /// The pump, when it waits for the next entry.
    pump: Option<Waker>,
}

/// Measurements of the newest attempt at a step.
#[derive(Default)]
pub(crate) struct Delivered {
    pub(crate) attempt: u8,
    pub(crate) measurements: Vec<Measurement>,
}

impl Recorder {
    /// Makes a recorder whose thread blocks while it waits for the disk: for virtual time, and for a journal in memory.
    pub fn new(journal: Journal, clock: Rc<dyn Clock>, observers: Vec<Observer>) -> Rc<Self> {
        Self::waiting(journal, clock, observers, DiskWait::Blocking, None)
    }

    /// Makes a recorder with another way to wait for the disk. Only tests pass a `delay`.
    pub fn waiting(
        journal: Journal,
        clock: Rc<dyn Clock>,
        observers: Vec<Observer>,
        wait: DiskWait,
        delay: Option<Delay>,
    ) -> Rc<Self> {
        let end_holds = journal.is_in_memory();
        let inner = Inner { journal, observers, shown: 0, end_holds, failure: None, panic: None, pump: None };
        Rc::new(Self { clock, wait, delay, inner: RefCell::new(inner), delivered: RefCell::default() })
    }

    /// Writes an event to the journal. Observers see it only once the journal has acknowledged it.
    pub fn emit(&self, event: Event) {
        let now = self.clock.now();
        let mut inner = self.inner.borrow_mut();
        if self.wait == DiskWait::Blocking {
            inner.hold_time(now);
        }
        if let Err(error) = inner.journal.append(now, event) {
            inner.failure.get_or_insert(error);
        }
        inner.show(now, &self.delay);
        let pump = if inner.first_unseen().is_some() { inner.pump.take() } else { None };
        drop(inner);
        pump.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn progress(&self, step: &str, what: &str, share: f64) {
        self.inner.borrow_mut().notify(&Seen::Progress { step, what, share });
    }

    /// Shows how long the power stays on at most.
    pub(crate) fn held(&self, left: Duration) {
        self.inner.borrow_mut().notify(&Seen::Held { left });
    }

    /// Shows what the disk acknowledges, while the steps run. Ends when the run cannot continue, with the reason.
    pub(crate) async fn pump(&self) -> String {
        loop {
            match self.show_and_look() {
                Err(trouble) => return trouble,
                Ok(None) => self.next_entry().await,
                Ok(Some((until, progress))) => {
                    select(pin!(progress), self.clock.sleep_until(until)).await;
                }
            }
        }
    }

    /// Shows what can be shown. Returns what the rest waits for, and the time at which to check again at the latest.
    fn show_and_look(&self) -> Result<Option<(BenchTime, Pending)>, String> {
        let mut inner = self.inner.borrow_mut();
        let now = self.clock.now();
        loop {
            inner.show(now, &self.delay);
            if let Some(trouble) = inner.trouble() {
                return Err(trouble);
            }
            let Some(first) = inner.first_unseen().cloned() else { return Ok(None) };
            let hangs_at = first.at_us + HANGS_AFTER;
            let acknowledged = inner.journal.is_acknowledged(first.seq);
            if !acknowledged && self.wait == DiskWait::Blocking {
                // Everything that could be done at this time has been done: lines that wait share a forced write.
                let pending = inner.journal.acknowledgement(first.seq);
                inner.block_on(pending);
            } else if now >= hangs_at {
                let error = inner.journal.hanging(HANGS_AFTER);
                inner.failure.get_or_insert(error);
            } else {
                let until = if acknowledged { hangs_at.min(counts_at(&first, &self.delay)) } else { hangs_at };
                return Ok(Some((until, inner.journal.progress_beyond(inner.journal.progress()))));
            }
        }
    }

    /// Ends when there is an entry that was not shown yet.
    async fn next_entry(&self) {
        poll_fn(|context| {
            let mut inner = self.inner.borrow_mut();
            if inner.first_unseen().is_some() {
                return Poll::Ready(());
            }
            inner.pump = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Waits until everything emitted so far is acknowledged and shown.
    ///
    /// # Errors
    /// When it could not be written within `limit`. The failure is permanent, even if the disk comes back.
    pub(crate) async fn settle(&self, limit: Duration) -> io::Result<()> {
        let settled = self.acknowledged_within(limit).await;
        let mut inner = self.inner.borrow_mut();
        match &settled {
            Ok(()) => inner.show(self.clock.now(), &self.delay),
            Err(error) => {
                inner.failure.get_or_insert_with(|| io::Error::new(error.kind(), error.to_string()));
            }
        }
        settled
    }

    async fn acknowledged_within(&self, limit: Duration) -> io::Result<()> {
        let deadline = self.clock.now() + limit;
        let (pending, safe_at) = {
            let inner = self.inner.borrow();
            let unseen = inner.journal.entries().get(inner.shown..).unwrap_or_default();
            let Some(last) = unseen.last() else { return Ok(()) };
            let safe_at = unseen.iter().map(|entry| counts_at(entry, &self.delay)).max();
            (inner.journal.acknowledgement(last.seq), safe_at.unwrap_or_default())
        };
        self.wait_for(pending, limit).await?;
        self.clock.sleep_until(safe_at.min(deadline)).await;
        if safe_at > deadline { Err(self.inner.borrow().journal.hanging(limit)) } else { Ok(()) }
    }

    /// Reads the journal back and compares it with what was written.
    ///
    /// # Errors
    /// When the two differ (the message names the file), or when the disk does not answer within `limit`.
    pub(crate) async fn verify(&self, limit: Duration) -> io::Result<()> {
        let pending = self.inner.borrow().journal.verify();
        self.wait_for(pending, limit).await
    }

    /// Allows observers to see the end of the run, once it is on the disk in a journal that was verified.
    ///
    /// # Errors
    /// When it is not on the disk, or the journal read back differs.
    pub(crate) async fn finish(&self, limit: Duration) -> io::Result<()> {
        self.settle(limit).await?;
        self.verify(limit).await?;
        let mut inner = self.inner.borrow_mut();
        inner.end_holds = true;
        inner.show(self.clock.now(), &self.delay);
        Ok(())
    }

    /// Checks that every observer saw the run to its end.
    ///
    /// # Errors
    /// When an observer panicked.
    pub(crate) fn seen_to_the_end(&self) -> io::Result<()> {
        let panic = self.inner.borrow().panic.clone();
        panic.map_or(Ok(()), |text| Err(io::Error::other(format!("the bench failed: {text}"))))
    }

    async fn wait_for(&self, pending: Pending, limit: Duration) -> io::Result<()> {
        match self.wait {
            DiskWait::Blocking if limit.is_zero() => pending.wait_at_most(limit),
            DiskWait::Blocking => pending.wait_at_most(BLOCKED_AT_MOST),
            DiskWait::Async => match with_deadline(&*self.clock, self.clock.now() + limit, pending).await {
                Ok(result) => result,
                Err(_) => Err(self.inner.borrow().journal.hanging(limit)),
            },
        }
    }

    /// Why the run cannot continue, if so: the journal could not be written, or an observer panicked.
    pub fn trouble(&self) -> Option<String> {
        self.inner.borrow_mut().trouble()
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.inner.borrow().journal.entries().iter().map(|entry| Entry::clone(entry)).collect()
    }

    /// Passes all entries to `hand_over` without a copy. `hand_over` must not emit anything.
    pub(crate) fn with_entries<T>(&self, hand_over: impl FnOnce(&[Arc<Entry>]) -> T) -> T {
        hand_over(self.inner.borrow().journal.entries())
    }

    /// Entries that the disk has acknowledged.
    pub(crate) fn recorded(&self) -> Vec<Arc<Entry>> {
        let inner = self.inner.borrow();
        let sure = usize::try_from(inner.journal.acknowledged()).unwrap_or(usize::MAX);
        inner.journal.entries().iter().take(sure).cloned().collect()
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

    /// Removes the journal of a run that did not start.
    pub(crate) fn discard(&self) -> io::Result<()> {
        std::mem::replace(&mut self.inner.borrow_mut().journal, Journal::in_memory()).discard()
    }

    /// Begins a new attempt at a step. Its measurements replace those of the attempt before; there are at most `promised`
    /// of them.
    pub(crate) fn begin(&self, index: usize, attempt: u8, promised: usize) {
        let mut delivered = self.delivered.borrow_mut();
        if delivered.len() <= index {
            delivered.resize_with(index + 1, Delivered::default);
        }
        delivered[index] = Delivered { attempt, measurements: Vec::with_capacity(promised) };
    }

    /// The contacts that this attempt names: of readings that are not good, and of diagnoses. Ascending.
    pub(crate) fn accused(&self, index: usize, step: &Step, attempt: u8) -> Vec<Contact> {
        let bad = |delivered: &Delivered| -> Vec<String> {
            let of = delivered.measurements.iter().filter(|taken| taken.verdict != Verdict::Pass);
            of.map(|taken| taken.name.clone()).collect()
        };
        let bad = self.with_delivered(index, bad);
        let read = step.measurements.iter().filter(|spec| bad.contains(&spec.name)).flat_map(|spec| &spec.contacts);
        let inner = self.inner.borrow();
        let diagnosed = inner.journal.entries().iter().filter_map(|entry| match &entry.event {
            Event::Diagnosed { step: of, attempt: at, diagnosis } if *of == step.id && *at == attempt => {
                Some(&diagnosis.contacts)
            }
            _ => None,
        });
        let diagnosed: Vec<Contact> = diagnosed.flatten().copied().collect();
        // A diagnosis says more than the readings that it explains.
        let mut contacts = if diagnosed.is_empty() { read.copied().collect() } else { diagnosed };
        contacts.sort_unstable();
        contacts.dedup();
        contacts
    }

    /// Passes what the newest attempt at a step delivered to `hand_over`, and nothing if there was no attempt.
    pub(crate) fn with_delivered<T>(&self, index: usize, hand_over: impl FnOnce(&Delivered) -> T) -> T {
        hand_over(self.delivered.borrow().get(index).unwrap_or(&Delivered::default()))
    }

    pub(crate) fn for_step<'a>(
        &'a self,
        index: usize,
        step: &'a Step,
        attempt: u8,
        power: &'a Power,
    ) -> AttemptLog<'a> {
        AttemptLog { recorder: self, index, step, attempt, power, missed: Cell::new(None) }
    }
}

impl Inner {
    fn first_unseen(&self) -> Option<&Arc<Entry>> {
        self.journal.entries().get(self.shown)
    }

    /// Shows what is acknowledged, in order.
    fn show(&mut self, now: BenchTime, delay: &Option<Delay>) {
        while let Some(entry) = self.first_unseen().cloned() {
            let held = matches!(entry.event, Event::RunEnded { .. }) && !self.end_holds;
            if held || !self.journal.is_acknowledged(entry.seq) || counts_at(&entry, delay) > now {
                break;
            }
            self.shown += 1;
            self.notify(&Seen::Entry(&entry));
        }
    }

    /// After an observer panics, no observer is called again: the run ends, and its way to the safe state must not meet the
    /// same panic.
    fn notify(&mut self, seen: &Seen<'_>) {
        let observers = &mut self.observers;
        let shown = catch_unwind(AssertUnwindSafe(|| observers.iter_mut().for_each(|observer| observer(*seen))));
        if let Err(panic) = shown {
            self.observers.clear();
            self.panic.get_or_insert(panic_text(&*panic));
        }
    }

    /// Waits for the disk if virtual time has advanced within a call, such as a transfer on a bus.
    fn hold_time(&mut self, now: BenchTime) {
        let Some(oldest) = self.journal.oldest_waiting() else { return };
        let place = usize::try_from(oldest).unwrap_or(usize::MAX);
        if self.journal.entries().get(place).is_some_and(|entry| entry.at_us < now) {
            let pending = self.journal.acknowledgement(oldest);
            self.block_on(pending);
        }
    }

    fn block_on(&mut self, pending: Pending) {
        // Once it hung, it is not waited for again.
        if self.failure.is_none()
            && let Err(error) = pending.wait_at_most(BLOCKED_AT_MOST)
        {
            self.failure = Some(error);
        }
    }

    fn trouble(&mut self) -> Option<String> {
        if self.failure.is_none() {
            self.failure = self.journal.failure();
        }
        let failure = self.failure.as_ref().map(ToString::to_string);
        failure.or_else(|| self.panic.as_ref().map(|text| format!("the bench failed: {text}")))
    }
}

fn counts_at(entry: &Entry, delay: &Option<Delay>) -> BenchTime {
    delay.as_ref().map_or(entry.at_us, |delay| entry.at_us + delay(entry))
}

/// Where one attempt at a step reports.
pub(crate) struct AttemptLog<'a> {
    recorder: &'a Recorder,
    index: usize,
    step: &'a Step,
    attempt: u8,
    power: &'a Power,
    /// The longest delay that made the step miss a window.
    missed: Cell<Option<Late>>,
}

impl AttemptLog<'_> {
    pub(crate) fn missed(&self) -> Option<Late> {
        self.missed.get()
    }
}

impl StepLog for AttemptLog<'_> {
    fn measured(&self, name: &str, reading: Option<f64>) {
        if self.power.look_before_judging().is_err() {
            // Read from a module whose power is gone: nothing is judged any more, and the run is being stopped.
            return;
        }
        let Some(spec) = self.step.measurements.iter().find(|spec| spec.name == name) else {
            // A reading without limits cannot be judged; the promised one is missing then, which is an error.
            return self.note(format!("{name} was measured ({reading:?}) but not promised"));
        };
        let (step, attempt, measurement) = (self.step.id.clone(), self.attempt, measured(spec, reading));
        if let Some(delivered) = self.recorder.delivered.borrow_mut().get_mut(self.index)
            && delivered.attempt == attempt
        {
            delivered.measurements.push(measurement.clone());
        }
        self.recorder.emit(Event::Measured { step, attempt, measurement });
    }
    fn diagnosed(&self, diagnosis: Diagnosis) {
        self.recorder.emit(Event::Diagnosed { step: self.step.id.clone(), attempt: self.attempt, diagnosis });
    }
    fn within(&self, since: BenchTime, limit: Duration) {
        let took = self.recorder.clock.now() - since;
        let late = Late { by: took.saturating_sub(limit), ..self.power.lateness().since(since) };
        if took > limit && self.missed.get().is_none_or(|known| late.by > known.by) {
            self.missed.set(Some(late));
        }
    }
    fn progress(&self, what: &str, share: f64) {
        self.recorder.progress(&self.step.id, what, share);
    }
    fn dialogue(&self, text: String) {
        self.recorder.emit(Event::Dialogue { step: Some(self.step.id.clone()), text });
    }
    fn id(&self) -> &str {
        &self.step.id
    }
    fn attempt(&self) -> u8 {
        self.attempt
    }
    fn timeout(&self) -> Option<Duration> {
        Some(self.step.timeout)
    }
    fn note(&self, text: String) {
        self.recorder.emit(Event::Note { step: Some(self.step.id.clone()), text });
    }
}
