//! Limits that several steps share: `[limits]` in a plan, `"limits.<name>"` in a step.

use crate::reading::nearest_help;
use crate::{ParamProblem, Problem, Source};
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How a step refers to one of them.
pub(crate) const PREFIX: &str = "limits.";

#[derive(Default)]
pub(crate) struct NamedLimits<'i> {
    limits: DeTable<'i>,
    used: BTreeSet<String>,
}

impl<'i> NamedLimits<'i> {
    /// From the value of the key `limits` of a plan. What the limits say is checked where they are used, because only
    /// there it is known what they limit.
    pub(crate) fn new(value: Option<Spanned<DeValue<'i>>>) -> Result<Self, ParamProblem> {
        let Some(value) = value else { return Ok(Self::default()) };
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(limits) => Ok(Self { limits, used: BTreeSet::new() }),
            _ => Err(ParamProblem::new("`limits` is not a table").at(span, "here").help("expected [limits]")),
        }
    }

    /// Puts the limits themselves where a step's parameters refer to them.
    pub(crate) fn insert_into(&mut self, params: &mut DeTable<'i>) -> Result<(), ParamProblem> {
        for (_, value) in params.iter_mut() {
            let DeValue::String(text) = value.get_ref() else { continue };
            let Some(name) = text.strip_prefix(PREFIX).map(str::to_owned) else { continue };
            let Some(limits) = self.limits.get(name.as_str()) else {
                let known: Vec<&str> = self.limits.keys().map(|key| key.get_ref().as_ref()).collect();
                return Err(ParamProblem::new(format!("unknown limits `{name}`"))
                    .at(value.span(), "not in [limits]")
                    .help(nearest_help(&name, known.into_iter(), "limits")));
            };
            *value = limits.clone();
            self.used.insert(name);
        }
        Ok(())
    }

    /// Limits that no step uses are a mistake: somebody believes that they hold.
    pub(crate) fn all_used(&self, source: &Source) -> Result<(), Box<Problem>> {
        match self.limits.keys().find(|key| !self.used.contains(key.get_ref().as_ref())) {
            None => Ok(()),
            Some(key) => {
                let name = key.get_ref();
                Err(Box::new(
                    Problem::new(source, format!("no step uses the limits `{name}`"))
                        .at(key.span(), "limits nothing")
                        .help(format!("write \"{PREFIX}{name}\" where they belong, or take them out")),
                ))
            }
        }
    }
}
