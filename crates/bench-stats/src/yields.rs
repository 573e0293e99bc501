//! First-pass yield, rolled yield, and the effect of retests.

use crate::capability::Z95;
use bench_run::Verdict;
use serde::Serialize;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

/// One run on one unit; runs are in the order of testing.
#[derive(Debug, Clone, Copy)]
pub struct UnitRun<'s, K> {
    /// The unit, and the plan if there are several: each plan judges a unit for itself.
    pub unit: K,
    /// Verdict of the run.
    pub verdict: Verdict,
    /// For each step: its name, the verdict of its first attempt, of the one that counts, and the number of attempts.
    pub steps: &'s [(&'s str, Option<Verdict>, Option<Verdict>, u8)],
}

/// Yields of a set of runs.
///
/// Only runs in which the module was judged (pass or fail) count. A run that ended as an error of the bench, or was
/// aborted, says nothing about the unit and is counted separately.
///
/// A unit belongs to the group (a day, a station, all selected runs) of its first judged run, and to no other. A retest
/// in another group changes only how the unit ended.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Yields {
    /// Number of runs, of all verdicts.
    pub runs: usize,
    /// Runs without a judgement of the module.
    pub bench_errors: usize,
    /// Runs that were aborted.
    pub aborted: usize,
    /// Units whose first judged run is among these.
    pub units: usize,
    /// Units that were judged again here, and for the first time before or elsewhere: in no other figure.
    pub returned: usize,
    /// Units that passed in their first judged run, with each step at its first attempt.
    pub first_pass: usize,
    /// Units that passed in their first judged run with a repeated step.
    pub rescued_by_retry: usize,
    /// Units whose first judged run failed and whose last one passed.
    pub rescued_by_retest: usize,
    /// Units whose last judged run passed, wherever that run is.
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

/// A unit, from its first judged run.
#[derive(Debug, Clone)]
struct UnitVerdicts {
    /// Group of the first judged run; `None` when it is in none.
    group: Option<usize>,
    first: Verdict,
    clean: bool,
    last: Verdict,
    /// Other groups that it came back to.
    returned: Vec<usize>,
}

#[derive(Debug, Clone, Default)]
struct Group {
    runs: usize,
    bench_errors: usize,
    aborted: usize,
    steps: Vec<StepYield>,
    places: HashMap<String, usize>,
}

/// Counts runs in the order of testing, in groups. It needs every run of a unit, also those that are in no group.
#[derive(Debug, Clone)]
pub struct Counter<K> {
    units: HashMap<K, UnitVerdicts>,
    groups: Vec<Group>,
}

impl<K> Default for Counter<K> {
    fn default() -> Self {
        Self { units: HashMap::new(), groups: Vec::new() }
    }
}

impl<K: Eq + Hash> Counter<K> {
    /// Whether a run of this unit has been judged.
    pub fn is_judged(&self, unit: &K) -> bool {
        self.units.contains_key(unit)
    }

    /// Adds the next run. `group`: what it counts for; `None` for a run that was not asked about.
    pub fn take(&mut self, run: UnitRun<'_, K>, group: Option<usize>) {
        if let Some(group) = group {
            if self.groups.len() <= group {
                self.groups.resize_with(group + 1, Group::default);
            }
            let of = &mut self.groups[group];
            of.runs += 1;
            of.aborted += usize::from(run.verdict == Verdict::Aborted);
            of.bench_errors += usize::from(matches!(run.verdict, Verdict::Error | Verdict::Skipped));
        }
        if !matches!(run.verdict, Verdict::Pass | Verdict::Fail) {
            return;
        }
        match self.units.entry(run.unit) {
            Entry::Occupied(entry) => {
                let unit = entry.into_mut();
                unit.last = run.verdict;
                if let Some(group) = group.filter(|group| unit.group != Some(*group) && !unit.returned.contains(group))
                {
                    unit.returned.push(group);
                }
            }
            Entry::Vacant(entry) => {
                let clean = run.steps.iter().all(|(_, _, _, attempts)| *attempts <= 1);
                let (first, last) = (run.verdict, run.verdict);
                entry.insert(UnitVerdicts { group, first, clean, last, returned: Vec::new() });
                if let Some(of) = group.and_then(|group| self.groups.get_mut(group)) {
                    of.first_run(run.steps);
                }
            }
        }
    }

    /// Returns the figures of each group so far, by its number.
    pub fn yields(&self) -> Vec<Yields> {
        let mut all: Vec<Yields> = self.groups.iter().map(Group::runs).collect();
        for unit in self.units.values() {
            for group in &unit.returned {
                all[*group].returned += 1;
            }
            let Some(of) = unit.group.and_then(|group| all.get_mut(group)) else { continue };
            let (first, last) = (unit.first == Verdict::Pass, unit.last == Verdict::Pass);
            of.units += 1;
            of.first_pass += usize::from(first && unit.clean);
            of.rescued_by_retry += usize::from(first && !unit.clean);
            of.rescued_by_retest += usize::from(!first && last);
            of.passed += usize::from(last);
        }
        all.iter_mut().for_each(Yields::rates);
        all
    }
}

impl Group {
    fn runs(&self) -> Yields {
        let Self { runs, bench_errors, aborted, ref steps, .. } = *self;
        Yields { runs, bench_errors, aborted, steps: steps.clone(), ..Yields::default() }
    }

    fn first_run(&mut self, steps: &[(&str, Option<Verdict>, Option<Verdict>, u8)]) {
        for (at, (name, first, last, attempts)) in steps.iter().enumerate() {
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
}

impl Yields {
    fn rates(&mut self) {
        self.first_pass_yield = wilson(self.first_pass, self.units);
        self.final_yield = wilson(self.passed, self.units);
        if !self.steps.is_empty() {
            let rolled: f64 = self.steps.iter().map(|step| step.first_pass as f64 / step.units as f64).product();
            self.rolled_yield = Some(rolled);
            self.normalised_yield = Some(rolled.powf(1.0 / self.steps.len() as f64));
            let defects: usize = self.steps.iter().map(|step| step.units - step.first_pass).sum();
            self.defects_per_unit = Some(defects as f64 / self.units as f64);
        }
    }
}

/// Counts runs in the order of testing; all in one group.
pub fn yields<'s, K: Eq + Hash>(runs: impl IntoIterator<Item = UnitRun<'s, K>>) -> Yields {
    let mut counter = Counter::default();
    runs.into_iter().for_each(|run| counter.take(run, Some(0)));
    counter.yields().pop().unwrap_or_default()
}
