//! The settings of the terminal, which an editor changes while a line is typed.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::Settings;
#[cfg(windows)]
pub(super) use windows::Settings;
