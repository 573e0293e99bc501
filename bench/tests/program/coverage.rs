//! `bench coverage`: its figures are those of single runs, and its files say what they say.

use crate::contacts::{BEFORE_POWER, ISOLATION, POWERED, Plan};
use crate::support::{PLAN, bench, output, run, run_plan, text};
use bench_run::Event;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Output;

/// Faults, spread over the whole list, that are compared with runs by themselves.
const SAMPLE: usize = 16;

/// What a program printed with `--json`.
fn json(done: &Output) -> Value {
    serde_json::from_slice(&done.stdout).unwrap()
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("no number `{key}` in {value}"))
}

fn strings(value: &Value) -> BTreeSet<String> {
    value.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_sample_equals_runs_by_themselves() {
    let listed = text(&output(&["faults", PLAN]).stdout);
    let listed: Vec<&str> = listed.lines().collect();
    let sample: Vec<&str> = (0..SAMPLE).map(|n| listed[n * listed.len() / SAMPLE]).collect();
    let mut order = vec!["coverage", PLAN, "--quick", "--good", "0", "--json"];
    sample.iter().for_each(|fault| order.extend(["--faults", fault]));
    let study = output(&order);
    assert_eq!(study.status.code(), Some(0), "{}", text(&study.stderr));
    let study = json(&study);
    for fault in sample {
        let all = study["per_fault"].as_array().unwrap();
        let seen =
            all.iter().find(|one| one["fault"] == fault).unwrap_or_else(|| panic!("{fault} is not in the study"));
        let alone = run(&["--fault", fault]);
        let ended = alone.run.entries.iter().find_map(|entry| match &entry.event {
            Event::RunEnded { verdict, .. } => Some(verdict.to_string()),
            _ => None,
        });
        assert_eq!(seen["verdict"].as_str().map(str::to_owned), ended, "{fault}");
        let named: BTreeSet<String> = seen["diagnoses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|said| without_readings(said["text"].as_str().unwrap()))
            .collect();
        let named_alone: BTreeSet<String> = alone.diagnoses().iter().map(|said| without_readings(&said.text)).collect();
        assert_eq!(named, named_alone, "{fault}");
    }
}

/// The study tests a module that holds the firmware, the run by itself an empty one: later on, the same readings are taken at
/// other moments of the supervisor's own transfers on the bus, and differ by their noise.
fn without_readings(text: &str) -> String {
    let is_reading = |word: &str| word.contains('.') && word.parse::<f64>().is_ok();
    text.split(' ').map(|word| if is_reading(word) { "#" } else { word }).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_study_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (html, dictionary) = (path("a.html"), path("a.dictionary"));
    let names = [&html, &dictionary].map(|path| path.to_str().unwrap().to_owned());
    // A short plan adds up as a long one does.
    let plan = Plan::new(&[BEFORE_POWER, ISOLATION, POWERED]);
    let plan = plan.path.to_str().unwrap();
    let done = output(&[
        "coverage",
        plan,
        "--faults",
        "*:51*",
        "--good",
        "2",
        "--jobs",
        "2",
        "--json",
        "--html",
        &names[0],
        "--dictionary",
        &names[1],
    ]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let study = json(&done);
    let faults = study["per_fault"].as_array().unwrap();
    let of = |naming: &str| faults.iter().filter(|one| one["naming"] == naming).count() as u64;
    assert_eq!(number(&study, "faults"), faults.len() as u64);
    assert_eq!(number(&study, "detected"), of("named") + of("misnamed"));
    assert_eq!(number(&study, "named"), of("named"));
    assert_eq!((number(&study, "good"), number(&study, "false_fails")), (2, 0));
    // Contact 51 leads nowhere: its open is missed and says why; its shorts are found.
    let open = faults.iter().find(|one| one["fault"] == "open:51").unwrap();
    assert_eq!(open["naming"], "missed");
    assert!(open["undetectable"].as_str().unwrap().contains("leads nowhere"), "{open}");
    assert_eq!(number(&study, "undetectable"), 1);
    assert!(of("named") > 0);
    let escaping = study["escapes"]["escaping_per_million"].as_f64().unwrap();
    let missed = faults.iter().filter(|one| one["naming"] == "missed");
    let expected: f64 = missed.map(|one| one["per_million"].as_f64().unwrap()).sum();
    assert!((escaping - expected).abs() < 1e-9 && expected > 0.0, "{escaping} {expected}");
    // An open at contact 51 harms nobody and is not in the headline; what else is missed may harm somebody.
    assert!(open["harmless"].as_str().unwrap().contains("nothing that it is plugged into can use it"), "{open}");
    assert_eq!(number(&study, "harmless"), 1);
    let harmful = study["escapes"]["harmful_per_million"].as_f64().unwrap();
    let of_open = open["per_million"].as_f64().unwrap();
    assert!((escaping - harmful - of_open).abs() < 1e-9 && of_open > 0.0, "{escaping} {harmful} {of_open}");
    let range: Vec<f64> =
        study["escapes"]["harmful_range"].as_array().unwrap().iter().map(|end| end.as_f64().unwrap()).collect();
    assert!(range[0] <= harmful && harmful <= range[1], "{range:?} {harmful}");

    // A step that alone found a fault is what the plan loses; nothing else is.
    let steps = study["per_step"].as_array().unwrap();
    let first: u64 = steps.iter().map(|step| number(step, "first")).sum();
    assert_eq!(first, number(&study, "detected"));
    let isolation = steps.iter().find(|step| step["step"] == "isolation").unwrap();
    let lost = strings(&isolation["without"]["missed"]);
    assert!(lost.contains("short:51-53"), "{lost:?}");
    // Without it, a run of the shortened plan says the same.
    let shortened = output(&[
        "coverage",
        plan,
        "--faults",
        "short:51-53",
        "--good",
        "1",
        "--quick",
        "--without",
        "isolation",
        "--json",
    ]);
    assert_eq!(shortened.status.code(), Some(0), "{}", text(&shortened.stderr));
    let study = json(&shortened);
    assert_eq!((number(&study, "detected"), number(&study, "false_fails")), (0, 0));

    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("short:51-53"));
    for fetched in ["http://", "https://", "src="] {
        assert!(!page.contains(fetched), "the page must need nothing else, but has {fetched}");
    }

    // The dictionary knows a unit of other tolerances again.
    let unit = run_plan(plan, &["--seed", "9", "--fault", "short:51-53@60", "--dictionary", &names[1]]);
    assert_eq!(unit.code, 1);
    let best = unit.stdout.lines().skip_while(|line| !line.contains("in the dictionary")).nth(1).unwrap_or_default();
    assert!(best.contains("short:51-53"), "{}", unit.stdout);
}

#[test]
fn ci_gets_an_exit_code() {
    let ask = |least: &str| {
        let rest = ["--faults", "open:51", "--good", "0", "--quick", "--min-detected", least];
        output(&[&["coverage", PLAN][..], &rest].concat()).status.code()
    };
    assert_eq!(ask("0"), Some(0));
    assert_eq!(ask("98"), Some(1), "the only fault is missed");
}

#[test]
fn mistakes_are_told_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let rates = folder.path().join("rates.toml");
    std::fs::write(&rates, "format = 1\n[[class]]\nname = \"a\"\nfaults = [\"*\"]\nper_milion = 2.0\n").unwrap();
    let dictionary = folder.path().join("dictionary.json");
    std::fs::write(&dictionary, "{}").unwrap();
    let (rates, dictionary) = (rates.to_str().unwrap(), dictionary.to_str().unwrap());
    for (arguments, expected) in [
        (&["coverage", PLAN, "--faults", "opn:*"][..], "no fault fits `opn:*`"),
        (&["coverage", PLAN, "--without", "isolatoin"], "--without isolatoin: the plan has no such step"),
        (&["coverage", PLAN, "--rates", rates], "unknown field `per_milion`"),
        (&["coverage", PLAN, "--rates", "no-such-file.toml"], "no-such-file.toml"),
        (&["run", PLAN, "--virtual", "--dictionary", dictionary], "missing field"),
        (&["run", PLAN, "--virtual", "--dictionary", "no-such-file.json"], "no-such-file.json"),
    ] {
        let done = output(arguments);
        assert_eq!(done.status.code(), Some(3), "{arguments:?}");
        let said = text(&done.stderr);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn ctrl_c_ends_it_without_half_a_result() {
    use std::io::{BufRead, BufReader, Read};
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("coverage.html");
    let mut child = bench(&["coverage", PLAN, "--good", "100000", "--json", "--html", page.to_str().unwrap()])
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    assert!(first.contains("faults"), "{first}");
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4), "{first}{rest}");
    assert!(rest.contains("nothing was written"), "{first}{rest}");
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert!(out.is_empty() && !page.exists(), "{out}");
}
