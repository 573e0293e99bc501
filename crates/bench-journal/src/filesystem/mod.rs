//! The parts below a journal that differ between operating systems.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::refusal;
#[cfg(unix)]
pub use unix::sync_folder;
#[cfg(windows)]
pub(crate) use windows::refusal;
#[cfg(windows)]
pub use windows::sync_folder;

/// Why the system refuses a file, where the standard library has no error kind for it.
pub(crate) enum Refusal {
    TooManyFiles,
    DiskBroken,
}
