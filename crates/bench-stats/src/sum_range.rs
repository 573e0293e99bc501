//! The range of a sum of figures that are each known within a factor.

use statrs::distribution::{ContinuousCDF, Normal};

/// Draws of the sum. The quantiles are good for 1 %.
const DRAWS: usize = 8_192;
/// What the range leaves out on each side.
const TAIL: f64 = 0.05;

/// Returns the 90 % range of a sum. Each part is a figure with the factor within which it is known: with a factor of 3 it
/// is, with a confidence of 90 %, between a third and three times the figure, as a log-normal distribution around it.
/// The parts are independent. The same parts give the same range: the draws are spread evenly over each distribution
/// (Latin hypercube) and joined in a fixed random order.
pub fn sum_range(parts: &[(f64, f64)]) -> (f64, f64) {
    let Ok(normal) = Normal::new(0.0, 1.0) else { return (0.0, 0.0) };
    let scores: Vec<f64> = (0..DRAWS).map(|n| normal.inverse_cdf((n as f64 + 0.5) / DRAWS as f64)).collect();
    let to_sigma = normal.inverse_cdf(1.0 - TAIL);
    let mut sums = vec![0.0; DRAWS];
    let mut order: Vec<usize> = (0..DRAWS).collect();
    let mut random = Random(0x5EED_0023);
    for (figure, factor) in parts {
        let sigma = factor.max(1.0).ln() / to_sigma;
        for end in (1..DRAWS).rev() {
            order.swap(end, random.below(end + 1));
        }
        for (sum, at) in sums.iter_mut().zip(&order) {
            *sum += figure * (sigma * scores.get(*at).copied().unwrap_or(0.0)).exp();
        }
    }
    sums.sort_by(f64::total_cmp);
    let at = |share: f64| sums.get((share * DRAWS as f64) as usize).copied().unwrap_or(0.0);
    (at(TAIL), at(1.0 - TAIL))
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: [(f64, f64); 3] = [(1.226, 13.332), (1.629, 9.511), (8.344, 17.864)];

    /// The parts, and the range by an independent computation: 400,000 draws with Python's
    /// `random.Random(1).gauss`, the 5th and 95th percentile of the sum.
    #[test]
    fn ranges_of_sums() {
        let ten: Vec<(f64, f64)> = vec![(1.0, 3.0); 10];
        let rows: [(&[(f64, f64)], (f64, f64)); 7] = [
            (&[], (0.0, 0.0)),
            (&[(6.0, 3.0)], (2.0, 18.0)),
            (&[(6.0, 1.0)], (6.0, 6.0)),
            (&[(0.0, 10.0)], (0.0, 0.0)),
            (&[(2.0, 3.0), (1.0, 10.0)], REFERENCE[0]),
            (&[(1.0, 3.0), (2.0, 3.0), (0.1, 30.0)], REFERENCE[1]),
            (&ten, REFERENCE[2]),
        ];
        for (parts, (low, high)) in rows {
            let found = sum_range(parts);
            let near = |found: f64, expected: f64| (found - expected).abs() <= 0.02 * expected;
            assert!(near(found.0, low) && near(found.1, high), "{parts:?}: {found:?}, expected {low} to {high}");
            assert_eq!(found, sum_range(parts), "the same parts, the same range");
        }
    }
}
