//! Records what the instruments and the module answered in a run, and plays it back to today's steps.
//!
//! A step sees only the traits of a [`bench_steps::Nest`]. [`Recording`] puts itself around each of them and writes
//! every call with its answer to a file in the run's folder. [`ReplayBackend`] answers from such a file, in the time that the
//! answers took in the run, with a clock that jumps. So a run on real hardware becomes a test without the hardware.
//!
//! | file | |
//! |---|---|
//! | `tape` | the lines of a recording, and their file |
//! | `form` | the written form of arguments and answers |
//! | `instruments` | each trait twice: recording, and playing |
//! | `recording` | around the instruments of a run |
//! | `player` | which recorded answer a call gets |
//! | `backend` | a replay as what a run happens on |
//! | `stops` | a person's stop, at the same time as in the run |
//! | `compare` | two records of one unit |
//! | `hide` | numbers that must not leave the site |
//! | `archive` | one file with all that a report needs |

mod archive;
mod backend;
mod compare;
mod form;
mod hide;
mod instruments;
mod player;
mod recording;
mod stops;
mod tape;

pub use archive::{pack, unpack};
pub use backend::ReplayBackend;
pub use compare::{Comparison, VerdictChange, compare};
pub use hide::Hider;
pub use player::{Calls, Player};
pub use recording::Recording;
pub use stops::{stop_as_recorded, stopped};
pub use tape::{ANSWERS_FILE, Tape, TapeError, Written};
