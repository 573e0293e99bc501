//! The screen's state, and how each input changes it. It uses no device, clock or thread: it takes an input with its time
//! and returns actions.

use super::advice::advise;
use super::history::UnitHistory;
use super::live::Live;
use super::log::Row;
use super::nest::{Finished, Lamp, NestStatus, State, Unit};
use super::rules::{Rules, Why};
use super::scan::{Collector, Labels, Repeats, Source, shown};
use super::shift::Shift;
use super::texts::{Key, Texts};
use bench_engine::{Ended, FromNest};
use bench_instruments::Answer;
use bench_run::Verdict;
use bench_stats::Suspicion;
use std::time::Duration;

/// What the screen is for.
#[derive(Debug, Clone)]
pub struct Setup {
    pub plan: String,
    pub title: String,
    pub model: String,
    /// How the serial numbers of this model and of others begin.
    pub labels: Labels,
    pub nests: usize,
    pub rules: Rules,
    pub virtual_bench: bool,
    /// Bench seconds per second of the clock; `None`: as fast as possible.
    pub pace: Option<f64>,
    /// A run that reports nothing for this long hangs.
    pub silence: Duration,
    /// How long a good unit takes in bench time, if known.
    pub expected: Option<Duration>,
    /// Longest time from an orderly stop to the last rail off, bench time.
    pub orderly: Duration,
    /// Nests that an earlier shift left stopped, and why; by their number, from 0.
    pub stopped: Vec<Option<Suspicion>>,
}

/// What the caller must do, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Must be on the disk before anything after it is done.
    Log(Row),
    Start {
        nest: usize,
        serial: String,
        notes: Vec<String>,
        /// The step to repeat in a diagnosis, which is no test.
        diagnosis: Option<String>,
    },
    Stop {
        nest: usize,
        reason: String,
        at_once: bool,
    },
    /// What the operator answered to the question with this number; `None`: the operator cannot say.
    Answer {
        nest: usize,
        number: u64,
        answer: Option<Answer>,
    },
    Lamp(usize, Lamp),
    Bell,
    /// Nothing runs any more, so the screen may close.
    Leave,
}

/// What the operator is being asked.
pub enum Mode {
    Work,
    /// Whether to end the runs on these nests.
    Abort(Vec<usize>),
    /// Whether to end the shift although something runs.
    Leave,
    /// A person has to allow something.
    Allow(Allow),
}

/// What waits for a permission.
pub enum Asked {
    /// A unit is tested although the rules would turn it away.
    Unit(Unit, Why),
    /// A nest is released that was stopped for this reason.
    Release(Suspicion),
    /// This step is repeated, to find the cause of its failure.
    Cause(String),
}

/// A permission that is missing.
pub struct Allow {
    pub nest: usize,
    pub asked: Asked,
    pub role: super::people::Role,
    /// Badge of the person who takes responsibility, once it was scanned.
    pub badge: Option<String>,
    pub since: Duration,
    pub wrong_pins: u8,
}

/// A line for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub text: String,
    pub warning: bool,
    pub since: Duration,
}

pub struct App {
    pub setup: Setup,
    pub texts: Texts,
    pub nests: Vec<NestStatus>,
    /// The nest that Enter and the next label are for.
    pub focus: usize,
    pub typed: Collector,
    /// Whether the text that is taken now was typed by a person.
    pub(super) by_hand: bool,
    pub mode: Mode,
    /// Badge of the operator at work.
    pub operator: Option<String>,
    pub notice: Option<Notice>,
    pub shift: Shift,
    /// Runs that could not be forwarded to the line's server yet.
    pub waiting: usize,
    /// Why the screen is closing.
    pub leaving: Option<String>,
    pub(super) now: Duration,
    /// Date and time of the current input, for the log.
    pub(super) date: String,
    /// When the last label ended: scanners may send more than one end of line.
    pub(super) scan_ended: Option<Duration>,
    /// When Tab was last pressed, and the nest in focus before it: a scanner may send it before a label.
    pub(super) tab: Option<(Duration, usize)>,
    pub(super) repeats: Repeats,
    /// When the signatures of the golden module were read.
    pub(super) golden_read: Option<Duration>,
    pub(super) history: Box<dyn UnitHistory>,
    pub(super) actions: Vec<Action>,
}

/// How long a line for the operator stays.
pub const NOTICE_STAYS: Duration = Duration::from_secs(8);

impl App {
    pub fn new(setup: Setup, texts: Texts, history: Box<dyn UnitHistory>) -> Self {
        let mut nests = vec![NestStatus::default(); setup.nests.max(1)];
        for (nest, stopped) in nests.iter_mut().zip(&setup.stopped) {
            nest.stopped.clone_from(stopped);
        }
        Self {
            setup,
            texts,
            nests,
            focus: 0,
            typed: Collector::new(Source::Keyboard),
            by_hand: false,
            tab: None,
            repeats: Repeats::default(),
            golden_read: None,
            mode: Mode::Work,
            operator: None,
            notice: None,
            shift: Shift::default(),
            waiting: 0,
            leaving: None,
            now: Duration::ZERO,
            date: String::new(),
            scan_ended: None,
            history,
            actions: Vec::new(),
        }
    }

