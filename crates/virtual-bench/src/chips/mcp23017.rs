//! MCP23017 16-bit port expander (Microchip DS20001952).

use super::I2cDevice;

const IODIR: usize = 0;
const IPOL: usize = 1;
const IOCON: usize = 5;
const GPPU: usize = 6;
const INTF: usize = 7;
const INTCAP: usize = 8;
const GPIO: usize = 9;
const OLAT: usize = 10;
/// Registers per port.
const REGISTERS: usize = 11;

/// IOCON: registers of one port in a row instead of in pairs.
const BANK: u8 = 0x80;
/// IOCON: the pointer does not increment.
const SEQOP: u8 = 0x20;
/// IOCON: bit 0 is not implemented.
const IOCON_MASK: u8 = 0xFE;

/// State of one pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitState {
    High,
    Low,
    /// Input with the 100 kohm pull-up.
    PullUp,
    Float,
}

#[derive(Debug, Clone)]
pub struct Mcp23017 {
    /// [port A, port B][register].
    registers: [[u8; REGISTERS]; 2],
    pointer: u8,
    pointer_written: bool,
    /// Levels at the pins, as the inputs see them.
    inputs: u16,
}

impl Default for Mcp23017 {
    /// State after power-on: all pins inputs, no pull-ups, registers in pairs.
    fn default() -> Self {
        let mut port = [0; REGISTERS];
        port[IODIR] = 0xFF;
        Self { registers: [port; 2], pointer: 0, pointer_written: false, inputs: 0 }
    }
}

impl Mcp23017 {
    /// State of pin 0..=15 (GPA0..GPB7).
    pub fn bit(&self, bit: u8) -> BitState {
        let port = &self.registers[usize::from(bit / 8) & 1];
        let mask = 1 << (bit % 8);
        match (port[IODIR] & mask != 0, port[OLAT] & mask != 0, port[GPPU] & mask != 0) {
            (false, true, _) => BitState::High,
            (false, false, _) => BitState::Low,
            (true, _, true) => BitState::PullUp,
            (true, _, false) => BitState::Float,
        }
    }

    /// The levels at all 16 pins, those it drives itself included.
    pub fn inputs(&self) -> u16 {
        self.inputs
    }
    pub fn set_inputs(&mut self, levels: u16) {
        self.inputs = levels;
    }

    /// Port and register of an address, if any.
    fn locate(&self, address: u8) -> Option<(usize, usize)> {
        let address = usize::from(address);
        let (port, register) = if self.registers[0][IOCON] & BANK == 0 {
            (address % 2, address / 2)
        } else {
            (address >> 4, address & 0xF)
        };
        (port < 2 && register < REGISTERS).then_some((port, register))
    }

    fn advance(&mut self) {
        let iocon = self.registers[0][IOCON];
        match (iocon & SEQOP != 0, iocon & BANK != 0) {
            // In byte mode the pointer toggles between the two ports of a pair, and stays where there are no pairs.
            (true, false) => self.pointer ^= 1,
            (true, true) => {}
            (false, _) => {
                self.pointer = self.pointer.wrapping_add(1);
                let last = if iocon & BANK == 0 { 0x15 } else { 0x1A };
                if self.pointer > last {
                    self.pointer = 0;
                }
            }
        }
    }
}

impl I2cDevice for Mcp23017 {
    fn start(&mut self, _at_ns: u64) {
        self.pointer_written = false;
    }

    fn write(&mut self, byte: u8, _at_ns: u64) -> bool {
        if !std::mem::replace(&mut self.pointer_written, true) {
            self.pointer = byte;
            return true;
        }
        let place = self.locate(self.pointer);
        self.advance();
        if let Some((port, register)) = place {
            match register {
                // One register at two addresses.
                IOCON => self.registers.iter_mut().for_each(|port| port[IOCON] = byte & IOCON_MASK),
                INTF | INTCAP => {}
                // Writing the port writes the latch.
                GPIO => self.registers[port][OLAT] = byte,
                _ => self.registers[port][register] = byte,
            }
        }
        true
    }

