//! The steps of a plan: those of its parts, with the plan's changes, and its own.

use crate::document::SKIP;
use crate::names::{nearest, nearest_help};
use crate::plan::STEP_KEYS;
use crate::plan_head::{NAME_HELP, Unread, is_name};
use crate::plan_text::PlanText;
use crate::reading::read_table;
use crate::{DutFamily, LeftOut, Model, ParamProblem, Problem, Seconds};
use bench_run::OnFail;
use schemars::JsonSchema;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys that every step has.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStep {
    /// Unique in the plan: letters, digits, `-`, `_`, `.`.
    #[schemars(with = "String", regex(pattern = r"^[A-Za-z0-9_.-]+$"))]
    pub id: Spanned<String>,
    /// Kind of test.
    #[schemars(with = "String")]
    pub kind: Spanned<String>,
    /// Title for people; the id when not given.
    #[serde(default)]
    pub title: Option<String>,
    /// Models, or families, that this step is for; all of them when not given.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub models: Option<Vec<Spanned<String>>>,
    /// Ids of the steps that must have passed before this one may start.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub needs: Vec<Spanned<String>>,
    /// Ids of the steps that must have ended before this one may start, with any verdict.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub after: Vec<Spanned<String>>,
    /// Resources that this step uses exclusively, beyond those of its kind.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub uses: Vec<Spanned<String>>,
    /// Resources that this step shares, beyond those of its kind.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub shares: Vec<Spanned<String>>,
    /// Time limit. A step that takes longer is stopped with an error.
    #[serde(default)]
    #[schemars(with = "Option<Seconds>")]
    pub timeout: Option<Spanned<Seconds>>,
    /// Number of further attempts when the step does not pass.
    #[serde(default)]
    #[schemars(with = "u8", range(max = 10))]
    pub retry: Option<Spanned<u8>>,
    /// What happens to the rest of the plan when this step does not pass.
    #[serde(default)]
    pub on_fail: OnFail,
}

/// A step whose own keys are read but whose parameters are not.
pub(crate) struct Draft<'i> {
    pub common: RawStep,
    pub params: DeTable<'i>,
    pub span: Range<usize>,
    pub standing: Standing,
    included: bool,
    /// Whether its parameters are left unread, because of a mistake that is known.
    pub is_skipped: bool,
}

/// Whether a step in the text belongs to the plan.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    Stays,
    LeftOut,
    ForOtherModels,
}

impl Draft<'_> {
    pub(crate) fn id(&self) -> &str {
        self.common.id.get_ref()
    }
    pub(crate) fn stays(&self) -> bool {
        self.standing == Standing::Stays
    }
}

/// The table of a step as written in a file.
pub(crate) struct StepTable<'i> {
    pub table: DeTable<'i>,
    span: Range<usize>,
    included: bool,
}

/// Returns the tables under `step` of one file.
pub(crate) fn step_tables<'i>(
    text: &PlanText,
    steps: Unread<'i>,
    included: bool,
) -> Result<Vec<StepTable<'i>>, Box<Problem>> {
    let Some(steps) = steps else { return Ok(Vec::new()) };
    let span = steps.span();
    let no_list =
        |at: Range<usize>| text.problem("`step` is not a list".into(), at, "here", "expected [[step]]".into());
    let DeValue::Array(steps) = steps.into_inner() else { return Err(no_list(span)) };
    let table = |step: Spanned<DeValue<'i>>| match (step.span(), step.into_inner()) {
        (span, DeValue::Table(table)) => Ok(StepTable { table, span, included }),
        _ => Err(no_list(span.clone())),
    };
    steps.into_iter().map(table).collect()
}

/// Keys that identify a step and cannot be replaced.
const NOT_TO_BE_REPLACED: &[&str] = &["id", "kind", "models"];

