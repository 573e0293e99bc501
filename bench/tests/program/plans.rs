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

/// The shipped plans that allow boards, and what each board leaves of them: contacts that are covered, a step that is left
/// out, what is done by hand, and a fault that it still names although no nail reaches the reset contact of one.
const BOARDS: [(&str, &str, &str, &str); 2] = [
    ("eval-board", "47 of 67 contacts covered, 20 left out", "without usb", "Take off every jumper"),
    ("mikroe-gen3", "24 of 67 contacts covered, 43 left out", "without uart-flow", "No Click board"),
];
const SOMS: [&str; 5] = ["b402", "b404", "b404x", "b523", "b524"];

#[test]
fn boards_are_allowed_with_their_reason() {
    for (fixture, covered, without, by_hand) in BOARDS {
        for model in SOMS {
            let done = output(&["check", "--fixture", fixture, &format!("plans/{model}.toml")]);
            let said = text(&done.stdout);
            assert_eq!(done.status.code(), Some(0), "{said}{}", text(&done.stderr));
            for expected in [covered, without, by_hand, &format!("A module may pass on {fixture}: the engineer's desk")]
            {
                assert!(said.contains(expected), "{model}: {expected} is missing in\n{said}");
            }
        }
        let boron = output(&["check", "--fixture", fixture, "plans/boron.toml"]);
        assert_eq!(boron.status.code(), Some(3), "a board for the M.2 edge takes no Boron");
    }
}

#[test]
fn good_modules_pass_on_the_boards() {
    let rows: Vec<(&str, &str)> = BOARDS.iter().flat_map(|(fixture, ..)| SOMS.map(|model| (model, *fixture))).collect();
    for_all(&rows, |(model, fixture)| {
        let done = run_plan(&format!("plans/{model}.toml"), &["--fixture", fixture, "--seed", "7"]);
        if done.code != 0 {
            return Err(format!("{model} on {fixture}: {} {}{}", done.code, done.diagnosis_text(), done.stderr));
        }
        let note = format!("Note: on {fixture}: the engineer's desk");
        if done.stdout.contains(&note) { Ok(()) } else { Err(format!("no {note:?} in\n{}", done.stdout)) }
    });
}

/// The fault, and the contacts that are named. The shield has no nail at the reset contact.
#[test]
fn faults_are_named_on_the_boards() {
    let faults: [(&str, &[u8]); 7] = [
        ("open:23", &[23]),
        ("short:33-35", &[33, 35]),
        ("stuck-high:23", &[23]),
        ("stuck-low:66", &[66]),
        ("weak-pull:62", &[62]),
        ("open:36", &[36]),
        ("modem-dead", &[]),
    ];
    let rows: Vec<(&str, &str, &[u8])> =
        BOARDS.iter().flat_map(|(fixture, ..)| faults.map(|(fault, contacts)| (*fixture, fault, contacts))).collect();
    for_all(&rows, |(fixture, fault, contacts)| {
        let done = run_plan("plans/b524.toml", &["--quiet", "--fixture", fixture, "--fault", fault]);
        if done.code == 1 && done.named() == **contacts {
            Ok(())
        } else {
            Err(format!(
                "{fault} on {fixture}: exit {}, names {:?}: {}",
                done.code,
                done.named(),
                done.diagnosis_text()
            ))
        }
    });
}

/// What the board joins, or keeps for its own parts: the bed names each of these.
#[test]
fn a_board_hides_what_it_joins() {
    let faults = ["open:2", "open:4", "open:12", "open:56", "stuck-high:61", "lost-pull:47"];
    for_all(&faults, |fault| {
        let board = run_plan("plans/b404x.toml", &["--quiet", "--fixture", "eval-board", "--fault", fault]);
        let bed = run_plan("plans/b404x.toml", &["--quiet", "--fault", fault]);
        match (board.code, bed.code) {
            (0, 1) => Ok(()),
            (board, bed) => Err(format!("{fault}: exit {board} on the board, {bed} on the bed")),
        }
    });
}

#[test]
fn a_board_that_the_plan_does_not_allow_is_refused() {
    let folder = tempfile::tempdir_in(root().join("target")).unwrap();
    let path = folder.path().join("strict.toml");
    let plan = std::fs::read_to_string(root().join("plans/b404x.toml")).unwrap();
    let (from, to) = (plan.find("also_on").unwrap(), plan.find("firmware =").unwrap());
    let variant = |also_on: &str| {
        let text = format!("{}{also_on}{}", &plan[..from], plan[to..].replace("\"parts/", "\"../../plans/parts/"));
        std::fs::write(&path, text).unwrap();
    };
    let path = path.to_str().unwrap();
    variant("");
    let check = output(&["check", "--fixture", "eval-board", path]);
    assert_eq!(check.status.code(), Some(0), "what a board does not reach is no mistake of this plan");
    assert!(text(&check.stdout).contains("No module passes on it"), "{}", text(&check.stdout));
    let run = output(&["run", path, "--virtual", "--fixture", "eval-board"]);
    assert_eq!(run.status.code(), Some(3));
    assert!(text(&run.stderr).contains("also_on = [{ fixture = \"eval-board\""), "{}", text(&run.stderr));
    variant("also_on = [{ fixture = \"eval-boar\", reason = \"x\" }]\n");
    let check = output(&["check", path]);
    let said = text(&check.stderr);
    assert!(said.contains("there is no fixture `eval-boar`") && said.contains("did you mean `eval-board`"), "{said}");
}
