//! The chips of the fixture, at the level of their registers.
//!
//! Each follows its data sheet, not the habits of one driver: the tests of this folder use every chip through a
//! third-party driver crate.

mod ads1115;
mod fitted;
mod ina226;
mod mcp23017;
mod mcp4728;
mod pn532;

pub use ads1115::Ads1115;
pub use fitted::{ChipModel, FittedChip};
pub use ina226::Ina226;
pub use mcp4728::{DacOutput, Mcp4728};
pub use mcp23017::{BitState, Mcp23017};
pub use pn532::Pn532;

/// A chip on the I2C bus, byte by byte.
pub trait I2cDevice {
    /// A start condition with this chip's address.
    fn start(&mut self, at_ns: u64);
    /// Takes a byte from the controller; `false` is a NACK.
    fn write(&mut self, byte: u8, at_ns: u64) -> bool;
    /// A byte for the controller.
    fn read(&mut self, at_ns: u64) -> u8;
}

/// A 16-bit register that is transferred in two bytes, high byte first: common to ADS1115 and INA226.
#[derive(Debug, Clone, Default)]
struct WordAccess {
    /// Register of the next bytes; it stays from one transaction to the next.
    pointer: u8,
    /// Bytes since the start condition.
    count: u32,
    high: u8,
}

impl WordAccess {
    fn start(&mut self) {
        self.count = 0;
    }
    /// Takes a byte; returns register and value when a word is complete.
    fn write(&mut self, byte: u8) -> Option<(u8, u16)> {
        let place = self.count;
        self.count += 1;
        match place {
            0 => self.pointer = byte,
            1 => self.high = byte,
            2 => return Some((self.pointer, u16::from_be_bytes([self.high, byte]))),
            // Further bytes belong to no register.
            _ => {}
        }
        None
    }
    /// Whether the next byte to read is the high byte, which latches the word.
    fn wants_word(&self) -> bool {
        self.count.is_multiple_of(2)
    }
    fn read(&mut self, word: u16) -> u8 {
        let [high, low] = word.to_be_bytes();
        self.count += 1;
        if self.count % 2 == 1 { high } else { low }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::I2cDevice;
    use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, Operation};
    use std::cell::RefCell;
    use std::rc::Rc;

    /// One chip alone on a bus, with a clock that the test sets.
    pub struct OneChip<D> {
        pub address: u8,
        pub device: Rc<RefCell<D>>,
        pub now_ns: Rc<std::cell::Cell<u64>>,
    }

    impl<D> OneChip<D> {
        pub fn new(address: u8, device: D) -> Self {
            Self { address, device: Rc::new(RefCell::new(device)), now_ns: Rc::default() }
        }
        pub fn share(&self) -> Self {
            Self { address: self.address, device: Rc::clone(&self.device), now_ns: Rc::clone(&self.now_ns) }
        }
    }

    impl<D> ErrorType for OneChip<D> {
        type Error = ErrorKind;
    }

    impl<D: I2cDevice> I2c for OneChip<D> {
        fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
            use embedded_hal::i2c::NoAcknowledgeSource as Source;
            if address != self.address && address != 0 {
                return Err(ErrorKind::NoAcknowledge(Source::Address));
            }
            let mut device = self.device.borrow_mut();
            let at = self.now_ns.get();
            let mut was_reading = None;
            for operation in operations {
                // Operations of one direction are one transfer.
                let reading = matches!(operation, Operation::Read(_));
                if was_reading.replace(reading) != Some(reading) {
                    device.start(at);
                }
                match operation {
                    Operation::Read(bytes) => bytes.iter_mut().for_each(|byte| *byte = device.read(at)),
                    Operation::Write(bytes) => {
                        for &byte in *bytes {
                            if !device.write(byte, at) {
                                return Err(ErrorKind::NoAcknowledge(Source::Data));
                            }
                        }
                    }
                }
            }
            Ok(())
        }
    }

    /// The older traits, for drivers that still speak them.
    impl<D: I2cDevice> embedded_hal_02::blocking::i2c::Write for OneChip<D> {
        type Error = ErrorKind;
        fn write(&mut self, address: u8, bytes: &[u8]) -> Result<(), ErrorKind> {
            I2c::write(self, address, bytes)
        }
    }
    impl<D: I2cDevice> embedded_hal_02::blocking::i2c::WriteRead for OneChip<D> {
        type Error = ErrorKind;
        fn write_read(&mut self, address: u8, bytes: &[u8], into: &mut [u8]) -> Result<(), ErrorKind> {
            I2c::write_read(self, address, bytes, into)
        }
    }
}
