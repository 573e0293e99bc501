//! Runs that look for a cause: what is chosen, what is repeated, and how the power is held.

#![allow(clippy::unwrap_used)] // a helper of a test that cannot go on is a failed test

mod support;

use async_trait::async_trait;
use bench_engine::{self as engine, DiagnosisOrder, LONGEST_HOLD, Stop, StopHandle, Surroundings};
use bench_instruments::{
    Clock, Disturbance, GuardLine, GuardState, InputLine, InstrumentError, ManualClock, OutputLine, RailReading,
    Supply, Switches,
};
use bench_plan::{Plan, PlanStep};
use bench_run::{DiagnosisRun, Entry, Event, NOT_TESTED, OnFail, Verdict, rejudge};
use bench_steps::{Leaves, Nest, Procedure, StepError, StepLog, resource};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use support::{Idle, nest, plan, recorder, started, step, story};

const SECOND: Duration = Duration::from_secs(1);

/// Switches a rail on, and reads these values one after another; the last one again and again.
#[derive(Clone, Default)]
struct Reads {
    rail: Option<&'static str>,
    values: Vec<f64>,
    attempts: Rc<Cell<usize>>,
    switches: Option<Leaves>,
    /// How often it was prepared for a repetition.
    prepared: Rc<Cell<usize>>,
}

#[async_trait(?Send)]
impl Procedure for Reads {
    fn leaves(&self) -> Option<Leaves> {
        self.switches
    }

    async fn before_repetition(&self, _: &Nest) {
        self.prepared.set(self.prepared.get() + 1);
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        if let Some(rail) = self.rail {
            nest.rails.on(rail).await?;
        }
        nest.clock.sleep(Duration::from_millis(100)).await;
        let at = self.attempts.replace(self.attempts.get() + 1);
        log.measured("x", self.values.get(at).or(self.values.last()).copied());
        Ok(())
    }
}

fn reads(values: &[f64]) -> Reads {
    Reads { values: values.to_vec(), ..Reads::default() }
}

type Planned = PlanStep<Box<dyn Procedure>>;

fn needing(mut planned: Planned, needs: &[usize]) -> Planned {
    planned.step.needs = needs.to_vec();
    planned
}

/// power <- identify <- adc; power <- led; and a step that needs nothing.
fn example(adc: Reads) -> Plan<Box<dyn Procedure>> {
    let mut power = step("power", Reads { rail: Some("VCC"), ..reads(&[0.5]) });
    power.step.on_fail = OnFail::Stop;
    let mut adc = needing(step("adc", adc), &[1]);
    adc.step.retry = 1;
    plan(vec![
        power,
        needing(step("identify", reads(&[0.5])), &[0]),
        adc,
        needing(step("led", reads(&[0.5])), &[0]),
        step("label", reads(&[0.5])),
    ])
}

fn only(ids: &[&str]) -> DiagnosisOrder {
    DiagnosisOrder { only: ids.iter().map(|&id| id.to_owned()).collect(), ..DiagnosisOrder::default() }
}

fn range(from: Option<&str>, until: Option<&str>) -> DiagnosisOrder {
    DiagnosisOrder { from: from.map(str::to_owned), until: until.map(str::to_owned), ..DiagnosisOrder::default() }
}

fn ids(plan: &Plan<Box<dyn Procedure>>) -> Vec<&str> {
    plan.steps.iter().map(|planned| planned.step.id.as_str()).collect()
}

#[test]
fn the_chosen_steps_run_with_all_that_they_need() {
    let twice = DiagnosisOrder { repeat: Some(2), ..only(&["adc", "led"]) };
    type Ids = &'static [&'static str];
    let rows: [(DiagnosisOrder, Ids, Ids, Ids); 7] = [
        (only(&["adc"]), &["adc"], &["power", "identify"], &["power", "identify", "adc"]),
        (only(&["led", "adc"]), &["adc", "led"], &["power", "identify"], &["power", "identify", "adc", "led"]),
        (only(&["label"]), &["label"], &[], &["label"]),
        (
            range(Some("adc"), None),
            &["adc", "led", "label"],
            &["power", "identify"],
            &["power", "identify", "adc", "led", "label"],
        ),
        (range(None, Some("identify")), &["power", "identify"], &[], &["power", "identify"]),
        (range(Some("led"), Some("led")), &["led"], &["power"], &["power", "led"]),
        (twice, &["adc", "led"], &["power", "identify"], &["power", "identify", "adc", "led", "adc#2", "led#2"]),
    ];
    for (order, chosen, needed, all) in rows {
        let mut plan = example(reads(&[0.5]));
        let run = order.narrow(&mut plan).unwrap();
        assert_eq!(run.chosen, chosen, "{order:?}");
        assert_eq!(run.needed, needed, "{order:?}");
        assert_eq!(ids(&plan), all, "{order:?}");
    }
}

