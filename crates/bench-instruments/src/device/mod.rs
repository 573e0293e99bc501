//! Properties of a device's file, and who may use it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::how_to_be_allowed;
#[cfg(unix)]
pub(crate) use unix::is_port;
#[cfg(windows)]
pub use windows::how_to_be_allowed;
#[cfg(windows)]
pub(crate) use windows::is_port;
