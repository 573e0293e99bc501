//! All mistakes of some files at once.
//!
//! A check ends at the first mistake, because later checks rest on earlier ones. To find the next one, the first is
//! repaired in the parsed document and the check is repeated. No check needs code for this: whatever reads its files
//! through [`Source`] is covered, and so is every new kind of step.
//!
//! A repair must not cause mistakes of its own. So there are several for each mistake, and what they have in common
//! decides: a mistake that only one of them brings up comes from the repair.

use crate::document::{self, Part, Path, Place};
use crate::{Problem, Source};
use miette::{Diagnostic, SourceSpan};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

/// Beyond this number nobody reads on, and the file is of another kind.
const MOST: usize = 50;
/// Repairs to try for a mistake before coarser ones.
const TRIES: usize = 24;

/// Values of every type that a key may have, as TOML.
const ANY_VALUES: &[&str] = &[
    "\"x-1\"",
    "1",
    "0.5",
    "true",
    "[]",
    "{}",
    "\"1 V\"",
    "\"1 ms\"",
    "\"1 kohm\"",
    "\"1 mA\"",
    "\"1 kHz\"",
    "\"1 %\"",
    "{ min = \"1 V\" }",
    "{ min = \"1 ms\" }",
    "{ min = \"1 kohm\" }",
    "{ min = \"1 mA\" }",
    "{ min = \"1 kHz\" }",
    "{ min = \"1 %\" }",
    "{ min = 1 }",
    "2026-01-01",
];

/// One change of a parsed document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Repair {
    /// Takes a key or an item out.
    Remove(Path),
    Rename(Path, String),
    /// Replaces a value, by this TOML.
    Put(Path, String),
    /// Adds a key to a table.
    Add(Path, String, String),
    /// Takes the step at this place as correct.
    Skip(Path),
}

impl Repair {
    /// The place that is no longer as in the text.
    fn touches(&self) -> Path {
        match self {
            Repair::Remove(path) | Repair::Put(path, _) | Repair::Skip(path) => path.clone(),
            Repair::Rename(path, new) => document::sibling(path, new),
            Repair::Add(path, key, _) => document::below(path, key),
        }
    }
}

/// What to repair in which file, while looking for further mistakes.
#[derive(Debug, Clone, Default)]
pub struct Repairs {
    files: BTreeMap<String, Vec<Repair>>,
    /// Files whose TOML is broken, with what can be read of them.
    readable: BTreeMap<String, Arc<str>>,
    /// Every file that the checks have read.
    read: Rc<RefCell<BTreeMap<String, Arc<str>>>>,
}

impl Repairs {
    /// Returns the file as the checks should read it. Every check must take its files from here.
    #[must_use]
    pub fn of(&self, mut source: Source) -> Source {
        source.repairs = self.files.get(&source.name).cloned().unwrap_or_default();
        source.readable = self.readable.get(&source.name).cloned();
        self.read.borrow_mut().entry(source.name.clone()).or_insert_with(|| source.text.clone());
        source
    }

    /// All files that the checks have read, as they should read them.
    fn all(&self) -> Vec<Source> {
        let files: Vec<(String, Arc<str>)> =
            self.read.borrow().iter().map(|(name, text)| (name.clone(), text.clone())).collect();
        files.into_iter().map(|(name, text)| self.of(Source::new(name, text))).collect()
    }

    fn with(&self, file: &str, repair: Repair) -> Self {
        let mut more = self.clone();
        more.files.entry(file.to_owned()).or_default().push(repair);
        more
    }
}

/// All mistakes of some files.
#[derive(Debug, thiserror::Error)]
#[error("{}", count(self.problems.len()))]
pub struct Problems {
    /// By file, and in the order of its text; at least one.
    pub problems: Vec<Problem>,
    /// Whether there may be others, which show when these are corrected.
    pub maybe_more: bool,
}

fn count(number: usize) -> String {
    if number == 1 { "1 mistake".to_owned() } else { format!("{number} mistakes") }
}

impl Diagnostic for Problems {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}

/// Returns all mistakes that a check finds, which ends at the first one itself. `first` is that one.
pub fn all_mistakes<T>(first: Box<Problem>, mut check: impl FnMut(&Repairs) -> Result<T, Box<Problem>>) -> Problems {
    let mut search = Search {
        repairs: Repairs::default(),
        touched: Vec::new(),
        problems: Vec::new(),
        gaps: BTreeSet::new(),
        doubtful: Vec::new(),
    };
    // Also shows which files there are.
    let mut next = match check(&search.repairs) {
        Ok(_) => first,
        Err(problem) => problem,
    };
    // Problems that are not reported do not count, but must end too.
    for _ in 0..2 * MOST {
        if search.problems.len() == MOST {
            break;
        }
        match search.step(next, &mut check) {
            Some(Ok(_)) => return Problems { problems: search.in_order(), maybe_more: false },
            Some(Err(problem)) => next = problem,
            None => break,
        }
    }
    Problems { problems: search.in_order(), maybe_more: true }
}

