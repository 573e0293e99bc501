//! The 16-bit port expander MCP23017.
//!
//! Own code, because the crates for this chip (`mcp230xx` 1.0, `mcp23017` 1.1) are built on embedded-hal 0.2, and
//! `mcp230xx` changes one pin at a time by reading and writing back: a vector over 60 nails would need 360
//! transactions, and the nails would move one after the other. Here a register pair is one burst of two bytes.

use super::{bus_error, implausible};
use crate::{Disturbance, InstrumentError};
use embedded_hal::i2c::I2c;

/// Register pairs with IOCON.BANK = 0 (MCP23017 data sheet DS20001952, table 3-3); the B register follows at +1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Register {
    /// 1 = input.
    Direction = 0x00,
    /// DEFVAL: without an effect while no interrupt is enabled, so it holds the mark that only a reset removes.
    Mark = 0x06,
    /// 1 = pull-up of 100 kohm on an input.
    PullUp = 0x0C,
    /// Levels of the pins.
    Levels = 0x12,
    /// Levels that outputs drive; kept while the pin is an input.
    Latch = 0x14,
}

const IPOL: u8 = 0x02;
const IOCON: u8 = 0x0A;
const IOCON_IF_BANK_WAS_1: u8 = 0x05;
const MARK: u16 = 0xA55A;

/// The wanted value of a register, and its last known one.
#[derive(Debug, Clone, Copy)]
struct Shadow {
    wanted: u16,
    /// `None`: never written, or a write failed.
    written: Option<u16>,
}

impl Shadow {
    const fn wanting(wanted: u16) -> Self {
        Self { wanted, written: None }
    }
}

/// One chip with a copy of its registers, so that only changes are written.
#[derive(Debug)]
pub struct Expander<B> {
    bus: B,
    id: String,
    address: u8,
    latch: Shadow,
    direction: Shadow,
    pull_up: Shadow,
    trusts_pins: bool,
    marked: bool,
}

impl<B: I2c> Expander<B> {
    /// Creates a driver without a transfer. The wanted values are those after the chip's own reset: all inputs, no
    /// pull-ups.
    pub fn new(bus: B, id: &str, address: u8) -> Self {
        Self {
            bus,
            id: id.to_owned(),
            address,
            latch: Shadow::wanting(0),
            direction: Shadow::wanting(0xFFFF),
            pull_up: Shadow::wanting(0),
            trusts_pins: false,
            marked: false,
        }
    }

    /// Sets the register addressing and the polarity that this driver needs, whatever the previous program set. In the
    /// other addressing mode the first byte pair is IOCON, in ours it is an interrupt register.
    pub fn reset_addressing(&mut self) -> Result<(), InstrumentError> {
        self.burst(&[IOCON_IF_BANK_WAS_1, 0])?;
        self.burst(&[IOCON, 0])?;
        self.burst(&[IPOL, 0, 0])?;
        let [a, b] = MARK.to_le_bytes();
        self.burst(&[Register::Mark as u8, a, b])?;
        self.marked = true;
        Ok(())
    }

    /// Sets the wanted bits of a register in `mask` to those of `bits`.
    pub fn want(&mut self, register: Register, mask: u16, bits: u16) {
        if let Some(shadow) = self.shadow(register) {
            shadow.wanted = shadow.wanted & !mask | bits & mask;
        }
    }

    /// Returns the wanted value of a register.
    pub fn wanted(&self, register: Register) -> u16 {
        match register {
            Register::Latch => self.latch.wanted,
            Register::Direction => self.direction.wanted,
            Register::PullUp => self.pull_up.wanted,
            Register::Levels | Register::Mark => 0,
        }
    }

    /// Writes a register if it differs from the wanted value.
    pub fn flush(&mut self, register: Register) -> Result<(), InstrumentError> {
        let Some(shadow) = self.shadow(register) else { return Ok(()) };
        if shadow.written == Some(shadow.wanted) {
            return Ok(());
        }
        let wanted = shadow.wanted;
        shadow.written = None;
        let [a, b] = wanted.to_le_bytes();
        self.burst(&[register as u8, a, b])?;
        if let Some(shadow) = self.shadow(register) {
            shadow.written = Some(wanted);
        }
        Ok(())
    }

    /// Writes all registers, changed or not: latches, then pull-ups, then directions, so that no pin becomes an output
    /// with a stale level. Stops at the first failure for the same reason.
    pub fn rewrite(&mut self) -> Result<(), InstrumentError> {
        for register in [Register::Latch, Register::PullUp, Register::Direction] {
            if let Some(shadow) = self.shadow(register) {
                shadow.written = None;
            }
            self.flush(register)?;
        }
        Ok(())
    }

