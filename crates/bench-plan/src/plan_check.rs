//! Checks a plan text: returns a checked plan, or the first mistake.

use crate::named_limits::NamedLimits;
use crate::names::nearest_help;
use crate::plan_head::{Body, Unread, read_head};
use crate::plan_needs::{Waits, resolve_needs};
use crate::plan_not_covered::not_covered;
use crate::plan_steps::{Draft, StepTable, leave_out, read_drafts, replace_keys, step_tables};
use crate::plan_text::PlanText;
use crate::reach::StepText;
use crate::{
    DutFamily, Fixture, LeftOut, Model, ParamProblem, Plan, PlanHead, PlanResult, PlanStep, Problem, Resolved,
    StepKinds, Surroundings,
};
use bench_run::{MeasurementSpec, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use toml::Spanned;

/// Checks a plan against module families, its fixture, and the known kinds of steps.
///
/// # Errors
/// The first mistake: invalid TOML, then the head, then the steps' own keys, the plan's changes of included steps,
/// needs, and parameters.
pub fn check_plan<K: StepKinds>(
    text: &PlanText,
    families: &[&DutFamily],
    fixture: &Fixture,
    kinds: &K,
) -> PlanResult<K::Procedure> {
    let (head, body, parts) = read_files(text)?;
    let (dut, model) = find_model(text, &head, families)?;
    check_fixture(text, &head, dut, fixture)?;
    let (mut limits, mut tables, mut reasons) = (NamedLimits::default(), Vec::new(), Vec::new());
    for part in parts {
        limits.add(text, part.limits)?;
        tables.extend(part.steps);
        reasons.push(part.not_covered);
    }
    reasons.push(body.not_covered);
    limits.add(text, body.limits)?;
    tables.extend(step_tables(text, body.steps, false)?);
    tables.iter().for_each(|step| limits.refer(&step.table));
    let replaced = replace_keys(text, body.overrides, &mut tables)?;
    let mut drafts = read_drafts(text, tables, families, dut, model)?;
    let left_out = leave_out(text, body.leave_out, &replaced, &mut drafts)?;
    if !drafts.iter().any(Draft::stays) {
        let help = "expected at least one [[step]]".to_owned();
        return Err(text.problem("the plan has no steps".into(), 0..0, "tests nothing", help));
    }
    let is_cut = drafts.iter().any(|draft| draft.is_skipped);
    for draft in drafts.iter_mut().filter(|draft| !draft.is_skipped) {
        limits.insert_into(&mut draft.params).map_err(|problem| text.locate(problem, &draft.span))?;
    }
    let needs = resolve_needs(text, &drafts)?;
    let is_lesser = fixture.name != *head.fixture.get_ref();
    let reached = is_lesser.then(|| dut.reached_by(fixture));
    let around =
        Surroundings { families, dut: reached.as_ref().unwrap_or(dut), model, fixture, uses: &[], shares: &[] };
    let (mut steps, mut warnings) = (Vec::with_capacity(needs.len()), Vec::new());
    let places: BTreeMap<String, Range<usize>> =
        drafts.iter().filter(|draft| draft.stays()).map(|draft| (draft.id().to_owned(), draft.span.clone())).collect();
    for (draft, Waits { needs, after }) in drafts.into_iter().filter(Draft::stays).zip(needs) {
        let id = draft.id().to_owned();
        if draft.is_skipped {
            let left_out = LeftOut { step: id, reason: "has a mistake".into() };
            steps.push(Err(Impossible { is_rested_on: false, needs, left_out }));
            continue;
        }
        let (kind, its_needs) = (draft.common.kind.get_ref().clone(), needs.clone());
        match check_step(text, draft, needs, &around, kinds) {
            Ok((mut planned, its_warnings)) => {
                planned.step.after = after;
                warnings.extend(its_warnings);
                steps.push(Ok(planned));
            }
            Err(problem) if is_lesser => steps.push(Err(Impossible {
                is_rested_on: kinds.is_rested_on(&kind),
                needs: its_needs,
                left_out: LeftOut { step: id, reason: problem.message.clone() },
            })),
            Err(problem) => return Err(problem),
        }
    }
    let (checked, cannot) = keep_possible(steps);
    if checked.is_empty() && !is_cut {
        let message = format!("no step of the plan can run on fixture `{}`", fixture.name);
        return Err(text.problem(message, head.fixture.span(), "made for this one", String::new()));
    }
    let left_out = left_out.into_iter().chain(cannot).collect();
    limits.all_used(text)?;
    let covered = checked
        .iter()
        .flat_map(|planned: &PlanStep<_>| planned.coverage.iter().map(|coverage| (planned.step.id.as_str(), coverage)));
    let not_covered = not_covered(text, reasons, dut, covered)?;
    // A repair of another mistake may have taken a step or a need out.
    if !is_cut && !text.is_repaired() {
        no_power_before_shorts(text, &checked, &places, kinds)?;
    }
    let allowed = head.also_on.into_iter().find(|row| *row.fixture.get_ref() == fixture.name);
    Ok(Plan {
        title: head.title.unwrap_or_else(|| head.name.clone()),
        name: head.name,
        model: head.model.into_inner(),
        family: dut.name.clone(),
        fixture: fixture.name.clone(),
        passes_here: !is_lesser || allowed.is_some(),
        reason_here: allowed.map(|row| row.reason),
        firmware: head.firmware.into_inner(),
        steps: checked,
        left_out,
        not_covered,
        warnings: each_once(warnings),
    })
}

/// Limits that several steps share are reported once.
fn each_once(warnings: Vec<Problem>) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let place = |problem: &Problem| (problem.file.name().to_owned(), problem.span.map(|span| span.offset()));
    warnings.into_iter().filter(|problem| seen.insert(place(problem))).collect()
}

