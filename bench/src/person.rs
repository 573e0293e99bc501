//! The person at a terminal: questions on standard error, answers from standard input.

use async_trait::async_trait;
use bench_instruments::{
    Answer, AnswerForm, CANNOT_SAY, Chore, InstrumentError, Person, Question, TERMINAL, Task, parse_answer,
};
use bench_operator::PictureTerminal;
use indicatif::{ProgressBar, ProgressDrawTarget};
use std::cell::RefCell;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

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

    /// Lines that are typed from now on: what was typed before the question is no answer to it.
    fn typed(&self) -> Typed<'_> {
        let taken = self.lines.borrow_mut().take();
        let mut lines = taken.unwrap_or_else(Self::lines);
        while lines.try_recv().is_ok() {}
        Typed { lines: Some(lines), home: &self.lines }
    }

    /// Ends when a person presses Enter from now on; never where nobody can.
    pub async fn presses_enter(&self) {
        let pressed = std::io::stdin().is_terminal() && self.typed().next().await.is_some();
        if !pressed {
            std::future::pending::<()>().await;
        }
    }

    async fn request(&self, task: &Task, how: &str) -> Result<String, InstrumentError> {
        if !std::io::stdin().is_terminal() {
            return Err(InstrumentError::Nobody(task.text.clone()));
        }
        let mut lines = self.typed();
        let hidden = Hidden::of(self.bar.as_ref());
        let mut to = std::io::stderr().lock();
        let _ = write!(to, "\n>> {}\n   {how} ", task.text).and_then(|()| to.flush());
        drop(to);
        let answer = lines.next().await;
        drop(hidden);
        let answer = answer.ok_or_else(|| InstrumentError::Nobody(task.text.clone()))?;
        let answer = answer.trim().to_owned();
        if NO.iter().any(|no| answer.eq_ignore_ascii_case(no)) {
            return Err(InstrumentError::NotDone(task.text.clone()));
        }
        Ok(answer)
    }
}

/// The lines for one question. They come back when this is dropped, also when nobody waits for the answer any more: a
/// second thread at the terminal would take the next answer away from the question.
struct Typed<'a> {
    lines: Option<UnboundedReceiver<String>>,
    home: &'a RefCell<Option<UnboundedReceiver<String>>>,
}

impl Typed<'_> {
    async fn next(&mut self) -> Option<String> {
        self.lines.as_mut()?.recv().await
    }
}

impl Drop for Typed<'_> {
    fn drop(&mut self) {
        *self.home.borrow_mut() = self.lines.take();
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
        let mut lines = self.typed();
        let _hidden = Hidden::of(self.bar.as_ref());
        show(&shown(question));
        if let Some(path) = &question.picture {
            show(&drawn(path).await);
        }
        show(&terms(question));
        let answer = loop {
            show(&prompt(&question.form));
            let Some(typed) = lines.next().await else {
                return Err(InstrumentError::Nobody(question.text.clone()));
            };
            match parse_answer(&question.form, &typed) {
                Ok(answer) => break answer,
                Err(why) => show(&format!("   That is no answer: {why}.\n")),
            }
        };
        let value = answer.ok_or_else(|| InstrumentError::CannotSay(question.text.clone()))?;
        Ok(Answer { value, by: Some(TERMINAL.to_owned()) })
    }
}

/// A question with the name of its picture.
fn shown(question: &Question) -> String {
    let mut text = format!("\n>> {}\n", question.text);
    if let Some(picture) = &question.picture {
        let says = question.picture_text.as_ref().map(|says| format!(" ({says})")).unwrap_or_default();
        text.push_str(&format!("   Picture: {}{says}\n", bench_journal::shown(picture)));
    }
    text
}

/// The picture itself where the terminal shows pictures, or why not. It is drawn in a thread: a slow disk must not delay
/// a stop.
async fn drawn(path: &Path) -> String {
    let terminal = PictureTerminal::detect().filter(|_| std::io::stderr().is_terminal());
    let Some(terminal) = terminal else { return String::new() };
    let (sender, receiver) = oneshot::channel();
    let path = path.to_owned();
    let draw = move || drop(sender.send(terminal.between_lines(&path)));
    let started = std::thread::Builder::new().name("picture".to_owned()).spawn(draw);
    let drawn = match started {
        Ok(_) => receiver.await.unwrap_or_else(|_| Err("its decoder failed".to_owned())),
        Err(error) => Err(error.to_string()),
    };
    drawn.unwrap_or_else(|why| format!("   The picture cannot be drawn: {why}.\n"))
}

/// What can be chosen, and the time that there is.
fn terms(question: &Question) -> String {
    let mut text = String::new();
    if let AnswerForm::Choice(choices) = &question.form {
        for (index, choice) in choices.iter().enumerate() {
            text.push_str(&format!("   {}  {choice}\n", index + 1));
        }
    }
    if let Some(within) = question.within {
        text.push_str(&format!("   Without an answer within {} the step is an error.\n", span(within)));
    }
    text
}

fn prompt(form: &AnswerForm) -> String {
    let how = match form {
        AnswerForm::Choice(choices) => format!("a number from 1 to {}", choices.len()),
        form => form.how(),
    };
    format!("   Type {how}, then press Enter; {CANNOT_SAY} and Enter if you cannot say: ")
}

/// In minutes where they are whole ones.
fn span(of: Duration) -> String {
    match of.as_secs() {
        seconds if seconds >= 60 && seconds.is_multiple_of(60) && of.subsec_nanos() == 0 => {
            format!("{} min", seconds / 60)
        }
        _ => format!("{} s", of.as_secs_f64()),
    }
}

fn show(text: &str) {
    let mut to = std::io::stderr().lock();
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_run::{Limits, MeasurementUnit};

    #[test]
    fn a_question_says_what_to_type_and_how_long_there_is() {
        let question = |form: AnswerForm, seconds: u64| Question {
            name: "led".to_owned(),
            text: "Which colour?".to_owned(),
            form,
            picture: Some("plans/led.svg".into()),
            picture_text: Some("the LED next to the antenna".to_owned()),
            within: Some(Duration::from_secs(seconds)),
        };
        let choices = AnswerForm::Choice(vec!["red".to_owned(), "green".to_owned()]);
        let expected = "\n>> Which colour?\n   Picture: plans/led.svg (the LED next to the antenna)\n   1  red\n   2  green\n   \
                        Without an answer within 5 min the step is an error.\n   Type a number from 1 to 2, then press \
                        Enter; ? and Enter if you cannot say: ";
        let asked = question(choices.clone(), 300);
        assert_eq!(shown(&asked) + &terms(&asked) + &prompt(&choices), expected);
        let number = AnswerForm::Number { unit: MeasurementUnit::Volts, limits: Limits::at_most(2.0) };
        assert!(terms(&question(number.clone(), 90)).contains("within 90 s the step"));
        assert!(prompt(&number).starts_with("   Type a number with its unit, such as 1.000 V, then press Enter"));
    }
}