struct Search {
    repairs: Repairs,
    /// Places whose values are inventions: what a check says of them is no mistake of the file.
    touched: Vec<(String, Path)>,
    problems: Vec<Problem>,
    /// Files of which something was taken out that others may refer to.
    gaps: BTreeSet<String>,
    /// Tables that hold an invention or are gone.
    doubtful: Vec<Doubtful>,
}

/// A table of a fixture, module or station file that other tables and files refer to.
struct Doubtful {
    file: String,
    table: Path,
    /// Whether a value had the wrong form: nothing was compared with it yet.
    was_form: bool,
    /// The names of what the table describes: "`io0`", "contact 23".
    names: Vec<String>,
}

impl Doubtful {
    /// Whether a problem comes from what is wrong with the table.
    fn explains(&self, problem: &Problem, place: &Place) -> bool {
        if self.file == problem.file.name() && place.path.starts_with(&self.table) {
            return self.was_form && !problem.is_form;
        }
        let said = |name: &String| {
            problem.message.match_indices(name.as_str()).any(|(at, _)| {
                let rest = problem.message.get(at + name.len()..).unwrap_or_default();
                !rest.starts_with(|next: char| next.is_alphanumeric() || next == '-' || next == '_')
            })
        };
        self.names.iter().any(said)
    }
}

/// The outcome of a repair that removed its mistake.
struct Candidate<T> {
    repair: Repair,
    result: Result<T, Box<Problem>>,
}

impl<T> Candidate<T> {
    /// The next mistake, for comparison.
    fn next(&self) -> Option<(&str, &str, Option<usize>)> {
        let problem = self.result.as_ref().err()?;
        Some((problem.file.name(), problem.message.as_str(), problem.span.map(|span| span.offset())))
    }
    /// Lower is better: nothing left, a mistake, something that is missing now.
    fn rank(&self) -> u8 {
        match &self.result {
            Ok(_) => 0,
            Err(problem) if !problem.is_absence => 1,
            Err(_) => 2,
        }
    }
}

impl Search {
    /// Takes a mistake, repairs it, and returns what the check says then; `None` when nothing repairs it.
    fn step<T>(
        &mut self,
        problem: Box<Problem>,
        check: &mut impl FnMut(&Repairs) -> Result<T, Box<Problem>>,
    ) -> Option<Result<T, Box<Problem>>> {
        let file = problem.file.name().to_owned();
        if problem.is_syntax {
            return self.read_on(&problem, check);
        }
        let source = self.repairs.of(Source::new(&*file, problem.file.inner().clone()));
        let place = document::place(&source, problem.span.map(|span| span.offset()..span.offset() + span.len()));
        let chosen = self.choose(&problem, &source, &place, check);
        let is_new = !self.follows(&problem, &source, &place);
        let (is_key, is_table, at, was_form) = (place.is_key, place.is_table, place.path, problem.is_form);
        let is_meant =
            |repair: &Repair| matches!(repair, Repair::Rename(..)) || meant_at(&problem, &at) == Some(repair.clone());
        let is_certain = chosen.as_ref().is_some_and(|chosen| is_meant(&chosen.repair));
        if is_new {
            self.problems.push(*problem);
        }
        let Candidate { repair, result } = chosen?;
        let table = document::table_around(&source, &repair.touches());
        // A step is no thing that others describe, and a key that nothing reads has no effect.
        if !is_certain && !is_key && document::step_of(&at).is_none() && !table.is_empty() {
            let names = document::names_in(&source, &table);
            self.doubtful.push(Doubtful { file: file.clone(), table, was_form, names });
        }
        let is_loss = match &repair {
            // Others refer to tables, and to the files that a plan includes.
            Repair::Remove(path) => {
                let is_file = matches!(at.first(), Some(Part::Key(key)) if key == "include");
                *path != at || is_table || is_file
            }
            Repair::Rename(..) | Repair::Put(..) | Repair::Add(..) | Repair::Skip(_) => false,
        };
        if is_loss {
            self.gaps.insert(file.clone());
        }
        self.note(&file, &repair);
        self.repairs = self.repairs.with(&file, repair);
        Some(result)
    }

