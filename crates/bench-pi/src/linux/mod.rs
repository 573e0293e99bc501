//! By way of `rppal`. On a computer that is no Pi, [`PiGpio::open`] says so.

mod edges;
mod gpio;
mod i2c;

pub use edges::PiEdgeLine;
pub use gpio::{PiGpio, PiInput, PiOutput};
pub use i2c::PiI2c;

/// Whether this program can drive a fixture at all.
///
/// # Errors
/// Never: what is missing on this computer is said when it is opened.
pub fn supported() -> Result<(), &'static str> {
    Ok(())
}
