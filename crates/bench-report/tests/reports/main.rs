//! What the reports say about runs of every kind.
#![allow(clippy::unwrap_used)] // helpers in here are test code too

mod junit;
mod record;
mod runs;
mod summary;
mod table;
