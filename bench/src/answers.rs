//! Answers that are given with a run, for a line without people: checked before anything is powered.

use bench_engine::{Failed, Loaded};
use bench_instruments::{Question, parse_answer};
use bench_journal::{read_text, shown};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;

/// By the id of the step that asks, as typed.
pub(crate) type Answers = BTreeMap<String, String>;

/// The largest file of answers, bytes.
const LARGEST: u64 = 1024 * 1024;

fn usage(wrong: &str, help: &str) -> Failed {
    Failed::Usage(miette::miette!(help = format!("{help}; nothing was powered"), "{wrong}"))
}

/// The answers of the command line. Refuses what answers no question of the plan, and a plan with a question that nobody
/// can answer.
pub(crate) fn given(arguments: &[String], file: Option<&Path>, loaded: &Loaded) -> Result<Answers, Failed> {
    let questions = questions(loaded);
    let mut answers = file.map(|file| from_file(file, &questions)).transpose()?.unwrap_or_default();
    let mut named = Answers::new();
    for argument in arguments {
        let Some((step, answer)) = argument.split_once('=') else {
            let help = "write the id of the step, `=` and the answer, such as --answer led=yes";
            return Err(usage(&format!("--answer {argument}: there is no `=`"), help));
        };
        check(step, answer, &format!("--answer {argument}"), &questions)?;
        if named.insert(step.to_owned(), answer.to_owned()).is_some() {
            return Err(usage(&format!("--answer {argument}: {step} is answered twice"), "give it once"));
        }
    }
    answers.extend(named);
    if !std::io::stdin().is_terminal() {
        all_answered(&questions, &answers)?;
    }
    Ok(answers)
}

/// What the plan asks, by the id of the step.
fn questions(loaded: &Loaded) -> BTreeMap<&str, &Question> {
    let asks = loaded.plan.steps.iter().filter_map(|planned| {
        let question = planned.procedure.question()?;
        Some((planned.step.id.as_str(), question))
    });
    asks.collect()
}

fn check(step: &str, answer: &str, place: &str, questions: &BTreeMap<&str, &Question>) -> Result<(), Failed> {
    let Some(question) = questions.get(step) else {
        let help = if questions.is_empty() {
            "only steps of the kind `prompt` ask a person".to_owned()
        } else {
            bench_plan::nearest_help(step, questions.keys().copied(), "prompts")
        };
        return Err(usage(&format!("{place}: the plan asks nothing in a step `{step}`"), &help));
    };
    let asks = || format!("the step asks: {}", question.text);
    parse_answer(&question.form, answer).map(drop).map_err(|why| usage(&format!("{place}: {why}"), &asks()))
}

fn from_file(path: &Path, questions: &BTreeMap<&str, &Question>) -> Result<Answers, Failed> {
    let place = shown(path);
    let text = read_text(path, LARGEST).map_err(std::io::Error::from).map_err(|error| {
        usage(&format!("--answers {place}: {error}"), "name a TOML file with lines such as led = \"yes\"")
    })?;
    let answers: Answers = toml::from_str(&text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        usage(&format!("{place}:{line}: {}", error.message()), "write lines such as led = \"yes\", each with quotes")
    })?;
    for (step, answer) in &answers {
        check(step, answer, &format!("{place}: {step} = {answer:?}"), questions)?;
    }
    Ok(answers)
}

/// Without a terminal nobody is asked: a run would only end as an error, after the module was powered.
fn all_answered(questions: &BTreeMap<&str, &Question>, answers: &Answers) -> Result<(), Failed> {
    let open: Vec<&str> = questions.keys().copied().filter(|step| !answers.contains_key(*step)).collect();
    let Some(first) = open.first() else { return Ok(()) };
    let text = questions.get(first).map_or("", |question| question.text.as_str());
    let others = match open.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    Err(usage(
        &format!("the plan asks a person in `{first}`{others}, and there is no terminal: {text}"),
        &format!("answer it with --answer {first}=ANSWER or --answers FILE, or run at a terminal"),
    ))
}
