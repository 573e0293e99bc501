//! Windows has no pseudo terminal that a program opens as a serial port, and that of macOS takes no rate.

use bench_instruments::{InstrumentError, Link};
use std::convert::Infallible;

pub struct Pty(Infallible);

impl Pty {
    /// Whether this system has pseudo terminals.
    pub const SUPPORTED: bool = false;

    /// # Errors
    /// Always.
    pub fn new(_baud: u32) -> std::io::Result<Self> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    pub fn name(&self) -> &str {
        match self.0 {}
    }

    /// # Errors
    /// Never reached.
    pub async fn carry(&mut self, _link: &mut dyn Link) -> Result<Infallible, InstrumentError> {
        match self.0 {}
    }
}
