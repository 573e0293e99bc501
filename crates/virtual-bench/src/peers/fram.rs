//! FM25V02A, 256 kbit SPI F-RAM (Infineon/Cypress data sheet 001-90865): samples at the rising edge of the clock and
//! changes its output at the falling edge, which is modes 0 and 3. Not modelled: write protection, sleep.

use super::PinOutputs;

pub const SCK: u8 = 1 << 0;
pub const MOSI: u8 = 1 << 1;
pub const MISO: u8 = 1 << 2;
pub const SS: u8 = 1 << 3;

const BYTES: usize = 32 * 1024;
const WRITE: u8 = 0x02;
const READ: u8 = 0x03;
const WRITE_DISABLE: u8 = 0x04;
const READ_STATUS: u8 = 0x05;
const WRITE_ENABLE: u8 = 0x06;
const FAST_READ: u8 = 0x0B;
const READ_ID: u8 = 0x9F;
/// Six continuation codes, maker, family and density, revision.
const ID: [u8; 9] = [0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0xC2, 0x22, 0x08];
const STATUS_WRITE_ENABLED: u8 = 1 << 1;
const ADDRESS_BYTES: usize = 2;

pub struct Fram {
    memory: Vec<u8>,
    write_enabled: bool,
    levels: u8,
    /// Bits since chip select went low.
    bits: u32,
    shift: u8,
    /// The first bytes since then: opcode and address.
    header: Vec<u8>,
    address: u16,
    /// Byte being sent, if any.
    out: Option<u8>,
}

impl Fram {
    pub fn new(content: u8) -> Self {
        Self {
            memory: vec![content; BYTES],
            write_enabled: false,
            levels: SS,
            bits: 0,
            shift: 0,
            header: Vec::new(),
            address: 0,
            out: None,
        }
    }

    pub fn lines(&mut self, levels: u8) -> PinOutputs {
        let before = std::mem::replace(&mut self.levels, levels);
        let rises = |line: u8| levels & !before & line != 0;
        let falls = |line: u8| before & !levels & line != 0;
        if rises(SS) {
            self.deselected();
        } else if falls(SS) {
            (self.bits, self.shift, self.out) = (0, 0, None);
            self.header.clear();
        } else if levels & SS == 0 {
            if rises(SCK) {
                // Data that changes at this edge comes too late for it: the master holds the old level longer
                // (nRF52840: 20 ns) than this part needs (5 ns).
                self.shift = self.shift << 1 | u8::from(before & MOSI != 0);
                self.bits += 1;
                if self.bits.is_multiple_of(8) {
                    self.received(self.shift);
                }
            } else if falls(SCK) && self.bits > 0 {
                self.out = match self.bits.is_multiple_of(8) {
                    true => self.next_byte(),
                    false => self.out.map(|out| out << 1),
                };
            }
        }
        match self.out {
            Some(out) if levels & SS == 0 => PinOutputs { driven: MISO, high: if out & 0x80 != 0 { MISO } else { 0 } },
            _ => PinOutputs::default(),
        }
    }

    fn has_address(&self) -> bool {
        matches!(self.header.first(), Some(&(WRITE | READ | FAST_READ)))
    }

    /// Handles a whole received byte. Writes take effect at once.
    fn received(&mut self, byte: u8) {
        if self.header.is_empty() || self.has_address() && self.header.len() <= ADDRESS_BYTES {
            self.header.push(byte);
            if let &[_, high, low] = self.header.as_slice() {
                self.address = u16::from_be_bytes([high, low]);
            }
        } else if self.header.first() == Some(&WRITE) && self.write_enabled {
            let place = usize::from(self.address) % BYTES;
            self.memory[place] = byte;
            self.address = self.address.wrapping_add(1);
        }
    }

    fn next_byte(&mut self) -> Option<u8> {
        let bytes = self.bits as usize / 8;
        match *self.header.first()? {
            READ_STATUS => Some(if self.write_enabled { STATUS_WRITE_ENABLED } else { 0 }),
            READ_ID => Some(ID[(bytes - 1) % ID.len()]),
            opcode @ (READ | FAST_READ) if bytes > ADDRESS_BYTES + usize::from(opcode == FAST_READ) => {
                let byte = self.memory[usize::from(self.address) % BYTES];
                self.address = self.address.wrapping_add(1);
                Some(byte)
            }
            _ => None,
        }
    }

    fn deselected(&mut self) {
        self.out = None;
        match (self.header.first(), self.bits >= 8) {
            (Some(&WRITE_ENABLE), true) => self.write_enabled = true,
            (Some(&(WRITE_DISABLE | WRITE)), true) => self.write_enabled = false,
            _ => {}
        }
    }
}
