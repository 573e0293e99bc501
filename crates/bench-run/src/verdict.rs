//! The five outcomes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Outcome of a measurement, a step or a unit.
///
/// `Fail` sends the module to repair, `Error` sends for the technician: never mix them up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything that was required was measured and is within its limits.
    Pass,
    /// The DUT is bad.
    Fail,
    /// The bench is bad, or the result could not be determined.
    Error,
    /// Not executed, because a step that it needs did not pass.
    Skipped,
    /// Stopped from outside.
    Aborted,
}

impl Verdict {
    /// Combines the verdicts of two parts into the more urgent one. Aborted, then error, then fail, then pass; a
    /// skipped part has no effect.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self.weight() >= other.weight() { self } else { other }
    }

    fn weight(self) -> u8 {
        match self {
            Verdict::Skipped => 0,
            Verdict::Pass => 1,
            Verdict::Fail => 2,
            Verdict::Error => 3,
            Verdict::Aborted => 4,
        }
    }

    /// Exit code of the program after a run with this verdict (documented in `bench --help`).
    pub const fn exit_code(self) -> u8 {
        match self {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            // A unit whose steps were all skipped was not tested: no pass.
            Verdict::Error | Verdict::Skipped => 2,
            Verdict::Aborted => 4,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Error => "error",
            Verdict::Skipped => "skipped",
            Verdict::Aborted => "aborted",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