/// Replaces values of included steps by those under `override`. Returns the ids with their places, for a check when the
/// plan's steps are known.
pub(crate) fn replace_keys<'i>(
    text: &PlanText,
    overrides: Unread<'i>,
    steps: &mut [StepTable<'i>],
) -> Result<Vec<Spanned<String>>, Box<Problem>> {
    let mut replaced = Vec::new();
    for (id, value) in entries(text, overrides, "override")? {
        let DeValue::Table(values) = value.get_ref() else {
            let help = format!("expected [override.{}] and the keys to replace", id.get_ref());
            return Err(text.problem("an override must be a table".into(), value.span(), "here", help));
        };
        for (key, value) in values.iter() {
            if NOT_TO_BE_REPLACED.contains(&key.get_ref().as_ref()) {
                let message = format!("`{}` of an included step cannot be replaced", key.get_ref());
                let help = "leave the step out ([leave_out]) and write another one".to_owned();
                return Err(text.problem(message, key.span(), "stays as it is", help));
            }
            let same = |step: &&mut StepTable<'_>| {
                step.included && step.table.get("id").and_then(|own| own.get_ref().as_str()) == Some(id.get_ref())
            };
            for step in steps.iter_mut().filter(same) {
                // Include the key: a mistake is reported at its place.
                step.table.remove(key.get_ref().as_ref());
                step.table.insert(key.clone(), value.clone());
            }
        }
        replaced.push(id);
    }
    Ok(replaced)
}

/// A key of a table of the plan, with its value.
type Entry<'i> = (Spanned<String>, Spanned<DeValue<'i>>);

/// All of them.
fn entries<'i>(text: &PlanText, value: Unread<'i>, what: &str) -> Result<Vec<Entry<'i>>, Box<Problem>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let span = value.span();
    let DeValue::Table(table) = value.into_inner() else {
        return Err(text.problem(format!("`{what}` is not a table"), span, "here", format!("expected [{what}]")));
    };
    let owned = |key: Spanned<Cow<'_, str>>| Spanned::new(key.span(), key.into_inner().into_owned());
    Ok(table.into_iter().map(|(key, value)| (owned(key), value)).collect())
}

/// Reads the keys that every step has, and selects the steps for this model.
pub(crate) fn read_drafts<'i>(
    text: &PlanText,
    steps: Vec<StepTable<'i>>,
    families: &[&DutFamily],
    dut: &DutFamily,
    model: &Model,
) -> Result<Vec<Draft<'i>>, Box<Problem>> {
    let mut drafts: Vec<Draft<'i>> = Vec::with_capacity(steps.len());
    for step in steps {
        let (span, included) = (step.span.clone(), step.included);
        let mut draft = read_step(step.table, span.clone(), included).map_err(|problem| text.locate(problem, &span))?;
        let id = &draft.common.id;
        if !is_name(id.get_ref()) {
            let message = format!("{:?} cannot be a step id", id.get_ref());
            return Err(text.problem(message, id.span(), "not a name", NAME_HELP.into()));
        }
        if !is_for(text, &draft.common, families, dut, model)? {
            draft.standing = Standing::ForOtherModels;
        } else if let Some(first) = drafts.iter().find(|other| other.stays() && other.id() == draft.id()) {
            let line = text.line(&first.common.id.span(), &id.span());
            let help = format!("every id must be unique; the first `{}` is in {line}", first.id());
            return Err(text.problem(format!("duplicate step id `{}`", first.id()), id.span(), "used before", help));
        }
        drafts.push(draft);
    }
    Ok(drafts)
}

