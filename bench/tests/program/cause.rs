//! Looking for a cause: a part of a plan, repeated, with the power held. It is no test of the unit.

use crate::support::{PLAN, bench, output, run, text};
use crate::terminal::Terminal;
use bench_journal::JournalContents;
use bench_run::{DiagnosisRun, Event, Verdict};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

fn ordered(run: &JournalContents) -> Option<&DiagnosisRun> {
    match &run.entries.first()?.event {
        Event::RunStarted { diagnosis, .. } => diagnosis.as_deref(),
        _ => None,
    }
}

fn ended(run: &JournalContents) -> Verdict {
    match run.entries.last().map(|entry| &entry.event) {
        Some(Event::RunEnded { verdict, .. }) => *verdict,
        other => panic!("{other:?}"),
    }
}

fn started<'a>(run: &'a JournalContents, wanted: &str) -> usize {
    let of = |event: &'a Event| matches!(event, Event::StepStarted { step, .. } if step == wanted);
    run.entries.iter().filter(|entry| of(&entry.event)).count()
}

#[test]
fn a_part_of_a_plan_says_what_its_steps_came_to_and_passes_no_unit() {
    // Arguments, exit code, verdict on record, repetitions of adc that ran, and words of the summary.
    type Words = &'static [&'static str];
    let rows: [(Words, i32, Verdict, u16, Words); 9] = [
        (&["--only", "adc"], 0, Verdict::Skipped, 1, &["the steps that ran passed; the unit was not tested"]),
        (&["--only", "identify,adc", "--repeat", "3"], 0, Verdict::Skipped, 3, &["adc: ran 3 times of 3, passed 3"]),
        (&["--until", "quiet", "--hold"], 0, Verdict::Skipped, 0, &["hold: ended after 60 s: its time is over"]),
        (
            &["--only", "adc", "--fault", "adc-offset:50", "--hold", "90 s"],
            1,
            Verdict::Fail,
            1,
            &["a step that ran failed; the unit was not tested", "hold: ended after 90 s", "This run counts nowhere."],
        ),
        (
            &["--only", "adc", "--fault", "adc-offset:50", "--until-fail"],
            1,
            Verdict::Fail,
            1,
            &["adc: ran 1 times of 625, passed 0 times; first: adc, fail"],
        ),
        (&["--only", "adc", "--until-fail", "--repeat", "2"], 0, Verdict::Skipped, 2, &["adc: ran 2 times of 2"]),
        // What is needed fails: nothing chosen ran, and nothing is held.
        (&["--only", "adc", "--fault", "open:23", "--hold"], 1, Verdict::Fail, 0, &["a step that ran failed"]),
        // A whole loop of the modem, which leaves it as it found it; and a step that has to be prepared.
        (
            &["--from", "modem-on", "--until", "modem-off", "--repeat", "2"],
            0,
            Verdict::Skipped,
            0,
            &["modem-ready: ran 2 times of 2, passed 2", "modem-off: ran 2 times of 2, passed 2"],
        ),
        // A good module passes whatever is repeated.
        (&["--from", "identify", "--repeat", "2"], 0, Verdict::Skipped, 2, &["i2c1: ran 2 times of 2, passed 2"]),
    ];
    for (arguments, code, verdict, repetitions, words) in rows {
        let done = run(arguments);
        assert_eq!(done.code, code, "{arguments:?}\n{}{}", done.stdout, done.stderr);
        assert_eq!(ended(&done.run), verdict, "{arguments:?}");
        assert!(ordered(&done.run).is_some());
        let ran = (1..=10).filter(|&n| started(&done.run, &bench_run::repetition_id("adc", n)) > 0).count();
        assert_eq!(ran, usize::from(repetitions), "{arguments:?}");
        assert!(done.stdout.starts_with("DIAGNOSIS, NOT A TEST  "), "{}", done.stdout);
        for words in words {
            assert!(done.stdout.replace('\n', " ").contains(words), "{arguments:?}: {words}\n{}", done.stdout);
        }
        let cases = done.junit.matches("<testcase ").count();
        let skipped = done.junit.matches("<skipped type=\"diagnosis\" message=\"diagnosis, not a test of the unit: ");
        assert!(cases > 0 && cases == skipped.count(), "{}", done.junit);
        for word in ["PASS", "Send the module to repair"] {
            assert!(!done.stdout.contains(word), "{word}: {}", done.stdout);
        }
    }
}

