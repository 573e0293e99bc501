//! Programs that are not ours: steps of kind `external`, and the hooks of a station.
//!
//! Each program runs under a keeper, a process of the bench's own. The keeper passes lines to and fro, refuses what no
//! program may do, and kills the program with everything that it started: when the bench says so, and when the bench is
//! gone. A program that detaches itself stays a descendant of its keeper and is found as one.
//!
//! | module | what it is |
//! |---|---|
//! | `host` | the bench's side: starts keepers, and waits for what programs say |
//! | `keeper` | the process between |
//! | `frames` | what the two say to each other |
//! | `once` | a program that gets one text and returns another: a hook |
//! | `system` | process groups and descendants |

mod frames;
mod host;
mod keeper;
mod once;
mod system;

pub use host::{KeeperCommand, ProgramHost};
pub use keeper::keep;
pub use once::{Finished, run_once};
