//! The way of units through the nests.

use super::*;

/// What was ordered, without what is written and lit.
fn orders(actions: &[Action]) -> Vec<String> {
    let order = |action: &Action| match action {
        Action::Start { nest, serial, .. } => Some(format!("start {serial} on {nest}")),
        Action::Stop { nest, at_once, .. } => Some(format!("stop {nest}{}", if *at_once { " at once" } else { "" })),
        Action::Leave => Some("leave".to_owned()),
        Action::Answer { nest, number, answer } => Some(format!("answer {number} on {nest}: {answer:?}")),
        Action::Log(_) | Action::Lamp(..) | Action::Bell => None,
    };
    actions.iter().filter_map(order).collect()
}

#[test]
fn a_unit_from_its_label_to_its_removal() {
    let mut station = Station::new(1, Rules::default());
    assert_eq!(orders(&station.scan(&label(1))), [""; 0]);
    assert_eq!(station.states(), format!("ready {}", serial(1)));
    assert_eq!(orders(&station.press(Press::Enter)), [format!("start {} on 0", serial(1))]);
    station.ends(0, Verdict::Pass);
    assert_eq!(station.states(), format!("pass {}", serial(1)));
    assert_eq!(orders(&station.press(Press::Enter)), [""; 0]);
    assert_eq!(station.states(), "empty");
    // The next label may come while the last verdict is still shown.
    station.scan(&label(2));
    station.press(Press::Enter);
    station.ends(0, Verdict::Fail);
    station.scan(&label(3));
    assert_eq!(station.states(), format!("ready {}", serial(3)));
    let logged = station.done.iter().filter(|action| matches!(action, Action::Log(Row::Ended { .. })));
    assert_eq!(logged.count(), 2);
    // A verdict is written down before its lamp is lit.
    let place = |wanted: &dyn Fn(&Action) -> bool| station.done.iter().position(wanted).unwrap();
    let logged = place(&|action| matches!(action, Action::Log(Row::Ended { .. })));
    assert!(logged < place(&|action| matches!(action, Action::Lamp(0, super::super::nest::Lamp::Pass))));
}

#[test]
fn what_is_scanned_and_what_comes_of_it() {
    let long = "x".repeat(10_000);
    let rows = [
        ("P042AV000000001 SECRET", "ready P042AV000000001, empty", "put it in nest 1"),
        ("p042av000000001 secret", "ready P042AV000000001, empty", "put it in nest 1"),
        ("P006AV000000001 SECRET", "empty, empty", "P006 is not the label of a B404X (expected P042)"),
        ("P044AV000000001 SECRET", "empty, empty", "P044 is not the label of a B404X (expected P042): it is a BORON"),
        ("4006381333931", "empty, empty", "Not the label of a module (it begins with P042)"),
        ("P042AV00000001 SECRET", "empty, empty", "The serial number lacks 1 character"),
        ("P042AV000000001SECRETSECRET", "empty, empty", "12 characters too many after the serial number"),
        ("P042AV0000000-1 SECRET", "empty, empty", "A serial number cannot hold `-`"),
        ("P00P042AV000000001 SECRET", "empty, empty", "3 characters before the serial number"),
        ("SECRETSECRETSEC P042AV000000001", "empty, empty", "The serial number does not come first"),
        ("P042AV000000001 SECP042AV000000002 SECRET", "empty, empty", "Two labels ran together"),
        ("P042AV000P042AV000000002 SECRET", "empty, empty", "Two labels ran together"),
        (" ", "empty, empty", "Not the label of a module"),
        ("\u{1F980}\u{202e}garbage \u{7}\u{1b}[31m", "empty, empty", "Not the label of a module"),
        (&long, "empty, empty", "Not the label of a module"),
        ("P042AV000UNREAD", "empty, empty", "the runs cannot be listed"),
    ];
    for (scanned, states, notice) in rows {
        // By keys, and in one piece as a paste or a serial scanner sends it.
        let mut typed = Station::new(2, Rules::default());
        typed.scan(scanned);
        let mut pasted = Station::new(2, Rules::default());
        pasted.happens(text(scanned));
        for (how, station) in [("typed", &typed), ("pasted", &pasted)] {
            assert_eq!(station.states(), states, "{how} {scanned:.40}");
            assert!(station.notice().contains(notice), "{how} {scanned:.40}: {}", station.notice());
        }
    }
}

