//! Plan text -> checked plan, or the one mistake that was found first.

use crate::named_limits::NamedLimits;
use crate::plan::{PLAN_FORMAT, STEP_KEYS};
use crate::reading::{nearest, nearest_help, parse_table, read_table};
use crate::{
    DutFamily, Fixture, Model, ParamProblem, Plan, PlanResult, PlanStep, Problem, Resolved, Seconds, Source, StepKinds,
    Surroundings,
};
use bench_run::{MeasurementSpec, OnFail, Step};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The head of a plan: enough to know which other files belong to it. Nothing but the text is checked yet.
#[derive(Debug, Clone)]
pub struct PlanHead {
    pub name: String,
    pub title: Option<String>,
    /// "b404x".
    pub model: Spanned<String>,
    /// Name of the fixture: `fixtures/<name>.toml`.
    pub fixture: Spanned<String>,
    pub firmware: Spanned<String>,
}

/// The keys before the first step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHead {
    /// Version of the plan format: 1.
    #[schemars(with = "u32", range(min = 1, max = 1))]
    format: Spanned<u32>,
    /// Name of the plan, as it appears in records: letters, digits, `-`, `_`, `.`.
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// What the plan is for, for people.
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
}

/// The keys that every step has.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStep {
    /// Unique in the plan: letters, digits, `-`, `_`, `.`.
    #[schemars(with = "String", regex(pattern = r"^[A-Za-z0-9_.-]+$"))]
    id: Spanned<String>,
    /// Kind of test.
    #[schemars(with = "String")]
    kind: Spanned<String>,
    /// For people; the id when not given.
    #[serde(default)]
    title: Option<String>,
    /// Ids of the steps that must have passed before this one may start.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    needs: Vec<Spanned<String>>,
    /// Resources that this step occupies beyond those of its kind: no two running steps share one.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    uses: Vec<Spanned<String>>,
    /// The step is stopped, and is an error, when it takes longer.
    #[serde(default)]
    #[schemars(with = "Option<Seconds>")]
    timeout: Option<Spanned<Seconds>>,
    /// How many further attempts a step gets that did not pass.
    #[serde(default)]
    #[schemars(with = "u8", range(max = 10))]
    retry: Option<Spanned<u8>>,
    /// What happens to the rest of the plan when this step does not pass.
    #[serde(default)]
    on_fail: OnFail,
}

impl PlanHead {
    /// Reads the head only: mistakes in steps stay unseen until [`check_plan`].
    pub fn parse(source: &Source) -> Result<Self, Box<Problem>> {
        read_head(source).map(|(head, ..)| head)
    }
}

fn problem(source: &Source, message: String, at: Range<usize>, label: &str, help: String) -> Box<Problem> {
    Box::new(Problem::new(source, message).at(at, label).help(help))
}

/// A value of the plan whose meaning is not known yet.
type Unread<'i> = Option<Spanned<DeValue<'i>>>;

/// The head, the value of `limits` and the value of `step`.
fn read_head(source: &Source) -> Result<(PlanHead, Unread<'_>, Unread<'_>), Box<Problem>> {
    let mut table = parse_table(source)?;
    let (limits, steps) = (table.remove("limits"), table.remove("step"));
    let head: RawHead =
        read_table(table, None, &["limits", "step"]).map_err(|problem| problem.in_file(source, 0..0))?;
    if *head.format.get_ref() != PLAN_FORMAT {
        let message = format!("plan format {} is unknown", head.format.get_ref());
        let help = format!("this bench reads format = {PLAN_FORMAT}");
        return Err(problem(source, message, head.format.span(), "unknown format", help));
    }
    check_name(source, &head.name, "plan name")?;
    let RawHead { name, title, model, fixture, firmware, .. } = head;
    Ok((PlanHead { name: name.into_inner(), title, model, fixture, firmware }, limits, steps))
}

/// Names go into file names, reports and CI: no spaces, nothing that a shell or XML would notice.
fn check_name(source: &Source, name: &Spanned<String>, what: &str) -> Result<(), Box<Problem>> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.get_ref().is_empty() && name.get_ref().chars().all(fine) {
        return Ok(());
    }
    let message = format!("{:?} cannot be a {what}", name.get_ref());
    Err(problem(source, message, name.span(), "not a name", "expected letters, digits, `-`, `_` or `.`".into()))
}

