//! The wires between a debug probe and the module, for probes whose hardware is not reached by a driver of its own.
//!
//! The transfers are those of a probe: an access port's read returns its value, whatever that takes on the line.

use async_trait::async_trait;

/// A register of the debug port, or of the access port that was selected; bits 3:2 of the address count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwdRegister {
    Dp(u8),
    Ap(u8),
}

/// One thing that a probe does on its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwdOperation {
    /// Levels on SWDIO, lowest bit first, one for each clock.
    Sequence { bits: u64, length: u8 },
    /// Reads the register so many times.
    Read { register: SwdRegister, times: usize },
    /// Writes these values to the register, one after the other.
    Write { register: SwdRegister, values: Vec<u32> },
}

/// How a transfer ended that did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwdFault {
    /// Nobody answered.
    NoAnswer,
    /// The module said that the access, or one before it, failed.
    Fault,
}

/// What came of operations that were asked for together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwdAnswer {
    /// Everything that was read, up to the fault if there was one.
    pub read: Vec<u32>,
    /// Nothing after a fault was done.
    pub fault: Option<SwdFault>,
}

/// A probe's lines.
#[async_trait(?Send)]
pub trait SwdWire {
    /// Serial number of the probe at these lines; `None`: there is no probe.
    fn probe(&self) -> Option<String>;
    /// Does what is asked, in its order, with `hz` clocks a second. Takes the time that it takes.
    async fn run(&self, operations: &[SwdOperation], hz: u32) -> SwdAnswer;
}
