//! A download that is cut anywhere ends in an error, never in a pass and never in a hang.

use bench_engine::{self as engine, Project, Recorder, Stop};
use bench_instruments::ProgramError;
use bench_journal::Journal;
use bench_run::{Event, Verdict};
use bench_steps::Kinds;
use bench_virtual::{self as virtual_run, Order};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use std::fs;
use std::path::{Path, PathBuf};
use virtual_bench::Fault;

const KEPT: &[&str] = &["rails-to-ground", "link-loopback", "rail-3v3", "program", "production", "again"];
/// Transfers after everything was read back and the program started: the probe takes its leave.
const CLOSING: u64 = 200;

struct Ended {
    verdict: Verdict,
    said: Vec<String>,
    transfers: u64,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Rails and programming, nothing else.
fn programmed(faults: &[Fault], blank: bool) -> Ended {
    programmed_by(&root().join("plans/b404x.toml"), faults, blank)
}

fn programmed_by(file: &Path, faults: &[Fault], blank: bool) -> Ended {
    let mut loaded = Project::find(Some(&root()), Some(file)).load(file, &Kinds::default()).unwrap();
    let ids = loaded.plan.steps.iter().map(|planned| planned.step.id.clone());
    let gone: Vec<String> = ids.filter(|id| !KEPT.contains(&id.as_str())).collect();
    loaded.plan.take_out(&gone);
    let firmware = bench_engine::read_firmware(&loaded.firmware_path).unwrap();
    let family = loaded.family().unwrap();
    let serial = virtual_run::serial(family, &loaded.plan.model, 1);
    let order = Order { blank, faults, ..Order::of(&loaded, &firmware, &serial, 1) };
    let image = virtual_run::image(&loaded, &firmware).unwrap();
    let world = virtual_run::build(&order).unwrap();
    let started = virtual_run::started(&loaded, loaded.provenance(&firmware), &serial, 1, &[]);
    let recorder = Recorder::new(Journal::in_memory(), world.clock(), Vec::new());
    let mut nest = virtual_run::nest(&world, &loaded.fixture, family, &serial, &recorder).unwrap();
    loaded.equip(&mut nest, image);
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
    let config = Config { cases: 50, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(Default::default()))
        .run(&(1..whole.transfers - CLOSING), |cut| {
            // If the programmer hangs, so does this test.
            let run = programmed(&[format!("probe-lost:{cut}").parse().unwrap()], true);
            prop_assert_eq!(run.verdict, Verdict::Error, "cut at {} of {}: {:?}", cut, whole.transfers, run.said);
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

/// `plans/b404x.toml` with two more steps, in a folder with the images that they name.
fn plan_with_production(folder: &Path, first: &str) -> PathBuf {
    // Two bytes at 0x1000, and the end of the file.
    fs::write(folder.join("boot.hex"), ":02100000ABCD76\n:00000001FF\n").unwrap();
    fs::write(folder.join("app.bin"), (0..10_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    let text = fs::read_to_string(root().join("plans/b404x.toml")).unwrap();
    std::os::unix::fs::symlink(root().join("plans/parts"), folder.join("parts")).unwrap();
    let step = |id: &str, needs: &str, more: &str| {
        format!(
            "\n[[step]]\nid = \"{id}\"\ntitle = \"What the customer gets\"\nkind = \"program-production\"\n\
             needs = [\"{needs}\"]\nsupply = \"3V3\"\n\
             images = [{{ file = \"boot.hex\" }}, {{ file = \"app.bin\", at = 0x30000 }}]\n\
             uicr = [{{ at = 0x80, serial = true }}, {{ at = 0x90, value = 0x12345678 }}]\n{more}\n"
        )
    };
    let steps = [step("production", "program", first), step("again", "production", "erase_rest = false")].concat();
    let plan = folder.join("b404x.toml");
    fs::write(&plan, text + &steps).unwrap();
    plan
}

#[test]
fn production_images_and_the_serial_number_are_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let run = programmed_by(&plan_with_production(folder.path(), ""), &[], true);
    assert_eq!(run.verdict, Verdict::Pass, "{:?}", run.said);
    let said = |text: &str| assert!(run.said.iter().any(|said| said.contains(text)), "{text}: {:?}", run.said);
    said("boot.hex, app.bin: 40002 bytes written, 0 there already, 5 words of UICR written, verified");
    // The second step reads the flash itself.
    said("boot.hex, app.bin: 0 bytes written, 40002 there already, verified");
}

#[test]
fn a_locked_module_stays_locked() {
    let folder = tempfile::tempdir().unwrap();
    let run = programmed_by(&plan_with_production(folder.path(), "lock = true"), &[], true);
    assert!(run.said.iter().any(|said| said.ends_with(", locked")), "{:?}", run.said);
    let locked = ProgramError::Locked.to_string();
    assert!(run.said.contains(&locked), "{:?}", run.said);
    assert_eq!(run.verdict, Verdict::Fail, "{:?}", run.said);
}
