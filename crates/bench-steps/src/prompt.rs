//! `prompt`: asks a person what no instrument sees: whether an LED is lit, which of several pictures a display shows,
//! what a meter reads, what is printed on a label.

use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::{AnswerForm, AnswerValue, Question, check_pattern, parse_answer};
use bench_plan::{AnyLimits, Coverage, ParamProblem, RawPinSelector, Resolved, Spanned, Surroundings, nearest_help};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit, Verdict, judge};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The question.
    #[schemars(with = "String")]
    text: Spanned<String>,
    /// A PNG or SVG file, relative to the plan.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    picture: Option<Spanned<String>>,
    /// What the picture shows, for a screen without pictures.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    picture_text: Option<Spanned<String>>,
    /// The answer of a good module. Without `choices` and `pattern`: "yes", which is the default, or "no".
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    expect: Option<Spanned<String>>,
    /// The texts to choose from.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    choices: Option<Spanned<Vec<String>>>,
    /// The person types a number. It is judged against these limits.
    #[serde(default)]
    #[schemars(with = "Option<AnyLimits>")]
    limits: Option<Spanned<AnyLimits>>,
    /// The person types a text. This regular expression must match all of it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pattern: Option<Spanned<String>>,
    /// The contacts that the answer tests.
    #[serde(default)]
    pins: Option<RawPinSelector>,
}

/// Time for an answer. The person may have to walk to the bench.
const TIMEOUT: Duration = Duration::from_secs(300);
const LONGEST_QUESTION: usize = 400;
const MOST_CHOICES: usize = 9;

pub struct Prompt {
    question: Question,
    /// Unset: any answer of the form, or a number that is judged.
    expected: Option<AnswerValue>,
    answer: MeasurementSpec,
    /// The contacts with their labels.
    labels: Vec<String>,
}

impl Kind for Prompt {
    const NAME: &'static str = "prompt";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        one_form(&params)?;
        let text = one_screen(&params.text)?;
        let contacts = params.pins.as_ref().map(|pins| pins.resolve(around.dut)).transpose()?.unwrap_or_default();
        let picture = params.picture.as_ref().map(picture).transpose()?;
        if let (None, Some(_)) = (&picture, &params.picture_text) {
            let problem = ParamProblem::new("`picture_text` describes a picture, and there is none");
            return Err(problem.help("add `picture`, or take `picture_text` out"));
        }
        let picture_text = params.picture_text.as_ref().map(one_screen).transpose()?;
        let form = form(&params)?;
        let expected = expected(&form, params.expect.as_ref())?;
        let (unit, limits) = match &form {
            AnswerForm::Number { unit, limits } => (*unit, *limits),
            _ => (MeasurementUnit::One, Limits::exactly(1.0)),
        };
        let answer = MeasurementSpec { name: "answer".to_owned(), unit, limits, contacts: contacts.clone() };
        let question = Question { name: String::new(), text, form, picture, picture_text, within: None };
        let labels = contacts.iter().map(|contact| around.dut.label(*contact)).collect();
        Ok(Resolved {
            measurements: vec![answer.clone()],
            coverage: contacts.iter().map(|&contact| Coverage { contact, aspects: vec!["function"] }).collect(),
            uses: resource::list(&[resource::OPERATOR]),
            shares: Vec::new(),
            default_timeout: TIMEOUT,
            procedure: Box::new(Prompt { question, expected, answer, labels }),
        })
    }
}

/// Refuses keys that contradict each other.
fn one_form(params: &Params) -> Result<(), ParamProblem> {
    let given = [
        ("choices", params.choices.as_ref().map(Spanned::span)),
        ("limits", params.limits.as_ref().map(Spanned::span)),
        ("pattern", params.pattern.as_ref().map(Spanned::span)),
    ];
    let mut given = given.into_iter().filter_map(|(key, span)| Some((key, span?)));
    let Some((first, _)) = given.next() else { return Ok(()) };
    if let Some((second, span)) = given.next() {
        return Err(ParamProblem::new(format!("`{first}` and `{second}` ask for different answers"))
            .at(span, "one too many")
            .help("one step asks one question: keep one of `choices`, `limits` and `pattern`"));
    }
    match &params.expect {
        Some(expect) if first == "limits" => Err(ParamProblem::new("a number is judged against its limits")
            .at(expect.span(), "judges nothing")
            .help("take `expect` out")),
        _ => Ok(()),
    }
}

/// Words that fit on a screen, without what could change it.
fn one_screen(text: &Spanned<String>) -> Result<String, ParamProblem> {
    let trimmed = text.get_ref().trim();
    let count = trimmed.chars().count();
    let wrong = |what: String| Err(ParamProblem::new(what).at(text.span(), "here"));
    if trimmed.is_empty() {
        return wrong("there are no words".to_owned());
    }
    if count > LONGEST_QUESTION {
        return wrong(format!("{count} characters; at most {LONGEST_QUESTION} fit on a screen"));
    }
    if trimmed.chars().any(|c| c.is_control() && c != '\n') {
        return wrong("there are control characters in it".to_owned());
    }
    Ok(trimmed.to_owned())
}

/// A file below the plan's folder, so that a plan and its files can move together.
fn picture(named: &Spanned<String>) -> Result<PathBuf, ParamProblem> {
    let path = Path::new(named.get_ref());
    let wrong = |what: String, help: &str| Err(ParamProblem::new(what).at(named.span(), "here").help(help));
    if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return wrong(
            format!("{} is outside the plan's folder", named.get_ref()),
            "pictures are next to the plan or in a folder below it, such as `pictures/led.svg`",
        );
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("png" | "svg") => Ok(path.to_owned()),
        _ => wrong(format!("the format of {} is unknown", named.get_ref()), "its name must end in .png or .svg"),
    }
}

