//! One run on one nest, in a thread of its own, so that a failure does not affect the other nests.

use crate::Done;
use crate::Failed;
use crate::Stop;
use crate::StopHandle;
use crate::{Observer, Seen, panic_text};
use bench_report::RunRecord;
use bench_run::{Entry, Verdict};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a nest reports.
#[derive(Debug)]
pub enum FromNest {
    /// The journal has this entry.
    Entry(Box<Entry>),
    /// The power stays on after the last step of a diagnosis, for this time at most; zero: no longer.
    Held(Duration),
    /// The last report of this nest.
    Ended(Box<Ended>),
}

/// The outcome of a run that people act on.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    pub verdict: Verdict,
    /// Why the run did not pass.
    pub reason: Option<String>,
    /// The record; absent when the run could not start.
    pub record: Option<RunRecord>,
    /// The unit was refused before its test.
    pub is_refused: bool,
}

impl Ended {
    fn of(done: Done) -> Self {
        let Done { record, verdict, doubts, .. } = done;
        let doubted = doubts.first().map(|doubt| format!("not modelled: {doubt}"));
        let reason = record.doubts.first().cloned().or_else(|| record.reason.clone()).or(doubted);
        let reason = reason.filter(|_| verdict != Verdict::Pass);
        Self { verdict, reason, record: Some(record), is_refused: false }
    }

    /// The outcome of a unit that may not be tested: the bench is well, and the unit was not looked at.
    pub fn refused(reason: String) -> Self {
        Self { verdict: Verdict::Aborted, reason: Some(reason), record: None, is_refused: true }
    }

    /// The outcome of a run that the bench could not start, or that panicked.
    pub fn broken(reason: String) -> Self {
        Self { verdict: Verdict::Error, reason: Some(reason), record: None, is_refused: false }
    }
}

/// A run that has not ended.
pub struct NestThread {
    stop: StopHandle,
    thread: JoinHandle<()>,
}

impl NestThread {
    /// Runs `work` with an observer that reports every entry once the journal has it, and with a stop that this handle
    /// orders. However `work` ends, `report` gets [`FromNest::Ended`] at the end.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub fn start<W, T>(name: String, work: W, report: T) -> std::io::Result<Self>
    where
        W: FnOnce(Observer, Stop) -> Result<Done, Failed> + Send + 'static,
        T: Fn(FromNest) + Clone + Send + 'static,
    {
        let (handle, thread_started) = std::sync::mpsc::sync_channel(1);
        let body = move || {
            // Made here: what waits for an order does not cross threads, only the order does.
            let (order, stop) = Stop::by_handle();
            let _ = handle.send(order);
            let show = report.clone();
            let observer: Observer = Box::new(move |seen| match seen {
                Seen::Entry(entry) => show(FromNest::Entry(Box::new(entry.clone()))),
                Seen::Held { left } => show(FromNest::Held(left)),
                Seen::Progress { .. } => {}
            });
            let ended = match catch_unwind(AssertUnwindSafe(|| work(observer, stop))) {
                Ok(Ok(done)) => Ended::of(done),
                Ok(Err(Failed::Refused(report))) => Ended::refused(report.to_string()),
                Ok(Err(Failed::Usage(report) | Failed::Bench(report))) => Ended::broken(report.to_string()),
                Err(panic) => Ended::broken(format!("the bench failed: {}", panic_text(&*panic))),
            };
            report(FromNest::Ended(Box::new(ended)));
        };
        let thread = std::thread::Builder::new().name(name).spawn(body)?;
        let stop = thread_started.recv().map_err(std::io::Error::other)?;
        Ok(Self { stop, thread })
    }

    /// Ends the run and switches everything off in order.
    pub fn stop(&self, reason: &str) {
        self.stop.stop(reason);
    }

    /// Switches the rails off now.
    pub fn stop_at_once(&self, reason: &str) {
        self.stop.stop_at_once(reason);
    }

    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}
