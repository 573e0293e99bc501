//! A download that is cut anywhere ends in an error, never in a pass and never in a hang.

use crate::coverage::take_out;
use crate::engine::{self, Recorder};
use crate::virtual_run::{self, Order};
use crate::{Project, Stop, files};
use bench_journal::Journal;
use bench_run::{Event, Verdict};
use bench_steps::Kinds;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use std::path::Path;
use std::time::{Duration, Instant};
use virtual_bench::Fault;

const KEPT: &[&str] = &["rails-to-ground", "link-loopback", "rail-3v3", "program"];
/// Transfers after everything was read back and the program started: the probe takes its leave.
const CLOSING: u64 = 200;
/// By the wall clock: the thread gives up after twenty seconds of silence at the latest.
const NO_HANG: Duration = Duration::from_secs(60);

struct Ended {
    verdict: Verdict,
    said: Vec<String>,
    transfers: u64,
}

/// Rails and programming, nothing else.
fn programmed(faults: &[Fault], blank: bool) -> Ended {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = root.join("plans/b404x.toml");
    let mut loaded = Project::find(Some(&root), Some(&file)).load(&file, &Kinds::default()).unwrap();
    let ids = loaded.plan.steps.iter().map(|planned| planned.step.id.clone());
    let gone: Vec<String> = ids.filter(|id| !KEPT.contains(&id.as_str())).collect();
    take_out(&mut loaded.plan, &gone);
    let firmware = files::read_firmware(&loaded.firmware_path).unwrap();
    let family = loaded.family().unwrap();
    let serial = virtual_run::serial(family, &loaded.plan.model, 1);
    let order = Order { blank, faults, ..Order::of(&loaded, &firmware, &serial, 1) };
    let image = virtual_run::image(&loaded, &firmware).unwrap();
    let world = virtual_run::build(&order).unwrap();
    let started = virtual_run::started(&loaded, loaded.provenance(&firmware), &serial, 1, &[]);
    let recorder = Recorder::new(Journal::in_memory(), world.clock(), Vec::new());
    let mut nest = virtual_run::nest(&world, &loaded.fixture, family, &serial, &recorder).unwrap();
    nest.firmware = image;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let run = engine::run(&loaded.plan, &nest, &recorder, started, Stop::never());
    let outcome = runtime.block_on(world.run(run)).unwrap();
    let said = recorder.entries().into_iter().filter_map(|entry| match entry.event {
        Event::Diagnosed { diagnosis, .. } => Some(diagnosis.text),
        Event::Note { text, .. } => Some(text),
        _ => None,
    });
    Ended { verdict: outcome.verdict, said: said.collect(), transfers: world.stats().swd_transfers }
}

#[test]
fn a_download_that_is_cut_anywhere_never_passes() {
    let whole = programmed(&[], true);
    assert_eq!(whole.verdict, Verdict::Pass, "{:?}", whole.said);
    let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(Default::default()))
        .run(&(1..whole.transfers - CLOSING), |cut| {
            let began = Instant::now();
            let run = programmed(&[Fault::ProbeLost(cut)], true);
            prop_assert_eq!(run.verdict, Verdict::Error, "cut at {} of {}: {:?}", cut, whole.transfers, run.said);
            prop_assert!(began.elapsed() < NO_HANG, "cut at {}: {:?}", cut, began.elapsed());
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_is_there_already_is_not_written_again() {
    let run = programmed(&[], false);
    assert_eq!(run.verdict, Verdict::Pass, "{:?}", run.said);
    assert!(run.said.iter().any(|text| text.contains(": 0 bytes written, ")), "{:?}", run.said);
}