#[test]
fn a_label_twice_starts_nothing_twice() {
    let mut station = Station::new(2, Rules::default());
    // A scanner that ends a label with CR and LF, and reads it twice.
    station.scan(&label(1));
    station.soon(Duration::from_millis(2), Input::Press(Press::Enter));
    assert_eq!(station.states(), format!("ready {}, empty", serial(1)));
    station.soon(Duration::from_millis(300), text(&label(1)));
    assert_eq!(station.states(), format!("ready {}, empty", serial(1)));
    assert!(station.notice().contains("put it in nest 1"), "{}", station.notice());
    // A person who scans it again gets an answer.
    station.happens(text(&label(1)));
    assert!(station.notice().contains("is in nest 1 already"), "{}", station.notice());
    station.press(Press::Enter);
    station.scan(&label(1));
    assert_eq!(station.states(), format!("runs {}, empty", serial(1)));
    assert!(station.notice().contains("is in nest 1 already"), "{}", station.notice());
}

#[test]
fn units_go_to_free_nests_and_come_back_to_their_own() {
    let mut station = Station::new(2, Rules::default());
    for number in 1..=2 {
        station.scan(&label(number));
        station.press(Press::Enter);
    }
    assert_eq!(station.states(), format!("runs {}, runs {}", serial(1), serial(2)));
    station.scan(&label(3));
    assert!(station.notice().contains("Every nest is busy"), "{}", station.notice());
    station.ends(1, Verdict::Fail);
    // The one that failed is tested again, where it was.
    station.scan(&label(2));
    assert_eq!(station.states(), format!("runs {}, ready {}", serial(1), serial(2)));
    station.press(Press::Enter);
    station.ends(1, Verdict::Fail);
    station.ends(0, Verdict::Pass);
    station.scan(&label(2));
    assert!(matches!(station.app.mode, super::super::app::Mode::Allow(_)), "{}", station.states());
}

#[test]
fn abort_asks_first_and_stops_before_it_writes() {
    let mut station = Station::new(2, Rules::default());
    for number in 1..=2 {
        station.scan(&label(number));
        station.press(Press::Enter);
    }
    station.press(Press::NestStatus(1));
    assert_eq!(orders(&station.press(Press::Escape)), [""; 0]);
    // A label is no answer, and its Enter neither.
    station.scan(&label(3));
    assert!(station.notice().contains("Answer the question first"));
    assert_eq!(orders(&station.press(Press::Escape)), [""; 0]);
    assert!(matches!(station.app.mode, super::super::app::Mode::Work));
    station.press(Press::Escape);
    let actions = station.press(Press::Enter);
    assert!(matches!(actions[..], [Action::Stop { nest: 1, at_once: false, .. }, Action::Log(_)]), "{actions:?}");
    station.ends(1, Verdict::Aborted);
    assert_eq!(station.states(), format!("runs {}, aborted {}", serial(1), serial(2)));
    // A question about a run that has ended meanwhile is none any more.
    station.press(Press::NestStatus(0));
    station.press(Press::Escape);
    station.ends(0, Verdict::Pass);
    assert!(matches!(station.app.mode, super::super::app::Mode::Work));
}