/// Checks a plan against module families, the fixture it names, and the known kinds of steps.
///
/// # Errors
/// The first mistake in the order of the text, apart from whole-file checks: invalid TOML first, cyclic needs last.
pub fn check_plan<K: StepKinds>(
    source: &Source,
    families: &[&DutFamily],
    fixture: &Fixture,
    kinds: &K,
) -> PlanResult<K::Procedure> {
    let (head, limits, steps) = read_head(source)?;
    let (dut, model) = find_model(source, &head, families)?;
    check_fixture(source, &head, dut, fixture)?;
    let mut limits = NamedLimits::new(limits).map_err(|problem| problem.in_file(source, 0..0))?;
    let mut drafts = read_steps(source, steps)?;
    for draft in &mut drafts {
        let at = draft.span.clone();
        limits.insert_into(&mut draft.params).map_err(|problem| problem.in_file(source, at))?;
    }
    let needs = resolve_needs(source, &drafts)?;
    let around = Surroundings { families, dut, model, fixture };
    let mut checked = Vec::with_capacity(drafts.len());
    for (draft, needs) in drafts.into_iter().zip(needs) {
        checked.push(check_step(source, draft, needs, &around, kinds)?);
    }
    limits.all_used(source)?;
    Ok(Plan {
        title: head.title.unwrap_or_else(|| head.name.clone()),
        name: head.name,
        model: head.model.into_inner(),
        family: dut.name.clone(),
        fixture: head.fixture.into_inner(),
        firmware: head.firmware.into_inner(),
        steps: checked,
    })
}

fn find_model<'f>(
    source: &Source,
    head: &PlanHead,
    families: &[&'f DutFamily],
) -> Result<(&'f DutFamily, &'f Model), Box<Problem>> {
    let wanted = head.model.get_ref();
    let found = families.iter().find_map(|family| family.model(wanted).map(|model| (*family, model)));
    found.ok_or_else(|| {
        let known = families.iter().flat_map(|family| &family.models).map(|model| model.name.as_str());
        let help = nearest_help(wanted, known, "models");
        problem(source, format!("unknown model `{wanted}`"), head.model.span(), "no such model", help)
    })
}

fn check_fixture(source: &Source, head: &PlanHead, dut: &DutFamily, fixture: &Fixture) -> Result<(), Box<Problem>> {
    if *head.fixture.get_ref() != fixture.name {
        let message = format!("the plan is for fixture `{}`, this is `{}`", head.fixture.get_ref(), fixture.name);
        let help = format!("expected fixture = \"{}\", or use the other fixture", fixture.name);
        return Err(problem(source, message, head.fixture.span(), "another fixture", help));
    }
    if !fixture.families.contains(&dut.name) {
        let message = format!("the plan is for another model: fixture `{}` does not take {}", fixture.name, dut.name);
        let help = format!("the nest of `{}` takes {}", fixture.name, fixture.families.join(", "));
        let label = format!("a module of family {}", dut.name);
        return Err(problem(source, message, head.model.span(), &label, help));
    }
    Ok(())
}

/// A step whose own keys are read and whose parameters are not.
struct Draft<'i> {
    common: RawStep,
    params: DeTable<'i>,
    span: Range<usize>,
}

fn read_steps<'i>(source: &Source, steps: Option<Spanned<DeValue<'i>>>) -> Result<Vec<Draft<'i>>, Box<Problem>> {
    let Some(steps) = steps else {
        let help = "expected at least one [[step]]".to_owned();
        return Err(problem(source, "the plan has no steps".into(), 0..0, "tests nothing", help));
    };
    let span = steps.span();
    let no_list = || problem(source, "`step` is not a list".into(), span.clone(), "here", "expected [[step]]".into());
    let DeValue::Array(steps) = steps.into_inner() else { return Err(no_list()) };
    if steps.is_empty() {
        return Err(problem(
            source,
            "the plan has no steps".into(),
            span.clone(),
            "tests nothing",
            "expected [[step]]".into(),
        ));
    }
    let mut drafts: Vec<Draft<'i>> = Vec::with_capacity(steps.len());
    for step in steps {
        let span = step.span();
        let DeValue::Table(params) = step.into_inner() else { return Err(no_list()) };
        let draft = read_step(params, span.clone()).map_err(|problem| problem.in_file(source, span))?;
        check_name(source, &draft.common.id, "step id")?;
        let id = draft.common.id.get_ref();
        if let Some(first) = drafts.iter().find(|other| other.common.id.get_ref() == id) {
            let line = line_of(source, first.common.id.span().start);
            let help = format!("every id must be unique; the first `{id}` stands in line {line}");
            return Err(problem(
                source,
                format!("duplicate step id `{id}`"),
                draft.common.id.span(),
                "used before",
                help,
            ));
        }
        drafts.push(draft);
    }
    Ok(drafts)
}

