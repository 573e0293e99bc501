//! The memories, accessed by levels.

use super::{PinOutputs, eeprom, eeprom::Eeprom, fram, fram::Fram};

/// A master of mode 0 or 3 with the part on its lines.
struct Spi {
    fram: Fram,
    mode_3: bool,
}

impl Spi {
    fn exchange(&mut self, write: &[u8], read: usize) -> Vec<u8> {
        let idle = if self.mode_3 { fram::SCK } else { 0 };
        self.fram.lines(fram::SS | idle);
        self.fram.lines(idle);
        let mut answer = Vec::new();
        for n in 0..write.len() + read {
            let byte = write.get(n).copied().unwrap_or(0);
            let received = (0..8).fold(0, |received, bit| {
                let mosi = if byte << bit & 0x80 != 0 { fram::MOSI } else { 0 };
                // The output set by a falling edge holds until the next one.
                let low = self.fram.lines(mosi);
                self.fram.lines(mosi | fram::SCK);
                let outputs = if self.mode_3 { low } else { self.fram.lines(mosi | fram::SCK) };
                received << 1 | u8::from(outputs.high & fram::MISO != 0)
            });
            if n >= write.len() {
                answer.push(received);
            }
        }
        self.fram.lines(idle);
        assert_eq!(self.fram.lines(fram::SS | idle), PinOutputs::default(), "lets MISO go");
        answer
    }
}

#[test]
fn fram_keeps_what_is_written_and_only_when_enabled() {
    for mode_3 in [false, true] {
        let mut spi = Spi { fram: Fram::new(0xA5), mode_3 };
        assert_eq!(spi.exchange(&[0x9F], 9), [0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0xC2, 0x22, 0x08]);
        spi.exchange(&[0x02, 0x12, 0x34, 1, 2], 0);
        assert_eq!(spi.exchange(&[0x03, 0x12, 0x34], 2), [0xA5, 0xA5], "not enabled");
        spi.exchange(&[0x06], 0);
        assert_eq!(spi.exchange(&[0x05], 1), [0x02]);
        spi.exchange(&[0x02, 0x7F, 0xFF, 1, 2], 0);
        assert_eq!(spi.exchange(&[0x05], 1), [0x00], "one write for one enabling");
        assert_eq!(spi.exchange(&[0x03, 0x7F, 0xFF], 3), [1, 2, 0xA5], "addresses go around");
        assert_eq!(spi.exchange(&[0x0B, 0x00, 0x00, 0x00], 1), [2], "fast read has a byte of pause");
        assert_eq!(spi.exchange(&[0x77], 2), [0, 0], "no such command");
    }
}

/// An I2C master with the part on its lines.
struct I2c {
    eeprom: Eeprom,
    now_ns: u64,
    pulled: bool,
}

impl I2c {
    fn new() -> Self {
        Self { eeprom: Eeprom::new(0x50), now_ns: 0, pulled: false }
    }

    /// Wired and: returns the level of SDA.
    fn set(&mut self, sda: bool, scl: bool) -> bool {
        self.now_ns += 1_000;
        let clock = if scl { eeprom::SCL } else { 0 };
        for _ in 0..2 {
            let data = if sda && !self.pulled { eeprom::SDA } else { 0 };
            self.pulled = self.eeprom.lines(data | clock, self.now_ns).driven != 0;
        }
        sda && !self.pulled
    }

    fn start(&mut self) {
        self.set(true, false);
        self.set(true, true);
        self.set(false, true);
        self.set(false, false);
    }

    fn stop(&mut self) {
        self.set(false, false);
        self.set(false, true);
        self.set(true, true);
    }

    fn bit(&mut self, bit: bool) -> bool {
        self.set(bit, false);
        let level = self.set(bit, true);
        self.set(bit, false);
        level
    }

    /// Whether the byte was acknowledged.
    fn write(&mut self, byte: u8) -> bool {
        for n in 0..8 {
            self.bit(byte << n & 0x80 != 0);
        }
        !self.bit(true)
    }

    fn read(&mut self, more: bool) -> u8 {
        let byte = (0..8).fold(0, |byte, _| byte << 1 | u8::from(self.bit(true)));
        self.bit(!more);
        byte
    }

    fn acknowledged(&mut self, bytes: &[u8]) -> usize {
        self.start();
        let count = bytes.iter().take_while(|byte| self.write(**byte)).count();
        self.stop();
        count
    }

    fn read_at(&mut self, address: [u8; 2], count: usize) -> Vec<u8> {
        self.start();
        assert!(self.write(0xA0) && self.write(address[0]) && self.write(address[1]));
        self.start();
        assert!(self.write(0xA1));
        let bytes = (0..count).map(|n| self.read(n + 1 < count)).collect();
        self.stop();
        bytes
    }
}

#[test]
fn eeprom_writes_within_a_page_and_is_deaf_meanwhile() {
    let mut bus = I2c::new();
    assert_eq!(bus.acknowledged(&[0xA2]), 0, "another address");
    assert_eq!(bus.acknowledged(&[0xA0, 0x01, 0x7E, 1, 2, 3]), 6);
    assert_eq!(bus.acknowledged(&[0xA0]), 0, "busy");
    bus.now_ns += 5_000_000;
    assert_eq!(bus.acknowledged(&[0xA0]), 1);
    assert_eq!(bus.read_at([0x01, 0x7E], 3), [1, 2, 0xFF], "the third went to the beginning of the page");
    assert_eq!(bus.read_at([0x01, 0x40], 1), [3]);
    bus.start();
    assert!(bus.write(0xA0) && bus.write(0x01) && bus.write(0x40) && bus.write(9));
    assert_eq!(bus.read_at([0x01, 0x40], 1), [3], "without a STOP nothing is kept");
}
