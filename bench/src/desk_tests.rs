//! What is on a module comes back, however a run on a desk ends.

use bench_engine::{Done, OneRun, Project, Stop};
use bench_instruments::{Clock, ProgramError, Programmer};
use bench_run::{BenchTime, Verdict};
use bench_steps::{Kinds, restoring};
use bench_swd::{SwdProgrammer, backup_of_hex};
use bench_virtual::{self as virtual_run, Order, VirtualBackend};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use virtual_bench::{McuMemory, VirtualBench};

/// How a run is stopped.
#[derive(Debug, Clone, Copy)]
enum Stopped {
    Never,
    /// By a signal, at this virtual time.
    At(Duration),
    /// By two signals.
    AtOnce(Duration),
}

struct Ran {
    before: McuMemory,
    after: McuMemory,
    done: Done,
    world: VirtualBench,
    folder: tempfile::TempDir,
}

impl Ran {
    fn notes(&self) -> Vec<String> {
        self.done.record.notes.iter().map(|note| note.text.clone()).collect()
    }

    fn backup(&self) -> Option<PathBuf> {
        let runs = walk(self.folder.path());
        runs.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "hex"))
    }

    fn put_back(&self) -> bool {
        self.notes().iter().any(|note| note.starts_with("the module holds again what was on it"))
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

fn run(model: &str, faults: &[&str], stopped: Stopped, may_erase_locked: bool, seed: u64) -> Ran {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = root.join(format!("plans/desk-{model}.toml"));
    let loaded = Project::find(Some(&root), Some(&file)).load(&file, &Kinds::default()).unwrap();
    let firmware = bench_engine::read_firmware(&loaded.firmware_path).unwrap();
    let specs: Vec<String> = faults.iter().map(|fault| (*fault).to_owned()).collect();
    let faults = virtual_run::parse_faults(&specs).unwrap();
    let serial = virtual_run::serial(loaded.family().unwrap(), model, seed);
    let order = Order { faults: &faults, ..Order::of(&loaded, &firmware, &serial, seed) };
    let world = virtual_run::build(&order).unwrap();
    let before = world.mcu_memory();
    let clock = world.clock();
    let backend = VirtualBackend { world, seed, faults: specs, person: None };
    let folder = tempfile::tempdir().unwrap();
    let run = OneRun {
        loaded: &loaded,
        firmware: virtual_run::image(&loaded, &firmware).unwrap(),
        provenance: loaded.provenance(&firmware),
        serial: &serial,
        lot: None,
        imei: None,
        key: None,
        reports: folder.path(),
        notes: &[],
        may_erase_locked,
        diagnosis: None,
        hold_ends: None,
        answers: None,
        wrap: None,
    };
    let signal = |clock: Rc<dyn Clock>, at: Duration| async move {
        clock.sleep(at).await;
        "stopped by a test".to_owned()
    };
    let stop = || match stopped {
        Stopped::Never => Stop::never(),
        Stopped::At(at) => Stop::when(signal(clock, at)),
        Stopped::AtOnce(at) => Stop::when(signal(Rc::clone(&clock), at)).and_at_once(async move {
            clock.sleep_until(BenchTime::ZERO + at + Duration::from_millis(1)).await;
        }),
    };
    let done = run.run(&backend, Vec::new(), || Ok(stop())).unwrap();
    let after = backend.world.mcu_memory();
    Ran { before, after, done, world: backend.world, folder }
}

const PROGRAMMING: Duration = Duration::from_millis(3_700);

#[test]
fn the_module_holds_what_it_held_before_however_the_run_ends() {
    let at = |ms| Stopped::At(Duration::from_millis(ms));
    let rows: [(&str, &[&str], Stopped, Verdict); 14] = [
        ("b404x", &[], Stopped::Never, Verdict::Pass),
        ("b524", &[], Stopped::Never, Verdict::Pass),
        ("boron", &[], Stopped::Never, Verdict::Pass),
        ("b404x", &["short:40-42"], Stopped::Never, Verdict::Fail),
        ("b404x", &["crystal-dead"], Stopped::Never, Verdict::Fail),
        ("b404x", &["flash-absent"], Stopped::Never, Verdict::Fail),
        ("b404x", &["dead-link"], Stopped::Never, Verdict::Error),
        // Before the board is on, while the flash is written, and in steps that restart the module or have its modem on.
        ("b404x", &[], at(1_000), Verdict::Aborted),
        ("b404x", &[], at(3_300), Verdict::Aborted),
        ("b404x", &[], Stopped::At(PROGRAMMING), Verdict::Aborted),
        ("b404x", &[], at(4_100), Verdict::Aborted),
        ("b404x", &[], at(7_000), Verdict::Aborted),
        ("b404x", &[], at(12_000), Verdict::Aborted),
        ("b404x", &[], at(24_450), Verdict::Aborted),
    ];
    for (model, faults, stopped, verdict) in rows {
        let ran = run(model, faults, stopped, false, 1);
        let which = format!("{model} {faults:?} {stopped:?}: {:?}", ran.notes());
        assert_eq!(ran.done.verdict, verdict, "{which}");
        assert!(ran.before == ran.after, "{which}");
        assert_eq!(ran.put_back(), ran.backup().is_some(), "{which}");
    }
}

#[test]
fn what_is_lost_on_the_way_is_in_a_file_and_comes_back_from_it() {
    // A probe that fails anywhere, and a second signal, which does not wait for the module.
    let mut cuts: Vec<(Vec<String>, Stopped)> =
        (0..14).map(|n| (vec![format!("probe-lost:{}", 2_000 + n * 4_000)], Stopped::Never)).collect();
    cuts.push((Vec::new(), Stopped::AtOnce(PROGRAMMING)));
    cuts.push((Vec::new(), Stopped::AtOnce(Duration::from_millis(7_000))));
    let mut written = 0;
    for (faults, stopped) in cuts {
        let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
        let ran = run("b404x", &faults, stopped, false, 3);
        let which = format!("{faults:?} {stopped:?}: {:?}", ran.notes());
        assert_ne!(ran.done.verdict, Verdict::Pass, "{which}");
        let Some(path) = ran.backup() else {
            assert!(ran.before == ran.after, "nothing was stored, so nothing was written: {which}");
            continue;
        };
        if ran.put_back() {
            assert!(ran.before == ran.after, "{which}");
            continue;
        }
        written += 1;
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let says = ran.notes().iter().any(|note| note.contains("bench restore") && note.contains(&name));
        assert!(says, "the person is told how: {which}");
        let id = u64::from_str_radix(name.trim_start_matches("before-").trim_end_matches(".hex"), 16).unwrap();
        let backup = backup_of_hex(&std::fs::read_to_string(&path).unwrap(), id).unwrap();
        ran.world.repair_probe();
        ran.world.hands().switch_board(true);
        restored(&ran.world, &backup).unwrap();
        assert!(ran.before == ran.world.mcu_memory(), "{which}");
        // It is not written into another module.
        let other = bench_instruments::Backup { device_id: id ^ 1, ..backup };
        let error = restored(&ran.world, &other).unwrap_err();
        assert!(matches!(error, ProgramError::OtherModule { .. }), "{error}");
        assert!(ran.before == ran.world.mcu_memory(), "{which}");
    }
    assert!(written >= 8, "most of these are lost while the module holds something else: {written}");
}

fn restored(world: &VirtualBench, backup: &bench_instruments::Backup) -> Result<(), ProgramError> {
    let programmer = SwdProgrammer::wired(world.clock(), Rc::new(world.swd()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let job = async { programmer.program(restoring(backup), &|_| {}).await };
    runtime.block_on(world.run(job)).unwrap().map(drop)
}

#[test]
fn a_locked_module_is_touched_with_leave_only() {
    let refused = run("b404x", &["locked"], Stopped::Never, false, 1);
    assert_eq!(refused.done.verdict, Verdict::Fail);
    assert!(refused.before == refused.after && refused.backup().is_none(), "{:?}", refused.notes());
    let erased = run("b404x", &["locked"], Stopped::Never, true, 1);
    assert_eq!(erased.done.verdict, Verdict::Pass, "{:?}", erased.notes());
    let notes = erased.notes();
    let place = |text: &str| notes.iter().position(|note| note.contains(text));
    let (said, written) = (place("is lost, and nothing is written back"), place("bytes written"));
    assert!(said.is_some() && said < written, "what is lost is said before anything is written: {notes:?}");
    assert!(erased.backup().is_none() && !erased.put_back());
}

#[test]
fn what_the_test_firmware_sets_in_uicr_is_taken_back() {
    let ran = run("b404x", &[], Stopped::Never, false, 2);
    assert!(ran.before == ran.after);
    let words = ran.notes().into_iter().find(|note| note.starts_with("the module holds again"));
    assert!(words.is_some_and(|note| note.contains(" and 4 words of UICR")), "{:?}", ran.notes());
}

#[test]
fn what_cannot_be_stored_is_not_overwritten() {
    let ran = run("b404x", &[], Stopped::At(Duration::from_millis(3_300)), false, 5);
    ran.world.hands().switch_board(true);
    let firmware = {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/firmware/dut-firmware.elf");
        bench_swd::parse_image("dut-firmware", &std::fs::read(file).unwrap(), bench_swd::ImageFormat::Elf).unwrap()
    };
    let attempts = Rc::new(SwdProgrammer::wired(ran.world.clock(), Rc::new(ran.world.swd())));
    let program = |store: bench_steps::Store| {
        let keeping = bench_steps::Safekeeping::new(store);
        let job = bench_instruments::ProgramJob {
            images: vec![firmware.clone()],
            keep: keeping.keep(),
            ..bench_instruments::ProgramJob::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let programmed = async { attempts.program(job, &|_| {}).await };
        (runtime.block_on(ran.world.run(programmed)).unwrap().map(drop), keeping)
    };
    let (refused, _) = program(Arc::new(|_| Err("the disk is full".to_owned())));
    assert_eq!(refused, Err(ProgramError::NotKept("the disk is full".to_owned())));
    assert!(ran.before == ran.world.mcu_memory(), "nothing was written");
    // Stored once, by the first attempt: a second one would find the test firmware.
    let (done, keeping) = program(Arc::new(|_| Ok("first".to_owned())));
    assert_eq!(done, Ok(()));
    let backup = keeping.kept().unwrap().backup;
    let again = keeping.keep().unwrap();
    (again.0)(&bench_instruments::Backup { flash: Vec::new(), ..backup.clone() }).unwrap();
    assert_eq!(keeping.kept().unwrap().backup, backup);
    restored(&ran.world, &backup).unwrap();
    assert!(ran.before == ran.world.mcu_memory());
}

#[cfg(unix)]
#[test]
fn only_its_owner_reads_what_was_on_a_module() {
    use std::os::unix::fs::PermissionsExt;
    let ran = run("b404x", &["dead-link"], Stopped::Never, false, 1);
    let mode = std::fs::metadata(ran.backup().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
