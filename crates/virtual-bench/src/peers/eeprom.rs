//! 24LC256, 256 kbit I2C EEPROM (Microchip data sheet DS20001203): two address bytes, pages of 64 bytes, no
//! acknowledgement while it writes.

use super::PinOutputs;

pub const SDA: u8 = 1 << 0;
pub const SCL: u8 = 1 << 1;

const BYTES: usize = 32 * 1024;
const PAGE: u16 = 64;
/// Longest write cycle.
const WRITE_NS: u64 = 5_000_000;
const BITS: u8 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// The byte after a START.
    Control,
    AddressHigh,
    AddressLow,
    Data,
    Sending,
}

pub struct Eeprom {
    memory: Vec<u8>,
    address: u8,
    levels: u8,
    phase: Phase,
    /// Clocks since the byte began: 8 bits, then the acknowledge.
    bit: u8,
    shift: u8,
    pointer: u16,
    /// Bytes of a write that no STOP has ended yet.
    written: Vec<(u16, u8)>,
    busy_until_ns: u64,
    out: u8,
    acknowledged: bool,
    pulls_low: bool,
}

impl Eeprom {
    pub fn new(address: u8) -> Self {
        Self {
            memory: vec![0xFF; BYTES],
            address,
            levels: SDA | SCL,
            phase: Phase::Idle,
            bit: 0,
            shift: 0,
            pointer: 0,
            written: Vec::new(),
            busy_until_ns: 0,
            out: 0,
            acknowledged: false,
            pulls_low: false,
        }
    }

    pub fn lines(&mut self, levels: u8, at_ns: u64) -> PinOutputs {
        let before = std::mem::replace(&mut self.levels, levels);
        let data = levels & SDA != 0;
        match (before & SCL != 0, levels & SCL != 0) {
            (true, true) if (before ^ levels) & SDA != 0 => self.condition(data, at_ns),
            (false, true) => self.clock_rose(data),
            (true, false) => self.clock_fell(at_ns),
            _ => {}
        }
        PinOutputs { driven: if self.pulls_low { SDA } else { 0 }, high: 0 }
    }

    /// SDA changed while the clock was high: rising is STOP, falling is START.
    fn condition(&mut self, rose: bool, at_ns: u64) {
        let written = std::mem::take(&mut self.written);
        // A STOP writes only when it follows an acknowledge at once: the clock of the next bit has risen for it.
        if rose && self.phase == Phase::Data && self.bit <= 1 && !written.is_empty() {
            for (place, byte) in written {
                self.memory[usize::from(place) % BYTES] = byte;
            }
            self.busy_until_ns = at_ns + WRITE_NS;
        }
        self.phase = if rose { Phase::Idle } else { Phase::Control };
        (self.bit, self.shift, self.pulls_low) = (0, 0, false);
    }

    fn clock_rose(&mut self, data: bool) {
        match self.bit {
            0..BITS => self.shift = self.shift << 1 | u8::from(data),
            _ => self.acknowledged = !data,
        }
        self.bit = (self.bit + 1).min(BITS + 1);
    }

    fn clock_fell(&mut self, at_ns: u64) {
        match (self.phase, self.bit) {
            (Phase::Idle, _) => {}
            // After a START, before the first bit.
            (_, 0) => {}
            (Phase::Sending, 1..BITS) => self.send_bit(),
            (Phase::Sending, BITS) => self.pulls_low = false,
            (Phase::Sending, _) if self.acknowledged => self.send_next(),
            (Phase::Sending, _) => (self.phase, self.pulls_low) = (Phase::Idle, false),
            (_, BITS) => self.received(at_ns),
            (_, 1..BITS) => {}
            _ => {
                (self.bit, self.pulls_low) = (0, false);
                if self.phase == Phase::Control {
                    match self.shift & 1 {
                        1 => self.send_next(),
                        _ => self.phase = Phase::AddressHigh,
                    }
                } else {
                    self.phase = match self.phase {
                        Phase::AddressHigh => Phase::AddressLow,
                        _ => Phase::Data,
                    };
                }
            }
        }
    }

    /// A whole byte: acknowledged if it is for this part.
    fn received(&mut self, at_ns: u64) {
        let byte = self.shift;
        match self.phase {
            Phase::Control if byte >> 1 != self.address || at_ns < self.busy_until_ns => {
                self.phase = Phase::Idle;
                return;
            }
            Phase::AddressHigh => self.pointer = u16::from(byte) << 8 | self.pointer & 0xFF,
            Phase::AddressLow => self.pointer = self.pointer & 0xFF00 | u16::from(byte),
            Phase::Data => {
                self.written.push((self.pointer, byte));
                // At the end of a page the address wraps to its beginning.
                self.pointer = self.pointer & !(PAGE - 1) | self.pointer.wrapping_add(1) & (PAGE - 1);
            }
            _ => {}
        }
        self.pulls_low = true;
    }

    fn send_next(&mut self) {
        self.phase = Phase::Sending;
        self.out = self.memory[usize::from(self.pointer) % BYTES];
        self.pointer = self.pointer.wrapping_add(1);
        self.bit = 0;
        self.send_bit();
    }

    fn send_bit(&mut self) {
        self.pulls_low = self.out << self.bit & 0x80 == 0;
    }
}
