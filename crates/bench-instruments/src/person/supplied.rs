//! Answers that were given before the run.

use super::{Answer, Person, Question, Task, parse_answer};
use crate::InstrumentError;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::rc::Rc;

/// [`Answer::by`] for what the command line gave.
pub const FROM_ARGUMENT: &str = "--answer";

/// Answers questions whose answer is known, and passes the others on.
pub struct SuppliedAnswers {
    /// By the name of the question, as typed.
    answers: BTreeMap<String, String>,
    others: Rc<dyn Person>,
}

impl SuppliedAnswers {
    /// `others` is asked what has no answer here, and does what a person must do.
    pub fn new(answers: BTreeMap<String, String>, others: Rc<dyn Person>) -> Self {
        Self { answers, others }
    }
}

#[async_trait(?Send)]
impl Person for SuppliedAnswers {
    async fn act(&self, task: &Task) -> Result<(), InstrumentError> {
        self.others.act(task).await
    }

    async fn tell(&self, task: &Task) -> Result<String, InstrumentError> {
        self.others.tell(task).await
    }

    async fn ask(&self, question: &Question) -> Result<Answer, InstrumentError> {
        let Some(typed) = self.answers.get(&question.name) else { return self.others.ask(question).await };
        match parse_answer(&question.form, typed) {
            Ok(Some(value)) => Ok(Answer { value, by: Some(FROM_ARGUMENT.to_owned()) }),
            Ok(None) => Err(InstrumentError::CannotSay(question.text.clone())),
            Err(why) => Err(InstrumentError::CannotSay(format!("{FROM_ARGUMENT} {}: {why}", question.name))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AnswerForm, AnswerValue, ManualClock, Nobody};

    #[test]
    fn known_answers_are_given_and_others_are_asked() {
        let answers = [("led", "y"), ("label", "?"), ("colour", "blue")];
        let answers = answers.iter().map(|(name, typed)| ((*name).to_owned(), (*typed).to_owned())).collect();
        let person = SuppliedAnswers::new(answers, Rc::new(Nobody));
        let ask = |name: &str, form: AnswerForm| {
            let text = format!("{name}?");
            let question =
                Question { name: name.to_owned(), text, form, picture: None, picture_text: None, within: None };
            ManualClock::new().run(person.ask(&question))
        };
        let yes = Answer { value: AnswerValue::Yes, by: Some("--answer".to_owned()) };
        assert_eq!(ask("led", AnswerForm::Confirm), Ok(yes));
        let any = AnswerForm::Text { pattern: None };
        assert_eq!(ask("label", any), Err(InstrumentError::CannotSay("label?".to_owned())));
        assert_eq!(ask("screen", AnswerForm::Confirm), Err(InstrumentError::Nobody("screen?".to_owned())));
        let why = "--answer colour: \"blue\" is neither yes nor no; type y or n".to_owned();
        assert_eq!(ask("colour", AnswerForm::Confirm), Err(InstrumentError::CannotSay(why)));
    }
}
