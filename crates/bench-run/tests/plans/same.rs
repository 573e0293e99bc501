//! The fast schedule gives the same orders as the simple one, call by call.

use crate::made::{Made, plans, some_of, step};
use crate::reference::Reference;
use bench_run::{OnFail, Schedule, Step, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;

/// A possible call of a driver.
#[derive(Debug, Clone, Copy)]
enum Call {
    Start,
    Skip,
    /// One running step ends, with this verdict.
    End(prop::sample::Index, Verdict),
    /// One ended step releases its resources.
    LetGo(prop::sample::Index),
    Abort,
}

fn call() -> impl Strategy<Value = Call> {
    let verdict = prop_oneof![8 => Just(Verdict::Pass), 2 => Just(Verdict::Fail), 1 => Just(Verdict::Error)];
    let end = (any::<prop::sample::Index>(), verdict).prop_map(|(index, verdict)| Call::End(index, verdict));
    prop_oneof![
        40 => Just(Call::Start),
        20 => Just(Call::Skip),
        60 => end,
        60 => any::<prop::sample::Index>().prop_map(Call::LetGo),
        1 => Just(Call::Abort),
    ]
}

/// The same plan in another order: a step may come before those that it waits for.
fn shuffled(plan: Vec<Made>) -> impl Strategy<Value = Vec<Step>> {
    let places: Vec<usize> = (0..plan.len()).collect();
    Just(places).prop_shuffle().prop_map(move |places| {
        let mut steps: Vec<(usize, Step)> = plan.iter().map(|made| made.step.clone()).enumerate().collect();
        for (index, step) in &mut steps {
            *index = places[*index];
            step.needs.iter_mut().chain(&mut step.after).for_each(|other| *other = places[*other]);
        }
        steps.sort_by_key(|(place, _)| *place);
        steps.into_iter().map(|(_, step)| step).collect()
    })
}

/// Many steps that compete for few resources, so that overtaking matters.
fn crowds() -> impl Strategy<Value = Vec<Step>> {
    let drawn_step = (0u8..16, 0u8..16, 0u8..2, prop::bool::weighted(0.1), vec(any::<prop::sample::Index>(), 0..2));
    vec(drawn_step, 1..60).prop_map(|drawn| {
        let made =
            |(index, (uses, shares, retry, stops, needs)): (usize, (u8, u8, u8, bool, Vec<prop::sample::Index>))| {
                Step {
                    needs: needs.iter().filter(|_| index % 3 == 2).map(|need| need.index(index)).collect(),
                    retry,
                    on_fail: if stops { OnFail::Stop } else { OnFail::Continue },
                    // A name may occur twice, and be both used and shared.
                    ..step(index, [some_of(uses & shares), some_of(uses & shares & 5)].concat(), some_of(shares))
                }
            };
        drawn.into_iter().enumerate().map(made).collect()
    })
}

fn same(steps: &[Step], calls: &[Call]) -> Result<(), TestCaseError> {
    let (mut quick, mut simple) = (Schedule::new(steps), Reference::new(steps));
    let mut ended: Vec<usize> = Vec::new();
    for (n, call) in calls.iter().enumerate() {
        match call {
            Call::Start => prop_assert_eq!(quick.start(), simple.start(), "call {}", n),
            Call::Skip => prop_assert_eq!(quick.skip_unreachable(), simple.skip_unreachable(), "call {}", n),
            Call::End(index, verdict) => {
                let running = simple.running();
                if !running.is_empty() {
                    let step = running[index.index(running.len())];
                    prop_assert_eq!(quick.ended(step, *verdict), simple.ended(step, *verdict), "call {}", n);
                    ended.push(step);
                }
            }
            Call::LetGo(index) => {
                if !ended.is_empty() {
                    let step = ended.swap_remove(index.index(ended.len()));
                    quick.let_go(step);
                    simple.let_go(step);
                }
            }
            Call::Abort => {
                quick.abort();
                simple.abort();
            }
        }
        prop_assert_eq!(quick.running(), simple.running(), "call {}", n);
        prop_assert_eq!(quick.verdict(), simple.verdict(), "call {}", n);
        for index in 0..steps.len() {
            prop_assert_eq!(quick.verdict_of(index), simple.verdict_of(index), "call {}, step {}", n, index);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn of_any_plan(steps in plans().prop_flat_map(shuffled), calls in vec(call(), 0..150)) {
        same(&steps, &calls)?;
    }

    #[test]
    fn of_a_crowd(steps in crowds(), calls in vec(call(), 0..300)) {
        same(&steps, &calls)?;
    }
}
