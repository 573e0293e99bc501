//! What outlives a run: verified, indexed, asked, exported.

use crate::support::{PLAN, output, text};
use std::path::Path;

fn run(reports: &Path, seed: u64, extra: &[&str]) -> String {
    let (folder, seed) = (reports.to_str().unwrap(), seed.to_string());
    let mut arguments =
        vec!["run", PLAN, "--virtual", "--quiet", "--reports", folder, "--seed", &seed, "--lot", "study"];
    arguments.extend(extra);
    let done = output(&arguments);
    assert!(done.status.code().is_some_and(|code| code < 2), "{}", text(&done.stderr));
    text(&done.stdout)
}

#[test]
fn runs_are_verified_indexed_asked_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path().join("reports");
    for (seed, extra) in [(1, &[][..]), (2, &[]), (3, &["--fault", "open:23"])] {
        run(&reports, seed, extra);
    }
    let reports_text = reports.to_str().unwrap().to_owned();
    let with = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--reports", &reports_text]);
        output(&all)
    };

    let verified = output(&["verify", &reports_text]);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stdout));
    assert!(text(&verified.stdout).contains("3 hold, 0 do not, 0 unknown."));
    let journals = bench_journal::journals_in(&reports).unwrap();
    let kept = std::fs::read(&journals[0]).unwrap();
    for at in (0..kept.len()).step_by(kept.len() / 40) {
        let mut changed = kept.clone();
        changed[at] ^= 0x01;
        std::fs::write(&journals[0], &changed).unwrap();
        let found = output(&["verify", "--quiet", journals[0].to_str().unwrap()]);
        assert!(matches!(found.status.code(), Some(1 | 2)), "byte {at}: {}", text(&found.stdout));
    }
    std::fs::write(&journals[0], &kept).unwrap();

    let missing = with(&["stats"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(text(&missing.stderr).contains("bench store rebuild"));
    let built = with(&["store", "rebuild"]);
    assert!(text(&built.stdout).starts_with("3 new, "), "{}{}", text(&built.stdout), text(&built.stderr));
    assert!(text(&with(&["store", "add"]).stdout).starts_with("0 new, 0 replaced, 3 unchanged"));

    let page = folder.path().join("line.html");
    let stats =
        with(&["stats", "--by", "model", "--measurement", "rail-3v3/3V3.volts", "--html", page.to_str().unwrap()]);
    let said = text(&stats.stdout);
    for part in ["3 runs on 3 units", "of 3 units", "contact 23", "rail-3v3/3V3.volts: 2 values", "b404x"] {
        assert!(said.contains(part), "{part} in {said}{}", text(&stats.stderr));
    }
    assert!(std::fs::read_to_string(&page).unwrap().contains("contact 23"));
    let json: serde_json::Value = serde_json::from_slice(&with(&["stats", "--json"]).stdout).unwrap();
    assert_eq!((json["total"]["units"].as_u64(), json["total"]["passed"].as_u64()), (Some(3), Some(2)));
    assert_eq!(with(&["stats", "--measurement", "no/such"]).status.code(), Some(3));

    let files: Vec<String> = ["a.stdf", "a.csv", "a.jsonl", "a.xml"]
        .iter()
        .map(|name| folder.path().join(name).to_str().unwrap().to_owned())
        .collect();
    let exported = with(&[
        "export", "--lot", "study", "--stdf", &files[0], "--csv", &files[1], "--jsonl", &files[2], "--junit", &files[3],
    ]);
    assert_eq!(exported.status.code(), Some(0), "{}", text(&exported.stderr));
    assert_eq!(std::fs::read_to_string(&files[2]).unwrap().lines().count(), 3);
    assert!(files.iter().all(|file| std::fs::metadata(file).unwrap().len() > 1_000));

    let study = with(&["grr", "--lot", "study", "--units", "3", "--seats", "2", "--trials", "2"]);
    assert_eq!(study.status.code(), Some(3));
    assert!(text(&study.stdout).contains("Not whole yet. Next: unit "), "{}", text(&study.stdout));
    let few = with(&["limits", "suggest", PLAN]);
    assert_eq!(few.status.code(), Some(3));
    assert!(text(&few.stderr).contains("limits need 30 good units"), "{}", text(&few.stderr));
    assert_eq!(with(&["sync", "--status"]).status.code(), Some(2), "nothing has arrived anywhere");
}

/// Several different modules that fail at the same contact: a line under the summary, and the nail in the statistics. The
/// verdict of each stays what it is.
#[test]
fn modules_that_fail_at_the_same_contact_point_at_its_nail() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path().to_str().unwrap();
    let said = "contact 23 failed on 3 different modules: suspect nail 23; call the technician";
    // Seeds are modules: the second one is tested twice.
    for (seed, fault, expected) in [
        ("1", "open:23", false),
        ("2", "open:23", false),
        ("2", "open:23", false),
        ("3", "open:23", true),
        ("4", "", false),
    ] {
        let mut arguments = vec!["run", PLAN, "--virtual", "--reports", reports, "--seed", seed];
        if !fault.is_empty() {
            arguments.extend(["--fault", fault]);
        }
        let done = output(&arguments);
        assert_eq!(done.status.code(), Some(i32::from(!fault.is_empty())), "{}", text(&done.stderr));
        assert_eq!(text(&done.stdout).contains(said), expected, "{seed} {fault}: {}", text(&done.stdout));
        if expected {
            assert!(output(&["store", "add", "--reports", reports]).status.success());
            let stats = text(&output(&["stats", "--reports", reports]).stdout);
            assert!(
                stats.contains("contact 23: ") && stats.contains("the last 3 different modules failed there"),
                "{stats}"
            );
        }
    }
}
