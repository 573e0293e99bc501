//! The module's external flash: one memory, reached bit by bit over SPI mode 0 (software) or in whole commands (the
//! QSPI peripheral).
//!
//! Particle writes serial number, secret and hardware data of a module to its one-time-programmable page (Device OS,
//! deviceid_hal.cpp).

mod memory;

use crate::random::{Purpose, Random};
use bench_plan::{AdcReference, Model};
use memory::{Memory, OTP_BYTES, Times};
use virtual_nrf52840::FlashCommand;

/// Ports of the flash on every family (Device OS, platform_config.h): the first two data lines of its QSPI bus serve as
/// plain SPI.
pub const CHIP_SELECT: usize = 17;
pub const CLOCK: usize = 19;
pub const DATA_IN: usize = 20;
pub const DATA_OUT: usize = 21;
const DATA_2: usize = 22;
const DATA_3: usize = 23;

const SERIAL_CHARACTERS: usize = 15;
const SECRET: std::ops::RangeInclusive<usize> = 0x10..=0x1E;
const MODEM_ID: usize = 0x20;
const HARDWARE_VERSION: usize = 0x21;
const FEATURE_FLAGS: usize = 0x22;
/// Feature flag, low-active: the SAADC uses its internal reference.
const INTERNAL_REFERENCE_FLAG: u16 = 1 << 15;

const FAST_READ: u8 = 0x0B;
const DUAL_READS: [u8; 2] = [0x3B, 0xBB];
const QUAD_READS: [u8; 2] = [0x6B, 0xEB];

/// Defects of the flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlashFaults {
    /// It is not fitted, or has no supply.
    pub absent: bool,
    /// The sector of this address keeps some zeros when it is erased.
    pub bad_sector: Option<u32>,
    /// Bit 2: IO2 is open between MCU and flash. Bit 3: IO3.
    pub open_lines: u8,
}

/// The flash and the state of its SPI transfer.
#[derive(Debug, Clone)]
pub struct ExternalFlash {
    memory: Memory,
    faults: FlashFaults,
    selected: bool,
    clock: bool,
    /// Bits since chip select.
    bits: u32,
    shift: u8,
    /// Whole bytes since chip select.
    received: Vec<u8>,
    out: u8,
}

/// Returns a serial number of this model: the known prefix, then digits.
pub fn serial_of(model: &Model, seed: u64) -> String {
    let mut random = Random::new(seed, Purpose::Memory);
    let mut serial = model.serial_prefixes.first().cloned().unwrap_or_else(|| "P000".to_owned());
    while serial.len() < SERIAL_CHARACTERS {
        serial.push(random.digit());
    }
    serial.truncate(SERIAL_CHARACTERS);
    serial
}

fn otp_page(model: &Model, serial: &str, seed: u64) -> [u8; OTP_BYTES] {
    let mut otp = [0xFF; OTP_BYTES];
    for (place, byte) in otp.iter_mut().zip(serial.bytes().take(SERIAL_CHARACTERS)) {
        *place = byte;
    }
    let mut random = Random::new(seed ^ 0x5EC2E7, Purpose::Memory);
    otp[SECRET].iter_mut().for_each(|byte| *byte = b'A' + (random.bits() % 26) as u8);
    otp[MODEM_ID] = model.ncp_ids.first().copied().unwrap_or(0xFF);
    otp[HARDWARE_VERSION] = 0x00;
    let flags = match model.adc_reference {
        AdcReference::Internal => !INTERNAL_REFERENCE_FLAG,
        AdcReference::QuarterSupply => u16::MAX,
    };
    otp[FEATURE_FLAGS..FEATURE_FLAGS + 2].copy_from_slice(&flags.to_le_bytes());
    otp
}

impl ExternalFlash {
    /// Creates the flash of a module that ran Device OS before: serial number and hardware data written, some sectors
    /// in use.
    pub fn new(model: &Model, serial: &str, seed: u64, faults: FlashFaults) -> Self {
        let id = model.external_flash_ids.first().copied().unwrap_or([0xFF; 3]);
        let mut memory = Memory::new(id, otp_page(model, serial, seed), Times::of(id), faults.bad_sector);
        let mut random = Random::new(seed ^ 0xF1A5, Purpose::Memory);
        memory.fill_some_sectors(|| random.bits() as u8);
        Self { memory, faults, selected: false, clock: false, bits: 0, shift: 0, received: Vec::new(), out: 0xFF }
    }

    /// Resets to the state after power-on. Written contents stay, the quad enable bit included.
    pub fn power_off(&mut self) {
        self.memory.power_off();
        (self.selected, self.bits) = (false, 0);
        self.received.clear();
    }

