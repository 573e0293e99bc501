//! The promises of the journal.
#![allow(clippy::unwrap_used)] // all of it is test code

mod arbitrary;
mod disks;
mod document;
mod files;
mod rejudge;
