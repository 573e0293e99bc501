//! Recorded answers, for the same steps and for changed ones.

use crate::support::{PLAN, bench, for_all, output, root, text};
use bench_journal::find_runs;
use bench_run::{BenchKind, Event};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Records a run on the virtual bench. Returns its exit code and folder.
fn record(plan: &str, extra: &[&str], reports: &Path) -> (i32, PathBuf) {
    let folder = reports.to_str().unwrap();
    let mut arguments = vec!["run", plan, "--virtual", "--record-answers", "--quiet", "--reports", folder];
    arguments.extend(extra);
    let output = output(&arguments);
    let runs = find_runs(reports).unwrap();
    assert_eq!(runs.len(), 1, "{}", text(&output.stderr));
    (output.status.code().unwrap(), runs[0].folder.clone())
}

fn replay(run: &Path, plan: &str, reports: &Path) -> Output {
    let arguments = ["replay", run.to_str().unwrap(), "--plan", plan, "--reports", reports.to_str().unwrap()];
    output(&arguments)
}

#[test]
fn recorded_runs_have_the_same_verdicts_and_readings() {
    let rows: &[(&str, &[&str], i32)] = &[
        ("plans/b404x.toml", &["--seed", "2"], 0),
        ("plans/b404x.toml", &["--seed", "77"], 0),
        ("plans/b524.toml", &["--seed", "4"], 0),
        ("plans/boron.toml", &[], 0),
        ("plans/b404x.toml", &["--fault", "short:36-38@12"], 1),
        ("plans/b404x.toml", &["--fault", "open:23"], 1),
        ("plans/b404x.toml", &["--fault", "sim-absent"], 1),
        ("plans/b404x.toml", &["--fault", "modem-never-off"], 1),
        ("plans/b404x.toml", &["--fault", "modem-brown-out"], 1),
        ("plans/b404x.toml", &["--fault", "overload:VCC"], 1),
        ("plans/b404x.toml", &["--fault", "locked"], 1),
        ("plans/b404x.toml", &["--fault", "dead-mcu"], 2),
        ("plans/b404x.toml", &["--fault", "probe-lost"], 2),
        ("plans/b404x.toml", &["--fault", "dead-link"], 2),
        ("plans/b404x.toml", &["--fixture", "mikroe-gen3"], 0),
        ("plans/desk-b404x.toml", &[], 0),
        ("plans/desk-b404x.toml", &["--fault", "sim-absent", "--without", "nfc"], 1),
        ("plans/desk-b404x.toml", &["--keep"], 0),
        ("plans/b404x.toml", &["--fault", "imei-default", "--imei", "490154203237518"], 1),
    ];
    for_all(rows, |(plan, extra, code)| {
        let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (ran, run) = record(plan, extra, before.path());
        let replayed = replay(&run, plan, after.path());
        let shown = text(&replayed.stdout);
        let same = shown.contains("Same verdicts") && shown.contains(" 0 differ.");
        let whole = !shown.contains("Not in the recording") && !shown.contains("no longer asked for");
        match (ran == *code, replayed.status.code() == Some(0) && same && whole) {
            (true, true) => Ok(()),
            _ => Err(format!("{plan} {extra:?}: the run ended with {ran}: {shown}{}", text(&replayed.stderr))),
        }
    });
}

