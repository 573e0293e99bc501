//! Functions whose last bit is the mathematics library's own: here the same library on every system, so that the same seed gives
//! the same journal, byte for byte. Square roots and the four operations are exact everywhere.

pub use libm::{cos, exp, log as ln};
