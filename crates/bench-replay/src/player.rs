//! Which recorded answer a call gets, and when.

use crate::form::{Form, Missing};
use crate::instruments::{ALL_OFF, Facts, MEASURE, OFF, ON, RAILS};
use crate::recording::{CHOSEN, CLOCK};
use crate::tape::{Exchange, Line, State, Tape};
use bench_engine::{Asker, asking};
use bench_instruments::{
    Clock, GuardLine, GuardState, InputLine, InstrumentError, ManualClock, OutputLine, Panel, RailEvent, RailObserver,
};
use bench_run::BenchTime;
use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

/// A call that was dropped in the run is answered as missing if it is still waited for after this time.
const DROPPED_BEFORE: Duration = Duration::from_secs(1);
/// Longest argument in a message.
const SHOWN: usize = 120;

/// Calls of one step, each as a message names it, with how many times it was made.
pub type Calls = BTreeMap<String, usize>;

/// Answers from a recording.
///
/// A call of a step gets the next answer that the same instrument gave to the same call with equal arguments in the
/// same step, first in the same attempt. A call that the step did not make has no answer: the step cannot be judged.
/// The work of the run itself (owner of power, safe state) repeats the last answer that it knows.
pub struct Player {
    clock: ManualClock,
    facts: Facts,
    steps: RefCell<BTreeMap<(String, String), Vec<Recorded>>>,
    others: RefCell<BTreeMap<String, Repeated>>,
    states: BTreeMap<String, Vec<State>>,
    /// By step.
    missing: RefCell<BTreeMap<String, Calls>>,
    rails_on: RefCell<BTreeSet<String>>,
    observer: RailObserver,
}

/// An answer to a call of a step.
struct Recorded {
    exchange: Exchange,
    used: bool,
}

/// Answers to a call of the run itself.
#[derive(Default)]
struct Repeated {
    next: VecDeque<Exchange>,
    last: Option<Exchange>,
}

impl Repeated {
    fn next(&mut self) -> Option<Exchange> {
        if let Some(next) = self.next.pop_front() {
            self.last = Some(next);
        }
        self.last.clone()
    }
}

/// An answer to a call, or why there is none.
enum Found {
    Exchange(Exchange),
    /// The text names the call.
    Nothing {
        what: String,
        needed: bool,
    },
}

fn key(instrument: &str, call: &str, arguments: &[Value]) -> String {
    let mut key = format!("{instrument} {call}(");
    for (n, argument) in arguments.iter().enumerate() {
        let _ = write!(key, "{}{argument}", if n == 0 { "" } else { ", " });
    }
    key.push(')');
    key
}

/// The owner of power measures rails that are on, the way to the safe state those that are off: neither must get the
/// answers of the other.
fn while_on(instrument: &str, call: &str, arguments: &[Value], on: &BTreeSet<String>) -> &'static str {
    match (instrument, call, arguments.first()) {
        (RAILS, MEASURE, Some(Value::String(rail))) if on.contains(rail) => " on",
        (RAILS, MEASURE, _) => " off",
        _ => "",
    }
}

/// Follows which rails the run had switched on.
fn note_switching(on: &mut BTreeSet<String>, exchange: &Exchange) {
    match (exchange.instrument.as_str(), exchange.call.as_str(), exchange.arguments.first()) {
        (RAILS, ON, Some(Value::String(rail))) => {
            on.insert(rail.clone());
        }
        (RAILS, OFF, Some(Value::String(rail))) => {
            on.remove(rail);
        }
        (RAILS, ALL_OFF, _) => on.clear(),
        _ => {}
    }
}

/// A key as messages show it.
fn shown(key: &str) -> String {
    match key.char_indices().nth(SHOWN) {
        None => key.to_owned(),
        Some((end, _)) => format!("{}...", &key[..end]),
    }
}

