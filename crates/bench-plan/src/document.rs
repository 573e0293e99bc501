//! Places in a parsed document, and changes of it.

use crate::Source;
use crate::mistakes::Repair;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key, or a position in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Key(String),
    Item(usize),
}

/// The way to a value.
pub(crate) type Path = Vec<Part>;

/// Marks the table of a step that is not read further.
pub(crate) const SKIP: &str = "\0";

/// What a problem points at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    pub path: Path,
    /// Whether it is the key itself, not its value.
    pub is_key: bool,
    pub is_table: bool,
}

pub(crate) fn below(path: &[Part], key: &str) -> Path {
    let mut path = path.to_vec();
    path.push(Part::Key(key.to_owned()));
    path
}

/// Another key of the same table.
pub(crate) fn sibling(path: &[Part], key: &str) -> Path {
    below(path.split_last().map_or(&[], |(_, parent)| parent), key)
}

/// The tables around a place, the nearest first, without the file itself.
pub(crate) fn ancestors(path: &[Part]) -> impl Iterator<Item = Path> {
    (1..=path.len()).rev().filter_map(|length| path.get(..length).map(<[Part]>::to_vec))
}

/// The step that a place is in.
pub(crate) fn step_of(path: &[Part]) -> Option<Path> {
    match path {
        [Part::Key(key), Part::Item(_), ..] if key == "step" => path.get(..2).map(<[Part]>::to_vec),
        _ => None,
    }
}

fn read(source: &Source) -> DeTable<'_> {
    crate::reading::parse_table(source).unwrap_or_default()
}

/// Finds what a place in the text is in the document: exactly that key or value, else the smallest around it.
pub(crate) fn place(source: &Source, span: Option<Range<usize>>) -> Place {
    let Some(span) = span else { return Place { is_table: true, ..Place::default() } };
    let table = read(source);
    let mut best = (usize::MAX, Place { is_table: true, ..Place::default() });
    visit(&table, &mut Vec::new(), &mut |path, at, is_key, is_table| {
        let fits = at.start <= span.start && span.end <= at.end;
        // A table's place is its header; of equal places the inner one is meant.
        let size = at.len();
        if fits && size <= best.0 {
            best = (size, Place { path: path.to_vec(), is_key, is_table });
        }
    });
    best.1
}

type Visitor<'v> = dyn FnMut(&[Part], Range<usize>, bool, bool) + 'v;

fn visit(table: &DeTable<'_>, path: &mut Path, see: &mut Visitor<'_>) {
    for (key, value) in table {
        path.push(Part::Key(key.get_ref().to_string()));
        see(path, key.span(), true, false);
        visit_value(value, path, see);
        path.pop();
    }
}

fn visit_value(value: &Spanned<DeValue<'_>>, path: &mut Path, see: &mut Visitor<'_>) {
    see(path, value.span(), false, matches!(value.get_ref(), DeValue::Table(_)));
    match value.get_ref() {
        DeValue::Table(table) => visit(table, path, see),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Part::Item(index));
                visit_value(item, path, see);
                path.pop();
            }
        }
        _ => {}
    }
}

pub(crate) fn has(source: &Source, path: &[Part]) -> bool {
    let mut is_there = false;
    visit(&read(source), &mut Vec::new(), &mut |at, _, _, _| is_there |= at == path);
    is_there
}

/// Different values of a key anywhere in the document, as TOML, the first ones.
pub(crate) fn values_of(source: &Source, key: &str) -> Vec<String> {
    let mut spans = Vec::new();
    visit(&read(source), &mut Vec::new(), &mut |path, at, is_key, _| {
        let same = matches!(path.last(), Some(Part::Key(other)) if other == key);
        if same && !is_key {
            spans.push(at);
        }
    });
    let mut values: Vec<String> = Vec::new();
    for text in spans.into_iter().filter_map(|at| source.text.get(at)) {
        let is_value = DeValue::parse(text).is_ok();
        if is_value && !values.iter().any(|other| other == text) && values.len() < 8 {
            values.push(text.to_owned());
        }
    }
    values
}

/// Ids of steps that the files mention, and that no step has: those first that are mentioned most often.
pub(crate) fn wanted_names(sources: &[Source]) -> Vec<String> {
    let (mut mentioned, mut taken): (BTreeMap<String, usize>, BTreeSet<String>) = Default::default();
    for source in sources {
        let table = read(source);
        visit(&table, &mut Vec::new(), &mut |path, at, is_key, _| match path {
            [Part::Key(steps), Part::Item(_), Part::Key(key)] if steps == "step" && key == "id" && !is_key => {
                taken.extend(unquoted(source, at));
            }
            [Part::Key(steps), Part::Item(_), Part::Key(key), Part::Item(_)]
                if steps == "step" && matches!(key.as_str(), "needs" | "after") =>
            {
                unquoted(source, at).into_iter().for_each(|name| *mentioned.entry(name).or_default() += 1);
            }
            [Part::Key(table), Part::Key(id)] if is_key && matches!(table.as_str(), "override" | "leave_out") => {
                *mentioned.entry(id.clone()).or_default() += 1;
            }
            _ => {}
        });
    }
    mentioned.retain(|name, count| {
        // Mentioned once and nearly another's: misspelt.
        let is_near = |other: &String| {
            let most = if name.starts_with(other) { 3 } else { 2 };
            strsim::damerau_levenshtein(name, other) <= most
        };
        let is_misspelt = || taken.iter().any(is_near);
        !taken.contains(name) && (*count > 1 || !is_misspelt())
    });
    let mut names: Vec<(usize, String)> = mentioned.into_iter().map(|(name, count)| (count, name)).collect();
    names.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    names.into_iter().map(|(_, name)| name).collect()
}