    /// Notes what is an invention from now on.
    fn note(&mut self, file: &str, repair: &Repair) {
        let Repair::Remove(path) = repair else {
            if !matches!(repair, Repair::Rename(..) | Repair::Skip(_)) {
                self.touched.push((file.to_owned(), repair.touches()));
            }
            return;
        };
        let (gone, list) = match path.split_last() {
            Some((Part::Item(gone), list)) => (gone, list),
            // Nothing is there any more, but it will be missed.
            Some((Part::Key(_), _)) => return self.touched.push((file.to_owned(), path.clone())),
            None => return,
        };
        // Later items move up.
        self.touched.retain(|(other, path2)| other != file || !path2.starts_with(path));
        for (_, other) in self.touched.iter_mut().filter(|(other, _)| other == file) {
            let is_below = other.starts_with(list);
            if let Some(Part::Item(index)) = other.get_mut(list.len()).filter(|_| is_below)
                && *index > *gone
            {
                *index -= 1;
            }
        }
    }

    /// Reports everything that is wrong with the syntax of a file, and reads on as far as it can be understood.
    fn read_on<T>(
        &mut self,
        problem: &Problem,
        check: &mut impl FnMut(&Repairs) -> Result<T, Box<Problem>>,
    ) -> Option<Result<T, Box<Problem>>> {
        let source = Source::new(problem.file.name(), problem.file.inner().clone());
        let (problems, readable) = crate::reading::syntax_problems(&source);
        self.problems.extend(problems);
        self.gaps.insert(source.name.clone());
        self.repairs.readable.insert(source.name, readable?.into());
        Some(check(&self.repairs))
    }

    /// Whether a problem comes from an earlier one or from its repair.
    fn follows(&self, problem: &Problem, source: &Source, place: &Place) -> bool {
        if problem.is_absence && self.is_in_a_gap(problem) {
            return true;
        }
        if source.readable.is_some() && self.is_next_to_syntax(problem, source) {
            return true;
        }
        if self.doubtful.iter().any(|doubtful| doubtful.explains(problem, place)) {
            return true;
        }
        let missed = missing_key(problem).map(|key| document::below(&place.path, key));
        if missed.is_some_and(|path| self.touched.contains(&(source.name.clone(), path))) {
            return true;
        }
        let inside = |(file, path): &(String, Path)| *file == source.name && place.path.starts_with(path);
        self.touched.iter().any(inside)
    }

    /// Whether what is missing may have been taken out: its name is in a file of which something was.
    fn is_in_a_gap(&self, problem: &Problem) -> bool {
        let text = problem.file.inner();
        let name = problem.span.and_then(|span| text.get(span.offset()..span.offset() + span.len()));
        let files = self.repairs.read.borrow();
        let mut gaps = self.gaps.iter().filter_map(|file| Some((file, files.get(file)?)));
        // In its own file the name is once where it is missing.
        gaps.any(|(file, text)| {
            name.is_none_or(|name| text.matches(name).count() > usize::from(file == problem.file.name()))
        })
    }

    /// Whether broken syntax is in the lines of a problem, or in the table that it is about.
    fn is_next_to_syntax(&self, problem: &Problem, source: &Source) -> bool {
        let Some(span) = problem.span else { return true };
        let text: &str = &source.text;
        let at = span.offset().min(text.len());
        let before = text.get(..at).unwrap_or_default();
        let rest = text.get(at..).unwrap_or_default();
        // From the start of its line to its end; a table's header stands for all of the table.
        let is_header = rest.starts_with('[') && (before.is_empty() || before.ends_with('\n'));
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = if is_header {
            rest.get(1..).and_then(|rest| rest.find("\n[")).map(|end| end + 1)
        } else {
            rest.find('\n')
        };
        let end = end.map_or(text.len(), |end| at + end);
        // A key that is missing is missing for another reason if no broken line has it.
        let lines = (source.text.lines(), source.readable.as_deref().unwrap_or(text).lines());
        let is_broken = |key: &str| lines.0.zip(lines.1).any(|(line, left)| line != left && line.contains(key));
        if missing_key(problem).is_some_and(|key| !is_broken(key)) {
            return false;
        }
        let torn = self.problems.iter().filter(|other| other.is_syntax && other.file.name() == source.name);
        torn.filter_map(|other| other.span).any(|span| (start..=end).contains(&span.offset()))
    }