fn form(params: &Params) -> Result<AnswerForm, ParamProblem> {
    if let Some(choices) = &params.choices {
        return choices_of(choices);
    }
    if let Some(limits) = &params.limits {
        let AnyLimits { unit, limits } = *limits.get_ref();
        return Ok(AnswerForm::Number { unit, limits });
    }
    let Some(pattern) = &params.pattern else { return Ok(AnswerForm::Confirm) };
    check_pattern(pattern.get_ref()).map_err(|why| {
        ParamProblem::new(format!("the pattern is no regular expression: {why}"))
            .at(pattern.span(), "here")
            .help("the syntax is that of the Rust crate `regex`; for example \"[A-Z]{2}[0-9]+\"")
    })?;
    Ok(AnswerForm::Text { pattern: Some(pattern.get_ref().clone()) })
}

fn choices_of(choices: &Spanned<Vec<String>>) -> Result<AnswerForm, ParamProblem> {
    let wrong =
        |what: String, help: &str| Err(ParamProblem::new(what).at(choices.span(), "here").help(help.to_owned()));
    let texts: Vec<String> = choices.get_ref().iter().map(|choice| choice.trim().to_owned()).collect();
    if !(2..=MOST_CHOICES).contains(&texts.len()) {
        let help = "two to nine: each has one key";
        return wrong(format!("{} is no number of choices", texts.len()), help);
    }
    for (index, text) in texts.iter().enumerate() {
        if text.is_empty() || text == bench_instruments::CANNOT_SAY || text.chars().any(char::is_control) {
            return wrong(format!("{text:?} is no choice"), "write one or a few words");
        }
        let same = |other: &String| other.to_lowercase() == text.to_lowercase();
        if texts.iter().take(index).any(same) {
            return wrong(format!("`{text}` is there twice"), "choices differ in more than capital letters");
        }
    }
    Ok(AnswerForm::Choice(texts))
}

/// The answer of a good module.
fn expected(form: &AnswerForm, expect: Option<&Spanned<String>>) -> Result<Option<AnswerValue>, ParamProblem> {
    let Some(expect) = expect else {
        return match form {
            AnswerForm::Confirm => Ok(Some(AnswerValue::Yes)),
            AnswerForm::Choice(choices) => Err(ParamProblem::new("which choice does a good module have?")
                .help(format!("add `expect = \"{}\"`", choices.first().map_or("", String::as_str)))),
            AnswerForm::Number { .. } | AnswerForm::Text { .. } => Ok(None),
        };
    };
    let text = expect.get_ref().trim();
    let wrong = |what: String| ParamProblem::new(what).at(expect.span(), "can never be answered");
    match form {
        // By its text only: a number would change its meaning with the list.
        AnswerForm::Choice(choices) => {
            let index = choices.iter().position(|choice| choice == text);
            let names = choices.iter().map(String::as_str);
            let unknown =
                || wrong(format!("`{text}` is none of the choices")).help(nearest_help(text, names, "choices"));
            index.map(|index| Some(AnswerValue::Choice(index))).ok_or_else(unknown)
        }
        form => match parse_answer(form, text) {
            Ok(Some(value)) => Ok(Some(value)),
            Ok(None) => Err(wrong("nobody can pass by not answering".to_owned())),
            Err(why) => Err(wrong(why)),
        },
    }
}

#[async_trait(?Send)]
impl Procedure for Prompt {
    fn question(&self) -> Option<&Question> {
        Some(&self.question)
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let form = &self.question.form;
        log.note(format!("question: {} ({})", self.question.text, form.how()));
        let named = self.question.picture.as_deref().map(|picture| picture.to_string_lossy());
        let picture = named.and_then(|name| nest.pictures.get(name.as_ref()).cloned());
        let question = Question { name: log.id().to_owned(), picture, within: log.timeout(), ..self.question.clone() };
        let answer = nest.person.ask(&question).await?;
        if !form.fits(&answer.value) {
            return Err(StepError::Bench(format!("the answer has another form than the question: {:?}", answer.value)));
        }
        let by = answer.by.as_deref().unwrap_or("unknown");
        let shown = form.show(&answer.value);
        log.note(format!("answer: {shown}, by {by}"));
        let expected = match (&answer.value, form) {
            (AnswerValue::Number(value), AnswerForm::Number { unit, limits }) => {
                log.measured(&self.answer.name, Some(*value));
                let good = judge(limits, Some(*value)) == Verdict::Pass;
                (!good).then(|| limits.show(*unit))
            }
            (value, form) => {
                let expected = self.expected.as_ref().filter(|expected| *expected != value);
                log.measured(&self.answer.name, Some(f64::from(u8::from(expected.is_none()))));
                expected.map(|expected| form.show(expected))
            }
        };
        if let Some(expected) = expected {
            let at = match self.labels.as_slice() {
                [] => String::new(),
                [label] => format!("contact {label}: "),
                labels => format!("contacts {}: ", labels.join(", ")),
            };
            let text = format!("{at}the person answered {shown}, expected {expected}: {}", self.question.text);
            let contacts: Vec<Contact> = self.answer.contacts.clone();
            log.diagnosed(Diagnosis { defect: Defect::Other, contacts, text });
        }
        Ok(())
    }
}
