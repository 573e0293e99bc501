//! I2C bus and GPIO of the controller, a Raspberry Pi. The only crate that uses `rppal`.
//!
//! Works on every board that `rppal` supports, among them Pi 3, 4, 5 and Compute Module 4. GPIO numbers are BCM
//! numbers. On any other computer [`PiGpio::open`] fails. On Windows and macOS the same names exist as stubs.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{PiEdgeLine, PiGpio, PiI2c, PiInput, PiOutput, supported};
#[cfg(target_os = "linux")]
pub use linux::{PiEdgeLine, PiGpio, PiI2c, PiInput, PiOutput, supported};