#[test]
fn orders_that_cannot_be_carried_out_are_refused_before_power() {
    let rows: [(&[&str], &str); 9] = [
        (&["--only", "adcs"], "did you mean `adc`?"),
        (&["--from", "quite"], "did you mean `quiet`?"),
        (&["--from", "adc", "--until", "quiet"], "the plan has quiet before adc"),
        (&["--only", "adc", "--from", "adc"], "cannot be used with"),
        (&["--repeat", "0"], "0 is not in 1..=1000"),
        (&["--only", "adc", "--repeat", "900"], "expected 1 to 625 for 1 step with 32 measurements"),
        (
            &["--only", "modem-on", "--repeat", "2"],
            "--repeat: modem-on finds the modem as the repetition before it left it",
        ),
        (&["--until-fail"], "--repeat: rail-3v3 switches a rail on, which stays on between repetitions"),
        (&["--hold", "11 min"], "at most 10 min"),
    ];
    for (arguments, words) in rows {
        let reports = tempfile::tempdir().unwrap();
        let all = [&["run", PLAN, "--virtual", "--reports", reports.path().to_str().unwrap()], arguments].concat();
        let refused = output(&all);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert_eq!(bench_journal::find_runs(reports.path()).unwrap().len(), 0, "{arguments:?}");
    }
}

/// A unit that failed, a unit that passed, and diagnoses of both: everything that counts runs counts two.
#[test]
fn a_diagnosis_counts_nowhere() {
    let reports = tempfile::tempdir().unwrap();
    let folder = reports.path().to_str().unwrap();
    let of = |arguments: &[&str]| output(&[arguments, &["--reports", folder]].concat());
    let test = |arguments: &[&str]| of(&[&["run", PLAN, "--virtual"], arguments].concat()).status.code();
    assert_eq!(test(&["--seed", "1"]), Some(0));
    assert_eq!(test(&["--seed", "2", "--fault", "open:23"]), Some(1));
    assert_eq!(text(&of(&["store", "rebuild"]).stdout).split(',').next(), Some("2 new"));
    let figures = || text(&of(&["stats", "--json"]).stdout);
    let before = figures();
    let diagnoses: [(&[&str], Option<i32>); 3] = [
        (&["--seed", "1", "--only", "quiet", "--hold"], Some(0)),
        (&["--seed", "2", "--fault", "open:23", "--only", "interconnect", "--until-fail"], Some(1)),
        (&["--seed", "3", "--fault", "dead-mcu", "--from", "identify", "--until", "identify"], Some(2)),
    ];
    for (arguments, code) in diagnoses {
        assert_eq!(test(arguments), code, "{arguments:?}");
    }
    let added = of(&["store", "add"]);
    assert_eq!(text(&added.stdout).split(',').next(), Some("0 new"));
    assert!(text(&added.stderr).contains("diagnoses and no tests: 3"), "{}", text(&added.stderr));
    assert_eq!(figures(), before);
    let file = reports.path().join("all.jsonl");
    let exported = of(&["export", "--jsonl", file.to_str().unwrap()]);
    assert!(text(&exported.stdout).starts_with("2 runs written, 0 left out"), "{}", text(&exported.stdout));
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 2);

    // Its record holds, and says what it is.
    let verified = output(&["verify", folder]);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stdout));
    assert_eq!(text(&verified.stdout).matches("(a diagnosis, not a test)").count(), 3);
    let journals: Vec<_> = bench_journal::find_runs(reports.path()).unwrap();
    let of_diagnosis =
        journals.iter().find(|run| ordered(&bench_journal::read(&run.journal).unwrap()).is_some()).unwrap();
    let journal = of_diagnosis.journal.to_str().unwrap();
    let page = reports.path().join("page.html");
    let report = output(&["report", journal, "--html", page.to_str().unwrap()]);
    assert!(text(&report.stdout).starts_with("DIAGNOSIS, NOT A TEST"), "{}", text(&report.stdout));
    assert!(std::fs::read_to_string(&page).unwrap().contains("DIAGNOSIS, NOT A TEST"));
    let csv = text(&output(&["report", journal, "--csv"]).stdout);
    let counts = csv.lines().next().unwrap().split(',').position(|column| column == "counts").unwrap();
    assert!(csv.lines().skip(1).all(|row| row.split(',').nth(counts) == Some("0")), "{csv}");
    for (command, words) in [
        (vec!["report", journal, "--stdf", "/dev/null"], "this run is a diagnosis, not a test"),
        (vec!["plan", PLAN, "--from", journal], "a diagnosis, not a"),
    ] {
        let refused = output(&command);
        assert_eq!(refused.status.code(), Some(3), "{command:?}");
        assert!(text(&refused.stderr).contains(words), "{command:?}: {}", text(&refused.stderr));
    }
}

