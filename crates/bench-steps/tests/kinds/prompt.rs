//! `prompt` against a person who follows a script.

use crate::bed::{Bed, RecordedLog, Setup};
use crate::plans::World;
use bench_instruments::{
    Answer, AnswerForm, AnswerValue, InstrumentError, ManualClock, Nobody, Person, ScriptedPerson, with_deadline,
};
use bench_run::BenchTime;
use bench_steps::StepError;
use std::rc::Rc;
use std::time::Duration;

const CONFIRM: &str = "kind = 'prompt'\ntext = 'Is the LED green?'\npins = ['D4']";
const COLOUR: &str = "kind = 'prompt'\ntext = 'Which colour?'\nchoices = ['red', 'green']\nexpect = 'green'";
const VOLTS: &str = "kind = 'prompt'\ntext = 'What does the meter show?'\nlimits = { min = '1 V', max = '2 V' }";
const COUNT: &str = "kind = 'prompt'\ntext = 'How many?'\nlimits = { min = 3, max = 3 }";
const LABEL: &str = "kind = 'prompt'\ntext = 'Label?'\npattern = '[A-Z]{2}[0-9]+'";
const THIS_LABEL: &str = "kind = 'prompt'\ntext = 'Label?'\npattern = '[A-Z]{2}[0-9]+'\nexpect = 'AB12'";

fn answered(value: AnswerValue) -> Option<Result<Answer, InstrumentError>> {
    Some(Ok(Answer { value, by: Some("0042".to_owned()) }))
}

/// The reading, the diagnoses and the end of one run, with this person.
fn ask(world: &World, step: &str, person: Rc<dyn Person>) -> (Option<f64>, Vec<String>, Result<(), StepError>) {
    let plan = world.check(step).unwrap_or_else(|problem| panic!("{step}: {problem}"));
    let clock = ManualClock::new();
    let (_, mut nest) = Bed::new(Setup::default(), &world.fixture, world.family(), &clock);
    nest.person = person;
    let log = RecordedLog::default();
    let run = plan.steps[0].procedure.run(&nest, &log);
    let ended = clock.run(with_deadline(&clock, BenchTime::default() + Duration::from_secs(60), run));
    let ended = ended.unwrap_or_else(|_| Err(StepError::Bench("timed out".to_owned())));
    (log.reading("answer"), log.texts(), ended)
}

#[test]
fn answers_become_readings() {
    use AnswerValue::{Choice, No, Number, Text, Yes};
    let world = World::new();
    let text = |text: &str| Text(text.to_owned());
    let not_expected = "contact 66 (D4): the person answered no, expected yes: Is the LED green?";
    let rows = [
        (CONFIRM, Yes, 1.0, ""),
        (CONFIRM, No, 0.0, not_expected),
        (COLOUR, Choice(1), 1.0, ""),
        (COLOUR, Choice(0), 0.0, "the person answered red, expected green: Which colour?"),
        (VOLTS, Number(1.5), 1.5, ""),
        (
            VOLTS,
            Number(2.5),
            2.5,
            "the person answered 2.500 V, expected 1.000 V to 2.000 V: What does the meter show?",
        ),
        (COUNT, Number(3.0), 3.0, ""),
        (LABEL, text("AB12"), 1.0, ""),
        (THIS_LABEL, text("AB12"), 1.0, ""),
        (THIS_LABEL, text("AB13"), 0.0, "the person answered \"AB13\", expected \"AB12\": Label?"),
    ];
    for (step, value, reading, diagnosis) in rows {
        let person = Rc::new(ScriptedPerson::new([answered(value.clone())]));
        let (read, texts, ended) = ask(&world, step, person);
        assert_eq!(read, Some(reading), "{step} {value:?}");
        assert_eq!(texts.join("\n"), diagnosis, "{step} {value:?}");
        assert!(ended.is_ok(), "{step} {value:?}: {ended:?}");
    }
}

