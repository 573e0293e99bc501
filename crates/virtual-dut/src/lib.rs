//! An emulated module for other programs, which reach it like a real one: through a debug probe on the network and a
//! serial port.
//!
//! The probe speaks the remote protocol of the Black Magic Probe, version 4, over TCP: `probe-rs` and similar tools
//! have a driver for it and need no support for this bench.
//!
//! | file | |
//! |---|---|
//! | `remote` | bytes -> packets -> requests |
//! | `line_bits` | single bits on SWDIO -> transfers, and the module's bits in return |
//! | `black_magic` | requests -> operations on the lines -> answers |
//! | `serve` | the same over TCP |
//! | `host_link` | the module's link, by one of these two |
//! | `pty` | as a pseudo terminal |
//! | `tcp_link` | over TCP |

mod black_magic;
mod host_link;
mod line_bits;
mod pty;
mod remote;
mod serve;
mod tcp_link;

pub use host_link::{HostLink, LinkPlace};
pub use pty::Pty;
pub use serve::serve_probe;