    /// Reads the levels of all 16 pins. The same burst reads the latches, which follow the levels, and checks that the
    /// chip still has what was written: the watchdog of the fixture resets the expanders.
    pub fn levels(&mut self) -> Result<u16, InstrumentError> {
        let (levels, latch) = self.levels_and_latch()?;
        match self.latch.written {
            Some(written) if written != latch => {
                let detail = format!("its outputs are {latch:#06x} instead of {written:#06x}: it was reset");
                Err(implausible(&self.id, detail))
            }
            _ => Ok(levels),
        }
    }

    pub fn trust_pins(&mut self) {
        self.trusts_pins = true;
    }

    /// Reads outputs and directions back and compares them with the last write. After a reset they may be right again,
    /// because both were written since: the mark is not.
    pub fn check(&mut self) -> Result<(), Disturbance> {
        if self.marked && self.read(Register::Mark).is_ok_and(|mark| mark != MARK) {
            return Err(Disturbance::Reset { chip: self.id.clone() });
        }
        let (Some(latch), Some(direction)) = (self.latch.written, self.direction.written) else { return Ok(()) };
        let content = (|| {
            let (levels, latch) = self.levels_and_latch()?;
            Ok::<_, InstrumentError>((levels, (latch, self.read(Register::Direction)?)))
        })();
        let (levels, content) = match content {
            Ok(content) => content,
            Err(InstrumentError::Chip { chip, detail }) => return Err(Disturbance::Silent { chip, detail }),
            Err(other) => return Err(Disturbance::Silent { chip: self.id.clone(), detail: other.to_string() }),
        };
        if content == (latch, direction) {
            return self.pins_follow(levels, latch, direction);
        }
        let chip = self.id.clone();
        // All pins are inputs; latches may have been written since, without effect.
        if content.1 == 0xFFFF && (content.0 == 0 || direction != 0xFFFF) {
            return Err(Disturbance::Reset { chip });
        }
        let detail = format!(
            "latches {:#06x} and directions {:#06x} instead of {latch:#06x} and {direction:#06x}",
            content.0, content.1
        );
        Err(Disturbance::Changed { chip, detail })
    }

    /// Compares the levels of the outputs with what drives them: a pin may be stuck although its latch is right. Looks a
    /// second time before it says so.
    fn pins_follow(&mut self, levels: u16, latch: u16, direction: u16) -> Result<(), Disturbance> {
        let differing = |levels: u16| (levels ^ latch) & !direction;
        if self.trusts_pins || differing(levels) == 0 {
            return Ok(());
        }
        let still = self.levels_and_latch().map_or(0, |(again, _)| differing(levels) & differing(again));
        match still {
            0 => Ok(()),
            stuck => {
                let bit = stuck.trailing_zeros();
                let pin = format!("GP{}{}", if bit < 8 { 'A' } else { 'B' }, bit % 8);
                Err(Disturbance::Stuck { chip: self.id.clone(), pin, high: latch >> bit & 1 == 0 })
            }
        }
    }

    /// One burst: both register pairs follow each other.
    fn levels_and_latch(&mut self) -> Result<(u16, u16), InstrumentError> {
        let mut bytes = [0; 4];
        self.bus
            .write_read(self.address, &[Register::Levels as u8], &mut bytes)
            .map_err(|error| bus_error(&self.id, self.address, &error))?;
        let [a, b, latch_a, latch_b] = bytes;
        Ok((u16::from_le_bytes([a, b]), u16::from_le_bytes([latch_a, latch_b])))
    }

    /// Retries once after a failed transfer: one disturbed byte is no reset.
    fn read(&mut self, register: Register) -> Result<u16, InstrumentError> {
        let mut bytes = [0; 2];
        let first = self.bus.write_read(self.address, &[register as u8], &mut bytes);
        first
            .or_else(|_| self.bus.write_read(self.address, &[register as u8], &mut bytes))
            .map_err(|error| bus_error(&self.id, self.address, &error))?;
        Ok(u16::from_le_bytes(bytes))
    }

    /// `None` for what is not written from a copy.
    fn shadow(&mut self, register: Register) -> Option<&mut Shadow> {
        match register {
            Register::Latch => Some(&mut self.latch),
            Register::Direction => Some(&mut self.direction),
            Register::PullUp => Some(&mut self.pull_up),
            Register::Levels | Register::Mark => None,
        }
    }

    fn burst(&mut self, bytes: &[u8]) -> Result<(), InstrumentError> {
        self.bus.write(self.address, bytes).map_err(|error| bus_error(&self.id, self.address, &error))
    }
}
