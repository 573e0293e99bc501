//! Journal entries in, text out.
//!
//! [`Record`] puts a run's events in order; [`summary()`] tells the operator, [`junit()`] the CI server, [`csv()`] and
//! [`json()`] whoever counts. Nothing here knows a device, a clock or a file: the same entries give the same bytes.

pub mod builders;
mod junit;
mod record;
mod summary;
mod table;
mod text;

pub use junit::junit;
pub use record::{Attempt, MeasurementRecord, NoteRecord, RailRecord, Record, SafeStateRecord, StepRecord};
pub use summary::{Style, summary};
pub use table::{csv, json};

/// Why a report could not be made. None of it is the fault of the unit.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("JUnit report: {0}")]
    Junit(#[from] junit_report::Error),
    #[error("CSV: {0}")]
    Csv(#[from] ::csv::Error),
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
}
