//! Reads TOML into typed values and reports every mistake at its place, in terms of the file.

use crate::names::{nearest, nearest_help};
use crate::{ParamProblem, Problem, Source, document};
use serde::de::DeserializeOwned;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Reads the table of a whole file, with the place of every key and value.
pub(crate) fn parse_table(source: &Source) -> Result<DeTable<'_>, Box<Problem>> {
    let text = source.readable.as_ref().unwrap_or(&source.text);
    let table = DeTable::parse(text).map_err(|error| Box::new(syntax_problem(source, &error)))?;
    Ok(document::repaired(table.into_inner(), &source.repairs))
}

fn syntax_problem(source: &Source, error: &toml::de::Error) -> Problem {
    let at = error.span().unwrap_or(0..0);
    let (what, expected) = split_expected(error.message());
    let mut problem = Problem::new(source, format!("not valid TOML: {what}")).at(at, "here");
    problem.help = expected;
    problem.is_syntax = true;
    problem
}

/// Broken lines of a file at most; a file with more is of another kind.
const MOST_BROKEN: usize = 20;

/// Everything that is wrong with the syntax of a file, and the rest of its text: what is broken becomes spaces, so that
/// every other place stays the same. `None` when not enough is left.
pub(crate) fn syntax_problems(source: &Source) -> (Vec<Problem>, Option<String>) {
    let mut problems: Vec<Problem> = Vec::new();
    let mut text = source.text.to_string();
    let mut last_broken = None;
    for _ in 0..MOST_BROKEN {
        let problem = match DeTable::parse(&text) {
            Ok(_) => return (problems, Some(text)),
            Err(error) => syntax_problem(source, &error),
        };
        let offset = problem.span.map_or(0, |span| span.offset());
        let lines = broken_lines(&text, offset);
        let range = lines.clone();
        let Some(broken) = text.get(lines.clone()).filter(|broken| !broken.trim().is_empty()) else { break };
        let blank: String = broken.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        text.replace_range(lines, &blank);
        // The next line is broken because of this one: a list or a text that does not end.
        if last_broken != Some(range.start) {
            problems.push(problem);
        }
        last_broken = Some(range.end + 1);
    }
    if problems.is_empty() {
        problems.extend(DeTable::parse(&source.text).err().map(|error| syntax_problem(source, &error)));
    }
    (problems, None)
}

/// The line of a mistake; with a broken header, the whole table, whose keys would count for another one.
fn broken_lines(text: &str, offset: usize) -> Range<usize> {
    let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
    // An error at the end of a file is about what does not end: its last line with text.
    let before = if after.trim().is_empty() { before.trim_end() } else { before };
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let rest = text.get(start..).unwrap_or_default();
    let end = if rest.starts_with('[') { rest.find("\n[") } else { rest.find('\n') };
    start..end.map_or(text.len(), |end| start + end)
}

/// Reads a file into one typed value.
pub(crate) fn parse_file<T: DeserializeOwned>(source: &Source) -> Result<T, Box<Problem>> {
    let table = parse_table(source)?;
    read_table(table, None, &[]).map_err(|problem| problem.in_file(source, 0..0))
}

/// Reads the parameters of a step. The error for an unknown key suggests the nearest known one; the error for a wrong
/// value has its place.
pub fn parse_params<T: DeserializeOwned>(params: DeTable<'_>) -> Result<T, ParamProblem> {
    read_table(params, None, crate::plan::STEP_KEYS)
}

/// `also_known` are further valid keys of the table that were removed before.
pub(crate) fn read_table<T: DeserializeOwned>(
    table: DeTable<'_>,
    span: Option<Range<usize>>,
    also_known: &[&str],
) -> Result<T, ParamProblem> {
    let given: Vec<String> = table.keys().map(|key| key.get_ref().to_string()).collect();
    let whole = Spanned::new(span.unwrap_or(0..0), DeValue::Table(table));
    T::deserialize(ValueDeserializer::from(whole)).map_err(|error| explain(&error, also_known, &given))
}

/// Rewrites serde's message in terms of TOML.
fn explain(error: &toml::de::Error, also_known: &[&str], given: &[String]) -> ParamProblem {
    let (what, expected) = split_expected(error.message());
    let named = |prefix: &str| what.strip_prefix(prefix).and_then(|rest| rest.split('`').next()).map(str::to_owned);
    let mut problem = if let Some(key) = named("unknown field `") {
        let mut candidates: Vec<String> = expected.as_deref().map(names_in).unwrap_or_default();
        candidates.extend(also_known.iter().map(|&key| key.to_owned()));
        // A key that is there is not the one that was meant, if another one is near.
        let is_free = |other: &&str| !given.iter().any(|given| given == other);
        let free: Vec<String> = candidates.iter().map(String::as_str).filter(is_free).map(str::to_owned).collect();
        if given.contains(&key) && nearest(&key, free.iter().map(String::as_str)).is_some() {
            candidates = free;
        }
        ParamProblem::new(format!("unknown key `{key}`")).label("no such key").help(nearest_help(
            &key,
            candidates.iter().map(String::as_str),
            "keys",
        ))
    } else if let Some(value) = named("unknown variant `") {
        let candidates: Vec<String> = expected.as_deref().map(names_in).unwrap_or_default();
        ParamProblem::new(format!("unknown value `{value}`")).label("no such value").help(nearest_help(
            &value,
            candidates.iter().map(String::as_str),
            "values",
        ))
    } else if let Some(key) = named("missing field `") {
        ParamProblem::new(format!("missing key `{key}`")).label(format!("`{key}` belongs in here"))
    } else {
        let mut problem = ParamProblem::new(what);
        problem.help = expected;
        problem
    };
    problem.is_form = true;
    // An empty span at the start means a table whose place is unknown.
    problem.span = error.span().filter(|span| *span != (0..0));
    problem
}

/// Splits "what, expected something" into what and "expected something".
fn split_expected(message: &str) -> (String, Option<String>) {
    if let Some((what, expected)) = message.split_once('\n') {
        return (what.to_owned(), Some(expected.to_owned()));
    }
    match message.split_once(", expected ") {
        Some((what, expected)) => (what.to_owned(), Some(format!("expected {expected}"))),
        None => (message.to_owned(), None),
    }
}

/// Returns the names in back-ticks.
fn names_in(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
