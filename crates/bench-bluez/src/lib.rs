//! The Bluetooth adapter of a controller that runs Linux. On Windows and macOS the same names exist as stubs.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::BluezAir;
#[cfg(target_os = "linux")]
pub use linux::BluezAir;
