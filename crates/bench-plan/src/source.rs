//! A named text, and problems in it.

use crate::mistakes::Repair;
use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceSpan};
use std::borrow::Cow;
use std::sync::Arc;
use thiserror::Error;

/// A file's text with the name to show in diagnostics.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub text: Arc<str>,
    /// Changes of the parsed document, while all mistakes of the text are looked for.
    pub(crate) repairs: Vec<Repair>,
    /// The text without its broken lines, if it has some that are known: as long as the text.
    pub(crate) readable: Option<Arc<str>>,
}

impl Source {
    /// Line ends and the mark in front that editors of Windows write are dropped: the same plan has the same hash, and a mistake
    /// the same place, whichever editor saved it last.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        let text: Arc<str> = text.into();
        let plain = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let plain = if plain.contains("\r\n") { Cow::Owned(plain.replace("\r\n", "\n")) } else { Cow::Borrowed(plain) };
        let text = if plain.len() == text.len() { text } else { plain.into() };
        Self { name: name.into(), text, repairs: Vec::new(), readable: None }
    }
}

/// One mistake in a file: what, where, what was expected, what to do.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct Problem {
    pub message: String,
    /// What was expected, or what to do.
    pub help: Option<String>,
    /// Label of the place ("no such pin").
    pub label: String,
    pub span: Option<SourceSpan>,
    pub file: NamedSource<Arc<str>>,
    /// Whether something is missing elsewhere: it may have been taken out as part of another mistake.
    pub(crate) is_absence: bool,
    /// Whether a value has the wrong form: found before anything is compared with it.
    pub(crate) is_form: bool,
    /// Whether the text is no TOML at this place.
    pub(crate) is_syntax: bool,
    /// Whether the file is valid all the same.
    is_warning: bool,
}

impl Problem {
    pub fn new(source: &Source, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            label: "here".into(),
            span: None,
            file: NamedSource::new(&source.name, source.text.clone()),
            is_absence: false,
            is_form: false,
            is_syntax: false,
            is_warning: false,
        }
    }
    /// Makes it a warning: the file is valid, but hardly what its author means.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.is_warning = true;
        self
    }
    #[must_use]
    pub fn at(mut self, span: std::ops::Range<usize>, label: impl Into<String>) -> Self {
        self.span = Some(span.into());
        self.label = label.into();
        self
    }
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    /// Says that something is missing elsewhere.
    #[must_use]
    pub fn absent(mut self) -> Self {
        self.is_absence = true;
        self
    }
    /// Line and column of its place, from 1; columns count characters.
    pub fn line_and_column(&self) -> Option<(usize, usize)> {
        let before = self.file.inner().get(..self.span?.offset())?;
        let line = before.rsplit('\n').next().unwrap_or_default();
        Some((before.matches('\n').count() + 1, line.chars().count() + 1))
    }
}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<Severity> {
        self.is_warning.then_some(Severity::Warning)
    }
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(&self.file)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(Some(self.label.clone()), span))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_same_whoever_saved_it() {
        for (saved, text) in [
            ("a = 1\nb = 2\n", "a = 1\nb = 2\n"),
            ("a = 1\r\nb = 2\r\n", "a = 1\nb = 2\n"),
            ("\u{feff}a = 1\r\n", "a = 1\n"),
            ("\u{feff}a = 1\n", "a = 1\n"),
            ("a = \"\r\"", "a = \"\r\""),
            ("", ""),
        ] {
            assert_eq!(&*Source::new("x", saved).text, text, "{saved:?}");
        }
    }
}
