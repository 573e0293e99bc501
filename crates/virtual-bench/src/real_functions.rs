//! Functions whose last bit depends on the mathematics library. All systems use the same library here, so that equal
//! seeds give equal journals, byte for byte. Square roots and the four operations are exact everywhere.

pub use libm::{cos, exp, log as ln};
