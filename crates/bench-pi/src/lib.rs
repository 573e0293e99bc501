//! The controller is a Raspberry Pi: its I2C bus and its GPIO. The only place that knows `rppal`.
//!
//! Works on everything that `rppal` knows, Pi 3, 4, 5 and Compute Module 4 among them. GPIO numbers are BCM numbers. On any
//! other computer [`PiGpio::open`] says that it is none.

mod edges;
mod gpio;
mod i2c;

pub use edges::PiEdgeLine;
pub use gpio::{PiGpio, PiInput, PiOutput};
pub use i2c::PiI2c;
