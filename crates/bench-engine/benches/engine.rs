//! What the engine itself costs: plans of 1,000 and 5,000 trivial steps with one limit each.
//!
//! Prints the cost of a step with the journal in memory, on a disk that needs no time, and in a file, next to what the disk
//! itself takes to force a line. The run waits for the disk as on the line, so lines of several steps share a forced write.
//!
//! Each plan's time over its steps contains what a run costs whatever its length. The difference between the two plans does
//! not: it is printed as the cost of one more step. Processor time counts both threads, that of the run and that of the
//! journal, and depends less on what else the machine does.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a benchmark that cannot be set up may panic

#[path = "../tests/support/mod.rs"]
mod support;

use async_trait::async_trait;
use bench_engine::{self as engine, DiskWait, Recorder, Stop};
use bench_instruments::{Clock, ManualClock, TokioClock};
use bench_journal::{Disk, Journal};
use bench_run::Verdict;
use bench_steps::{Nest, Procedure, StepError, StepLog};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};
use support::{Idle, nest, nest_for, plan, started, step};

struct Trivial;

#[async_trait(?Send)]
impl Procedure for Trivial {
    async fn run(&self, _: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        log.measured("x", Some(0.5));
        Ok(())
    }
}

const STEPS: usize = 1_000;
const MANY_STEPS: usize = 5_000;
/// Of so many runs the quickest counts: the others shared the processor.
const RUNS: usize = 21;

/// Where the journal goes.
#[derive(Debug, Clone, Copy)]
enum Kept {
    InMemory,
    /// A disk that needs no time: what is left is the journal's own cost.
    NoTime,
    /// A file on the disk that the working folder is on.
    File,
}

/// Takes everything at once.
#[derive(Default)]
struct NoTime(Vec<u8>);

impl Disk for NoTime {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn read_back(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }
}

type TrivialPlan = bench_plan::Plan<Box<dyn Procedure>>;

fn trivial_plan(steps: usize) -> TrivialPlan {
    let trivial = |n| {
        let mut one = step(&format!("step-{n}"), Trivial);
        one.step.uses = vec!["one after the other".into()];
        one
    };
    plan((0..steps).map(trivial).collect())
}

/// What a run took.
#[derive(Debug, Clone, Copy)]
struct Took {
    wall: Duration,
    /// Of all threads.
    processor: Duration,
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("a time since the start")
}

/// One run in real time, as on the line. Returns what it took, without making and removing the folder.
fn run_once(kept: Kept, plan: &TrivialPlan) -> (Took, bench_journal::Stats) {
    let folder =
        tempfile::tempdir_in(std::env::current_dir().expect("a working folder")).expect("a folder for the run");
    let journal = match kept {
        Kept::InMemory => Ok(Journal::in_memory()),
        Kept::NoTime => Journal::on_disk_of(Box::<NoTime>::default(), "journal.jsonl"),
        Kept::File => Journal::create(folder.path(), "P042TEST", "test"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let clock: Rc<dyn Clock> = Rc::new(TokioClock::start());
    let nest = nest_of(&clock);
    let recorder = Recorder::waiting(journal.expect("a journal"), clock, Vec::new(), DiskWait::Async, None);
    let started = started(plan);
    let (began, processor_before) = (Instant::now(), processor_time());
    let outcome = runtime.block_on(engine::run(plan, &nest, &recorder, started, Stop::never()));
    let took = Took { wall: began.elapsed(), processor: processor_time() - processor_before };
    assert_eq!(outcome.verdict, Verdict::Pass, "{:?}", outcome.reason);
    (took, recorder.stats())
}

/// What the disk itself takes to append a line and force it.
fn fsync_time() -> Duration {
    let mut file = tempfile::tempfile_in(std::env::current_dir().expect("a working folder")).expect("a file");
    let mut once = || {
        let began = Instant::now();
        file.write_all(&[b'x'; 1_000]).and_then(|()| file.sync_data()).expect("a disk that works");
        began.elapsed()
    };
    let mut times: Vec<Duration> = (0..201).map(|_| once()).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn print_costs() {
    let (few, many) = (trivial_plan(STEPS), trivial_plan(MANY_STEPS));
    println!("microseconds a step, best of {RUNS}     {STEPS} steps   {MANY_STEPS} steps   ratio   one more step");
    for kept in [Kept::InMemory, Kept::NoTime, Kept::File] {
        // In turn, so that a busy minute of the machine meets both.
        let runs: Vec<[Took; 2]> = (0..RUNS).map(|_| [&few, &many].map(|plan| run_once(kept, plan).0)).collect();
        let print = |what: &str, span: fn(&Took) -> Duration| {
            let best = |plan: usize| runs.iter().map(|run| span(&run[plan])).min().unwrap_or_default();
            let [few, many] = [best(0), best(1)].map(|best| best.as_secs_f64() * 1e6);
            let one_more = (many - few) / (MANY_STEPS - STEPS) as f64;
            let (few, many) = (few / STEPS as f64, many / MANY_STEPS as f64);
            let ratio = many / few;
            println!("{:32}   {few:10.2}   {many:10.2}   {ratio:5.2}   {one_more:13.2}", format!("{kept:?}{what}"));
        };
        print("", |took| took.wall);
        print(", processor time", |took| took.processor);
    }
    let (took, stats) = run_once(Kept::File, &few);
    let fsync = fsync_time().as_secs_f64() * 1e6;
    println!(
        "the disk's own write and fsync: {fsync:.0} us; with a file a step takes {:.2} of it. {} lines, {} bytes, {} writes in \
         {:?}, chained in {:?}, {} fsyncs in {:?}",
        took.wall.as_secs_f64() * 1e6 / STEPS as f64 / fsync,
        stats.lines,
        stats.bytes,
        stats.writes,
        stats.write_time,
        stats.chain_time,
        stats.syncs,
        stats.sync_time
    );
}

fn nest_of(clock: &Rc<dyn Clock>) -> Nest {
    thread_local!(static FAMILY: Rc<bench_plan::DutFamily> =
        nest(Rc::new(ManualClock::new()), Rc::new(Idle::default())).family);
    nest_for(clock.clone(), Rc::default(), FAMILY.with(Rc::clone))
}

fn engine_cost(criterion: &mut Criterion) {
    print_costs();
    let mut group = criterion.benchmark_group("trivial steps");
    for steps in [STEPS, MANY_STEPS] {
        let plan = trivial_plan(steps);
        group.throughput(Throughput::Elements(steps as u64)).sample_size(10);
        for kept in [Kept::InMemory, Kept::NoTime, Kept::File] {
            group.bench_function(format!("{steps} {kept:?}"), |bencher| {
                bencher.iter_custom(|times| (0..times).map(|_| run_once(kept, &plan).0.wall).sum());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, engine_cost);
criterion_main!(benches);
