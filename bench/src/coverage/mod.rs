//! How many of the faults that can be ordered a plan finds, and names.
//!
//! Every fault is one complete run of the plan on the virtual bench, with the engine that tests real modules. The list
//! of faults is used only afterwards, to compare what was ordered with what the bench said.

pub(crate) mod dictionary;
pub(crate) mod glob;
mod html;
mod judge;
pub(crate) mod progress;
mod rates;
mod run;
mod study;
mod text;
mod without;
mod work;

pub(crate) use html::page;
pub(crate) use judge::{FaultResult, Naming, judge, name};
pub(crate) use rates::Rates;
pub(crate) use run::{Run, failing};
pub(crate) use study::{Results, Study, Without, lost};
pub(crate) use text::summary;
#[cfg(test)]
pub(crate) use without::take_out;
pub(crate) use without::with_dependants;
pub(crate) use work::{Module, Work};
