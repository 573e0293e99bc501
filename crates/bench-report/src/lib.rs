//! Turns journal entries into text.
//!
//! [`RunRecord`] puts a run's events in order. [`summary()`] is for the operator, [`junit()`] for the CI server,
//! [`csv()`] and [`json()`] for further analysis; [`line_text`] and [`line_page`] show many runs. Nothing in this crate
//! uses a device, a clock or a file: the same entries give the same bytes.

#![warn(missing_docs)]

pub mod builders;
mod charts;
mod junit;
mod line_page;
mod line_text;
#[cfg(feature = "parquet")]
mod parquet;
mod record;
mod stdf;
mod summary;
mod table;
mod text;
mod unit_page;

pub use junit::{JunitWriter, junit};
pub use line_page::line_page;
pub use line_text::line_text;
#[cfg(feature = "parquet")]
pub use parquet::{ParquetError, ParquetWriter};
pub use record::{Attempt, MeasurementRecord, NoteRecord, RailRecord, RunRecord, SafeStateRecord, StepRecord};
pub use stdf::{StdfGroup, StdfScan, StdfWriter, stdf};
pub use summary::{Style, summary};
pub use table::{CsvDialect, CsvWriter, csv, json, json_line};
pub use unit_page::unit_page;

/// Why a report could not be made. Never the fault of the unit.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// What is written to refuses.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The JUnit report cannot be written.
    #[error("JUnit report: {0}")]
    Junit(#[from] junit_report::Error),
    /// The Parquet file cannot be written.
    #[cfg(feature = "parquet")]
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// The CSV report cannot be written.
    #[error("CSV: {0}")]
    Csv(#[from] ::csv::Error),
    /// The JSON report cannot be written.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
}
