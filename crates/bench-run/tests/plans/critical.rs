//! The critical path against all possible schedules.

use crate::made::{Made, plans};
use bench_run::{Step, critical_path, length, timetable};
use proptest::prelude::*;
use std::time::Duration;

fn times(plan: &[Made]) -> (Vec<Step>, Vec<Duration>) {
    let takes = plan.iter().map(|made| Duration::from_millis(made.ticks.into())).collect();
    (plan.iter().map(|made| made.step.clone()).collect(), takes)
}

/// The same plan with its steps in another order.
fn reordered(steps: &[Step], takes: &[Duration], order: &[usize]) -> (Vec<Step>, Vec<Duration>) {
    let place = |step: &usize| order.iter().position(|placed| placed == step).unwrap();
    let moved = |index: &usize| {
        let step = &steps[*index];
        let places = |of: &[usize]| of.iter().map(place).collect();
        Step { needs: places(&step.needs), after: places(&step.after), ..step.clone() }
    };
    (order.iter().map(moved).collect(), order.iter().map(|index| takes[*index]).collect())
}

proptest! {
    #[test]
    fn no_order_beats_it(
        (plan, order) in plans().prop_flat_map(|plan| {
            let all: Vec<usize> = (0..plan.len()).collect();
            (Just(plan), Just(all).prop_shuffle())
        }),
    ) {
        let (steps, takes) = times(&plan);
        let path = critical_path(&steps, &takes);
        for order in [(0..plan.len()).collect(), order] {
            let (steps, takes) = reordered(&steps, &takes, &order);
            let slots = timetable(&steps, &takes);
            prop_assert_eq!(slots.len(), steps.len());
            prop_assert!(length(&slots) >= path.least, "{:?} < {:?}", length(&slots), path);
            prop_assert_eq!(critical_path(&steps, &takes).least, path.least, "of the needs, not of their order");
        }
        // The named steps add up to it, without duplicates.
        let named: Vec<usize> = path.legs.iter().flat_map(|leg| leg.steps().iter().copied()).collect();
        prop_assert_eq!(named.iter().map(|step| takes[*step]).sum::<Duration>(), path.least);
        let mut once = named.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), named.len());
    }

    /// The bound is at least the sum of any chain.
    #[test]
    fn it_is_no_less_than_the_simple_bounds(plan in plans()) {
        let (steps, takes) = times(&plan);
        let least = critical_path(&steps, &takes).least;
        let mut ends = vec![Duration::ZERO; steps.len()];
        for (index, step) in steps.iter().enumerate() {
            let begins = step.needs.iter().chain(&step.after).map(|need| ends[*need]).max().unwrap_or_default();
            ends[index] = begins + takes[index];
            prop_assert!(least >= ends[index]);
        }
        for resource in ["dut", "ports", "bus", "rails"] {
            let users = (0..steps.len()).filter(|index| steps[*index].uses.iter().any(|name| name == resource));
            prop_assert!(least >= users.map(|index| takes[index]).sum::<Duration>());
        }
    }
}
