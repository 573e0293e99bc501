//! What the engine itself costs: a plan of 1,000 trivial steps with one limit each, the journal on.
//!
//! `with fsync` forces every step's verdict to the disk, as on the line; `journal without fsync` writes the same lines
//! to memory (a tmpfs where there is one), so that the difference is the disk's.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a benchmark that cannot be set up may panic

#[path = "../tests/support/mod.rs"]
mod support;

use async_trait::async_trait;
use bench_engine::{self as engine, Stop};
use bench_instruments::ManualClock;
use bench_run::Verdict;
use bench_steps::{Nest, Procedure, Record, StepError};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::path::Path;
use std::rc::Rc;
use support::{Idle, nest, plan, recorder, started, step};

struct Trivial;

#[async_trait(?Send)]
impl Procedure for Trivial {
    async fn run(&self, _: &Nest, record: &dyn Record) -> Result<(), StepError> {
        record.measured("x", Some(0.5));
        Ok(())
    }
}

const STEPS: usize = 1_000;

fn run_once(root: &Path, plan: &bench_plan::Plan<Box<dyn Procedure>>) -> bench_journal::Stats {
    let folder = tempfile::tempdir_in(root).expect("a folder for the run");
    let clock = Rc::new(ManualClock::new());
    let nest = nest_of(&clock);
    let recorder = recorder(folder.path(), clock.clone());
    let outcome = clock.run(engine::run(plan, &nest, &recorder, started(plan), Stop::never()));
    assert_eq!(outcome.verdict, Verdict::Pass);
    recorder.stats()
}

fn nest_of(clock: &Rc<ManualClock>) -> Nest {
    thread_local!(static FAMILY: bench_plan::DutFamily = {
        (*nest(Rc::new(ManualClock::new()), Rc::new(Idle::default())).family).clone()
    });
    let idle = Rc::new(Idle::default());
    Nest {
        clock: clock.clone(),
        nails: idle.clone(),
        bus: idle.clone(),
        rails: idle.clone(),
        switches: Rc::new(bench_instruments::NoSwitches),
        load: Rc::new(bench_instruments::UnknownLoad),
        relay: idle.clone(),
        peers: Rc::new(bench_instruments::ScriptedPeers::default()),
        edges: idle.clone(),
        dut: idle.clone(),
        modem: Rc::default(),
        usb_switch: idle.clone(),
        usb: idle.clone(),
        nfc: idle,
        programmer: Rc::new(bench_instruments::ScriptedProgrammer::default()),
        firmware: Rc::default(),
        images: Rc::default(),
        imei: None,
        link: Rc::default(),
        panel: bench_instruments::Panel::default(),
        ble: Rc::new(bench_instruments::NoBle),
        family: Rc::new(FAMILY.with(Clone::clone)),
        serial: "P042TEST".into(),
    }
}

fn engine_cost(criterion: &mut Criterion) {
    let steps = (0..STEPS)
        .map(|n| {
            let mut one = step(&format!("step-{n}"), Trivial);
            one.step.uses = vec!["one after the other".into()];
            one
        })
        .collect();
    let plan = plan(steps);
    let mut group = criterion.benchmark_group("1000 steps");
    group.throughput(Throughput::Elements(STEPS as u64)).sample_size(10);
    let on_disk = std::env::current_dir().expect("a working folder");
    let in_memory = Path::new("/dev/shm");
    group.bench_function("with fsync", |bencher| bencher.iter(|| run_once(&on_disk, &plan)));
    if in_memory.is_dir() {
        group.bench_function("journal without fsync", |bencher| bencher.iter(|| run_once(in_memory, &plan)));
    }
    group.finish();
    let stats = run_once(&on_disk, &plan);
    println!(
        "one run on disk: {} lines, {} bytes, write {:?}, {} fsyncs {:?}",
        stats.lines, stats.bytes, stats.write_time, stats.syncs, stats.sync_time
    );
}

criterion_group!(benches, engine_cost);
criterion_main!(benches);