/// Refuses a step that switches a rail on which no step before it measured for shorts. A run would refuse it too, but
/// only when the module is in the nest.
fn no_power_before_shorts<K: StepKinds>(
    text: &PlanText,
    steps: &[PlanStep<K::Procedure>],
    places: &BTreeMap<String, Range<usize>>,
    kinds: &K,
) -> Result<(), Box<Problem>> {
    for planned in steps {
        let (mut before, mut ahead) = (BTreeSet::new(), planned.step.needs.clone());
        while let Some(need) = ahead.pop() {
            if before.insert(need) {
                ahead.extend(steps.get(need).into_iter().flat_map(|needed| &needed.step.needs));
            }
        }
        let measures = |index: &usize| steps.get(*index).map(|step| kinds.measures_for_shorts(&step.procedure));
        let measured: BTreeSet<String> = before.iter().filter_map(measures).flatten().collect();
        let Some(rail) = kinds.switches_on(&planned.procedure).into_iter().find(|rail| !measured.contains(rail)) else {
            continue;
        };
        let id = &planned.step.id;
        let measuring = steps.iter().find(|step| kinds.measures_for_shorts(&step.procedure).contains(&rail));
        let help = match measuring {
            Some(step) => format!(
                "add \"{}\", which measures it, to the `needs` of `{id}` or of a step that it needs",
                step.step.id
            ),
            None => format!("no step measures {rail}: add one of kind `rail-resistance`, and let `{id}` need it"),
        };
        let message = format!("step `{id}` switches on the rail {rail}, which was not measured for shorts before");
        let place = places.get(id).cloned().unwrap_or(0..0);
        return Err(Box::new(text.problem(message, place, "power before the check for shorts", help).absent()));
    }
    Ok(())
}

/// Content of a part.
struct Part<'i> {
    limits: Unread<'i>,
    steps: Vec<StepTable<'i>>,
    not_covered: Unread<'i>,
}

