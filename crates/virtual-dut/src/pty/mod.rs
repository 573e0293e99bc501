//! The module's link as a pseudo terminal, where the system has them as the bench needs them.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::Pty;
#[cfg(target_os = "linux")]
pub use linux::Pty;
