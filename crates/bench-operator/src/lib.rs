//! The operator's screen: one pane per nest, driven by a scanner and one button.
//!
//! The core (`app`, `input`, `scan` and what they use) takes inputs with their times and returns actions; `view` draws it;
//! only `screen`, `keyboard`, `scanner`, `scan_test` and `run_factory` touch the terminal, ports, threads and clocks.

mod advice;
mod allow;
mod app;
mod asker;
mod buttons;
mod cause;
mod forwarding;
mod golden;
mod history;
mod input;
mod keyboard;
mod lamps;
mod live;
mod log;
mod nest;
mod offering;
mod outbox;
pub mod people;
mod picture;
mod questions;
pub mod rules;
mod run_factory;
pub mod scan;
pub mod scan_test;
mod scanner;
mod screen;
mod shift;
mod sign_off;
mod stopped;
#[cfg(test)]
mod tests;
mod texts;
mod view;

pub use app::Setup;
pub use asker::Asker;
pub use history::{FolderHistory, StationPlace};
pub use lamps::{Lamps, NoLamps, RealLamps};
pub use log::stopped_nests;
pub use picture::PictureTerminal;
pub use run_factory::{RealRuns, RunFactory, Shift, VirtualRuns, VirtualUnits};
pub use scanner::Port;
pub use screen::{Devices, ShiftEnd, show};
pub use sign_off::{GoldenOutcome, SIGN_OFF_FILE, SignOff, sign, signatures};
pub use texts::Texts;
pub use view::EdgeMap;
