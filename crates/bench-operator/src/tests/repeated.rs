//! Several different units in a row with the same trouble: their nest stops, and a person releases it.

use super::people::rules;
use super::*;
use crate::nest::Lamp;

/// A run that fails at contact 23 and nowhere else.
fn open_23() -> Vec<Entry> {
    let elsewhere = |entry: &Entry| matches!(&entry.event, Event::Diagnosed { diagnosis, .. } if diagnosis.contacts != [Contact(23)]);
    run(Verdict::Fail).into_iter().filter(|entry| !elsewhere(entry)).collect()
}

impl Station {
    /// Tests the next unit on this nest: label, start, run, verdict, removal. Returns whether it was tested there.
    fn tests(&mut self, nest: usize, number: u32, entries: &[Entry], verdict: Verdict) -> bool {
        self.press(Press::NestStatus(nest));
        self.scan(&label(number));
        if !matches!(&self.app.nests[nest].state, State::Ready(unit) if unit.serial == serial(number)) {
            return false;
        }
        self.press(Press::Enter);
        self.entries(nest, entries);
        self.happens(Input::FromNest(nest, FromNest::Ended(Box::new(ended(verdict, entries)))));
        self.press(Press::NestStatus(nest));
        self.press(Press::Enter);
        true
    }

    fn stopped(&self) -> Vec<bool> {
        self.app.nests.iter().map(|nest| nest.stopped.is_some()).collect()
    }

    fn log(&self, is_wanted: impl Fn(&Row) -> bool) -> Vec<Row> {
        let row = |action: &Action| match action {
            Action::Log(row) if is_wanted(row) => Some(row.clone()),
            _ => None,
        };
        self.done.iter().filter_map(row).collect()
    }

    /// What the last run on any nest has in its record.
    fn last_notes(&self) -> String {
        let notes = self.done.iter().rev().find_map(|action| match action {
            Action::Start { notes, .. } => Some(notes.join("; ")),
            _ => None,
        });
        notes.unwrap()
    }
}

/// Five different modules with an open at contact 23 on nest 2 of 4, and good ones on the others.
#[test]
fn five_modules_with_the_same_contact_stop_their_nest() {
    let mut station = Station::new(4, rules());
    station.scan("OP-1");
    let mut tested = Vec::new();
    for round in 0..5 {
        for nest in 0..4 {
            let number = round * 4 + nest + 1;
            let (entries, verdict) =
                if nest == 1 { (open_23(), Verdict::Fail) } else { (run(Verdict::Pass), Verdict::Pass) };
            if station.tests(nest as usize, number, &entries, verdict) {
                tested.push(nest);
            } else {
                // The label went to another nest, which is free: it is given up there.
                assert_eq!(nest, 1);
                station.press(Press::Escape);
            }
        }
    }
    let on = |nest: u32| tested.iter().filter(|tested| **tested == nest).count();
    assert_eq!([on(0), on(1), on(2), on(3)], [5, 3, 5, 5]);
    assert_eq!(station.stopped(), [false, true, false, false]);
    assert_eq!(station.app.nests[1].lamp(), Lamp::Trouble);
    let why = "contact 23 failed on 3 different modules: suspect nail 23";
    let stops = station.log(|row| matches!(row, Row::NestStopped { .. }));
    assert!(matches!(&stops[..], [Row::NestStopped { nest: 2, why: said, .. }] if said == why), "{stops:?}");

    // Who releases it: an operator may not, a technician may.
    station.press(Press::NestStatus(1));
    station.press(Press::Enter);
    station.scan("OP-1");
    assert!(station.notice().contains("may not allow"), "{}", station.notice());
    station.scan("TE-1");
    station.scan("4711");
    assert_eq!(station.stopped(), [false; 4]);
    let releases = station.log(|row| matches!(row, Row::NestReleased { .. }));
    let expected = Row::NestReleased {
        at: "2026-01-01T00:00:00Z".to_owned(),
        nest: 2,
        why: why.to_owned(),
        operator: Some("OP-1".to_owned()),
        released_by: "TE-1".to_owned(),
    };
    assert_eq!(releases, [expected]);

    // The next unit there has it in its record, and those after it do not; the count begins again.
    let note = format!("nest 2 was stopped ({why}) and released by TE-1");
    for (number, noted, stopped) in [(31, true, false), (32, false, false), (33, false, true)] {
        assert!(station.tests(1, number, &open_23(), Verdict::Fail));
        assert_eq!(station.last_notes().contains(&note), noted, "{}", station.last_notes());
        assert_eq!(station.stopped()[1], stopped, "{number}");
    }
}