#[test]
fn nothing_is_left_running_when_the_screen_goes() {
    // A second Ctrl-C at the keyboard cuts the power; a second signal arrives as the key that does.
    type Row = (fn() -> Input, &'static [&'static str]);
    let inputs: [Row; 3] = [
        (|| Input::Press(Press::Interrupt), &["stop 0 at once"]),
        (|| Input::End("stopped by SIGHUP".to_owned()), &[]),
        (|| Input::End("stopped by SIGTERM".to_owned()), &[]),
    ];
    for (input, second) in inputs {
        let mut station = Station::new(2, Rules::default());
        station.scan(&label(1));
        station.press(Press::Enter);
        assert_eq!(orders(&station.happens(input())), ["stop 0"]);
        // Nothing new is begun.
        assert_eq!(orders(&station.happens(input())), second);
        station.scan(&label(2));
        assert_eq!(station.states(), format!("runs {} stopping, empty", serial(1)));
        station.ends(0, Verdict::Aborted);
        assert_eq!(orders(&station.done).last().unwrap(), "leave");
        let idle = Station::new(1, Rules::default()).happens(input());
        assert_eq!(orders(&idle), ["leave"]);
    }
    let mut station = Station::new(1, Rules::default());
    station.scan(&label(1));
    station.press(Press::Enter);
    assert_eq!(orders(&station.press(Press::EndShift)), [""; 0], "asks first");
    assert_eq!(orders(&station.press(Press::Enter)), ["stop 0"]);
}

#[test]
fn lids_and_buttons() {
    let rules = Rules { begin: super::super::rules::Begin::Lid, ..Rules::default() };
    let mut station = Station::new(1, rules);
    let lid = |closed| Input::Lid { nest: 0, closed };
    station.happens(lid(false));
    station.scan(&label(1));
    assert_eq!(orders(&station.happens(Input::StartButton(0))), [""; 0]);
    assert!(station.notice().contains("Close the lid"), "{}", station.notice());
    assert_eq!(orders(&station.happens(lid(true))), [format!("start {} on 0", serial(1))]);
    assert_eq!(orders(&station.happens(lid(false))), ["stop 0 at once"]);
    station.ends(0, Verdict::Aborted);
    station.happens(lid(true));
    station.happens(lid(false));
    assert_eq!(station.states(), "empty");
    // A button or a lid of a nest that is not there.
    station.happens(Input::StartButton(7));
    station.happens(Input::Lid { nest: 7, closed: true });
}

#[test]
fn a_run_that_cannot_begin_is_the_bench_s_fault() {
    let mut station = Station::new(1, Rules::default());
    station.scan(&label(1));
    station.press(Press::Enter);
    station.happens(Input::NotStarted(0, "the disk is full".to_owned()));
    assert_eq!(station.states(), format!("error {}", serial(1)));
    let State::Done(finished) = &station.app.nests[0].state else { panic!() };
    assert!(finished.advice.details.contains(&"the disk is full".to_owned()), "{:?}", finished.advice);
    assert_eq!(station.app.shift.errors, 1);
}

#[test]
fn no_secret_leaves_the_scan() {
    let mut station = Station::new(1, Rules::default());
    station.scan(&label(1));
    station.press(Press::Enter);
    station.ends(0, Verdict::Fail);
    station.scan("4006381333931 MOBILESECRET");
    for character in label(2).chars() {
        station.soon(Duration::from_millis(1), Input::Press(Press::Character(character)));
        let shown = station.draw(80, 24);
        assert!(!shown.contains("MOBILE"), "{shown}");
    }
    assert!(station.draw(80, 24).contains(&serial(2)));
    assert!(!format!("{:?}", station.done).contains("MOBILE"), "{:?}", station.done);
}

/// Something that the operator is in the middle of, with these nests running.
type Situation = (&'static str, fn() -> Station, &'static [usize]);

fn running(nests: usize, of: usize, rules: Rules) -> Station {
    let mut station = Station::new(of, rules);
    for number in 1..=nests {
        station.scan(&label(u32::try_from(number).unwrap()));
        station.press(Press::Enter);
    }
    station
}

