//! The virtual bench of one run, with everything that happens around it.

use crate::case::Case;
use crate::event::{Event, Kind};
use crate::panics::ORDERED;
use crate::rule::{Rule, Violation};
use crate::scenario::Scenario;
use bench_engine::{Backend, DiskWait, Failed, Loaded, Observer, Outcome, Recorder, Seen, Stop, StopHandle, asking};
use bench_instruments::{Clock, GuardLine, GuardState, make_safe};
use bench_run::{BenchTime, Provenance};
use bench_steps::Nest;
use bench_virtual::{Order, VirtualBackend};
use futures_util::future::{Either, LocalBoxFuture, select};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use virtual_bench::{BenchFault, ControllerDamage, Fault, Group};

/// Polls of the run's future. A run needs some ten thousand; one that polls itself for ever gets no further.
const MOST_POLLS: u64 = 20_000_000;
/// From the second signal on, the next one ends the program.
const SIGNALS: usize = 3;

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// With a verdict.
    Verdict,
    Killed,
    Dropped,
    /// Without an end, and why it was given up.
    Hung(String),
    /// It could not start, which is an error of the bench.
    NotStarted(String),
}

pub struct Stage<'a> {
    pub case: &'a Case,
    pub scenario: &'a Scenario,
    pub backend: VirtualBackend,
    pub serial: String,
    /// What the faults of the bench do to the controller's disk and clock.
    pub controller: Vec<ControllerDamage>,
    order: StopHandle,
    guard: Rc<Guard>,
    pub end: RefCell<End>,
    pub violations: RefCell<Vec<Violation>>,
    /// When each event really happened, by its place in the scenario: late if the controller was stalled.
    pub happened: RefCell<Vec<Option<BenchTime>>>,
}

struct Guard(RefCell<GuardState>);

impl GuardLine for Guard {
    fn state(&self) -> GuardState {
        self.0.borrow().clone()
    }
}

/// What a hand does, and which event of the scenario that is.
struct Deed {
    at_us: u64,
    event: usize,
    /// Whether it ends what the event began.
    undo: bool,
}

impl<'a> Stage<'a> {
    /// # Errors
    /// When the module cannot have these faults.
    pub fn build(case: &'a Case, scenario: &'a Scenario) -> Result<(Self, Stop), Failed> {
        let faults: Vec<Fault> = scenario
            .events
            .iter()
            .filter_map(|event| match &event.kind {
                Kind::Fault(fault) => Some(fault.clone()),
                _ => None,
            })
            .collect();
        let bench_faults: Vec<BenchFault> = scenario
            .events
            .iter()
            .filter_map(|event| match &event.kind {
                Kind::Bench(fault) => Some(fault.clone()),
                _ => None,
            })
            .collect();
        let (loaded, seed) = (&case.loaded, scenario.seed);
        let serial = bench_virtual::serial(&case.family, &loaded.plan.model, seed);
        let plain = Order::of(loaded, &case.firmware, &serial, seed);
        // As in `bench coverage`: an empty module takes longer to test.
        let affected = |fault: &Fault| fault.affects_programming(&case.family, &loaded.fixture);
        let of_probe = |fault: &BenchFault| fault.group() == Group::Probe;
        let blank = scenario.blank || faults.iter().any(affected) || bench_faults.iter().any(of_probe);
        let blank = plain.blank && blank;
        let world = bench_virtual::build(&Order { blank, faults: &faults, bench_faults: &bench_faults, ..plain })?;
        for event in scenario.events.iter().filter(|event| event.kind == Kind::Stall) {
            world.stall(BenchTime::from_micros(event.at_us), Duration::from_micros(event.span_us));
        }
        let controller: Vec<ControllerDamage> =
            bench_faults.iter().map(|fault| fault.of_controller(&loaded.fixture)).collect();
        let faults = bench_virtual::ordered(&faults, &bench_faults);
        let (order, stop) = Stop::by_handle();
        let stage = Self {
            case,
            scenario,
            backend: VirtualBackend { world, seed, faults, person: None },
            serial,
            controller,
            order,
            guard: Rc::new(Guard(RefCell::new(GuardState::Alive))),
            end: RefCell::new(End::Verdict),
            violations: RefCell::default(),
            happened: RefCell::new(vec![None; scenario.events.len()]),
        };
        Ok((stage, stop))
    }

    pub fn object(&self, rule: Rule, detail: impl Into<String>) {
        self.violations.borrow_mut().push(Violation::new(rule, detail));
    }