/// A copy of the plan whose functions are in a part of its own, with one text replaced by another.
fn changed(folder: &Path, from: &str, to: &str, more: &str) -> String {
    let functions = fs::read_to_string(root().join("plans/parts/functions.toml")).unwrap();
    assert!(functions.contains(from), "{from}");
    fs::write(folder.join("functions.toml"), functions.replacen(from, to, 1)).unwrap();
    let plan = fs::read_to_string(root().join(PLAN)).unwrap();
    let plan = plan.replace("\"parts/", "\"../../plans/parts/").replace("../../plans/parts/functions", "functions");
    let path = folder.join("changed.toml");
    fs::write(&path, plan + more).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_step_that_was_changed_says_what_the_recording_lacks() {
    const LEVELS: &str = "levels = [\"0.1 V\", \"0.6 V\"";
    const NEW: &str = "\n[[step]]\nid = \"again\"\ntitle = \"Again\"\nkind = \"adc\"\nneeds = [\"interconnect\"]\n\
                       on_fail = \"continue\"\npins = [\"A0\", \"A1\"]\nlevels = [\"0.1 V\", \"1 V\", \"2 V\", \"2.5 V\", \"3 V\"]\nsupply = \"3V3\"\n\
                       offset = { max = \"15 mV\" }\ngain_error = { max = \"3.5 %\" }\nlinearity = { max = \"6 mV\" }\n\
                       crosstalk = { max = \"8 mV\" }\n";
    let before = tempfile::tempdir().unwrap();
    let (_, run) = record(PLAN, &[], before.path());
    // What is changed, its exit code, and what the replay says of it.
    let rows: &[(&str, &str, &str, i32, &[&str])] = &[
        (
            LEVELS,
            "levels = [\"0.1 V\", \"0.7 V\"",
            "",
            2,
            &[
                "step adc was pass, is error",
                "step adc: 1 call; 32 readings are missing: A0.offset",
                "measure-bus hold(23, 0.7)",
            ],
        ),
        (
            "exclude = [\"TX\", \"RX\"]",
            "exclude = [\"TX\", \"RX\", \"A0\"]",
            "",
            2,
            &["step interconnect: 1 call; 50 readings are missing: ", "nails set({", "steps that did not run"],
        ),
        (
            "",
            "",
            "\n[leave_out]\nadc = \"for this test\"\n",
            0,
            &["Same verdicts: pass;", "not read now: adc.A0.offset", "answers of 1 step that did not run"],
        ),
        ("", "", NEW, 2, &["step again: ", "8 readings are missing: A0.offset, A0.gain-error"]),
        ("offset = { min = \"-15 mV\"", "offset = { min = \"14 mV\"", "", 1, &["The verdict was pass, is fail"]),
    ];
    for (from, to, more, code, expected) in rows {
        let (folder, after) = (tempfile::tempdir_in(root().join("target")).unwrap(), tempfile::tempdir().unwrap());
        let plan = changed(folder.path(), from, to, more);
        let replayed = replay(&run, &plan, after.path());
        let shown = text(&replayed.stdout);
        assert_eq!(replayed.status.code(), Some(*code), "{to}: {shown}{}", text(&replayed.stderr));
        for part in *expected {
            assert!(shown.contains(part), "{to}: {part}: {shown}");
        }
    }
}

#[test]
fn a_damaged_recording_is_one_clear_error() {
    let before = tempfile::tempdir().unwrap();
    let (_, run) = record(PLAN, &["--fault", "short:36-38@12"], before.path());
    let answers = run.join("answers.jsonl.gz");
    let whole = fs::read(&answers).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    let rows: &[(&str, Option<&[u8]>, i32, &str)] = &[
        ("cut off", Some(&whole[..whole.len() / 2]), 2, "the recording ends after line"),
        ("damaged", Some(&flipped), 2, "the recording is damaged after line"),
        ("empty", Some(&[]), 2, "the recording"),
        ("no recording", None, 3, "only `bench run --record-answers` records"),
    ];
    for (name, bytes, code, expected) in rows {
        match bytes {
            Some(bytes) => fs::write(&answers, bytes).unwrap(),
            None => fs::remove_file(&answers).unwrap(),
        }
        let after = tempfile::tempdir().unwrap();
        let replayed = replay(&run, PLAN, after.path());
        // Long lines are broken.
        let said = text(&replayed.stderr).replace("\n  │", "");
        assert_eq!(replayed.status.code(), Some(*code), "{name}: {said}");
        assert!(said.contains(expected), "{name}: {said}");
        assert_eq!(said.matches('×').count(), 1, "{name}: {said}");
        assert!(find_runs(after.path()).unwrap().is_empty(), "{name}");
    }
}

#[test]
fn a_replay_holds_and_is_in_no_statistics() {
    let reports = tempfile::tempdir().unwrap();
    let folder = reports.path().to_str().unwrap();
    let (_, run) = record(PLAN, &["--fault", "short:36-38@12"], reports.path());
    assert_eq!(replay(&run, PLAN, reports.path()).status.code(), Some(0));
    let runs = find_runs(reports.path()).unwrap();
    assert_eq!(runs.len(), 2);
    let of_replay = runs.iter().find(|other| other.folder != run).unwrap();
    let journal = bench_journal::read(&of_replay.journal).unwrap();
    let Event::RunStarted { bench, .. } = &journal.entries[0].event else { panic!("{:?}", journal.entries[0]) };
    assert!(matches!(&**bench, BenchKind::Replay { .. }), "{bench:?}");
    assert_eq!(output(&["verify", folder]).status.code(), Some(0));
    let added = output(&["store", "add", "--reports", folder]);
    assert!(text(&added.stdout).starts_with("1 new,"), "{}", text(&added.stdout));
    assert!(text(&added.stderr).contains("1 replays of recorded runs are not counted"), "{}", text(&added.stderr));
    assert_eq!(added.status.code(), Some(0));
    let report = output(&["report", of_replay.folder.to_str().unwrap()]);
    assert!(text(&report.stdout).contains("a replay of run virtual-1-"), "{}", text(&report.stdout));
}

/// The recording is complete after Ctrl-C, and the replay is stopped at the same moment.
#[cfg(unix)]
#[test]
fn a_stopped_run_can_be_replayed() {
    let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = before.path().to_str().unwrap();
    let arguments = ["run", PLAN, "--virtual", "--record-answers", "--pace", "0.6", "--reports", folder];
    let mut child = bench(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("pass     rail-vcc"))));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let run = find_runs(before.path()).unwrap().remove(0).folder;
    let replayed = replay(&run, PLAN, after.path());
    let shown = text(&replayed.stdout);
    assert_eq!(replayed.status.code(), Some(0), "{shown}{}", text(&replayed.stderr));
    assert!(shown.contains("Same verdicts: aborted;") && shown.contains(" 0 differ."), "{shown}");
}
