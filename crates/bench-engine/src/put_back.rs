//! Writes back what was on a module before it was programmed.

use crate::Recorder;
use bench_run::Event;
use bench_steps::{Kept, Nest, restoring};
use futures_util::FutureExt;
use std::future::Future;

/// Text for the person who must write it back later.
fn later(kept: &Kept, why: &str) -> String {
    let device = kept.backup.device_id;
    format!(
        "what was on the module is not on it any more ({why}): connect it to the probe, then `bench restore {}` (MCU \
         {device:016x})",
        kept.file
    )
}

/// For a run that had no time or no power for it.
pub(crate) fn not_tried(nest: &Nest) -> Result<(), String> {
    nest.safekeeping.kept().map_or(Ok(()), |kept| Err(later(&kept, "the run was stopped at once")))
}

/// Writes it back and checks it, unless `at_once` ends first. The error says what a person must do.
pub(crate) async fn put_back(
    nest: &Nest,
    recorder: &Recorder,
    at_once: impl Future<Output = ()>,
) -> Result<(), String> {
    let Some(kept) = nest.safekeeping.kept() else { return Ok(()) };
    let say = |text: String| recorder.emit(Event::Note { step: None, text });
    // One that was dropped still has the probe.
    if !nest.programmer.ended(super::safe_state::PROBE_ENDS_WITHIN).await {
        return Err(later(&kept, "the debug probe is still busy"));
    }
    let observer = |progress: bench_instruments::ProgramProgress| {
        let share = progress.done as f64 / progress.total.max(1) as f64;
        recorder.progress("put back", &progress.phase.to_string(), share);
    };
    let mut at_once = std::pin::pin!(at_once.fuse());
    let mut written = nest.programmer.program(restoring(&kept.backup), &observer).fuse();
    let written = futures_util::select_biased! {
        written = written => written,
        () = at_once => return Err(later(&kept, "a second signal stopped the writing")),
    };
    match written {
        Ok(done) => {
            nest.safekeeping.done();
            let (bytes, words) = (done.written, done.uicr_written);
            say(format!(
                "the module holds again what was on it: {bytes} bytes of flash and {words} words of UICR written back and \
                 verified"
            ));
            Ok(())
        }
        Err(error) => Err(later(&kept, &error.to_string())),
    }
}
