//! Programming over SWD. The only crate that uses `probe-rs`.
//!
//! Probe code blocks, can hang and has panicked before. Each job therefore runs in its own thread with a deadline, and
//! every failure is a typed error: a nest's probe never affects another nest.
//!
//! | file | |
//! |---|---|
//! | `backup` | what was in a module <-> Intel HEX |
//! | `image` | ELF, Intel HEX and plain files -> bytes at addresses |
//! | `programmer` | the asynchronous side: starts the thread, serves it, ends it |
//! | `job` | the thread: find, attach, check, compare, write, read back, start |
//! | `cancel` | ends an abandoned job at its next transfer |
//! | `probes` | the probes that are plugged in |
//! | `memory` | pages and words of the module over a session |
//! | `failure` | translation of `probe-rs` errors |
//! | `wire` | a probe driver for lines that the bench itself serves |

mod backup;
mod cancel;
mod failure;
mod image;
mod job;
mod memory;
mod probes;
mod programmer;
mod wire;

pub use backup::{backup_of_hex, backup_to_hex};
pub use image::{ImageError, ImageFormat, parse_image};
pub use probes::{FoundProbe, found_probes};
pub use programmer::{Selection, SwdProgrammer};
