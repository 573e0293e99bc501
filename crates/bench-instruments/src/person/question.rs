//! A question of the plan to a person, and how an answer is read from what was typed.

use bench_plan::{nearest, nearest_help, parse_in};
use bench_run::{Limits, MeasurementUnit};
use regex::{Regex, RegexBuilder};
use std::path::PathBuf;
use std::time::Duration;

/// Typed by a person who cannot answer.
pub const CANNOT_SAY: &str = "?";
/// [`Answer::by`] for what was typed at a terminal.
pub const TERMINAL: &str = "terminal";
/// Longest text as an answer, in characters.
pub const LONGEST_ANSWER: usize = 200;
/// Memory of a compiled pattern, which comes from a plan.
const PATTERN_BYTES: usize = 1 << 20;

/// A question with everything that is needed to show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Id of the step. `--answer` names it.
    pub name: String,
    pub text: String,
    pub form: AnswerForm,
    pub picture: Option<PathBuf>,
    /// What the picture shows, for a screen without pictures.
    pub picture_text: Option<String>,
    /// The step's time-out: for a countdown.
    pub within: Option<Duration>,
}

/// What can be answered.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerForm {
    /// Yes or no.
    Confirm,
    /// One of these texts.
    Choice(Vec<String>),
    /// A number in the base unit. The limits are shown: the bench judges.
    Number { unit: MeasurementUnit, limits: Limits },
    /// One line. The pattern must match all of it.
    Text { pattern: Option<String> },
}

/// What a person answered. It has the form of the question.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerValue {
    Yes,
    No,
    /// Index of the choice, from 0.
    Choice(usize),
    /// In the base unit.
    Number(f64),
    Text(String),
}

/// An answer and who gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub value: AnswerValue,
    /// The operator's badge, or where the answer came from.
    pub by: Option<String>,
}

impl AnswerForm {
    /// What to type, in one line without a full stop.
    pub fn how(&self) -> String {
        match self {
            AnswerForm::Confirm => "y or n".to_owned(),
            AnswerForm::Choice(choices) => {
                let numbered = choices.iter().enumerate().map(|(index, choice)| format!("{} {choice}", index + 1));
                numbered.collect::<Vec<_>>().join(", ")
            }
            AnswerForm::Number { unit: MeasurementUnit::One, .. } => "a number".to_owned(),
            AnswerForm::Number { unit, .. } => format!("a number with its unit, such as {}", unit.show(1.0)),
            AnswerForm::Text { pattern: Some(pattern) } => format!("a text that matches {pattern}"),
            AnswerForm::Text { pattern: None } => "a text".to_owned(),
        }
    }

    /// Whether the value is an answer of this form.
    pub fn fits(&self, value: &AnswerValue) -> bool {
        match (self, value) {
            (AnswerForm::Confirm, AnswerValue::Yes | AnswerValue::No)
            | (AnswerForm::Text { .. }, AnswerValue::Text(_)) => true,
            (AnswerForm::Choice(choices), AnswerValue::Choice(index)) => *index < choices.len(),
            (AnswerForm::Number { .. }, AnswerValue::Number(value)) => value.is_finite(),
            _ => false,
        }
    }

    /// An answer as a person reads it.
    pub fn show(&self, value: &AnswerValue) -> String {
        match (self, value) {
            (_, AnswerValue::Yes) => "yes".to_owned(),
            (_, AnswerValue::No) => "no".to_owned(),
            (AnswerForm::Choice(choices), AnswerValue::Choice(index)) => {
                choices.get(*index).cloned().unwrap_or_else(|| format!("choice {}", index + 1))
            }
            (_, AnswerValue::Choice(index)) => format!("choice {}", index + 1),
            (AnswerForm::Number { unit, .. }, AnswerValue::Number(value)) => unit.show(*value),
            (_, AnswerValue::Number(value)) => value.to_string(),
            (_, AnswerValue::Text(text)) => format!("\"{text}\""),
        }
    }
}

/// Checks a pattern of a plan. The error is one sentence without a full stop.
///
/// # Errors
/// When it is no regular expression, or a huge one.
pub fn check_pattern(pattern: &str) -> Result<(), String> {
    compiled(pattern).map(drop)
}

/// The pattern for a whole line: `[0-9]+` does not match "12 V".
fn compiled(pattern: &str) -> Result<Regex, String> {
    // Alone first, so that a group that is not closed is not closed by ours.
    let build = |pattern: &str| RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build();
    let whole = build(pattern).and_then(|_| build(&format!("\\A(?:{pattern})\\z")));
    whole.map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!("it takes more than {limit} bytes when it is compiled"),
        // The last line says what is wrong, those above show where.
        error => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}