    fn read(&mut self, _at_ns: u64) -> u8 {
        let place = self.locate(self.pointer);
        self.advance();
        match place {
            Some((port, GPIO)) => (self.inputs >> (8 * port)) as u8 ^ self.registers[port][IPOL],
            Some((port, register)) => self.registers[port][register],
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::OneChip;
    use super::*;
    use embedded_hal::i2c::I2c;
    use mcp230xx::{Direction, Level, Mcp230xx, PullUp};

    fn register(bus: &mut OneChip<Mcp23017>, address: u8) -> u8 {
        let mut byte = [0];
        bus.write_read(0x20, &[address], &mut byte).unwrap();
        byte[0]
    }

    #[test]
    fn reset_values_and_read_back() {
        let mut bus = OneChip::new(0x20, Mcp23017::default());
        // (address in pairs, value after reset, written, read back)
        for (address, reset, written, back) in [
            (0x00, 0xFF, 0x5A, 0x5A), // IODIRA
            (0x01, 0xFF, 0xA5, 0xA5), // IODIRB
            (0x02, 0x00, 0x00, 0x00), // IPOLA
            (0x04, 0x00, 0x11, 0x11), // GPINTENA
            (0x06, 0x00, 0x22, 0x22), // DEFVALA
            (0x08, 0x00, 0x33, 0x33), // INTCONA
            (0x0A, 0x00, 0x43, 0x42), // IOCON, bit 0 not implemented
            (0x0B, 0x42, 0x00, 0x00), // IOCON again
            (0x0C, 0x00, 0x44, 0x44), // GPPUA
            (0x0E, 0x00, 0x55, 0x00), // INTFA, read only
            (0x10, 0x00, 0x66, 0x00), // INTCAPA, read only
            (0x14, 0x00, 0x77, 0x77), // OLATA
            (0x15, 0x00, 0x88, 0x88), // OLATB
        ] {
            assert_eq!(register(&mut bus, address), reset, "reset value of {address:#04x}");
            bus.write(0x20, &[address, written]).unwrap();
            assert_eq!(register(&mut bus, address), back, "read back of {address:#04x}");
        }
    }

    #[test]
    fn the_pointer_moves_on_and_wraps() {
        let mut bus = OneChip::new(0x20, Mcp23017::default());
        bus.write(0x20, &[0x14, 0x12, 0x34, 0xF0, 0x0F]).unwrap();
        assert_eq!([0x14, 0x15, 0x00, 0x01].map(|address| register(&mut bus, address)), [0x12, 0x34, 0xF0, 0x0F]);
        bus.write(0x20, &[0x0A, 0x20]).unwrap();
        bus.write(0x20, &[0x14, 1, 2, 3]).unwrap();
        assert_eq!([register(&mut bus, 0x14), register(&mut bus, 0x15)], [3, 2], "byte mode toggles in the pair");
        bus.write(0x20, &[0x0A, 0x80]).unwrap();
        bus.write(0x20, &[0x1A, 0x99]).unwrap();
        assert_eq!(bus.device.borrow().registers[1][OLAT], 0x99, "ports in a row");
    }

    #[test]
    fn through_the_driver_crate() {
        let bus = OneChip::new(0x20, Mcp23017::default());
        let mut driver = Mcp230xx::<_, mcp230xx::Mcp23017>::new(bus.share(), 0x20).unwrap();
        driver.set_direction(mcp230xx::Mcp23017::A3, Direction::Output).unwrap();
        driver.set_gpio(mcp230xx::Mcp23017::A3, Level::High).unwrap();
        driver.set_pull_up(mcp230xx::Mcp23017::B7, PullUp::Enabled).unwrap();
        let states = [2, 3, 15].map(|bit| bus.device.borrow().bit(bit));
        assert_eq!(states, [BitState::Float, BitState::High, BitState::PullUp]);
        bus.device.borrow_mut().set_inputs(0x8000);
        assert_eq!(driver.gpio(mcp230xx::Mcp23017::B7).unwrap(), Level::High);
        assert_eq!(driver.gpio(mcp230xx::Mcp23017::B6).unwrap(), Level::Low);
        driver.set_input_polarity(mcp230xx::Mcp23017::B6, mcp230xx::Polarity::Inverted).unwrap();
        assert_eq!(driver.gpio(mcp230xx::Mcp23017::B6).unwrap(), Level::High);
    }
}
