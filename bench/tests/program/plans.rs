//! Every plan of the repository: complete, passed by a good module, and not by a bad one.

use crate::support::{for_all, output, root, run_plan, text};

fn plans() -> Vec<String> {
    let files = std::fs::read_dir(root().join("plans")).unwrap().map(|entry| entry.unwrap().path());
    let mut plans: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| format!("plans/{}", path.file_name().unwrap().to_str().unwrap()))
        .collect();
    plans.sort();
    plans
}

/// Every contact is covered by a step, or the plan says why not.
#[test]
fn no_plan_forgets_a_contact() {
    let plans = plans();
    for model in ["b402", "b404", "b404x", "b523", "b524", "boron"] {
        assert!(plans.contains(&format!("plans/{model}.toml")), "no plan for {model}");
    }
    for plan in plans {
        let output = output(&["check", &plan]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
    }
}

#[test]
fn a_forgotten_contact_is_told() {
    let plan = std::fs::read_to_string(root().join("plans/b404x.toml")).unwrap();
    let folder = tempfile::tempdir_in(root().join("target")).unwrap();
    let path = folder.path().join("short.toml");
    let check = |more: &str| {
        let text =
            plan.replace("\"parts/", "\"../../plans/parts/") + "\n[leave_out]\ngrounds = \"for this test\"\n" + more;
        std::fs::write(&path, text).unwrap();
        output(&["check", path.to_str().unwrap()])
    };
    let forgotten = check("");
    let said = text(&forgotten.stdout);
    assert_eq!(forgotten.status.code(), Some(3), "{said}{}", text(&forgotten.stderr));
    assert!(said.contains("NOT COMPLETE"), "{said}");
    assert!(said.contains("56  GND                   NOT COVERED, and no reason is given"), "{said}");
    assert!(said.contains("without grounds: for this test"), "{said}");
    let excused = check("[[not_covered]]\npins = \"ground\"\nreason = \"joined by the nest\"\n");
    let said = text(&excused.stdout);
    assert_eq!(excused.status.code(), Some(0), "{said}{}", text(&excused.stderr));
    assert!(said.contains("57 of 67 contacts covered, 10 left out for a reason"), "{said}");
    assert!(said.contains("not covered: joined by the nest"), "{said}");
}

#[test]
fn good_borons_pass() {
    for_all(&["1", "2", "3", "4", "5", "6"], |seed| {
        let done = run_plan("plans/boron.toml", &["--quiet", "--seed", seed]);
        if done.code == 0 {
            Ok(())
        } else {
            Err(format!("seed {seed}: {} {}{}", done.code, done.diagnosis_text(), done.stderr))
        }
    });
}

#[test]
fn opens_of_the_boron_are_named() {
    let contacts: Vec<u8> = (1..=27).collect();
    for_all(&contacts, |contact| {
        let done = run_plan("plans/boron.toml", &["--quiet", "--fault", &format!("open:{contact}")]);
        if done.code == 1 && done.named() == [*contact] {
            Ok(())
        } else {
            Err(format!(
                "open:{contact}: exit {}, names {:?}: {}{}",
                done.code,
                done.named(),
                done.diagnosis_text(),
                done.stderr
            ))
        }
    });
}

#[test]
fn the_pair_test_finds_what_such_a_test_finds() {
    let plan = "plans/b404x-pair-test.toml";
    // The fault, the exit code, and the contacts that are named: both of a pair, since it cannot distinguish them.
    let rows: &[(&str, i32, &[u8])] = &[
        ("open:23", 1, &[23, 33]),
        ("stuck-high:66", 1, &[66, 68]),
        ("short:33-35", 1, &[33, 35]),
        ("open:14", 0, &[]),
        ("lost-pull:38", 0, &[]),
        ("adc-gain:5", 0, &[]),
        ("wrong-model:b402", 0, &[]),
    ];
    for_all(rows, |(fault, code, contacts)| {
        let done = run_plan(plan, &["--quiet", "--fault", fault]);
        let named = done.named();
        if done.code == *code && contacts.iter().all(|contact| named.contains(contact)) {
            Ok(())
        } else {
            Err(format!("{fault}: exit {}, names {named:?}: {}{}", done.code, done.diagnosis_text(), done.stderr))
        }
    });
    let good = run_plan(plan, &["--quiet", "--seed", "5"]);
    assert_eq!(good.code, 0, "{}", good.diagnosis_text());
}

/// `plans/b404x.toml` with the fixtures on the desk allowed, next to its parts.
fn plan_for_the_desk(folder: &std::path::Path) -> std::path::PathBuf {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::create_dir_all(folder.join("parts")).unwrap();
    for file in std::fs::read_dir(root.join("plans/parts")).unwrap().flatten() {
        std::fs::copy(file.path(), folder.join("parts").join(file.file_name())).unwrap();
    }
    let text = std::fs::read_to_string(root.join("plans/b404x.toml")).unwrap();
    let plan = folder.join("b404x.toml");
    let allowed = text.replacen("model = ", "also_on = [\"eval-board\", \"mikroe-gen3\"]\nmodel = ", 1);
    // The modem's own USB is fed by the board's connector, which the bench does not switch.
    let allowed = allowed + "\n[leave_out]\nmodem-contacts = \"its VBUS is not the bench's\"\n";
    std::fs::write(&plan, allowed).unwrap();
    plan
}

#[test]
fn a_lesser_fixture_covers_less_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan_for_the_desk(folder.path());
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let bench = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_bench"))
            .current_dir(&root)
            .args(["--root", "."])
            .args(arguments)
            .args(["--reports"].iter().filter(|_| arguments[0] == "run"))
            .args([folder.path().join("reports")].iter().filter(|_| arguments[0] == "run"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), text)
    };
    // Contacts that are covered, a step that is left out, what is done by hand.
    for (fixture, covered, without, by_hand) in [
        ("eval-board", "49 of 67 contacts covered", "without usb", "Take off the power jumpers"),
        ("mikroe-gen3", "26 of 67 contacts covered", "without uart-flow", "No Click board"),
    ] {
        let (code, text) = bench(&["check", "--fixture", fixture, "plans/b404x.toml"]);
        assert_eq!(code, Some(0), "{text}");
        for expected in [covered, without, by_hand, "No module passes on it"] {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
        let (code, text) = bench(&["run", "plans/b404x.toml", "--virtual", "--fixture", fixture]);
        assert_eq!(code, Some(3), "{text}");
        assert!(text.contains("also_on"), "{text}");

        let (code, text) = bench(&["run", plan.to_str().unwrap(), "--virtual", "--fixture", fixture]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains(without), "the record says what was left out:\n{text}");
        // What it does reach it still tests.
        let fault = ["run", plan.to_str().unwrap(), "--virtual", "--fixture", fixture, "--fault", "open:23"];
        let (code, text) = bench(&fault);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("contact 23 (A0): open"), "{text}");
    }
}