impl Player {
    /// Makes a player whose clock is at the begin of the recording. `None` if the recording lacks what instruments say
    /// of themselves.
    pub(crate) fn new(tape: &Tape, clock: ManualClock, observer: RailObserver) -> Option<Self> {
        let facts = Facts::read(&tape.head.facts)?;
        let mut steps: BTreeMap<_, Vec<Recorded>> = BTreeMap::new();
        let mut others: BTreeMap<_, Repeated> = BTreeMap::new();
        let mut on = BTreeSet::new();
        for exchange in tape.exchanges() {
            note_switching(&mut on, exchange);
            let mut key = key(&exchange.instrument, &exchange.call, &exchange.arguments);
            if exchange.step.is_none() {
                key.push_str(while_on(&exchange.instrument, &exchange.call, &exchange.arguments, &on));
            }
            let exchange = exchange.clone();
            match exchange.step.clone() {
                Some(step) => steps.entry((step, key)).or_default().push(Recorded { exchange, used: false }),
                None => others.entry(key).or_default().next.push_back(exchange),
            }
        }
        let mut states: BTreeMap<String, Vec<State>> = BTreeMap::new();
        for line in &tape.lines {
            if let Line::State(state) = line {
                states.entry(state.of.clone()).or_default().push(state.clone());
            }
        }
        Some(Self {
            clock,
            facts,
            steps: RefCell::new(steps),
            others: RefCell::new(others),
            states,
            missing: RefCell::default(),
            rails_on: RefCell::default(),
            observer,
        })
    }

    /// Calls of steps that the recording has no answer for, by step.
    pub fn missing(&self) -> BTreeMap<String, Calls> {
        self.missing.borrow().clone()
    }

    /// Recorded answers that no step asked for, by step.
    pub fn unused(&self) -> BTreeMap<String, Calls> {
        let mut unused: BTreeMap<String, Calls> = BTreeMap::new();
        for ((step, key), answers) in &*self.steps.borrow() {
            let count = answers.iter().filter(|answer| !answer.used).count();
            if count > 0 {
                *unused.entry(step.clone()).or_default().entry(shown(key)).or_default() += count;
            }
        }
        unused
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(crate) fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    fn find(&self, instrument: &str, call: &str, arguments: &[Value]) -> Found {
        let mut key = key(instrument, call, arguments);
        let Some(Asker { step, attempt }) = asking() else {
            key.push_str(while_on(instrument, call, arguments, &self.rails_on.borrow()));
            let next = self.others.borrow_mut().get_mut(&key).and_then(Repeated::next);
            let nothing = || Found::Nothing { what: shown(&key), needed: false };
            return next.map_or_else(nothing, Found::Exchange);
        };
        let mut steps = self.steps.borrow_mut();
        let mut place = (step.to_string(), key);
        if let Some(answers) = steps.get_mut(&place) {
            let own = |answer: &Recorded| !answer.used && answer.exchange.attempt == attempt;
            let index = answers.iter().position(own).or_else(|| answers.iter().position(|answer| !answer.used));
            if let Some(answer) = index.and_then(|index| answers.get_mut(index)) {
                answer.used = true;
                return Found::Exchange(answer.exchange.clone());
            }
        }
        let call = shown(&std::mem::take(&mut place.1));
        let what = format!("{call}, asked by step `{step}`");
        *self.missing.borrow_mut().entry(place.0).or_default().entry(call).or_default() += 1;
        Found::Nothing { what, needed: true }
    }

    fn damaged(instrument: &str, call: &str) -> String {
        format!("{instrument} {call}: its answer has a form that this version does not know")
    }

    /// Answers in the time that the recorded call took.
    pub(crate) async fn exchange<T: Missing>(&self, instrument: &str, call: &str, arguments: Vec<Value>) -> T {
        let exchange = match self.find(instrument, call, &arguments) {
            Found::Exchange(exchange) => exchange,
            Found::Nothing { what, needed: true } => return T::missing(what),
            Found::Nothing { what, needed: false } => return T::unneeded(what),
        };
        let began = self.clock.now();
        for (from, busy) in &exchange.busy_us {
            let begins = began + Duration::from_micros(*from);
            if begins > self.clock.now() {
                self.clock.sleep_until(begins).await;
            }
            self.clock.advance(Duration::from_micros(*busy));
        }
        let took = Duration::from_micros(exchange.to_us.saturating_sub(exchange.from_us));
        let until = if exchange.answer.is_some() { began + took } else { began + took + DROPPED_BEFORE };
        if until > self.clock.now() {
            self.clock.sleep_until(until).await;
        }
        match exchange.answer {
            Some(answer) => self.read(instrument, call, answer, exchange.from_us, began),
            None => {
                let what = format!("the end of {instrument} {call}: the run stopped waiting for it");
                if let Some(Asker { step, .. }) = asking() {
                    *self.missing.borrow_mut().entry(step.to_string()).or_default().entry(what.clone()).or_default() +=
                        1;
                }
                T::missing(what)
            }
        }
    }

    fn read<T: Missing>(&self, instrument: &str, call: &str, answer: Value, from_us: u64, began: BenchTime) -> T {
        match T::read(answer) {
            Some(answer) => answer.moved(BenchTime(from_us), began),
            None => T::missing(Self::damaged(instrument, call)),
        }
    }

    /// Answers at once; time moves by what the recorded call took.
    pub(crate) fn immediate<T: Missing>(&self, instrument: &str, call: &str, arguments: Vec<Value>) -> T {
        match self.find(instrument, call, &arguments) {
            Found::Exchange(exchange) => self.at_once(&exchange, T::missing),
            Found::Nothing { what, needed: true } => T::missing(what),
            Found::Nothing { what, needed: false } => T::unneeded(what),
        }
    }

    fn at_once<T: Form>(&self, exchange: &Exchange, otherwise: impl FnOnce(String) -> T) -> T {
        self.clock.advance(Duration::from_micros(exchange.to_us.saturating_sub(exchange.from_us)));
        let answer = exchange.answer.clone().and_then(T::read);
        answer.unwrap_or_else(|| otherwise(Self::damaged(&exchange.instrument, &exchange.call)))
    }

    /// The value that a state had at this time of the run.
    pub(crate) fn state<T: Form>(&self, of: &str) -> Option<T> {
        let now = self.clock.now().as_micros();
        let states = self.states.get(of)?;
        let state = states.iter().rev().find(|state| state.at_us <= now).or(states.first())?;
        self.clock.advance(Duration::from_micros(state.busy_us));
        T::read(state.value.clone())
    }

    /// Whether a state was entered at this time or soon after it.
    pub(crate) fn is_just_before(&self, of: &str, within: Duration) -> bool {
        let now = self.clock.now();
        let soon = |state: &State| BenchTime(state.at_us) <= now + within;
        self.states.get(of).is_some_and(|states| states.iter().any(soon))
    }

    pub(crate) fn switched(&self, rail: &str, on: bool) {
        let mut rails = self.rails_on.borrow_mut();
        let changed = if on { rails.insert(rail.to_owned()) } else { rails.remove(rail) };
        drop(rails);
        if changed {
            (self.observer)(RailEvent { rail: rail.to_owned(), on });
        }
    }

    /// The lines of the panel that the run watched.
    pub(crate) fn panel(self: &Rc<Self>) -> Panel {
        let line = |name: &'static str| {
            let has = self.facts.panel.iter().any(|line| line == name);
            has.then(|| Rc::new(PlayedLine { name, player: Rc::clone(self) }))
        };
        Panel {
            lid: line("lid").map(|line| line as Rc<dyn InputLine>),
            emergency: line("emergency").map(|line| line as Rc<dyn InputLine>),
            watchdog: line("watchdog").map(|line| line as Rc<dyn OutputLine>),
            guard: line("guard").map(|line| line as Rc<dyn GuardLine>),
            ..Panel::default()
        }
    }
}

