//! Reads TOML into typed values and reports every mistake at its place, in terms of the file.

use crate::{ParamProblem, Problem, Source};
use serde::de::DeserializeOwned;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Reads the table of a whole file, with the place of every key and value.
pub(crate) fn parse_table(source: &Source) -> Result<DeTable<'_>, Box<Problem>> {
    match DeTable::parse(&source.text) {
        Ok(table) => Ok(table.into_inner()),
        Err(error) => {
            let at = error.span().unwrap_or(0..0);
            let (what, expected) = split_expected(error.message());
            let mut problem = Problem::new(source, format!("not valid TOML: {what}")).at(at, "here");
            problem.help = expected;
            Err(Box::new(problem))
        }
    }
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
    let whole = Spanned::new(span.unwrap_or(0..0), DeValue::Table(table));
    T::deserialize(ValueDeserializer::from(whole)).map_err(|error| explain(&error, also_known))
}

/// Rewrites serde's message in terms of TOML.
fn explain(error: &toml::de::Error, also_known: &[&str]) -> ParamProblem {
    let (what, expected) = split_expected(error.message());
    let named = |prefix: &str| what.strip_prefix(prefix).and_then(|rest| rest.split('`').next()).map(str::to_owned);
    let mut problem = if let Some(key) = named("unknown field `") {
        let mut candidates: Vec<String> = expected.as_deref().map(names_in).unwrap_or_default();
        candidates.extend(also_known.iter().map(|&key| key.to_owned()));
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

/// Returns the nearest known name, if it is near enough to suggest.
pub fn nearest<'n>(name: &str, candidates: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let lower = name.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
    candidates
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, candidate)| {
            // Few wrong letters, or the same beginning ("retries" for "retry").
            *distance <= candidate.chars().count().max(3) / 3
                || strsim::jaro_winkler(&lower, &candidate.to_lowercase()) > 0.87
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `title`? known keys: ...".
pub(crate) fn nearest_help<'n>(name: &str, candidates: impl Iterator<Item = &'n str> + Clone, what: &str) -> String {
    let list = candidates.clone().collect::<Vec<_>>();
    if list.is_empty() {
        return format!("there are no {what} here");
    }
    let list = list.join(", ");
    match nearest(name, candidates) {
        Some(meant) => format!("did you mean `{meant}`? known {what}: {list}"),
        None => format!("known {what}: {list}"),
    }
}
