//! Programming over SWD: the only crate that knows `probe-rs`.
//!
//! Probe work blocks, can hang and has panicked before. Each job therefore runs in a thread of its own with a deadline, and
//! whatever becomes of it is a typed error: a nest's probe never touches another nest.
//!
//! | file | |
//! |---|---|
//! | `image` | ELF, Intel HEX and plain files -> bytes at addresses |
//! | `programmer` | the asynchronous side: starts the thread, serves it, ends it |
//! | `job` | the thread: find, attach, check, compare, write, read back, start |
//! | `cancel` | a job that nobody waits for any more ends at its next transfer |
//! | `memory` | pages and words of the module over a session |
//! | `failure` | what an error of `probe-rs` means to the bench |
//! | `wire` | a probe driver for lines that the bench itself serves |

mod cancel;
mod failure;
mod image;
mod job;
mod memory;
mod programmer;
mod wire;

pub use image::{ImageError, ImageFormat, parse_image};
pub use programmer::{Selection, SwdProgrammer};
