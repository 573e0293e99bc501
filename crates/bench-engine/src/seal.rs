//! The last check before a pass: does the record support it?
//!
//! The run loop works the verdict out during the run. This module works it out again from the record alone, as `bench
//! verify` does years later. It checks only a pass: people act on every other verdict anyway.

use crate::Recorder;
use bench_plan::{Plan, PlanStep};
use bench_run::{Entry, Event, JOURNAL_FORMAT, PlannedStep, Tally, Verdict, rejudge_lines};

/// What a run of the plan promises, for the first entry of its journal.
pub fn promises<P>(plan: &Plan<P>) -> Vec<PlannedStep> {
    let promise = |planned: &PlanStep<P>| PlannedStep {
        id: planned.step.id.clone(),
        kind: planned.step.kind.clone(),
        title: planned.step.title.clone(),
        measurements: planned.step.measurements.len(),
        attempts: Some(planned.step.retry.saturating_add(1)),
        promised: planned.step.measurements.clone(),
    };
    plan.steps.iter().map(promise).collect()
}

/// Checks that a pass follows from the record, by judging every promised measurement of every step again. `verdict` is
/// what the record is to say: `pass`, or what stands for it in a diagnosis.
pub(crate) fn bear_out_pass<P>(
    plan: &Plan<P>,
    recorder: &Recorder,
    verdict: Verdict,
    tally: Tally,
) -> Result<(), String> {
    recorder.with_entries(|entries| {
        let written = entries.iter().find_map(|entry| match &entry.event {
            Event::RunStarted { steps, .. } => Some(steps),
            _ => None,
        });
        if !written.is_some_and(|written| promise_the_same(written, plan)) {
            return Err("the record does not promise what the plan does".to_owned());
        }
        let (seq, at_us) = entries.last().map(|entry| (entry.seq + 1, entry.at_us)).unwrap_or_default();
        let event = Event::RunEnded { verdict, reason: None, tally };
        let end = Entry { v: JOURNAL_FORMAT, seq, at_us, event };
        match rejudge_lines(entries.iter().map(|entry| &**entry).chain([&end])).contradictions.first() {
            None => Ok(()),
            Some(first) => Err(format!("the record does not bear out the pass: line {}: {}", first.line, first.text)),
        }
    })
}

/// Whether these are the [`promises`] of the plan, without a copy of them.
fn promise_the_same<P>(written: &[PlannedStep], plan: &Plan<P>) -> bool {
    let same = |(written, planned): (&PlannedStep, &PlanStep<P>)| {
        let PlannedStep { id, kind, title, measurements, attempts, promised } = written;
        let step = &planned.step;
        (id, kind, title) == (&step.id, &step.kind, &step.title)
            && *measurements == step.measurements.len()
            && *attempts == Some(step.retry.saturating_add(1))
            && *promised == step.measurements
    };
    written.len() == plan.steps.len() && written.iter().zip(&plan.steps).all(same)
}
