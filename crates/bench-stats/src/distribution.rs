//! Whether values are distributed as limits of mean and standard deviation assume.

use crate::capability::Sample;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Chance of a false alarm that is accepted for each test: a plan has hundreds of measurements.
const CHANCE: f64 = 0.001;

/// The normal deviate of that chance, two-sided.
const DEVIATE: f64 = 3.290_526_731_491_926;

/// A drift smaller than this, in standard deviations from the first value to the last, does not matter.
const SMALLEST_DRIFT: f64 = 0.5;

/// Share of the variance that lies between the two halves of the best split, above which there are two groups. It is
/// 0.64 for normal values and 0.75 for uniform ones; two groups of equal size, four of their standard deviations apart,
/// have 0.8.
const SPLIT: f64 = 0.8;

/// What few values add to [`SPLIT`], over the square root of their number: by simulation, one of 1,000 normal series
/// is above.
const SPLIT_OF_FEW: f64 = 0.4;

/// Two groups are at least this many resolutions apart: else they are one value between two digits.
const FEWEST_STEPS: f64 = 4.0;

/// What a series of values is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// Nothing is against a normal distribution, or nothing varies.
    Normal,
    /// Not symmetrical: D'Agostino's test of the skewness.
    Skewed,
    /// Two groups, with their means.
    TwoHumps(f64, f64),
    /// The values move by this many standard deviations from the first to the last: t test of the slope.
    Drift(f64),
}

/// Examines finite values in the order of testing.
pub(crate) fn shape(values: &[f64]) -> Shape {
    let mut sample = Sample::default();
    values.iter().for_each(|value| sample.push(*value));
    let Some(sd) = sample.sd().filter(|sd| *sd > 0.0) else { return Shape::Normal };
    if let Some(by) = drift(values, &sample, sd) {
        return Shape::Drift(by);
    }
    if let Some((low, high)) = humps(values, &sample) {
        return Shape::TwoHumps(low, high);
    }
    if skewness(values, &sample).is_some_and(|deviate| deviate.abs() > DEVIATE) { Shape::Skewed } else { Shape::Normal }
}

/// Returns the significant movement from the first value to the last, in standard deviations.
fn drift(values: &[f64], sample: &Sample, sd: f64) -> Option<f64> {
    let n = values.len() as f64;
    let centre = (n - 1.0) / 2.0;
    let about = |(at, value): (usize, &f64)| (at as f64 - centre) * (value - sample.mean);
    let sxy: f64 = values.iter().enumerate().map(about).sum();
    let sxx = n * (n * n - 1.0) / 12.0;
    let slope = sxy / sxx;
    let residual = (sample.squares - slope * sxy).max(0.0) / (n - 2.0);
    let t = slope.abs() / (residual / sxx).sqrt();
    let p = StudentsT::new(0.0, 1.0, n - 2.0).map(|distribution| 2.0 * distribution.sf(t)).ok()?;
    let by = slope * (n - 1.0) / sd;
    (p < CHANCE && by.abs() > SMALLEST_DRIFT).then_some(by)
}

/// Returns the means of the two groups of the split with the largest variance between them, if it explains enough.
fn humps(values: &[f64], sample: &Sample) -> Option<(f64, f64)> {
    let mut sorted: Vec<f64> = values.iter().map(|value| value - sample.mean).collect();
    sorted.sort_by(f64::total_cmp);
    let (n, mut below) = (sorted.len(), 0.0);
    let mut best = (0.0, 0.0, 0.0);
    for (at, value) in sorted.iter().enumerate().take(n.saturating_sub(1)) {
        below += value;
        let (few, many) = ((at + 1) as f64, (n - at - 1) as f64);
        let between = below * below / few + below * below / many;
        if between > best.0 {
            best = (between, below / few, -below / many);
        }
    }
    let (between, low, high) = best;
    let enough = between / sample.squares > SPLIT + SPLIT_OF_FEW / (n as f64).sqrt();
    let apart = high - low >= FEWEST_STEPS * sample.resolution().unwrap_or(0.0);
    (enough && apart).then_some((sample.mean + low, sample.mean + high))
}