fn read_files(text: &PlanText) -> Result<(PlanHead, Body<'_>, Vec<Part<'_>>), Box<Problem>> {
    let mut tables = text.tables()?.into_iter();
    let own = tables.next().unwrap_or_default();
    let (head, body) = read_head(text.plan(), own)?;
    let mut parts = Vec::with_capacity(text.parts().len());
    for (index, mut table) in tables.enumerate() {
        let (limits, steps, not_covered) = (table.remove("limits"), table.remove("step"), table.remove("not_covered"));
        if let Some(key) = table.keys().min_by_key(|key| key.span().start) {
            let message = match key.get_ref().as_ref() {
                "include" => "a part cannot include others".to_owned(),
                name => format!("`{name}` does not belong in a part of a plan"),
            };
            let help = "a part holds [[step]], [limits] and [[not_covered]] only; everything else belongs in the plans that include it";
            return Err(text.problem(message, key.span(), "no such key in a part", help.into()));
        }
        if limits.is_none() && steps.is_none() && not_covered.is_none() {
            let help = "expected [[step]], [limits] or [[not_covered]]".to_owned();
            return Err(text.problem("the part is empty".into(), text.start_of(index + 1), "nothing here", help));
        }
        parts.push(Part { limits, steps: step_tables(text, steps, true)?, not_covered });
    }
    Ok((head, body, parts))
}

fn find_model<'f>(
    text: &PlanText,
    head: &PlanHead,
    families: &[&'f DutFamily],
) -> Result<(&'f DutFamily, &'f Model), Box<Problem>> {
    let wanted = head.model.get_ref();
    let model = families.iter().find_map(|family| family.model(wanted).map(|model| (*family, model)));
    model.ok_or_else(|| {
        let names = families.iter().flat_map(|family| &family.models).map(|model| model.name.as_str());
        let help = nearest_help(wanted, names, "models");
        text.problem(format!("unknown model `{wanted}`"), head.model.span(), "no such model", help)
    })
}

fn check_fixture(text: &PlanText, head: &PlanHead, dut: &DutFamily, fixture: &Fixture) -> Result<(), Box<Problem>> {
    if *head.fixture.get_ref() != fixture.name && fixture.base.as_ref() != Some(head.fixture.get_ref()) {
        let message = format!("the plan is for fixture `{}`, this is `{}`", head.fixture.get_ref(), fixture.name);
        let help = format!("expected fixture = \"{}\", or use the other fixture", fixture.name);
        return Err(text.problem(message, head.fixture.span(), "another fixture", help));
    }
    if !fixture.families.contains(&dut.name) {
        let message = format!("the plan is for another model: fixture `{}` does not take {}", fixture.name, dut.name);
        let help = format!("the nest of `{}` takes {}", fixture.name, fixture.families.join(", "));
        let label = format!("a module of family {}", dut.name);
        return Err(text.problem(message, head.model.span(), &label, help));
    }
    Ok(())
}

/// A step that the fixture cannot do.
struct Impossible {
    /// Whether its dependents make no sense without it.
    is_rested_on: bool,
    needs: Vec<usize>,
    left_out: LeftOut,
}

/// Splits the steps into those that a fixture can do and those that it cannot, with the obstacle: their own
/// requirement, or that of a step that they depend on.
fn keep_possible<P>(steps: Vec<Result<PlanStep<P>, Impossible>>) -> (Vec<PlanStep<P>>, Vec<LeftOut>) {
    let mut steps = steps;
    // A step's needs may precede or follow it, so repeat until nothing changes.
    loop {
        let mut changed = false;
        for n in 0..steps.len() {
            let Some(Ok(planned)) = steps.get(n) else { continue };
            let gone = planned.step.needs.iter().find_map(|&need| Some((need, steps.get(need)?.as_ref().err()?)));
            let Some((need, gone)) = gone else { continue };
            changed = true;
            if gone.is_rested_on {
                let reason = format!("needs `{}`", gone.left_out.step);
                let lost = Impossible {
                    is_rested_on: true,
                    needs: Vec::new(),
                    left_out: LeftOut { step: planned.step.id.clone(), reason },
                };
                if let Some(step) = steps.get_mut(n) {
                    *step = Err(lost);
                }
            } else {
                let inherited = gone.needs.clone();
                if let Some(Ok(planned)) = steps.get_mut(n) {
                    planned.step.needs.retain(|&other| other != need);
                    planned.step.needs.extend(inherited);
                    planned.step.needs.sort_unstable();
                    planned.step.needs.dedup();
                }
            }
        }
        if !changed {
            break;
        }
    }
    // Indices shift where steps are removed.
    let mut count = 0;
    let mut place = Vec::with_capacity(steps.len());
    for step in &steps {
        place.push(step.is_ok().then_some(count));
        count += usize::from(step.is_ok());
    }
    let (mut kept, mut lost) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Ok(mut planned) => {
                for waits in [&mut planned.step.needs, &mut planned.step.after] {
                    *waits = waits.iter().filter_map(|&need| place.get(need).copied().flatten()).collect();
                }
                kept.push(planned);
            }
            Err(lost_step) => lost.push(lost_step.left_out),
        }
    }
    (kept, lost)
}

