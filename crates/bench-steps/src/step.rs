//! What a kind of test consists of.

use crate::Nest;
use async_trait::async_trait;
use bench_instruments::{DutError, InstrumentError, Question};
use bench_plan::{ParamProblem, Reach, Resolved, Surroundings};
use bench_run::{BenchTime, Diagnosis};
use std::time::Duration;
use thiserror::Error;

/// Where a running step reports to. Every call reaches the journal before it returns.
pub trait StepLog {
    /// One of the step's promised measurements, by name. `None` and NaN are judged as errors, never as passes.
    fn measured(&self, name: &str, reading: Option<f64>);
    fn diagnosed(&self, diagnosis: Diagnosis);
    /// A remark that is not a measurement.
    fn note(&self, text: String);
    /// Progress of a long operation, from 0 to 1: shown to the operator, not recorded.
    fn progress(&self, _what: &str, _share: f64) {}
    /// Readings since then only count if they took no longer than `limit`: the module did something for a limited time,
    /// or had to be watched without a gap. Otherwise the attempt is void, whatever was read.
    fn within(&self, _since: BenchTime, _limit: Duration) {}
    /// An exchange with a part of the module, for readers who need all of it.
    fn dialogue(&self, text: String);
    /// Id of the step in the plan, to name it to a person.
    fn id(&self) -> &str {
        ""
    }
    /// Number of the attempt, from 1.
    fn attempt(&self) -> u8 {
        1
    }
    /// What the attempt may take, to show it to a person.
    fn timeout(&self) -> Option<Duration> {
        None
    }
}

/// Why a step ended early.
#[derive(Debug, Clone, Error)]
pub enum StepError {
    /// The DUT is bad, and continuing makes no sense.
    #[error("{0}")]
    Dut(String),
    /// The bench is bad, or the cause could not be determined.
    #[error("{0}")]
    Bench(String),
}

impl From<InstrumentError> for StepError {
    fn from(error: InstrumentError) -> Self {
        StepError::Bench(error.to_string())
    }
}

impl From<DutError> for StepError {
    /// Only for errors whose cause is known; a silent DUT goes through [`Nest::silent`], which checks the link first.
    fn from(error: DutError) -> Self {
        match error {
            DutError::Link(link) => link.into(),
            // The firmware works but got an invalid request, or is another build: the bench's fault.
            other => StepError::Bench(other.to_string()),
        }
    }
}

/// What a step does when its turn comes.
#[async_trait(?Send)]
pub trait Procedure {
    /// Measures what the step promised. `Ok` means that the procedure finished, not that the DUT is good: the
    /// measurements decide that.
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError>;

    /// Further files that it writes into the module. They are read when the plan is loaded.
    fn images(&self) -> &[ImageFile] {
        &[]
    }

    /// What it asks a person. The picture is named as in the plan; it is read when the plan is loaded.
    fn question(&self) -> Option<&Question> {
        None
    }

    /// The rails whose resistance to ground it measures before power, so that they may be switched on.
    fn measures_for_shorts(&self) -> Vec<String> {
        Vec::new()
    }

    /// The rails that it switches on.
    fn switches_on(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether it writes the test firmware, so that the module may be empty before.
    fn writes_firmware(&self) -> bool {
        false
    }

    /// A program with its arguments that it starts. Those that are files of the plan's folder belong to the plan.
    fn program(&self) -> &[String] {
        &[]
    }

    /// Whether it uses the controller's Bluetooth, which is opened only then: a line without it can test the rest.
    fn needs_bluetooth(&self) -> bool {
        false
    }

    /// What it leaves switched for the steps after it. A run that repeats it must also switch it back.
    fn leaves(&self) -> Option<Leaves> {
        None
    }

    /// Puts the module back to where this step finds it, before it runs again after it has passed.
    async fn before_repetition(&self, _nest: &Nest) {}
}

/// What a step leaves switched for the steps after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    RailOn,
    /// Or it makes one that was switched on ready to talk.
    ModemOn,
    ModemOff,
}

/// A file for the module's flash, as a plan names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageFile {
    /// Relative to the plan. Its extension selects its format: elf, hex or bin.
    pub file: String,
    /// Where a plain file begins in the flash.
    pub at: Option<u32>,
}

/// A kind of test: its name, its parameters, and how they become a procedure.
pub trait Kind {
    const NAME: &'static str;
    /// The keys of the step's table besides those that every step has.
    type Params: serde::de::DeserializeOwned + schemars::JsonSchema;
    /// What the limits among the parameters can meet: one entry for each parameter with limits.
    const REACHES: &'static [Reach] = &[];

    fn resolve(params: Self::Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem>;
}
