//! Runs a plan on a unit: from the first line of its record to its reports, and to the safe state whatever happens.
//!
//! The instruments come from a [`Backend`]; what people see of a run goes through observers and is not decided here.

mod asking;
mod diagnosis;
mod failed;
mod hold;
mod lateness;
mod nest_thread;
mod one_run;
mod power;
mod project;
mod put_back;
mod recorder;
mod run_loop;
mod safe_state;
mod seal;
mod signals;
mod stop;
mod supervise;
mod tally;

pub use asking::{Asker, asking};
pub use diagnosis::{DiagnosisOrder, LONGEST_HOLD, MOST_REPETITIONS, OrderProblem};
pub use failed::Failed;
pub use hold::HoldEnds;
pub use lateness::{Cause, Late, Lateness};
pub use nest_thread::{Ended, FromNest, NestThread};
pub use one_run::{Backend, Done, NestWrap, OneRun};
pub use power::{Cut, CutBy, Power, Switching};
pub use project::{FileError, Loaded, Project, read, read_firmware, sha256};
pub use recorder::{Delay, DiskWait, Observer, Recorder, Seen};
pub use run_loop::{Outcome, Surroundings, panic_text, rail_observer, run, run_for};
pub use safe_state::orderly_within;
pub use seal::promises;
pub use stop::{Stop, StopHandle};
pub use supervise::{first_kick, kicked, kicked_with};

/// Version of the bench and the commit that it was built from.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BENCH_COMMIT"), ")");
