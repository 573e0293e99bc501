//! How many of the faults that can be ordered a plan finds, and names.
//!
//! Every fault is one complete run of the plan on the virtual bench, with the engine that tests real modules. The list
//! of faults is used only afterwards, to compare what was ordered with what the bench said.

mod judge;
mod run;
mod text;
mod without;
mod work;

pub(crate) use judge::{FaultResult, Naming, judge};
pub(crate) use run::Run;
pub(crate) use text::summary;
pub(crate) use work::{Module, Work};
