//! The inputs of the screen: keys, labels, buttons, and reports of the nests.

use super::allow::why_key;
use super::app::{Action, Allow, App, Asked, Mode, NOTICE_STAYS};
use super::log::Row;
use super::nest::{State, Unit};
use super::people::Role;
use super::rules::{ASK_WITHIN, Begin, Ruling};
use super::scan::{Scan, ScanProblem, first_part, pasted, read_label};
use super::texts::Key;
use bench_engine::FromNest;
use bench_instruments::Question;
use std::time::Duration;
use zeroize::Zeroizing;

/// A key that the screen uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    Character(char),
    /// A control character that has no key of its own here, such as a group separator.
    Control(char),
    Enter,
    /// To the next nest; inside of a scan, what separates its parts or ends it.
    Tab,
    Backspace,
    Escape,
    Delete,
    /// To the next nest, or the one before.
    Next,
    Previous,
    /// To this nest, from 0.
    NestStatus(usize),
    /// Another language.
    Language,
    /// The operator leaves; the next one must scan a badge.
    LogOff,
    /// A technician wants to repeat the failed step of the unit in focus.
    FindCause,
    /// The shift is over.
    EndShift,
    /// Ctrl-C: ends every run in order, then leaves. Pressed again, it cuts the power.
    Interrupt,
}

/// Something that happened.
pub enum Input {
    Press(Press),
    /// A key that was pressed at this time. The input may be taken later, when the screen was busy.
    PressAt(Press, Duration),
    /// Text in one piece: pasted.
    Text(Zeroizing<String>),
    /// From a scanner on a serial port.
    Scan(Scan),
    StartButton(usize),
    Lid {
        nest: usize,
        closed: bool,
    },
    Emergency {
        nest: usize,
        pressed: bool,
    },
    FromNest(usize, FromNest),
    /// The run on this nest asks the operator; the number distinguishes its questions.
    Question(usize, u64, Box<Question>),
    /// It no longer waits for the answer to this one.
    Withdrawn(usize, u64),
    /// A run could not be started.
    NotStarted(usize, String),
    /// The permission for this unit could not be recorded.
    NotLetIn(String),
    /// The release of this nest could not be recorded.
    NotReleased(usize),
    /// Something other than a run does not work.
    Trouble(String),
    /// How many runs could not be forwarded to the line's server yet.
    Waiting(usize),
    /// The terminal's size changed, perhaps for a moment only: it may not show what was drawn.
    Resized,
    /// A signal, or the terminal is gone.
    End(String),
    Tick,
}

/// A second end of line within this time belongs to the label before it.
const SAME_SCAN: Duration = Duration::from_millis(200);
/// A label that follows Tab this soon begins with it: no person is as fast.
const TAB_OF_LABEL: Duration = Duration::from_millis(35);

impl App {
    /// Takes an input and returns what to do. `now` is the time since the screen came up, `date` the date and time of day.
    pub fn handle(&mut self, input: Input, now: Duration, date: &str) -> Vec<Action> {
        self.now = now;
        date.clone_into(&mut self.date);
        self.look_at_golden();
        match input {
            Input::Press(press) => self.press(press, now),
            Input::PressAt(press, at) => self.press(press, at.min(now)),
            Input::Text(text) => {
                self.by_hand = false;
                self.scans(pasted(&text));
            }
            Input::Scan(scan) => {
                self.by_hand = false;
                self.scan(scan);
            }
            Input::StartButton(nest) => self.start(nest),
            Input::Lid { nest, closed } => self.lid(nest, closed),
            Input::Emergency { nest, pressed } => self.emergency(nest, pressed),
            Input::FromNest(nest, said) => self.told_by(nest, said),
            Input::Question(nest, number, question) => self.question(nest, number, *question),
            Input::Withdrawn(nest, number) => self.withdrawn(nest, number),
            Input::NotStarted(nest, reason) => self.failed_to_start(nest, reason),
            Input::NotLetIn(serial) => self.not_let_in(&serial),
            Input::NotReleased(nest) => self.not_released(nest),
            Input::Trouble(text) => self.warn_text(text),
            Input::Waiting(runs) => self.waiting = runs,
            Input::End(reason) => self.leave(&reason),
            Input::Tick | Input::Resized => self.tick(),
        }
        std::mem::take(&mut self.actions)
    }

