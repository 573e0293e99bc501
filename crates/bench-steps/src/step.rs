//! What a kind of test is.

use crate::Nest;
use async_trait::async_trait;
use bench_instruments::{DutError, InstrumentError};
use bench_plan::{ParamProblem, Resolved, Surroundings};
use bench_run::{BenchTime, Diagnosis};
use std::time::Duration;
use thiserror::Error;

/// Where a running step reports to. Every call reaches the journal before it returns.
pub trait StepLog {
    /// One of the step's promised measurements, by name. `None` and NaN are judged as errors, never as passes.
    fn measured(&self, name: &str, reading: Option<f64>);
    fn diagnosed(&self, diagnosis: Diagnosis);
    /// Something worth knowing that is not a measurement.
    fn note(&self, text: String);
    /// How far something long has come, from 0 to 1: for who looks on, not for the record.
    fn progress(&self, _what: &str, _share: f64) {}
    /// What was read since then only counts if that took no longer than `limit`: the module did something for a limited time,
    /// or had to be watched without a gap. Otherwise the attempt is void, whatever was read.
    fn within(&self, _since: BenchTime, _limit: Duration) {}
    /// An exchange with a part of the module, for who wants to read all of it.
    fn dialogue(&self, text: String);
}

/// A step came to an early end.
#[derive(Debug, Clone, Error)]
pub enum StepError {
    /// The DUT is bad, and going on makes no sense.
    #[error("{0}")]
    Dut(String),
    /// The bench is bad, or could not tell.
    #[error("{0}")]
    Bench(String),
}

impl From<InstrumentError> for StepError {
    fn from(error: InstrumentError) -> Self {
        StepError::Bench(error.to_string())
    }
}

impl From<DutError> for StepError {
    /// Only for errors whose cause is known; a silent DUT goes through [`Nest::silent`], which looks at the link first.
    fn from(error: DutError) -> Self {
        match error {
            DutError::Link(link) => link.into(),
            // The firmware works but was asked nonsense, or is of another build: the bench's fault.
            other => StepError::Bench(other.to_string()),
        }
    }
}

/// What a step does when its turn comes.
#[async_trait(?Send)]
pub trait Procedure {
    /// Measures what the step promised. `Ok` says that the procedure went to its end, not that the DUT is good: that is
    /// judged from the measurements.
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError>;

    /// Files that it puts into the module, beside the test firmware: whoever loads the plan reads them.
    fn images(&self) -> &[ImageFile] {
        &[]
    }
}

/// A file for the module's flash, as a plan names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageFile {
    /// Relative to the plan. Its ending tells its format: elf, hex or bin.
    pub file: String,
    /// Where a plain file begins in the flash.
    pub at: Option<u32>,
}

/// A kind of test: its name, its parameters, and what it makes of them.
pub trait Kind {
    const NAME: &'static str;
    /// The keys of the step's table beyond those that every step has.
    type Params: serde::de::DeserializeOwned + schemars::JsonSchema;

    fn resolve(params: Self::Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem>;
}