/// Returns the normal deviate of the skewness (D'Agostino 1970), as SciPy's `skewtest`.
fn skewness(values: &[f64], sample: &Sample) -> Option<f64> {
    let n = values.len() as f64;
    if n < 8.0 {
        return None;
    }
    let moment = |power: i32| values.iter().map(|value| (value - sample.mean).powi(power)).sum::<f64>() / n;
    let skew = moment(3) / moment(2).powf(1.5);
    let y = skew * ((n + 1.0) * (n + 3.0) / (6.0 * (n - 2.0))).sqrt();
    let beta =
        3.0 * (n * n + 27.0 * n - 70.0) * (n + 1.0) * (n + 3.0) / ((n - 2.0) * (n + 5.0) * (n + 7.0) * (n + 9.0));
    let w2 = (2.0 * (beta - 1.0)).sqrt() - 1.0;
    let delta = 1.0 / (0.5 * w2.ln()).sqrt();
    let alpha = (2.0 / (w2 - 1.0)).sqrt();
    let deviate = delta * (y / alpha).asinh();
    deviate.is_finite().then_some(deviate)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64 and the sum of twelve: near enough to a normal distribution.
    fn normal(seed: &mut u64) -> f64 {
        let mut next = || {
            *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..12).map(|_| next()).sum::<f64>() - 6.0
    }

    fn series(n: usize, seed: &mut u64, value: impl Fn(usize, f64) -> f64) -> Vec<f64> {
        (0..n).map(|at| value(at, normal(seed))).collect()
    }

    #[test]
    fn good_series_give_few_false_alarms() {
        let mut seed = 1;
        for n in [30, 60, 200, 1_000] {
            let mut alarms = [0; 3];
            for _ in 0..2_000 {
                match shape(&series(n, &mut seed, |_, noise| 3.3 + 0.01 * noise)) {
                    Shape::Normal => {}
                    Shape::Skewed => alarms[0] += 1,
                    Shape::TwoHumps(..) => alarms[1] += 1,
                    Shape::Drift(_) => alarms[2] += 1,
                }
            }
            assert!(alarms.iter().all(|alarms| *alarms <= 8), "{n}: {alarms:?}");
        }
    }

    #[test]
    fn bad_series_are_noticed() {
        let mut seed = 2;
        for n in [60, 100, 500] {
            let mut found = [0; 3];
            for _ in 0..100 {
                let skewed = series(n, &mut seed, |_, noise| (0.8 * noise).exp());
                let humps = series(n, &mut seed, |at, noise| noise + if at * 7 % 5 < 2 { 7.0 } else { 0.0 });
                let drift = series(n, &mut seed, |at, noise| noise + 4.0 * at as f64 / n as f64);
                found[0] += usize::from(shape(&skewed) == Shape::Skewed);
                found[1] += usize::from(matches!(shape(&humps), Shape::TwoHumps(low, high) if low < 2.0 && high > 5.0));
                found[2] += usize::from(matches!(shape(&drift), Shape::Drift(by) if by > 0.0));
            }
            assert!(found.iter().all(|found| *found >= 90), "{n}: {found:?}");
        }
    }

    /// One digit up and down, and an offset of the last bit, are no groups.
    #[test]
    fn digits_are_no_humps() {
        let digits: Vec<f64> = (0..100).map(|at| 3.3 + 0.001 * f64::from(at * 7 % 2)).collect();
        assert_eq!(shape(&digits), Shape::Normal);
        let noise: Vec<f64> = (0..100).map(|at| if at < 50 { 0.1 + 0.2 } else { 0.3 }).collect();
        assert_eq!(shape(&noise), Shape::Normal);
    }

    /// `scipy.stats.skewtest` of the same values.
    #[test]
    fn skewness_as_scipy_has_it() {
        let rows: [([f64; 8], f64); 3] = [
            ([1.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0], 1.858_069_041_569_689_2),
            ([2.0, 8.0, 0.0, 4.0, 1.0, 9.0, 9.0, 0.0], 0.446_263_853_741_969_75),
            ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8000.0], 3.571_773_510_360_407),
        ];
        for (values, expected) in rows {
            let mut sample = Sample::default();
            values.iter().for_each(|value| sample.push(*value));
            let computed = skewness(&values, &sample).unwrap();
            assert!((computed - expected).abs() < 1e-9, "{computed} instead of {expected}");
        }
    }
}
