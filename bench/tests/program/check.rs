//! `bench check` with the real kinds of steps: one mistake, one diagnostic, at its place.

use crate::support::{PLAN, output, root, run_plan, text};
use std::fs;
use std::path::Path;
use std::process::Output;

const BEFORE_POWER: &str = "plans/parts/before-power.toml";
const POWER: &str = "plans/parts/power.toml";
const FUNCTIONS: &str = "plans/parts/functions.toml";

/// What `check` prints of a plan with a mistake.
fn check_with(file: &str, old: &str, new: &str) -> String {
    let (output, said) = check_changed(file, old, new, &[]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    said
}

/// Checks the project's data in a folder of its own, with one text replaced in one file.
fn check_changed(file: &str, old: &str, new: &str, more: &[&str]) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str| {
        let to = folder.path().join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(root().join(name), to).unwrap();
    };
    for name in [
        PLAN,
        "fixtures/b-series.toml",
        "fixtures/duts/b4xx.toml",
        "fixtures/duts/b5xx.toml",
        "fixtures/duts/boron.toml",
    ] {
        copy(name);
    }
    for part in fs::read_dir(root().join("plans/parts")).unwrap() {
        copy(&format!("plans/parts/{}", part.unwrap().file_name().to_str().unwrap()));
    }
    let path = folder.path().join(file);
    let before = fs::read_to_string(&path).unwrap();
    assert!(before.contains(old), "{file} does not hold {old:?}");
    fs::write(&path, before.replacen(old, new, 1)).unwrap();
    let plan = folder.path().join(PLAN);
    let arguments = ["--root", folder.path().to_str().unwrap(), "check", plan.to_str().unwrap()];
    let output = output(&[&arguments, more].concat());
    let said = tidy(&text(&output.stderr), folder.path());
    (output, said)
}

fn tidy(text: &str, folder: &Path) -> String {
    text.replace(&format!("{}/", folder.display()), "")
}

#[test]
fn ten_broken_files() {
    let rows = [
        ("misspelt key", BEFORE_POWER, "title = \"No rail is shorted\"", "tilte = \"No rail is shorted\""),
        ("misspelt parameter", POWER, "settle = \"20 ms\"", "setle = \"20 ms\""),
        ("unknown pin", BEFORE_POWER, "pins = [\"VCC\", \"3V3\"]", "pins = [\"VCC\", \"3V4\"]"),
        ("crossed limits", POWER, "{ min = \"3.2 V\", max = \"3.4 V\" }", "{ min = \"3.4 V\", max = \"3.2 V\" }"),
        (
            "nail wired twice",
            "fixtures/b-series.toml",
            "{ contact = 33, pin = \"A1\", io = \"io0.GPA5\"",
            "{ contact = 33, pin = \"A1\", io = \"io0.GPA4\"",
        ),
        ("missing unit", BEFORE_POWER, "max = \"8 ohm\"", "max = 5"),
        (
            "cyclic needs",
            BEFORE_POWER,
            "kind = \"rail-resistance\"\nneeds = [\"bench-check\"]",
            "kind = \"rail-resistance\"\nneeds = [\"supplies\"]",
        ),
        ("wrong model", PLAN, "model = \"b404x\"", "model = \"boron\""),
        ("unknown step kind", FUNCTIONS, "kind = \"interconnect\"", "kind = \"interconect\""),
        ("duplicate id", BEFORE_POWER, "id = \"supplies\"", "id = \"grounds\""),
        ("invalid TOML", POWER, "[[step]]", "[[step]"),
        ("missing part", PLAN, "parts/power.toml", "parts/powers.toml"),
        (
            "a part's step in the plan again",
            PLAN,
            "include",
            "step = [{ id = \"adc\", kind = \"external-flash\" }]\ninclude",
        ),
        ("override of no step", PLAN, "include = ", "override.ADC.supply = \"3V3\"\ninclude = "),
        (
            "power before the check for shorts",
            POWER,
            "needs = [\"link-loopback\", \"isolation-gpio\", \"isolation-other\", \"isolation-ri\", \"diodes-mcu\"]",
            "needs = [\"link-loopback\"]",
        ),
        ("a link contact in the vectors", FUNCTIONS, "exclude = [\"TX\", \"RX\"]", "exclude = [\"TX\"]"),
    ];
    let mut all = String::new();
    for (what, file, old, new) in rows {
        let said = check_with(file, old, new);
        assert_eq!(said.matches("  × ").count(), 1, "{what}: one mistake, one diagnostic\n{said}");
        all += &format!("---- {what}\n{}\n", said.trim_end());
    }
    insta::assert_snapshot!(all);
}

