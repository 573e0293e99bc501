//! The shift so far: counts, first-pass yield, the last units.

use bench_run::Verdict;
use std::collections::VecDeque;

/// Units that are shown.
const LAST: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    pub serial: String,
    pub verdict: Verdict,
}

/// Counts of the runs that ended since the screen came up.
#[derive(Debug, Clone, Default)]
pub struct Shift {
    pub passed: usize,
    pub failed: usize,
    pub errors: usize,
    pub aborted: usize,
    /// Units whose very first run was in this shift, and how many of those passed in it.
    started: usize,
    passed_at_once: usize,
    last: VecDeque<Tested>,
}

impl Shift {
    /// Counts a run that ended. `first`: no earlier run of the unit had a verdict; an aborted run does not count.
    pub fn ended(&mut self, serial: &str, verdict: Verdict, first: bool) {
        match verdict {
            Verdict::Pass => self.passed += 1,
            Verdict::Fail => self.failed += 1,
            Verdict::Error | Verdict::Skipped => self.errors += 1,
            Verdict::Aborted => self.aborted += 1,
        }
        if first && verdict != Verdict::Aborted {
            self.started += 1;
            self.passed_at_once += usize::from(verdict == Verdict::Pass);
        }
        self.last.push_front(Tested { serial: serial.to_owned(), verdict });
        self.last.truncate(LAST);
    }

    pub fn runs(&self) -> usize {
        self.passed + self.failed + self.errors + self.aborted
    }

    /// Share of the units new in this shift that passed in their first run; `None` if no unit was new.
    pub fn first_pass_yield(&self) -> Option<f64> {
        (self.started > 0).then(|| self.passed_at_once as f64 / self.started as f64)
    }

    /// The newest first.
    pub fn last(&self) -> impl Iterator<Item = &Tested> {
        self.last.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retest_rescues_no_first_pass() {
        let mut shift = Shift::default();
        assert_eq!(shift.first_pass_yield(), None);
        shift.ended("a", Verdict::Pass, true);
        shift.ended("b", Verdict::Fail, true);
        shift.ended("b", Verdict::Pass, false);
        shift.ended("c", Verdict::Error, true);
        shift.ended("d", Verdict::Aborted, true);
        shift.ended("d", Verdict::Pass, true);
        assert_eq!(shift.first_pass_yield(), Some(0.5));
        assert_eq!((shift.runs(), shift.passed, shift.failed, shift.errors), (6, 3, 1, 1));
        (0..20).for_each(|n| shift.ended(&n.to_string(), Verdict::Aborted, false));
        assert_eq!(shift.last().count(), LAST);
        assert_eq!(shift.last().next().map(|unit| unit.serial.as_str()), Some("19"));
    }
}
