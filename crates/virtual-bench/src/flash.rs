//! The module's external flash: identification and one-time-programmable memory, over SPI mode 0.
//!
//! Particle writes serial number, secret and hardware data of a module there (Device OS, deviceid_hal.cpp).

use crate::random::{Purpose, Random};
use bench_plan::{AdcReference, Model};

/// Ports of the flash on every family (Device OS, platform_config.h): the first two lines of its QSPI bus serve as
/// plain SPI.
pub const CHIP_SELECT: usize = 17;
pub const CLOCK: usize = 19;
pub const DATA_IN: usize = 20;
pub const DATA_OUT: usize = 21;

const READ: u8 = 0x03;
const READ_ID: u8 = 0x9F;
const ENTER_SECURED: u8 = 0xB1;
const EXIT_SECURED: u8 = 0xC1;

const OTP_BYTES: usize = 512;
const SERIAL_CHARACTERS: usize = 15;
const SECRET: std::ops::RangeInclusive<usize> = 0x10..=0x1E;
const MODEM_ID: usize = 0x20;
const HARDWARE_VERSION: usize = 0x21;
const FEATURE_FLAGS: usize = 0x22;
/// Feature flag, low-active: the SAADC uses its internal reference.
const INTERNAL_REFERENCE_FLAG: u16 = 1 << 15;

/// The flash and where its SPI transfer stands.
#[derive(Debug, Clone)]
pub struct ExternalFlash {
    id: [u8; 3],
    otp: [u8; OTP_BYTES],
    secured: bool,
    selected: bool,
    clock: bool,
    /// Bits since chip select.
    bits: u32,
    shift: u8,
    command: u8,
    address: u32,
    out: u8,
}

/// A serial number of this model: known prefix, then digits.
pub fn serial_of(model: &Model, seed: u64) -> String {
    let mut random = Random::new(seed, Purpose::Memory);
    let mut serial = model.serial_prefixes.first().cloned().unwrap_or_else(|| "P000".to_owned());
    while serial.len() < SERIAL_CHARACTERS {
        serial.push(random.digit());
    }
    serial.truncate(SERIAL_CHARACTERS);
    serial
}

impl ExternalFlash {
    pub fn new(model: &Model, serial: &str, seed: u64) -> Self {
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
        Self {
            id: model.external_flash_ids.first().copied().unwrap_or([0xFF; 3]),
            otp,
            secured: false,
            selected: false,
            clock: false,
            bits: 0,
            shift: 0,
            command: 0,
            address: 0,
            out: 0xFF,
        }
    }

    /// As after power-on.
    pub fn power_off(&mut self) {
        (self.secured, self.selected, self.bits) = (false, false, 0);
    }

    /// The level of its output; `None` while it is not selected.
    pub fn output(&self) -> Option<bool> {
        self.selected.then_some(self.out & 0x80 != 0)
    }

    /// New levels of select (low: selected), clock and data.
    pub fn lines(&mut self, select: bool, clock: bool, data: bool) {
        let was_selected = std::mem::replace(&mut self.selected, !select);
        let was_clock = std::mem::replace(&mut self.clock, clock);
        if !self.selected {
            return;
        }
        if !was_selected {
            (self.bits, self.shift, self.command, self.address, self.out) = (0, 0, 0, 0, 0xFF);
            return;
        }
        match (was_clock, clock) {
            (false, true) => {
                self.shift = self.shift << 1 | u8::from(data);
                self.bits += 1;
                if self.bits.is_multiple_of(8) {
                    self.byte_in(self.shift, self.bits / 8);
                }
            }
            (true, false) => {
                // The bit after the last one of a byte starts the next byte.
                self.out = if self.bits.is_multiple_of(8) { self.byte_out(self.bits / 8) } else { self.out << 1 };
            }
            _ => {}
        }
    }

    /// Byte number `count`, counted from 1, came in.
    fn byte_in(&mut self, byte: u8, count: u32) {
        match (count, self.command) {
            (1, _) => {
                self.command = byte;
                match byte {
                    ENTER_SECURED => self.secured = true,
                    EXIT_SECURED => self.secured = false,
                    _ => {}
                }
            }
            (2..=4, READ) => self.address = self.address << 8 | u32::from(byte),
            _ => {}
        }
    }

    /// What is sent after `received` bytes came in.
    fn byte_out(&self, received: u32) -> u8 {
        match (self.command, received) {
            // The id repeats as long as it is clocked.
            (READ_ID, 1..) => self.id[(received as usize - 1) % 3],
            (READ, 4..) if self.secured => {
                let address = self.address.wrapping_add(received - 4) as usize;
                self.otp.get(address % OTP_BYTES).copied().unwrap_or(0xFF)
            }
            // The array itself is erased.
            _ => 0xFF,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dut, model};

    fn transfer(flash: &mut ExternalFlash, write: &[u8], read: usize) -> Vec<u8> {
        flash.lines(true, false, false);
        flash.lines(false, false, false);
        let mut received = Vec::new();
        for n in 0..write.len() + read {
            let byte = write.get(n).copied().unwrap_or(0);
            let mut back = 0;
            for bit in (0..8).rev() {
                let data = byte >> bit & 1 == 1;
                flash.lines(false, false, data);
                flash.lines(false, true, data);
                back = back << 1 | u8::from(flash.output().unwrap());
                flash.lines(false, false, data);
            }
            received.push(back);
        }
        flash.lines(true, false, false);
        received.split_off(write.len())
    }

    #[test]
    fn identification_and_one_time_programmable_memory() {
        for (family, name, id, serial, modem, flags) in [
            ("b4xx", "b404x", [0xC2, 0x20, 0x16], "P042", 0x47, [0xFF, 0x7F]),
            ("b4xx", "b402", [0xC2, 0x20, 0x16], "P006", 0x44, [0xFF, 0xFF]),
            ("b5xx", "b524", [0xC2, 0x28, 0x17], "P034", 0x62, [0xFF, 0xFF]),
        ] {
            let family = dut(family);
            let model = model(&family, name);
            let text = serial_of(model, 1);
            let mut flash = ExternalFlash::new(model, &text, 1);
            assert_eq!(transfer(&mut flash, &[READ_ID], 3), id, "{name}");
            assert_eq!(transfer(&mut flash, &[READ, 0, 0, 0], 2), [0xFF, 0xFF], "not in the secured area");
            transfer(&mut flash, &[ENTER_SECURED], 0);
            let otp = transfer(&mut flash, &[READ, 0, 0, 0], 0x25);
            assert_eq!(otp[..15], *text.as_bytes());
            assert!(text.starts_with(serial) && text.len() == 15, "{text}");
            assert_eq!((otp[0x20], &otp[0x22..0x24], otp[0x24]), (modem, &flags[..], 0xFF), "{name}");
            assert_eq!(transfer(&mut flash, &[READ, 0, 0, 0x20], 1), [modem], "from the middle");
            transfer(&mut flash, &[EXIT_SECURED], 0);
            assert_eq!(transfer(&mut flash, &[READ, 0, 0, 0x20], 1), [0xFF]);
        }
    }
}
