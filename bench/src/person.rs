//! The person at a terminal: questions on standard error, answers from standard input.

use async_trait::async_trait;
use bench_instruments::{Answer, CANNOT_SAY, Chore, InstrumentError, Person, Question, TERMINAL, Task, parse_answer};
use indicatif::{ProgressBar, ProgressDrawTarget};
use std::cell::RefCell;
use std::io::{BufRead, IsTerminal, Write};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Asks on a terminal. Without one it does what it may without asking, and fails at the rest.
pub(crate) struct TerminalPerson {
    /// Hidden while a question is open.
    bar: Option<ProgressBar>,
    /// The power is on already.
    powered: bool,
    lines: RefCell<Option<UnboundedReceiver<String>>>,
}

/// Answers that mean: it cannot be done.
const NO: [&str; 3] = ["n", "no", "skip"];

impl TerminalPerson {
    pub fn new(bar: Option<ProgressBar>, powered: bool) -> Self {
        Self { bar, powered, lines: RefCell::default() }
    }

    /// Lines that are typed, from a thread that ends with the program or with its input.
    fn lines() -> UnboundedReceiver<String> {
        let (sender, receiver) = unbounded_channel();
        let read = move || {
            let stdin = std::io::stdin();
            for line in stdin.lock().lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        };
        // Without the thread the channel is closed, and the question is not answered.
        let _ = std::thread::Builder::new().name("answers".to_owned()).spawn(read);
        receiver
    }

    async fn request(&self, task: &Task, how: &str) -> Result<String, InstrumentError> {
        if !std::io::stdin().is_terminal() {
            return Err(InstrumentError::Nobody(task.text.clone()));
        }
        let taken = self.lines.borrow_mut().take();
        let mut lines = taken.unwrap_or_else(Self::lines);
        // What was typed before the question is no answer to it.
        while lines.try_recv().is_ok() {}
        let hidden = Hidden::of(self.bar.as_ref());
        let mut to = std::io::stderr().lock();
        let _ = write!(to, "\n>> {}\n   {how} ", task.text).and_then(|()| to.flush());
        drop(to);
        let answer = lines.recv().await;
        drop(hidden);
        *self.lines.borrow_mut() = Some(lines);
        let answer = answer.ok_or_else(|| InstrumentError::Nobody(task.text.clone()))?;
        let answer = answer.trim().to_owned();
        if NO.iter().any(|no| answer.eq_ignore_ascii_case(no)) {
            return Err(InstrumentError::NotDone(task.text.clone()));
        }
        Ok(answer)
    }
}

/// The bar comes back when this is dropped, also with a question that is not waited for any more.
struct Hidden<'a>(Option<&'a ProgressBar>);

impl<'a> Hidden<'a> {
    fn of(bar: Option<&'a ProgressBar>) -> Self {
        if let Some(bar) = bar {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self(bar)
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        if let Some(bar) = self.0 {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

#[async_trait(?Send)]
impl Person for TerminalPerson {
    async fn act(&self, task: &Task) -> Result<(), InstrumentError> {
        if task.chore == Chore::SwitchOn && self.powered {
            return Ok(());
        }
        let how = match task.chore {
            Chore::Confirm => "Enter if so; n and Enter if not:",
            _ => "Then press Enter; n and Enter if that is not possible:",
        };
        self.request(task, how).await.map(drop)
    }

    async fn tell(&self, task: &Task) -> Result<String, InstrumentError> {
        self.request(task, "Type what you see, then press Enter; n and Enter if that is not possible:").await
    }

    async fn ask(&self, question: &Question) -> Result<Answer, InstrumentError> {
        if !std::io::stdin().is_terminal() {
            return Err(InstrumentError::Nobody(question.text.clone()));
        }
        let taken = self.lines.borrow_mut().take();
        let mut lines = taken.unwrap_or_else(Self::lines);
        while lines.try_recv().is_ok() {}
        let _hidden = Hidden::of(self.bar.as_ref());
        let mut why = String::new();
        let answer = loop {
            write_question(question, &why);
            let Some(typed) = lines.recv().await else {
                return Err(InstrumentError::Nobody(question.text.clone()));
            };
            match parse_answer(&question.form, &typed) {
                Ok(answer) => break answer,
                Err(reason) => why = reason,
            }
        };
        *self.lines.borrow_mut() = Some(lines);
        let value = answer.ok_or_else(|| InstrumentError::CannotSay(question.text.clone()))?;
        Ok(Answer { value, by: Some(TERMINAL.to_owned()) })
    }
}

/// Asks, or asks again with the reason why that was no answer.
fn write_question(question: &Question, why: &str) {
    let mut to = std::io::stderr().lock();
    let again = if why.is_empty() { format!("\n>> {}\n", question.text) } else { format!("   {why}\n") };
    let how = question.form.how();
    let _ = write!(to, "{again}   Type {how}, then press Enter; {CANNOT_SAY} if you cannot say: ")
        .and_then(|()| to.flush());
}