/// The nearest table around a place, or the place itself if it is one.
pub(crate) fn table_around(source: &Source, path: &[Part]) -> Path {
    let mut tables: Vec<Path> = Vec::new();
    visit(&read(source), &mut Vec::new(), &mut |at, _, is_key, is_table| {
        if is_table && !is_key && path.starts_with(at) {
            tables.push(at.to_vec());
        }
    });
    tables.pop().unwrap_or_default()
}

/// What messages call the things that a table describes: its own name and those inside.
pub(crate) fn names_in(source: &Source, table: &[Part]) -> Vec<String> {
    let mut names = Vec::new();
    visit(&read(source), &mut Vec::new(), &mut |path, at, is_key, _| {
        let Some(Part::Key(key)) = path.last() else { return };
        if is_key || !path.starts_with(table) {
            return;
        }
        let Some(text) = unquoted(source, at) else { return };
        match key.as_str() {
            "id" | "name" | "rail" => {
                names.extend([format!("`{text}`"), format!("rail {text}"), format!("\"{text}\"")])
            }
            "contact" | "number" => names.extend([format!("contact {text}"), format!("contact {text} ")]),
            "io" | "feed" | "ground" | "enable" | "discharge" | "select" | "switch" | "connect" => names.push(text),
            _ => {}
        }
    });
    names
}

fn unquoted(source: &Source, at: Range<usize>) -> Option<String> {
    Some(source.text.get(at)?.trim_matches(['"', '\'']).to_owned())
}

/// Applies the repairs of a source to its document, in their order. A repair whose place is gone does nothing.
pub(crate) fn repaired<'s>(mut table: DeTable<'s>, repairs: &'s [Repair]) -> DeTable<'s> {
    for repair in repairs {
        apply(&mut table, repair);
    }
    table
}

fn apply<'s>(table: &mut DeTable<'s>, repair: &'s Repair) {
    match repair {
        Repair::Remove(path) => match path.split_last() {
            Some((Part::Key(key), parent)) => {
                if let Some(table) = table_at(table, parent) {
                    table.remove(key.as_str());
                }
            }
            Some((Part::Item(index), parent)) => {
                if let Some(DeValue::Array(items)) = value_at(table, parent).map(Spanned::get_mut) {
                    let old = std::mem::replace(items, std::iter::empty().collect());
                    let kept = old.into_iter().enumerate().filter(|(other, _)| other != index);
                    *items = kept.map(|(_, item)| item).collect();
                }
            }
            None => {}
        },
        Repair::Rename(path, new) => {
            if let Some((Part::Key(key), parent)) = path.split_last()
                && let Some(table) = table_at(table, parent)
                && let Some((old, value)) = table.remove_entry(key.as_str())
            {
                table.insert(Spanned::new(old.span(), new.as_str().into()), value);
            }
        }
        Repair::Put(path, text) => {
            if let Some(place) = value_at(table, path)
                && let Ok(value) = DeValue::parse(text)
            {
                let span = place.span();
                *place = placed(value, &span);
            }
        }
        Repair::Add(path, key, text) => {
            let span = value_at(table, path).map_or(0..0, |value| value.span());
            if let Some(table) = table_at(table, path)
                && let Ok(value) = DeValue::parse(text)
            {
                table.insert(Spanned::new(span.clone(), key.as_str().into()), placed(value, &span));
            }
        }
        Repair::Skip(path) => {
            if let Some(table) = table_at(table, path) {
                table.insert(Spanned::new(0..0, SKIP.into()), Spanned::new(0..0, DeValue::Boolean(true)));
                let kind = Spanned::new(0..0, "kind".into());
                table.entry(kind).or_insert_with(|| Spanned::new(0..0, DeValue::String("".into())));
            }
        }
    }
}

/// Gives an invented value the place of what it replaces.
fn placed<'s>(value: Spanned<DeValue<'s>>, span: &Range<usize>) -> Spanned<DeValue<'s>> {
    let inner = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(
            table
                .into_iter()
                .map(|(key, value)| (Spanned::new(span.clone(), key.into_inner()), placed(value, span)))
                .collect(),
        ),
        DeValue::Array(items) => DeValue::Array(items.into_iter().map(|item| placed(item, span)).collect()),
        other => other,
    };
    Spanned::new(span.clone(), inner)
}

fn table_at<'t, 's>(table: &'t mut DeTable<'s>, path: &[Part]) -> Option<&'t mut DeTable<'s>> {
    if path.is_empty() {
        return Some(table);
    }
    match value_at(table, path)?.get_mut() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn value_at<'t, 's>(table: &'t mut DeTable<'s>, path: &[Part]) -> Option<&'t mut Spanned<DeValue<'s>>> {
    let (Part::Key(first), rest) = path.split_first()? else { return None };
    let mut value = table.get_mut(first.as_str())?;
    for part in rest {
        value = match (part, value.get_mut()) {
            (Part::Key(key), DeValue::Table(table)) => table.get_mut(key.as_str())?,
            (Part::Item(index), DeValue::Array(items)) => items.get_mut(*index)?,
            _ => return None,
        };
    }
    Some(value)
}
