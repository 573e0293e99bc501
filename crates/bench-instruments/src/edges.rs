//! Level changes of one contact, with their times: for PWM and clocks.

use crate::InstrumentError;
use async_trait::async_trait;
use bench_run::Contact;
use std::time::Duration;

/// Most edges of one capture; later ones are left out.
pub const MOST_EDGES: usize = 4096;

/// One level change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Time by the clock of the bench, nanoseconds since a moment that is the same for all edges of a trace. On a
    /// Raspberry Pi the kernel reads the clock in its interrupt: a few microseconds late, sometimes more.
    pub at_ns: u64,
    pub rising: bool,
}

/// Result of one capture at a contact.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EdgeTrace {
    /// Level at the start of the capture.
    pub high_before: bool,
    /// In the order of their times, at most [`MOST_EDGES`]. Two edges in the same direction in a row mean that one
    /// between them was lost.
    pub edges: Vec<Edge>,
}

/// Times the edges of one contact.
#[async_trait(?Send)]
pub trait EdgeCapture {
    /// Joins the contact to the measure bus and records its level changes for `window`. An open contact has none,
    /// whatever its neighbours do.
    ///
    /// # Errors
    /// [`InstrumentError::NotWired`] for a contact that does not reach the measure bus,
    /// [`InstrumentError::NoEdgeLine`] on a fixture that cannot time edges.
    async fn capture(&self, contact: Contact, window: Duration) -> Result<EdgeTrace, InstrumentError>;
}

/// The controller's input behind the Schmitt buffer on the measure bus.
pub trait EdgeLine {
    /// Discards what was recorded and starts to record.
    fn begin(&self) -> Result<(), InstrumentError>;
    /// Ends recording; without a start the trace is empty.
    fn end(&self) -> Result<EdgeTrace, InstrumentError>;
}
