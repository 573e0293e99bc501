//! A person's stop of the run that is replayed. What the bench itself noticed is among the answers.

use crate::backend::ReplayBackend;
use bench_engine::{Backend, Stop};
use bench_run::{BenchTime, Entry, Event, Verdict};

/// When a person stopped the run, and why.
pub fn stopped(entries: &[Entry]) -> Option<(BenchTime, String)> {
    let aborted = |entry: &Entry| matches!(entry.event, Event::RunEnded { verdict: Verdict::Aborted, .. });
    entries.iter().any(aborted).then_some(())?;
    entries.iter().find_map(|entry| match &entry.event {
        Event::Stopping { reason } => Some((entry.at_us, reason.clone())),
        _ => None,
    })
}

/// The same stop in the replay's time.
pub fn stop_as_recorded(backend: &ReplayBackend, stopped: Option<(BenchTime, String)>) -> Stop {
    let Some((at, reason)) = stopped else { return Stop::never() };
    let clock = backend.clock();
    Stop::when(async move {
        clock.sleep_until(at).await;
        reason
    })
}