#[test]
fn a_repetition_waits_for_the_one_before_it() {
    let mut plan = plan(vec![
        step("once", reads(&[0.5])),
        needing(step("a", reads(&[0.5])), &[0]),
        needing(step("b", reads(&[0.5])), &[0, 1]),
    ]);
    DiagnosisOrder { repeat: Some(3), ..only(&["a", "b"]) }.narrow(&mut plan).unwrap();
    let waits: Vec<(&str, &[usize], &[usize])> = plan
        .steps
        .iter()
        .map(|planned| (planned.step.id.as_str(), planned.step.needs.as_slice(), planned.step.after.as_slice()))
        .collect();
    assert_eq!(
        waits,
        [
            ("once", &[][..], &[][..]),
            ("a", &[0], &[]),
            ("b", &[0, 1], &[]),
            ("a#2", &[0], &[1, 2]),
            ("b#2", &[0, 3], &[1, 2]),
            ("a#3", &[0], &[3, 4]),
            ("b#3", &[0, 5], &[3, 4]),
        ]
    );
}

/// grounds <- rail <- identify <- (modem-on <- ready <- call, off after call), adc
fn with_switches() -> Plan<Box<dyn Procedure>> {
    let switching = |id, switches| step(id, Reads { switches: Some(switches), ..reads(&[0.5]) });
    let mut off = needing(switching("off", Leaves::ModemOff), &[3]);
    off.step.after = vec![4, 5];
    plan(vec![
        step("grounds", reads(&[0.5])),
        needing(switching("rail", Leaves::RailOn), &[0]),
        needing(step("identify", reads(&[0.5])), &[1]),
        needing(switching("modem-on", Leaves::ModemOn), &[2]),
        needing(switching("ready", Leaves::ModemOn), &[3]),
        needing(step("call", reads(&[0.5])), &[4]),
        off,
        needing(step("adc", reads(&[0.5])), &[2]),
    ])
}

#[test]
fn what_a_repetition_would_find_changed_is_not_repeated() {
    let twice = |order| DiagnosisOrder { repeat: Some(2), ..order };
    let rail = "rail switches a rail on, which stays on between repetitions";
    let modem = |id| format!("{id} finds the modem as the repetition before it left it");
    let rows: [(DiagnosisOrder, Option<String>); 10] = [
        (only(&["grounds"]), None),
        (only(&["adc", "call"]), None),
        (only(&["identify", "adc"]), None),
        (only(&["modem-on", "ready", "call", "off"]), None),
        (only(&["rail"]), Some(rail.to_owned())),
        (range(None, None), Some(rail.to_owned())),
        (
            only(&["grounds", "adc"]),
            Some("grounds comes before rail, whose rail stays on between repetitions".to_owned()),
        ),
        (only(&["modem-on"]), Some(modem("modem-on"))),
        (only(&["ready", "off"]), Some(modem("ready"))),
        (only(&["off"]), Some(modem("off"))),
    ];
    for (order, expected) in rows {
        let refused = twice(order.clone()).narrow(&mut with_switches()).err().map(|problem| problem.message);
        assert_eq!(refused, expected.map(|text| format!("--repeat: {text}")), "{order:?}");
        assert!(order.narrow(&mut with_switches()).is_ok(), "once: {order:?}");
    }
    let run = only(&["off"]).narrow(&mut with_switches()).unwrap();
    assert_eq!(run.absent, ["ready", "call"]);
}

