//! The core of the emulated chip and that of `rsemu` through the whole B404X plan: equal registers and cycles after every
//! access to a peripheral.

#[path = "../../crates/virtual-nrf52840/tests/common/replica.rs"]
mod replica;

use bench_engine::{self as engine, Project, Recorder, Stop};
use bench_journal::Journal;
use bench_run::Verdict;
use bench_steps::Kinds;
use bench_virtual::{self as virtual_run, Order};
use replica::Rsemu;
use std::path::Path;

#[test]
fn another_core_does_the_same_through_a_whole_plan() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = root.join("plans/b404x.toml");
    let loaded = Project::find(Some(&root), Some(&file)).load(&file, &Kinds::default()).unwrap();
    let firmware = bench_engine::read_firmware(&loaded.firmware_path).unwrap();
    let family = loaded.family().unwrap().clone();
    let serial = virtual_run::serial(&family, &loaded.plan.model, 1);
    let world = virtual_run::build(&Order::of(&loaded, &firmware, &serial, 1)).unwrap();
    let (rsemu, report) = Rsemu::new();
    world.observe_cpu(Box::new(rsemu));
    let started = virtual_run::started(&loaded, loaded.provenance(&firmware), &serial, 1, &[]);
    let recorder = Recorder::new(Journal::in_memory(), world.clock(), Vec::new());
    let mut nest = virtual_run::nest(&world, &loaded.fixture, &family, &serial, &recorder).unwrap();
    loaded.equip(&mut nest, virtual_run::image(&loaded, &firmware).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let run = world.run(engine::run(&loaded.plan, &nest, &recorder, started, Stop::never()));
    let outcome = runtime.block_on(run).unwrap();
    assert_eq!(outcome.verdict, Verdict::Pass);
    let report = report.lock().unwrap();
    assert_eq!(report.problem, None, "{report:?}");
    // Without the programming of the flash, in which a debugger has the core.
    assert!(report.compared > 100_000 && report.steps > 3_000_000, "{report:?}");
}
