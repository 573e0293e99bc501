//! What the system does not give, and what is out of range: an error in words before anything is powered.

use crate::support::{PLAN, bench, output, text};
use std::process::Command;

#[test]
fn a_pace_out_of_range_is_a_mistake_in_the_arguments() {
    for (pace, expected) in [
        ("0", "from 0.001 to 1000000"),
        ("-1", "from 0.001 to 1000000"),
        ("nan", "a number such as"),
        ("inf", "a number such as"),
        ("1e300", "from 0.001 to 1000000"),
        ("1e-300", "from 0.001 to 1000000"),
        ("fast", "a number such as"),
    ] {
        for command in ["run", "operator"] {
            let done = output(&[command, PLAN, "--virtual", &format!("--pace={pace}")]);
            let said = text(&done.stderr);
            assert_eq!(done.status.code(), Some(3), "{command} {pace}: {said}");
            assert!(said.contains(expected), "{command} {pace}: {said}");
        }
    }
}

#[test]
fn without_file_handles_there_are_words_and_no_run() {
    let reports = tempfile::tempdir().unwrap();
    let folder = reports.path().display().to_string();
    for handles in [8, 12, 30] {
        let run = bench(&["run", PLAN, "--virtual", "--reports", &folder]);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {handles}; exec \"$@\""), "sh"]);
        limited.arg(run.get_program()).args(run.get_args());
        if let Some(at) = run.get_current_dir() {
            limited.current_dir(at);
        }
        let done = limited.output().unwrap();
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{handles}: {said}");
        assert!(said.contains("more open files") && said.contains("ulimit -n"), "{handles}: {said}");
        assert_eq!(std::fs::read_dir(reports.path()).unwrap().count(), 0, "{handles}: a record of no run");
    }
}

#[test]
fn a_report_without_a_place_is_found_before_power() {
    let reports = tempfile::tempdir().unwrap();
    let folder = reports.path().display().to_string();
    let nowhere = reports.path().join("missing/junit.xml").display().to_string();
    let done = output(&["run", PLAN, "--virtual", "--reports", &folder, "--junit", &nowhere]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(3), "{said}");
    assert!(said.contains("missing/junit.xml") && said.contains("nothing was powered"), "{said}");
    assert_eq!(std::fs::read_dir(reports.path()).unwrap().count(), 0, "a record of no run");
    // A report that can be written leaves nothing behind but itself.
    let there = reports.path().join("junit.xml");
    let done =
        output(&["run", PLAN, "--virtual", "--quiet", "--reports", &folder, "--junit", &there.display().to_string()]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(std::fs::read_to_string(&there).unwrap().contains("<testsuite"));
}