    fn tick(&mut self) {
        // A PIN may be typed as slowly as one likes.
        if !self.awaits_pin() {
            self.take_single_key();
            self.by_hand = false;
            let scans = self.typed.silence(self.now);
            self.scans(scans);
        }
        if self.notice.as_ref().is_some_and(|notice| self.now.saturating_sub(notice.since) > NOTICE_STAYS) {
            self.notice = None;
        }
        if matches!(&self.mode, Mode::Allow(allow) if self.now.saturating_sub(allow.since) > ASK_WITHIN) {
            self.typed.clear();
            self.mode = Mode::Work;
        }
    }

    fn press(&mut self, press: Press, at: Duration) {
        let tab = self.tab.take();
        match press {
            Press::Character(character) if self.awaits_pin() => return self.typed.push_secret(character),
            // The Tab was the first character of a label.
            Press::Character(_) if self.typed.is_empty() => {
                if let Some((_, before)) = tab.filter(|(pressed, _)| at.saturating_sub(*pressed) <= TAB_OF_LABEL) {
                    self.focus = before;
                }
            }
            _ => {}
        }
        self.by_hand = !self.typed.is_by_scanner() && !self.typed.is_fast();
        match self.typed.key(press, at) {
            Some(scans) => self.scans(scans),
            None => self.command(press, at),
        }
    }

    fn command(&mut self, press: Press, at: Duration) {
        match press {
            // As a second signal: nothing is waited for any more.
            Press::Interrupt if self.leaving.is_some() => self.delete(),
            Press::Interrupt => self.leave("stopped by Ctrl-C"),
            Press::Enter => self.bare_enter(),
            Press::Escape if !self.typed.is_empty() => self.typed.clear(),
            Press::Escape => self.escape(),
            Press::Delete => self.delete(),
            Press::Tab if self.just_scanned() => {}
            Press::Tab => {
                self.tab = Some((at, self.focus));
                self.focus = (self.focus + 1) % self.nests.len();
            }
            Press::Next => self.focus = (self.focus + 1) % self.nests.len(),
            Press::Previous => self.focus = (self.focus + self.nests.len() - 1) % self.nests.len(),
            Press::NestStatus(nest) => {
                if nest < self.nests.len() {
                    self.focus = nest;
                }
            }
            Press::Language => self.texts = self.texts.next(),
            Press::LogOff => {
                self.operator = None;
                self.say(Key::NoticeLoggedOff, &[]);
            }
            Press::FindCause => self.ask_cause(),
            Press::EndShift if self.leaving.is_some() => {}
            Press::EndShift if self.nests.iter().any(super::nest::NestStatus::is_running) => self.mode = Mode::Leave,
            Press::EndShift => self.leave("the shift was ended by the operator"),
            Press::Character(_) | Press::Control(_) | Press::Backspace => {}
        }
    }

    /// Whether a key belongs to the scan before it, whose end has several characters.
    fn just_scanned(&self) -> bool {
        self.scan_ended.is_some_and(|ended| self.now.saturating_sub(ended) < SAME_SCAN)
    }

    /// Enter without a label before it.
    fn bare_enter(&mut self) {
        if self.just_scanned() {
            return;
        }
        match &self.mode {
            Mode::Work if self.asked().is_some() => {
                self.warn(Key::NoticeNoAnswer, &[("why", self.how_to_answer().into())]);
            }
            Mode::Work => self.go_on(),
            Mode::Abort(nests) => {
                let nests = nests.clone();
                self.abort(&nests, false);
            }
            Mode::Leave => self.leave("the shift was ended by the operator"),
            Mode::Allow(allow) if allow.role == Role::Operator => self.let_in(None),
            Mode::Allow(_) => {}
        }
    }

