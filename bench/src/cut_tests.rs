//! The author of a cut is named, the run stops at once, and the rails are measured to be off.

use crate::safety_tests::{Bench, bench, runtime};
use bench_engine::{self as engine, DiagnosisOrder, DiskWait, Recorder, Stop};
use bench_instruments::{GuardLine, GuardState, make_safe};
use bench_journal::Journal;
use bench_run::{BenchTime, Entry, Event, Verdict};
use bench_steps::{Nest, Procedure, StepError, StepLog};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use virtual_bench::VirtualBench;

const MS: Duration = Duration::from_millis(1);
/// In the middle of the long step `interconnect`, with rails and the modem on.
const WHEN: Duration = Duration::from_millis(3_000);

/// A guard whose state a test sets.
struct Scripted(RefCell<GuardState>);

impl GuardLine for Scripted {
    fn state(&self) -> GuardState {
        self.0.borrow().clone()
    }
}

/// What happens, to what, at [`WHEN`].
type Happens = fn(&VirtualBench, &bench_plan::Fixture, &Scripted);

struct Row {
    what: &'static str,
    happens: Happens,
    verdict: Verdict,
    /// In the reason.
    named: &'static str,
    /// From what happened until all rails are measured to be off.
    within: Duration,
}

fn rows() -> [Row; 9] {
    [
        Row {
            what: "a stall of 700 ms",
            happens: |world, _, _| world.stall(BenchTime::ZERO, 700 * MS),
            verdict: Verdict::Error,
            named: "the watchdog cut the power: the controller was ",
            within: 800 * MS,
        },
        Row {
            what: "the guard cuts",
            happens: |world, fixture, guard| {
                *guard.0.borrow_mut() = GuardState::Acted("nothing was heard of the bench program for 500 ms".into());
                make_safe(fixture, world.i2c()).unwrap();
            },
            verdict: Verdict::Error,
            named: "the guard cut the power: nothing was heard of the bench program for 500 ms",
            within: 100 * MS,
        },
        Row {
            what: "the guard is killed",
            happens: |_, _, guard| *guard.0.borrow_mut() = GuardState::Gone("its process has ended".into()),
            verdict: Verdict::Error,
            named: "the guard of the rails is gone (its process has ended)",
            // The modem first, in its own time.
            within: 12_000 * MS,
        },
        Row {
            what: "all expanders are switched by another program",
            happens: |world, fixture, _| make_safe(fixture, world.i2c()).unwrap(),
            verdict: Verdict::Error,
            named: "another program is on the fixture's I2C bus",
            within: 400 * MS,
        },
        Row {
            what: "the expander with the rails is reset",
            happens: |world, _, _| world.reset_expander("io5"),
            verdict: Verdict::Error,
            named: "io5 was reset",
            within: 400 * MS,
        },
        Row {
            what: "an expander of nails is reset",
            happens: |world, _, _| world.reset_expander("io1"),
            verdict: Verdict::Error,
            named: "io1 was reset",
            within: 400 * MS,
        },
        Row {
            what: "a supply gives no more",
            happens: |world, _, _| world.weaken_supply("3V3", 1e-6),
            verdict: Verdict::Error,
            named: "rail 3V3 collapsed to ",
            within: 800 * MS,
        },
        Row {
            what: "the lid is opened",
            happens: |world, _, _| world.move_lid(false),
            verdict: Verdict::Aborted,
            named: "the lid was opened",
            // The switches are open after 15 ms; the rest is their discharge.
            within: 120 * MS,
        },
        Row {
            what: "the emergency stop is pressed",
            happens: |world, _, _| world.press_emergency(true),
            verdict: Verdict::Aborted,
            named: "the emergency stop was pressed",
            // The switches are open after 15 ms; the rest is their discharge.
            within: 120 * MS,
        },
    ]
}

