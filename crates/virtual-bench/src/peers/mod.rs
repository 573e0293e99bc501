//! The fixture's own memories, which the module accesses: their reaction to the levels at their pins.
//!
//! They see only levels, neither buses nor requests. An open, swapped or held line has an effect only through its
//! levels.

mod eeprom;
mod fram;
#[cfg(test)]
mod tests;

use crate::random::{Purpose, Random};
use bench_plan::{Fixture, PeerPart};
use eeprom::Eeprom;
use fram::Fram;

/// Levels at the pins of a part, by line in the order of [`bench_plan::Peer::contacts`]. A line in neither set is
/// between the thresholds and keeps its last level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PinLevels {
    pub high: u8,
    pub low: u8,
}

/// Outputs of a part, by line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PinOutputs {
    pub driven: u8,
    pub high: u8,
}

enum Part {
    Fram(Fram),
    Eeprom(Eeprom),
}

/// One part and its last levels.
pub struct FittedPeer {
    part: Part,
    /// Levels of its pins while nothing is joined to them: clock low, chip select high; both lines of I2C pulled up.
    idle: u8,
    levels: u8,
}

impl FittedPeer {
    /// All parts of a fixture, in its order.
    pub fn all(fixture: &Fixture, seed: u64) -> Vec<Self> {
        let mut random = Random::new(seed ^ 0x9EE2, Purpose::Memory);
        let mut fitted = |part: &PeerPart| match part {
            PeerPart::SpiFram { .. } => {
                let idle = fram::SS;
                Self { part: Part::Fram(Fram::new(random.bits() as u8)), idle, levels: idle }
            }
            PeerPart::I2cEeprom { address, .. } => {
                let idle = eeprom::SDA | eeprom::SCL;
                Self { part: Part::Eeprom(Eeprom::new(*address)), idle, levels: idle }
            }
        };
        fixture.peers.iter().map(|peer| fitted(&peer.part)).collect()
    }

    /// Sets the levels at the pins; returns the outputs of the part.
    pub fn lines(&mut self, levels: PinLevels, at_ns: u64) -> PinOutputs {
        self.levels = self.levels & !levels.low | levels.high;
        match &mut self.part {
            Part::Fram(fram) => fram.lines(self.levels),
            Part::Eeprom(eeprom) => eeprom.lines(self.levels, at_ns),
        }
    }

    /// The switches open: the part's own resistors set its pins to rest.
    pub fn taken_off(&mut self, at_ns: u64) {
        self.lines(PinLevels { high: self.idle, low: !self.idle }, at_ns);
    }
}