    /// Starts the unit that waits, removes the one that has its verdict, or asks who releases a stopped nest. Takes the
    /// nest in focus, else the first nest with such a unit.
    fn go_on(&mut self) {
        if matches!(self.nests[self.focus].state, State::Done(_)) {
            return self.remove(self.focus);
        }
        if self.end_hold(self.focus) {
            return;
        }
        if self.ask_release(self.focus) {
            return;
        }
        let nests = || std::iter::once(self.focus).chain(0..self.nests.len());
        let ready = |nest: &usize| matches!(self.nests[*nest].state, State::Ready(_));
        let done = |nest: &usize| matches!(self.nests[*nest].state, State::Done(_));
        let stopped = |nest: &usize| self.nests[*nest].stopped.is_some();
        if let Some(nest) = nests().find(ready) {
            self.start(nest);
        } else if let Some(nest) = nests().find(done) {
            self.focus = nest;
            self.remove(nest);
        } else if let Some(nest) = nests().find(stopped) {
            self.ask_release(nest);
        }
    }

    fn escape(&mut self) {
        match &self.mode {
            Mode::Work => {
                // A unit that waits is given up without a question: nothing is powered.
                if let State::Ready(_) = self.nests[self.focus].state {
                    self.nests[self.focus].state = State::Empty;
                    self.lamp(self.focus);
                    self.notice = None;
                    return;
                }
                let running = |nest: &usize| self.nests[*nest].is_running();
                let nests: Vec<usize> = if running(&self.focus) {
                    vec![self.focus]
                } else {
                    (0..self.nests.len()).filter(running).collect()
                };
                if !nests.is_empty() {
                    self.mode = Mode::Abort(nests);
                }
            }
            Mode::Abort(_) | Mode::Leave | Mode::Allow(_) => self.mode = Mode::Work,
        }
    }

    /// Cuts the power of every run, in any state of the screen. If nothing runs, clears what was typed.
    fn delete(&mut self) {
        let nests: Vec<usize> = (0..self.nests.len()).filter(|nest| self.nests[*nest].is_running()).collect();
        if nests.is_empty() {
            return self.typed.clear();
        }
        self.abort(&nests, true);
    }

    fn abort(&mut self, nests: &[usize], at_once: bool) {
        if matches!(self.mode, Mode::Abort(_) | Mode::Leave) {
            self.mode = Mode::Work;
        }
        let who = self.operator.as_ref().map(|badge| format!(" {badge}")).unwrap_or_default();
        let repeated = at_once && nests.iter().all(|nest| self.nests[*nest].cut);
        // First of all: what is written about it must not hold it up.
        for nest in nests {
            self.stop(*nest, &format!("aborted by the operator{who}"), at_once);
        }
        // A key that is held down repeats itself.
        if repeated {
            return;
        }
        let (at, operator) = (self.date.clone(), self.operator.clone());
        let nests = nests.iter().map(|nest| nest + 1).collect();
        self.actions.push(Action::Log(Row::Aborted { at, nests, at_once, operator }));
    }

    fn lid(&mut self, nest: usize, closed: bool) {
        let Some(place) = self.nests.get_mut(nest) else { return };
        let before = place.lid_closed.replace(closed);
        match &place.state {
            State::Ready(_) if closed && self.setup.rules.begin == Begin::Lid => self.start(nest),
            State::Running(..) if !closed && before == Some(true) => {
                self.stop(nest, "the lid was opened", true);
                self.warn(Key::NoticeLidOpened, &[("nest", (nest + 1).into())]);
            }
            State::Done(_) if !closed => self.remove(nest),
            _ => {}
        }
    }

    /// The run itself watches the emergency stop, too, and does not wait for this screen.
    fn emergency(&mut self, nest: usize, pressed: bool) {
        let Some(place) = self.nests.get_mut(nest) else { return };
        place.emergency = pressed;
        if pressed {
            self.stop(nest, "the emergency stop was pressed: find out why, then release it", true);
            self.warn(Key::NoticeEmergency, &[("nest", (nest + 1).into())]);
        }
    }

