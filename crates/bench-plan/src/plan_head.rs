//! The keys before a plan's first step.

use crate::plan::{AlsoOn, PLAN_FORMAT};
use crate::reading::{parse_table, read_table};
use crate::{ParamProblem, Problem, Source};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The head of a plan, which names the other files that belong to it. Only its text is checked yet.
#[derive(Debug, Clone)]
pub struct PlanHead {
    pub name: String,
    pub title: Option<String>,
    /// "b404x".
    pub model: Spanned<String>,
    /// Name of the fixture: `fixtures/<name>.toml`.
    pub fixture: Spanned<String>,
    /// Reduced fixtures on which the plan may pass without the steps that they cannot do.
    pub also_on: Vec<AlsoOn>,
    pub firmware: Spanned<String>,
    /// Files whose steps and limits belong to the plan, relative to it.
    pub include: Vec<Spanned<String>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHead {
    /// Version of the plan format: 1.
    #[schemars(with = "u32", range(min = 1, max = 1))]
    format: Spanned<u32>,
    /// Name of the plan, as it appears in records: letters, digits, `-`, `_`, `.`.
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// Purpose of the plan, for people.
    #[serde(default)]
    title: Option<String>,
    /// The product: "b404x".
    #[schemars(with = "String")]
    model: Spanned<String>,
    /// The bed of nails: the name of a file in `fixtures/`.
    #[schemars(with = "String")]
    fixture: Spanned<String>,
    /// The firmware image that must be on the module while testing.
    #[schemars(with = "String")]
    firmware: Spanned<String>,
    /// Parts whose steps come before those of this file, in this order: paths relative to the plan.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    include: Vec<Spanned<String>>,
}

/// A reduced fixture, based on the plan's, on which a module may pass without the steps that cannot be done there.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAlsoOn {
    /// The fixture: the name of a file in `fixtures/`.
    #[schemars(with = "String")]
    fixture: Spanned<String>,
    /// Why a pass there is good enough, and for what. Each record of such a run has it.
    #[schemars(with = "String", length(min = 1))]
    reason: Spanned<String>,
}

/// A value of the plan that is not interpreted yet.
pub(crate) type Unread<'i> = Option<Spanned<DeValue<'i>>>;

/// Content of a plan's file besides its head.
pub(crate) struct Body<'i> {
    pub limits: Unread<'i>,
    pub steps: Unread<'i>,
    pub overrides: Unread<'i>,
    pub leave_out: Unread<'i>,
    pub not_covered: Unread<'i>,
}

/// Keys of a plan's file besides those of its head.
const BODY_KEYS: &[&str] = &["also_on", "limits", "step", "override", "leave_out", "not_covered"];

impl PlanHead {
    /// Reads the head only. Mistakes in steps are reported by [`crate::check_plan`].
    pub fn parse(source: &Source) -> Result<Self, Box<Problem>> {
        read_head(source, parse_table(source)?).map(|(head, _)| head)
    }
}

/// Returns the head and the rest of the plan's own text.
pub(crate) fn read_head<'i>(source: &Source, mut table: DeTable<'i>) -> Result<(PlanHead, Body<'i>), Box<Problem>> {
    let body = Body {
        limits: table.remove("limits"),
        steps: table.remove("step"),
        overrides: table.remove("override"),
        leave_out: table.remove("leave_out"),
        not_covered: table.remove("not_covered"),
    };
    let also_on = table.remove("also_on");
    let head: RawHead = read_table(table, None, BODY_KEYS).map_err(|problem| problem.in_file(source, 0..0))?;
    if *head.format.get_ref() != PLAN_FORMAT {
        let message = format!("plan format {} is unknown", head.format.get_ref());
        let help = format!("this bench reads format = {PLAN_FORMAT}");
        return Err(Box::new(Problem::new(source, message).at(head.format.span(), "unknown format").help(help)));
    }
    if !is_name(head.name.get_ref()) {
        let message = format!("{:?} cannot be a plan name", head.name.get_ref());
        return Err(Box::new(Problem::new(source, message).at(head.name.span(), "not a name").help(NAME_HELP)));
    }
    let RawHead { name, title, model, fixture, firmware, include, .. } = head;
    let also_on = read_also_on(also_on, &fixture).map_err(|problem| problem.in_file(source, 0..0))?;
    Ok((PlanHead { name: name.into_inner(), title, model, fixture, also_on, firmware, include }, body))
}

const ALSO_ON_HELP: &str =
    "expected also_on = [{ fixture = \"eval-board\", reason = \"why a pass there is good enough\" }]";

/// Returns the fixtures on which the plan may pass without some of its steps.
fn read_also_on(value: Unread<'_>, usual: &Spanned<String>) -> Result<Vec<AlsoOn>, ParamProblem> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let wrong = |message: String, span, label: &str| ParamProblem::new(message).at(span, label).help(ALSO_ON_HELP);
    let span = value.span();
    let DeValue::Array(rows) = value.into_inner() else {
        return Err(wrong("`also_on` is not a list".into(), span, "here"));
    };
    let mut also_on: Vec<AlsoOn> = Vec::new();
    for row in rows {
        let span = row.span();
        let table = match row.into_inner() {
            DeValue::Table(table) => table,
            DeValue::String(name) => {
                let help = format!("write {{ fixture = \"{name}\", reason = \"why a pass there is good enough\" }}");
                let message = format!("the fixture `{name}` is allowed without a reason");
                return Err(ParamProblem::new(message).at(span, "a name alone").help(help));
            }
            _ => return Err(wrong("`also_on` is not a list of tables".into(), span, "here")),
        };
        let RawAlsoOn { fixture, reason } = read_table(table, Some(span), &[])?;
        if reason.get_ref().trim().is_empty() {
            let message = format!("the fixture `{}` is allowed for no reason", fixture.get_ref());
            return Err(wrong(message, reason.span(), "empty"));
        }
        if fixture.get_ref() == usual.get_ref() {
            let message = format!("`{}` is the plan's own fixture", fixture.get_ref());
            return Err(wrong(message, fixture.span(), "no other fixture"));
        }
        if also_on.iter().any(|other| other.fixture.get_ref() == fixture.get_ref()) {
            let message = format!("the fixture `{}` has two reasons", fixture.get_ref());
            return Err(wrong(message, fixture.span(), "again"));
        }
        also_on.push(AlsoOn { fixture, reason: reason.get_ref().trim().to_owned() });
    }
    Ok(also_on)
}

pub(crate) const NAME_HELP: &str = "expected letters, digits, `-`, `_` or `.`";

/// Names are used in file names, reports and CI: no spaces and no characters that a shell or XML treats specially.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