    /// Chooses a repair, from fine ones to coarse ones.
    fn choose<T>(
        &self,
        problem: &Problem,
        source: &Source,
        place: &Place,
        check: &mut impl FnMut(&Repairs) -> Result<T, Box<Problem>>,
    ) -> Option<Candidate<T>> {
        let mut levels = vec![meant(problem, source, place)];
        let step = document::step_of(&place.path);
        let kind = |path: &Path| matches!(path.last(), Some(Part::Key(key)) if key == "kind");
        let is_id = |path: &Path| matches!(path.last(), Some(Part::Key(key)) if key == "id");
        match (&step, missing_key(problem)) {
            // Another kind has other keys.
            (Some(_), Some("kind")) => {}
            (Some(_), _) if kind(&place.path) => {}
            (Some(step), Some("id")) => {
                let names = document::wanted_names(&self.repairs.all());
                let add = |name: &String| Repair::Add(step.clone(), "id".to_owned(), format!("{name:?}"));
                levels.extend(names.iter().map(|name| vec![add(name)]));
                levels.extend((0..TRIES).map(|number| vec![add(&format!("x-{number}"))]));
            }
            // An id that is not one: others may need the right one.
            (Some(_), None) if place.path.len() == 3 && is_id(&place.path) && !place.is_key => {
                let names = document::wanted_names(&self.repairs.all());
                let put = |name: String| Repair::Put(place.path.clone(), format!("{name:?}"));
                levels.extend(names.into_iter().map(|name| vec![put(name)]));
                levels.extend((0..TRIES).map(|number| vec![put(format!("x-{number}"))]));
            }
            _ => levels.extend([named(problem, source, place), any(problem, source, place)]),
        }
        levels.extend(step.map(|step| vec![Repair::Skip(step)]));
        levels.extend(document::ancestors(&place.path).map(|path| vec![Repair::Remove(path)]));
        let mut tried: Vec<Repair> = Vec::new();
        for level in levels {
            let mut candidates: Vec<Candidate<T>> = Vec::new();
            let mut level: VecDeque<Repair> = level.into_iter().take(TRIES).collect();
            while let Some(repair) = level.pop_front() {
                if tried.contains(&repair) {
                    continue;
                }
                tried.push(repair.clone());
                let result = check(&self.repairs.with(&source.name, repair.clone()));
                if let Err(next) = &result
                    && caused_by(&repair, problem, next, &self.repairs)
                {
                    // It may say what else is expected there.
                    if let (Repair::Put(path, _), true) = (&repair, tried.len() < 2 * TRIES) {
                        let help = next.help.as_deref().unwrap_or_default();
                        level.extend(hints(help).into_iter().map(|value| Repair::Put(path.clone(), value)));
                    }
                    continue;
                }
                let is_done = result.is_ok();
                candidates.push(Candidate { repair, result });
                if is_done || agree(&candidates) {
                    break;
                }
            }
            if let Some(best) = best(candidates) {
                return Some(best);
            }
        }
        None
    }

    /// The problems of each file in the order of its text; files in the order in which they were read.
    fn in_order(mut self) -> Vec<Problem> {
        let mut files: Vec<String> = Vec::new();
        for problem in &self.problems {
            if !files.iter().any(|file| file == problem.file.name()) {
                files.push(problem.file.name().to_owned());
            }
        }
        let file = |problem: &Problem| files.iter().position(|file| file == problem.file.name());
        self.problems.sort_by_key(|problem| (file(problem), problem.span.map_or(0, |span| span.offset())));
        self.problems
    }
}

/// Whether the last two candidates lead to the same further mistake, of which nothing is just missing.
fn agree<T>(candidates: &[Candidate<T>]) -> bool {
    match candidates {
        [.., one, other] => one.rank() == 1 && one.next() == other.next(),
        _ => false,
    }
}

/// Returns the candidate that leads to what most of them lead to.
fn best<T>(candidates: Vec<Candidate<T>>) -> Option<Candidate<T>> {
    let best = candidates.iter().map(Candidate::rank).min()?;
    let votes: Vec<usize> = candidates
        .iter()
        .map(|one| candidates.iter().filter(|other| one.rank() == best && other.next() == one.next()).count())
        .collect();
    let most = votes.iter().copied().max()?;
    let of_rank = candidates.iter().filter(|one| one.rank() == best).count();
    // Repairs that lead to different mistakes have caused them.
    if 2 * most <= of_rank && of_rank > 1 {
        return None;
    }
    let index = votes.iter().position(|votes| *votes == most)?;
    candidates.into_iter().nth(index)
}

