//! `bench plan`: what it says of a shipped plan, and from where it takes its times.

use crate::support::{PLAN, output, root, text};
use serde_json::Value;
use std::path::Path;

fn json(arguments: &[&str]) -> Value {
    let output = output(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn seconds(chart: &Value, key: &str) -> f64 {
    chart[key].as_f64().unwrap()
}

/// The acceptance of the plan's order, from two runs on the virtual bench.
#[test]
fn a_run_is_near_its_critical_path() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("schedule.svg");
    let chart = json(&["plan", PLAN, "--json", "--svg", picture.to_str().unwrap()]);
    let [run, critical, alone] =
        ["run_seconds", "critical_seconds", "one_by_one_seconds"].map(|key| seconds(&chart, key));
    assert!(critical <= seconds(&chart, "schedule_seconds"));
    assert!(critical < run && run <= 1.1 * critical, "{run} s, critical {critical} s");
    assert!(run < alone, "{run} s, one after another {alone} s");
    let steps = chart["steps"].as_array().unwrap();
    let named: Vec<&Value> =
        chart["critical_path"].as_array().unwrap().iter().flat_map(|leg| leg["steps"].as_array().unwrap()).collect();
    for bar in steps {
        assert_eq!(bar["critical"].as_bool(), Some(named.contains(&&bar["step"])), "{bar}");
    }
    let drawn = std::fs::read_to_string(picture).unwrap();
    let drawn = roxmltree::Document::parse(&drawn).unwrap();
    let rows = drawn.descendants().filter(|node| node.has_tag_name("g")).count();
    assert_eq!(rows, steps.len());
}

fn run_into(folder: &Path, extra: &[&str]) {
    let mut arguments = vec!["run", PLAN, "--virtual", "--quiet", "--serial", "P042AV000000077", "--reports"];
    arguments.push(folder.to_str().unwrap());
    arguments.extend(extra);
    output(&arguments);
}

#[test]
fn times_are_taken_from_a_run_that_passed() {
    let folder = tempfile::tempdir().unwrap();
    run_into(folder.path(), &[]);
    let unit = folder.path().join("P042AV000000077");
    let chart = json(&["plan", PLAN, "--json", "--from", unit.to_str().unwrap()]);
    let sum: f64 = chart["steps"].as_array().unwrap().iter().map(|bar| bar["takes_seconds"].as_f64().unwrap()).sum();
    assert!((sum - seconds(&chart, "one_by_one_seconds")).abs() < 1e-6);
    assert!(seconds(&chart, "critical_seconds") <= seconds(&chart, "run_seconds"));
}

#[test]
fn a_run_that_failed_has_no_times() {
    let folder = tempfile::tempdir().unwrap();
    run_into(folder.path(), &["--fault", "open:23"]);
    let unit = folder.path().join("P042AV000000077");
    let refused = output(&["plan", PLAN, "--from", unit.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(text(&refused.stderr).contains("did not pass there"), "{}", text(&refused.stderr));
    let nothing = output(&["plan", PLAN, "--from", root().join("docs").to_str().unwrap()]);
    assert_eq!(nothing.status.code(), Some(3), "{}", text(&nothing.stderr));
}
