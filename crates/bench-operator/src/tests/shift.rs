//! The way of units through the nests.

use super::*;

/// What was ordered, without what is written and lit.
fn orders(actions: &[Action]) -> Vec<String> {
    let order = |action: &Action| match action {
        Action::Start { nest, serial, .. } => Some(format!("start {serial} on {nest}")),
        Action::Stop { nest, at_once, .. } => Some(format!("stop {nest}{}", if *at_once { " at once" } else { "" })),
        Action::Leave => Some("leave".to_owned()),
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
    // The next label may come while the last verdict still stands.
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
        ("P042AV000000001 SECRET", "ready P042AV000000001, empty", "put it on nest 1"),
        ("p042av000000001 secret", "ready P042AV000000001, empty", "put it on nest 1"),
        ("P006AV000000001 SECRET", "empty, empty", "P006 is not the label of a B404X (expected P042)"),
        ("4006381333931", "empty, empty", "no label of a module"),
        (" ", "empty, empty", "no label of a module"),
        ("\u{1F980}\u{202e}garbage \u{7}\u{1b}[31m", "empty, empty", "no label of a module"),
        (&long, "empty, empty", "no label of a module"),
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
    assert!(station.notice().contains("is on nest 1 already"), "{}", station.notice());
    station.press(Press::Enter);
    station.scan(&label(1));
    assert_eq!(station.states(), format!("runs {}, empty", serial(1)));
    assert!(station.notice().contains("is on nest 1 already"), "{}", station.notice());
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
    station.press(Press::Nest(1));
    assert_eq!(orders(&station.press(Press::Escape)), [""; 0]);
    // A label is no answer, and its Enter neither.
    station.scan(&label(3));
    assert!(station.notice().contains("Answer the question first"));
    assert_eq!(orders(&station.press(Press::Escape)), [""; 0]);
    assert!(matches!(station.app.mode, super::super::app::Mode::Work));
    station.press(Press::Escape);
    let actions = station.press(Press::Enter);
    assert!(matches!(actions[..], [Action::Stop { nest: 1, at_once: false, .. }, Action::Log(_)]), "{actions:?}");
    // Whoever cannot wait for the modem cuts the power.
    station.press(Press::Escape);
    let actions = station.press(Press::Delete);
    assert!(matches!(actions[..], [Action::Stop { nest: 1, at_once: true, .. }, Action::Log(_)]), "{actions:?}");
    station.ends(1, Verdict::Aborted);
    assert_eq!(station.states(), format!("runs {}, aborted {}", serial(1), serial(2)));
    // A question about a run that has ended meanwhile is none any more.
    station.press(Press::Nest(0));
    station.press(Press::Escape);
    station.ends(0, Verdict::Pass);
    assert!(matches!(station.app.mode, super::super::app::Mode::Work));
}

#[test]
fn nothing_is_left_running_when_the_screen_goes() {
    let inputs: [fn() -> Input; 3] = [
        || Input::Press(Press::Interrupt),
        || Input::End("stopped by SIGHUP".to_owned()),
        || Input::End("stopped by SIGTERM".to_owned()),
    ];
    for input in inputs {
        let mut station = Station::new(2, Rules::default());
        station.scan(&label(1));
        station.press(Press::Enter);
        assert_eq!(orders(&station.happens(input())), ["stop 0"]);
        // Twice is once, and nothing new is begun.
        assert_eq!(orders(&station.happens(input())), [""; 0]);
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
