//! Doubles of the instruments, for tests of steps and for dry runs.
//!
//! They answer every call, and where a step does what the script did not plan they panic with words that say what was
//! planned and what came.

mod clock;

pub use clock::ManualClock;
