//! The promises of the journal.
#![allow(clippy::unwrap_used)] // helpers in here are test code too

mod arbitrary;
mod document;
mod files;
