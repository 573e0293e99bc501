//! Runs the test programs, some in parallel, and reports their durations and the slowest tests.
//!
//! `cargo test` runs one program after the other: while one waits for a clock or a server, the cores are idle.

use crate::steps::Steps;
use crate::{Failed, cargo, root};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Test programs that run at the same time. Each has a thread per core itself; some of them mostly wait.
const AT_ONCE: usize = 3;
/// How many of the slowest tests are listed.
const SLOWEST: usize = 12;
/// Rounds of `--under-load`, and the busy loops next to them.
const ROUNDS: usize = 5;
const BUSY_LOOPS: usize = 4;

/// Makes the test harness report the duration of each test, which is still an unstable option. Set only for the test
/// programs; nothing is compiled with it.
const UNSTABLE: (&str, &str) = ("RUSTC_BOOTSTRAP", "1");
const REPORT_TIME: [&str; 3] = ["-Z", "unstable-options", "--report-time"];

/// Tests that run in real time: a process, a terminal, a server, a thread with a deadline. `--under-load` runs these. A
/// new one gets a line here.
const IN_REAL_TIME: [(&str, &[&str]); 12] = [
    ("bench/pi", &[]),
    ("bench/virtual_dut", &[]),
    ("bench/program", &["operator::", "stops::", "coverage::ctrl_c", "swd::"]),
    ("bench", &["swd_tests::", "nests_tests::"]),
    ("bench-real", &[]),
    ("bench-operator", &["scanner::"]),
    ("bench-instruments", &["serial_link::", "usb_serial::"]),
    ("bench-swd", &[]),
    ("bench-bluez/bluez", &[]),
    ("bench-sync/postgres", &[]),
    ("virtual-dut", &[]),
    ("virtual-pi", &[]),
];

/// A program with tests in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Program {
    /// Package, and the target if it is not the package's own library.
    name: String,
    path: PathBuf,
    /// Of its package.
    folder: PathBuf,
}

/// Result of one program.
struct Ran {
    name: String,
    took: Duration,
    passed: bool,
    /// Each test with its seconds.
    tests: Vec<(String, f64)>,
    log: PathBuf,
}

/// Builds and runs all test programs, the examples in the documentation, and `also`.
pub fn run_all(steps: &mut Steps, variable: (&'static str, &Path), also: Vec<Job>) -> Result<(), Failed> {
    let programs = steps.time("build of the tests", build)?;
    let mut jobs: Vec<Job> = programs.iter().map(|program| program.job(&[], variable)).collect();
    let mut examples = Command::new(cargo());
    examples.args(["test", "--workspace", "--locked", "--doc"]).current_dir(root());
    jobs.push(Job { name: "examples in the documentation".to_owned(), command: examples });
    // Long programs at the end would leave a core idle.
    let at = jobs.len().min(2);
    jobs.splice(at..at, also);
    let ran = steps.time("tests", || run_jobs(jobs, "all"))?;
    report(&ran);
    verdict(&ran)
}

/// Repeats the real-time tests next to busy loops.
pub fn run_under_load(steps: &mut Steps, variable: (&'static str, &Path)) -> Result<(), Failed> {
    let programs = steps.time("build of the tests", build)?;
    let mut failed = 0;
    for round in 1..=ROUNDS {
        let name = format!("round {round} of {ROUNDS}, next to {BUSY_LOOPS} busy loops");
        println!("==> {name}");
        let jobs = in_real_time(&programs, variable)?;
        let ran = steps.time(&name, || next_to_busy_loops(|| run_jobs(jobs, &format!("load-{round}"))))?;
        report(&ran);
        failed += usize::from(verdict(&ran).is_err());
    }
    println!("{} of {ROUNDS} rounds passed next to {BUSY_LOOPS} busy loops", ROUNDS - failed);
    if failed == 0 { Ok(()) } else { Err(Failed::new(format!("{failed} of {ROUNDS} rounds failed"))) }
}

/// Programs and filters of [`IN_REAL_TIME`], each of which must still name a test.
fn in_real_time(programs: &[Program], variable: (&'static str, &Path)) -> Result<Vec<Job>, Failed> {
    let mut jobs = Vec::new();
    for (name, filters) in IN_REAL_TIME {
        let program = programs.iter().find(|program| program.name == name);
        let program = program.ok_or_else(|| Failed::new(format!("no test program {name}; see IN_REAL_TIME")))?;
        let listed = if filters.is_empty() { Vec::new() } else { listed(program)? };
        for filter in filters {
            if !listed.iter().any(|test| test.contains(filter)) {
                return Err(Failed::new(format!("no test `{filter}` in {name}; see IN_REAL_TIME")));
            }
        }
        jobs.push(program.job(filters, variable));
    }
    Ok(jobs)
}

fn listed(program: &Program) -> Result<Vec<String>, Failed> {
    let output = Command::new(&program.path).arg("--list").current_dir(&program.folder).output();
    let output = output.map_err(|error| Failed::new(format!("cannot start {}: {error}", program.path.display())))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Keeps more than all cores busy for as long as `body` runs.
fn next_to_busy_loops<T>(body: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..BUSY_LOOPS {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let result = body();
        done.store(true, Ordering::Relaxed);
        result
    })
}

fn build() -> Result<Vec<Program>, Failed> {
    let arguments =
        ["test", "--workspace", "--locked", "--no-run", "--message-format", "json-render-diagnostics", "--quiet"];
    println!("==> cargo {}", arguments.join(" "));
    let mut child = Command::new(cargo())
        .args(arguments)
        .current_dir(root())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Failed::new(format!("cannot start cargo: {error}")))?;
    let stdout = child.stdout.take().ok_or_else(|| Failed::new("cargo has no output"))?;
    let lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let mut programs: Vec<Program> = lines.filter_map(|line| program(&line)).collect();
    let status = child.wait().map_err(|error| Failed::new(format!("cannot wait for cargo: {error}")))?;
    if !status.success() {
        return Err(Failed { code: 101, ..Failed::new("the tests do not build") });
    }
    // Longest first, so that no long program runs alone at the end.
    programs.sort_by_key(|program| {
        (LONGEST.iter().position(|name| *name == program.name).unwrap_or(LONGEST.len()), program.name.clone())
    });
    Ok(programs)
}

/// Slowest programs, longest first. A wrong order only costs time.
const LONGEST: [&str; 4] = ["bench/program", "bench", "bench/pi", "bench-sync/postgres"];

/// Reads the test program from a line of cargo's messages, if it is about one.
fn program(line: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let path = PathBuf::from(message["executable"].as_str()?);
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    let folder = manifest.parent()?.to_owned();
    let package = folder.file_name()?.to_str()?.to_owned();
    let target = &message["target"];
    let kind = target["kind"][0].as_str()?;
    let name = match kind {
        "test" | "bin" | "bench" | "example" => format!("{package}/{}", target["name"].as_str()?),
        _ => package,
    };
    Some(Program { name, path, folder })
}

/// Runs a program like cargo.
pub struct Job {
    pub name: String,
    pub command: Command,
}

impl Program {
    fn job(&self, filters: &[&str], variable: (&'static str, &Path)) -> Job {
        let mut command = Command::new(&self.path);
        command.args(filters).current_dir(&self.folder);
        command.env("CARGO", cargo()).env("CARGO_MANIFEST_DIR", &self.folder).env(variable.0, variable.1);
        // A program without the standard harness ignores these.
        command.args(REPORT_TIME).env(UNSTABLE.0, UNSTABLE.1);
        Job { name: self.name.clone(), command }
    }
}

fn run_jobs(jobs: Vec<Job>, what: &str) -> Result<Vec<Ran>, Failed> {
    let logs = root().join("target/test-logs").join(what);
    // Fails if none exists.
    let _ = fs::remove_dir_all(&logs);
    fs::create_dir_all(&logs).map_err(|error| Failed::new(format!("cannot make {}: {error}", logs.display())))?;
    let queue = Mutex::new(jobs.into_iter());
    let ran = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some(job) = next else { return };
                    let program = run_one(job, &logs);
                    let Ok(mut ran) = ran.lock() else { return };
                    show(&program);
                    ran.push(program);
                }
            });
        }
    });
    ran.into_inner().map_err(|_| Failed::new("a thread of the tests panicked"))
}