/// A unit that failed too often needs a permission.
fn asked(mut station: Station) -> Station {
    let past = UnitPast { verdicts: vec![Verdict::Fail; 5], ..UnitPast::default() };
    station.runs.0.borrow_mut().insert(serial(9), past);
    station.scan(&label(9));
    assert!(matches!(station.app.mode, super::super::app::Mode::Allow(_)), "{}", station.notice());
    station
}

fn after(mut station: Station, presses: &[Press]) -> Station {
    for press in presses {
        station.press(*press);
    }
    station
}

#[test]
fn del_cuts_the_power_of_everything_that_runs_whatever_else_goes_on() {
    let rows: &[Situation] = &[
        ("nothing runs", || Station::new(2, Rules::default()), &[]),
        (
            "a unit waits",
            || {
                let mut station = Station::new(2, Rules::default());
                station.scan(&label(1));
                station
            },
            &[],
        ),
        ("one runs, the focus is elsewhere", || running(1, 2, Rules::default()), &[0]),
        ("two run", || running(2, 2, Rules::default()), &[0, 1]),
        (
            "one of two has its verdict",
            || {
                let mut station = running(2, 2, Rules::default());
                station.ends(0, Verdict::Pass);
                station
            },
            &[1],
        ),
        (
            "asked whether to abort one of two",
            || after(running(2, 2, Rules::default()), &[Press::NestStatus(1), Press::Escape]),
            &[0, 1],
        ),
        ("asked whether to leave", || after(running(2, 2, Rules::default()), &[Press::EndShift]), &[0, 1]),
        ("asked to allow a unit", || asked(running(1, 2, Rules::default())), &[0]),
        (
            "a label is being typed",
            || after(running(2, 2, Rules::default()), &[Press::Character('P'), Press::Character('0')]),
            &[0, 1],
        ),
        (
            "switching off in order",
            || after(running(2, 2, Rules::default()), &[Press::NestStatus(1), Press::Escape, Press::Enter]),
            &[0, 1],
        ),
        ("leaving by F10", || after(running(2, 2, Rules::default()), &[Press::EndShift, Press::Enter]), &[0, 1]),
        ("leaving by Ctrl-C", || after(running(2, 2, Rules::default()), &[Press::Interrupt]), &[0, 1]),
        (
            "leaving by a signal",
            || {
                let mut station = running(2, 2, Rules::default());
                station.happens(Input::End("stopped by SIGTERM".to_owned()));
                station
            },
            &[0, 1],
        ),
    ];
    for (what, situation, expected) in rows {
        let mut station = situation();
        let actions = station.press(Press::Delete);
        let stops: Vec<String> = expected.iter().map(|nest| format!("stop {nest} at once")).collect();
        assert_eq!(orders(&actions), stops, "{what}");
        // Nothing is written before the power is off.
        let first: Vec<&Action> = actions.iter().take(expected.len()).collect();
        assert!(first.iter().all(|action| matches!(action, Action::Stop { .. })), "{what}: {actions:?}");
        let rows = |actions: &[Action]| actions.iter().filter(|action| matches!(action, Action::Log(_))).count();
        assert_eq!(rows(&actions), usize::from(!expected.is_empty()), "{what}");
        // A key that is held down: the order again, and no line for each.
        let again = station.press(Press::Delete);
        assert_eq!((orders(&again), rows(&again)), (stops, 0), "{what}");
    }
    let mut idle = after(Station::new(1, Rules::default()), &[Press::Character('P')]);
    idle.press(Press::Delete);
    assert!(idle.app.typed.is_empty(), "with nothing to switch off it clears what was typed");
}

