//! The wires between a debug probe and the module, for probes that need no driver for their hardware.
//!
//! The transfers are those of a probe: a read of an access port returns its value, however many line transfers it
//! takes.

use async_trait::async_trait;

/// A register of the debug port or of the selected access port; bits 3:2 of the address count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwdRegister {
    Dp(u8),
    Ap(u8),
}

/// One operation of a probe on its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwdOperation {
    /// Levels on SWDIO, lowest bit first, one for each clock.
    Sequence { bits: u64, length: u8 },
    /// Reads the register this many times.
    Read { register: SwdRegister, times: usize },
    /// Writes these values to the register, one after the other.
    Write { register: SwdRegister, values: Vec<u32> },
}

/// Why a transfer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwdFault {
    /// No answer.
    NoAnswer,
    /// The module reported that the access, or one before it, failed.
    Fault,
}

/// Result of a list of operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwdAnswer {
    /// Everything that was read, up to a fault.
    pub read: Vec<u32>,
    /// Operations after a fault were not done.
    pub fault: Option<SwdFault>,
}

/// A probe's lines.
#[async_trait(?Send)]
pub trait SwdWire {
    /// Serial numbers of the probes that can be opened: one, unless something is wrong.
    fn probes(&self) -> Vec<String>;
    /// Performs the operations in their order, with `hz` clocks a second. Blocks for as long as they take.
    async fn run(&self, operations: &[SwdOperation], hz: u32) -> SwdAnswer;
}
