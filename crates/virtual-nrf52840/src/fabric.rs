//! State shared by all peripherals: the time, RAM for EasyDMA, the list of events that just fired.

use crate::board::{Board, ask_board};
use crate::diagnostic::{Access, Diagnostics, Problem};
use crate::memory::Memory;
use crate::ports::Ports;
use crate::tick_clock::TickClock;
use crate::time::{NANOSECOND, Time};

/// First address of RAM.
pub const RAM_BASE: u32 = 0x2000_0000;
/// Bytes of RAM.
pub const RAM_SIZE: u32 = 256 * 1024;
/// Bytes of flash.
pub const FLASH_SIZE: u32 = 1024 * 1024;
/// Bytes of a flash page, the smallest unit of erasing.
pub const FLASH_PAGE: u32 = 4096;

/// Everything that a peripheral can access while it handles a register access, a task or a deadline.
#[derive(Debug, Clone)]
pub(crate) struct Fabric {
    pub now: Time,
    pub ram: Memory,
    /// Writes of peripherals to RAM, for an observer; `None` without one.
    pub dma_log: Option<Vec<(u32, Vec<u8>)>>,
    /// Events (peripheral id, event number) generated and not yet handed to the PPI.
    pub fired: Vec<(u8, u8)>,
    /// Peripherals (by id) whose deadline or interrupt line may have changed.
    pub touched: u64,
    /// Ports (bit n is port n) whose state may have changed.
    pub dirty_ports: u64,
    /// Sense conditions or GPIOTE inputs must be compared again.
    pub sense_dirty: bool,
    pub ports: Ports,
    pub lfclk: TickClock,
    /// The 16 MHz clock of the peripherals; always runs.
    pub hfclk: TickClock,
    /// Events to which an enabled PPI channel is connected.
    pub listened: Vec<(u8, u8)>,
    pub diagnostics: Diagnostics,
    /// The board wants `run_until` to return.
    pub stop: bool,
    /// A reset of the chip was requested.
    pub reset: Option<ResetCause>,
    /// The output of the USB regulator is on.
    pub usb_power: bool,
    /// The power-fail comparator is on and the supply below its threshold.
    pub supply_fails: bool,
    /// SYSTEMOFF was written.
    pub system_off: bool,
    /// The CPU is halted until this time, because the flash it runs from is busy.
    pub stall_until: Time,
    /// The CPU has just read that the flash is busy until this time: the model may skip a polling loop in RAM.
    pub polls_until: Time,
}

/// Why the chip resets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetCause {
    /// The supply was switched on.
    PowerOn,
    /// The reset pin went low.
    ResetPin,
    /// The watchdog expired.
    Watchdog,
    /// AIRCR.SYSRESETREQ.
    Software,
    /// The CPU locked up.
    Lockup,
    /// A port with SENSE woke the chip from System OFF.
    WakeFromOff,
    /// A reader's field, sensed by NFCT, woke the chip from System OFF.
    WakeByField,
    /// VBUS woke the chip from System OFF.
    WakeByVbus,
}

impl ResetCause {
    /// Whether the cause ends System OFF.
    pub fn is_wake(self) -> bool {
        matches!(self, ResetCause::WakeFromOff | ResetCause::WakeByField | ResetCause::WakeByVbus)
    }
}

impl Fabric {
    pub fn touch(&mut self, id: u8) {
        self.touched |= 1 << id;
    }

    pub fn report(&mut self, problem: Problem) {
        self.diagnostics.report(self.now, problem);
    }

    pub fn not_supported(&mut self, peripheral: &'static str, what: &'static str) {
        self.report(Problem::NotSupported { peripheral, what });
    }

    pub fn not_modelled(&mut self, peripheral: &'static str, address: u32, access: Access, value: u32) {
        self.report(Problem::NotModelled { peripheral, address, access, value });
    }

    /// Calls the board and records whether it wants to stop afterwards.
    pub fn board<R>(&mut self, ask: impl FnOnce(&mut dyn Board, &Ports, u64) -> R) -> Option<R> {
        let (ports, at_ns) = (&self.ports, self.now / NANOSECOND);
        let (answer, stop) = ask_board(|board| {
            let answer = ask(board, ports, at_ns);
            (answer, board.wants_stop())
        })?;
        self.stop |= stop;
        Some(answer)
    }

    /// Whether an enabled PPI channel is connected to this event.
    pub fn is_listened(&self, id: u8, event: u8) -> bool {
        self.listened.contains(&(id, event))
    }

    /// The level at every port, from the board; without a board, from the ports themselves.
    pub fn levels(&mut self) -> u64 {
        match self.board(|board, ports, at_ns| board.levels(ports, at_ns)) {
            Some(levels) => levels,
            None => self.ports.levels_unconnected(),
        }
    }

    /// The 32.768 kHz clock changed: its users must compute new deadlines.
    pub fn lfclk_changed(&mut self) {
        self.touched |= 1 << 0x0B | 1 << 0x10 | 1 << 0x11 | 1 << 0x24;
    }

    /// The 16 MHz clock changed: timers and PWMs must compute new deadlines.
    pub fn hfclk_changed(&mut self) {
        self.touched |= 0x7 << 0x08 | 0x3 << 0x1A | 1 << 0x1C | 0x3 << 0x21 | 1 << 0x2D;
    }

    fn dma_offset(&mut self, peripheral: &'static str, address: u32, length: u32) -> Option<u32> {
        let offset = address.wrapping_sub(RAM_BASE);
        if offset < RAM_SIZE && length <= RAM_SIZE - offset {
            return Some(offset);
        }
        self.report(Problem::DmaOutsideRam { peripheral, address, length });
        None
    }

    /// EasyDMA read of one byte; `None` (and a diagnostic) outside RAM.
    pub fn dma_read(&mut self, peripheral: &'static str, address: u32) -> Option<u8> {
        let offset = self.dma_offset(peripheral, address, 1)?;
        self.ram.bytes().get(offset as usize).copied()
    }

    /// EasyDMA write; outside RAM, writes nothing and reports a diagnostic.
    pub fn dma_write(&mut self, peripheral: &'static str, address: u32, bytes: &[u8]) {
        if let Some(offset) = self.dma_offset(peripheral, address, bytes.len() as u32) {
            // Cannot fail: the range was just checked.
            let _ = self.ram.write_at(offset, bytes);
            if let Some(log) = &mut self.dma_log {
                log.push((offset, bytes.to_vec()));
            }
        }
    }
}
