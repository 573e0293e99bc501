//! Around the instruments of a run.

use crate::form::Form;
use crate::instruments::{Facts, Recorded};
use crate::tape::{ANSWERS_FILE, Exchange, FORMAT, Head, Line, State, Writer, Written};
use bench_engine::{Asker, asking};
use bench_instruments::{Clock, GuardLine, GuardState, InputLine, InstrumentError, OutputLine, Panel};
use bench_run::BenchTime;
use bench_steps::Nest;
use dut_protocol::{PROTOCOL_VERSION, schema_hash};
use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Shorter work of a driver is not recorded: on a real bench, every call has some.
const BUSY: Duration = Duration::from_micros(10);
/// Of one call; a longer list would say no more.
const MOST_BUSY: usize = 4096;
/// A sleeper that wakes so late was delayed by the controller. The bench counts lateness from here.
const LATE: Duration = Duration::from_millis(2);

/// Records a run into its folder.
pub struct Recording {
    clock: Rc<dyn Clock>,
    writer: RefCell<Option<Writer>>,
    seq: Cell<u64>,
    exchanges: Cell<u64>,
    /// The last recorded value of each state.
    states: RefCell<BTreeMap<String, (Value, Duration)>>,
    late_until: Cell<BenchTime>,
}

impl Recording {
    /// Begins a recording of this nest's answers in the folder of its run, and returns the nest to test with.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn begin(nest: Nest, folder: &Path) -> io::Result<(Rc<Self>, Nest)> {
        let writer = Writer::create(&folder.join(ANSWERS_FILE))?;
        let recording = Rc::new(Self {
            clock: Rc::clone(&nest.clock),
            writer: RefCell::new(Some(writer)),
            seq: Cell::new(0),
            exchanges: Cell::new(0),
            states: RefCell::default(),
            late_until: Cell::new(nest.clock.now()),
        });
        recording.write(&Line::Head(Head {
            format: FORMAT,
            bench: bench_engine::VERSION.to_owned(),
            protocol: PROTOCOL_VERSION,
            schema: format!("{:016x}", schema_hash()),
            at_us: nest.clock.now().as_micros(),
            imei: nest.imei.clone(),
            may_erase_locked: nest.may_erase_locked,
            facts: Facts::of(&nest).write(),
        }));
        let nest = recording.around(nest);
        Ok((recording, nest))
    }

    /// Ends the recording, after the run. What still arrives is not recorded.
    ///
    /// # Errors
    /// When not everything could be written.
    pub fn finish(&self, doubts: &[String]) -> io::Result<Written> {
        self.write(&Line::End { exchanges: self.exchanges.get(), doubts: doubts.to_vec() });
        let writer = self.writer.borrow_mut().take();
        writer.map_or_else(|| Err(io::Error::other("it has ended")), |mut writer| writer.finish())
    }

    fn write(&self, line: &Line) {
        if let Some(writer) = &*self.writer.borrow() {
            writer.write(line);
        }
    }

    fn around(self: &Rc<Self>, nest: Nest) -> Nest {
        fn of<I: ?Sized>(inner: Rc<I>, recording: &Rc<Recording>) -> Rc<Recorded<I>> {
            Rc::new(Recorded { inner, recording: Rc::clone(recording) })
        }
        Nest {
            clock: Rc::new(RecordedClock { inner: Rc::clone(&nest.clock), recording: Rc::clone(self) }),
            nails: of(nest.nails, self),
            bus: of(nest.bus, self),
            rails: of(nest.rails, self),
            switches: of(nest.switches, self),
            relay: of(nest.relay, self),
            peers: of(nest.peers, self),
            edges: of(nest.edges, self),
            dut: of(nest.dut, self),
            usb_switch: of(nest.usb_switch, self),
            usb: of(nest.usb, self),
            ble: of(nest.ble, self),
            nfc: of(nest.nfc, self),
            programmer: of(nest.programmer, self),
            person: of(nest.person, self),
            programs: of(nest.programs, self),
            panel: self.around_panel(nest.panel),
            ..nest
        }
    }

    fn around_panel(self: &Rc<Self>, panel: Panel) -> Panel {
        let input = |name: &'static str, line: Option<Rc<dyn InputLine>>| {
            line.map(|inner| Rc::new(RecordedLine { inner, name, recording: Rc::clone(self) }) as Rc<dyn InputLine>)
        };
        Panel {
            lid: input("lid", panel.lid),
            emergency: input("emergency", panel.emergency),
            watchdog: panel.watchdog.map(|inner| {
                Rc::new(RecordedLine { inner, name: "watchdog", recording: Rc::clone(self) }) as Rc<dyn OutputLine>
            }),
            guard: panel.guard.map(|inner| {
                Rc::new(RecordedLine { inner, name: "guard", recording: Rc::clone(self) }) as Rc<dyn GuardLine>
            }),
            // Nobody depends on what they answer.
            start: panel.start,
            lamps: panel.lamps,
        }
    }

    /// Records a call that waits.
    pub(crate) async fn exchange<T: Form>(
        &self,
        instrument: &'static str,
        call: &'static str,
        arguments: Vec<Value>,
        work: impl Future<Output = T>,
    ) -> T {
        let mut open = Open::begin(self, instrument, call, arguments);
        let mut work = pin!(work);
        let answer = poll_fn(|context| {
            let from = self.clock.now();
            let polled = work.as_mut().poll(context);
            open.was_busy(from, self.clock.now());
            polled
        })
        .await;
        open.answered(&answer);
        answer
    }

    /// Records a call that does not wait.
    pub(crate) fn immediate<T: Form>(
        &self,
        instrument: &'static str,
        call: &'static str,
        arguments: Vec<Value>,
        work: impl FnOnce() -> T,
    ) -> T {
        let mut open = Open::begin(self, instrument, call, arguments);
        let from = self.clock.now();
        let answer = work();
        open.was_busy(from, self.clock.now());
        open.answered(&answer);
        answer
    }

    /// Records a state where it differs from the last one that was recorded.
    pub(crate) fn state<T: Form>(&self, of: &str, read: impl FnOnce() -> T) -> T {
        let from = self.clock.now();
        let state = read();
        let busy = Some(self.clock.now() - from).filter(|busy| *busy >= BUSY).unwrap_or_default();
        let value = state.write();
        let mut states = self.states.borrow_mut();
        if !states.get(of).is_some_and(|(before, took)| *before == value && *took == busy) {
            let (at_us, busy_us) = (from.as_micros(), micros(busy));
            self.write(&Line::State(State { of: of.to_owned(), value: value.clone(), at_us, busy_us }));
            states.insert(of.to_owned(), (value, busy));
        }
        state
    }

    /// A sleeper should have woken at `due`.
    fn woken(&self, due: BenchTime) {
        let now = self.clock.now();
        let from = due.max(self.late_until.get());
        if now - due >= LATE && now > from {
            self.late_until.set(now);
            self.write(&Line::Late { from_us: from.as_micros(), to_us: now.as_micros() });
        }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// A call that has not ended. It is recorded without an answer if it is dropped.
struct Open<'a> {
    recording: &'a Recording,
    exchange: Option<Exchange>,
    began: BenchTime,
}

