//! One nest as the operator sees it: label, start, run, verdict, remove.

use super::advice::Advice;
use super::cause::Diagnosing;
use super::golden::GoldenDue;
use super::live::Live;
use super::questions::OpenQuestion;
use super::rules::UnitPast;
use bench_engine::Ended;
use bench_stats::{RepeatedCauses, Suspicion};
use std::time::Duration;

/// A unit that was scanned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unit {
    pub serial: String,
    /// Its history when it was scanned.
    pub past: UnitPast,
    /// Who allowed it against the rules, for the record of its run.
    pub let_in: Option<String>,
}

/// A run that ended, until the unit is taken out.
#[derive(Debug, Clone)]
pub struct Finished {
    pub unit: Unit,
    pub ended: Ended,
    pub advice: Advice,
    /// Bench time of the whole run.
    pub took: Duration,
    /// From the order to stop to the last rail off, when it was stopped.
    pub rails_off_after: Option<Duration>,
}

/// How far the unit in a nest is.
#[derive(Debug, Clone, Default)]
pub enum State {
    /// Waits for a label.
    #[default]
    Empty,
    /// Waits for the operator to put the unit in and start.
    Ready(Unit),
    Running(Unit, Box<Live>),
    /// The verdict is shown until the unit is taken out.
    Done(Box<Finished>),
}

/// What a nest's lamps show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lamp {
    Dark,
    /// Put the unit in and start, or answer a question.
    Waiting,
    Running,
    Pass,
    Fail,
    /// The bench could not tell, or the run was aborted.
    Trouble,
}

#[derive(Debug, Clone, Default)]
pub struct NestStatus {
    pub state: State,
    /// State of the lid switch; `None` without one.
    pub lid_closed: Option<bool>,
    /// The emergency stop is pressed.
    pub emergency: bool,
    /// What its run asks the operator.
    pub question: Option<OpenQuestion>,
    /// The end of the run was ordered.
    pub stopping: bool,
    /// When that was, in the bench time of the run.
    pub stopped_at: Option<Duration>,
    /// Its power was ordered off at once.
    pub cut: bool,
    /// What its last units had in common.
    pub repeated: RepeatedCauses,
    /// Why no unit is tested here until a person releases the nest.
    pub stopped: Option<Suspicion>,
    /// Why the golden module must be tested here, if a rule says so.
    pub golden_due: Option<GoldenDue>,
    /// The diagnosis that runs here instead of a test.
    pub diagnosing: Option<Box<Diagnosing>>,
    /// The last release, until a run has it in its record: the note, and why the nest was stopped.
    pub released: Option<(String, Suspicion)>,
}

impl NestStatus {
    /// The unit that is on this nest or to be put there.
    pub fn unit(&self) -> Option<&Unit> {
        match &self.state {
            State::Empty => None,
            State::Ready(unit) | State::Running(unit, _) => Some(unit),
            State::Done(finished) => Some(&finished.unit),
        }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running(..))
    }

    /// Whether a unit may be put on this nest: it is not stopped, and empty, or its unit has a verdict.
    pub fn is_free(&self) -> bool {
        self.stopped.is_none() && matches!(self.state, State::Empty | State::Done(_))
    }

    pub fn lamp(&self) -> Lamp {
        use bench_run::Verdict;
        match &self.state {
            State::Empty if self.stopped.is_some() => Lamp::Trouble,
            State::Empty => Lamp::Dark,
            State::Ready(_) => Lamp::Waiting,
            // As a nest that waits for the operator.
            State::Running(..) if self.question.is_some() => Lamp::Waiting,
            State::Running(..) => Lamp::Running,
            State::Done(finished) => match finished.ended.verdict {
                Verdict::Pass => Lamp::Pass,
                Verdict::Fail => Lamp::Fail,
                Verdict::Error | Verdict::Skipped | Verdict::Aborted => Lamp::Trouble,
            },
        }
    }
}