/// Whether a repair did not remove its mistake, or caused the next one.
fn caused_by(repair: &Repair, mistake: &Problem, next: &Problem, repairs: &Repairs) -> bool {
    if mistake.file.name() != next.file.name() {
        return false;
    }
    if mistake.message == next.message && mistake.span == next.span {
        return true;
    }
    let source = repairs
        .with(mistake.file.name(), repair.clone())
        .of(Source::new(mistake.file.name(), next.file.inner().clone()));
    let place = document::place(&source, next.span.map(|span| span.offset()..span.offset() + span.len()));
    let touched = repair.touches();
    let is_gone = matches!(repair, Repair::Remove(_));
    if place.path.starts_with(&touched) && !is_gone {
        return !matches!(repair, Repair::Rename(..) | Repair::Skip(_));
    }
    if !touched.starts_with(&place.path) {
        return false;
    }
    // Something around it: a key that is missing has nothing to do with this one, everything else has.
    match missing_key(next) {
        Some(key) => document::below(&place.path, key) == touched,
        None => !place.path.is_empty() || is_gone,
    }
}

fn missing_key(problem: &Problem) -> Option<&str> {
    problem.message.strip_prefix("missing key `")?.strip_suffix('`')
}

/// What the message suggests, as TOML.
fn suggestion(problem: &Problem) -> Option<String> {
    let rest = problem.help.as_deref()?.strip_prefix("did you mean ")?;
    hints(rest).into_iter().next()
}

fn meant_at(problem: &Problem, path: &[Part]) -> Option<Repair> {
    Some(Repair::Put(path.to_vec(), suggestion(problem)?))
}

/// What the message suggests in place of a name or value.
fn meant(problem: &Problem, source: &Source, place: &Place) -> Vec<Repair> {
    let Some(meant) = suggestion(problem) else { return Vec::new() };
    let name = meant.trim_matches('"').to_owned();
    if !place.is_key {
        return vec![Repair::Put(place.path.clone(), meant)];
    }
    if document::has(source, &document::sibling(&place.path, &name)) {
        return Vec::new();
    }
    vec![Repair::Rename(place.path.clone(), name)]
}

/// What the message gives as examples; for a key, to take it out.
fn named(problem: &Problem, source: &Source, place: &Place) -> Vec<Repair> {
    if let Some(key) = missing_key(problem) {
        return document::values_of(source, key)
            .into_iter()
            .map(|value| Repair::Add(place.path.clone(), key.to_owned(), value))
            .collect();
    }
    if place.is_key {
        return vec![Repair::Remove(place.path.clone())];
    }
    let help = problem.help.as_deref().unwrap_or_default();
    hints(help).into_iter().map(|value| Repair::Put(place.path.clone(), value)).collect()
}

/// Values of the same key elsewhere, and values of every type; to take it out.
fn any(problem: &Problem, source: &Source, place: &Place) -> Vec<Repair> {
    let any_values = ANY_VALUES.iter().map(|&value| value.to_owned());
    if let Some(key) = missing_key(problem) {
        return any_values.map(|value| Repair::Add(place.path.clone(), key.to_owned(), value)).collect();
    }
    if place.is_key || place.path.is_empty() {
        return Vec::new();
    }
    // What other tables hold may have mistakes of its own.
    let is_inline = |span: SourceSpan| source.text.get(span.offset()..).is_some_and(|text| text.starts_with('{'));
    if place.is_table && !problem.span.is_some_and(is_inline) {
        return Vec::new();
    }
    let mut values: Vec<String> = match place.path.last() {
        Some(Part::Key(key)) => document::values_of(source, key),
        _ => Vec::new(),
    };
    values.truncate(TRIES / 4);
    let put = values.into_iter().chain(any_values).map(|value| Repair::Put(place.path.clone(), value));
    std::iter::once(Repair::Remove(place.path.clone())).chain(put).collect()
}

/// Returns what a text has in back-ticks and quotes, and its numbers, each as TOML.
fn hints(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['`', '"']) {
        let quote = if rest.as_bytes().get(start) == Some(&b'`') { '`' } else { '"' };
        let inner = rest.get(start + 1..).unwrap_or_default();
        let Some(end) = inner.find(quote) else { break };
        let word = inner.get(..end).unwrap_or_default();
        found.push(format!("{word:?}"));
        rest = inner.get(end + 1..).unwrap_or_default();
    }
    for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))) {
        let word = word.trim_end_matches('.');
        let is_number = word.parse::<f64>().is_ok_and(f64::is_finite) || word.starts_with("0x");
        if is_number && !found.iter().any(|other| other == word) {
            found.push(word.to_owned());
        }
    }
    found
}
