//! The module's link as a pseudo terminal, on systems with suitable ones.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::Pty;
#[cfg(target_os = "linux")]
pub use linux::Pty;
