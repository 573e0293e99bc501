//! The conversation with the firmware: sequence numbers, time-outs, retries.

use dut_protocol::{PROTOCOL_VERSION, Refusal, Reply, schema_hash};
use thiserror::Error;

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum DutError {
    /// No (complete) answer arrived after all repetitions.
    #[error("the module does not answer ({attempts} attempts, {garbled} damaged frames)")]
    Silent { attempts: u32, garbled: u32 },
    /// The request may have been executed and must not be executed twice: the firmware restarted, or its link time-out
    /// passed, before the answer arrived.
    #[error("the answer to a request that must not be repeated was lost")]
    Unknown,
    /// The firmware refused the request.
    #[error("the firmware refused: {0:?}")]
    Refused(Refusal),
    /// Bench and firmware were built from different message tables.
    #[error(
        "the firmware speaks protocol {version} (schema {schema:016x}), the bench {PROTOCOL_VERSION} ({:016x}): flash \
         the firmware that belongs to this bench",
        schema_hash()
    )]
    OtherProtocol { version: u16, schema: u64 },
    #[error("job {0} did not end in time")]
    JobLate(u8),
    /// The firmware restarted, or many later jobs replaced the entry.
    #[error("the firmware does not know job {0}")]
    JobLost(u8),
    /// The firmware's answer does not belong to this request.
    #[error("the firmware answered out of turn: {0:?}")]
    OutOfTurn(Reply),
    /// The bench's own link failed.
    #[error(transparent)]
    Link(#[from] crate::InstrumentError),
}