    pub fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn say(&mut self, key: Key, values: &[(&'static str, fluent_bundle::FluentValue<'_>)]) {
        let text = self.texts.with(key, values);
        self.notice = Some(Notice { text, warning: false, since: self.now });
    }

    pub(super) fn warn(&mut self, key: Key, values: &[(&'static str, fluent_bundle::FluentValue<'_>)]) {
        let text = self.texts.with(key, values);
        self.warn_text(text);
    }

    pub(super) fn warn_text(&mut self, text: String) {
        self.notice = Some(Notice { text, warning: true, since: self.now });
    }

    /// What may be shown of what was typed or scanned so far: stars for a PIN, nothing that can be a secret.
    pub fn typed_shown(&self) -> String {
        if self.awaits_pin() {
            return "*".repeat(self.typed.count());
        }
        let badges = self.setup.rules.person.iter().map(|person| person.id.as_str());
        shown(&self.typed.text(), &self.setup.labels, badges, !self.typed.is_by_scanner())
    }

    pub(super) fn awaits_pin(&self) -> bool {
        matches!(&self.mode, Mode::Allow(allow) if allow.badge.is_some())
    }

    pub(super) fn lamp(&mut self, nest: usize) {
        let lamp = self.nests[nest].lamp();
        self.actions.push(Action::Lamp(nest, lamp));
    }

    /// Puts a unit that may be tested on the nest.
    pub(super) fn place(&mut self, nest: usize, unit: Unit) {
        self.say(Key::NoticePutIn, &[("nest", (nest + 1).into()), ("serial", unit.serial.clone().into())]);
        self.nests[nest].state = State::Ready(unit);
        self.focus = nest;
        self.lamp(nest);
        if self.setup.rules.begin == super::rules::Begin::Scan {
            self.start(nest);
        }
    }

    /// Starts the unit that waits on this nest, if one does. Every start goes through here.
    pub(super) fn start(&mut self, nest: usize) {
        if self.leaving.is_some() {
            return;
        }
        let Some(State::Ready(unit)) = self.nests.get(nest).map(|place| &place.state) else { return };
        let unit = unit.clone();
        if !self.can_be_powered(nest) {
            return;
        }
        let place = &mut self.nests[nest];
        let serial = unit.serial.clone();
        let mut notes = Vec::new();
        notes.extend(self.operator.as_ref().map(|badge| format!("operator: {badge}")));
        notes.extend(unit.let_in.clone());
        notes.extend(place.released.take().map(|(note, _)| note));
        notes.extend(place.golden_due.as_ref().map(super::golden::GoldenDue::note));
        place.state = State::Running(unit, Box::new(Live::begin(self.now)));
        (place.stopping, place.cut, place.stopped_at) = (false, false, None);
        place.question = None;
        self.notice = None;
        let (at, operator) = (self.date.clone(), self.operator.clone());
        self.actions.push(Action::Log(Row::Started { at, nest: nest + 1, serial: serial.clone(), operator }));
        self.actions.push(Action::Start { nest, serial, notes, diagnosis: None });
        self.lamp(nest);
        // The next label is for the next free nest.
        if let Some(free) = self.next_free(nest) {
            self.focus = free;
        }
    }

    /// Whether a run may begin on this nest. If not, says what to do.
    pub(super) fn can_be_powered(&mut self, nest: usize) -> bool {
        let (emergency, open) = match self.nests.get(nest) {
            Some(place) => (place.emergency, place.lid_closed == Some(false)),
            None => return false,
        };
        if emergency {
            self.warn(Key::NoticeReleaseEmergency, &[("nest", (nest + 1).into())]);
        } else if open {
            self.warn(Key::NoticeCloseLid, &[("nest", (nest + 1).into())]);
        }
        !emergency && !open
    }

    /// The next free nest after this one, continuing from the first after the last. An empty nest comes before one that
    /// still shows a verdict.
    pub(super) fn next_free(&self, after: usize) -> Option<usize> {
        let count = self.nests.len();
        let around = || (1..=count).map(|step| (after + step) % count);
        let empty =
            around().find(|nest| self.nests[*nest].is_free() && matches!(self.nests[*nest].state, State::Empty));
        empty.or_else(|| around().find(|nest| self.nests[*nest].is_free()))
    }

    /// The unit was taken out.
    pub(super) fn remove(&mut self, nest: usize) {
        if matches!(self.nests[nest].state, State::Done(_)) {
            self.nests[nest].state = State::Empty;
            self.lamp(nest);
        }
    }

