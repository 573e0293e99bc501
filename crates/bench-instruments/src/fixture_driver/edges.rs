//! Edges on the measure bus, timed by an input of the controller.

use super::FixtureDriver;
use super::measure_bus::{SETTLE, both};
use crate::{EdgeCapture, EdgeLine, EdgeTrace, InstrumentError};
use async_trait::async_trait;
use bench_run::Contact;
use embedded_hal::i2c::I2c;
use std::time::Duration;

/// Stops recording when dropped, also when its future was dropped.
struct Recording<'a> {
    line: &'a dyn EdgeLine,
    ended: bool,
}

impl Recording<'_> {
    fn end(mut self) -> Result<EdgeTrace, InstrumentError> {
        self.ended = true;
        self.line.end()
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.line.end(); // the trace is no longer needed
        }
    }
}

impl<I: I2c> FixtureDriver<I> {
    /// Gives the driver the controller's input behind the measure bus' Schmitt buffer.
    #[must_use]
    pub fn with_edge_line(mut self, line: Box<dyn EdgeLine>) -> Self {
        self.edge_line = Some(line);
        self
    }
}

#[async_trait(?Send)]
impl<I: I2c> EdgeCapture for FixtureDriver<I> {
    async fn capture(&self, contact: Contact, window: Duration) -> Result<EdgeTrace, InstrumentError> {
        let line = self.edge_line.as_deref().ok_or(InstrumentError::NoEdgeLine)?;
        let _bus = self.measuring.lock().await;
        let joined = self.join(contact)?;
        self.clock.sleep(SETTLE).await;
        let outcome = match line.begin() {
            Ok(()) => {
                let recording = Recording { line, ended: false };
                self.clock.sleep(window).await;
                recording.end()
            }
            Err(error) => Err(error),
        };
        both(outcome, joined.open())
    }
}
