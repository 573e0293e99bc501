//! Measures how many of the faults that can be ordered a plan detects and names.
//!
//! Every fault is one complete run of the plan on the virtual bench, with the engine that tests real modules. The list
//! of faults is used only afterwards, to compare what was ordered with what the bench reported.

mod bench_faults;
mod bench_text;
pub mod dictionary;
mod disk;
pub mod glob;
mod html;
mod judge;
mod rates;
mod run;
mod study;
mod sweep;
mod text;
mod without;
mod work;

pub use bench_faults::{
    BenchFaultResult, BenchStudy, Blame, CannotTell, Ends, Order as BenchOrder, Seeds, orders as bench_orders,
};
pub use bench_text::{bench_page, bench_summary};
pub use html::page;
pub use judge::{FaultResult, Naming, judge, name};
pub use rates::Rates;
pub use run::{RunFindings, failing};
pub use study::{Results, Study, Without, lost};
pub use sweep::{Seen, Sweep, Sweeping, sized_kinds, sweep_table};
pub use text::summary;
pub use without::with_dependants;
pub use work::{Module, Work};
