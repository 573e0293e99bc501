//! Deterministic simulation testing of the whole bench, as TigerBeetle's VOPR and FoundationDB do it.
//!
//! Each run draws a plan, defects of the module and what happens meanwhile (hands, signals, kills, stalls, resets, disk
//! trouble) from one seed, and runs in virtual time. What must always hold is checked after each ([`Rule`]). A run that
//! breaks a rule is shrunk to the events that it takes, and is printed as a command that repeats it.

mod case;
mod disk;
mod draw;
mod event;
mod panics;
mod random;
mod recorded;
mod rule;
mod run;
mod scenario;
mod shrink;
mod stage;
mod swarm;
mod verdict;

pub use case::{CASES, Case};
pub use event::WORDS;
pub use panics::note_all;
pub use rule::{Rule, Violation};
pub use run::Ran;
pub use scenario::Scenario;
pub use shrink::shrink;
pub use stage::End;
pub use swarm::{Findings, Line, Swarm};
pub use verdict::{Alone, check};
