//! A plan of one external step, run in this process.

use bench_engine::{Done, OneRun, Project, Stop};
use bench_journal::JournalContents;
use bench_programs::{KeeperCommand, ProgramHost};
use bench_run::Verdict;
use bench_steps::{Kinds, Nest};
use bench_virtual::{Order, VirtualBackend, build, image};
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// What a plan says before its steps.
pub const HEAD: &str = r#"
format = 1
name = "external"
model = "b404x"
fixture = "b-series"
firmware = "dut-firmware"

[[step]]
id = "shorts"
kind = "rail-resistance"
ohms = { min = "200 ohm" }
"#;

/// Whether Python is here; without it the tests of its programs are skipped, and say so.
pub fn has_python() -> bool {
    let found = std::process::Command::new("python3").arg("--version").output().is_ok_and(|done| done.status.success());
    if !found {
        println!("skipped: no python3");
    }
    found
}

/// A finished run, and what is left on the bench.
pub struct Ran {
    pub verdict: Verdict,
    pub reason: String,
    pub journal: Vec<u8>,
    pub contents: JournalContents,
    /// The highest of the rails, as a voltmeter shows it.
    pub rail_volts: f64,
    pub any_rail_on: bool,
}

/// A folder for a plan, its programs and its runs.
pub struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir_in(root().join("target")).unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Runs the plan with these steps.
    pub fn run(&self, steps: &str, seed: u64) -> Ran {
        self.write("plan.toml", &format!("{HEAD}{steps}"));
        self.run_file("plan.toml", seed)
    }

    pub fn run_file(&self, plan: &str, seed: u64) -> Ran {
        let project = Project::find(Some(&root()), None);
        let loaded = project.load(&self.folder.path().join(plan), &Kinds::default());
        let loaded = loaded.unwrap_or_else(|error| panic!("{:?}", error.report()));
        let firmware = bench_engine::read_firmware(&loaded.firmware_path).unwrap();
        let serial = "P042AN0000DEMO1";
        let world = build(&Order::of(&loaded, &firmware, serial, seed)).map_err(|_| "no bench").unwrap();
        let backend = VirtualBackend { world, seed, faults: Vec::new(), person: None };
        let reports = tempfile::tempdir_in(self.folder.path()).unwrap();
        let keeper = KeeperCommand { program: env!("CARGO_BIN_EXE_bench").into(), arguments: vec!["keep".to_owned()] };
        let wrap = |nest: Nest, _: &Path| {
            let host = ProgramHost::new(Ok(keeper.clone()));
            backend.world.hold_while(host.in_turns());
            Nest { programs: Rc::new(host), ..nest }
        };
        let one = OneRun {
            diagnosis: None,
            hold_ends: None,
            loaded: &loaded,
            firmware: image(&loaded, &firmware).map_err(|_| "no image").unwrap(),
            provenance: loaded.provenance(&firmware),
            serial,
            lot: None,
            imei: None,
            reports: reports.path(),
            key: None,
            notes: &[],
            wrap: Some(&wrap),
            may_erase_locked: false,
            answers: None,
        };
        let done: Done = one.run(&backend, Vec::new(), || Ok(Stop::never())).map_err(|_| "not begun").unwrap();
        let runs = bench_journal::find_runs(reports.path()).unwrap();
        let rail_volts = backend.world.rail_volts().into_iter().fold(0.0, f64::max);
        Ran {
            verdict: done.verdict,
            reason: done.record.reason.clone().unwrap_or_default(),
            journal: std::fs::read(&runs[0].journal).unwrap(),
            contents: bench_journal::read(&runs[0].journal).unwrap(),
            rail_volts,
            any_rail_on: backend.world.rails_on().into_iter().any(|on| on),
        }
    }
}