#[test]
fn an_emergency_stop_is_del_on_its_nest_and_nothing_begins_while_it_is_pressed() {
    let emergency = |nest, pressed| Input::Emergency { nest, pressed };
    let mut station = running(2, 3, Rules::default());
    let actions = station.happens(emergency(1, true));
    assert_eq!(orders(&actions), ["stop 1 at once"]);
    let Some(Action::Stop { reason, .. }) = actions.first() else { panic!("{actions:?}") };
    assert!(reason.starts_with("the emergency stop was pressed: "), "{reason}");
    assert!(station.notice().contains("Emergency stop of nest 2"), "{}", station.notice());
    station.ends(1, Verdict::Aborted);
    station.press(Press::NestStatus(1));
    station.scan(&label(5));
    assert_eq!(orders(&station.press(Press::Enter)), [""; 0]);
    assert!(station.notice().contains("Release the emergency stop of nest 2"), "{}", station.notice());
    assert_eq!(orders(&station.happens(Input::StartButton(1))), [""; 0]);
    // Its release starts nothing.
    assert_eq!(orders(&station.happens(emergency(1, false))), [""; 0]);
    assert_eq!(orders(&station.happens(Input::StartButton(1))), [format!("start {} on 1", serial(5))]);
    assert_eq!(orders(&station.happens(emergency(7, true))), [""; 0], "a nest that is not there");
}

#[test]
fn nothing_starts_while_the_screen_is_being_left() {
    use super::super::rules::Begin;
    type Happening = (&'static str, fn(&mut Station));
    type Waiting = (&'static str, fn(Rules) -> Station);
    let causes: &[Happening] = &[
        ("Ctrl-C", |station| drop(station.press(Press::Interrupt))),
        ("F10", |station| {
            station.press(Press::EndShift);
            station.press(Press::Enter);
        }),
        ("SIGTERM", |station| drop(station.happens(Input::End("stopped by SIGTERM".to_owned())))),
        ("terminal", |station| drop(station.happens(Input::End("the terminal is gone".to_owned())))),
    ];
    let inputs: &[Happening] = &[
        ("Enter", |station| drop(station.press(Press::Enter))),
        ("start button", |station| drop(station.happens(Input::StartButton(1)))),
        ("lid", |station| {
            station.happens(Input::Lid { nest: 1, closed: false });
            station.happens(Input::Lid { nest: 1, closed: true });
        }),
        ("scan", |station| drop(station.scan(&label(3)))),
        ("paste", |station| drop(station.happens(text(&label(3))))),
        ("badge and PIN", |station| {
            station.happens(text("TE-1"));
            station.happens(text("4711"));
        }),
        ("emergency stop", |station| {
            station.happens(Input::Emergency { nest: 1, pressed: true });
            station.happens(Input::Emergency { nest: 1, pressed: false });
        }),
        ("Esc and Enter", |station| {
            station.press(Press::Escape);
            station.press(Press::Enter);
        }),
        ("Del", |station| drop(station.press(Press::Delete))),
        ("F10", |station| {
            station.press(Press::EndShift);
            station.press(Press::Enter);
        }),
        ("a run that ends", |station| {
            station.ends(0, Verdict::Aborted);
            station.press(Press::Enter);
            station.happens(Input::StartButton(1));
        }),
    ];
    // What waits when the screen is being left: a unit that was scanned, and one that needs a permission.
    let waiting: &[Waiting] = &[
        ("a unit waits", |rules| {
            let begin = rules.begin;
            let mut station = running(1, 2, rules);
            // Where a scan starts at once, nothing ever waits for Enter.
            if begin != Begin::Scan {
                station.press(Press::NestStatus(1));
                station.scan(&label(2));
            }
            station
        }),
        ("a unit is to be allowed", |rules| asked(running(1, 2, rules))),
    ];
    for begin in [Begin::Button, Begin::Lid, Begin::Scan] {
        for (wait, situation) in waiting {
            for (cause, leave) in causes {
                for (what, input) in inputs {
                    let mut station = situation(Rules { begin, ..Rules::default() });
                    leave(&mut station);
                    assert!(station.app.leaving.is_some(), "{cause}");
                    let before = station.done.len();
                    input(&mut station);
                    let started = station.done[before..].iter().any(|action| matches!(action, Action::Start { .. }));
                    assert!(!started, "{begin:?}, {wait}, {cause}, then {what}: {:?}", &station.done[before..]);
                }
            }
        }
    }
}
