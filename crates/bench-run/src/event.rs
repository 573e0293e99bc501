//! Everything that happens in a run, in the form in which the journal records it.

use crate::{BenchTime, Diagnosis, DiagnosisRun, Measurement, MeasurementSpec, RunOrder, Verdict};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The inputs of a run, hashed into every record, so that it shows later what exactly ran.
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
    /// Other files that its steps write into the module, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub images: Vec<PartHash>,
}

/// A file that a plan names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartHash {
    /// Path in the plan, relative to it.
    pub path: String,
    pub sha256: String,
}

/// Real instruments, or the virtual bench with its settings.
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
        /// Expired calibrations, in words, when the station allows such runs and wants them marked.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        overdue: Vec<String>,
    },
    Virtual {
        seed: u64,
        faults: Vec<String>,
    },
    /// The recorded answers of another run. Nothing was tested, so it is in no statistics.
    Replay {
        /// Id of that run.
        of: String,
        /// Version and commit of the bench that recorded it.
        recorded_by: String,
    },
}

impl BenchKind {
    /// Returns the name of the station; `None` on the virtual bench and in a replay.
    pub fn station(&self) -> Option<&str> {
        match self {
            Self::Real { station, .. } => Some(station),
            Self::Virtual { .. } | Self::Replay { .. } => None,
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Boxed, because it would triple the size of every entry in memory and occurs once in a run.
    RunStarted {
        run_id: String,
        serial: String,
        model: String,
        /// RFC 3339; absent on the virtual bench, which has no date.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        started_at: Option<String>,
        /// Position of the run among those of its station. Absent in records of older versions.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<Box<RunOrder>>,
        bench: Box<BenchKind>,
        /// Production lot that the unit belongs to.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        lot: Option<String>,
        /// What was ordered when the run looks for a cause and is no test of the unit; absent in all other records.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        diagnosis: Option<Box<DiagnosisRun>>,
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
    /// A remark that is not a measurement.
    Note {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        step: Option<String>,
        text: String,
    },
    /// A dialogue with a part of the module, one exchange at a time. Personal and card numbers are written according to
    /// the plan's privacy setting.
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
        /// The reason, when the verdict is not `pass`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<String>,
        /// How the procedure itself ended, regardless of its measurements. Together they determine the verdict. Absent
        /// when the procedure did not finish (skipped, aborted), and in format 1.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        procedure: Option<Verdict>,
        /// Whether the plan gives the step another attempt.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        retried: bool,
        /// The largest lateness of the controller during the attempt; absent when there was none.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        late: Option<LateRecord>,
    },
    /// A rail was switched. `volts` was measured afterwards.
    RailSwitched {
        rail: String,
        on: bool,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        volts: Option<f64>,
    },
    /// The run is stopped from outside, or by a step whose failure stops it.
    Stopping {
        reason: String,
    },
    /// Rails off and nails released. `confirmed` is false when the bench could not measure this.
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
    /// The cause of the delay.
    pub cause: String,
}

/// Prefix of the reason of an attempt that did not pass while the controller was late: it does not count, and is
/// repeated.
pub const VOID: &str = "void: ";

/// Lateness from which a module that does not pass is not blamed.
pub const NOT_BLAMED: Duration = Duration::from_millis(15);

impl LateRecord {
    /// Whether a module that did not pass would not be blamed because of this lateness.
    pub fn is_serious(&self) -> bool {
        Duration::from_micros(self.us) >= NOT_BLAMED
    }
}

impl fmt::Display for LateRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Avoids "0 ms" for a delay that is reported.
        write!(f, "the controller was {} ms late ({})", (self.us / 1_000).max(1), self.cause)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    pub id: String,
    pub kind: String,
    pub title: String,
    /// Number of measurements that each attempt promises.
    pub measurements: usize,
    /// Number of attempts that the plan allows, without void ones. Absent in records of older versions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub attempts: Option<u8>,
    /// The promised measurements with their limits, which allow judging the readings again. Absent in format 1.
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
    /// Different contacts of at least one judged measurement.
    pub contacts: usize,
}

/// An event with its position in the run.
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

/// The oldest format that can still be read.
pub const OLDEST_JOURNAL_FORMAT: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_small_in_memory() {
        // A long plan has ten thousands of them, and the last checks before a pass iterate over all of them.
        assert!(size_of::<Entry>() <= 200, "{}", size_of::<Entry>());
    }
}