/// Reads what was typed as an answer of this form. `None` when the person cannot say.
///
/// # Errors
/// One sentence that says why it is no answer, and what would be one.
pub fn parse_answer(form: &AnswerForm, typed: &str) -> Result<Option<AnswerValue>, String> {
    let typed = typed.trim();
    if typed == CANNOT_SAY {
        return Ok(None);
    }
    let count = typed.chars().count();
    if count > LONGEST_ANSWER {
        return Err(format!("the answer has {count} characters, and at most {LONGEST_ANSWER} are allowed"));
    }
    if typed.chars().any(char::is_control) {
        return Err(format!("{typed:?} has control characters; type plain text"));
    }
    if typed.is_empty() {
        return Err(format!("nothing was typed; type {}", form.how()));
    }
    let value = match form {
        AnswerForm::Confirm => confirm(typed)?,
        AnswerForm::Choice(choices) => choice(choices, typed)?,
        AnswerForm::Number { unit, .. } => {
            let read = parse_in(typed, *unit).map_err(|error| format!("{}; {}", error.wrong, error.help()))?;
            AnswerValue::Number(read)
        }
        AnswerForm::Text { pattern } => {
            let pattern = pattern.as_deref();
            let compiled = pattern.map(compiled).transpose()?;
            if let (Some(pattern), Some(compiled)) = (pattern, compiled)
                && !compiled.is_match(typed)
            {
                return Err(format!("{typed:?} does not match {pattern}"));
            }
            AnswerValue::Text(typed.to_owned())
        }
    };
    Ok(Some(value))
}

fn confirm(typed: &str) -> Result<AnswerValue, String> {
    match typed.to_lowercase().as_str() {
        "y" | "yes" => Ok(AnswerValue::Yes),
        "n" | "no" => Ok(AnswerValue::No),
        _ => Err(match nearest(typed, ["yes", "no"].into_iter()) {
            Some(meant) => format!("{typed:?} is neither yes nor no; did you mean `{meant}`?"),
            None => format!("{typed:?} is neither yes nor no; type y or n"),
        }),
    }
}

