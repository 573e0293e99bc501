//! Whenever a run is stopped, the modem has been switched off, and its waiting times kept, before its supply goes.

use bench_engine::{self as engine, Project, Recorder, Stop};
use bench_journal::Journal;
use bench_run::{Event, Verdict};
use bench_steps::Kinds;
use bench_virtual::{self as virtual_run, Order};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::path::Path;
use std::time::Duration;

/// What has nothing to do with the modem only makes the runs longer.
pub(crate) const GONE: &[&str] = &[
    "pulls",
    "drive",
    "adc",
    "external-flash",
    "interrupts",
    "pwm",
    "crystal",
    "spi",
    "spi1",
    "i2c",
    "i2c1",
    "nfc",
    "ble",
    "diodes-mcu",
    "isolation-gpio",
    "isolation-other",
];

/// What became of a run that was stopped.
#[derive(Debug)]
struct Stopped {
    verdict: Verdict,
    /// What the record notes next to the steps.
    notes: Vec<String>,
    modem_cuts: u32,
    seconds: f64,
    diagnostics: Vec<String>,
}

fn stopped(plan: &str, seed: u64, faults: &[&str], after: Duration) -> Stopped {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = root.join(plan);
    let mut loaded = Project::find(Some(&root), Some(&file)).load(&file, &Kinds::default()).unwrap();
    let gone: Vec<String> = GONE.iter().map(|id| (*id).to_owned()).collect();
    loaded.plan.take_out(&gone);
    let firmware = bench_engine::read_firmware(&loaded.firmware_path).unwrap();
    let family = loaded.family().unwrap();
    let serial = virtual_run::serial(family, &loaded.plan.model, seed);
    let faults: Vec<virtual_bench::Fault> = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    let order = Order { blank: false, faults: &faults, ..Order::of(&loaded, &firmware, &serial, seed) };
    let image = virtual_run::image(&loaded, &firmware).unwrap();
    let world = virtual_run::build(&order).unwrap();
    let started = virtual_run::started(&loaded, loaded.provenance(&firmware), &serial, seed, &[]);
    let recorder = Recorder::new(Journal::in_memory(), world.clock(), Vec::new());
    let mut nest = virtual_run::nest(&world, &loaded.fixture, family, &serial, &recorder).unwrap();
    loaded.equip(&mut nest, image);
    let clock = world.clock();
    let stop = Stop::when(async move {
        clock.sleep(after).await;
        "stopped by a test".to_owned()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outcome = runtime.block_on(world.run(engine::run(&loaded.plan, &nest, &recorder, started, stop))).unwrap();
    let stats = world.stats();
    let notes = recorder.entries().into_iter().filter_map(|entry| match entry.event {
        Event::Note { step: None, text } => Some(text),
        _ => None,
    });
    let notes = notes.collect();
    Stopped {
        verdict: outcome.verdict,
        notes,
        modem_cuts: stats.modem_cuts,
        seconds: stats.virtual_seconds,
        diagnostics: world.diagnostics(),
    }
}

#[test]
fn no_stop_cuts_the_supply_of_a_modem_that_is_on() {
    // The modem is on from about the second to the ninth second, of the EG91 to the eighteenth.
    let rows =
        [("plans/b404x.toml", 1_200..9_000u64), ("plans/b404.toml", 1_200..9_000), ("plans/b524.toml", 1_200..19_000)];
    let when = (0..rows.len(), any::<prop::sample::Index>(), 1u64..1000);
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let seen_aborts = std::cell::Cell::new(0);
    TestRunner::new_with_rng(config, proptest::test_runner::TestRng::deterministic_rng(Default::default()))
        .run(&when, |(row, place, seed)| {
            let (plan, span) = &rows[row];
            let after = Duration::from_millis(span.start + place.index((span.end - span.start) as usize) as u64);
            let run = stopped(plan, seed, &[], after);
            prop_assert_eq!(run.modem_cuts, 0, "{} seed {} after {:?}: {:?}", plan, seed, after, run);
            prop_assert!(matches!(run.verdict, Verdict::Aborted | Verdict::Pass), "{:?}", run);
            prop_assert!(run.diagnostics.is_empty(), "{:?}", run.diagnostics);
            seen_aborts.set(seen_aborts.get() + u32::from(run.verdict == Verdict::Aborted));
            Ok(())
        })
        .unwrap();
    assert!(seen_aborts.get() >= 12, "most of the runs were not stopped: {}", seen_aborts.get());
}

/// What the operator is shown as the longest time holds for a modem that nothing switches off.
#[test]
fn an_orderly_stop_takes_no_longer_than_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (plan, on_ms) in [("plans/b404.toml", 7_000), ("plans/b404x.toml", 7_000), ("plans/b524.toml", 15_000)] {
        let file = root.join(plan);
        let loaded = Project::find(Some(&root), Some(&file)).load(&file, &Kinds::default()).unwrap();
        let longest = engine::orderly_within(loaded.family().unwrap(), &loaded.plan.model).as_secs_f64();
        let run = stopped(plan, 1, &["modem-never-off"], Duration::from_millis(on_ms));
        let took = run.seconds - 1e-3 * on_ms as f64;
        assert_eq!(run.verdict, Verdict::Aborted, "{plan}: {run:?}");
        // Not much longer either: a limit that is never reached means nothing.
        assert!((0.3 * longest..=longest).contains(&took), "{plan}: {took} s of {longest} s: {run:?}");
        println!("{plan}: {took:.1} s of {longest} s");
    }
}

/// The detector works: with a modem that nothing switches off, the cut is seen, and the record says so.
#[test]
fn a_modem_that_never_goes_off_is_cut_and_that_is_known() {
    let run = stopped("plans/b404.toml", 1, &["modem-never-off"], Duration::from_millis(7_000));
    assert_eq!((run.modem_cuts, run.verdict), (1, Verdict::Aborted), "{run:?}");
    assert!(run.seconds > 17.0, "both ways were tried, and waited for: {run:?}");
    assert!(run.notes.iter().any(|note| note.contains("its supply is cut while it is on")), "{run:?}");
}
