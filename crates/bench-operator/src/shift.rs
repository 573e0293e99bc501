//! The shift so far: counts, first-pass yield, the last units.

use bench_report::{RunRecord, StepRecord};
use bench_run::Verdict;
use bench_stats::{Counter, UnitRun, Yields};
use std::collections::VecDeque;

/// Units that are shown.
const LAST: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    pub serial: String,
    pub verdict: Verdict,
}

/// Counts of the runs that ended since the screen came up. The yield is that of `bench stats`, from the same counter.
#[derive(Debug, Clone, Default)]
pub struct Shift {
    pub passed: usize,
    pub failed: usize,
    pub errors: usize,
    pub aborted: usize,
    /// By serial number; a shift has one plan.
    units: Counter<String>,
    yields: Yields,
    last: VecDeque<Tested>,
}

impl Shift {
    /// Counts a run that ended. `judged_before`: the verdict of an earlier run with this plan that passed or failed.
    /// `record` is missing when the run could not even begin.
    pub fn ended(
        &mut self,
        serial: &str,
        verdict: Verdict,
        judged_before: Option<Verdict>,
        record: Option<&RunRecord>,
    ) {
        match verdict {
            Verdict::Pass => self.passed += 1,
            Verdict::Fail => self.failed += 1,
            Verdict::Error | Verdict::Skipped => self.errors += 1,
            Verdict::Aborted => self.aborted += 1,
        }
        let unit = serial.to_owned();
        if let Some(verdict) = judged_before.filter(|_| !self.units.is_judged(&unit)) {
            self.units.take(UnitRun { unit: unit.clone(), verdict, steps: &[] }, None);
        }
        let steps = record.map(|record| record.steps.as_slice()).unwrap_or_default();
        let steps: Vec<_> = steps.iter().map(facts).collect();
        self.units.take(UnitRun { unit, verdict, steps: &steps }, Some(0));
        self.yields = self.units.yields().pop().unwrap_or_default();
        self.last.push_front(Tested { serial: serial.to_owned(), verdict });
        self.last.truncate(LAST);
    }

    pub fn runs(&self) -> usize {
        self.passed + self.failed + self.errors + self.aborted
    }

    /// Share of the units judged for the first time in this shift that passed in that run, with each step at its first
    /// attempt; `None` if no unit was.
    pub fn first_pass_yield(&self) -> Option<f64> {
        self.yields.first_pass_yield.map(|interval| interval.share)
    }

    /// The newest first.
    pub fn last(&self) -> impl Iterator<Item = &Tested> {
        self.last.iter()
    }
}

/// A step for the counter. A void attempt says nothing about the module.
fn facts(step: &StepRecord) -> (&str, Option<Verdict>, Option<Verdict>, u8) {
    let first = step.attempts.iter().find(|attempt| !attempt.void).and_then(|attempt| attempt.verdict);
    (&step.id, first, step.verdict, u8::try_from(step.tries()).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error, such as a full disk, says nothing about the unit: it is no first run, and neither a pass nor a fail.
    #[test]
    fn a_retest_rescues_no_first_pass() {
        let mut shift = Shift::default();
        let mut ended = |serial: &str, verdict, judged_before| {
            shift.ended(serial, verdict, judged_before, None);
            shift.first_pass_yield()
        };
        assert_eq!(ended("disk", Verdict::Error, None), None);
        assert_eq!(ended("disk", Verdict::Pass, None), Some(1.0));
        assert_eq!(ended("b", Verdict::Fail, None), Some(0.5));
        assert_eq!(ended("b", Verdict::Pass, Some(Verdict::Fail)), Some(0.5));
        assert_eq!(ended("d", Verdict::Aborted, None), Some(0.5));
        assert_eq!(ended("yesterday", Verdict::Pass, Some(Verdict::Fail)), Some(0.5));
        assert_eq!((shift.runs(), shift.passed, shift.failed, shift.errors), (6, 3, 1, 1));
        (0..20).for_each(|n| shift.ended(&n.to_string(), Verdict::Aborted, None, None));
        assert_eq!(shift.last().count(), LAST);
        assert_eq!(shift.last().next().map(|unit| unit.serial.as_str()), Some("19"));
    }

    proptest::proptest! {
        /// The figure on the screen is that of `bench stats`, and both are what a person counts: units whose first judged
        /// run was in this shift, and of those the ones that passed in it.
        #[test]
        fn the_screen_and_the_statistics_agree(
            runs in proptest::collection::vec((0..5_u8, 0..5_usize), 0..40),
            shift_begins in 0..20_usize,
        ) {
            const VERDICTS: [Verdict; 5] =
                [Verdict::Pass, Verdict::Fail, Verdict::Error, Verdict::Aborted, Verdict::Skipped];
            let (mut shift, mut stats) = (Shift::default(), Counter::default());
            let mut judged: std::collections::BTreeMap<String, Verdict> = Default::default();
            let (mut new, mut passed_at_once) = (0, 0);
            for (at, (unit, verdict)) in runs.into_iter().enumerate() {
                let (serial, verdict) = (unit.to_string(), VERDICTS[verdict]);
                let inside = at >= shift_begins;
                let before = judged.get(&serial).copied();
                if inside {
                    shift.ended(&serial, verdict, before, None);
                }
                stats.take(UnitRun { unit: serial.clone(), verdict, steps: &[] }, inside.then_some(0));
                if matches!(verdict, Verdict::Pass | Verdict::Fail) {
                    if inside && before.is_none() {
                        new += 1;
                        passed_at_once += usize::from(verdict == Verdict::Pass);
                    }
                    judged.insert(serial, verdict);
                }
            }
            let share = |yields: Option<Yields>| yields.and_then(|yields| yields.first_pass_yield).map(|of| of.share);
            let counted = (new > 0).then(|| f64::from(passed_at_once as u32) / f64::from(new as u32));
            proptest::prop_assert_eq!(shift.first_pass_yield(), counted);
            proptest::prop_assert_eq!(share(stats.yields().pop()), counted);
        }
    }
}