/// A failed module and two diagnoses of it are one unit, not three with the same cause.
#[test]
fn a_diagnosis_does_not_point_at_the_bench() {
    let reports = tempfile::tempdir().unwrap();
    let folder = reports.path().to_str().unwrap();
    for (n, more) in [&[][..], &["--only", "interconnect"], &["--only", "interconnect"], &["--only", "interconnect"]]
        .into_iter()
        .enumerate()
    {
        let seed = (n + 1).to_string();
        let all = ["run", PLAN, "--virtual", "--reports", folder, "--seed", &seed, "--fault", "open:23"];
        let done = output(&[&all[..], more].concat());
        assert_eq!(done.status.code(), Some(1));
        assert!(!text(&done.stdout).contains("call the technician"), "{}", text(&done.stdout));
    }
}

#[test]
fn the_answers_of_a_diagnosis_can_be_replayed() {
    let reports = tempfile::tempdir().unwrap();
    let folder = reports.path().to_str().unwrap();
    let order = ["--record-answers", "--only", "adc", "--repeat", "3", "--hold", "5s"];
    let recorded = output(&[&["run", PLAN, "--virtual", "--reports", folder], &order[..]].concat());
    assert_eq!(recorded.status.code(), Some(0), "{}", text(&recorded.stderr));
    let run = bench_journal::find_runs(reports.path()).unwrap().remove(0).folder;
    let again = tempfile::tempdir().unwrap();
    let replay = output(&["replay", run.to_str().unwrap(), "--reports", again.path().to_str().unwrap()]);
    assert_eq!(replay.status.code(), Some(0), "{}{}", text(&replay.stdout), text(&replay.stderr));
    let replayed = bench_journal::find_runs(again.path()).unwrap().remove(0);
    assert_eq!(ordered(&bench_journal::read(&replayed.journal).unwrap()).map(|run| run.repeat), Some(3));
}

/// The longest hold there is, in real time: only what this test does can end it.
fn long_hold(reports: &Path) -> Command {
    let folder = reports.to_str().unwrap();
    bench(&["run", PLAN, "--virtual", "--pace", "4", "--reports", folder, "--only", "rail-vcc", "--hold", "10 min"])
}

fn notes(reports: &Path) -> Vec<String> {
    let run = bench_journal::read(&bench_journal::find_runs(reports).unwrap()[0].journal).unwrap();
    let note = |event: &Event| match event {
        Event::Note { text, .. } => Some(text.clone()),
        _ => None,
    };
    run.entries.iter().filter_map(|entry| note(&entry.event)).collect()
}

#[test]
fn a_signal_ends_a_hold_and_not_the_verdict() {
    let reports = tempfile::tempdir().unwrap();
    let mut child = long_hold(reports.path()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("stay on for 600 s at most"))));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let notes = notes(reports.path());
    assert!(notes.iter().any(|note| note.starts_with("hold: ended") && note.contains("Ctrl-C")), "{notes:?}");
}

#[test]
fn enter_ends_a_hold_at_a_terminal() {
    let reports = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::run(&long_hold(reports.path()), 120, 40);
    terminal.wait_for("Enter or Ctrl-C ends it");
    terminal.send(b"\r");
    assert_eq!(terminal.code(), Some(0));
    let notes = notes(reports.path());
    assert!(notes.iter().any(|note| note.contains("Enter was pressed")), "{notes:?}");
}
