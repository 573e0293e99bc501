//! Computes when each step of a plan would run, from their durations.

use crate::{BenchTime, Schedule, Step, Verdict};
use serde::Serialize;
use std::time::Duration;

/// A step with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// Index of the step in the plan.
    pub step: usize,
    /// Since the first step began, microseconds.
    #[serde(rename = "begins_us")]
    pub begins: BenchTime,
    #[serde(rename = "ends_us")]
    pub ends: BenchTime,
}

/// Returns the run of a plan in which every step passes at the first attempt, in the order of the starts. It is
/// computed by the same [`Schedule`] that runs the plan. `takes` holds each step's time; a missing one counts as zero.
pub fn timetable(steps: &[Step], takes: &[Duration]) -> Vec<Slot> {
    let mut schedule = Schedule::new(steps);
    let mut slots: Vec<Slot> = Vec::with_capacity(steps.len());
    let mut running: Vec<Slot> = Vec::new();
    let mut now = BenchTime::ZERO;
    loop {
        for start in schedule.start() {
            let time = takes.get(start.step).copied().unwrap_or_default();
            let slot = Slot { step: start.step, begins: now, ends: now + time };
            slots.push(slot);
            running.push(slot);
        }
        let Some(next) = running.iter().map(|slot| slot.ends).min() else { return slots };
        now = next;
        running.retain(|slot| {
            let over = slot.ends <= now;
            if over {
                schedule.ended(slot.step, Verdict::Pass);
                schedule.let_go(slot.step);
            }
            !over
        });
    }
}

/// From the first start to the last end.
pub fn length(slots: &[Slot]) -> Duration {
    slots.iter().map(|slot| slot.ends).max().unwrap_or_default() - BenchTime::ZERO
}
