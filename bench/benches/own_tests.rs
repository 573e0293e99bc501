//! What tests of one's own cost: `cargo bench -p bench --bench own_tests`.
//!
//! An external step is compared with the start of its interpreter alone; an action of a sequence that does no I/O with
//! nothing. Both are differences of whole runs on the virtual bench, so the ratios hold on a busy machine too.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // it is a measurement

#[path = "../tests/external/stage.rs"]
#[allow(dead_code)] // of the tests
mod stage;

use stage::Stage;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Steps, or actions, of the longer run.
const MANY: usize = 20;
const ACTIONS: usize = 1_000;
const ROUNDS: usize = 9;

fn timed(mut work: impl FnMut()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn median(mut spans: Vec<Duration>) -> Duration {
    spans.sort_unstable();
    spans[spans.len() / 2]
}

fn steps(count: usize, program: &str) -> String {
    let step = |number: usize| {
        format!(
            "[[step]]\nid = \"s{number}\"\nkind = \"external\"\nneeds = [\"{}\"]\nprogram = [{program}]\nlimits.answer = {{ min = 1, max = 1 }}\n",
            if number == 0 { "shorts".to_owned() } else { format!("s{}", number - 1) }
        )
    };
    (0..count).map(step).collect()
}

fn sequence(actions: usize) -> String {
    format!(
        "[[step]]\nid = \"s\"\nkind = \"sequence\"\nneeds = [\"shorts\"]\ndo = [ {{ for = \"n\", in = [{}], do = [ {{ note = \"{{n}}\" }} ] }}, \
         {{ measure = \"volts\", rail = \"3V3\", as = \"v\" }} ]\nlimits.v = {{ max = \"1 V\" }}\n",
        (0..actions).map(|n| n.to_string()).collect::<Vec<_>>().join(", ")
    )
}

/// Time of a run with many, less that of a run with one, of each.
fn each(stage: &Stage, one: &str, many: &str, count: usize) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let short = timed(|| assert!(stage.run(one, 1).reason.is_empty()));
        let long = timed(|| assert!(stage.run(many, 1).reason.is_empty()));
        long.saturating_sub(short) / u32::try_from(count - 1).unwrap()
    });
    median(rounds.collect())
}

fn main() {
    // `cargo test` runs benchmarks too.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let stage = Stage::new();
    const ANSWER: &str = r#"{"id":1,"measured":"answer","value":1}"#;
    stage.write("answer.sh", &format!("read hello\necho '{ANSWER}'\nread reply\n"));
    stage.write("answer.py", "from bench_client import step\nwith step() as bench:\n    bench.measured('answer', 1)\n");
    stage.write("alone.py", "import bench_client\n");
    for (name, program, alone) in [
        ("sh", r#""sh", "answer.sh""#, vec!["sh", "-c", "read hello; echo; read reply"]),
        ("python3", r#""python3", "answer.py""#, vec!["python3", "alone.py"]),
    ] {
        let start = || {
            let mut command = Command::new(alone[0]);
            command.args(&alone[1..]).current_dir(stage.path()).env("PYTHONPATH", stage::root().join("clients/python"));
            command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        };
        let interpreter = median((0..ROUNDS * MANY).map(|_| timed(start)).collect());
        let step = each(&stage, &steps(1, program), &steps(MANY, program), MANY);
        let more = step.saturating_sub(interpreter);
        println!("external step, {name}: {step:?}, the interpreter alone {interpreter:?}: {more:?} more");
    }
    let action = each(&stage, &sequence(1), &sequence(ACTIONS), ACTIONS);
    println!("action of a sequence without I/O: {action:?}");
}
