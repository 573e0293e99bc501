//! Everything that happens, in the form in which the journal hears it first.

use crate::{BenchTime, Diagnosis, Measurement, MeasurementSpec, Verdict};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What a run was made of; hashed into every record so that it can be told later what exactly ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Provenance {
    pub bench_version: String,
    pub bench_commit: String,
    pub plan: String,
    /// Of the plan's own file.
    pub plan_sha256: String,
    /// Files that the plan includes, in its order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub plan_parts: Vec<PartHash>,
    pub dut_file_sha256: String,
    pub fixture: String,
    pub fixture_sha256: String,
    pub firmware_sha256: String,
    /// What else its steps put into the module, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub images: Vec<PartHash>,
}

/// A file that a plan names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartHash {
    /// As the plan names it, relative to itself.
    pub path: String,
    pub sha256: String,
}

/// Real instruments, or the virtual bench with what was ordered of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum BenchKind {
    Real {
        station: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        nest: Option<String>,
        /// From the fixture's label.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        fixture_serial: Option<String>,
        /// Calibrations over their date, in words; the station lets runs go on and wants them marked.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        overdue: Vec<String>,
    },
    Virtual {
        seed: u64,
        faults: Vec<String>,
    },
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// What is boxed would make every entry in memory three times as large, and this one comes once in a run.
    RunStarted {
        run_id: String,
        serial: String,
        model: String,
        /// RFC 3339; absent on the virtual bench, whose days have no date.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        started_at: Option<String>,
        bench: Box<BenchKind>,
        /// Production lot that the unit belongs to.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        lot: Option<String>,
        provenance: Box<Provenance>,
        /// Step ids in the plan's order with the measurements that each promises.
        steps: Vec<PlannedStep>,
    },
    StepStarted {
        step: String,
        attempt: u8,
    },
    Measured {
        step: String,
        attempt: u8,
        measurement: Measurement,
    },
    Diagnosed {
        step: String,
        attempt: u8,
        diagnosis: Diagnosis,
    },
    /// Something worth knowing that is not a measurement.
    Note {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        step: Option<String>,
        text: String,
    },
    /// What was said to a part of the module and what it answered, one exchange at a time. Numbers of people and cards are
    /// written as the plan's privacy setting says.
    Dialogue {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        step: Option<String>,
        /// "AT+CGMI -> u-blox | OK".
        text: String,
    },
    StepEnded {
        step: String,
        attempt: u8,
        verdict: Verdict,
        /// Why, when the verdict is not `pass`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<String>,
        /// How the procedure itself ended, whatever its measurements say: with them it makes the verdict. Absent when
        /// nothing came to its end (skipped, aborted), and in format 1.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        procedure: Option<Verdict>,
        /// Whether the plan gives the step another attempt.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        retried: bool,
        /// The most that the controller was late meanwhile; absent when it was not.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        late: Option<LateRecord>,
    },
    /// A rail was switched. `volts` is what was measured afterwards.
    RailSwitched {
        rail: String,
        on: bool,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        volts: Option<f64>,
    },
    /// The run is being ended from outside, or by a step whose failure stops it.
    Stopping {
        reason: String,
    },
    /// Rails off and nails released. `confirmed` is false when the bench could not measure that it is so.
    SafeState {
        confirmed: bool,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<String>,
    },
    RunEnded {
        verdict: Verdict,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<String>,
        tally: Tally,
    },
}

/// How late the controller was while a step ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateRecord {
    /// The longest delay, microseconds.
    pub us: u64,
    /// What it was spent on, in words.
    pub cause: String,
}

/// Begins the reason of an attempt that did not pass while the controller was late: it does not count, and is repeated.
pub const VOID: &str = "void: ";

/// Lateness from which a module that does not pass is not blamed.
pub const NOT_BLAMED: Duration = Duration::from_millis(15);

impl LateRecord {
    /// Whether a module that did not pass meanwhile would not have been blamed.
    pub fn is_serious(&self) -> bool {
        Duration::from_micros(self.us) >= NOT_BLAMED
    }
}

impl fmt::Display for LateRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is worth a word is no "0 ms".
        write!(f, "the controller was {} ms late ({})", (self.us / 1_000).max(1), self.cause)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    pub id: String,
    pub kind: String,
    pub title: String,
    /// How many measurements each attempt promises.
    pub measurements: usize,
    /// Which, with their limits: from these and the readings anybody can judge again. Absent in format 1.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub promised: Vec<MeasurementSpec>,
}

/// Counts over the last attempts of all steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub steps: usize,
    pub passed: usize,
    pub failed: usize,
    pub errors: usize,
    pub skipped: usize,
    pub aborted: usize,
    pub measurements: usize,
    /// Different contacts that at least one judged measurement speaks of.
    pub contacts: usize,
}

/// An event with its place in the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of the journal's format.
    pub v: u16,
    /// Counts from 0 without gaps.
    pub seq: u64,
    /// Microseconds since the run began.
    pub at_us: BenchTime,
    #[serde(flatten)]
    pub event: Event,
}

/// Version of the format that [`Entry`] is written in.
pub const JOURNAL_FORMAT: u16 = 2;

/// The oldest format that is still read.
pub const OLDEST_JOURNAL_FORMAT: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_small_in_memory() {
        // A long plan has ten thousands of them, and the last checks before a pass go over them all.
        assert!(size_of::<Entry>() <= 192, "{}", size_of::<Entry>());
    }
}