    fn events_of(&self, kind: &Kind) -> impl Iterator<Item = &'a Event> {
        self.scenario.events.iter().filter(move |event| event.kind == *kind)
    }

    /// Instruments that misbehave as ordered.
    pub fn wrap(&self, mut nest: Nest) -> Nest {
        if self.events_of(&Kind::GuardActs).chain(self.events_of(&Kind::GuardGone)).next().is_some() {
            nest.panel.guard = Some(Rc::clone(&self.guard) as Rc<dyn GuardLine>);
        }
        if let Some(event) = self.events_of(&Kind::Panic).min_by_key(|event| event.at_us) {
            let at = BenchTime::from_micros(event.at_us);
            nest.clock = Rc::new(PanickingClock { inner: nest.clock, at, done: Cell::new(false) });
        }
        nest
    }

    /// Who shows the run to people.
    pub fn observers(&self) -> Vec<Observer> {
        let Some(event) = self.events_of(&Kind::ObserverPanic).min_by_key(|event| event.at_us) else {
            return Vec::new();
        };
        let at = BenchTime::from_micros(event.at_us);
        vec![Box::new(move |seen| {
            if let Seen::Entry(entry) = seen
                && entry.at_us >= at
            {
                std::panic::panic_any(ORDERED);
            }
        })]
    }

    fn deeds(&self) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for (event, Event { kind, at_us, span_us }) in self.scenario.events.iter().enumerate() {
            let is_deed = matches!(
                kind,
                Kind::Lid
                    | Kind::Emergency
                    | Kind::Start
                    | Kind::Signal
                    | Kind::Kill
                    | Kind::Drop
                    | Kind::Expander(_)
                    | Kind::Supply(..)
                    | Kind::GuardActs
                    | Kind::GuardGone
            );
            if is_deed {
                deeds.push(Deed { at_us: *at_us, event, undo: false });
                if *span_us > 0 {
                    deeds.push(Deed { at_us: at_us.saturating_add(*span_us), event, undo: true });
                }
            }
        }
        deeds.sort_by_key(|deed| (deed.at_us, deed.event, deed.undo));
        deeds
    }

    /// Does what people, chips and signals do, each at its time; ends when the program ends.
    async fn hands(&self) -> End {
        let (world, clock) = (&self.backend.world, self.backend.world.clock());
        let mut signals = 0;
        for Deed { at_us, event, undo } in self.deeds() {
            clock.sleep_until(BenchTime::from_micros(at_us)).await;
            if !undo && let Some(happened) = self.happened.borrow_mut().get_mut(event) {
                *happened = Some(clock.now());
            }
            match self.scenario.events.get(event).map(|event| &event.kind) {
                Some(Kind::Lid) => world.move_lid(undo),
                Some(Kind::Emergency) => world.press_emergency(!undo),
                Some(Kind::Start) => world.press_start(!undo),
                Some(Kind::Signal) => {
                    signals += 1;
                    match signals {
                        1 => self.order.stop("stopped by Ctrl-C"),
                        SIGNALS => return End::Killed,
                        _ => self.order.stop_at_once("stopped at once by a second signal, Ctrl-C"),
                    }
                }
                Some(Kind::Kill) => return End::Killed,
                Some(Kind::Drop) => return End::Dropped,
                Some(Kind::Expander(id)) => world.reset_expander(id),
                Some(Kind::Supply(rail, microamperes)) => world.weaken_supply(rail, *microamperes as f64 * 1e-6),
                Some(Kind::GuardActs) => {
                    let why = "nothing was heard of the bench program for 500 ms";
                    *self.guard.0.borrow_mut() = GuardState::Acted(why.to_owned());
                    // A bus that does not answer is the guard's own trouble.
                    let _ = make_safe(&self.case.loaded.fixture, world.i2c());
                }
                Some(Kind::GuardGone) => {
                    *self.guard.0.borrow_mut() = GuardState::Gone("its process has ended".to_owned());
                }
                _ => {}
            }
        }
        clock.sleep_until(BenchTime::ZERO + self.longest()).await;
        End::Hung(format!("not ended after {} s of bench time", self.longest().as_secs()))
    }

    fn longest(&self) -> Duration {
        let stalls: u64 = self.events_of(&Kind::Stall).map(|event| event.span_us).sum();
        self.case.longest() + Duration::from_micros(stalls)
    }

    async fn body(&self, run: LocalBoxFuture<'_, Outcome>) -> Result<Outcome, End> {
        let run = Box::pin(Counted { run, polls: 0 });
        let (end, run) = match select(run, pin!(self.hands())).await {
            Either::Left((outcome, _)) => return outcome,
            Either::Right((end, run)) => (end, run),
        };
        if end == End::Killed {
            // Before anything is dropped: a killed program runs no destructor.
            self.rails_off_without_program("the program was killed");
        }
        if catch_unwind(AssertUnwindSafe(|| drop(run))).is_err() {
            self.object(Rule::Panic, "while the run was dropped");
        }
        Err(end)
    }

    /// Lets time pass without a program, and checks that the fixture's own hardware switches everything off.
    pub fn rails_off_without_program(&self, when: &str) {
        if !self.case.has_rails() {
            return;
        }
        let world = &self.backend.world;
        world.let_pass(self.case.off_within());
        let on: Vec<&str> = self.names(&world.rails_on(), |on| *on);
        if !on.is_empty() {
            let within = self.case.off_within().as_millis();
            self.object(Rule::RailsOn, format!("{}: switched on {within} ms after {when}", on.join(", ")));
        }
    }

    /// Rails of which `is` holds.
    pub fn names<T>(&self, of_rails: &[T], is: impl Fn(&T) -> bool) -> Vec<&str> {
        let rails = self.case.rails.iter().map(|(name, _)| name.as_str());
        rails.zip(of_rails).filter(|(_, of)| is(of)).map(|(name, _)| name).collect()
    }
}

