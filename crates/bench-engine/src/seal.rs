//! The last look before a pass: is it what the record says?
//!
//! The verdict was worked out while the run went on. Here it is worked out again from nothing but the record, in the same
//! way in which anybody can do it years later (`bench verify`). Only a pass is looked at: everything else is acted on
//! anyway.

use crate::Recorder;
use bench_plan::Plan;
use bench_run::{Entry, Event, JOURNAL_FORMAT, PlannedStep, Tally, Verdict, rejudge};
use std::sync::Arc;

/// What a run of the plan promises, for the first entry of its journal.
pub fn promises<P>(plan: &Plan<P>) -> Vec<PlannedStep> {
    let promise = |planned: &bench_plan::PlanStep<P>| PlannedStep {
        id: planned.step.id.clone(),
        kind: planned.step.kind.clone(),
        title: planned.step.title.clone(),
        measurements: planned.step.measurements.len(),
        promised: planned.step.measurements.clone(),
    };
    plan.steps.iter().map(promise).collect()
}

/// A pass of this plan must follow from the record: every promised measurement of every step, judged again.
pub(crate) fn bear_out_pass<P>(plan: &Plan<P>, recorder: &Recorder, tally: Tally) -> Result<(), String> {
    let mut entries = recorder.shared_entries();
    let written = entries.iter().find_map(|entry| match &entry.event {
        Event::RunStarted { steps, .. } => Some(steps),
        _ => None,
    });
    if written != Some(&promises(plan)) {
        return Err("the record does not promise what the plan does".to_owned());
    }
    let last = entries.last().map(|entry| (entry.seq + 1, entry.at_us)).unwrap_or_default();
    let event = Event::RunEnded { verdict: Verdict::Pass, reason: None, tally };
    entries.push(Arc::new(Entry { v: JOURNAL_FORMAT, seq: last.0, at_us: last.1, event }));
    match rejudge(&entries).contradictions.first() {
        None => Ok(()),
        Some(first) => Err(format!("the record does not bear out the pass: line {}: {}", first.line, first.text)),
    }
}
