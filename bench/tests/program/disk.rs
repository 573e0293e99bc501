//! A journal that cannot be written, and one that is changed during the run: never a pass, and the reason names the file.

use crate::support::{PLAN, bench, for_all, text};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the plan where no file may grow beyond so many KiB. A write beyond the limit fails as on a full disk.
fn run_within(kib: u32, reports: &Path) -> Output {
    let program = bench(&["run", PLAN, "--virtual", "--reports", reports.to_str().unwrap()]);
    let mut limited = Command::new("bash");
    limited.args(["-c", "ulimit -f $0 && exec \"$@\"", &kib.to_string()]).arg(program.get_program());
    limited.args(program.get_args()).current_dir(program.get_current_dir().unwrap()).env("NO_COLOR", "1");
    limited.output().unwrap()
}

#[test]
fn a_journal_that_cannot_grow_is_an_error() {
    let enough = 100_000;
    for_all(&[0, 1, 16, 64, 128, enough], |kib| {
        let reports = tempfile::tempdir().unwrap();
        let output = run_within(*kib, reports.path());
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let runs = bench_journal::find_runs(reports.path()).unwrap();
        if *kib == 0 {
            // Not even the run's number can be written: the run does not begin.
            let right = output.status.code() == Some(2) && runs.is_empty() && err.contains("`ulimit -f`");
            return if right { Ok(()) } else { Err(format!("{kib} KiB: {:?}\n{out}\n{err}", output.status)) };
        }
        let run = bench_journal::read(&runs[0].journal).unwrap();
        // The summary wraps its lines.
        let said = out.split_whitespace().collect::<Vec<_>>().join(" ");
        let reason = format!(
            "{}: the system lets no file grow further: raise its limit (`ulimit -f`), then test the module again",
            runs[0].journal.display()
        );
        let right = if *kib == enough {
            output.status.code() == Some(0) && run.finished && out.starts_with("PASS")
        } else {
            output.status.code() == Some(2)
                && !run.finished
                && out.starts_with("NOT FINISHED")
                && said.contains(&reason)
        };
        if right { Ok(()) } else { Err(format!("{kib} KiB: {:?}\n{out}\n{err}", output.status)) }
    });
}

/// Runs the plan and touches its journal in the middle.
fn run_and_touch(touch: fn(&Path), reports: &Path) -> (Option<i32>, String) {
    let arguments = ["run", PLAN, "--virtual", "--pace", "2", "--reports", reports.to_str().unwrap()];
    let mut child = bench(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("pass     "))), "no step passed");
    touch(&bench_journal::find_runs(reports).unwrap()[0].journal);
    lines.for_each(drop);
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    (child.wait().unwrap().code(), out)
}

#[test]
fn a_journal_that_somebody_touches_is_an_error() {
    type Touch = fn(&Path);
    let append = |file: &Path| {
        use std::io::Write;
        std::fs::File::options().append(true).open(file).unwrap().write_all(b"{\"x\":1}\n").unwrap();
    };
    let rows: [(Touch, &str); 3] = [
        (|file| std::fs::remove_file(file).unwrap(), "is gone"),
        (|file| drop(std::fs::File::create(file).unwrap()), "was emptied"),
        (append, "was changed at line"),
    ];
    for_all(&rows, |(touch, expected)| {
        let reports = tempfile::tempdir().unwrap();
        let (code, out) = run_and_touch(*touch, reports.path());
        let said = out.split_whitespace().collect::<Vec<_>>().join(" ");
        let right = code == Some(2) && out.starts_with("ERROR") && said.contains(&format!("journal.jsonl {expected}"));
        if right { Ok(()) } else { Err(format!("{expected}: {code:?}\n{out}")) }
    });
}