/// Runs one with its output in a file.
fn run_one(Job { name, mut command }: Job, logs: &Path) -> Ran {
    let log = logs.join(format!("{}.log", name.replace(['/', ' '], "-")));
    let begin = Instant::now();
    let started = fs::File::create(&log).and_then(|file| {
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        command.status()
    });
    let passed = match started {
        Ok(status) => status.success(),
        Err(error) => {
            // The file then shows the reason.
            let _ = fs::write(&log, format!("{} does not start: {error}\n", command.get_program().display()));
            false
        }
    };
    let text = fs::read_to_string(&log).unwrap_or_default();
    let tests = text.lines().filter_map(timed).collect();
    Ran { name, took: begin.elapsed(), passed, tests, log }
}

/// `test name ... ok <1.234s>`
fn timed(line: &str) -> Option<(String, f64)> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let seconds = rest.rsplit_once('<')?.1.strip_suffix("s>")?;
    Some((name.trim_end_matches(" - should panic").to_owned(), seconds.parse().ok()?))
}

fn show(ran: &Ran) {
    let word = if ran.passed { "ok    " } else { "FAILED" };
    let tests = match ran.tests.len() {
        0 => String::new(),
        count => format!(" ({count} tests)"),
    };
    println!("{word} {:7.1} s  {}{tests}", ran.took.as_secs_f64(), ran.name);
    if !ran.passed {
        println!("{}", fs::read_to_string(&ran.log).unwrap_or_default());
    }
}

fn report(ran: &[Ran]) {
    let of_one = |program: &'_ Ran| {
        program.tests.iter().map(|(test, seconds)| (*seconds, format!("{}: {test}", program.name))).collect::<Vec<_>>()
    };
    let mut tests: Vec<(f64, String)> = ran.iter().flat_map(of_one).collect();
    tests.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("{} tests in {} programs; the slowest:", tests.len(), ran.len());
    for (seconds, name) in tests.iter().take(SLOWEST) {
        println!("{seconds:8.1} s  {name}");
    }
}

fn verdict(ran: &[Ran]) -> Result<(), Failed> {
    let failed: Vec<&str> = ran.iter().filter(|program| !program.passed).map(|program| program.name.as_str()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failed { code: 101, ..Failed::new(format!("tests failed in {}", failed.join(", "))) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_harness() {
        for (line, expected) in [
            ("test a::b ... ok <1.250s>", Some(("a::b".to_owned(), 1.25))),
            ("test a - should panic ... ok <0.001s>", Some(("a".to_owned(), 0.001))),
            ("test a ... FAILED <12.000s>", Some(("a".to_owned(), 12.0))),
            ("test a ... ok", None),
            ("test result: ok. 3 passed; finished in 1.00s", None),
            ("running 3 tests", None),
        ] {
            assert_eq!(timed(line), expected, "{line}");
        }
    }

    #[test]
    fn busy_loops_end_with_the_body() {
        assert_eq!(next_to_busy_loops(|| 7), 7);
    }
}