/// No answer is an error of the bench and leaves no reading, so that it can never pass.
#[test]
fn without_an_answer_nothing_is_measured() {
    let world = World::new();
    let cannot = || Some(Err(InstrumentError::CannotSay("Is the LED green?".to_owned())));
    let of_other_form = || answered(AnswerValue::Choice(1));
    let people: [(Rc<dyn Person>, &str); 4] = [
        (Rc::new(Nobody), "a person is needed"),
        (Rc::new(ScriptedPerson::new([cannot()])), "the person at the bench cannot say: Is the LED green?"),
        (Rc::new(ScriptedPerson::new([None])), "timed out"),
        (Rc::new(ScriptedPerson::new([of_other_form()])), "the answer has another form"),
    ];
    for (person, expected) in people {
        let (read, texts, ended) = ask(&world, CONFIRM, person);
        assert_eq!((read, texts), (None, Vec::new()), "{expected}");
        match ended {
            Err(StepError::Bench(why)) => assert!(why.contains(expected), "{expected}: {why}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
    // A number is no yes, and a text no number.
    for (step, value) in [
        (VOLTS, AnswerValue::Yes),
        (VOLTS, AnswerValue::Number(f64::NAN)),
        (LABEL, AnswerValue::Yes),
        (COLOUR, AnswerValue::Choice(2)),
    ] {
        let (read, _, ended) = ask(&world, step, Rc::new(ScriptedPerson::new([answered(value)])));
        assert_eq!(read, None, "{step}");
        assert!(matches!(ended, Err(StepError::Bench(_))), "{step}: {ended:?}");
    }
}

#[test]
fn prompts_hold_the_operator_and_cover_what_they_name() {
    let world = World::new();
    let plan = world.check(CONFIRM).unwrap();
    let planned = &plan.steps[0];
    assert_eq!(planned.step.uses, ["operator"]);
    assert_eq!(planned.coverage.len(), 1);
    assert_eq!(planned.procedure.question().map(|question| &question.form), Some(&AnswerForm::Confirm));
}

#[test]
fn prompts_that_cannot_be_answered_are_refused() {
    let world = World::new();
    let rows = [
        ("choices = ['red', 'green']", "which choice does a good module have?"),
        ("choices = ['red', 'green']\nexpect = 'gren'", "`gren` is none of the choices"),
        // By number it would change its meaning with the list.
        ("choices = ['red', 'green']\nexpect = '2'", "`2` is none of the choices"),
        ("choices = ['red']\nexpect = 'red'", "1 is no number of choices"),
        ("choices = ['red', 'Red']\nexpect = 'red'", "`Red` is there twice"),
        ("choices = ['red', '?']\nexpect = 'red'", "\"?\" is no choice"),
        ("choices = ['a', 'b']\nexpect = 'a'\npattern = 'a'", "`choices` and `pattern` ask for different answers"),
        ("limits = { min = '1 V' }\nexpect = '1 V'", "a number is judged against its limits"),
        ("limits = { min = '2 V', max = '1 V' }", "limits are crossed: min is 2.000 V, max only 1.000 V"),
        ("limits = { min = '2 V', max = '3 A' }", "min is in V, max in A"),
        ("limits = { min = '2 volts' }", "unknown unit"),
        ("limits = {}", "limits without a limit"),
        ("pattern = '['", "the pattern is no regular expression: unclosed character class"),
        ("pattern = '[0-9]+'\nexpect = 'x'", "\"x\" does not match [0-9]+"),
        ("expect = 'maybe'", "\"maybe\" is neither yes nor no"),
        ("expect = '?'", "nobody can pass by not answering"),
        ("picture = '../led.svg'", "../led.svg is outside the plan's folder"),
        ("picture = '/led.svg'", "/led.svg is outside the plan's folder"),
        ("picture = 'led.gif'", "the format of led.gif is unknown"),
        ("picture_text = 'a board'", "`picture_text` describes a picture, and there is none"),
        ("pins = ['X9']", "X9"),
    ];
    for (params, expected) in rows {
        let problem = world.check(&format!("kind = 'prompt'\ntext = 'x?'\n{params}")).err();
        let problem = problem.unwrap_or_else(|| panic!("{params} was accepted"));
        assert!(problem.to_string().contains(expected), "{params}\n{problem}");
    }
    let empty = world.check("kind = 'prompt'\ntext = ' '").err().unwrap();
    assert!(empty.to_string().contains("there are no words"), "{empty}");
}