#[test]
fn a_repetition_is_prepared_and_a_retry_is_not() {
    let adc = reads(&[9.0, 0.5, 0.5, 9.0, 0.5]);
    let ran = run(example(adc.clone()), &DiagnosisOrder { repeat: Some(3), ..only(&["adc"]) }, nothing);
    assert_eq!((ran.verdict, adc.attempts.get(), adc.prepared.get()), (Verdict::Skipped, 5, 2));
}

#[test]
fn a_wrong_order_says_what_was_expected() {
    let many = DiagnosisOrder { repeat: Some(1_001), ..only(&["adc"]) };
    let mut left_out = example(reads(&[0.5]));
    left_out.leave_out(|_| true, "no such instrument here");
    let rows = [
        (only(&["acd"]), "--only acd: the plan has no such step", "did you mean `adc`?"),
        (range(Some("leds"), None), "--from leds: the plan has no such step", "did you mean `led`?"),
        (range(None, Some("labell")), "--until labell: the plan has no such step", "did you mean `label`?"),
        (
            range(Some("led"), Some("power")),
            "--from led --until power: the plan has power before led",
            "`bench plan PLAN` lists the steps; --only names steps in any order",
        ),
        (
            many,
            "--repeat 1001: expected 1 to 1000 for 1 step with 1 measurement",
            "choose fewer steps with --only, or repeat them fewer times",
        ),
    ];
    for (order, message, help) in rows {
        let problem = order.narrow(&mut example(reads(&[0.5]))).unwrap_err();
        assert_eq!((problem.message.as_str(), problem.help.as_str()), (message, help));
    }
    let problem = only(&["adc"]).narrow(&mut left_out).unwrap_err();
    assert_eq!(problem.help, "the plan leaves it out: no such instrument here");
}

/// A line that something in the test changes.
struct TestLine(Cell<bool>, Cell<usize>);

impl TestLine {
    fn new(active: bool) -> Rc<Self> {
        Rc::new(Self(Cell::new(active), Cell::new(0)))
    }
}

impl InputLine for TestLine {
    fn is_active(&self) -> Result<bool, InstrumentError> {
        Ok(self.0.get())
    }
}

impl OutputLine for TestLine {
    fn set(&self, active: bool) -> Result<(), InstrumentError> {
        self.0.set(active);
        self.1.set(self.1.get() + 1);
        Ok(())
    }
}

#[derive(Default)]
struct TestGuard(RefCell<Option<GuardState>>);

impl GuardLine for TestGuard {
    fn state(&self) -> GuardState {
        self.0.borrow().clone().unwrap_or(GuardState::Alive)
    }
}

#[derive(Default)]
struct Bed(RefCell<Option<Disturbance>>);

impl Switches for Bed {
    fn parts(&self) -> usize {
        1
    }
    fn rail_parts(&self) -> Vec<usize> {
        vec![0]
    }
    fn check(&self, _: usize) -> Result<(), Disturbance> {
        self.0.borrow().clone().map_or(Ok(()), Err)
    }
    fn lock(&self, _: &str) {}
    fn watchdog_timeout(&self) -> Option<Duration> {
        Some(Duration::from_millis(500))
    }
    fn supply(&self, _: &str) -> Option<Supply> {
        None
    }
    fn glance(&self, _: &str) -> Result<Option<RailReading>, InstrumentError> {
        Ok(None)
    }
}

/// Everything that a person or a defect can act on.
struct World {
    clock: Rc<ManualClock>,
    idle: Rc<Idle>,
    lid: Rc<TestLine>,
    emergency: Rc<TestLine>,
    watchdog: Rc<TestLine>,
    guard: Rc<TestGuard>,
    bed: Rc<Bed>,
    stop: StopHandle,
    /// Rails that were on when something happened in the hold, and how often the watchdog was kicked by then.
    on: RefCell<Vec<String>>,
    kicks: Cell<usize>,
}

impl World {
    fn look(&self) {
        let rails = self.idle.rails.borrow();
        *self.on.borrow_mut() = rails.iter().filter(|(_, on)| **on).map(|(rail, _)| rail.clone()).collect();
        self.kicks.set(self.watchdog.1.get());
    }
}

/// What happens five seconds after the hold began; whether a person ends the hold then.
type Happens = fn(&World) -> bool;

