//! Programs that do what no step should do. None of them passes, hangs the bench, leaves power on or a process running.

use crate::stage::{Stage, has_python};
use bench_run::{Event, Verdict};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Runs of the suite; `HOSTILE_PROGRAMS=1000` does more.
const RUNS: u64 = 60;
/// Marks the processes of one run.
const MARK: &str = "HOSTILE_MARK";

const PROGRAM: &str = include_str!("hostile.py");

fn step(number: u64, mark: &str) -> String {
    format!(
        r#"
[[step]]
id = "hostile"
kind = "external"
needs = ["shorts"]
program = ["env", "{MARK}={mark}", "python3", "hostile.py", "{number}"]
rails = ["3V3"]
timeout = "500 ms"
limits.answer = {{ min = 0.5, max = 1.5 }}
"#
    )
}

/// Processes with this mark in their variables.
fn left_over(mark: &str) -> Vec<String> {
    let marked = format!("{MARK}={mark}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == marked.as_bytes()) {
            found.push(format!("{:?}", entry.file_name()));
        }
    }
    found
}

#[test]
fn no_hostile_program_passes_hangs_or_stays() {
    if !has_python() {
        return;
    }
    let runs = std::env::var("HOSTILE_PROGRAMS").ok().and_then(|text| text.parse().ok()).unwrap_or(RUNS);
    let (next, wrong) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let stage = Stage::new();
                stage.write("hostile.py", PROGRAM);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= runs {
                        return;
                    }
                    let mark = format!("{}-{number}", std::process::id());
                    let ran = stage.run(&step(number, &mark), number);
                    let mut problems = Vec::new();
                    if ran.verdict != Verdict::Error {
                        problems.push(format!("is {}", ran.verdict));
                    }
                    if ran.reason.is_empty() {
                        problems.push("has no reason".to_owned());
                    }
                    if ran.any_rail_on || ran.rail_volts > 0.3 {
                        problems.push(format!("leaves {:.2} V", ran.rail_volts));
                    }
                    let safe = |event: &Event| matches!(event, Event::SafeState { confirmed: true, .. });
                    if !ran.contents.entries.iter().any(|entry| safe(&entry.event)) {
                        problems.push("is not known to be safe".to_owned());
                    }
                    let left = left_over(&mark);
                    if !left.is_empty() {
                        problems.push(format!("leaves processes: {}", left.join(", ")));
                    }
                    if !problems.is_empty() {
                        let kind = number % 30;
                        let text = format!("{number} (kind {kind}): {}; {}", problems.join("; "), ran.reason);
                        wrong.lock().unwrap().push(text);
                    } else if std::env::var_os("HOSTILE_SHOW").is_some() {
                        println!("{number}: {}", ran.reason);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {runs}:\n{}", wrong.len(), wrong.join("\n"));
}
