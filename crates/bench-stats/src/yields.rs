//! First-pass yield, rolled yield, and the effect of retests.

use crate::capability::Z95;
use bench_run::Verdict;
use serde::Serialize;
use std::collections::HashMap;

/// One run on one unit; runs are in the order of time.
#[derive(Debug, Clone, Copy)]
pub struct UnitRun<'a, 's> {
    /// Serial number of the unit.
    pub serial: &'a str,
    /// Verdict of the run.
    pub verdict: Verdict,
    /// For each step: its name, the verdict of its first attempt, of the one that counts, and the number of attempts.
    pub steps: &'s [(&'s str, Option<Verdict>, Option<Verdict>, u8)],
}

/// Yields of a set of runs.
///
/// Only runs in which the module was judged (pass or fail) count. A run that ended as an error of the bench, or was
/// aborted, says nothing about the unit and is counted separately.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Yields {
    /// Number of runs, of all verdicts.
    pub runs: usize,
    /// Runs without a judgement of the module.
    pub bench_errors: usize,
    /// Runs that were aborted.
    pub aborted: usize,
    /// Units that were judged at least once.
    pub units: usize,
    /// Units that passed in their first judged run, with each step at its first attempt.
    pub first_pass: usize,
    /// Units that passed in their first judged run with a repeated step.
    pub rescued_by_retry: usize,
    /// Units whose first judged run failed and whose last one passed.
    pub rescued_by_retest: usize,
    /// Units whose last judged run passed.
    pub passed: usize,
    /// Share of units in `first_pass`.
    pub first_pass_yield: Option<Interval>,
    /// Share of units in `passed`.
    pub final_yield: Option<Interval>,
    /// Product of the steps' first-pass yields.
    pub rolled_yield: Option<f64>,
    /// Geometric mean of the steps' yields.
    pub normalised_yield: Option<f64>,
    /// Failed first attempts per judged unit.
    pub defects_per_unit: Option<f64>,
    /// Yields of the steps.
    pub steps: Vec<StepYield>,
}

/// A share with its two-sided 95 % interval (Wilson).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The share, 0 to 1.
    pub share: f64,
    /// Lower end of the interval, 0 to 1.
    pub low: f64,
    /// Upper end of the interval, 0 to 1.
    pub high: f64,
}

/// First-attempt statistics of a step, in the first judged runs of the units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepYield {
    /// Id of the step.
    pub step: String,
    /// Units in which it was executed.
    pub units: usize,
    /// Units in which it passed at the first attempt.
    pub first_pass: usize,
    /// Units in which a further attempt passed.
    pub rescued: usize,
    /// Units in which it did not pass in the end.
    pub bad: usize,
}

/// Returns Wilson's interval for `good` of `all`; it stays between 0 and 1, also at the extremes.
pub fn wilson(good: usize, all: usize) -> Option<Interval> {
    if all == 0 {
        return None;
    }
    let (n, z2) = (all as f64, Z95 * Z95);
    let share = good as f64 / n;
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z95 / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    Some(Interval { share, low: (centre - half).max(0.0), high: (centre + half).min(1.0) })
}

#[derive(Default)]
struct UnitVerdicts {
    first: Option<Verdict>,
    clean: bool,
    last: Option<Verdict>,
}

/// Counts runs in the order of time.
#[derive(Default)]
pub struct Counter<'a> {
    all: Yields,
    units: HashMap<&'a str, UnitVerdicts>,
    steps: Vec<StepYield>,
    places: HashMap<String, usize>,
}

impl<'a> Counter<'a> {
    /// Adds the next run.
    pub fn take(&mut self, run: UnitRun<'a, '_>) {
        self.all.runs += 1;
        match run.verdict {
            Verdict::Pass | Verdict::Fail => {}
            Verdict::Aborted => {
                self.all.aborted += 1;
                return;
            }
            Verdict::Error | Verdict::Skipped => {
                self.all.bench_errors += 1;
                return;
            }
        }
        let unit = self.units.entry(run.serial).or_default();
        unit.last = Some(run.verdict);
        if unit.first.is_some() {
            return;
        }
        unit.first = Some(run.verdict);
        unit.clean = run.steps.iter().all(|(_, _, _, attempts)| *attempts <= 1);
        for (at, (name, first, last, attempts)) in run.steps.iter().enumerate() {
            if *attempts == 0 {
                continue;
            }
            let place = self.place(at, name);
            let step = &mut self.steps[place];
            step.units += 1;
            match (first, last) {
                (Some(Verdict::Pass), _) if *attempts == 1 => step.first_pass += 1,
                (_, Some(Verdict::Pass)) => step.rescued += 1,
                _ => step.bad += 1,
            }
        }
    }

    /// Usually all runs are of one plan, and steps keep their positions.
    fn place(&mut self, at: usize, name: &str) -> usize {
        if self.steps.get(at).is_some_and(|step| step.step == name) {
            return at;
        }
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        self.steps.push(StepYield { step: name.to_owned(), units: 0, first_pass: 0, rescued: 0, bad: 0 });
        self.places.insert(name.to_owned(), self.steps.len() - 1);
        self.steps.len() - 1
    }

    /// Returns the result.
    pub fn finish(self) -> Yields {
        let Self { mut all, units, steps, .. } = self;
        all.units = units.len();
        for unit in units.values() {
            let (first, last) = (unit.first == Some(Verdict::Pass), unit.last == Some(Verdict::Pass));
            all.first_pass += usize::from(first && unit.clean);
            all.rescued_by_retry += usize::from(first && !unit.clean);
            all.rescued_by_retest += usize::from(!first && last);
            all.passed += usize::from(last);
        }
        all.first_pass_yield = wilson(all.first_pass, all.units);
        all.final_yield = wilson(all.passed, all.units);
        if !steps.is_empty() {
            let rolled: f64 = steps.iter().map(|step| step.first_pass as f64 / step.units as f64).product();
            all.rolled_yield = Some(rolled);
            all.normalised_yield = Some(rolled.powf(1.0 / steps.len() as f64));
            let defects: usize = steps.iter().map(|step| step.units - step.first_pass).sum();
            all.defects_per_unit = Some(defects as f64 / all.units as f64);
        }
        all.steps = steps;
        all
    }
}

/// Counts runs in the order of time.
pub fn yields<'a, 's>(runs: impl IntoIterator<Item = UnitRun<'a, 's>>) -> Yields {
    let mut counter = Counter::default();
    runs.into_iter().for_each(|run| counter.take(run));
    counter.finish()
}
