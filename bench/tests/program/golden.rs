//! The golden module: what a bench that still passes it lost in the meantime.

use crate::support::{PLAN, output, text};
use serde_json::Value;
use std::path::Path;

const SERIAL: &str = "P042AN0000DEMO1";

/// `bench golden` in this folder of reports: exit code and report.
fn golden(reports: &Path, extra: &[&str]) -> (i32, Value) {
    let folder = reports.to_str().unwrap();
    let mut arguments = vec!["golden", PLAN, "--serial", SERIAL, "--reports", folder, "--json"];
    arguments.extend(extra);
    let done = output(&arguments);
    let report = serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&done.stderr)));
    (done.status.code().unwrap(), report)
}

/// Steps and measurements that drifted, with the contacts.
fn drifted(report: &Value) -> Vec<String> {
    let rows = report["comparison"]["drifted"].as_array().unwrap();
    rows.iter()
        .map(|row| format!("{}/{} {}", row["step"].as_str().unwrap(), row["name"].as_str().unwrap(), row["contacts"]))
        .collect()
}

/// Arguments; outcome, exit code, earlier runs that counted, and what drifted.
type Row<'a> = (&'a [&'a str], &'a str, i32, u64, &'a [&'a str]);

#[test]
fn a_golden_module_shows_what_the_limits_excuse() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path();
    // The same seed is the same module: its readings are equal, and the floor decides.
    let nothing: &[&str] = &[];
    let nail: &[&str] = &["diodes-mcu/A0.to-supply [23]", "drive/A0.drive-high [23]", "drive/A0.drive-low [23]"];
    let ble: &[&str] = &[
        "ble/ble.37.heard-dbm",
        "ble/ble.37.hears-dbm",
        "ble/ble.38.heard-dbm",
        "ble/ble.38.hears-dbm",
        "ble/ble.39.heard-dbm",
        "ble/ble.39.hears-dbm",
    ];
    let worn = ["--virtual", "--by", "Kim", "--bench-fault", "nail-worn:23@20"];
    let signed = ["--virtual", "--by", "Kim"];
    let new = ["--virtual", "--by", "Kim", "--new-history"];
    let faint = ["--virtual", "--by", "Lee", "--bench-fault", "ble-loss@4"];
    let rows: [Row<'_>; 13] = [
        (&["--virtual"], "too-few", 2, 0, nothing),
        (&["--virtual"], "too-few", 2, 1, nothing),
        (&signed, "too-few", 2, 2, nothing),
        (&["--virtual"], "too-few", 2, 3, nothing),
        (&["--virtual"], "too-few", 2, 4, nothing),
        (&["--virtual"], "agrees", 0, 5, nothing),
        (&worn, "drifted", 1, 6, nail),
        // What was signed as drifted is no history, so it is found again.
        (&worn, "drifted", 1, 6, nail),
        (&["--last"], "drifted", 1, 6, nail),
        (&faint, "drifted", 1, 6, ble),
        (&signed, "agrees", 0, 6, nothing),
        (&new, "new-history", 0, 7, nothing),
        (&signed, "too-few", 2, 1, nothing),
    ];
    for (index, (arguments, outcome, code, earlier, expected)) in rows.into_iter().enumerate() {
        let (found, report) = golden(reports, arguments);
        let row = format!("row {index}, {arguments:?}: {report}");
        assert_eq!(report["verdict"], "pass", "{row}");
        assert_eq!((found, report["outcome"].as_str()), (code, Some(outcome)), "{row}");
        let comparison = &report["comparison"];
        assert_eq!(comparison["history"].as_array().unwrap().len() as u64, earlier, "{row}");
        assert_eq!(comparison["missing"].as_u64(), Some(5_u64.saturating_sub(earlier)), "{row}");
        let mut names = drifted(&report);
        names.sort();
        assert_eq!(names.len(), expected.len(), "{row}");
        assert!(names.iter().zip(expected).all(|(name, expected)| name.starts_with(expected)), "{names:?}: {row}");
        assert!(comparison["compared"].as_u64().unwrap() > 500 || earlier < 5, "{row}");
    }
    let list = output(&["golden", "--list", "--json", "--reports", reports.to_str().unwrap()]);
    let lines: Vec<Value> = serde_json::from_slice(&list.stdout).unwrap();
    let told: Vec<String> = lines
        .iter()
        .map(|line| format!("{} {}", line["by"].as_str().unwrap(), line["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        ["Kim too-few", "Kim drifted", "Kim drifted", "Lee drifted", "Kim agrees", "Kim new-history", "Kim too-few"]
    );
    assert_eq!((lines[1]["drifted"].as_u64(), lines[1]["serial"].as_str()), (Some(3), Some(SERIAL)));
}

/// A golden module that fails blames the nest; a run that decided nothing is not signed.
#[test]
fn a_golden_module_that_does_not_pass() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path();
    for (fault, verdict, code, outcome) in
        [("nail-worn:23@80", "fail", 1, Some("drifted")), ("bench-adc-offset", "error", 2, None)]
    {
        let (found, report) = golden(reports, &["--virtual", "--by", "Kim", "--bench-fault", fault]);
        assert_eq!(report["verdict"], verdict, "{fault}: {report}");
        assert_eq!((found, report["outcome"].as_str()), (code, outcome), "{fault}: {report}");
    }
    let lines = std::fs::read_to_string(reports.join("golden.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
}

#[test]
fn wrong_arguments_power_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path().to_str().unwrap();
    for (arguments, said) in [
        (&["golden", PLAN, "--reports", reports][..], "--serial"),
        (&["golden", "--serial", SERIAL, "--reports", reports], "PLAN"),
        (&["golden", PLAN, "--serial", SERIAL, "--last", "--reports", reports], "there is no run of P042AN0000DEMO1"),
        (&["golden", PLAN, "--serial", SERIAL, "--virtual", "--by", " ", "--reports", reports], "the name is empty"),
        (&["golden", PLAN, "--serial", SERIAL, "--virtual", "--new-history", "--reports", reports], "--by"),
    ] {
        let done = output(arguments);
        assert_eq!(done.status.code(), Some(3), "{arguments:?}: {}", text(&done.stdout));
        assert!(text(&done.stderr).contains(said), "{arguments:?}: {}", text(&done.stderr));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let none = output(&["golden", "--list", "--reports", reports]);
    assert_eq!((none.status.code(), text(&none.stdout).as_str()), (Some(0), "No golden module was signed off yet.\n"));
}