struct Ran {
    verdict: Verdict,
    reason: Option<String>,
    entries: Vec<Entry>,
    world: Rc<World>,
}

impl Ran {
    fn notes(&self) -> Vec<&str> {
        let note = |entry: &'_ Entry| matches!(entry.event, Event::Note { step: None, .. });
        let text = |entry| match entry {
            &Entry { event: Event::Note { ref text, .. }, .. } => text.as_str(),
            _ => "",
        };
        self.entries.iter().filter(|entry| note(entry)).map(text).collect()
    }

    fn ended_at(&self) -> Duration {
        self.entries.last().unwrap().at_us - bench_run::BenchTime::ZERO
    }
}

fn run(mut plan: Plan<Box<dyn Procedure>>, order: &DiagnosisOrder, happens: Happens) -> Ran {
    let of_run: DiagnosisRun = order.narrow(&mut plan).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let clock = Rc::new(ManualClock::new());
    let (handle, stop) = Stop::by_handle();
    let world = Rc::new(World {
        clock: clock.clone(),
        idle: Rc::default(),
        lid: TestLine::new(true),
        emergency: TestLine::new(false),
        watchdog: TestLine::new(false),
        guard: Rc::default(),
        bed: Rc::default(),
        stop: handle,
        on: RefCell::default(),
        kicks: Cell::new(0),
    });
    let mut nest = nest(clock.clone(), world.idle.clone());
    nest.switches = world.bed.clone();
    nest.panel.lid = Some(world.lid.clone());
    nest.panel.emergency = Some(world.emergency.clone());
    nest.panel.watchdog = Some(world.watchdog.clone());
    nest.panel.guard = Some(world.guard.clone());
    let recorder = recorder(folder.path(), clock.clone());
    let mut first = started(&plan);
    if let Event::RunStarted { diagnosis, .. } = &mut first {
        *diagnosis = Some(Box::new(of_run));
    }
    let of_hold = world.clone();
    let ends = move || {
        let world = of_hold.clone();
        let wait: futures_util::future::LocalBoxFuture<'static, String> = Box::pin(async move {
            world.clock.sleep(5 * SECOND).await;
            world.look();
            if happens(&world) { "Enter was pressed".to_owned() } else { std::future::pending().await }
        });
        wait
    };
    let surroundings = Surroundings { hold_ends: Some(&ends), ..Surroundings::default() };
    let outcome = clock.run(engine::run_for(&plan, &nest, &recorder, first, surroundings, stop));
    let written = bench_journal::read(&folder.path().join("P042TEST/test")).unwrap();
    let again = rejudge(&written.entries);
    assert!(again.holds(), "{:?}", again.contradictions);
    assert!(world.idle.rails.borrow().values().all(|on| !on), "a rail was left on");
    Ran { verdict: outcome.verdict, reason: outcome.reason, entries: written.entries, world }
}

fn nothing(_: &World) -> bool {
    false
}

#[test]
fn a_part_that_passes_is_no_pass() {
    let ran = run(example(reads(&[0.5])), &only(&["adc"]), nothing);
    assert_eq!((ran.verdict, ran.reason.as_deref()), (Verdict::Skipped, Some(NOT_TESTED)));
    assert_eq!(
        ran.notes(),
        ["diagnosis, not a test of the unit: runs adc; these need power, identify"],
        "nothing was repeated or held"
    );
    assert_eq!(
        story(&ran.entries),
        [
            "start power 1",
            "end power 1 pass",
            "start identify 1",
            "end identify 1 pass",
            "start adc 1",
            "end adc 1 pass",
            "VCC off",
            "safe true",
            "unit skipped"
        ]
    );
}

/// A record of a diagnosis that claims a pass does not hold, whoever wrote it.
#[test]
fn a_diagnosis_that_says_pass_does_not_hold() {
    let mut entries = run(example(reads(&[0.5])), &only(&["adc"]), nothing).entries;
    if let Some(Entry { event: Event::RunEnded { verdict, .. }, .. }) = entries.last_mut() {
        *verdict = Verdict::Pass;
    }
    let again = rejudge(&entries);
    assert_eq!(again.contradictions[0].text, "the unit is recorded as pass; its steps and the safe state give skipped");
}

