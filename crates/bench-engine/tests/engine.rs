//! The run loop with instruments that do nothing: order, time-outs, panics, stops.

#![allow(clippy::unwrap_used)] // a helper of a test that cannot go on is a failed test

mod support;

use async_trait::async_trait;
use bench_engine::{self as engine, Stop};
use bench_instruments::{Clock, ManualClock};
use bench_plan::PlanStep;
use bench_run::{Entry, Event, OnFail, Verdict};
use bench_steps::{Nest, Procedure, StepError, StepLog};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use support::{Idle, nest, plan, recorder, started, step, story};

/// What a test step does, in order.
#[derive(Clone, Default)]
struct Script {
    rail: Option<&'static str>,
    sleep: Option<Duration>,
    reading: Option<f64>,
    panics: bool,
    error: Option<fn() -> StepError>,
    /// Passes from this attempt on.
    good_from: u8,
    attempts: Rc<Cell<u8>>,
}

#[async_trait(?Send)]
impl Procedure for Script {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        self.attempts.set(self.attempts.get() + 1);
        if let Some(rail) = self.rail {
            nest.rails.on(rail).await?;
        }
        if let Some(span) = self.sleep {
            nest.clock.sleep(span).await;
        }
        assert!(!self.panics, "a bug in a step");
        if let Some(error) = self.error {
            return Err(error());
        }
        let late = self.attempts.get() < self.good_from;
        if self.reading.is_some() {
            log.measured("x", self.reading.map(|value| if late { 99.0 } else { value }));
        }
        Ok(())
    }
}

fn good() -> Script {
    Script { reading: Some(0.5), ..Script::default() }
}

fn run(steps: Vec<PlanStep<Box<dyn Procedure>>>, stop: impl FnOnce(Rc<ManualClock>) -> Stop) -> (Verdict, Vec<Entry>) {
    let (verdict, entries, idle) = run_with(Idle::default(), steps, stop);
    assert!(idle.rails.borrow().values().all(|on| !on), "a rail was left on");
    (verdict, entries)
}

fn run_with(
    idle: Idle,
    steps: Vec<PlanStep<Box<dyn Procedure>>>,
    stop: impl FnOnce(Rc<ManualClock>) -> Stop,
) -> (Verdict, Vec<Entry>, Rc<Idle>) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Rc::new(ManualClock::new());
    let idle = Rc::new(idle);
    let nest = nest(clock.clone(), idle.clone());
    let recorder = recorder(folder.path(), clock.clone());
    let plan = plan(steps);
    let outcome = clock.run(engine::run(&plan, &nest, &recorder, started(&plan), stop(clock.clone())));
    let written = bench_journal::read(&folder.path().join("P042TEST/test")).unwrap();
    assert!(written.finished);
    assert_eq!(written.entries, recorder.entries());
    (outcome.verdict, written.entries, idle)
}

/// Advertises and waits.
struct Advertises;

#[async_trait(?Send)]
impl Procedure for Advertises {
    async fn run(&self, nest: &Nest, _: &dyn StepLog) -> Result<(), StepError> {
        nest.ble.advertise(0xFFFF, b"x", Duration::from_millis(20)).await?;
        nest.clock.sleep(Duration::from_secs(60)).await;
        Ok(())
    }
}

/// Looks whether the controller still advertises while it runs.
struct Listens(Rc<Cell<Option<bool>>>, Rc<Cell<bool>>);

#[async_trait(?Send)]
impl Procedure for Listens {
    async fn run(&self, _: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        self.0.set(Some(self.1.get()));
        log.measured("x", Some(0.5));
        Ok(())
    }
}

/// A step that is late or dropped leaves no controller advertising, neither to the next step that wants the radio nor
/// after the run.
#[test]
fn nobody_goes_on_advertising() {
    let seen = Rc::new(Cell::new(None));
    let mut late = step("late", Advertises);
    late.step.uses = vec![bench_steps::resource::RADIO.to_owned()];
    let advertises = Rc::new(Cell::new(false));
    let mut next = step("next", Listens(seen.clone(), advertises.clone()));
    next.step.uses = late.step.uses.clone();
    let (verdict, _, idle) = run_with(Idle { advertises, ..Idle::default() }, vec![late, next], never);
    assert_eq!((verdict, seen.get(), idle.advertises.get()), (Verdict::Error, Some(false), false));

    // Nothing of it is in the step's resources, and the run is stopped in the middle.
    let soon = |clock: Rc<ManualClock>| {
        Stop::when(async move {
            clock.sleep(Duration::from_millis(10)).await;
            "asked".to_owned()
        })
    };
    let (verdict, _, idle) = run_with(Idle::default(), vec![step("cut", Advertises)], soon);
    assert_eq!((verdict, idle.advertises.get()), (Verdict::Aborted, false));
}

fn never(_: Rc<ManualClock>) -> Stop {
    Stop::never()
}

