//! Who may run a file.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::set_mode;
#[cfg(windows)]
pub use windows::set_mode;
