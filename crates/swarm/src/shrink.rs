//! Shrinks a scenario that breaks a rule to what it takes.

use crate::case::Case;
use crate::event::Event;
use crate::rule::{Rule, Violation};
use crate::scenario::Scenario;
use crate::verdict::{Alone, check};

/// Runs that one violation may cost.
const MOST_RUNS: usize = 150;

/// The smallest scenario found that breaks the same rule, and how.
pub fn shrink(case: &Case, scenario: &Scenario, violation: &Violation, alone: &Alone) -> (Scenario, Violation) {
    let tries = |scenario: &Scenario| broken(case, scenario, violation.rule, alone);
    search(scenario, violation, &tries)
}

fn broken(case: &Case, scenario: &Scenario, rule: Rule, alone: &Alone) -> Option<Violation> {
    let ran = check(case, scenario, alone).ok()?;
    ran.violations.into_iter().find(|violation| violation.rule == rule)
}

fn search(
    scenario: &Scenario,
    violation: &Violation,
    tries: &dyn Fn(&Scenario) -> Option<Violation>,
) -> (Scenario, Violation) {
    let (mut small, mut found, mut runs) = (scenario.clone(), violation.clone(), 0);
    let mut accept = |candidate: Scenario, small: &mut Scenario| -> bool {
        if candidate == *small || runs >= MOST_RUNS {
            return false;
        }
        runs += 1;
        let Some(violation) = tries(&candidate) else { return false };
        (*small, found) = (candidate, violation);
        true
    };
    // Fewer events: halves first, then smaller parts (delta debugging).
    let mut part = small.events.len().div_ceil(2);
    while part > 0 {
        let mut at = 0;
        while at < small.events.len() {
            let mut without = small.clone();
            without.events.drain(at..(at + part).min(small.events.len()));
            if !accept(without, &mut small) {
                at += part;
            }
        }
        part = if part == 1 { 0 } else { part.div_ceil(2) };
    }
    // Then whatever makes it plainer.
    accept(Scenario { recorded: false, ..small.clone() }, &mut small);
    accept(Scenario { blank: false, ..small.clone() }, &mut small);
    accept(Scenario { seed: 1, ..small.clone() }, &mut small);
    for at in 0..small.events.len() {
        for of in [at_us, span_us] {
            let rounded = |unit: u64| move |us: u64| us / unit * unit;
            for (unit, smaller) in [(1_000_000, 2), (100_000, 2), (1000, 2)] {
                accept(with(&small, at, of, &rounded(unit)), &mut small);
                while accept(with(&small, at, of, &|us| us / smaller / unit * unit), &mut small) {}
            }
        }
    }
    (small, found)
}

fn at_us(event: &mut Event) -> &mut u64 {
    &mut event.at_us
}

fn span_us(event: &mut Event) -> &mut u64 {
    &mut event.span_us
}

/// A time that is there stays above zero: without one, the event would be another.
fn with(scenario: &Scenario, at: usize, of: fn(&mut Event) -> &mut u64, change: &dyn Fn(u64) -> u64) -> Scenario {
    let mut changed = scenario.clone();
    if let Some(event) = changed.events.get_mut(at) {
        let time = of(event);
        let smaller = change(*time);
        if smaller > 0 {
            *time = smaller;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Kind;
    use std::cell::Cell;

    fn shrunk(text: &str, breaks: fn(&Scenario) -> bool) -> (String, usize) {
        let runs = Cell::new(0);
        let tries = |scenario: &Scenario| {
            runs.set(runs.get() + 1);
            breaks(scenario).then(|| Violation::new(Rule::RailsOn, "smaller"))
        };
        let (small, _) = search(&text.parse().unwrap(), &Violation::new(Rule::RailsOn, "first"), &tries);
        (small.to_string(), runs.get())
    }

    #[test]
    fn only_what_it_takes_is_left() {
        let many = "plan=b404x seed=77 blank recorded events=[start@1s signal@2345678us stall@3456789us+123456us \
                    fault:open:23 lid@1s start@5s start@6s start@7s]";
        let (small, runs) = shrunk(many, |scenario| {
            let late = |event: &Event| event.kind == Kind::Stall && event.at_us >= 2_000_500 && event.span_us >= 50_000;
            scenario.events.iter().any(late) && scenario.events.iter().any(|event| event.kind == Kind::Signal)
        });
        assert_eq!(small, "plan=b404x seed=1 events=[signal@1ms stall@3s+50ms]");
        assert!(runs <= MOST_RUNS, "{runs}");
        let both = shrunk(many, |scenario| scenario.seed == 77 && scenario.blank);
        assert_eq!(both.0, "plan=b404x seed=77 blank events=[]");
    }
}
