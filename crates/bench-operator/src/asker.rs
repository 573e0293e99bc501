//! The operator as the person of a run: questions go to the screen, answers come back to the thread of the nest.

use super::input::Input;
use async_trait::async_trait;
use bench_instruments::{Answer, InstrumentError, Person, Question, Task};
use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Where an answer goes. `None`: the person cannot say.
type Reply = oneshot::Sender<Option<Answer>>;

/// Where the answers to the open questions go, by the numbers of the questions.
#[derive(Clone, Default)]
pub(super) struct Replies(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    next: u64,
    replies: BTreeMap<u64, Reply>,
}

impl Replies {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, reply: Reply) -> u64 {
        let mut open = self.open();
        open.next += 1;
        let number = open.next;
        open.replies.insert(number, reply);
        number
    }

    /// Gives the answer to the run, if it still waits.
    pub(super) fn answer(&self, number: u64, answer: Option<Answer>) {
        if let Some(reply) = self.open().replies.remove(&number) {
            // A run that ended meanwhile needs no answer.
            let _ = reply.send(answer);
        }
    }
}

/// Asks the operator at the screen, for the runs of one nest. It crosses threads.
#[derive(Clone)]
pub struct Asker {
    nest: usize,
    replies: Replies,
    screen: Sender<Input>,
}

impl Asker {
    /// Shows what does not work next to the run itself.
    pub(super) fn trouble(&self, text: String) {
        // Without a screen nobody reads it.
        let _ = self.screen.send(Input::Trouble(text));
    }

    pub(super) fn new(nest: usize, replies: Replies, screen: Sender<Input>) -> Self {
        Self { nest, replies, screen }
    }
}

/// Takes the question off the screen when nobody waits for the answer any more.
struct Waits<'a> {
    asker: &'a Asker,
    number: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.asker.replies.open().replies.remove(&self.number);
        // Without a screen nothing shows it.
        let _ = self.asker.screen.send(Input::Withdrawn(self.asker.nest, self.number));
    }
}

#[async_trait(?Send)]
impl Person for Asker {
    async fn act(&self, task: &Task) -> Result<(), InstrumentError> {
        Err(InstrumentError::Nobody(task.text.clone()))
    }

    async fn tell(&self, task: &Task) -> Result<String, InstrumentError> {
        Err(InstrumentError::Nobody(task.text.clone()))
    }

    async fn ask(&self, question: &Question) -> Result<Answer, InstrumentError> {
        let (reply, answer) = oneshot::channel();
        let number = self.replies.add(reply);
        let _waits = Waits { asker: self, number };
        let nobody = || InstrumentError::Nobody(question.text.clone());
        if self.screen.send(Input::Question(self.nest, number, Box::new(question.clone()))).is_err() {
            return Err(nobody());
        }
        match answer.await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(InstrumentError::CannotSay(question.text.clone())),
            Err(_) => Err(nobody()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_instruments::{AnswerForm, AnswerValue};
    use std::sync::mpsc::channel;

    fn question() -> Question {
        Question {
            name: "led".to_owned(),
            text: "Lit?".to_owned(),
            form: AnswerForm::Confirm,
            picture: None,
            picture_text: None,
            within: None,
        }
    }

    /// What the screen does with the question, and what the run gets.
    #[test]
    fn an_answer_comes_back_and_a_question_is_withdrawn() {
        let yes = || Answer { value: AnswerValue::Yes, by: Some("0042".to_owned()) };
        let lit = || "Lit?".to_owned();
        let rows = [
            (Some(Some(yes())), Ok(yes())),
            (Some(None), Err(InstrumentError::CannotSay(lit()))),
            // The screen is gone.
            (None, Err(InstrumentError::Nobody(lit()))),
        ];
        for (answer, expected) in rows {
            let (sender, inputs) = channel();
            let replies = Replies::default();
            let asker = Asker::new(2, replies.clone(), sender);
            let run = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(asker.ask(&question()))
            });
            let Ok(Input::Question(2, number, asked)) = inputs.recv() else { panic!("no question") };
            assert_eq!(*asked, question());
            match answer {
                Some(answer) => replies.answer(number, answer),
                None => replies.open().replies.clear(),
            }
            assert_eq!(run.join().unwrap(), expected);
            assert!(matches!(inputs.recv(), Ok(Input::Withdrawn(2, closed)) if closed == number));
            assert!(replies.open().replies.is_empty());
            // Too late: nobody waits.
            replies.answer(number, None);
        }
    }

    #[test]
    fn without_a_screen_there_is_nobody() {
        let (sender, inputs) = channel();
        drop(inputs);
        let asker = Asker::new(0, Replies::default(), sender);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(asker.ask(&question())), Err(InstrumentError::Nobody("Lit?".to_owned())));
    }
}