    /// The level of its output; `None` while it is not selected.
    pub fn output(&self) -> Option<bool> {
        (self.selected && !self.faults.absent).then_some(self.out & 0x80 != 0)
    }

    /// New levels of select (low: selected), clock and data.
    pub fn lines(&mut self, select: bool, clock: bool, data: bool, at_ns: u64) {
        let was_selected = std::mem::replace(&mut self.selected, !select);
        let was_clock = std::mem::replace(&mut self.clock, clock);
        match (was_selected, self.selected, was_clock, clock) {
            (true, false, ..) => self.deselected(at_ns),
            (false, true, ..) => {
                (self.bits, self.shift, self.out) = (0, 0, 0xFF);
                self.received.clear();
            }
            (true, true, false, true) => {
                self.shift = self.shift << 1 | u8::from(data);
                self.bits += 1;
                if self.bits.is_multiple_of(8) {
                    self.received.push(self.shift);
                }
            }
            (true, true, true, false) => {
                // The bit after the last one of a byte starts the next byte.
                self.out = if self.bits.is_multiple_of(8) { self.next_byte(at_ns) } else { self.out << 1 };
            }
            _ => {}
        }
    }

    /// Bytes to send after the received ones.
    fn next_byte(&self, at_ns: u64) -> u8 {
        let Some((&opcode, rest)) = self.received.split_first() else { return 0xFF };
        // Opcode, address and dummy come before the data.
        let header = memory::address_bytes(opcode) + usize::from(opcode == FAST_READ);
        match rest.len().checked_sub(header) {
            Some(index) => self.memory.byte(opcode, address(rest), index as u32, at_ns),
            None => 0xFF,
        }
    }

    /// Commands take effect when select is released after a whole byte.
    fn deselected(&mut self, at_ns: u64) {
        let received = std::mem::take(&mut self.received);
        if let Some((&opcode, rest)) = received.split_first()
            && self.bits.is_multiple_of(8)
            && !self.faults.absent
        {
            let header = memory::address_bytes(opcode);
            if rest.len() >= header {
                self.memory.execute(opcode, address(rest), &rest[header..], at_ns);
            }
        }
    }

    /// A whole command of the QSPI peripheral.
    pub fn command(&mut self, command: &FlashCommand<'_>, read: &mut [u8], at_ns: u64) {
        read.fill(0xFF);
        let FlashCommand { ports, opcode, data_lines, address_lines, .. } = *command;
        let wired = ports.select == Some(CHIP_SELECT)
            && ports.clock == Some(CLOCK)
            && ports.data[..2] == [Some(DATA_IN), Some(DATA_OUT)];
        if !wired || self.faults.absent {
            return;
        }
        let quad = data_lines == 4 || address_lines == 4;
        let quad_enabled = self.memory.quad_enabled();
        // Without the quad enable bit IO3 is HOLD (low: pause) and quad commands are unknown.
        let held = !quad_enabled && !command.idle_levels[1] && !quad && self.faults.open_lines >> 3 & 1 == 0;
        if held || quad && !quad_enabled {
            return;
        }
        let stuck = self.stuck_bits(ports.data);
        let nibbles = |lines: u8| if lines == 4 { stuck } else { 0 };
        // An open line keeps the charge of the last level that was driven on it: high.
        let address = command.address.unwrap_or(0) | u32::from_ne_bytes([nibbles(address_lines); 4]);
        let data: Vec<u8> = command.write.iter().map(|byte| byte | nibbles(data_lines)).collect();
        // To the memory, a read on more lines is a plain read.
        let plain = if DUAL_READS.contains(&opcode) || QUAD_READS.contains(&opcode) { FAST_READ } else { opcode };
        for (index, byte) in read.iter_mut().enumerate() {
            *byte = self.memory.byte(plain, address, index as u32, at_ns) | nibbles(data_lines);
        }
        self.memory.execute(plain, address, &data, at_ns);
    }

    /// The bits of each byte that an open IO2 or IO3 does not transfer.
    fn stuck_bits(&self, data: [Option<usize>; 4]) -> u8 {
        let is_open = |line: usize, port: usize| self.faults.open_lines >> line & 1 == 1 || data[line] != Some(port);
        (u8::from(is_open(2, DATA_2)) * 0x44) | (u8::from(is_open(3, DATA_3)) * 0x88)
    }
}

/// The first three bytes after the opcode, if present.
fn address(bytes: &[u8]) -> u32 {
    bytes.iter().take(3).fold(0, |address, byte| address << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests;
