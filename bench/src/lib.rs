//! The program: arguments, stations, the run loop, what people see, exit codes.
//!
//! The parts that tests and benchmarks drive are a library; `main.rs` only calls [`cli::main`].

#[cfg(test)]
mod abort_tests;
pub mod cli;
mod commands;
mod coverage;
pub mod engine;
mod files;
mod gantt;
mod limits_patch;
#[cfg(test)]
mod lockstep_tests;
mod nest_thread;
#[cfg(test)]
mod nests_tests;
mod one_run;
mod operator;
mod progress;
mod real;
#[cfg(test)]
mod safety_tests;
mod stop;
#[cfg(test)]
mod swd_cancel_tests;
#[cfg(test)]
mod swd_tests;
mod virtual_run;
mod wiring;

pub use files::{FileError, Loaded, Project};
pub use stop::Stop;
