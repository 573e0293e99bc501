//! Finds the place of a value in the text by its path.

use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A component of the path to a value: a key, or a position in an array.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'k> {
    Key(&'k str),
    Item(usize),
}

impl<'k> From<&'k str> for At<'k> {
    fn from(key: &'k str) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for At<'_> {
    fn from(item: usize) -> Self {
        Self::Item(item)
    }
}

pub(super) struct Places<'t>(pub DeTable<'t>);

impl Places<'_> {
    /// Returns the place of the value; if it is missing, that of the nearest table or array around it.
    pub fn of(&self, path: &[At<'_>]) -> Range<usize> {
        let [At::Key(first), rest @ ..] = path else { return 0..0 };
        let Some(mut value) = self.0.get(*first) else { return 0..0 };
        let mut place = value.span();
        for step in rest {
            let inner: Option<&Spanned<DeValue<'_>>> = match (step, value.get_ref()) {
                (At::Key(key), DeValue::Table(table)) => table.get(*key),
                (At::Item(item), DeValue::Array(array)) => array.get(*item),
                _ => None,
            };
            let Some(inner) = inner else { break };
            value = inner;
            place = inner.span();
        }
        place
    }

    /// Returns every string below a key `name`, at any depth, with its place.
    pub fn strings_below(&self, name: &str) -> Vec<(String, Range<usize>)> {
        let mut strings_found = Vec::new();
        collect(&self.0, name, &mut strings_found);
        strings_found
    }

    /// Returns the place of the first number that is infinite or NaN, which TOML allows.
    pub fn first_not_finite(&self) -> Option<Range<usize>> {
        self.0.iter().find_map(|(_, value)| not_finite(value))
    }
}

fn not_finite(value: &Spanned<DeValue<'_>>) -> Option<Range<usize>> {
    match value.get_ref() {
        DeValue::Float(float) => {
            let letters = float.as_str().trim_start_matches(['+', '-']);
            matches!(letters, "inf" | "nan").then(|| value.span())
        }
        DeValue::Table(table) => table.iter().find_map(|(_, value)| not_finite(value)),
        DeValue::Array(array) => array.iter().find_map(not_finite),
        _ => None,
    }
}

fn collect(table: &DeTable<'_>, name: &str, strings_found: &mut Vec<(String, Range<usize>)>) {
    for (key, value) in table {
        if key.get_ref() == name {
            strings(value, strings_found);
        } else {
            inner_tables(value, name, strings_found);
        }
    }
}

fn inner_tables(value: &Spanned<DeValue<'_>>, name: &str, strings_found: &mut Vec<(String, Range<usize>)>) {
    match value.get_ref() {
        DeValue::Table(table) => collect(table, name, strings_found),
        DeValue::Array(array) => array.iter().for_each(|item| inner_tables(item, name, strings_found)),
        _ => {}
    }
}

fn strings(value: &Spanned<DeValue<'_>>, strings_found: &mut Vec<(String, Range<usize>)>) {
    match value.get_ref() {
        DeValue::String(text) => strings_found.push((text.to_string(), value.span())),
        DeValue::Array(array) => array.iter().for_each(|item| strings(item, strings_found)),
        _ => {}
    }
}

/// Returns the line of a place in the text, counted from 1.
pub(super) fn line_of(text: &str, place: usize) -> usize {
    text.bytes().take(place).filter(|&byte| byte == b'\n').count() + 1
}