#[test]
fn what_stops_a_nest_and_what_does_not() {
    let pass = || (run(Verdict::Pass), Verdict::Pass);
    let fail = || (open_23(), Verdict::Fail);
    let error = || (run(Verdict::Error), Verdict::Error);
    let abort = || (run(Verdict::Aborted), Verdict::Aborted);
    type Tested = (u32, (Vec<Entry>, Verdict));
    let rows: [(&str, Vec<Tested>, bool); 6] = [
        ("three modules", vec![(1, fail()), (2, fail()), (3, fail())], true),
        ("one that is tested again", vec![(1, fail()), (1, fail()), (2, fail()), (2, fail())], false),
        ("a good one in between", vec![(1, fail()), (2, fail()), (3, pass()), (4, fail())], false),
        ("one that passes when it is tested again", vec![(1, fail()), (1, pass()), (2, fail()), (3, fail())], true),
        ("three errors", vec![(1, error()), (2, error()), (3, error())], true),
        ("aborted runs", vec![(1, abort()), (2, abort()), (3, abort()), (4, abort())], false),
    ];
    for (what, tested, expected) in rows {
        let mut station = Station::new(2, Rules::default());
        for (number, (entries, verdict)) in tested {
            assert!(station.tests(0, number, &entries, verdict), "{what}");
        }
        assert_eq!(station.stopped(), [expected, false], "{what}");
    }
}

/// The unit that stopped its nest goes to another one; nothing begins on the stopped one, whatever is pressed.
#[test]
fn nothing_begins_on_a_stopped_nest() {
    let mut station = Station::new(2, Rules::default());
    for number in 1..=2 {
        assert!(station.tests(0, number, &open_23(), Verdict::Fail));
    }
    station.press(Press::NestStatus(0));
    station.scan(&label(3));
    station.press(Press::Enter);
    station.entries(0, &open_23());
    station.happens(Input::FromNest(0, FromNest::Ended(Box::new(ended(Verdict::Fail, &open_23())))));
    let State::Done(finished) = &station.app.nests[0].state else { panic!("{}", station.states()) };
    assert_eq!(finished.advice.order, "Nest stopped: call the technician");
    assert!(finished.advice.details[0].starts_with("Contact 23 failed on 3 different modules"));
    station.scan(&label(3));
    assert_eq!(station.states(), format!("empty, ready {}", serial(3)));
    station.happens(Input::StartButton(0));
    station.happens(Input::Lid { nest: 0, closed: true });
    station.press(Press::Enter);
    assert_eq!(station.states(), format!("empty, runs {}", serial(3)));
    station.scan(&label(4));
    assert!(station.notice().contains("Every nest is busy"), "{}", station.notice());

    // Nobody has a badge here, so the operator releases it.
    station.press(Press::NestStatus(0));
    station.press(Press::Enter);
    station.press(Press::Escape);
    assert_eq!(station.stopped(), [true, false]);
    station.press(Press::Enter);
    station.press(Press::Enter);
    assert_eq!(station.stopped(), [false, false]);
    let releases = station.log(|row| matches!(row, Row::NestReleased { .. }));
    assert!(matches!(&releases[..], [Row::NestReleased { released_by, .. }] if released_by == "operator"));
    // Without its line in the log it did not happen.
    station.happens(Input::NotReleased(0));
    assert_eq!(station.stopped(), [true, false]);
}

