//! How the guard's process is kept out of what ends the bench.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::leave_group;
#[cfg(windows)]
pub(crate) use windows::leave_group;