#[test]
fn whoever_takes_the_power_away_is_named_and_the_rails_are_measured_to_be_off() {
    for row in rows() {
        let Bench { loaded, world, recorder, mut nest, started } = bench(1);
        let guard = Rc::new(Scripted(RefCell::new(GuardState::Alive)));
        nest.panel.guard = Some(Rc::clone(&guard) as Rc<dyn GuardLine>);
        let (clock, hand, fixture) = (world.clock(), Rc::clone(&world), loaded.fixture.clone());
        let happens = async move {
            clock.sleep(WHEN).await;
            assert!(hand.rails_on().contains(&true));
            (row.happens)(&hand, &fixture, &guard);
            std::future::pending().await
        };
        let run = engine::run(&loaded.plan, &nest, &recorder, started, Stop::when(happens));
        let outcome = runtime().block_on(world.run(run)).unwrap();
        let reason = outcome.reason.unwrap_or_default();
        assert_eq!(outcome.verdict, row.verdict, "{}: {reason}", row.what);
        assert!(reason.contains(row.named), "{}: {reason}", row.what);
        let entries = recorder.entries();
        let off_after = measured_off(&entries).unwrap() - (BenchTime::ZERO + WHEN);
        println!("{}: {reason}: rails measured to be off after {} ms", row.what, off_after.as_millis());
        assert!(off_after <= row.within, "{}: after {off_after:?}", row.what);
        assert!(!world.rails_on().contains(&true), "{}", row.what);
        // Nothing that was read from then on counts against the module.
        let judged = entries.iter().filter(|entry| entry.at_us > BenchTime::ZERO + WHEN + row.within);
        let bad = judged.filter(
            |entry| matches!(&entry.event, Event::Measured { measurement, .. } if measurement.verdict == Verdict::Fail),
        );
        assert_eq!(bad.count(), 0, "{}", row.what);
        let rejudged = bench_run::rejudge(&entries);
        assert_eq!(rejudged.contradictions, [], "{}", row.what);
    }
}

/// In the middle of a hold, with the modem on.
const HELD: Duration = Duration::from_millis(20_000);

#[test]
fn the_same_take_the_power_away_in_a_hold() {
    let peaceful =
        Row { what: "nothing", happens: |_, _, _| (), verdict: Verdict::Skipped, named: "", within: 52_000 * MS };
    for row in rows().into_iter().chain([peaceful]) {
        let Bench { mut loaded, world, recorder, mut nest, mut started } = bench(1);
        let only = vec!["modem-on".to_owned()];
        let order = DiagnosisOrder { only, hold: Some(Duration::from_secs(60)), ..DiagnosisOrder::default() };
        let run = order.narrow(&mut loaded.plan).unwrap();
        if let Event::RunStarted { diagnosis, steps, .. } = &mut started {
            (*diagnosis, *steps) = (Some(Box::new(run)), loaded.planned_steps());
        }
        let guard = Rc::new(Scripted(RefCell::new(GuardState::Alive)));
        nest.panel.guard = Some(Rc::clone(&guard) as Rc<dyn GuardLine>);
        let (clock, hand, fixture) = (world.clock(), Rc::clone(&world), loaded.fixture.clone());
        let happens = async move {
            clock.sleep(HELD).await;
            assert!(hand.rail_volts().iter().any(|volts| *volts > 3.0), "{:?}", hand.rail_volts());
            (row.happens)(&hand, &fixture, &guard);
            std::future::pending().await
        };
        let run = engine::run(&loaded.plan, &nest, &recorder, started, Stop::when(happens));
        let outcome = runtime().block_on(world.run(run)).unwrap();
        let reason = outcome.reason.unwrap_or_default();
        assert_eq!(outcome.verdict, row.verdict, "{}: {reason}", row.what);
        assert!(reason.contains(row.named), "{}: {reason}", row.what);
        let entries = recorder.entries();
        let off_after = measured_off(&entries).unwrap() - (BenchTime::ZERO + HELD);
        assert!(off_after <= row.within, "{}: after {off_after:?}", row.what);
        assert!(
            !world.rails_on().contains(&true) && world.rail_volts().iter().all(|volts| *volts < 0.3),
            "{}",
            row.what
        );
        assert_eq!(bench_run::rejudge(&entries).contradictions, [], "{}", row.what);
    }
}

