//! The scanner front end: characters with their times go in, whole scans come out, and what a scan is.
//!
//! A scanner that acts as a keyboard, one on a serial port, pasted text and `bench scan-test` all go through it. It uses
//! no device and no clock. The label's code holds the serial number and the mobile secret. The secret never leaves this
//! module: texts that may hold it are wiped when they are dropped, and what is shown or returned is a serial number, or
//! what can only be the beginning of one.

mod collector;
mod label;
mod repeats;

pub use collector::{Collector, Scan, Source, decode, is_end, pasted};
pub use label::{Labels, ScanProblem, first_part, masked, payload, read_label, shown};
pub use repeats::Repeats;
