//! A person who follows a script.

use super::object_to;
use crate::{Answer, InstrumentError, Person, Question, Task};
use async_trait::async_trait;
use std::cell::RefCell;
use std::collections::VecDeque;

/// Answers questions as planned, and records them. `None` is a person who never answers.
#[derive(Debug, Default)]
pub struct ScriptedPerson {
    answers: RefCell<VecDeque<Option<Result<Answer, InstrumentError>>>>,
    questions: RefCell<Vec<Question>>,
}

impl ScriptedPerson {
    /// Sets the answers, in the order of the questions.
    pub fn new(answers: impl IntoIterator<Item = Option<Result<Answer, InstrumentError>>>) -> Self {
        Self { answers: RefCell::new(answers.into_iter().collect()), questions: RefCell::default() }
    }

    /// Returns the questions so far.
    pub fn questions(&self) -> Vec<Question> {
        self.questions.borrow().clone()
    }
}

#[async_trait(?Send)]
impl Person for ScriptedPerson {
    async fn act(&self, task: &Task) -> Result<(), InstrumentError> {
        panic!("the step asks for {task:?}, which the script does not plan")
    }

    async fn tell(&self, task: &Task) -> Result<String, InstrumentError> {
        panic!("the step asks for {task:?}, which the script does not plan")
    }

    async fn ask(&self, question: &Question) -> Result<Answer, InstrumentError> {
        self.questions.borrow_mut().push(question.clone());
        let planned = self.answers.borrow_mut().pop_front();
        let Some(answer) = planned else { panic!("the step asks {question:?}, which the script does not plan") };
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

impl Drop for ScriptedPerson {
    fn drop(&mut self) {
        let left: Vec<String> = self.answers.get_mut().iter().map(|answer| format!("{answer:?}")).collect();
        object_to(&left, "person");
    }
}