#[test]
fn repetitions_end_as_ordered() {
    let until_fail = DiagnosisOrder { until_fail: true, ..only(&["adc"]) };
    let bounded = DiagnosisOrder { repeat: Some(3), ..until_fail.clone() };
    let times = DiagnosisOrder { repeat: Some(4), ..only(&["adc"]) };
    // Readings of adc, the order, attempts at it, the verdict, and what the notes say of it. The plan allows a retry.
    type Notes = &'static [&'static str];
    let rows: [(&[f64], &DiagnosisOrder, usize, Verdict, Notes); 5] = [
        (
            &[0.5, 0.7, 0.6, 9.0, 0.5],
            &until_fail,
            4,
            Verdict::Fail,
            &[
                "adc: ran 4 times of 1000, passed 3 times; first: adc#4, fail",
                "adc/x: 4 readings: min 500.0 mV, mean 2.700 V, max 9.000 V, sd 4.201 V; 1 outside 0.000 V to 1.000 V",
            ],
        ),
        (
            &[0.5, 0.5, 0.5],
            &bounded,
            3,
            Verdict::Skipped,
            &[
                "adc: ran 3 times of 3, passed 3 times",
                "adc/x: 3 readings: min 500.0 mV, mean 500.0 mV, max 500.0 mV, sd 0.000 V; 0 outside 0.000 V to 1.000 V",
            ],
        ),
        // The retry of the plan applies, and its readings count.
        (
            &[0.5, 9.0, 0.5, 0.5, 0.5],
            &times,
            5,
            Verdict::Skipped,
            &[
                "adc: ran 4 times of 4, passed 4 times",
                "adc/x: 5 readings: min 500.0 mV, mean 2.200 V, max 9.000 V, sd 3.801 V; 1 outside 0.000 V to 1.000 V",
            ],
        ),
        // All of them run, whatever comes out.
        (
            &[9.0, 9.0, 0.5, 0.5, 0.5],
            &times,
            5,
            Verdict::Fail,
            &[
                "adc: ran 4 times of 4, passed 3 times; first: adc, fail",
                "adc/x: 5 readings: min 500.0 mV, mean 3.900 V, max 9.000 V, sd 4.656 V; 2 outside 0.000 V to 1.000 V",
            ],
        ),
        (
            &[f64::NAN],
            &bounded,
            1,
            Verdict::Error,
            &[
                "adc: ran 1 times of 3, passed 0 times; first: adc, error",
                "adc/x: 1 readings without a value, expected 0.000 V to 1.000 V",
            ],
        ),
    ];
    for (values, order, attempts, verdict, notes) in rows {
        let adc = reads(values);
        let ran = run(example(adc.clone()), order, nothing);
        assert_eq!((adc.attempts.get(), ran.verdict), (attempts, verdict), "{values:?} {:?}", ran.reason);
        assert_eq!(&ran.notes()[1..], notes);
        let of_power = story(&ran.entries).iter().filter(|line| line.starts_with("start power")).count();
        assert_eq!(of_power, 1, "what is needed runs once");
    }
}

fn held(ids: &[&str], seconds: u64) -> DiagnosisOrder {
    DiagnosisOrder { hold: Some(Duration::from_secs(seconds)), ..only(ids) }
}