fn at(entries: &[Entry], wanted: impl Fn(&Event) -> bool) -> u64 {
    entries.iter().find(|entry| wanted(&entry.event)).unwrap().at_us.as_micros()
}

#[test]
fn a_good_plan_passes() {
    let (verdict, entries) = run(vec![step("a", good()), step("b", good())], never);
    assert_eq!(verdict, Verdict::Pass);
    let expected = ["start a 1", "start b 1", "end a 1 pass", "end b 1 pass", "safe true", "unit pass"];
    assert_eq!(story(&entries), expected);
}

#[test]
fn what_ends_a_step_decides_its_verdict() {
    let dut = || StepError::Dut("dead".into());
    let bench = || StepError::Bench("cable".into());
    let rows: [(&str, Script, Verdict); 8] = [
        ("inside", good(), Verdict::Pass),
        ("outside", Script { reading: Some(2.0), ..good() }, Verdict::Fail),
        ("not a number", Script { reading: Some(f64::NAN), ..good() }, Verdict::Error),
        ("never measured", Script { reading: None, ..good() }, Verdict::Error),
        ("the module is bad", Script { error: Some(dut), ..good() }, Verdict::Fail),
        ("the bench is bad", Script { error: Some(bench), ..good() }, Verdict::Error),
        ("a bug", Script { panics: true, ..good() }, Verdict::Error),
        ("too slow", Script { sleep: Some(Duration::from_secs(5)), ..good() }, Verdict::Error),
    ];
    for (what, script, expected) in rows {
        let (verdict, entries) = run(vec![step("a", script)], never);
        assert_eq!(verdict, expected, "{what}");
        assert_eq!(story(&entries)[1], format!("end a 1 {expected}"), "{what}");
    }
}

/// The reason of a run is that of its verdict: not of an attempt that was repeated, and an error before a fail.
#[test]
fn the_reason_of_a_run_is_what_must_be_acted_on() {
    let bad = || Script { error: Some(|| StepError::Dut("dead".into())), ..good() };
    let mut repeated = step("repeated", Script { good_from: 2, ..good() });
    repeated.step.retry = 1;
    let broken = step("broken", Script { error: Some(|| StepError::Bench("cable".into())), ..good() });
    for (steps, expected) in [
        (vec![repeated, step("a", bad())], Some("a: dead")),
        (vec![step("a", bad()), broken], Some("broken: cable")),
        (
            vec![step("a", Script { reading: Some(2.0), ..good() })],
            Some("a: x is 2.000 V, expected 0.000 V to 1.000 V"),
        ),
        (vec![step("a", good())], None),
    ] {
        let (_, entries) = run(steps, never);
        let Some(Event::RunEnded { reason, .. }) = entries.last().map(|entry| &entry.event) else { panic!("no end") };
        assert_eq!(reason.as_deref(), expected);
    }
}

#[test]
fn rails_are_off_before_the_verdict_whatever_happens() {
    let on = Script { rail: Some("3V3"), ..good() };
    let rows = [
        ("pass", on.clone()),
        ("fail", Script { reading: Some(2.0), ..on.clone() }),
        ("panic", Script { panics: true, ..on.clone() }),
        ("time-out", Script { sleep: Some(Duration::from_secs(5)), ..on }),
    ];
    for (what, script) in rows {
        let (_, entries) = run(vec![step("a", script)], never);
        let story = story(&entries);
        assert_eq!(story[story.len() - 3..story.len() - 1], ["3V3 off", "safe true"], "{what}");
        assert!(story[story.len() - 1].starts_with("unit "), "{what}");
    }
}

#[test]
fn a_time_out_acts_within_a_millisecond() {
    let mut slow = step("a", Script { sleep: Some(Duration::from_secs(60)), ..good() });
    slow.step.timeout = Duration::from_millis(250);
    let (_, entries) = run(vec![slow], never);
    let began = at(&entries, |event| matches!(event, Event::StepStarted { .. }));
    let ended = at(&entries, |event| matches!(event, Event::StepEnded { .. }));
    assert!((250_000..=251_000).contains(&(ended - began)), "{} us", ended - began);
}

#[test]
fn a_stop_drops_what_runs_and_ends_aborted() {
    let stop = |clock: Rc<ManualClock>| {
        Stop::when(async move {
            clock.sleep(Duration::from_millis(100)).await;
            "stopped by the test".into()
        })
    };
    let mut second = step("b", good());
    second.step.needs = vec![0];
    let slow = Script { rail: Some("VCC"), sleep: Some(Duration::from_millis(900)), ..good() };
    let (verdict, entries) = run(vec![step("a", slow), second], stop);
    assert_eq!(verdict, Verdict::Aborted);
    let expected =
        ["start a 1", "stopping", "end a 1 aborted", "end b 0 skipped", "VCC off", "safe true", "unit aborted"];
    assert_eq!(story(&entries), expected);
}

