//! The debug port, as a probe sees it: SW-DP, the AHB access port to memory, CTRL-AP, and halting debug.
//!
//! The unit is a transfer of a probe, not bits on the line: a read of an access port returns its own value, not that of
//! the previous read. Errors are sticky, the line must be reset and switched to SWD first, and the address
//! auto-increments within 10 bits.

mod lock;
mod port;

pub(crate) use lock::AccessLock;
pub use port::DapFault;
pub(crate) use port::DebugPort;

use crate::board::{Board, with_board_set};
use crate::chip::Chip;
use crate::fabric::{RAM_SIZE, ResetCause};
use cortex_m4f::DHCSR;
use port::Behind;

/// A register of the debug port or of the access port that SELECT names; bits 3:2 of the address count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DapRegister {
    /// A register of the debug port, by its address.
    Dp(u8),
    /// A register of the selected access port, by its address.
    Ap(u8),
}

/// The core's own registers and the ROM table.
const PRIVATE: std::ops::RangeInclusive<u32> = 0xE000_0000..=0xE00F_FFFF;
const ROM_TABLE: u32 = 0xE00F_F000;
/// A core without a program ends here, and debuggers read it: returns 0 instead of a fault.
const VENDOR_SYSTEM: u32 = 0xF000_1000;

/// NVMC.READY.
const FLASH_READY: u32 = 0x4001_E400;

/// Registers of CTRL-AP.
const RESET: u8 = 0x00;
const ERASE_ALL: u8 = 0x04;
const ERASE_ALL_STATUS: u8 = 0x08;
const PROTECT_STATUS: u8 = 0x0C;

impl Chip {
    /// The probe clocks levels out on SWDIO, lowest bit first: line resets and the switch from JTAG to SWD.
    pub fn dap_sequence(&mut self, bits: u64, length: u8) {
        if self.is_powered() {
            self.state.port.sequence(bits, length);
        }
    }

    /// A read by the probe, at this instant.
    ///
    /// # Errors
    /// The acknowledgement on the line.
    pub fn dap_read(&mut self, register: DapRegister, board: &mut dyn Board) -> Result<u32, DapFault> {
        if !self.is_powered() {
            return Err(DapFault::NoAnswer);
        }
        let value = match register {
            DapRegister::Dp(address) => return self.state.port.read(address),
            DapRegister::Ap(address) => match self.state.port.access(address, self.is_open(), None)? {
                Behind::Value(value) => value,
                Behind::Control(register) => self.read_control(register),
                Behind::Memory { address, bytes } => {
                    let lane = 8 * (address & 3);
                    let value = self.with_board(board, |chip| chip.read_debugged(address, bytes));
                    value.ok_or_else(|| self.state.port.failed())? << lane
                }
            },
        };
        self.state.port.keep(value);
        Ok(value)
    }

    /// A write by the probe, at this instant.
    ///
    /// # Errors
    /// The acknowledgement on the line.
    pub fn dap_write(&mut self, register: DapRegister, value: u32, board: &mut dyn Board) -> Result<(), DapFault> {
        if !self.is_powered() {
            return Err(DapFault::NoAnswer);
        }
        match register {
            DapRegister::Dp(address) => self.state.port.write(address, value),
            DapRegister::Ap(address) => match self.state.port.access(address, self.is_open(), Some(value))? {
                Behind::Value(_) => Ok(()),
                Behind::Control(register) => {
                    self.with_board(board, |chip| chip.write_control(register, value));
                    Ok(())
                }
                Behind::Memory { address, bytes } => {
                    let value = value >> (8 * (address & 3));
                    let done = self.with_board(board, |chip| chip.write_debugged(address, bytes, value));
                    done.ok_or_else(|| self.state.port.failed())
                }
            },
        }
    }