#[test]
fn the_power_stays_on_until_something_ends_the_hold() {
    // Reading, what happens, verdict, words of the last note or of the reason, and whether the hold ended early.
    let rows: [(f64, Happens, Verdict, &str, bool); 11] = [
        (0.5, nothing, Verdict::Skipped, "hold: ended after 20 s: its time is over", false),
        (9.0, nothing, Verdict::Fail, "hold: ended after 20 s: its time is over", false),
        (f64::NAN, nothing, Verdict::Error, "hold: ended after 20 s: its time is over", false),
        (9.0, |_| true, Verdict::Fail, "hold: ended after 5 s: Enter was pressed", true),
        (
            0.5,
            |world| {
                world.stop.stop("stopped by SIGINT");
                false
            },
            Verdict::Skipped,
            "hold: ended after 5 s: stopped by SIGINT",
            true,
        ),
        (
            0.5,
            |world| {
                world.lid.0.set(false);
                false
            },
            Verdict::Aborted,
            "the lid was opened",
            true,
        ),
        (
            9.0,
            |world| {
                world.lid.0.set(false);
                false
            },
            Verdict::Aborted,
            "the lid was opened",
            true,
        ),
        (
            9.0,
            |world| {
                world.emergency.0.set(true);
                false
            },
            Verdict::Aborted,
            "the emergency stop was pressed",
            true,
        ),
        (
            9.0,
            |world| {
                *world.guard.0.borrow_mut() = Some(GuardState::Acted("no beat for 1 s".to_owned()));
                false
            },
            Verdict::Error,
            "the guard cut the power",
            true,
        ),
        (
            0.5,
            |world| {
                *world.guard.0.borrow_mut() = Some(GuardState::Gone("it ended".to_owned()));
                false
            },
            Verdict::Error,
            "the guard of the rails is gone",
            true,
        ),
        (
            0.5,
            |world| {
                *world.bed.0.borrow_mut() = Some(Disturbance::Reset { chip: "expander 0x20".to_owned() });
                world.clock.advance(Duration::from_millis(700));
                false
            },
            Verdict::Error,
            "the watchdog cut the power",
            true,
        ),
    ];
    for (reading, happens, verdict, words, early) in rows {
        let ran = run(example(reads(&[reading])), &held(&["adc"], 20), happens);
        assert_eq!(ran.verdict, verdict, "{words}: {:?}", ran.reason);
        assert_eq!(*ran.world.on.borrow(), ["VCC"], "{words}: on during the hold");
        assert!(ran.world.kicks.get() > 90, "{words}: kicked {} times", ran.world.kicks.get());
        let (notes, reason) = (ran.notes(), ran.reason.clone().unwrap_or_default());
        assert!(notes.iter().any(|note| note.contains(words)) || reason.contains(words), "{words}: {notes:?} {reason}");
        assert!(notes.contains(&"hold: VCC stay on for 20 s at most"), "{notes:?}");
        assert_eq!(ran.ended_at() < 10 * SECOND, early, "{words}: {:?}", ran.ended_at());
    }
}

/// What the step left is what a person wants to measure: nothing is tidied up.
#[test]
fn what_a_failed_step_left_is_held() {
    let mut rail = step("rail", Reads { rail: Some("VUSB"), ..reads(&[9.0]) });
    rail.step.uses = vec![resource::RAILS.to_owned(), resource::NAILS.to_owned()];
    let ran = run(plan(vec![rail]), &held(&["rail"], 20), nothing);
    assert_eq!((ran.verdict, ran.world.on.borrow().as_slice()), (Verdict::Fail, &["VUSB".to_owned()][..]));
}

#[test]
fn nothing_is_held_where_nothing_chosen_ran() {
    let mut failing = example(reads(&[0.5]));
    failing.steps[1] = needing(step("identify", reads(&[9.0])), &[0]);
    let ran = run(failing, &held(&["adc"], 20), nothing);
    assert_eq!((ran.verdict, ran.world.on.borrow().len()), (Verdict::Fail, 0));
    assert!(ran.notes().iter().all(|note| !note.starts_with("hold")), "{:?}", ran.notes());
}

#[test]
fn a_hold_begins_at_the_first_step_that_does_not_pass_and_is_bounded() {
    let order = DiagnosisOrder { repeat: Some(5), hold: Some(100 * LONGEST_HOLD), ..only(&["adc", "led"]) };
    let mut plan = example(reads(&[0.5, 9.0]));
    plan.steps[2].step.retry = 0;
    let ran = run(plan, &order, nothing);
    let ran_steps: Vec<String> = story(&ran.entries).into_iter().filter(|line| line.starts_with("start")).collect();
    assert_eq!(
        ran_steps,
        ["start power 1", "start identify 1", "start led 1", "start adc 1", "start adc#2 1", "start led#2 1"]
    );
    assert_eq!(ran.verdict, Verdict::Fail);
    assert!(ran.notes().contains(&"hold: VCC stay on for 600 s at most"), "{:?}", ran.notes());
}
