//! The conversation with the firmware: sequence numbers, time-outs, retries.

use dut_protocol::{Refusal, Reply};
use thiserror::Error;

/// A request did not get what it asked for.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum DutError {
    /// No (whole) answer came, after all repetitions.
    #[error("the module does not answer ({attempts} attempts, {garbled} damaged frames)")]
    Silent { attempts: u32, garbled: u32 },
    /// The request may have been executed, and must not be sent twice.
    #[error("the answer to a request that must not be repeated was lost")]
    Unknown,
    /// The firmware answered, and the answer was no.
    #[error("the firmware refused: {0:?}")]
    Refused(Refusal),
    /// The firmware answered something else than this request asks for.
    #[error("the firmware answered out of turn: {0:?}")]
    OutOfTurn(Reply),
    /// The bench's own link failed.
    #[error(transparent)]
    Link(#[from] crate::InstrumentError),
}
