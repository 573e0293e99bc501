//! Translation of `probe-rs` errors into the bench's errors.

use bench_instruments::ProgramError;
use probe_rs::architecture::arm::{ArmError, DapError};
use probe_rs::flashing::FlashError;
use probe_rs::probe::{DebugProbeError, ProbeCreationError};
use std::error::Error;

/// An error and its causes, outermost first.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| {
        let error: &'e (dyn Error + 'static) = *error;
        error.source()
    })
}

fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// All of it in one line.
fn text(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in chain(error).map(|error| error.to_string().trim_end_matches('.').to_owned()) {
        if parts.last() != Some(&part) {
            parts.push(part);
        }
    }
    parts.join(": ")
}

/// Whether the microcontroller is locked and the session was not allowed to erase it.
pub(crate) fn is_locked(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| matches!(error.downcast_ref(), Some(ArmError::MissingPermissions(_))))
}

/// An error in a session, `during` what.
pub(crate) fn in_session(error: &(dyn Error + 'static), during: &str) -> ProgramError {
    let unanswered = |error: &(dyn Error + 'static)| {
        matches!(error.downcast_ref(), Some(DapError::NoAcknowledge))
            || matches!(error.downcast_ref(), Some(ArmError::NoTargetResponse { .. }))
    };
    if chain(error).any(unanswered) {
        return ProgramError::Lost { during: during.to_owned() };
    }
    if let Some(error) = find::<DebugProbeError>(error) {
        return ProgramError::Probe(text(error));
    }
    let page = match find(error) {
        Some(FlashError::EraseFailed { sector_address, .. }) => Some((*sector_address, "erased")),
        Some(FlashError::PageWrite { page_address, .. }) => Some((*page_address, "written")),
        _ => None,
    };
    match page {
        // Addresses above the flash.
        Some((address, what)) => ProgramError::Page { address: address as u32, what, detail: text(error) },
        None => ProgramError::Core(format!("{} ({during})", text(error))),
    }
}

/// An error at opening the probe.
pub(crate) fn at_opening(error: &DebugProbeError, probe: &str) -> ProgramError {
    let probe = probe.to_owned();
    match error {
        DebugProbeError::ProbeCouldNotBeCreated(ProbeCreationError::NotFound) => {
            ProgramError::NoProbe { wanted: format!(" {probe}"), seen: "it has just disappeared".to_owned() }
        }
        DebugProbeError::ProbeCouldNotBeCreated(_) => {
            ProgramError::Busy { probe, with: "another program uses it, or it was unplugged".to_owned() }
        }
        error => ProgramError::Probe(text(error)),
    }
}
