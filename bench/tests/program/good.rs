//! A good module: passes, always, and leaves what was promised.

use crate::support::{for_all, output, root, run, run_plan, text};
use bench_run::{Event, Verdict};
use std::collections::BTreeMap;

/// The same ones each time, so this notices what breaks. How many good modules fail is measured by `bench coverage --good`.
#[test]
fn good_modules_pass() {
    let seeds: Vec<u64> = (1..=12).collect();
    for_all(&seeds, |seed| {
        let done = run(&["--quiet", "--seed", &seed.to_string()]);
        if done.code == 0 {
            Ok(())
        } else {
            Err(format!("seed {seed}: {} {} {}", done.code, done.diagnosis_text(), done.stderr))
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_other_values() {
    let [first, again, other] =
        ["7", "7", "8"].map(|seed| run(&["--quiet", "--seed", seed, "--serial", "P042AV000000007"]));
    assert_eq!(first.journal, again.journal);
    assert_eq!(first.junit, again.junit);
    let values = |done: &crate::support::Done| -> BTreeMap<String, f64> {
        let of = |event: &Event| match event {
            Event::Measured { step, measurement, .. } => {
                Some((format!("{step}/{}", measurement.name), measurement.value.unwrap()))
            }
            _ => None,
        };
        done.run.entries.iter().filter_map(|entry| of(&entry.event)).collect()
    };
    let (one, two) = (values(&first), values(&other));
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    let differ = one.iter().filter(|(name, value)| two[*name] != **value).count();
    assert!(differ > 50, "only {differ} of {} values differ", one.len());
    assert_eq!((first.code, other.code), (0, 0));
}

#[test]
fn journal_summary_and_junit_tell_the_same() {
    let done = run(&[]);
    let Some(Event::RunEnded { verdict, tally, .. }) = done.run.entries.last().map(|entry| &entry.event) else {
        panic!("no end");
    };
    assert_eq!(*verdict, Verdict::Pass);
    assert!(tally.contacts > 40, "{tally:?}");
    let said = format!("{} steps, {} measurements, {} contacts", tally.steps, tally.measurements, tally.contacts);
    assert!(done.stdout.contains(&said), "{}", done.stdout);
    assert!(done.stdout.starts_with("PASS"));

    let xml = roxmltree::Document::parse(&done.junit).unwrap();
    let suite = xml.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
    assert_eq!(suite.attribute("tests"), Some(tally.steps.to_string().as_str()));
    assert_eq!((suite.attribute("failures"), suite.attribute("errors")), (Some("0"), Some("0")));
    let cases = suite.children().filter(|node| node.has_tag_name("testcase"));
    let lines: usize = cases
        .flat_map(|case| case.children().filter(|node| node.has_tag_name("system-out")).collect::<Vec<_>>())
        .map(|out| out.text().unwrap_or_default().lines().filter(|line| line.contains(" pass")).count())
        .sum();
    assert!(lines >= tally.measurements, "{lines} lines for {} measurements", tally.measurements);
}

#[test]
fn a_report_is_made_again_from_the_journal_alone() {
    let reports = tempfile::tempdir().unwrap();
    let folder = reports.path().to_str().unwrap();
    let run = output(&["run", "plans/b404x.toml", "--virtual", "--reports", folder, "--fault", "open:23"]);
    let run_folder = bench_journal::find_runs(reports.path()).unwrap().remove(0).folder;
    let serial = run_folder.parent().unwrap();
    let again = output(&["report", serial.to_str().unwrap()]);
    assert_eq!(text(&run.stdout), text(&again.stdout));
    assert_eq!((run.status.code(), again.status.code()), (Some(1), Some(1)));
}

#[test]
fn arguments_and_files_that_are_wrong_exit_with_3() {
    for (arguments, said) in [
        (&["run", "plans/b404x.toml"][..], "--virtual"),
        (&["run", "plans/b404x.toml", "--serial", "P042AN0000DEMO1"], "bench init"),
        (&["run", "plans/b404x.toml", "--fault", "open:23"], "--virtual"),
        (&["run", "plans/none.toml", "--virtual"], "plans/none.toml"),
        (&["run", "plans/b404x.toml", "--virtual", "--fault", "opne:23"], "opne"),
        (&["run", "plans/b404x.toml", "--virtual", "--fault", "open:99"], "99"),
        (&["run", "plans/b404x.toml", "--virtual", "--fault", "wrong-model:b999"], "b999"),
        (&["run", "plans/b404x.toml", "--virtual", "--serial", "x"], "--serial"),
        (&["run", "plans/b404x.toml", "--virtual", "--pace", "0"], "--pace"),
        (&["run", "plans/b404x.toml", "--virtual", "--firmware", "none.elf"], "cargo xtask firmware"),
        (&["pins", "b999"], "b404x"),
        (&["fixture", "boron", "--spice", "none.cir", "--model", "b524"], "known models: boron"),
        (&["report", "reports/none"], "holds no run"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        assert!(text(&output.stderr).contains(said), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn tables_come_as_json_too() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path().to_str().unwrap();
    assert!(output(&["store", "add", "--reports", reports]).status.success());
    for arguments in [
        &["pins", "b404x", "--json"][..],
        &["pins", "b404x", "--compare", "boron", "--json"],
        &["faults", "plans/b404x.toml", "--json"],
        &["check", "plans/b404x.toml", "--json"],
        &["schema", "plan"],
        &["schema", "part"],
        &["schema", "fixture"],
        &["schema", "dut"],
        &["schema", "station"],
        &["schema", "fault"],
        &["schema", "rates"],
        &["faults", "--json"],
        &["fixture", "b-series", "--json"],
        &["plan", "plans/b404x.toml", "--json"],
        &["verify", "reports/golden/pass", "--json"],
        &["verify", "reports/golden", "--json", "--quiet"],
        &["stats", "--json", "--reports", reports],
        &["stats", "--json", "--reports", reports, "--lot", "none"],
        &["store", "alarms", "--json", "--reports", reports],
        &["grr", "--json", "--reports", reports],
        &["report", "reports/golden/fail", "--json"],
        &["coverage", "plans/b404x.toml", "--quick", "--good", "0", "--faults", "open:23", "--json"],
        &["coverage", "plans/b404x.toml", "--quick", "--good", "1", "--json", "--faults", "open:36"],
    ] {
        let output = output(arguments);
        // Each has its code for what it found: a failing unit, a record of format 1, a study without runs.
        let codes: &[i32] = match arguments[0] {
            "report" => &[1],
            "grr" => &[3],
            "verify" => &[2],
            _ => &[0],
        };
        let code = output.status.code();
        assert!(code.is_some_and(|code| codes.contains(&code)), "{arguments:?}: {}", text(&output.stderr));
        let value: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        assert!(value.is_object() || value.is_array());
    }
}

#[test]
fn one_firmware_image_serves_every_model_of_the_nest() {
    let models = ["b402", "b404", "b523", "b524"];
    for_all(&models, |model| {
        let done = run_plan(&format!("plans/{model}.toml"), &["--quiet"]);
        if done.code == 0 {
            Ok(())
        } else {
            Err(format!("{model}: exit {}, {}{}", done.code, done.diagnosis_text(), done.stderr))
        }
    });
}

/// Journals of earlier versions stay readable, and say the same as on the day they were written.
#[test]
fn golden_journals_give_the_reports_they_gave() {
    for (name, code) in [("pass", 0), ("fail", 1), ("pass-2", 0), ("fail-2", 1)] {
        let folder = format!("reports/golden/{name}");
        let kept = |file: &str| std::fs::read_to_string(root().join(&folder).join(file)).unwrap();
        let made = tempfile::NamedTempFile::new().unwrap();
        let report = output(&["report", &folder, "--junit", made.path().to_str().unwrap()]);
        assert_eq!(report.status.code(), Some(code), "{name}");
        assert_eq!(text(&report.stdout), kept("summary.txt"), "{name}");
        assert_eq!(std::fs::read_to_string(made.path()).unwrap(), kept("junit.xml"), "{name}");
    }
}
