//! What is variation, and what is only the last digit of an instrument or the rounding of a computer.

/// Relative difference that arithmetic alone explains: 4,096 units in the last place, far below any instrument here.
const ROUNDING: f64 = 4096.0 * f64::EPSILON;

/// Distinct values that are kept to find the smallest step between them.
const MOST_KEPT: usize = 64;

/// Returns the largest difference that is rounding for values up to this magnitude.
pub(crate) fn rounding(magnitude: f64) -> f64 {
    magnitude.abs() * ROUNDING
}

/// Whether two values differ by more than rounding explains.
pub fn differ(a: f64, b: f64) -> bool {
    (a - b).abs() > rounding(a.abs().max(b.abs()))
}

/// Finds the resolution of a series: the smallest step between distinct values. It keeps 64 distinct values, and
/// compares each further one with those.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Resolution {
    /// Ascending.
    kept: Vec<f64>,
    step: Option<f64>,
}

impl Resolution {
    pub fn push(&mut self, value: f64) {
        let at = self.kept.partition_point(|kept| *kept < value);
        let below = at.checked_sub(1).and_then(|at| self.kept.get(at));
        let neighbours = [below.copied(), self.kept.get(at).copied()];
        if neighbours.into_iter().flatten().any(|kept| !differ(kept, value)) {
            return;
        }
        let steps = neighbours.into_iter().flatten().map(|kept| (kept - value).abs());
        self.step = steps.chain(self.step).reduce(f64::min);
        if self.kept.len() < MOST_KEPT {
            self.kept.insert(at, value);
        }
    }

    /// Smallest step between distinct values; `None` when all are equal.
    pub fn step(&self) -> Option<f64> {
        self.step
    }

    /// Standard deviation below which values do not vary: that of rounding to the resolution, which is resolution/√12,
    /// or of arithmetic.
    pub fn floor(&self) -> f64 {
        let largest = self.kept.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        (self.step.unwrap_or(0.0) / 12_f64.sqrt()).max(rounding(largest))
    }
}

impl Extend<f64> for Resolution {
    fn extend<T: IntoIterator<Item = f64>>(&mut self, values: T) {
        values.into_iter().filter(|value| value.is_finite()).for_each(|value| self.push(value));
    }
}
