//! A controller that is late condemns no module.
//!
//! The virtual controller stops at a random moment for 20 ms to 2 s, in good runs of every plan: wherever the program is
//! then, also between two transfers of a driver that never waits. `cargo xtask stalls` orders more of them.

use bench_engine::{self as engine, Loaded, Outcome, Project, Recorder, Stop};
use bench_journal::Journal;
use bench_run::{BenchTime, Entry, Event, Verdict};
use bench_steps::Kinds;
use bench_virtual::{self as virtual_run, Order};
use std::path::Path;
use std::time::Duration;

/// How many: BENCH_STALLS=300 for more certainty.
fn stalls() -> u64 {
    std::env::var("BENCH_STALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(24)
}

const PLANS: [&str; 3] = ["plans/b404x.toml", "plans/b524.toml", "plans/boron.toml"];
/// The fixture's watchdog waits so long for a kick, and the last one came up to two beats before the stall.
const WATCHDOG: Duration = Duration::from_millis(500);
const LAST_KICK: Duration = Duration::from_millis(60);

struct Stalled {
    outcome: Outcome,
    entries: Vec<Entry>,
    modem_cuts: u32,
    watchdog_cuts: u32,
    still_on: bool,
}

fn load(plan: &str) -> Loaded {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = root.join(plan);
    Project::find(Some(&root), Some(&file)).load(&file, &Kinds::default()).unwrap()
}

fn run(loaded: &Loaded, seed: u64, stall: Option<(Duration, Duration)>) -> Stalled {
    let firmware = bench_engine::read_firmware(&loaded.firmware_path).unwrap();
    let family = loaded.family().unwrap();
    let serial = virtual_run::serial(family, &loaded.plan.model, seed);
    let order = Order { blank: false, ..Order::of(loaded, &firmware, &serial, seed) };
    let world = virtual_run::build(&order).unwrap();
    let started = virtual_run::started(loaded, loaded.provenance(&firmware), &serial, seed, &[]);
    let recorder = Recorder::new(Journal::in_memory(), world.clock(), Vec::new());
    let mut nest = virtual_run::nest(&world, &loaded.fixture, family, &serial, &recorder).unwrap();
    loaded.equip(&mut nest, virtual_run::image(loaded, &firmware).unwrap());
    if let Some((at, span)) = stall {
        world.stall(BenchTime::ZERO + at, span);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let run = engine::run(&loaded.plan, &nest, &recorder, started, Stop::never());
    let outcome = runtime.block_on(world.run(run)).unwrap();
    let stats = world.stats();
    Stalled {
        outcome,
        entries: recorder.entries(),
        modem_cuts: stats.modem_cuts,
        watchdog_cuts: stats.watchdog_cuts,
        still_on: world.rails_on().contains(&true),
    }
}

/// Numbers that look random and are the same each time.
fn mixed(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[test]
fn a_controller_that_is_late_condemns_no_module() {
    let loaded: Vec<Loaded> = PLANS.iter().map(|plan| load(plan)).collect();
    let spans: Vec<Duration> = loaded
        .iter()
        .map(|loaded| {
            let good = run(loaded, 1, None);
            assert_eq!(good.outcome.verdict, Verdict::Pass, "{:?}", good.outcome.reason);
            good.entries.last().unwrap().at_us - BenchTime::ZERO
        })
        .collect();
    let (mut wrong, mut count) = (Vec::new(), [0; 3]);
    for n in 0..stalls() {
        let which = usize::try_from(n % 4).unwrap().saturating_sub(1);
        let at = Duration::from_micros(mixed(3 * n) % u64::try_from(spans[which].as_micros()).unwrap());
        // As many short ones as long ones.
        let span = Duration::from_millis(20).mul_f64(100f64.powf((mixed(3 * n + 1) % 1000) as f64 / 1000.0));
        let seed = mixed(3 * n + 2) % 1000 + 1;
        let stalled = run(&loaded[which], seed, Some((at, span)));
        let Outcome { verdict, reason } = &stalled.outcome;
        let text = reason.clone().unwrap_or_default();
        let mut object = |what: &str| {
            let order = format!("{} {seed} {} {}", PLANS[which], at.as_micros(), span.as_micros());
            wrong.push(format!("{order}: {what}: {verdict}: {text}"));
        };
        match verdict {
            Verdict::Pass => count[0] += 1,
            Verdict::Error => count[1] += 1,
            _ => count[2] += 1,
        }
        if !matches!(verdict, Verdict::Pass | Verdict::Error) {
            object("a good module is blamed");
        }
        if *verdict == Verdict::Error && !text.contains("late") {
            object("the error does not name the lateness");
        }
        if stalled.modem_cuts > 0 && span + LAST_KICK < WATCHDOG {
            object("the supply of a modem that was on was cut");
        }
        if stalled.watchdog_cuts > 0 && *verdict == Verdict::Pass && !off_already(&stalled.entries, at) {
            object("the watchdog cut the power and nothing was noticed");
        }
        if stalled.still_on {
            object("a rail stayed on");
        }
    }
    println!("{} stalls: {} pass, {} error, {} other; {} wrong", stalls(), count[0], count[1], count[2], wrong.len());
    assert!(wrong.is_empty(), "{}\n{} of {}", wrong.join("\n"), wrong.len(), stalls());
}

/// Whether every rail had been switched off for good before `at`.
fn off_already(entries: &[Entry], at: Duration) -> bool {
    let later = entries.iter().filter(|entry| entry.at_us >= BenchTime::ZERO + at);
    later
        .map(|entry| &entry.event)
        .all(|event| !matches!(event, Event::RailSwitched { .. } | Event::StepStarted { .. }))
}