/// A choice by its text or, where no text is so, by its number from 1.
fn choice(choices: &[String], typed: &str) -> Result<AnswerValue, String> {
    let same = |of: &dyn Fn(&str) -> bool| choices.iter().position(|choice| of(choice));
    let by_text =
        same(&|choice| choice == typed).or_else(|| same(&|choice| choice.to_lowercase() == typed.to_lowercase()));
    if let Some(index) = by_text {
        return Ok(AnswerValue::Choice(index));
    }
    match typed.parse::<usize>() {
        Ok(number) if (1..=choices.len()).contains(&number) => Ok(AnswerValue::Choice(number - 1)),
        Ok(_) => Err(format!("there is no choice {typed}; type a number from 1 to {}", choices.len())),
        Err(_) => {
            let help = nearest_help(typed, choices.iter().map(String::as_str), "choices");
            Err(format!("{typed:?} is none of the choices; {help}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(of: &[&str]) -> AnswerForm {
        AnswerForm::Choice(of.iter().map(|&choice| choice.to_owned()).collect())
    }

    fn number(unit: MeasurementUnit) -> AnswerForm {
        AnswerForm::Number { unit, limits: Limits::between(1.0, 2.0) }
    }

    fn text(pattern: &str) -> AnswerForm {
        AnswerForm::Text { pattern: Some(pattern.to_owned()) }
    }

    #[test]
    fn what_is_typed_is_read_as_an_answer() {
        use AnswerValue::{Choice, No, Number, Text, Yes};
        let colours = choices(&["red", "green", "Dark blue"]);
        let numerals = choices(&["2", "1"]);
        let volts = number(MeasurementUnit::Volts);
        let plain = number(MeasurementUnit::One);
        let label = text("[A-Z]{2}[0-9]+");
        let anything = AnswerForm::Text { pattern: None };
        let rows = [
            (&AnswerForm::Confirm, "y", Some(Yes)),
            (&AnswerForm::Confirm, " YES ", Some(Yes)),
            (&AnswerForm::Confirm, "n", Some(No)),
            (&AnswerForm::Confirm, "No", Some(No)),
            (&AnswerForm::Confirm, "?", None),
            (&colours, "2", Some(Choice(1))),
            (&colours, "Green", Some(Choice(1))),
            (&colours, "dark blue", Some(Choice(2))),
            (&colours, " ? ", None),
            // The text comes first: the choice "1" is the second one.
            (&numerals, "1", Some(Choice(1))),
            (&volts, "1.5 V", Some(Number(1.5))),
            (&volts, "150mV", Some(Number(0.15))),
            // The judge says that it is out of limits, not the parser.
            (&volts, "-7 V", Some(Number(-7.0))),
            (&plain, "12", Some(Number(12.0))),
            (&plain, "-1.5e3", Some(Number(-1500.0))),
            (&label, "AB12", Some(Text("AB12".to_owned()))),
            (&anything, " two words ", Some(Text("two words".to_owned()))),
        ];
        for (form, typed, expected) in rows {
            assert_eq!(parse_answer(form, typed), Ok(expected), "{form:?} {typed:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused_with_one_sentence() {
        let colours = choices(&["red", "green"]);
        let rows = [
            (AnswerForm::Confirm, "", "nothing was typed; type y or n"),
            (AnswerForm::Confirm, "yse", "\"yse\" is neither yes nor no; did you mean `yes`?"),
            (AnswerForm::Confirm, "maybe", "\"maybe\" is neither yes nor no; type y or n"),
            (AnswerForm::Confirm, "1", "\"1\" is neither yes nor no; type y or n"),
            (colours.clone(), "", "nothing was typed; type 1 red, 2 green"),
            (colours.clone(), "gren", "\"gren\" is none of the choices; did you mean `green`?"),
            (colours.clone(), "blue", "\"blue\" is none of the choices; known choices: red, green"),
            (colours.clone(), "0", "there is no choice 0; type a number from 1 to 2"),
            (colours, "3", "there is no choice 3; type a number from 1 to 2"),
            (number(MeasurementUnit::Volts), "3.3", "\"3.3\" has no unit; expected a voltage such as \"3.3 V\""),
            (
                number(MeasurementUnit::Volts),
                "3,3 V",
                "\"3,3 V\" is no number with a unit as they are written here; did you mean \"3.3 V\"? Use a point for the \
                 decimals, plain digits, and nothing between thousands",
            ),
            (number(MeasurementUnit::Volts), "10 mA", "\"10 mA\" is a current; expected a voltage such as \"3.3 V\""),
            (
                number(MeasurementUnit::One),
                "4,7",
                "\"4,7\" is no plain number; did you mean \"4.7\"? Use a point for the decimals, plain digits, and nothing \
                 between thousands",
            ),
            (
                number(MeasurementUnit::One),
                "NaN",
                "\"NaN\" is no plain number; expected a number without a unit such as 12",
            ),
            (
                number(MeasurementUnit::One),
                "inf",
                "\"inf\" is no plain number; expected a number without a unit such as 12",
            ),
            (
                number(MeasurementUnit::One),
                "1e999",
                "\"1e999\" is no plain number; expected a number without a unit such as 12",
            ),
            // The pattern is for all that was typed.
            (text("[0-9]+"), "12 V", "\"12 V\" does not match [0-9]+"),
            (text("a|ab"), "abc", "\"abc\" does not match a|ab"),
            (
                AnswerForm::Text { pattern: None },
                "a\u{1b}[2J",
                "\"a\\u{1b}[2J\" has control characters; type plain text",
            ),
        ];
        for (form, typed, expected) in rows {
            assert_eq!(parse_answer(&form, typed), Err(expected.to_owned()), "{form:?} {typed:?}");
        }
        let long = "x".repeat(LONGEST_ANSWER + 1);
        let refused = parse_answer(&AnswerForm::Text { pattern: None }, &long).unwrap_err();
        assert_eq!(refused, "the answer has 201 characters, and at most 200 are allowed");
        assert!(parse_answer(&AnswerForm::Text { pattern: None }, &long[1..]).is_ok());
    }

    #[test]
    fn patterns_are_checked() {
        for good in ["^[A-Z]{2}[0-9]+$", "a|ab", "(?i)b404x?", ""] {
            assert_eq!(check_pattern(good), Ok(()), "{good:?}");
        }
        assert!(parse_answer(&text("a|ab"), "ab").is_ok(), "the longer alternative is found");
        for (bad, why) in [("(", "unclosed group"), ("[a-", "unclosed character class"), ("a)(b", "unopened group")] {
            assert_eq!(check_pattern(bad), Err(why.to_owned()), "{bad:?}");
        }
        let huge = check_pattern("((a{100}){100}){100}").unwrap_err();
        assert!(huge.starts_with("it takes more than"), "{huge}");
    }

    #[test]
    fn answers_are_shown_as_people_read_them() {
        use AnswerValue::{Choice, No, Number, Text, Yes};
        let colours = choices(&["red", "green"]);
        for (form, value, shown) in [
            (&AnswerForm::Confirm, Yes, "yes"),
            (&AnswerForm::Confirm, No, "no"),
            (&colours, Choice(1), "green"),
            (&colours, Choice(7), "choice 8"),
            (&number(MeasurementUnit::Volts), Number(0.15), "150.0 mV"),
            (&text("."), Text("x".to_owned()), "\"x\""),
        ] {
            assert_eq!(form.show(&value), shown, "{value:?}");
        }
    }
}
