//! Questions of a plan to the operator.

use super::*;
use crate::nest::Lamp;
use crate::picture::PictureTerminal;
use bench_instruments::{Answer, AnswerForm, AnswerValue, Question};
use ratatui::buffer::Cell;

fn question(form: AnswerForm) -> Question {
    Question {
        name: "led".to_owned(),
        text: "Is the LED next to the antenna green?".to_owned(),
        form,
        picture: Some("plans/pictures/led.svg".into()),
        picture_text: Some("the LED next to the antenna".to_owned()),
        within: Some(Duration::from_secs(300)),
    }
}

fn choices() -> AnswerForm {
    AnswerForm::Choice(["red", "green", "dark"].map(str::to_owned).into())
}

fn volts_asked() -> AnswerForm {
    AnswerForm::Number { unit: MeasurementUnit::Volts, limits: Limits::between(1.0, 2.0) }
}

fn label_asked() -> AnswerForm {
    AnswerForm::Text { pattern: Some(".*".to_owned()) }
}

/// Nests whose units are tested, and the first of them asks.
fn asking(nests: usize, rules: Rules, form: AnswerForm) -> Station {
    let mut station = Station::new(nests, rules);
    for number in 1..=u32::try_from(nests).unwrap() {
        station.scan(&label(number));
        station.press(Press::Enter);
    }
    station.entries(0, &half(3.31));
    station.happens(Input::Question(0, 7, Box::new(question(form))));
    station
}

fn tick(station: &mut Station, ms: u64) -> Vec<Action> {
    station.soon(Duration::from_millis(ms), Input::Tick)
}

fn answers(actions: &[Action]) -> Vec<Option<Answer>> {
    let given = actions.iter().filter_map(|action| match action {
        Action::Answer { nest: 0, number: 7, answer } => Some(answer.clone()),
        _ => None,
    });
    given.collect()
}

fn by_screen(value: AnswerValue) -> Option<Answer> {
    Some(Answer { value, by: Some("operator's screen".to_owned()) })
}

#[test]
fn one_key_answers_when_a_pause_follows_it() {
    use AnswerValue::{Choice, No, Yes};
    let rows = [
        (AnswerForm::Confirm, '1', Some(by_screen(Yes))),
        (AnswerForm::Confirm, 'y', Some(by_screen(Yes))),
        (AnswerForm::Confirm, 'J', Some(by_screen(Yes))),
        (AnswerForm::Confirm, '2', Some(by_screen(No))),
        (AnswerForm::Confirm, 'n', Some(by_screen(No))),
        (AnswerForm::Confirm, '0', Some(None)),
        (AnswerForm::Confirm, '?', Some(None)),
        (AnswerForm::Confirm, '3', None),
        (AnswerForm::Confirm, 'x', None),
        (choices(), '1', Some(by_screen(Choice(0)))),
        (choices(), '3', Some(by_screen(Choice(2)))),
        (choices(), '4', None),
        (choices(), '0', Some(None)),
        // A number is typed, and Enter ends it.
        (volts_asked(), '1', None),
    ];
    for (form, key, expected) in rows {
        let mut station = asking(1, Rules::default(), form.clone());
        assert_eq!(answers(&station.press(Press::Character(key))), [], "{form:?} {key}: not yet");
        assert_eq!(answers(&tick(&mut station, 100)), [], "{form:?} {key}: not yet");
        assert_eq!(answers(&tick(&mut station, 200)), Vec::from_iter(expected.clone()), "{form:?} {key}");
        assert_eq!(station.app.asked().is_none(), expected.is_some(), "{form:?} {key}");
    }
}

#[test]
fn what_is_typed_answers_with_enter() {
    use AnswerValue::{Number, Text, Yes};
    let text = |text: &str| Text(text.to_owned());
    let rows = [
        (AnswerForm::Confirm, "y", Some(by_screen(Yes)), ""),
        (AnswerForm::Confirm, "yes", Some(by_screen(Yes)), ""),
        (AnswerForm::Confirm, "11", None, "That is no answer: \"11\" is neither yes nor no"),
        (volts_asked(), "1.5 V", Some(by_screen(Number(1.5))), ""),
        (volts_asked(), "1.5", None, "That is no answer: \"1.5\" has no unit"),
        (volts_asked(), "?", Some(None), ""),
        (label_asked(), "AB12", Some(by_screen(text("AB12"))), ""),
    ];
    for (form, typed, expected, notice) in rows {
        let mut station = asking(1, Rules::default(), form.clone());
        for character in typed.chars() {
            assert_eq!(
                answers(&station.soon(Duration::from_millis(120), Input::Press(Press::Character(character)))),
                []
            );
        }
        let done = station.soon(Duration::from_millis(120), Input::Press(Press::Enter));
        assert_eq!(answers(&done), Vec::from_iter(expected), "{form:?} {typed}");
        assert!(station.notice().starts_with(notice), "{form:?} {typed}: {}", station.notice());
    }
}

