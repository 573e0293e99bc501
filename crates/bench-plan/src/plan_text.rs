//! The texts that make up a plan: its own file and the parts that it includes.
//!
//! A place in any of them is one number: the files are concatenated, the plan first. A step of a part whose key the
//! plan replaced can therefore still locate each of its values by file and line.

use crate::plan_head::read_head;
use crate::reading::parse_table;
use crate::{ParamProblem, Problem, Source};
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A plan's text with those of its parts.
#[derive(Debug, Clone)]
pub struct PlanText {
    plan: Source,
    parts: Vec<PlanPart>,
}

/// A text that a plan includes.
#[derive(Debug, Clone)]
pub struct PlanPart {
    /// As the plan names it: "parts/power.toml".
    pub path: String,
    pub source: Source,
}

impl PlanText {
    /// Reads the plan's head and calls `read` for each part, with the path that the plan gives. Adds the place to an
    /// error of `read`.
    ///
    /// # Errors
    /// A mistake in the head, a part that is listed twice or by an absolute path, and errors of `read`.
    pub fn gather(
        plan: Source,
        mut read: impl FnMut(&str) -> Result<Source, ParamProblem>,
    ) -> Result<Self, Box<Problem>> {
        let (head, _) = read_head(&plan, parse_table(&plan)?)?;
        let mut parts: Vec<PlanPart> = Vec::with_capacity(head.include.len());
        for path in &head.include {
            let wrong = |problem: ParamProblem| Err(problem.in_file(&plan, path.span()));
            if Path::new(path.get_ref()).has_root() {
                let problem = ParamProblem::new("a part is named by an absolute path").label("from the root");
                return wrong(problem.help("expected a path relative to the plan, such as \"parts/power.toml\""));
            }
            if parts.iter().any(|part| part.path == *path.get_ref()) {
                let problem = ParamProblem::new(format!("{} is included twice", path.get_ref())).label("again");
                return wrong(problem.help("a plan may contain each step once"));
            }
            match read(path.get_ref()) {
                Ok(source) => parts.push(PlanPart { path: path.get_ref().clone(), source }),
                Err(problem) => return wrong(problem),
            }
        }
        Ok(Self { plan, parts })
    }

    pub fn plan(&self) -> &Source {
        &self.plan
    }
    /// In the order in which the plan names them.
    pub fn parts(&self) -> &[PlanPart] {
        &self.parts
    }

    /// Whether a mistake was repaired, to look for further ones.
    pub(crate) fn is_repaired(&self) -> bool {
        self.sources().any(|source| !source.repairs.is_empty() || source.readable.is_some())
    }

    fn sources(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.plan).chain(self.parts.iter().map(|part| &part.source))
    }
    /// Returns each file with its first place.
    fn laid_out(&self) -> impl Iterator<Item = (usize, &Source)> {
        self.sources().scan(0, |next, source| {
            let base = *next;
            // One more, so that the end of a file is not a place in the next one.
            *next += source.text.len() + 1;
            Some((base, source))
        })
    }
    /// Returns the file of a place, and the place within it.
    pub(crate) fn place(&self, span: &Range<usize>) -> (&Source, Range<usize>) {
        let (base, source) =
            self.laid_out().take_while(|(base, _)| *base <= span.start).last().unwrap_or((0, &self.plan));
        (source, span.start - base..span.end.max(span.start) - base)
    }
    /// Returns "line 9", with the file's name when it differs from that of `seen_from`.
    pub(crate) fn line(&self, span: &Range<usize>, seen_from: &Range<usize>) -> String {
        let ((source, at), (origin, _)) = (self.place(span), self.place(seen_from));
        let line = line_of(source, at.start);
        if source.name == origin.name { format!("line {line}") } else { format!("line {line} of {}", source.name) }
    }

    pub(crate) fn problem(&self, message: String, at: Range<usize>, label: &str, help: String) -> Box<Problem> {
        let (source, at) = self.place(&at);
        Box::new(Problem::new(source, message).at(at, label).help(help))
    }
    /// Converts a mistake in a step's parameters to a problem of its file.
    pub(crate) fn locate(&self, mut problem: ParamProblem, otherwise: &Range<usize>) -> Box<Problem> {
        let (source, at) = self.place(problem.span.as_ref().unwrap_or(otherwise));
        problem.span = Some(at.clone());
        problem.in_file(source, at)
    }

    /// Returns the table of each file, the plan's first, with places in the concatenation.
    pub(crate) fn tables(&self) -> Result<Vec<DeTable<'_>>, Box<Problem>> {
        self.laid_out().map(|(base, source)| Ok(shifted_table(parse_table(source)?, base))).collect()
    }
    /// For a mistake that concerns the file as a whole.
    pub(crate) fn start_of(&self, file: usize) -> Range<usize> {
        let base = self.laid_out().nth(file).map_or(0, |(base, _)| base);
        base..base
    }
}

pub(crate) fn line_of(source: &Source, offset: usize) -> usize {
    source.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn shifted_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    let moved = |key: Spanned<_>| Spanned::new(shifted_span(&key.span(), by), key.into_inner());
    table.into_iter().map(|(key, value)| (moved(key), shifted(value, by))).collect()
}

fn shifted(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = shifted_span(&value.span(), by);
    let inner = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shifted_table(table, by)),
        DeValue::Array(list) => DeValue::Array(list.into_iter().map(|value| shifted(value, by)).collect()),
        other => other,
    };
    Spanned::new(span, inner)
}

fn shifted_span(span: &Range<usize>, by: usize) -> Range<usize> {
    span.start + by..span.end + by
}
