//! Badges, PINs, and units that the rules turn away.

use super::super::people::hash_pin;
use super::*;
use bench_plan::Source;

pub(super) fn rules() -> Rules {
    // Weak on purpose: the strength is that of the file's hash, and a test need not wait for it.
    let pin = |pin| hash_pin(pin).unwrap();
    let text = format!(
        "badge-required = true\n\
         [[person]]\nid = \"OP-1\"\nname = \"Olga\"\n\
         [[person]]\nid = \"TE-1\"\nname = \"Tim\"\nrole = \"technician\"\npin = \"{}\"\n\
         [[person]]\nid = \"EN-1\"\nname = \"Eva\"\nrole = \"engineer\"\npin = \"{}\"\n",
        pin("4711"),
        pin("0815")
    );
    Rules::parse(&Source::new("operator.toml", text)).unwrap()
}

/// A station with a unit that failed twice, in front of the question.
fn asked() -> Station {
    let mut station = Station::new(1, rules());
    station.scan("OP-1");
    let past = UnitPast { verdicts: vec![Verdict::Fail, Verdict::Fail], ..UnitPast::default() };
    station.runs.0.borrow_mut().insert(serial(1), past);
    station.scan(&label(1));
    station
}

#[test]
fn nobody_tests_without_a_badge_when_the_rules_want_one() {
    let mut station = Station::new(1, rules());
    station.scan(&label(1));
    assert!(station.notice().contains("badge first"), "{}", station.notice());
    station.scan("op-1");
    assert!(station.notice().contains("Olga"), "{}", station.notice());
    station.scan(&label(1));
    let actions = station.press(Press::Enter);
    let notes = actions.iter().find_map(|action| match action {
        Action::Start { notes, .. } => Some(notes.clone()),
        _ => None,
    });
    assert_eq!(notes.unwrap(), ["operator: OP-1"]);
    station.press(Press::LogOff);
    assert_eq!(station.app.operator, None);
}

#[test]
fn who_lets_a_unit_in() {
    let rows: [(&[&str], bool, &str); 7] = [
        (&["TE-1", "4711"], true, ""),
        (&["EN-1", "0815"], true, ""),
        (&["OP-1"], false, "may not allow"),
        (&["XX-9"], false, "Unknown badge"),
        (&["TE-1", "0815"], false, "Wrong PIN"),
        (&["TE-1", "1", "2", "4711"], true, ""),
        (&["TE-1", "1", "2", "3"], false, "Wrong PIN"),
    ];
    for (scans, let_in, notice) in rows {
        let mut station = asked();
        scans.iter().for_each(|scan| drop(station.scan(scan)));
        let expected = if let_in { format!("ready {}", serial(1)) } else { "empty".to_owned() };
        assert_eq!(station.states(), expected, "{scans:?}");
        assert!(station.notice().contains(notice), "{scans:?}: {}", station.notice());
        let rows: Vec<&Row> = station
            .done
            .iter()
            .filter_map(|action| match action {
                Action::Log(row @ (Row::LetIn { .. } | Row::WrongPin { .. })) => Some(row),
                _ => None,
            })
            .collect();
        let wrong = rows.iter().filter(|row| matches!(row, Row::WrongPin { .. })).count();
        let typed_wrong = scans.iter().skip(1).filter(|pin| !matches!(**pin, "4711" | "0815") || notice == "Wrong PIN");
        assert_eq!(wrong, typed_wrong.count(), "{scans:?}: {rows:?}");
        let allowed = rows.iter().find_map(|row| match row {
            Row::LetIn { allowed_by, runs_before: 2, why, operator: Some(operator), .. } if operator == "OP-1" => {
                Some((allowed_by.as_str(), why.as_str()))
            }
            _ => None,
        });
        assert_eq!(allowed, let_in.then_some((scans[0], "in-repair")), "{scans:?}: {rows:?}");
        assert!(!format!("{:?}", station.done).contains("4711"), "a PIN is written nowhere");
    }
}

#[test]
fn a_pin_is_not_shown_and_a_question_does_not_wait_for_ever() {
    let mut station = asked();
    station.scan("TE-1");
    for digit in "4711".chars() {
        station.press(Press::Character(digit));
    }
    let shown = station.draw(80, 24);
    assert!(shown.contains("****") && !shown.contains("4711"), "{shown}");
    station.soon(Duration::from_secs(300), Input::Tick);
    assert!(matches!(station.app.mode, super::super::app::Mode::Work));
    assert!(station.app.typed.is_empty());
    assert_eq!(station.states(), "empty");
}

#[test]
fn a_unit_that_was_let_in_says_so_in_its_record_and_counts_anew() {
    let mut station = asked();
    station.scan("TE-1");
    station.scan("4711");
    let actions = station.press(Press::Enter);
    let started = actions.iter().find_map(|action| match action {
        Action::Start { notes, .. } => Some(notes.join("; ")),
        _ => None,
    });
    assert_eq!(started.unwrap(), "operator: OP-1; let in by TE-1 although in-repair");
    station.ends(0, Verdict::Fail);
    let State::Done(finished) = &station.app.nests[0].state else { panic!() };
    assert!(finished.advice.order.starts_with("Retest once"), "{:?}", finished.advice);
}

#[test]
fn what_could_not_be_written_down_is_not_allowed() {
    let mut station = asked();
    station.scan("TE-1");
    station.scan("4711");
    station.happens(Input::NotLetIn(serial(1)));
    assert_eq!(station.states(), "empty");
}