/// When the last rail was measured to be off, at the end.
fn measured_off(entries: &[Entry]) -> Option<BenchTime> {
    let safe = |entry: &&Entry| matches!(entry.event, Event::SafeState { confirmed: true, .. });
    entries.iter().rev().find(safe).map(|entry| entry.at_us)
}

#[test]
fn a_second_signal_does_not_wait_for_the_modem() {
    let Bench { loaded, world, recorder, nest, started } = bench(1);
    let (order, stop) = Stop::by_handle();
    let clock = world.clock();
    let hand = async {
        clock.sleep(5_000 * MS).await;
        order.stop("stopped by Ctrl-C");
        clock.sleep(300 * MS).await;
        let still_on = world.rails_on().contains(&true);
        order.stop_at_once("stopped at once by a second signal, Ctrl-C");
        (still_on, clock.now())
    };
    let run = engine::run(&loaded.plan, &nest, &recorder, started, stop);
    let (outcome, (still_on, second)) = runtime().block_on(world.run(futures_util::future::join(run, hand))).unwrap();
    assert_eq!((outcome.verdict, still_on), (Verdict::Aborted, true), "{outcome:?}");
    let off_after = measured_off(&recorder.entries()).unwrap() - second;
    println!("rails measured to be off {} ms after the second signal", off_after.as_millis());
    // Until the measured voltage is below that of a rail that is off.
    assert!(off_after <= 100 * MS, "{off_after:?}");
}

#[test]
fn a_disk_that_hangs_ends_the_run_with_the_rails_off() {
    let Bench { loaded, world, nest, started, .. } = bench(1);
    // Every line after the third second takes a minute.
    let slow = |entry: &Entry| if entry.at_us > BenchTime::ZERO + WHEN { 60_000 * MS } else { Duration::ZERO };
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create(folder.path(), "P042AV000000001", "r1").unwrap();
    let recorder = Recorder::waiting(journal, world.clock(), Vec::new(), DiskWait::Blocking, Some(Box::new(slow)));
    let run = engine::run(&loaded.plan, &nest, &recorder, started, Stop::never());
    let outcome = runtime().block_on(world.run(run)).unwrap();
    let reason = outcome.reason.unwrap_or_default();
    assert_eq!(outcome.verdict, Verdict::Error, "{reason}");
    assert!(reason.contains("hangs"), "{reason}");
    assert_eq!(world.stats().watchdog_cuts, 0, "it was kicked meanwhile");
    let off_after = measured_off(&recorder.entries()).unwrap() - (BenchTime::ZERO + WHEN);
    println!("{reason}: rails measured to be off after {} ms", off_after.as_millis());
    assert!(off_after <= 20_000 * MS, "{off_after:?}");
}

/// Switches a rail on, and then does not come to its end.
struct LeavesOn {
    rail: String,
    panics: bool,
}

#[async_trait::async_trait(?Send)]
impl Procedure for LeavesOn {
    async fn run(&self, nest: &Nest, _: &dyn StepLog) -> Result<(), StepError> {
        nest.rails.on(&self.rail).await?;
        assert!(!self.panics, "the step fell over");
        std::future::pending().await
    }
}

#[test]
fn a_rail_on_that_timed_out_or_panicked_leaves_its_rail_off() {
    for panics in [false, true] {
        let Bench { mut loaded, world, recorder, nest, started } = bench(1);
        let place = loaded.plan.steps.iter().position(|planned| planned.step.kind == "rail-on").unwrap();
        let rail = nest.rails.names().remove(0);
        let planned = &mut loaded.plan.steps[place];
        let step = planned.step.id.clone();
        planned.procedure = Box::new(LeavesOn { rail: rail.clone(), panics });
        planned.step.timeout = 100 * MS;
        planned.step.on_fail = bench_run::OnFail::Continue;
        let outcome =
            runtime().block_on(world.run(engine::run(&loaded.plan, &nest, &recorder, started, Stop::never()))).unwrap();
        assert_eq!(outcome.verdict, Verdict::Error, "{outcome:?}");
        let entries = recorder.entries();
        let ended =
            entries.iter().position(|entry| matches!(&entry.event, Event::StepEnded { step: id, .. } if *id == step));
        let off = entries.iter().position(
            |entry| matches!(&entry.event, Event::RailSwitched { rail: name, on: false, volts: None } if *name == rail),
        );
        let (ended, off) = (ended.unwrap(), off.unwrap());
        let after = entries[off].at_us - entries[ended].at_us;
        assert!(off > ended && after <= 20 * MS, "panics: {panics}: after {after:?}");
    }
}

