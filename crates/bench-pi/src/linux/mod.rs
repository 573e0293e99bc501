//! Through `rppal`. On a computer other than a Pi, [`PiGpio::open`] fails.

mod edges;
mod gpio;
mod i2c;

pub use edges::PiEdgeLine;
pub use gpio::{PiGpio, PiInput, PiOutput};
pub use i2c::PiI2c;

/// Checks whether this program can drive a fixture at all.
///
/// # Errors
/// Never: opening the devices reports what is missing on this computer.
pub fn supported() -> Result<(), &'static str> {
    Ok(())
}