/// A checked step, with the warnings about it.
type PlanStepResult<P> = Result<(PlanStep<P>, Vec<Problem>), Box<Problem>>;

fn check_step<K: StepKinds>(
    text: &PlanText,
    draft: Draft<'_>,
    needs: Vec<usize>,
    around: &Surroundings<'_>,
    kinds: &K,
) -> PlanStepResult<K::Procedure> {
    let Draft { common, params, span, .. } = draft;
    let kind = common.kind.get_ref().as_str();
    let names = kinds.names();
    if !names.contains(&kind) {
        let help = nearest_help(kind, names.into_iter(), "kinds");
        return Err(text.problem(format!("unknown step kind `{kind}`"), common.kind.span(), "no such kind", help));
    }
    let written = params.clone();
    let listed =
        |given: &[Spanned<String>]| -> Vec<String> { given.iter().map(|name| name.get_ref().clone()).collect() };
    let around = &Surroundings { uses: &listed(&common.uses), shares: &listed(&common.shares), ..*around };
    let resolved = kinds.resolve(kind, params, around).map_err(|problem| text.locate(problem, &span))?;
    let Resolved { measurements, coverage, mut uses, mut shares, default_timeout, procedure } = resolved;
    if measurements.is_empty() && !kinds.may_measure_nothing(kind) {
        let help = "its parameters select nothing: a step that measures nothing would always pass".to_owned();
        return Err(text.problem(format!("step `{}` measures nothing", common.id.get_ref()), span, "here", help));
    }
    check_measurements(&measurements).map_err(|problem| text.locate(problem, &span))?;
    let timeout_at = common.timeout.as_ref().map(Spanned::span);
    let timeout = common.timeout.map_or(default_timeout, |timeout| timeout.get_ref().duration());
    let as_written = StepText { text, id: common.id.get_ref(), params: &written, timeout, timeout_at };
    let warnings = as_written.warnings(kinds.reaches(kind), around);
    let add = |to: &mut Vec<String>, more: Vec<Spanned<String>>| {
        for resource in more.into_iter().map(Spanned::into_inner) {
            if !to.contains(&resource) {
                to.push(resource);
            }
        }
    };
    add(&mut uses, common.uses);
    add(&mut shares, common.shares);
    // A step need not share what it uses exclusively.
    shares.retain(|resource| !uses.contains(resource));
    let id = common.id.into_inner();
    let step = Step {
        title: common.title.unwrap_or_else(|| id.clone()),
        id,
        kind: common.kind.into_inner(),
        needs,
        after: Vec::new(),
        uses,
        shares,
        timeout,
        retry: common.retry.map_or(0, Spanned::into_inner),
        on_fail: common.on_fail,
        measurements,
    };
    Ok((PlanStep { step, coverage, procedure }, warnings))
}

/// The promises of a kind are checked too: a measurement without limits would always pass.
fn check_measurements(measurements: &[MeasurementSpec]) -> Result<(), ParamProblem> {
    let mut names = BTreeSet::new();
    for MeasurementSpec { name, limits, unit, .. } in measurements {
        if !names.insert(name) {
            return Err(ParamProblem::new(format!("two measurements are called `{name}`")));
        }
        let sane = match (limits.min, limits.max) {
            (None, None) => false,
            (Some(min), Some(max)) => min <= max,
            (Some(limit), None) | (None, Some(limit)) => !limit.is_nan(),
        };
        if !sane {
            let limits = limits.show(*unit);
            return Err(ParamProblem::new(format!("no value can be judged against the limits of `{name}`: {limits}"))
                .help("expected at least one limit, and min at most max"));
        }
    }
    Ok(())
}
