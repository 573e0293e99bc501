//! The controller is a Raspberry Pi: its I2C bus and its GPIO. The only place that knows `rppal`.
//!
//! Works on everything that `rppal` knows, Pi 3, 4, 5 and Compute Module 4 among them. GPIO numbers are BCM numbers. On any
//! other computer [`PiGpio::open`] says that it is none. Windows and macOS have the same names, and nothing behind them.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{PiEdgeLine, PiGpio, PiI2c, PiInput, PiOutput, supported};
#[cfg(target_os = "linux")]
pub use linux::{PiEdgeLine, PiGpio, PiI2c, PiInput, PiOutput, supported};