impl<'a> Open<'a> {
    fn begin(recording: &'a Recording, instrument: &'static str, call: &'static str, arguments: Vec<Value>) -> Self {
        let began = recording.clock.now();
        let seq = recording.seq.replace(recording.seq.get() + 1);
        let (step, attempt) = match asking() {
            Some(Asker { step, attempt }) => (Some(step.to_string()), attempt),
            None => (None, 0),
        };
        let exchange = Exchange {
            seq,
            step,
            attempt,
            instrument: instrument.to_owned(),
            call: call.to_owned(),
            arguments,
            answer: None,
            from_us: began.as_micros(),
            to_us: began.as_micros(),
            busy_us: Vec::new(),
        };
        Self { recording, exchange: Some(exchange), began }
    }

    fn was_busy(&mut self, from: BenchTime, to: BenchTime) {
        if let Some(exchange) = &mut self.exchange
            && to - from >= BUSY
            && exchange.busy_us.len() < MOST_BUSY
        {
            exchange.busy_us.push((micros(from - self.began), micros(to - from)));
        }
    }

    fn answered<T: Form>(mut self, answer: &T) {
        if let Some(exchange) = &mut self.exchange {
            exchange.answer = Some(answer.write());
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(mut exchange) = self.exchange.take() {
            exchange.to_us = self.recording.clock.now().as_micros();
            self.recording.exchanges.set(self.recording.exchanges.get() + 1);
            self.recording.write(&Line::Exchange(exchange));
        }
    }
}

pub(crate) const CLOCK: &str = "clock";
pub(crate) const CHOSEN: &str = "chosen";

/// Notes when the controller was late, and what steps chose.
struct RecordedClock {
    inner: Rc<dyn Clock>,
    recording: Rc<Recording>,
}

impl Clock for RecordedClock {
    fn now(&self) -> BenchTime {
        self.inner.now()
    }

    fn sleep_until(&self, at: BenchTime) -> LocalBoxFuture<'static, ()> {
        let (sleep, recording) = (self.inner.sleep_until(at), Rc::clone(&self.recording));
        let is_past = at <= self.inner.now();
        Box::pin(async move {
            sleep.await;
            if !is_past {
                recording.woken(at);
            }
        })
    }

    fn chosen(&self, number: u64) -> u64 {
        self.recording.immediate(CLOCK, CHOSEN, Vec::new(), || self.inner.chosen(number))
    }
}

/// A line of the panel.
struct RecordedLine<L: ?Sized> {
    inner: Rc<L>,
    name: &'static str,
    recording: Rc<Recording>,
}

impl InputLine for RecordedLine<dyn InputLine> {
    fn is_active(&self) -> Result<bool, InstrumentError> {
        self.recording.state(self.name, || self.inner.is_active())
    }
}

impl OutputLine for RecordedLine<dyn OutputLine> {
    fn set(&self, active: bool) -> Result<(), InstrumentError> {
        self.recording.state(self.name, || self.inner.set(active))
    }
}

impl GuardLine for RecordedLine<dyn GuardLine> {
    fn state(&self) -> GuardState {
        self.recording.state(self.name, || self.inner.state())
    }
}
