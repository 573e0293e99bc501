//! Questions of a plan to the operator: one at a time on each nest, answered with few keys.
//!
//! A character that may be one key's answer counts only when a pause follows it: a scanner sends the first character of
//! a label in the same way.

use super::app::{Action, App, Mode};
use super::nest::State;
use super::scan::{ScanProblem, Source, read_label};
use super::texts::Key;
use bench_instruments::{Answer, AnswerForm, AnswerValue, CANNOT_SAY, Question, parse_answer};
use std::time::Duration;

/// [`Answer::by`] when no operator is logged on.
pub const SCREEN: &str = "operator's screen";
/// The key of a person who cannot say, where a digit chooses.
pub(crate) const CANNOT_KEY: char = '0';
/// Nobody who types a number or a word waits this long after its first character, and no scanner does.
const SINGLE_KEY: Duration = Duration::from_millis(250);

/// A question that waits for its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenQuestion {
    /// Distinguishes it from earlier ones on the same nest.
    pub number: u64,
    pub question: Question,
    pub since: Duration,
}

impl OpenQuestion {
    /// Time that is left for the answer.
    pub(crate) fn left(&self, now: Duration) -> Option<Duration> {
        Some(self.question.within?.saturating_sub(now.saturating_sub(self.since)))
    }

    /// Whether one key answers it.
    pub(crate) fn has_keys(&self) -> bool {
        matches!(self.question.form, AnswerForm::Confirm | AnswerForm::Choice(_))
    }
}

/// What a key answers: 1 and 2 are yes and no, or the first two choices. Nothing for a key that is no answer.
fn by_key(form: &AnswerForm, key: char) -> Option<Option<AnswerValue>> {
    let choice = key.to_digit(10).and_then(|digit| usize::try_from(digit).ok()?.checked_sub(1));
    match form {
        _ if key == CANNOT_KEY || CANNOT_SAY.contains(key) => Some(None),
        AnswerForm::Confirm => match key.to_ascii_lowercase() {
            '1' | 'y' | 'j' => Some(Some(AnswerValue::Yes)),
            '2' | 'n' => Some(Some(AnswerValue::No)),
            _ => None,
        },
        AnswerForm::Choice(choices) => {
            choice.filter(|index| *index < choices.len()).map(|index| Some(AnswerValue::Choice(index)))
        }
        AnswerForm::Number { .. } | AnswerForm::Text { .. } => None,
    }
}

impl App {
    /// The question on the nest in focus, if keys answer it now.
    pub(crate) fn asked(&self) -> Option<&OpenQuestion> {
        let nest = self.nests.get(self.focus)?;
        nest.question.as_ref().filter(|_| matches!(self.mode, Mode::Work) && self.leaving.is_none() && !nest.stopping)
    }

    /// A run asks.
    pub(super) fn question(&mut self, nest: usize, number: u64, question: Question) {
        let since = self.now;
        let Some(place) = self.nests.get_mut(nest) else { return };
        if !place.is_running() {
            // Its run is over for this screen: nobody answers.
            return self.actions.push(Action::Answer { nest, number, answer: None });
        }
        place.question = Some(OpenQuestion { number, question, since });
        self.lamp(nest);
        if self.setup.rules.bell {
            self.actions.push(Action::Bell);
        }
        self.say(Key::NoticeAsks, &[("nest", (nest + 1).into())]);
        self.look_at_question(nest);
    }

    /// Moves the focus to the question, unless the operator is busy with another nest.
    fn look_at_question(&mut self, nest: usize) {
        let busy = self.asked().is_some() || !self.typed.is_empty() || !matches!(self.mode, Mode::Work);
        if !busy && !matches!(self.nests[self.focus].state, State::Ready(_)) {
            self.focus = nest;
        }
    }

    /// The run no longer waits for the answer.
    pub(super) fn withdrawn(&mut self, nest: usize, number: u64) {
        let Some(place) = self.nests.get_mut(nest) else { return };
        if place.question.as_ref().is_some_and(|open| open.number == number) {
            place.question = None;
            self.lamp(nest);
            self.next_question(nest);
        }
    }

    /// The next question in turn comes into focus.
    fn next_question(&mut self, after: usize) {
        let count = self.nests.len();
        let mut others = (1..count).map(|step| (after + step) % count);
        if self.focus == after
            && let Some(nest) = others.find(|nest| self.nests[*nest].question.is_some())
        {
            self.focus = nest;
        }
    }

    fn answer(&mut self, value: Option<AnswerValue>) {
        let nest = self.focus;
        let Some(open) = self.nests[nest].question.take() else { return };
        let by = self.operator.clone().unwrap_or_else(|| SCREEN.to_owned());
        let answer = value.map(|value| Answer { value, by: Some(by) });
        self.actions.push(Action::Answer { nest, number: open.number, answer });
        self.typed.clear();
        self.notice = None;
        self.lamp(nest);
        self.next_question(nest);
    }

    /// Takes a single key once a pause followed it.
    pub(super) fn take_single_key(&mut self) {
        let Some(open) = self.asked().filter(|open| open.has_keys()) else { return };
        if self.typed.count() != 1 || !self.typed.rested(SINGLE_KEY, self.now) {
            return;
        }
        let typed = self.typed.text();
        let Some(key) = typed.chars().next() else { return };
        match by_key(&open.question.form, key) {
            Some(value) => self.answer(value),
            None => {
                self.typed.clear();
                self.warn(Key::NoticeNoAnswer, &[("why", self.how_to_answer().into())]);
            }
        }
    }

    /// Takes a whole text, typed by hand or scanned, if it is for the question. The label of a unit never is: it holds a
    /// secret, and the next unit may be scanned while a question is open.
    pub(super) fn answers(&mut self, text: &str) -> bool {
        let Some(open) = self.asked() else { return false };
        if self.is_of_a_label(text) {
            return false;
        }
        let form = &open.question.form;
        let mut keys = text.trim().chars();
        let by_key = match (keys.next(), keys.next()) {
            (Some(key), None) => by_key(form, key),
            _ => None,
        };
        match by_key.map_or_else(|| parse_answer(form, text), Ok) {
            Ok(value) => self.answer(value),
            Err(why) => self.warn(Key::NoticeNoAnswer, &[("why", why.into())]),
        }
        true
    }

    /// Whether a unit's label is in it, whole or not. A broken one without its beginning cannot be distinguished from other text.
    fn is_of_a_label(&self, text: &str) -> bool {
        use ScanProblem::{Before, Character, NoLabel, OtherModel, SecretFirst, TooLong, TooShort, TwoLabels};
        match read_label(text, &self.setup.labels) {
            Ok(_) => true,
            Err(OtherModel { .. } | TooLong(_) | Before(_) | SecretFirst | TwoLabels) => {
                // Where no beginnings are known, every long word looks like one.
                !self.setup.labels.own.is_empty()
            }
            Err(NoLabel | TooShort(_) | Character(_)) => false,
        }
    }

    pub(super) fn how_to_answer(&self) -> String {
        self.asked().map(|open| open.question.form.how()).unwrap_or_default()
    }

    /// What was typed for the question, as it is: a person who types an answer wants to read it. Nothing of a scan.
    pub(crate) fn answer_shown(&self) -> Option<String> {
        let by_hand = !self.typed.is_by_scanner();
        self.asked().filter(|_| by_hand && self.typed.source() == Source::Keyboard)?;
        Some(self.typed.text().chars().filter(|c| !c.is_control()).collect())
    }
}
