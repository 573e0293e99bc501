//! The program: arguments, what people see, exit codes.
//!
//! The parts that tests and benchmarks drive are a library; `main.rs` only calls [`cli::main`].

#[cfg(test)]
mod abort_tests;
mod answers;
#[cfg(test)]
mod bench_fault_tests;
pub mod cli;
mod commands;
mod console;
#[cfg(test)]
mod cut_tests;
#[cfg(test)]
mod desk_tests;
mod finder;
mod gantt;
mod golden;
mod hooks;
mod host;
mod limits_patch;
#[cfg(test)]
mod lockstep_tests;
#[cfg(test)]
mod nests_tests;
mod person;
mod progress;
mod repeated;
#[cfg(test)]
mod safety_tests;
#[cfg(test)]
mod stall_tests;
mod study_progress;
#[cfg(test)]
mod swd_cancel_tests;
#[cfg(test)]
mod swd_tests;
mod wiring;
