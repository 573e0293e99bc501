//! What must always hold, by name.

use std::fmt;

/// A rule that every run must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A defect that the plan detects must not pass because something else happens.
    BadModulePassed,
    /// Only the module itself may make a `fail`.
    GoodModuleFailed,
    /// A good module passes when nothing happens.
    GoodModuleNotPassed,
    /// Who opens the lid, presses the emergency stop or sends a signal ends the run.
    NotStopped,
    /// Only people abort.
    AbortedByNobody,
    /// Rails are off at every end, within the time that the fixture promises.
    RailsOn,
    /// The end of a run says whether everything is off.
    SafeState,
    /// `bench verify` finds that the record holds, and judges it alike.
    Record,
    /// A pass is on the disk.
    PassWithoutRecord,
    /// A replay of the recorded answers has the same readings and verdicts.
    Replay,
    /// JUnit report and store agree with the record.
    Reports,
    /// What was on a module on a desk is written back, or the verdict is `error`.
    PutBack,
    Panic,
    Hang,
    /// Threads end with their runs.
    ThreadsLeft,
    /// A run that was not told to fail starts.
    NotStarted,
}

impl Rule {
    /// Why it must hold.
    pub fn why(self) -> &'static str {
        match self {
            Rule::BadModulePassed => "a module with a defect that this plan detects is shipped",
            Rule::GoodModuleFailed => "a good module is sent to repair",
            Rule::GoodModuleNotPassed => "a good module does not pass although nothing happened",
            Rule::NotStopped => "a person or the guard ended the run, and it passed",
            Rule::AbortedByNobody => "the run was aborted, and no person did it",
            Rule::RailsOn => "a rail is on after the end",
            Rule::SafeState => "the bench did not switch everything off, or does not say whether it did",
            Rule::Record => "the record does not hold",
            Rule::PassWithoutRecord => "a pass is not on the disk",
            Rule::Replay => "the replay of the recorded answers differs from the run",
            Rule::Reports => "reports and store do not agree with the record",
            Rule::PutBack => "what was on the module is not there, and the verdict does not say so",
            Rule::Panic => "something panicked",
            Rule::Hang => "the run does not end",
            Rule::ThreadsLeft => "threads did not end with their runs",
            Rule::NotStarted => "the run could not start",
        }
    }
}

/// A rule that a run broke, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub rule: Rule,
    pub detail: String,
}

impl Violation {
    pub fn new(rule: Rule, detail: impl Into<String>) -> Self {
        Self { rule, detail: detail.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {}", self.rule, self.rule.why(), self.detail)
    }
}
