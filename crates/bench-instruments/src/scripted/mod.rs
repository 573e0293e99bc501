//! Doubles of the instruments, for tests of steps and for dry runs.
//!
//! They answer every call, and panic with the planned and the actual call where a step deviates from the script. A
//! script with unused entries panics when the double is dropped.

mod clock;
mod dut;
mod edges;
mod measure_bus;
mod nails;
mod peers;
mod person;
mod programmer;
mod rails;
#[cfg(test)]
mod tests;

pub use clock::ManualClock;
pub use dut::ScriptedDut;
pub use edges::ScriptedEdges;
pub use measure_bus::{Probing, ScriptedMeasureBus};
pub use nails::ScriptedNails;
pub use peers::ScriptedPeers;
pub use person::ScriptedPerson;
pub use programmer::ScriptedProgrammer;
pub use rails::ScriptedRails;

/// Panics for a script with unused entries, unless a panic is already in progress.
fn object_to(left_over: &[String], what: &str) {
    if !left_over.is_empty() && !std::thread::panicking() {
        panic!("the script of the {what} was not used up: {}", left_over.join(", "));
    }
}