fn read_step(mut params: DeTable<'_>, span: Range<usize>, included: bool) -> Result<Draft<'_>, ParamProblem> {
    let is_skipped = params.remove(SKIP).is_some();
    let mut own = DeTable::new();
    for &key in STEP_KEYS {
        if let Some((key, value)) = params.remove_entry(key) {
            own.insert(key, value);
        }
    }
    // A misspelt `kind` would otherwise be reported as a missing one.
    for required in ["id", "kind"] {
        if own.contains_key(required) {
            continue;
        }
        let candidates = params.keys().map(|key| key.get_ref().as_ref());
        if let Some(meant) = nearest(required, candidates).map(str::to_owned) {
            let at = params.keys().find(|key| key.get_ref().as_ref() == meant).map_or(span.clone(), Spanned::span);
            let problem = ParamProblem::new(format!("unknown key `{meant}`")).at(at, "no such key");
            return Err(problem.help(format!("did you mean `{required}`?")));
        }
    }
    let common: RawStep = read_table(own, Some(span.clone()), &[])?;
    if let Some(timeout) = common.timeout.as_ref().filter(|timeout| timeout.get_ref().get() <= 0.0) {
        return Err(ParamProblem::new("a timeout of zero stops the step before it starts")
            .at(timeout.span(), "no time at all")
            .help("expected a time such as \"10 s\", or leave the key out for the default of the kind"));
    }
    if let Some(retry) = common.retry.as_ref().filter(|retry| *retry.get_ref() > 10) {
        return Err(ParamProblem::new("more than 10 retries")
            .at(retry.span(), "too many")
            .help("expected 0 to 10: a step that needs more attempts is not testing"));
    }
    Ok(Draft { common, params, span, standing: Standing::Stays, included, is_skipped })
}

fn is_for(
    text: &PlanText,
    step: &RawStep,
    families: &[&DutFamily],
    dut: &DutFamily,
    model: &Model,
) -> Result<bool, Box<Problem>> {
    let Some(models) = &step.models else { return Ok(true) };
    let names_of = || {
        let names = families.iter().flat_map(|family| family.models.iter().map(|model| &model.name));
        names.chain(families.iter().map(|family| &family.name)).map(String::as_str)
    };
    for name in models {
        if !names_of().any(|names_of| names_of == name.get_ref()) {
            let names: BTreeSet<&str> = names_of().collect();
            let help = nearest_help(name.get_ref(), names.iter().copied(), "models and families");
            let message = format!("no model or family `{}`", name.get_ref());
            return Err(text.problem(message, name.span(), "no such model", help));
        }
    }
    Ok(models.iter().any(|name| *name.get_ref() == model.name || *name.get_ref() == dut.name))
}

/// Removes the steps that the plan leaves out, and checks that every replaced step remains.
pub(crate) fn leave_out(
    text: &PlanText,
    leave_out: Unread<'_>,
    replaced: &[Spanned<String>],
    drafts: &mut [Draft<'_>],
) -> Result<Vec<LeftOut>, Box<Problem>> {
    let mut left_out = Vec::new();
    for (id, reason) in entries(text, leave_out, "leave_out")? {
        let index = included(text, drafts, &id)?;
        let Some(why) = reason.get_ref().as_str().map(str::trim).filter(|why| !why.is_empty()) else {
            let help = format!("expected {} = \"why this plan leaves it out\"", id.get_ref());
            return Err(text.problem("a step is left out without a reason".into(), reason.span(), "no reason", help));
        };
        if let Some(draft) = drafts.get_mut(index) {
            draft.standing = Standing::LeftOut;
        }
        left_out.push(LeftOut { step: id.into_inner(), reason: why.to_owned() });
    }
    for id in replaced {
        included(text, drafts, id)?;
    }
    Ok(left_out)
}

/// Returns the included step with this id.
fn included(text: &PlanText, drafts: &[Draft<'_>], id: &Spanned<String>) -> Result<usize, Box<Problem>> {
    let of_this_id = |draft: &&Draft<'_>| draft.id() == id.get_ref();
    if let Some(index) = drafts.iter().position(|draft| draft.stays() && draft.included && of_this_id(&draft)) {
        return Ok(index);
    }
    let (message, label, help) = match drafts.iter().filter(of_this_id).map(|draft| draft.standing).min() {
        Some(Standing::Stays) => (
            format!("step `{}` is defined in this plan itself", id.get_ref()),
            "no included step",
            "change it directly: only steps of parts can be replaced or left out".to_owned(),
        ),
        Some(Standing::LeftOut) => (
            format!("step `{}` is left out of this plan", id.get_ref()),
            "not in this plan",
            "remove one of the two: a step that is left out cannot be replaced".to_owned(),
        ),
        Some(Standing::ForOtherModels) => (
            format!("step `{}` is not for this model", id.get_ref()),
            "not in this plan",
            "take this out: the step's `models` have left it out already".to_owned(),
        ),
        None => {
            let ids = drafts.iter().filter(|draft| draft.stays() && draft.included).map(Draft::id);
            let help = nearest_help(id.get_ref(), ids, "included steps");
            (format!("there is no included step `{}`", id.get_ref()), "no such step", help)
        }
    };
    Err(Box::new(text.problem(message, id.span(), label, help).absent()))
}