/// What an earlier shift left stopped.
#[test]
fn a_nest_stays_stopped_over_the_end_of_a_shift() {
    let mut station = Station::new(2, Rules::default());
    let causes = vec![bench_stats::Cause::Contact(Contact(23))];
    let mut setup = station.app.setup.clone();
    setup.stopped = vec![None, Some(bench_stats::Suspicion { causes, units: 3 })];
    station.app = App::new(setup, Texts::new("en").unwrap(), Box::new(station.runs.clone()));
    assert_eq!(station.stopped(), [false, true]);
    assert!(!station.tests(1, 1, &run(Verdict::Pass), Verdict::Pass));
}

/// Nest 2 of 4 is stopped, and the module that stopped it was taken out.
pub(super) fn stopped() -> Station {
    let mut station = Station::new(4, rules());
    station.scan("OP-1");
    for (nest, number) in [(0, 1), (1, 2), (1, 3), (1, 4)] {
        let (entries, verdict) =
            if nest == 0 { (run(Verdict::Pass), Verdict::Pass) } else { (open_23(), Verdict::Fail) };
        assert!(station.tests(nest, number, &entries, verdict));
    }
    station.press(Press::NestStatus(2));
    station
}

#[test]
fn what_people_see_of_a_stopped_nest() {
    let mut station = Station::new(4, rules());
    station.scan("OP-1");
    for number in 1..=3 {
        if number == 3 {
            station.press(Press::NestStatus(1));
            station.scan(&label(number));
            station.press(Press::Enter);
            station.entries(1, &open_23());
            station.happens(Input::FromNest(1, FromNest::Ended(Box::new(ended(Verdict::Fail, &open_23())))));
        } else {
            assert!(station.tests(1, number, &open_23(), Verdict::Fail));
        }
    }
    for (columns, rows) in [(80, 24), (200, 60)] {
        insta::assert_snapshot!(format!("stopped_verdict_{columns}x{rows}"), station.draw(columns, rows));
    }
    station.press(Press::NestStatus(1));
    station.press(Press::Enter);
    for (columns, rows) in [(80, 24), (200, 60)] {
        insta::assert_snapshot!(format!("stopped_{columns}x{rows}"), station.draw(columns, rows));
    }
    station.press(Press::Enter);
    insta::assert_snapshot!("stopped_release_80x24", station.draw(80, 24));
    station.scan("TE-1");
    station.press(Press::Language);
    insta::assert_snapshot!("stopped_pin_german_80x24", station.draw(80, 24));
}

/// The golden module is due on one nest: the screen asks for it, the record says so, and a signature made meanwhile
/// counts.
#[test]
fn a_nest_asks_for_its_golden_module() {
    use crate::sign_off::{GoldenOutcome, SignOff};
    let signed = |at: &str, outcome| SignOff {
        serial: serial(99),
        plan: "b404x".to_owned(),
        station: None,
        nest: None,
        run_id: "r".to_owned(),
        at: Some(at.to_owned()),
        by: "Kim".to_owned(),
        outcome,
        compared: 600,
        drifted: 0,
    };
    let mut station = Station::new(2, Rules { golden_hours: 24, ..Rules::default() });
    *station.runs.1.borrow_mut() = vec![Some(signed("2025-12-30T17:00:00Z", GoldenOutcome::Agrees)), None];
    station.happens(Input::Tick);
    let shown = station.draw(100, 30);
    assert!(
        shown.contains("Golden module due: Kim signed it off 31 hours") && shown.contains("never tested"),
        "{shown}"
    );
    assert!(station.tests(0, 1, &run(Verdict::Pass), Verdict::Pass));
    assert!(station.last_notes().contains("golden module due: signed off 31 h ago by Kim"), "{}", station.last_notes());

    *station.runs.1.borrow_mut() = vec![
        Some(signed("2026-01-01T00:00:00Z", GoldenOutcome::Agrees)),
        Some(signed("2026-01-01T00:00:00Z", GoldenOutcome::Drifted)),
    ];
    station.soon(Duration::from_secs(11), Input::Tick);
    let shown = station.draw(100, 30);
    assert!(!shown.contains("due") && shown.contains("golden module drifted (Kim): call the"), "{shown}");
    assert!(station.tests(0, 2, &run(Verdict::Pass), Verdict::Pass));
    assert!(!station.last_notes().contains("golden"), "{}", station.last_notes());
}