/// What a scanner sends at the same time is no answer: neither its first character nor the whole.
#[test]
fn labels_and_badges_are_no_answers() {
    let rules = || Rules {
        person: vec![
            toml::from_str("id = \"1042\"\nname = \"Ada\"").unwrap(), // begins with the key for yes
        ],
        ..Rules::default()
    };
    for form in [AnswerForm::Confirm, choices(), volts_asked(), label_asked()] {
        let mut station = asking(2, rules(), form.clone());
        station.app.focus = 0;
        let badge = station.scan("1042");
        assert_eq!(answers(&badge), [], "{form:?}");
        assert_eq!(station.app.operator.as_deref(), Some("1042"), "{form:?}");
        station.ends(1, Verdict::Pass);
        station.app.focus = 0;
        for scanned in [label(9), format!("SECRET123456 {}", serial(9)), format!("{}{}", serial(8), serial(9))] {
            station.app.focus = 0;
            assert_eq!(answers(&station.scan(&scanned)), [], "{form:?} {scanned}");
            assert_eq!(answers(&tick(&mut station, 400)), [], "{form:?} {scanned}");
            assert!(station.app.nests[0].question.is_some(), "{form:?} {scanned}");
        }
        assert!(station.states().contains(&serial(9)), "the next unit waits: {}", station.states());
        // The badge is in the answer.
        station.app.focus = 0;
        let typed = if matches!(form, AnswerForm::Number { .. }) { "1 V" } else { "1" };
        let mut done = Vec::new();
        for character in typed.chars() {
            done.extend(station.soon(Duration::from_millis(150), Input::Press(Press::Character(character))));
        }
        done.extend(station.soon(Duration::from_millis(150), Input::Press(Press::Enter)));
        let given = answers(&done);
        assert_eq!(given.len(), 1, "{form:?}");
        assert_eq!(given[0].as_ref().unwrap().by.as_deref(), Some("1042"), "{form:?}");
    }
}

/// A text may come from a scanner: what is printed on a shield.
#[test]
fn a_text_may_be_scanned() {
    let mut station = asking(1, Rules::default(), label_asked());
    let done = station.scan("LOT-2026-117");
    assert_eq!(answers(&done), [by_screen(AnswerValue::Text("LOT-2026-117".to_owned()))]);
}

#[test]
fn the_focus_goes_to_the_question_and_the_lamp_shows_it() {
    let mut station = asking(3, Rules::default(), AnswerForm::Confirm);
    assert_eq!(station.app.focus, 0);
    assert_eq!(station.app.nests[0].lamp(), Lamp::Waiting);
    assert_eq!(station.notice(), "Nest 1 asks you something");
    // Another nest asks meanwhile: its turn comes next.
    station.happens(Input::Question(2, 8, Box::new(question(choices()))));
    assert_eq!(station.app.focus, 0);
    station.press(Press::Character('1'));
    tick(&mut station, 300);
    assert_eq!((station.app.focus, station.app.nests[0].lamp()), (2, Lamp::Running));
    // Its time is over.
    station.happens(Input::Withdrawn(2, 8));
    assert!(station.app.nests[2].question.is_none());
    // That of an older question leaves a newer one alone.
    station.happens(Input::Question(2, 9, Box::new(question(choices()))));
    station.happens(Input::Withdrawn(2, 8));
    assert!(station.app.nests[2].question.is_some());
}

#[test]
fn whoever_is_busy_with_another_nest_is_not_disturbed() {
    let mut station = Station::new(2, Rules::default());
    station.scan(&label(1));
    station.press(Press::Enter);
    station.scan(&label(2));
    assert!(matches!(station.app.nests[1].state, State::Ready(_)));
    station.happens(Input::Question(0, 7, Box::new(question(AnswerForm::Confirm))));
    assert_eq!(station.app.focus, 1, "Enter starts the unit that was scanned");
    assert!(station.press(Press::Enter).iter().any(|action| matches!(action, Action::Start { nest: 1, .. })));
}

#[test]
fn a_run_that_is_stopped_or_over_is_not_answered() {
    let mut station = asking(1, Rules::default(), AnswerForm::Confirm);
    // Enter alone is no answer, and starts nothing.
    assert_eq!(answers(&station.press(Press::Enter)), []);
    assert!(station.notice().contains("y or n"), "{}", station.notice());
    station.press(Press::Escape);
    assert_eq!(answers(&station.press(Press::Character('1'))), [], "the question is whether to abort");
    let stopped = station.press(Press::Escape);
    assert_eq!(answers(&stopped), []);
    station.press(Press::Delete);
    assert!(station.app.asked().is_none(), "the power is off");
    station.ends(0, Verdict::Aborted);
    assert!(station.app.nests[0].question.is_none());
    // A question that comes late gets its end at once.
    assert_eq!(answers(&station.happens(Input::Question(0, 7, Box::new(question(AnswerForm::Confirm))))), [None]);
}

