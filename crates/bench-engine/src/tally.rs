//! Counts at the end of a run.

use crate::Recorder;
use bench_plan::Plan;
use bench_run::{Contact, Schedule, Tally, Verdict};
use std::collections::BTreeSet;

pub(crate) fn count<P>(schedule: &Schedule<'_>, plan: &Plan<P>, recorder: &Recorder) -> Tally {
    let mut tally = Tally { steps: plan.steps.len(), ..Tally::default() };
    for index in 0..plan.steps.len() {
        match schedule.verdict_of(index) {
            Some(Verdict::Pass) => tally.passed += 1,
            Some(Verdict::Fail) => tally.failed += 1,
            Some(Verdict::Error) => tally.errors += 1,
            Some(Verdict::Skipped) | None => tally.skipped += 1,
            Some(Verdict::Aborted) => tally.aborted += 1,
        }
    }
    let mut contacts = BTreeSet::<Contact>::new();
    for index in 0..plan.steps.len() {
        recorder.with_delivered(index, |delivered| {
            tally.measurements += delivered.measurements.len();
            let judged = delivered.measurements.iter().filter(|measurement| measurement.value.is_some());
            contacts.extend(judged.flat_map(|measurement| measurement.contacts.iter().copied()));
        });
    }
    tally.contacts = contacts.len();
    tally
}
