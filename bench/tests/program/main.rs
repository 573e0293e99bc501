//! The program as its users run it: on the virtual bench, with the real firmware image.

#![allow(clippy::unwrap_used)] // a helper of a test that cannot go on is a failed test

mod ble;
mod boron;
mod bug_report;
mod buses;
mod cause;
mod check;
#[cfg(target_os = "linux")] // a pseudo terminal
mod console;
mod contacts;
mod coverage;
mod desk;
mod diagnosis;
mod disk;
#[cfg(unix)] // a shell runs the examples
mod docs;
mod edges;
mod external_flash;
mod faults;
mod golden;
mod good;
#[cfg(unix)] // a shell runs the hooks
mod hooks;
mod init;
mod invented;
mod operator;
mod plans;
mod power;
mod prompts;
mod replay;
mod resources;
mod results;
mod scan;
mod schedule;
mod schema;
mod stops;
mod support;
mod swd;
mod terminal;
mod worth;
mod wrong_plans;
