//! Observation of the CPU's bus, for tests that run another core in lockstep.

use std::fmt;

/// One access to a peripheral, FICR, UICR or another address that is not plain memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusAccess {
    /// First address.
    pub address: u32,
    /// Size of the access: 1, 2 or 4.
    pub bytes: u32,
    /// Value written; `None`: a read.
    pub written: Option<u32>,
    /// Value read; `None`: a write, or a bus fault.
    pub read: Option<u32>,
}

/// Receives the actions of a CPU and its inputs, in order. `step` counts instructions, exception entries and reset
/// sequences since power-on.
pub trait Observer: Send {
    /// The current instruction makes an access.
    fn access(&mut self, access: BusAccess);

    /// After an instruction with accesses, before the next one: registers r0 to r15 and xPSR, cycles since power-on.
    fn after(&mut self, step: u64, cycles: u64, registers: &[u32; 17]);

    /// The interrupt lines change to these.
    fn lines(&mut self, step: u64, lines: u64);

    /// A peripheral wrote to RAM.
    fn dma(&mut self, step: u64, offset: u32, bytes: &[u8]);

    /// The CPU is reset; contents of the memories at that time.
    fn reset(&mut self, step: u64, ram: &[u8], flash: &[u8]);

    /// A debugger halts the core: until the next reset, not all actions come from the program.
    fn debugged(&mut self);
}

/// The observer of a chip, if it has one. A copy of the chip has none.
#[derive(Default)]
pub(crate) struct Watcher(pub Option<Box<dyn Observer>>);

impl Clone for Watcher {
    fn clone(&self) -> Watcher {
        Watcher(None)
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "watched" } else { "unwatched" })
    }
}
