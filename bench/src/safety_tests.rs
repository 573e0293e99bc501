//! The lid, the watchdog and a bench that is killed: rails go off, whenever it happens.

use crate::abort_tests::GONE;
use bench_engine::{self as engine, Loaded, Project, Recorder, Stop};
use bench_journal::Journal;
use bench_run::{Event, Verdict};
use bench_steps::{Kinds, Nest};
use bench_virtual::{self as virtual_run, Order};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use virtual_bench::VirtualBench;

/// More of them when a person wants to be sure: BENCH_SAFETY_CASES=200.
fn cases() -> u64 {
    std::env::var("BENCH_SAFETY_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// Moments all over a run, in an order that has nothing to do with it.
fn moments() -> impl Iterator<Item = (u64, Duration)> {
    (1..=cases()).map(|n| (n, Duration::from_micros(200_000 + n.wrapping_mul(2_654_435_761) % 9_000_000)))
}

pub(crate) struct Bench {
    pub loaded: Loaded,
    pub world: Rc<VirtualBench>,
    pub recorder: Rc<Recorder>,
    pub nest: Nest,
    pub started: Event,
}

pub(crate) fn bench(seed: u64) -> Bench {
    bench_with(seed, Journal::in_memory())
}

fn bench_with(seed: u64, journal: Journal) -> Bench {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = root.join("plans/b404x.toml");
    let mut loaded = Project::find(Some(&root), Some(&file)).load(&file, &Kinds::default()).unwrap();
    // As a fixture that has one.
    loaded.fixture.bed.as_mut().unwrap().controller.emergency =
        Some(bench_plan::GpioLine { gpio: 26, active_low: true });
    let gone: Vec<String> = GONE.iter().map(|id| (*id).to_owned()).collect();
    loaded.plan.take_out(&gone);
    let firmware = bench_engine::read_firmware(&loaded.firmware_path).unwrap();
    let family = loaded.family().unwrap().clone();
    let serial = virtual_run::serial(&family, &loaded.plan.model, seed);
    let order = Order { blank: false, ..Order::of(&loaded, &firmware, &serial, seed) };
    let world = virtual_run::build(&order).unwrap();
    let started = virtual_run::started(&loaded, loaded.provenance(&firmware), &serial, seed, &[]);
    let recorder = Recorder::new(journal, world.clock(), Vec::new());
    let mut nest = virtual_run::nest(&world, &loaded.fixture, &family, &serial, &recorder).unwrap();
    loaded.equip(&mut nest, virtual_run::image(&loaded, &firmware).unwrap());
    Bench { loaded, world: Rc::new(world), recorder, nest, started }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// What a hand does, how it is undone, and what the reason says.
type Hand = (fn(&VirtualBench, bool), &'static str);

const LID: Hand = (|world, done| world.move_lid(!done), "the lid was opened");
const EMERGENCY: Hand = (|world, done| world.press_emergency(done), "the emergency stop was pressed: ");

#[test]
fn an_opened_lid_ends_the_run_and_the_switches_are_open_within_50_ms() {
    a_hand_ends_the_run(LID);
}

#[test]
fn an_emergency_stop_ends_the_run_and_the_switches_are_open_within_50_ms() {
    a_hand_ends_the_run(EMERGENCY);
}

fn a_hand_ends_the_run((act, why): Hand) {
    let (mut seen, mut slowest) = (0, 0.0_f64);
    for (seed, after) in moments() {
        let Bench { loaded, world, recorder, nest, started } = bench(seed);
        let (clock, hand) = (world.clock(), Rc::clone(&world));
        let acts = async move {
            clock.sleep(after).await;
            let powered = hand.rails_on().contains(&true);
            act(&hand, true);
            (clock.now(), powered)
        }
        .shared();
        let acted = acts.clone();
        // Only acts; the run has to notice by itself.
        let stop = Stop::when(async move {
            acts.await;
            std::future::pending().await
        });
        let run = engine::run(&loaded.plan, &nest, &recorder, started, stop);
        let outcome = runtime().block_on(world.run(run)).unwrap();
        let Some(Ok((at, powered))) = acted.now_or_never().map(Ok::<_, ()>) else {
            assert_eq!(outcome.verdict, Verdict::Pass, "over before anybody acted");
            continue;
        };
        assert_eq!(outcome.verdict, Verdict::Aborted, "after {after:?}: {:?}", outcome.reason);
        assert!(outcome.reason.as_ref().is_some_and(|reason| reason.contains(why)), "{outcome:?}");
        // What is undone brings no rail back: the bench has opened the switches, too.
        act(&world, false);
        assert!(!world.rails_on().contains(&true), "after {after:?}");
        let off = recorder.entries().into_iter().find_map(|entry| match entry.event {
            Event::RailSwitched { on: false, .. } if entry.at_us >= at => Some(entry.at_us - at),
            _ => None,
        });
        if powered {
            let took = off.unwrap().as_secs_f64() * 1e3;
            assert!(took <= 50.0, "after {after:?} it took {took} ms");
            slowest = slowest.max(took);
            seen += 1;
        }
    }
    assert!(seen >= cases() / 2, "{seen} of {} with power", cases());
    println!("{seen} times with power on: switches open after {slowest:.1} ms at most");
}

#[test]
fn no_run_begins_while_the_emergency_stop_is_pressed() {
    let Bench { loaded, world, recorder, nest, started } = bench(1);
    world.press_emergency(true);
    let run = engine::run(&loaded.plan, &nest, &recorder, started, Stop::never());
    let outcome = runtime().block_on(world.run(run)).unwrap();
    assert_eq!(outcome.verdict, Verdict::Aborted, "{:?}", outcome.reason);
    assert!(outcome.reason.as_ref().is_some_and(|reason| reason.contains(EMERGENCY.1)), "{outcome:?}");
    let powered = recorder.entries().iter().any(|entry| matches!(entry.event, Event::RailSwitched { on: true, .. }));
    assert!(!powered, "a rail was switched on");
}

#[test]
fn a_bench_that_is_killed_leaves_no_rail_on_for_longer_than_500_ms() {
    let mut seen = 0;
    let reports = tempfile::tempdir().unwrap();
    for (seed, after) in moments() {
        let journal = Journal::create(reports.path(), "P042AV000000001", &format!("r{seed}")).unwrap();
        let path = journal.path().to_owned();
        let Bench { loaded, world, recorder, nest, started } = bench_with(seed, journal);
        let clock = world.clock();
        let run = Box::pin(engine::run(&loaded.plan, &nest, &recorder, started, Stop::never()));
        let killed = async {
            match select(run, clock.sleep(after)).await {
                Either::Left(_) => false,
                Either::Right(((), run)) => {
                    // Nothing of it ever runs again, no destructor either, as after SIGKILL.
                    std::mem::forget(run);
                    true
                }
            }
        };
        let was_killed = runtime().block_on(world.run(killed)).unwrap();
        std::mem::forget(nest);
        if !was_killed {
            continue;
        }
        seen += u64::from(world.rails_on().contains(&true));
        world.let_pass(Duration::from_millis(500));
        assert!(!world.rails_on().contains(&true), "killed after {after:?}");
        // The record replays, and the unit does not count as tested.
        std::mem::forget(recorder);
        let run = bench_journal::read(&path).unwrap();
        let record = bench_report::RunRecord::from_entries(&run.entries);
        assert_eq!(
            (run.finished, record.finished, record.verdict),
            (false, false, Verdict::Error),
            "killed after {after:?}"
        );
        assert!(!run.entries.is_empty(), "killed after {after:?}");
    }
    assert!(seen >= cases() / 2, "{seen} of {} killed with power on", cases());
    println!("{seen} benches killed with power on: all supplies off 500 ms later");
}

#[test]
fn the_watchdog_sleeps_through_a_whole_run() {
    let Bench { loaded, world, recorder, nest, started } = bench(1);
    let run = engine::run(&loaded.plan, &nest, &recorder, started, Stop::never());
    let outcome = runtime().block_on(world.run(run)).unwrap();
    assert_eq!((outcome.verdict, world.stats().watchdog_cuts), (Verdict::Pass, 0), "{:?}", outcome.reason);
}