impl Backend for Stage<'_> {
    fn clock(&self) -> Rc<dyn Clock> {
        self.backend.clock()
    }

    fn disk_wait(&self) -> DiskWait {
        self.backend.disk_wait()
    }

    fn started(&self, loaded: &Loaded, provenance: Provenance, serial: &str) -> bench_run::Event {
        let mut started = self.backend.started(loaded, provenance, serial);
        for seconds in self.controller.iter().filter_map(|damage| damage.clock_step_s) {
            bench_virtual::dated(&mut started, seconds);
        }
        started
    }

    fn nest<'b>(
        &'b self,
        loaded: &'b Loaded,
        serial: &'b str,
        recorder: &'b Rc<Recorder>,
    ) -> LocalBoxFuture<'b, Result<Nest, Failed>> {
        Box::pin(async move {
            let nest = self.backend.nest(loaded, serial, recorder).await;
            match nest {
                Ok(nest) => Ok(self.wrap(nest)),
                Err(failed) => {
                    let (Failed::Bench(report) | Failed::Usage(report) | Failed::Refused(report)) = &failed;
                    self.end.replace(End::NotStarted(report.to_string()));
                    Err(failed)
                }
            }
        })
    }

    fn drive<'b>(&'b self, run: LocalBoxFuture<'b, Outcome>) -> LocalBoxFuture<'b, Result<Outcome, String>> {
        Box::pin(async move {
            let end = match self.backend.world.run(self.body(run)).await {
                Ok(Ok(outcome)) => return Ok(outcome),
                Ok(Err(end)) => end,
                Err(stuck) => End::Hung(stuck.to_string()),
            };
            let text = format!("{end:?}");
            self.end.replace(end);
            Err(text)
        })
    }

    fn doubts(&self) -> Vec<String> {
        self.backend.doubts()
    }
}

/// A run whose polls are counted.
struct Counted<'a> {
    run: LocalBoxFuture<'a, Outcome>,
    polls: u64,
}

impl Future for Counted<'_> {
    type Output = Result<Outcome, End>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls += 1;
        if self.polls > MOST_POLLS {
            return Poll::Ready(Err(End::Hung(format!("polled {MOST_POLLS} times"))));
        }
        self.run.as_mut().poll(context).map(Ok)
    }
}

/// Panics at the first wait of a step from a time on.
struct PanickingClock {
    inner: Rc<dyn Clock>,
    at: BenchTime,
    done: Cell<bool>,
}

impl Clock for PanickingClock {
    fn now(&self) -> BenchTime {
        self.inner.now()
    }

    fn sleep_until(&self, at: BenchTime) -> LocalBoxFuture<'static, ()> {
        if asking().is_some() && self.now() >= self.at && !self.done.replace(true) {
            std::panic::panic_any(ORDERED);
        }
        self.inner.sleep_until(at)
    }

    fn chosen(&self, number: u64) -> u64 {
        self.inner.chosen(number)
    }
}