    /// Whether a read of this register now would report a wait: the core runs, the flash is busy, or CTRL-AP erases.
    pub fn dap_is_awaited(&self, register: DapRegister) -> bool {
        let DapRegister::Ap(address) = register else { return false };
        let soc = &self.soc;
        match self.state.port.meant(address) {
            (0, 0x0C) => match self.state.port.memory_address() {
                DHCSR => self.cpu.is_debugged() && !self.cpu.is_halted(),
                FLASH_READY => soc.nvmc.is_busy(self.state.now),
                _ => false,
            },
            (1, ERASE_ALL_STATUS) => soc.access.is_erasing() && soc.nvmc.is_busy(self.state.now),
            _ => false,
        }
    }

    /// Whether a debugger has halted the core.
    pub fn is_halted(&self) -> bool {
        self.cpu.is_halted()
    }

    fn with_board<R>(&mut self, board: &mut dyn Board, access: impl FnOnce(&mut Chip) -> R) -> R {
        let result = with_board_set(board, || {
            self.soc.catch_up(self.state.now);
            access(self)
        });
        // The debugger polls the flash here, not the CPU.
        self.soc.fabric.polls_until = 0;
        self.refresh();
        result
    }

    fn is_open(&self) -> bool {
        let soc = &self.soc;
        soc.access.is_open(&soc.clock)
    }

    // ---- AHB access port ----

    fn read_debugged(&mut self, address: u32, bytes: u32) -> Option<u32> {
        if !address.is_multiple_of(bytes) {
            return None;
        }
        if PRIVATE.contains(&address) {
            let word = self.read_private(address & !3);
            return Some(word >> (8 * (address & 3)));
        }
        if address >= VENDOR_SYSTEM {
            return Some(0);
        }
        self.soc.read_mapped(address, bytes)
    }

    fn read_private(&mut self, word: u32) -> u32 {
        if word >= ROM_TABLE {
            return rom_table(word - ROM_TABLE);
        }
        self.cpu.read_system(word)
    }

    fn write_debugged(&mut self, address: u32, bytes: u32, value: u32) -> Option<()> {
        if !address.is_multiple_of(bytes) {
            return None;
        }
        if PRIVATE.contains(&address) {
            self.cpu.write_system(address, value);
            if address == DHCSR {
                // A core that was halted or stepped no longer sleeps.
                self.state.asleep = false;
            }
            if self.cpu.reset_is_requested() {
                self.restart(ResetCause::Software);
            }
            return Some(());
        }
        self.soc.write_mapped(address, bytes, value)
    }

    // ---- CTRL-AP ----

    fn read_control(&mut self, register: u8) -> u32 {
        let soc = &mut self.soc;
        soc.catch_up(self.state.now);
        match register {
            RESET => u32::from(self.state.held_by_debugger),
            ERASE_ALL_STATUS => u32::from(soc.access.is_erasing() && soc.nvmc.is_busy(soc.fabric.now)),
            PROTECT_STATUS => u32::from(soc.access.is_open(&soc.clock)),
            _ => 0,
        }
    }

    fn write_control(&mut self, register: u8, value: u32) {
        match register {
            RESET if value & 1 != 0 => self.state.held_by_debugger = true,
            RESET if self.state.held_by_debugger => {
                self.state.held_by_debugger = false;
                self.restart(ResetCause::Software);
            }
            ERASE_ALL if value & 1 != 0 => {
                let soc = &mut self.soc;
                soc.catch_up(self.state.now);
                let crate::soc::Soc { nvmc, fabric, access, .. } = soc;
                nvmc.erase_by_control_port(fabric);
                access.erased();
                // RAM is erased, too.
                let _ = fabric.ram.fill(0, RAM_SIZE, 0);
            }
            _ => {}
        }
    }
}

/// One entry, the system control space; designer Nordic, part 0x08.
pub(crate) fn rom_table(offset: u32) -> u32 {
    match offset {
        0x000 => 0xFFF0_F003,
        0xFD0 => 0x02,
        0xFE0 => 0x08,
        0xFE4 => 0x40,
        0xFE8 => 0x34,
        0xFF0 => 0x0D,
        0xFF4 => 0x10,
        0xFF8 => 0x05,
        0xFFC => 0xB1,
        _ => 0,
    }
}
