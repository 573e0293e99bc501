//! Reports about runs of every kind.
#![allow(clippy::unwrap_used)] // all of it is test code

mod hostile;
mod junit;
mod pages;
#[cfg(feature = "parquet")]
mod parquet;
mod record;
mod runs;
mod stdf;
mod summary;
mod table;