/// Something that the module does for 100 ms: who is late reads too much.
struct Timed {
    good: bool,
}

#[async_trait::async_trait(?Send)]
impl Procedure for Timed {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let began = nest.clock.now();
        nest.clock.sleep(100 * MS).await;
        let took = (nest.clock.now() - began).as_secs_f64();
        log.measured("span", Some(if self.good { took } else { 1.0 }));
        Ok(())
    }
}

#[test]
fn an_attempt_while_the_controller_is_late_does_not_count() {
    // Stalls at these moments, of 200 ms each; whether the module is good; the step's verdict, attempts, and its reason.
    type Row = (&'static [u64], bool, Verdict, u8, &'static str);
    let rows: [Row; 5] = [
        (&[], true, Verdict::Pass, 1, ""),
        (&[], false, Verdict::Fail, 1, "span is 1.000 s"),
        (&[50], true, Verdict::Pass, 2, ""),
        (&[50, 340], true, Verdict::Error, 2, " ms late (cause unknown)"),
        (&[50], false, Verdict::Error, 2, " in the first attempt, and the second did not pass: span is 1.000 s"),
    ];
    for (stalls, good, verdict, attempts, reason) in rows {
        let Bench { mut loaded, world, recorder, nest, mut started } = bench(1);
        loaded.plan.steps.truncate(1);
        let planned = &mut loaded.plan.steps[0];
        planned.procedure = Box::new(Timed { good });
        planned.step.measurements = vec![bench_run::MeasurementSpec {
            name: "span".to_owned(),
            unit: bench_run::MeasurementUnit::Seconds,
            limits: bench_run::Limits::at_most(0.15),
            contacts: Vec::new(),
        }];
        if let Event::RunStarted { steps, .. } = &mut started {
            *steps = engine::promises(&loaded.plan);
        }
        for at in stalls {
            world.stall(BenchTime::from_micros(at * 1000), 200 * MS);
        }
        let run = engine::run(&loaded.plan, &nest, &recorder, started, Stop::never());
        let outcome = runtime().block_on(world.run(run)).unwrap();
        assert_eq!(outcome.verdict, verdict, "{stalls:?}, good: {good}: {outcome:?}");
        let said = outcome.reason.unwrap_or_default();
        assert!(said.contains(reason), "{stalls:?}, good: {good}: {said}");
        let entries = recorder.entries();
        let ends = entries.iter().filter_map(|entry| match &entry.event {
            Event::StepEnded { attempt, verdict, reason, retried, late, .. } => {
                Some((*attempt, *verdict, reason.clone().unwrap_or_default(), *retried, late.clone()))
            }
            _ => None,
        });
        let ends: Vec<_> = ends.collect();
        assert_eq!(ends.len(), usize::from(attempts), "{ends:?}");
        for (n, (attempt, _, reason, retried, late)) in ends.iter().enumerate() {
            assert_eq!(usize::from(*attempt), n + 1);
            let void = n + 1 < ends.len();
            assert_eq!((*retried, reason.starts_with("void: the controller was ")), (void, void), "{ends:?}");
            let stalled = stalls.len() > n;
            assert_eq!(late.as_ref().is_some_and(|late| late.us > 150_000), stalled, "{ends:?}");
        }
        assert_eq!(bench_run::rejudge(&entries).contradictions, []);
    }
}
