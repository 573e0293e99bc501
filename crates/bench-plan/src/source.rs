//! A named text, and problems in it.

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceSpan};
use std::sync::Arc;
use thiserror::Error;

/// A file's text with the name to show in diagnostics.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub text: Arc<str>,
}

impl Source {
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// One mistake in a file: what, where, what was expected, what to do. Only the first one is reported.
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
}

impl Problem {
    pub fn new(source: &Source, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            label: "here".into(),
            span: None,
            file: NamedSource::new(&source.name, source.text.clone()),
        }
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
}

impl Diagnostic for Problem {
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
