//! Runs the program and reads what it left behind.

use bench_journal::JournalContents;
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
    pub run: JournalContents,
}

impl Done {
    pub fn diagnoses(&self) -> Vec<&Diagnosis> {
        let is_diagnosis = |entry: &'_ Entry| matches!(entry.event, Event::Diagnosed { .. });
        let of = |entry| match entry {
            &Entry { event: Event::Diagnosed { ref diagnosis, .. }, .. } => diagnosis,
            _ => unreachable!(),
        };
        self.run.entries.iter().filter(|entry| is_diagnosis(entry)).map(of).collect()
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
    pub fn diagnosis_text(&self) -> String {
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

/// What comes after the firmware's own vectors, and only makes the run longer for who looks at one of it.
pub const AFTER_THE_VECTORS: [&str; 26] = [
    "supply-current",
    "nfc",
    "uart-flow",
    "link-pulls",
    "usb",
    "retained",
    "ble",
    "pulls",
    "external-flash",
    "drive",
    "adc",
    "interrupts",
    "pwm",
    "crystal",
    "spi",
    "spi1",
    "i2c",
    "i2c1",
    "modem-on",
    "modem-boot",
    "modem-ready",
    "modem-identity",
    "modem-sim",
    "modem-signal",
    "modem-contacts",
    "modem-off",
];

/// The B404X plan without some of its steps, on disk for as long as this lives.
pub struct ShortPlan {
    _folder: tempfile::TempDir,
    path: String,
}

impl ShortPlan {
    pub fn without(steps: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(root().join("target")).unwrap();
        let path = folder.path().join("short.toml");
        let whole = std::fs::read_to_string(root().join(PLAN)).unwrap();
        let mut text = whole.replace("\"parts/", "\"../../plans/parts/") + "\n[leave_out]\n";
        for step in steps {
            text += &format!("{step} = \"for this test\"\n");
        }
        std::fs::write(&path, text).unwrap();
        Self { _folder: folder, path: path.to_str().unwrap().to_owned() }
    }

    /// Up to the firmware's vectors, and then these. `worth.rs` has a fault of each kind found by the whole plan.
    pub fn up_to(steps: &[&str]) -> Self {
        assert!(steps.iter().all(|step| AFTER_THE_VECTORS.contains(step)), "{steps:?}");
        Self::without(&AFTER_THE_VECTORS.into_iter().filter(|step| !steps.contains(step)).collect::<Vec<_>>())
    }

    pub fn path(&self) -> &str {
        &self.path
    }
}
