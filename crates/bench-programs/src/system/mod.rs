//! How programs are kept together, by system.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{adopt_orphans, kill_all, leave_group, signal_of, survivors};
#[cfg(windows)]
pub(crate) use windows::{adopt_orphans, kill_all, leave_group, signal_of, survivors};
