//! The whole virtual bench with the real firmware, driven by hand.

mod firmware;
mod hands;
