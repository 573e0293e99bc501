//! A download that is given up ends there: no transfer follows it, its thread ends, and the next job works.

use async_trait::async_trait;
use bench_engine::{self as engine, Project, Recorder};
use bench_instruments::{
    Clock, ProgramError, ProgramJob, ProgramPhase, Programmed, Programmer, SwdAnswer, SwdOperation, SwdWire,
};
use bench_steps::Kinds;
use bench_swd::SwdProgrammer;
use bench_virtual::{self as virtual_run, Order};
use futures_util::future::select;
use std::cell::Cell;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// By the wall clock. A cancelled job ends within milliseconds; one that is not cancelled takes longer than this.
const SOON: Duration = Duration::from_secs(60);

/// The lines, and how many asks of the probe's thread reached them.
struct Counted {
    lines: Rc<dyn SwdWire>,
    begun: Cell<usize>,
    ended: Cell<usize>,
}

#[async_trait(?Send)]
impl SwdWire for Counted {
    fn probes(&self) -> Vec<String> {
        self.lines.probes()
    }

    async fn run(&self, operations: &[SwdOperation], hz: u32) -> SwdAnswer {
        self.begun.set(self.begun.get() + 1);
        let answer = self.lines.run(operations, hz).await;
        self.ended.set(self.ended.get() + 1);
        answer
    }
}

/// When the job is given up.
#[derive(Debug, Clone, Copy)]
enum At {
    /// In the middle of the ask with this number.
    Ask(usize),
    /// In the first ask after something was reported of this phase.
    Phase(ProgramPhase),
}

#[test]
fn a_job_that_is_given_up_ends_and_the_next_one_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = root.join("plans/b404x.toml");
    let loaded = Project::find(Some(&root), Some(&file)).load(&file, &Kinds::default()).unwrap();
    let firmware = engine::read_firmware(&loaded.firmware_path).unwrap();
    let image = virtual_run::image(&loaded, &firmware).unwrap();
    // What was in the flash before, so that there are pages to erase.
    let mut other = (*image).clone();
    other.segments = vec![(0, vec![0x5A; 3 * 4096].into())];
    let job = |image| ProgramJob { images: vec![image], ..ProgramJob::default() };

    let rows = [
        ("connecting", At::Ask(1)),
        ("attaching", At::Ask(12)),
        ("comparing", At::Phase(ProgramPhase::Compare)),
        ("erasing", At::Phase(ProgramPhase::Erase)),
        ("writing", At::Phase(ProgramPhase::Write)),
        ("verifying", At::Phase(ProgramPhase::Verify)),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (what, at) in rows {
        let world = virtual_run::build(&Order::of(&loaded, &firmware, "P046AV000000001", 1)).unwrap();
        let clock: Rc<dyn Clock> = world.clock();
        let recorder = Recorder::new(bench_journal::Journal::in_memory(), world.clock(), Vec::new());
        let family = loaded.family().unwrap();
        let nest = virtual_run::nest(&world, &loaded.fixture, family, "P046AV000000001", &recorder).unwrap();
        let wire = Rc::new(Counted { lines: Rc::new(world.swd()), begun: Cell::new(0), ended: Cell::new(0) });
        let programmer = SwdProgrammer::wired(Rc::clone(&clock), Rc::clone(&wire) as Rc<dyn SwdWire>);
        let all = async {
            // The virtual module has no short.
            nest.rails.clear_for_power("3V3", f64::INFINITY).unwrap();
            nest.rails.on("3V3").await.unwrap();
            clock.sleep(Duration::from_millis(50)).await;
            let before: Result<Programmed, ProgramError> = programmer.program(job(other.clone()), &|_| ()).await;
            before.unwrap();

            let first = wire.begun.get();
            let phase = Cell::new(None);
            let observer = |progress: bench_instruments::ProgramProgress| phase.set(Some(progress.phase));
            {
                let mut program = pin!(programmer.program(job((*image).clone()), &observer));
                std::future::poll_fn(|context| {
                    if let Poll::Ready(result) = program.as_mut().poll(context) {
                        panic!("{what}: not given up, {result:?}");
                    }
                    let under_way = wire.begun.get() > wire.ended.get();
                    let reached = match at {
                        At::Ask(ask) => wire.begun.get() >= first + ask,
                        At::Phase(wanted) => phase.get() == Some(wanted),
                    };
                    if under_way && reached { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
            let (asked, transfers) = (wire.begun.get(), world.stats().swd_transfers);
            assert_eq!(wire.ended.get() + 1, asked, "{what}: given up in the middle of an ask");
            let gave_up_at = clock.now();
            assert!(programmer.ended(SOON).await, "{what}: its thread has not ended");
            assert_eq!(clock.now(), gave_up_at, "{what}: its end takes none of the bench's time");
            clock.sleep(Duration::from_secs(2)).await;
            assert_eq!(wire.begun.get(), asked, "{what}: asks after the job was given up");
            assert_eq!(world.stats().swd_transfers, transfers, "{what}: transfers after the job was given up");

            let next = programmer.program(job((*image).clone()), &|_| ()).await;
            let next = next.unwrap_or_else(|error| panic!("{what}: the next job: {error}"));
            assert!(next.verified && next.written + next.kept == image.len() as u64, "{what}: {next:?}");
            nest.rails.off("3V3").await.unwrap();
        };
        // The fixture's watchdog cuts the rails of a bench that does nothing else.
        let panel = world.panel();
        let kicks = async {
            loop {
                engine::first_kick(&panel);
                clock.sleep(Duration::from_millis(100)).await;
            }
        };
        runtime.block_on(world.run(select(pin!(all), pin!(kicks)))).unwrap();
    }
}
