//! Checks that a fixture still has the state that was set. The run's owner of power calls it, and locks what must not
//! be switched on again.

use crate::{InstrumentError, RailReading};
use std::time::Duration;
use thiserror::Error;

/// A part of the fixture differs from what the driver has set, because of a reset or another program.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Disturbance {
    /// As after power-up: all pins are inputs, so that pull-downs open every switch.
    #[error("{chip} was reset")]
    Reset { chip: String },
    #[error("{chip} does not answer ({detail})")]
    Silent { chip: String, detail: String },
    /// A pin does not have the level that its latch drives.
    #[error("the output {chip}.{pin} is stuck {}", if *.high { "high" } else { "low" })]
    Stuck { chip: String, pin: String, high: bool },
    /// By another program on the same bus, such as the guard.
    #[error("the outputs of {chip} were changed: {detail}")]
    Changed { chip: String, detail: String },
}

/// Transfers to a chip that had to be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    pub chip: String,
    pub transfers: u64,
    pub repeated: u64,
}

/// Output of a rail's supply.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Supply {
    pub volts: f64,
    pub current_limit_amps: f64,
    /// The module makes this rail, and the fixture only loads it.
    pub of_module: bool,
}

/// The switches of a fixture as a whole. None of these functions waits.
pub trait Switches {
    /// Parts that can be read back, numbered from 0.
    fn parts(&self) -> usize;
    /// The parts that hold the switches of the rails.
    fn rail_parts(&self) -> Vec<usize>;
    /// Reads one part back and compares it with the last write.
    ///
    /// # Errors
    /// The difference.
    fn check(&self, part: usize) -> Result<(), Disturbance>;
    /// Locks all switches for the rest of the driver's life, except for [`Rails::all_off`](crate::Rails::all_off):
    /// every other call is refused with this text.
    fn lock(&self, why: &str);
    /// Returns how long the fixture's watchdog waits for a kick.
    fn watchdog_timeout(&self) -> Option<Duration>;
    fn supply(&self, rail: &str) -> Option<Supply>;
    /// Returns the chips of which transfers had to be repeated so far.
    fn repeated(&self) -> Vec<Repeated> {
        Vec::new()
    }
    /// Returns the rail's newest reading, if one is available without waiting.
    ///
    /// # Errors
    /// When its monitor does not answer.
    fn glance(&self, rail: &str) -> Result<Option<RailReading>, InstrumentError>;
}

/// For a nest without switches that can be read back.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSwitches;

impl Switches for NoSwitches {
    fn parts(&self) -> usize {
        0
    }
    fn rail_parts(&self) -> Vec<usize> {
        Vec::new()
    }
    fn check(&self, _: usize) -> Result<(), Disturbance> {
        Ok(())
    }
    fn lock(&self, _: &str) {}
    fn watchdog_timeout(&self) -> Option<Duration> {
        None
    }
    fn supply(&self, _: &str) -> Option<Supply> {
        None
    }
    fn glance(&self, _: &str) -> Result<Option<RailReading>, InstrumentError> {
        Ok(None)
    }
}
