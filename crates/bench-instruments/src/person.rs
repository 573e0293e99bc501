//! The person at the bench, who can do what no instrument of it can.

mod question;
mod supplied;

pub use question::{
    Answer, AnswerForm, AnswerValue, CANNOT_SAY, LONGEST_ANSWER, Question, TERMINAL, check_pattern, parse_answer,
};
pub use supplied::{FROM_ARGUMENT, SuppliedAnswers};

use crate::InstrumentError;
use async_trait::async_trait;

/// What only a person can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chore {
    /// Switch the board's supply on, with everything wired.
    SwitchOn,
    /// Join the module's USB connector to this computer.
    PlugUsb,
    /// Hold a telephone to the module's NFC antenna, and read what it shows.
    ReadTag,
    /// Confirm that what is around the module works: a telephone with another tag, a cell with another device.
    Confirm,
}

/// One request to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub chore: Chore,
    /// What to do, in whole sentences.
    pub text: String,
}

/// Asks, and waits as long as the person takes. A future of it may be dropped at any time.
#[async_trait(?Send)]
pub trait Person {
    /// Returns when the person says that it is done.
    ///
    /// # Errors
    /// [`InstrumentError::Nobody`] when nobody can be asked, [`InstrumentError::NotDone`] when the person cannot do it.
    async fn act(&self, task: &Task) -> Result<(), InstrumentError>;

    /// Returns what the person typed; nothing when there was nothing to read.
    ///
    /// # Errors
    /// As [`Person::act`].
    async fn tell(&self, task: &Task) -> Result<String, InstrumentError>;

    /// Returns the answer to a question of the plan. It has the question's form: what was typed and was no answer was
    /// asked again.
    ///
    /// # Errors
    /// [`InstrumentError::Nobody`] when nobody can be asked, [`InstrumentError::CannotSay`] when the person cannot say.
    async fn ask(&self, question: &Question) -> Result<Answer, InstrumentError>;
}

/// Nobody is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

#[async_trait(?Send)]
impl Person for Nobody {
    async fn act(&self, task: &Task) -> Result<(), InstrumentError> {
        Err(InstrumentError::Nobody(task.text.clone()))
    }
    async fn tell(&self, task: &Task) -> Result<String, InstrumentError> {
        Err(InstrumentError::Nobody(task.text.clone()))
    }
    async fn ask(&self, question: &Question) -> Result<Answer, InstrumentError> {
        Err(InstrumentError::Nobody(question.text.clone()))
    }
}
