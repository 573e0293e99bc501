//! Resolves which steps wait for which.

use crate::Problem;
use crate::names::nearest_help;
use crate::plan_steps::Draft;
use crate::plan_text::PlanText;
use std::collections::BTreeSet;
use toml::Spanned;

/// What a step waits for, as indices of the remaining steps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waits {
    /// They must have passed.
    pub needs: Vec<usize>,
    /// They must have ended.
    pub after: Vec<usize>,
}

/// Returns the needs of each remaining step, as indices; no cycles. A step that needs a step that is not in this plan
/// inherits that step's needs.
pub(crate) fn resolve_needs(text: &PlanText, drafts: &[Draft<'_>]) -> Result<Vec<Waits>, Box<Problem>> {
    // A model's own variant of a step comes before those for other models.
    let find = |id: &str| {
        let named = |stays: bool| drafts.iter().position(|draft| draft.stays() == stays && draft.id() == id);
        named(true).or_else(|| named(false))
    };
    let named = |draft: &Draft<'_>, how: &str, names: &[Spanned<String>]| -> Result<Vec<usize>, Box<Problem>> {
        let place = |name: &Spanned<String>| {
            find(name.get_ref()).ok_or_else(|| {
                let ids = drafts.iter().filter(|draft| draft.stays()).map(|draft| draft.id());
                let message = format!("step `{}` {how} `{}`, which is not a step", draft.id(), name.get_ref());
                let help = nearest_help(name.get_ref(), ids, "steps");
                Box::new(text.problem(message, name.span(), "no such step", help).absent())
            })
        };
        names.iter().map(place).collect()
    };
    let mut direct: Vec<Vec<usize>> = Vec::with_capacity(drafts.len());
    let mut after: Vec<Vec<usize>> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        direct.push(named(draft, "needs", &draft.common.needs)?);
        after.push(named(draft, "comes after", &draft.common.after)?);
    }
    let staying: Vec<usize> = (0..drafts.len()).filter(|&index| drafts.get(index).is_some_and(Draft::stays)).collect();
    let needs: Vec<Vec<usize>> = staying.iter().map(|&index| needs_of(index, &direct, &staying)).collect();
    let place = |draft: &usize| staying.iter().position(|index| index == draft);
    let after_of = |index: &usize| after.get(*index).into_iter().flatten().filter_map(place).collect();
    let after: Vec<Vec<usize>> = staying.iter().map(after_of).collect();
    let both = |(needs, after): (&Vec<usize>, &Vec<usize>)| needs.iter().chain(after).copied().collect();
    let waits: Vec<Vec<usize>> = needs.iter().zip(&after).map(both).collect();
    if let Some(cycle) = find_cycle(&waits) {
        let draft = |index: usize| staying.get(index).and_then(|&index| drafts.get(index));
        let name = |index: usize| draft(index).map_or("", Draft::id);
        let first = cycle.first().copied().unwrap_or_default();
        let next = cycle.get(1).copied().unwrap_or(first);
        let round: Vec<&str> = cycle.iter().chain([&first]).map(|&index| name(index)).collect();
        // Not one of the step's own when the cycle leads through a step that was left out.
        let at = draft(first).map(|draft| {
            let mut names = draft.common.needs.iter().chain(&draft.common.after);
            let own = names.find(|need| need.get_ref() == name(next));
            own.or(draft.common.needs.first()).or(draft.common.after.first()).map_or(draft.span.clone(), Spanned::span)
        });
        let message = format!("steps need each other in a circle: {}", round.join(" -> "));
        let help = "none of them could ever start: take one of these needs out".to_owned();
        return Err(text.problem(message, at.unwrap_or(0..0), "closes the circle", help));
    }
    Ok(needs.into_iter().zip(after).map(|(needs, after)| Waits { needs, after }).collect())
}

/// Returns the remaining steps that a step needs, in the order of its text and without duplicates.
fn needs_of(step: usize, direct: &[Vec<usize>], staying: &[usize]) -> Vec<usize> {
    let mut needs = Vec::new();
    let mut looked_at = BTreeSet::new();
    let mut ahead: Vec<usize> = direct.get(step).into_iter().flatten().rev().copied().collect();
    while let Some(need) = ahead.pop() {
        if !looked_at.insert(need) {
            continue;
        }
        match staying.iter().position(|&index| index == need) {
            Some(index) => needs.push(index),
            None => ahead.extend(direct.get(need).into_iter().flatten().rev()),
        }
    }
    needs
}

/// Returns a cycle among needs, starting at its first step in plan order.
fn find_cycle(needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    // Remove, round by round, the steps that wait for nothing; the rest waits for a cycle.
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