    fn scans(&mut self, scans: Vec<Scan>) {
        scans.into_iter().for_each(|scan| self.scan(scan));
    }

    fn scan(&mut self, scan: Scan) {
        self.scan_ended = Some(self.now);
        match scan {
            Scan::Text(text) => self.text(&text),
            Scan::TooLong => self.refuse(&ScanProblem::NoLabel),
            Scan::BrokenOff => self.warn(Key::NoticeBrokenOff, &[]),
        }
    }

    /// A whole label, badge or PIN.
    fn text(&mut self, text: &str) {
        self.typed.clear();
        let may_repeat = !self.awaits_pin();
        if self.by_hand && self.answers(text) {
            return;
        }
        match &self.mode {
            Mode::Abort(_) | Mode::Leave => return self.warn(Key::NoticeAnswerFirst, &[]),
            Mode::Work | Mode::Allow(_) if may_repeat && self.repeats.is_repeat(text, self.now) => return,
            Mode::Work => self.scanned(text),
            Mode::Allow(_) => self.badge_or_pin(text.trim()),
        }
        if may_repeat {
            self.repeats.remember(text, self.now);
        }
    }

    /// Says what is wrong with a scan.
    fn refuse(&mut self, problem: &ScanProblem) {
        let text = problem.say(&self.texts, &self.setup.labels, &self.setup.model);
        self.warn_text(text);
    }

    fn scanned(&mut self, text: &str) {
        if self.leaving.is_some() {
            return;
        }
        if let Some(person) = self.setup.rules.person(first_part(text)) {
            let (badge, name) = (person.id.clone(), person.name.clone());
            self.operator = Some(badge.clone());
            self.actions.push(Action::Log(Row::Operator { at: self.date.clone(), operator: badge }));
            return self.say(Key::NoticeHello, &[("name", name.into())]);
        }
        if self.setup.rules.badge_required && self.operator.is_none() {
            return self.warn(Key::NoticeBadgeFirst, &[]);
        }
        // Another text than a badge or a label, for a question about one that is scanned.
        if self.answers(text) {
            return;
        }
        match read_label(text, &self.setup.labels) {
            Ok(serial) => self.unit_scanned(serial.as_str().to_owned()),
            Err(problem) => self.refuse(&problem),
        }
    }

    fn unit_scanned(&mut self, serial: String) {
        let on = self.nests.iter().position(|nest| nest.unit().is_some_and(|unit| unit.serial == serial));
        // Its nest was stopped: it is tested on another one.
        let moved = on.filter(|nest| self.nests[*nest].stopped.is_some());
        moved.into_iter().for_each(|nest| self.remove(nest));
        let nest = match on.filter(|nest| Some(*nest) != moved) {
            Some(nest) if self.nests[nest].is_free() => nest,
            Some(nest) => {
                return self.warn(Key::NoticeTwice, &[("serial", serial.into()), ("nest", (nest + 1).into())]);
            }
            None if self.nests[self.focus].is_free() => self.focus,
            None => match self.next_free(self.focus) {
                Some(nest) => nest,
                None => return self.warn(Key::NoticeAllBusy, &[]),
            },
        };
        let past = match self.history.past(&serial) {
            Ok(past) => past,
            Err(error) => return self.warn_text(error),
        };
        let ruling = self.setup.rules.judge(&past);
        let unit = Unit { serial, past, let_in: None };
        match ruling {
            Ruling::Test => self.place(nest, unit),
            Ruling::Refuse(why) => {
                let why = self.texts.say(why_key(why));
                self.warn(Key::NoticeRefused, &[("serial", unit.serial.into()), ("why", why.into())]);
            }
            Ruling::Ask(why, role) => {
                self.notice = None;
                let since = self.now;
                self.mode =
                    Mode::Allow(Allow { nest, asked: Asked::Unit(unit, why), role, badge: None, since, wrong_pins: 0 });
            }
        }
    }
}
