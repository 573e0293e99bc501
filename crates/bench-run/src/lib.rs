//! Decides what happens next and what the verdict is.
//!
//! Pure: it takes facts and returns orders and events, with time as an argument. It has no access to files, clocks,
//! threads, serial ports or colours. `bench` drives it, `bench-journal` records its events, and `bench-report` reads
//! them back.

mod critical;
mod diagnosis_run;
mod event;
mod judge;
mod measure;
mod order;
mod rejudge;
mod schedule;
mod serial;
mod silent;
mod step;
mod time;
mod timetable;
mod turns;
mod verdict;

pub use critical::*;
pub use diagnosis_run::*;
pub use event::*;
pub use judge::*;
pub use measure::*;
pub use order::*;
pub use rejudge::*;
pub use schedule::*;
pub use serial::*;
pub use silent::*;
pub use step::*;
pub use time::*;
pub use timetable::*;
pub use verdict::*;