pub(crate) fn line_of(source: &Source, offset: usize) -> usize {
    source.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn read_step(mut params: DeTable<'_>, span: Range<usize>) -> Result<Draft<'_>, ParamProblem> {
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
            return Err(ParamProblem::new(format!("unknown key `{meant}`")).at(at, "no such key").help(nearest_help(
                &meant,
                STEP_KEYS.iter().copied(),
                "keys",
            )));
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
    Ok(Draft { common, params, span })
}

/// Ids to indices, and no cycles.
fn resolve_needs(source: &Source, drafts: &[Draft<'_>]) -> Result<Vec<Vec<usize>>, Box<Problem>> {
    let index_of = |id: &str| drafts.iter().position(|draft| draft.common.id.get_ref() == id);
    let mut needs: Vec<Vec<usize>> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let mut own = Vec::new();
        for need in &draft.common.needs {
            let index = index_of(need.get_ref()).ok_or_else(|| {
                let known = drafts.iter().map(|draft| draft.common.id.get_ref().as_str());
                let message =
                    format!("step `{}` needs `{}`, which is no step", draft.common.id.get_ref(), need.get_ref());
                let help = nearest_help(need.get_ref(), known, "steps");
                problem(source, message, need.span(), "no such step", help)
            })?;
            if !own.contains(&index) {
                own.push(index);
            }
        }
        needs.push(own);
    }
    if let Some(cycle) = find_cycle(&needs) {
        let name = |index: usize| drafts.get(index).map_or("", |draft| draft.common.id.get_ref());
        let first = cycle.first().copied().unwrap_or_default();
        let next = cycle.get(1).copied().unwrap_or(first);
        let round: Vec<&str> = cycle.iter().chain([&first]).map(|&index| name(index)).collect();
        let at = drafts
            .get(first)
            .and_then(|draft| draft.common.needs.iter().find(|need| need.get_ref() == name(next)).map(Spanned::span));
        let message = format!("steps need each other in a circle: {}", round.join(" -> "));
        let help = "none of them could ever start: take one of these needs out".to_owned();
        return Err(problem(source, message, at.unwrap_or(0..0), "closes the circle", help));
    }
    Ok(needs)
}

/// A cycle among needs, starting at its first step in plan order.
fn find_cycle(needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    // Take out, round by round, what has nothing left to wait for; what stays waits for a cycle.
    let mut stuck: BTreeSet<usize> = (0..needs.len()).collect();
    let waits = |index: usize, stuck: &BTreeSet<usize>| {
        needs.get(index).and_then(|own| own.iter().copied().find(|need| stuck.contains(need)))
    };
    loop {
        let free: Vec<usize> = stuck.iter().copied().filter(|&index| waits(index, &stuck).is_none()).collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|index| {
            stuck.remove(index);
        });
    }
    let mut path = vec![*stuck.first()?];
    loop {
        let next = waits(*path.last()?, &stuck)?;
        if let Some(start) = path.iter().position(|&index| index == next) {
            let mut cycle = path.split_off(start);
            let lowest = cycle.iter().enumerate().min_by_key(|(_, index)| **index).map_or(0, |(at, _)| at);
            cycle.rotate_left(lowest);
            return Some(cycle);
        }
        path.push(next);
    }
}

fn check_step<K: StepKinds>(
    source: &Source,
    draft: Draft<'_>,
    needs: Vec<usize>,
    around: &Surroundings<'_>,
    kinds: &K,
) -> Result<PlanStep<K::Procedure>, Box<Problem>> {
    let Draft { common, params, span } = draft;
    let kind = common.kind.get_ref().as_str();
    let known = kinds.names();
    if !known.contains(&kind) {
        let help = nearest_help(kind, known.into_iter(), "kinds");
        return Err(problem(source, format!("unknown step kind `{kind}`"), common.kind.span(), "no such kind", help));
    }
    let resolved = kinds.resolve(kind, params, around).map_err(|problem| problem.in_file(source, span.clone()))?;
    let Resolved { measurements, coverage, mut uses, default_timeout, procedure } = resolved;
    if measurements.is_empty() && !kinds.may_measure_nothing(kind) {
        let help = "its parameters select nothing: a step that measures nothing would always pass".to_owned();
        return Err(problem(source, format!("step `{}` measures nothing", common.id.get_ref()), span, "here", help));
    }
    check_measurements(&measurements).map_err(|problem| problem.in_file(source, span))?;
    for resource in common.uses {
        if !uses.contains(resource.get_ref()) {
            uses.push(resource.into_inner());
        }
    }
    let id = common.id.into_inner();
    let step = Step {
        title: common.title.unwrap_or_else(|| id.clone()),
        id,
        kind: common.kind.into_inner(),
        needs,
        uses,
        timeout: common.timeout.map_or(default_timeout, |timeout| timeout.get_ref().duration()),
        retry: common.retry.map_or(0, Spanned::into_inner),
        on_fail: common.on_fail,
        measurements,
    };
    Ok(PlanStep { step, coverage, procedure })
}

/// What a kind promises is checked too: a measurement without limits would always pass.
fn check_measurements(measurements: &[MeasurementSpec]) -> Result<(), ParamProblem> {
    let mut names = BTreeSet::new();
    for MeasurementSpec { name, limits, unit, .. } in measurements {
        if !names.insert(name) {
            return Err(ParamProblem::new(format!("two measurements are called `{name}`")));
        }
        let sane = match (limits.min, limits.max) {
            (None, None) => false,
            (Some(min), Some(max)) => min <= max,
            (Some(one), None) | (None, Some(one)) => !one.is_nan(),
        };
        if !sane {
            let limits = limits.show(*unit);
            return Err(ParamProblem::new(format!("no value can be judged against the limits of `{name}`: {limits}"))
                .help("expected at least one limit, and min at most max"));
        }
    }
    Ok(())
}