#[test]
fn questions_look_like_this() {
    let forms = [("confirm", AnswerForm::Confirm), ("choice", choices()), ("number", volts_asked())];
    for (name, form) in forms {
        for (nests, columns, rows) in [(1, 80, 24), (4, 80, 24), (4, 200, 60)] {
            let mut station = asking(nests, Rules::default(), form.clone());
            station.app.focus = 0;
            if name == "number" {
                for character in "1.5 ".chars() {
                    station.soon(Duration::from_millis(200), Input::Press(Press::Character(character)));
                }
            }
            let shown = station.draw(columns, rows);
            assert!(shown.contains("Is the LED next to the antenna green?"), "{shown}");
            insta::assert_snapshot!(format!("question_{name}_{nests}_{columns}x{rows}"), shown);
        }
    }
    let rules = Rules { language: "de".to_owned(), ..Rules::default() };
    insta::assert_snapshot!("question_german", asking(1, rules, AnswerForm::Confirm).draw(80, 24));
    // Another nest is in focus.
    let mut station = asking(2, Rules::default(), AnswerForm::Confirm);
    station.app.focus = 1;
    insta::assert_snapshot!("question_elsewhere", station.draw(80, 24));
}

const DRAWING: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"10\"/>";

/// A nest that asks with this picture, on a terminal that shows pictures.
fn with_picture(nests: usize, form: AnswerForm, path: &Path) -> Station {
    let mut station = asking(nests, Rules::default(), form.clone());
    station.pictures = Pictures::new(Some(PictureTerminal::kitty(80, 24)));
    station.happens(Input::Withdrawn(0, 7));
    let asked = Question { picture: Some(path.to_owned()), ..question(form) };
    station.happens(Input::Question(0, 8, Box::new(asked)));
    station.app.focus = 0;
    station
}

/// The screen with `#` where the terminal shows the picture.
fn marked(station: &Station, columns: u16, rows: u16) -> String {
    let backend = station.backend(columns, rows);
    let symbol =
        |cell: &Cell| if cell.symbol().contains('\u{10eeee}') { "#".to_owned() } else { cell.symbol().to_owned() };
    let lines = backend.buffer().content().chunks(usize::from(columns));
    lines.map(|line| line.iter().map(symbol).collect::<String>().trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_picture_has_a_place_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("led.svg");
    std::fs::write(&path, DRAWING).unwrap();
    for (name, nests, form) in [("confirm", 1, AnswerForm::Confirm), ("choice", 4, choices())] {
        let mut station = with_picture(nests, form, &path);
        // The answers do not move when the picture comes.
        insta::assert_snapshot!(format!("question_picture_{name}_begun"), marked(&station, 80, 24));
        station.pictures.wait();
        let drawn = marked(&station, 80, 24);
        insta::assert_snapshot!(format!("question_picture_{name}"), drawn);
        // Not over a dialog.
        station.press(Press::Escape);
        assert!(!marked(&station, 80, 24).contains('#'));
        station.press(Press::Escape);
        assert_eq!(marked(&station, 80, 24).matches('#').count(), drawn.matches('#').count(), "{name}");
    }
}

#[test]
fn a_picture_that_cannot_be_drawn_leaves_its_description() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("led.png");
    for content in [None, Some("\x7fPNG"), Some("<svg")] {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let station = with_picture(1, AnswerForm::Confirm, &path);
        station.draw(80, 24);
        station.pictures.wait();
        assert_eq!(marked(&station, 80, 24), asked_without_pictures(&path), "{content:?}");
    }
}

/// What a terminal without pictures shows.
fn asked_without_pictures(path: &Path) -> String {
    let mut station = with_picture(1, AnswerForm::Confirm, path);
    station.pictures = Pictures::new(None);
    marked(&station, 80, 24)
}

/// Units that the station's program refuses are no errors of the bench: they do not stop a nest.
#[test]
fn refused_units_stop_no_nest() {
    let mut station = Station::new(1, Rules::default());
    for number in 1..=4 {
        station.scan(&label(number));
        station.press(Press::Enter);
        let refused = Ended::refused("send it to station 4".to_owned());
        station.happens(Input::FromNest(0, FromNest::Ended(Box::new(refused))));
        let shown = station.draw(80, 24);
        assert!(
            shown.contains("Refused: the module is not tested") && shown.contains("send it to station 4"),
            "{shown}"
        );
        station.press(Press::Enter);
    }
    assert!(station.app.nests[0].stopped.is_none());
}
