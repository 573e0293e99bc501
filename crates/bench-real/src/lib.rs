//! The real bench: a nest of a station, on the controller that this program runs on.

mod configured_nest;
mod guard;
mod hand;
mod load;
mod lock;
mod nest;
mod process;
pub mod wall_clock;

pub use configured_nest::{ConfiguredNest, DEFAULT_FILE, fixture_of};
pub use guard::watch;
pub use hand::Hand;
pub use lock::FixtureLock;
pub use nest::{RealBackend, lock};

/// The local day of a moment.
pub fn day_of(now: &jiff::Zoned) -> bench_plan::Day {
    let number = |value: i8| u8::try_from(value).unwrap_or_default();
    bench_plan::Day {
        year: u16::try_from(now.year()).unwrap_or_default(),
        month: number(now.month()),
        day: number(now.day()),
    }
}
