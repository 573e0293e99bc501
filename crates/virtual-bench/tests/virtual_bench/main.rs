//! The whole virtual bench with the real firmware, driven by hand.

mod cost;
mod firmware;
mod hands;
mod link;
mod time;
