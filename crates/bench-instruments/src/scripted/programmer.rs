//! A debug probe that follows a script.

use super::object_to;
use crate::{ProgramError, ProgramJob, ProgramObserver, Programmed, Programmer};
use async_trait::async_trait;
use std::cell::RefCell;
use std::collections::VecDeque;

/// Ends jobs as planned, and records them.
#[derive(Debug, Default)]
pub struct ScriptedProgrammer {
    outcomes: RefCell<VecDeque<Result<Programmed, ProgramError>>>,
    jobs: RefCell<Vec<ProgramJob>>,
}

impl ScriptedProgrammer {
    /// Sets the results of the jobs, in their order.
    pub fn new(outcomes: impl IntoIterator<Item = Result<Programmed, ProgramError>>) -> Self {
        Self { outcomes: RefCell::new(outcomes.into_iter().collect()), jobs: RefCell::default() }
    }

    /// Returns the jobs so far.
    pub fn jobs(&self) -> Vec<ProgramJob> {
        self.jobs.borrow().clone()
    }
}

#[async_trait(?Send)]
impl Programmer for ScriptedProgrammer {
    async fn program(&self, job: ProgramJob, _: ProgramObserver<'_>) -> Result<Programmed, ProgramError> {
        self.jobs.borrow_mut().push(job);
        let planned = self.outcomes.borrow_mut().pop_front();
        let Some(outcome) = planned else { panic!("the step programs the module, which the script does not plan") };
        outcome
    }
}

impl Drop for ScriptedProgrammer {
    fn drop(&mut self) {
        let left: Vec<String> = self.outcomes.get_mut().iter().map(|outcome| format!("{outcome:?}")).collect();
        object_to(&left, "debug probe");
    }
}
