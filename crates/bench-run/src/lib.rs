//! Decides what happens next and what the verdict is.
//!
//! Pure: facts in, orders and events out, time as an argument. Does not know files, clocks, threads, serial ports or
//! colours. `bench` drives it, `bench-journal` writes down what it says, `bench-report` reads that back.

mod critical;
mod event;
mod judge;
mod measure;
mod rejudge;
mod schedule;
mod silent;
mod step;
mod time;
mod timetable;
mod turns;
mod verdict;

pub use critical::*;
pub use event::*;
pub use judge::*;
pub use measure::*;
pub use rejudge::*;
pub use schedule::*;
pub use silent::*;
pub use step::*;
pub use time::*;
pub use timetable::*;
pub use verdict::*;