    pub(super) fn told_by(&mut self, nest: usize, said: FromNest) {
        let now = self.now;
        let Some(place) = self.nests.get_mut(nest) else { return };
        let State::Running(unit, live) = &mut place.state else { return };
        let ended = match said {
            FromNest::Entry(entry) => return live.take(&entry, now),
            FromNest::Held(left) => return live.hold(left, now),
            FromNest::Ended(ended) => *ended,
        };
        let (unit, rails_off_after) = (std::mem::take(unit), live.rails_off_after());
        let took = live.elapsed(now, None);
        self.finish(nest, unit, ended, took, rails_off_after);
    }

    /// The run could not even begin.
    pub(super) fn failed_to_start(&mut self, nest: usize, reason: String) {
        let ended = FromNest::Ended(Box::new(Ended::broken(reason)));
        self.told_by(nest, ended);
    }

    fn finish(&mut self, nest: usize, unit: Unit, ended: Ended, took: Duration, off: Option<Duration>) {
        match self.nests[nest].diagnosing.take() {
            Some(diagnosing) => self.diagnosed(nest, *diagnosing, &ended, off),
            None => self.tested(nest, unit, ended, took, off),
        }
        let place = &mut self.nests[nest];
        place.question = None;
        (place.stopping, place.cut, place.stopped_at) = (false, false, None);
        self.lamp(nest);
        if self.setup.rules.bell {
            self.actions.push(Action::Bell);
        }
        // A question about a run that is over answers itself.
        if let Mode::Abort(nests) = &mut self.mode {
            nests.retain(|other| *other != nest);
            if nests.is_empty() {
                self.mode = Mode::Work;
            }
        }
        // Enter is for the unit that can be taken out, unless the operator is busy with another one.
        if !matches!(self.nests[self.focus].state, State::Ready(_) | State::Done(_)) {
            self.focus = nest;
        }
        self.leave_when_idle();
    }

    /// Counts a test and shows its verdict.
    fn tested(&mut self, nest: usize, unit: Unit, ended: Ended, took: Duration, off: Option<Duration>) {
        let verdict = ended.verdict;
        self.watch_for_repeats(nest, &unit, &ended);
        let mut advice = advise(&ended, &unit.past, &self.setup.rules, &self.texts);
        if let Some(suspicion) = &self.nests[nest].stopped {
            // The unit may be good: what it needs is another nest.
            advice.order = self.texts.say(Key::DoStopped);
            advice.details.insert(0, super::stopped::say(suspicion, &self.texts));
        }
        let judged_before = unit.past.judged.get(&self.setup.plan).copied();
        self.shift.ended(&unit.serial, verdict, judged_before, ended.record.as_ref());
        if verdict == Verdict::Pass {
            self.setup.expected = Some(took);
        }
        let (at, serial) = (self.date.clone(), unit.serial.clone());
        self.actions.push(Action::Log(Row::Ended { at, nest: nest + 1, serial, verdict }));
        let finished = Finished { unit, ended, advice, took, rails_off_after: off };
        self.nests[nest].state = State::Done(Box::new(finished));
    }

    /// Ends everything, then leaves.
    pub(super) fn leave(&mut self, reason: &str) {
        if self.leaving.is_none() {
            self.leaving = Some(reason.to_owned());
            self.mode = Mode::Work;
            for nest in 0..self.nests.len() {
                self.stop(nest, reason, false);
            }
            self.leave_when_idle();
        }
    }

    fn leave_when_idle(&mut self) {
        let Some(reason) = &self.leaving else { return };
        if self.nests.iter().any(NestStatus::is_running) {
            return;
        }
        let (at, reason) = (self.date.clone(), reason.clone());
        self.actions.push(Action::Log(Row::ShiftEnded { at, reason }));
        self.actions.push(Action::Leave);
    }

    /// Longest time until the orderly stop of this nest has switched everything off.
    pub(crate) fn orderly_left(&self, nest: &NestStatus) -> Option<Duration> {
        let State::Running(_, live) = &nest.state else { return None };
        let stopped_at = nest.stopped_at.filter(|_| !nest.cut)?;
        let since = live.elapsed(self.now, self.setup.pace).saturating_sub(stopped_at);
        Some(self.setup.orderly.saturating_sub(since))
    }

    pub(super) fn stop(&mut self, nest: usize, reason: &str, at_once: bool) {
        let place = &mut self.nests[nest];
        if place.is_running() {
            if let State::Running(_, live) = &place.state {
                place.stopped_at.get_or_insert(live.elapsed(self.now, self.setup.pace));
            }
            place.stopping = true;
            place.cut |= at_once;
            self.actions.push(Action::Stop { nest, reason: reason.to_owned(), at_once });
        }
    }
}