/// The clock of the replay, for the nest.
pub(crate) struct PlayedClock(pub(crate) Rc<Player>);

impl Clock for PlayedClock {
    fn now(&self) -> BenchTime {
        self.0.clock.now()
    }

    fn sleep_until(&self, at: BenchTime) -> LocalBoxFuture<'static, ()> {
        self.0.clock.sleep_until(at)
    }

    /// A step that chose nothing in the run chooses itself: what it then sends is not in the recording.
    fn chosen(&self, number: u64) -> u64 {
        match self.0.find(CLOCK, CHOSEN, &[]) {
            Found::Exchange(exchange) => self.0.at_once(&exchange, |_| number),
            Found::Nothing { .. } => number,
        }
    }
}

struct PlayedLine {
    name: &'static str,
    player: Rc<Player>,
}

impl InputLine for PlayedLine {
    fn is_active(&self) -> Result<bool, InstrumentError> {
        let never_read = self.name == "lid";
        self.player.state(self.name).unwrap_or(Ok(never_read))
    }
}

impl OutputLine for PlayedLine {
    fn set(&self, _: bool) -> Result<(), InstrumentError> {
        self.player.state(self.name).unwrap_or(Ok(()))
    }
}

impl GuardLine for PlayedLine {
    fn state(&self) -> GuardState {
        self.player.state(self.name).unwrap_or(GuardState::Alive)
    }
}