#[test]
fn rails_that_do_not_switch_off_are_an_error_and_said_so() {
    let idle = Idle { broken: true, ..Idle::default() };
    let (verdict, entries, _) = run_with(idle, vec![step("a", good())], never);
    assert_eq!(verdict, Verdict::Error);
    assert!(story(&entries).contains(&"safe false".to_owned()));
}

#[test]
fn a_retry_is_recorded_and_the_last_attempt_counts() {
    for (good_from, verdict) in [(2, Verdict::Pass), (3, Verdict::Fail)] {
        let mut flaky = step("a", Script { good_from, ..good() });
        flaky.step.retry = 1;
        let (unit, entries) = run(vec![flaky], never);
        assert_eq!(unit, verdict);
        let second = format!("end a 2 {verdict}");
        assert_eq!(story(&entries)[..4], ["start a 1", "end a 1 fail", "start a 2", second.as_str()]);
    }
}

/// What two steps use and share, and how long they take together.
type Pair = ([&'static str; 2], [&'static str; 2], u64);

#[test]
fn steps_overlap_unless_one_uses_what_the_other_needs() {
    let slow = || Script { sleep: Some(Duration::from_millis(400)), ..good() };
    let rows: [Pair; 4] = [
        (["", ""], ["", ""], 400_000),
        (["bus", "bus"], ["", ""], 800_000),
        (["", ""], ["dut", "dut"], 400_000),
        (["dut", ""], ["", "dut"], 800_000),
    ];
    for (uses, shares, expected_us) in rows {
        let mut steps = vec![step("a", slow()), step("b", slow())];
        for (n, one) in steps.iter_mut().enumerate() {
            one.step.uses = Some(uses[n]).filter(|name| !name.is_empty()).map(str::to_owned).into_iter().collect();
            one.step.shares = Some(shares[n]).filter(|name| !name.is_empty()).map(str::to_owned).into_iter().collect();
        }
        let (verdict, entries) = run(steps, never);
        assert_eq!(verdict, Verdict::Pass);
        let ended = at(&entries, |event| matches!(event, Event::RunEnded { .. }));
        assert_eq!(ended, expected_us, "{uses:?} {shares:?}");
    }
}

/// Instruments that take their time to be put back keep only those waiting that want the same.
#[test]
fn what_a_failed_step_left_is_put_back_beside_the_others() {
    let idle = Idle { release_takes: Some(Duration::from_millis(30)), ..Idle::default() };
    let fails = Script { error: Some(|| StepError::Dut("dead".into())), ..good() };
    let beside = Script { sleep: Some(Duration::from_millis(10)), ..good() };
    let mut steps = vec![step("fails", fails), step("beside", beside), step("after", good())];
    steps[0].step.uses = vec!["nails".into()];
    steps[2].step.uses = vec!["nails".into()];
    let (_, entries, _) = run_with(idle, steps, never);
    let expected = [
        "start fails 1",
        "start beside 1",
        "end fails 1 fail",
        "end beside 1 pass",
        "start after 1",
        "end after 1 pass",
    ];
    assert_eq!(story(&entries)[..6], expected);
    let after = at(&entries, |event| matches!(event, Event::StepStarted { step, .. } if step == "after"));
    assert_eq!(after, 30_000);
}

#[test]
fn on_fail_stop_skips_the_rest() {
    let mut first = step("a", Script { reading: Some(2.0), ..good() });
    first.step.on_fail = OnFail::Stop;
    let mut second = step("b", good());
    second.step.uses = vec!["x".into()];
    first.step.uses = vec!["x".into()];
    let (verdict, entries) = run(vec![first, second], never);
    assert_eq!(verdict, Verdict::Fail);
    assert_eq!(story(&entries), ["start a 1", "end a 1 fail", "end b 0 skipped", "safe true", "unit fail"]);
}

#[test]
fn a_panic_of_the_run_loop_itself_is_an_error_with_the_rails_off() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Rc::new(ManualClock::new());
    let idle = Rc::new(Idle::default());
    let nest = nest(clock.clone(), idle.clone());
    let journal = bench_journal::Journal::create(folder.path(), "P042TEST", "test").unwrap();
    let watcher: engine::Observer = Box::new(|seen| {
        let engine::Seen::Entry(entry) = seen else { return };
        assert!(!matches!(&entry.event, Event::StepEnded { step, .. } if step == "a"), "a bug in what watches the run");
    });
    let recorder = engine::Recorder::new(journal, clock.clone(), vec![watcher]);
    let on = Script { rail: Some("3V3"), ..good() };
    let plan = plan(vec![step("a", on)]);
    let outcome = clock.run(engine::run(&plan, &nest, &recorder, started(&plan), Stop::never()));
    assert_eq!(outcome.verdict, Verdict::Error);
    assert!(outcome.reason.unwrap().contains("a bug in what watches the run"));
    assert!(idle.rails.borrow().values().all(|on| !on));
    let story = story(&recorder.entries());
    assert_eq!(story[story.len() - 3..], ["3V3 off", "safe true", "unit error"]);
}
