//! A differential test of Cortex-M4F cores: random programs, run by QEMU and by another implementation, compared.
//!
//! [`program`] makes programs from the kinds of [`kinds`], [`image`] packs many of them with a runtime, a [`Machine`]
//! runs the image, [`compare`] reports differences between two machines and [`shrink`] reduces the program. `README.md`
//! lists what is left out.

pub mod asm;
pub mod compare;
pub mod image;
pub mod kinds;
pub mod layout;
pub mod machine;
pub mod ours;
pub mod program;
pub mod report;
pub mod rng;
mod runtime;
pub mod shrink;

pub use image::{Image, Outcome};
pub use machine::{Machine, Qemu};
pub use ours::Ours;
