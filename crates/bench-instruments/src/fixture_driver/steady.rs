//! A bus that repeats a transfer which was not acknowledged, and counts how often it had to.
//!
//! A disturbed transfer is no fault of the module, and no reason to end a run: a byte on a bus through cables and relays
//! gets lost now and then. All chips of the fixture take a repeated transfer as the same order: registers are written
//! again with the same values, and what a read takes away is given only once the chip has acknowledged.

use embedded_hal::i2c::{ErrorType, I2c, Operation};
use embedded_hal_bus::i2c::RcDevice;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Attempts in all.
const ATTEMPTS: u32 = 4;

/// Transfers of one chip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transfers {
    pub all: u64,
    /// Attempts that were not acknowledged, and repeated.
    pub repeated: u64,
}

/// By address.
pub type Counts = Rc<Counted>;

#[derive(Debug)]
pub struct Counted {
    by_address: RefCell<BTreeMap<u8, Transfers>>,
    attempts: Cell<u32>,
}

impl Default for Counted {
    fn default() -> Self {
        Self { by_address: RefCell::default(), attempts: Cell::new(ATTEMPTS) }
    }
}

impl Counted {
    pub fn of(&self, address: u8) -> Transfers {
        self.by_address.borrow().get(&address).copied().unwrap_or_default()
    }
    /// A disturbed transfer fails from now on.
    pub fn never_repeat(&self) {
        self.attempts.set(1);
    }
}

/// See the module.
pub struct Steady<I> {
    device: RcDevice<I>,
    counts: Counts,
}

impl<I> Steady<I> {
    pub fn new(bus: Rc<RefCell<I>>, counts: Counts) -> Self {
        Self { device: RcDevice::new(bus), counts }
    }
}

impl<I: I2c> ErrorType for Steady<I> {
    type Error = I::Error;
}

impl<I: I2c> I2c for Steady<I> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), I::Error> {
        let mut attempt = 1;
        loop {
            let done = self.device.transaction(address, operations);
            let mut counts = self.counts.by_address.borrow_mut();
            let count = counts.entry(address).or_default();
            count.all += 1;
            if done.is_ok() || attempt >= self.counts.attempts.get() {
                return done;
            }
            count.repeated += 1;
            attempt += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource};

    /// Fails as often as it says, then works.
    struct Fails(u32);

    impl ErrorType for Fails {
        type Error = ErrorKind;
    }

    impl I2c for Fails {
        fn transaction(&mut self, _: u8, _: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
            if self.0 == 0 {
                return Ok(());
            }
            self.0 -= 1;
            Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address))
        }
    }

    #[test]
    fn a_disturbed_transfer_is_repeated_and_a_dead_chip_is_not_hidden() {
        // (failures, whether the transfer succeeds, transfers, repeated)
        for (failures, works, all, repeated) in [(0, true, 1, 0), (1, true, 2, 1), (3, true, 4, 3), (4, false, 4, 3)] {
            let counts = Counts::default();
            let mut bus = Steady::new(Rc::new(RefCell::new(Fails(failures))), Rc::clone(&counts));
            assert_eq!(bus.write(0x20, &[0]).is_ok(), works, "{failures}");
            assert_eq!(counts.of(0x20), Transfers { all, repeated }, "{failures}");
        }
    }
}
