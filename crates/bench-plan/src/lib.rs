//! Module, fixture and plan text -> a checked plan.
//!
//! As typed, then as checked: after the check every name is resolved and every limit is sane, and no code asks again.
//! Pure: text in, values or one clear diagnostic out. Reads no file itself; `bench` hands the text in.

mod dut;
mod fixture;
mod plan;
mod quantity;
mod source;

pub use dut::*;
pub use fixture::*;
pub use plan::*;
pub use quantity::*;
pub use source::*;