#[test]
fn what_covers_each_contact() {
    let output = output(&["check", PLAN]);
    assert!(output.status.success());
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn the_example_of_the_format_description_runs() {
    let text = fs::read_to_string(root().join("docs/reference/plan-format.md")).unwrap();
    let example = text.split("## An example").nth(1).unwrap().split("```").nth(1).unwrap();
    let folder = tempfile::tempdir_in(root().join("target")).unwrap();
    let plan = folder.path().join("example.toml");
    fs::write(&plan, example.strip_prefix("toml").unwrap()).unwrap();
    let done = run_plan(plan.to_str().unwrap(), &["--quiet"]);
    assert_eq!(done.code, 0, "{}{}", done.diagnosis_text(), done.stderr);
}

/// A limit, and what `check` says of it: the plan is valid all the same.
#[test]
fn limits_that_could_never_fail() {
    let rows = [
        ("cross-talk", FUNCTIONS, "crosstalk = { max = \"8 mV\" }", "crosstalk = { max = \"8 V\" }"),
        ("a limit that several steps share", FUNCTIONS, "max = \"16.8 kohm\" }", "max = \"16.8 Mohm\" }"),
        ("a wait", POWER, "settle = \"20 ms\"", "settle = \"20 ms\"\ntimeout = \"10 ms\""),
    ];
    let mut all = String::new();
    for (what, file, old, new) in rows {
        let (output, said) = check_changed(file, old, new, &[]);
        assert_eq!(output.status.code(), Some(0), "{what}: {said}");
        assert!(text(&output.stdout).contains("good, with a warning. Model b404x"), "{what}: {}", text(&output.stdout));
        assert_eq!(check_changed(file, old, new, &["--strict"]).0.status.code(), Some(2), "{what}");
        let (json, _) = check_changed(file, old, new, &["--json"]);
        let checked: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        let warning = &checked[0]["warnings"][0];
        assert!(
            warning["line"].is_u64() && warning["column"].is_u64() && warning["help"].is_string(),
            "{what}: {warning}"
        );
        assert!(said.contains(warning["message"].as_str().unwrap()), "{what}: {warning}");
        all += &format!("---- {what}\n{}\n", said.trim_end());
    }
    insta::assert_snapshot!(all);
}

/// No plan that is shipped, on no fixture that is shipped, has a limit that could never fail.
#[test]
fn shipped_plans_have_no_warnings() {
    let fixtures = |plan: &str| match plan {
        _ if plan.starts_with("desk-") || plan == "boron.toml" || plan == "b404x-pair-test.toml" => vec![None],
        _ => vec![None, Some("eval-board"), Some("mikroe-gen3")],
    };
    let mut checked = 0;
    for plan in fs::read_dir(root().join("plans")).unwrap() {
        let name = plan.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".toml") {
            continue;
        }
        for fixture in fixtures(&name) {
            let path = format!("plans/{name}");
            let on: Vec<&str> = fixture.into_iter().flat_map(|fixture| ["--fixture", fixture]).collect();
            let output = output(&[&["check", &path, "--strict"], on.as_slice()].concat());
            assert_eq!(output.status.code(), Some(0), "{name} on {fixture:?}: {}", text(&output.stderr));
            checked += 1;
        }
    }
    assert!(checked >= 23, "{checked}");
}
