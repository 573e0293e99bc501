//! Runs the program and reads what it left behind.

use bench_journal::Run;
use bench_run::{Diagnosis, Entry, Event};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

pub const PLAN: &str = "plans/b404x.toml";

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub fn bench(arguments: &[&str]) -> Command {
    let image = root().join("target/firmware/dut-firmware.elf");
    assert!(image.is_file(), "no firmware image: run `cargo xtask firmware` first");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.current_dir(root()).args(arguments).env("NO_COLOR", "1");
    command
}

pub fn output(arguments: &[&str]) -> Output {
    bench(arguments).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A finished run of a plan.
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub journal: Vec<u8>,
    pub junit: String,
    pub run: Run,
}

impl Done {
    pub fn diagnoses(&self) -> Vec<&Diagnosis> {
        let told = |entry: &'_ Entry| matches!(entry.event, Event::Diagnosed { .. });
        let of = |entry| match entry {
            &Entry { event: Event::Diagnosed { ref diagnosis, .. }, .. } => diagnosis,
            _ => unreachable!(),
        };
        self.run.entries.iter().filter(|entry| told(entry)).map(of).collect()
    }
    /// Contacts that a diagnosis names, ascending.
    pub fn named(&self) -> Vec<u8> {
        let mut named: Vec<u8> = self.diagnoses().iter().flat_map(|one| one.contacts.iter().map(|c| c.0)).collect();
        named.sort_unstable();
        named.dedup();
        named
    }
    pub fn switched_on(&self, rail: &str) -> bool {
        let on =
            |entry: &Entry| matches!(&entry.event, Event::RailSwitched { rail: name, on: true, .. } if name == rail);
        self.run.entries.iter().any(on)
    }
    pub fn told(&self) -> String {
        self.diagnoses().iter().map(|one| one.text.as_str()).collect::<Vec<_>>().join("; ")
    }
}

/// Runs the B404X plan on the virtual bench.
pub fn run(extra: &[&str]) -> Done {
    run_plan(PLAN, extra)
}

pub fn run_plan(plan: &str, extra: &[&str]) -> Done {
    let reports = tempfile::tempdir().unwrap();
    let folder = reports.path().to_str().unwrap();
    let mut arguments = vec!["run", plan, "--virtual", "--reports", folder];
    arguments.extend(extra);
    let output = output(&arguments);
    let runs = bench_journal::find_runs(reports.path()).unwrap();
    assert_eq!(runs.len(), 1, "{}{}", text(&output.stdout), text(&output.stderr));
    Done {
        code: output.status.code().unwrap(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
        journal: std::fs::read(&runs[0].journal).unwrap(),
        junit: std::fs::read_to_string(runs[0].folder.join("junit.xml")).unwrap_or_default(),
        run: bench_journal::read(&runs[0].journal).unwrap(),
    }
}

/// Looks at every row on all cores and reports all that went wrong, not only the first.
pub fn for_all<T: Sync>(rows: &[T], look: impl Fn(&T) -> Result<(), String> + Sync) {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(text) = look(row) {
                        wrong.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(!rows.is_empty());
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}
