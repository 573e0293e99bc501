//! Limits that several steps share: `[limits]` in a plan, `"limits.<name>"` in a step.

use crate::names::nearest_help;
use crate::plan_head::Unread;
use crate::plan_text::PlanText;
use crate::{ParamProblem, Problem};
use std::collections::BTreeSet;
use toml::de::{DeTable, DeValue};

/// Prefix of a step's reference.
pub(crate) const PREFIX: &str = "limits.";

#[derive(Default)]
pub(crate) struct NamedLimits<'i> {
    limits: DeTable<'i>,
    used: BTreeSet<String>,
}

impl<'i> NamedLimits<'i> {
    /// Limits of one file: the value of its key `limits`. They are checked where they are used, because only a use
    /// defines their unit.
    pub(crate) fn add(&mut self, text: &PlanText, value: Unread<'i>) -> Result<(), Box<Problem>> {
        let Some(value) = value else { return Ok(()) };
        let span = value.span();
        let DeValue::Table(limits) = value.into_inner() else {
            return Err(text.problem("`limits` is not a table".into(), span, "here", "expected [limits]".into()));
        };
        for (name, value) in limits {
            if let Some((first, _)) = self.limits.get_key_value(name.get_ref().as_ref()) {
                let line = text.line(&first.span(), &name.span());
                let help = format!("the first are in {line}; give these another name");
                let message = format!("two limits are called `{}`", name.get_ref());
                return Err(text.problem(message, name.span(), "used before", help));
            }
            self.limits.insert(name, value);
        }
        Ok(())
    }

    /// Marks the limits that a step of the text refers to, also when the plan replaces or omits the step.
    pub(crate) fn refer(&mut self, params: &DeTable<'_>) {
        let names = params.values().filter_map(|value| value.get_ref().as_str()?.strip_prefix(PREFIX));
        self.used.extend(names.map(str::to_owned));
    }

    /// Replaces references in a step's parameters by the limits.
    pub(crate) fn insert_into(&mut self, params: &mut DeTable<'i>) -> Result<(), ParamProblem> {
        for (_, value) in params.iter_mut() {
            let DeValue::String(text) = value.get_ref() else { continue };
            let Some(name) = text.strip_prefix(PREFIX).map(str::to_owned) else { continue };
            let Some(limits) = self.limits.get(name.as_str()) else {
                let names: Vec<&str> = self.limits.keys().map(|key| key.get_ref().as_ref()).collect();
                return Err(ParamProblem::new(format!("unknown limits `{name}`"))
                    .at(value.span(), "not in [limits]")
                    .help(nearest_help(&name, names.into_iter(), "limits"))
                    .absent());
            };
            *value = limits.clone();
            self.used.insert(name);
        }
        Ok(())
    }

    /// Refuses limits that no step uses: their author believes that they apply.
    pub(crate) fn all_used(&self, text: &PlanText) -> Result<(), Box<Problem>> {
        match self.limits.keys().find(|key| !self.used.contains(key.get_ref().as_ref())) {
            None => Ok(()),
            Some(key) => {
                let name = key.get_ref();
                let help = format!("write \"{PREFIX}{name}\" where they belong, or take them out");
                let problem =
                    text.problem(format!("no step uses the limits `{name}`"), key.span(), "limits nothing", help);
                Err(Box::new(problem.absent()))
            }
        }
    }
}
