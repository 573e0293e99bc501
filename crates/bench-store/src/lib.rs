//! An index over many journals, for questions about a month of units.
//!
//! The journals remain the source: everything here is read from them, and [`rebuild`] can always rebuild it. The data
//! of a run is small: a row, one byte pair per step, and the values of its measurements packed in the order of the plan
//! (the [`Shape`]), which all runs of a plan share.
//!
//! `facts` reads one journal, `store` holds the data, `ingest` reads many journals on all cores.

mod examine;
mod facts;
mod ingest;
mod ledger;
mod overview;
mod quick;
mod rows;
mod shape;
mod store;
mod study;
pub mod synthetic;

pub use bench_journal::shown;
pub use examine::{Examined, Refused, examine, examine_file};
pub use facts::{Facts, FaultFact, StepFact};
pub use ingest::{Ingested, add, default_store, rebuild};
pub use ledger::{Alarm, AlarmKind, Ledger, ledger_of};
pub use overview::{By, Question, overview};
pub use rows::{Filter, FoundFault, RunRow};
pub use shape::{Shape, Shapes};
pub use store::{Store, StoreError};
pub use study::{Appraiser, GoodUnits, MeasurementGauge, Study, StudyPlan, good_units, study};

/// Name of the store in the folder of reports.
pub const STORE_FILE: &str = "store.sqlite";
