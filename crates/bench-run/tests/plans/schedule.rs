//! Invariants of every plan, whatever its steps need and however they end.

use crate::made::{Made, plans, some_of, step};
use bench_run::{Schedule, Step, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;

/// A holder of resources: when it ends, and when its cleanup ends.
struct Holder {
    step: usize,
    attempt: u8,
    ends: u32,
    /// Set once it ended.
    free_at: Option<u32>,
}

/// Drives the schedule to its end and records it; checks the invariants at every moment.
fn drive(plan: &[Made]) -> Vec<String> {
    let steps: Vec<Step> = plan.iter().map(|made| made.step.clone()).collect();
    let mut schedule = Schedule::new(&steps);
    let mut holders: Vec<Holder> = Vec::new();
    let mut story = Vec::new();
    // More than all attempts one after the other.
    for now in 0..3 * plan.iter().map(|made| made.ticks + made.tidying + 1).sum::<u32>() + 1 {
        for holder in &mut holders {
            let made = &plan[holder.step];
            if holder.free_at.is_none() && holder.ends <= now {
                let verdict = made.verdicts[usize::from(holder.attempt - 1)];
                let again = schedule.ended(holder.step, verdict);
                story.push(format!("{now} {} {} {verdict} {again}", made.step.id, holder.attempt));
                holder.free_at = Some(now + if verdict == Verdict::Pass { 0 } else { made.tidying });
            }
        }
        let free = |holder: &Holder| holder.free_at.is_some_and(|free_at| free_at <= now);
        holders.iter().filter(|holder| free(holder)).for_each(|holder| schedule.let_go(holder.step));
        holders.retain(|holder| !free(holder));
        for skipped in schedule.skip_unreachable() {
            story.push(format!("{now} s{skipped} skipped"));
        }
        for start in schedule.start() {
            let made = &plan[start.step];
            story.push(format!("{now} {} {} starts", made.step.id, start.attempt));
            for other in &holders {
                assert_ne!(other.step, start.step, "a step runs twice at a time: {story:?}");
                let other = &plan[other.step].step;
                assert!(!other.conflicts_with(&made.step), "{} together with {}: {story:?}", made.step.id, other.id);
            }
            for need in &made.step.needs {
                assert_eq!(schedule.verdict_of(*need), Some(Verdict::Pass), "{story:?}");
            }
            for other in &made.step.after {
                assert!(schedule.verdict_of(*other).is_some(), "{story:?}");
            }
            holders.push(Holder { step: start.step, attempt: start.attempt, ends: now + made.ticks, free_at: None });
        }
        if holders.is_empty() {
            break;
        }
    }
    let open: Vec<usize> = (0..plan.len()).filter(|&index| schedule.verdict_of(index).is_none()).collect();
    assert_eq!(open, [] as [usize; 0], "steps that never ended: {story:?}");
    story.push(schedule.verdict().to_string());
    story
}

proptest! {
    #[test]
    fn every_step_ends_and_nothing_has_two_users(plan in plans()) {
        prop_assert_eq!(drive(&plan), drive(&plan), "the same plan gives the same run");
    }

    /// A step that uses everything, among others that share: it waits for those before it in the plan, and for the
    /// steps that had overtaken it by the time these have ended.
    #[test]
    fn overtaking_ends(lengths in vec(1u32..10, 2..30), alone in any::<prop::sample::Index>(), long in 1u32..40) {
        let alone = alone.index(lengths.len());
        let resource = |index: usize| 1 + index % 3;
        let make = |index: usize, ticks: u32| Made {
            step: if index == alone {
                step(index, some_of(0b1111), Vec::new())
            } else {
                step(index, some_of(1 << resource(index)), some_of(1))
            },
            ticks: if index == 0 { long } else { ticks },
            tidying: 0,
            verdicts: vec![Verdict::Pass; 3],
        };
        let plan: Vec<Made> = lengths.iter().enumerate().map(|(index, ticks)| make(index, *ticks)).collect();
        let story = drive(&plan);
        let suffix = format!(" s{alone} 1 starts");
        let started: u32 = story.iter().find_map(|line| line.strip_suffix(&suffix)).unwrap().parse().unwrap();
        let before = |wanted| (0..alone).filter(|&index| resource(index) == wanted).map(|index| plan[index].ticks).sum();
        let longest: u32 = (1..=3).map(before).max().unwrap();
        prop_assert!(started <= longest + 9, "{started}, {longest} are before it: {story:?}");
    }
}
