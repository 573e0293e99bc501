//! The controller's Bluetooth adapter, where it runs Linux. Windows and macOS have the same names, and nothing behind them.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::BluezAir;
#[cfg(target_os = "linux")]
pub use linux::BluezAir;
