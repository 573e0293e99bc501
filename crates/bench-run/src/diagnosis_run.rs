//! Runs that look for a cause: a part of a plan, some of it repeated. They test no unit.

use serde::{Deserialize, Serialize};

/// What a run was ordered to do that runs a part of its plan to find a cause.
///
/// It is no test of the unit, whatever comes out: it is in no statistics, and its verdict is never `pass`. A run in which
/// every step passed is recorded as `skipped`, because the unit was not tested.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosisRun {
    /// Steps that were chosen, by their ids in the plan and in its order.
    pub chosen: Vec<String>,
    /// Steps that run because the chosen ones need them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub needed: Vec<String>,
    /// Steps that chosen ones come after in the plan, without a need, and that do not run.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub absent: Vec<String>,
    /// How many times the chosen steps run at most.
    #[serde(skip_serializing_if = "is_one", default = "one")]
    pub repeat: u16,
    /// Whether the first chosen step that does not pass ends the repetitions.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub until_fail: bool,
    /// How long the power stays on afterwards, seconds at most.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold_s: Option<u64>,
}

/// Reason of a diagnosis in which every step passed.
pub const NOT_TESTED: &str = "diagnosis: the steps that ran passed; the unit was not tested";

/// Between the id of a step and the number of its repetition. Names in plans do not contain it.
const REPETITION: char = '#';

/// Returns the id of a repetition of a step: "led", "led#2", "led#3".
pub fn repetition_id(step: &str, repetition: u16) -> String {
    if repetition <= 1 { step.to_owned() } else { format!("{step}{REPETITION}{repetition}") }
}

/// Returns the id in the plan of a step that may be a repetition.
pub fn without_repetition(id: &str) -> &str {
    id.split_once(REPETITION).map_or(id, |(step, _)| step)
}

impl DiagnosisRun {
    /// Whether this step of the run is one of the chosen ones, or a repetition of one.
    pub fn is_chosen(&self, id: &str) -> bool {
        self.chosen.iter().any(|chosen| chosen == without_repetition(id))
    }
}

fn one() -> u16 {
    1
}

fn is_one(repeat: &u16) -> bool {
    *repeat == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_named_after_their_steps() {
        for (step, repetition, id) in [("led", 1, "led"), ("led", 2, "led#2"), ("a.b-c", 1000, "a.b-c#1000")] {
            assert_eq!(repetition_id(step, repetition), id);
            assert_eq!(without_repetition(id), step);
            let run = DiagnosisRun { chosen: vec![step.into()], ..DiagnosisRun::default() };
            assert!(run.is_chosen(id) && !run.is_chosen("led2"));
        }
    }
}
