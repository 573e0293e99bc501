//! A module family by a vendor that does not exist, from data files alone: nothing of a family is in the code.

use crate::support::{root, text};
use bench_journal::find_runs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn folder() -> PathBuf {
    root().join("bench/tests/invented")
}

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.current_dir(folder()).env("NO_COLOR", "1").args(arguments).output().unwrap()
}

fn firmware() -> String {
    root().join("target/firmware/dut-firmware.elf").display().to_string()
}

#[test]
fn another_vendors_module_is_checked_and_every_contact_covered() {
    let output = bench(&["check", "plans/nordwind.toml"]);
    let stdout = text(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", text(&output.stderr));
    assert!(stdout.contains("16 of 16 contacts covered"), "{stdout}");
}

/// Order, exit code, what the summary must name.
const UNITS: [(&str, i32, &str); 7] = [
    ("", 0, "PASS  NW1"),
    ("open:17", 1, "contact 17 (IO_C): open"),
    ("short:8-10", 1, "contacts 8 (AN_A) and 10 (AN_B): shorted"),
    ("open:4", 1, "contact 4 (VDD): open"),
    ("stuck-low:20", 1, "contact 20 (IO_F)"),
    ("wrong-mcu", 1, "is another one"),
    ("empty-nest", 2, "is one in the nest"),
];

#[test]
fn another_vendors_modules_are_told_apart() {
    for (fault, code, expected) in UNITS {
        let reports = tempfile::tempdir().unwrap();
        let (firmware, reports) = (firmware(), reports.path().to_str().unwrap());
        let mut arguments =
            vec!["run", "plans/nordwind.toml", "--virtual", "--firmware", &firmware, "--reports", reports];
        if !fault.is_empty() {
            arguments.extend(["--fault", fault]);
        }
        let output = bench(&arguments);
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{fault}: {stdout}{}", text(&output.stderr));
        assert!(stdout.contains(expected), "{fault}: {stdout}");
        assert_eq!(find_runs(reports.as_ref()).unwrap().len(), 1, "{fault}");
    }
}

#[test]
fn coverage_counts_the_faults_of_another_vendors_module() {
    let firmware = firmware();
    let patterns = ["--faults", "open:*", "--faults", "short:*-gnd", "--faults", "swap:*"];
    let arguments = [
        &["coverage", "plans/nordwind.toml", "--quick", "--good", "2", "--firmware", &firmware, "--json"],
        &patterns[..],
    ];
    let output = bench(&arguments.concat());
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let study: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |key: &str| study[key].as_u64().unwrap();
    // 16 opens, of which the one that leads nowhere cannot be seen.
    let names = || study["per_fault"].as_array().unwrap().iter().map(|row| row["fault"].as_str().unwrap());
    assert_eq!(names().filter(|name| name.starts_with("open:")).count(), 16);
    assert!(names().any(|name| name == "swap:18-20") && !names().any(|name| name == "swap:12-17"), "across the notch");
    assert_eq!((count("detected"), count("named")), (count("faults") - 1, count("faults") - 1));
    assert_eq!(count("false_fails"), 0);
}
