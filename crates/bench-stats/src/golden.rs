//! The golden module: does a known good unit measure what it measured before?
//!
//! A reading of one and the same unit changes only if the bench changes (or the unit, which a second golden unit shows).
//! The readings of earlier runs give the band in which the next one is expected.

use crate::Sample;
use crate::noise::rounding;
use bench_run::Limits;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Earlier readings that a band needs. With fewer, the spread of the readings is unknown.
pub const FEWEST_GOLDEN: usize = 5;

/// How often a bench that did not change is suspected: in one of a hundred checks, which all compare many measurements.
const FALSE_ALARMS: f64 = 0.01;

/// A change that is too small to matter, as a share of the width of the limits.
const OF_WINDOW: f64 = 0.02;
/// The same as a share of the value, where the limits have no width.
const OF_VALUE: f64 = 0.01;

/// Where the next reading of a golden module is expected: `mean` plus or minus `tolerance`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GoldenBand {
    /// Number of earlier readings.
    pub n: u64,
    /// Mean of the earlier readings.
    pub mean: f64,
    /// Standard deviation of the earlier readings; 0 when they do not vary at their resolution.
    pub sd: f64,
    /// How far from the mean a reading may be.
    pub tolerance: f64,
}

impl GoldenBand {
    /// Makes the band from earlier readings; `None` when they are fewer than [`FEWEST_GOLDEN`]. `compared` is how many
    /// measurements are compared in the same check: the more there are, the wider each band, so that the check as a whole
    /// raises one false alarm in a hundred.
    ///
    /// The tolerance is the prediction interval of one more reading (Student's t, with n − 1 degrees of freedom), but at
    /// least 2 % of the width of the limits. With one limit, the width is from the mean to that limit, and 1 % of the mean
    /// is always allowed. It is at least `step`, the smallest step of the readings where it is known (1 for a count), unless
    /// the limits allow one value only.
    pub fn of(earlier: &[f64], limits: &Limits, step: f64, compared: usize) -> Option<Self> {
        let mut sample = Sample::default();
        earlier.iter().for_each(|value| sample.push(*value));
        if sample.n < FEWEST_GOLDEN as u64 {
            return None;
        }
        let (n, mean, sd) = (sample.n, sample.mean, sample.sd()?);
        let tail = FALSE_ALARMS / 2.0 / compared.max(1) as f64;
        let t = StudentsT::new(0.0, 1.0, (n - 1) as f64).ok()?.inverse_cdf(1.0 - tail);
        let by_spread = t * sd * (1.0 + 1.0 / n as f64).sqrt();
        let tolerance = by_spread.max(smallest_that_matters(mean, limits, step)).max(rounding(mean));
        tolerance.is_finite().then_some(Self { n, mean, sd, tolerance })
    }

    /// Returns by how much a reading differs from the mean, if that is more than the tolerance. A reading that is not
    /// finite is always out.
    pub fn drift(&self, reading: f64) -> Option<f64> {
        let by = reading - self.mean;
        let inside = by.abs() <= self.tolerance;
        (!inside).then_some(by)
    }
}

fn smallest_that_matters(mean: f64, limits: &Limits, step: f64) -> f64 {
    let of_value = OF_VALUE * mean.abs();
    let floor = match (limits.min, limits.max) {
        // A code, or yes and no.
        (Some(min), Some(max)) if max <= min => return 0.0,
        (Some(min), Some(max)) => OF_WINDOW * (max - min),
        (Some(limit), None) | (None, Some(limit)) => of_value.max(OF_WINDOW * (limit - mean).abs()),
        (None, None) => of_value,
    };
    floor.max(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Limits = Limits { min: None, max: None };

    /// Quantiles from the closed form of the t distribution with 4 degrees of freedom, with 50 digits:
    /// sf(t) = 1/2 - 3/8 t/sqrt(q) (1 - t²/(12 q)), where q = 1 + t²/4. For one measurement, tables have 4.604.
    #[test]
    fn the_band_is_the_prediction_interval_or_the_floor() {
        let same = [3.3; 5];
        // Standard deviation 1.
        let five = [-1.0, -1.0, 0.0, 1.0, 1.0];
        let rows: [(&str, &[f64], Limits, usize, f64); 11] = [
            ("two limits, no spread", &same, Limits::between(3.2, 3.4), 1, 0.004),
            ("as many measurements as one likes: the floor stays", &same, Limits::between(3.2, 3.4), 600, 0.004),
            ("no limits", &same, OPEN, 1, 0.033),
            ("at most, far away", &same, Limits::at_most(13.3), 1, 0.2),
            ("at most, near", &same, Limits::at_most(3.31), 1, 0.033),
            ("at least", &same, Limits::at_least(0.3), 1, 0.06),
            ("zero, at most 0.2", &[0.0; 5], Limits::at_most(0.2), 1, 0.004),
            ("spread, one measurement", &five, OPEN, 1, 5.043_531),
            ("spread, 600 measurements", &five, OPEN, 600, 26.758_21),
            ("spread, 600 measurements, floor above", &five, Limits::between(-1000.0, 1000.0), 600, 40.0),
            ("an infinite reading is none", &[1.0, 1.0, f64::INFINITY, 1.0, 1.0, 1.0], OPEN, 1, 0.01),
        ];
        for (what, earlier, limits, compared, expected) in rows {
            let band = GoldenBand::of(earlier, &limits, 0.0, compared).unwrap();
            assert!((band.tolerance - expected).abs() <= 1e-4 * expected, "{what}: {band:?}, expected {expected}");
        }
        let code = GoldenBand::of(&[7.0; 5], &Limits::exactly(7.0), 1.0, 1).unwrap();
        let count = GoldenBand::of(&[24.0; 5], &Limits::at_least(12.0), 1.0, 1).unwrap();
        assert!(count.drift(23.0).is_none() && count.drift(22.0).is_some(), "{count:?}");
        assert!(code.tolerance < 1e-9 && code.drift(7.0).is_none() && code.drift(8.0).is_some(), "{code:?}");
    }

    #[test]
    fn rows_of_readings() {
        let rail = Limits::between(3.2, 3.4);
        let steady: &[f64] = &[3.300; 6];
        let rows: [(&[f64], f64, Option<f64>); 9] = [
            (steady, 3.300, None),
            (steady, 3.3039, None),
            (steady, 3.3041, Some(0.0041)),
            (steady, 3.2959, Some(-0.0041)),
            (steady, f64::NAN, Some(f64::NAN)),
            // With this much spread the same difference says nothing.
            (&[3.29, 3.31, 3.30, 3.295, 3.305], 3.3041, None),
            // A longer history is sharper than a short one.
            (&[3.29, 3.31, 3.29, 3.31, 3.30], 3.37, None),
            (
                &[
                    3.29, 3.31, 3.29, 3.31, 3.30, 3.29, 3.31, 3.29, 3.31, 3.30, 3.29, 3.31, 3.29, 3.31, 3.30, 3.29,
                    3.31, 3.29, 3.31, 3.30,
                ],
                3.37,
                Some(0.07),
            ),
            (&[3.3; 5], 3.40, Some(0.1)),
        ];
        for (earlier, reading, expected) in rows {
            let found = GoldenBand::of(earlier, &rail, 0.0, 100).unwrap().drift(reading);
            let same = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() < 1e-9 || expected.is_nan() && found.is_nan(),
                (found, expected) => found == expected,
            };
            assert!(same, "{earlier:?}, then {reading}: {found:?}, expected {expected:?}");
        }
    }

    #[test]
    fn few_readings_make_no_band() {
        for (earlier, made) in
            [(&[][..], false), (&[1.0; 4], false), (&[1.0, 1.0, 1.0, 1.0, f64::NAN], false), (&[1.0; 5], true)]
        {
            assert_eq!(GoldenBand::of(earlier, &OPEN, 0.0, 1).is_some(), made, "{earlier:?}");
        }
    }

    proptest::proptest! {
        /// Whatever the history, its own mean agrees with it, and so does a repetition of what never changed.
        #[test]
        fn the_mean_always_agrees(earlier in proptest::collection::vec(-1e6..1e6_f64, 5..40), compared in 0..1000_usize) {
            let band = GoldenBand::of(&earlier, &OPEN, 0.0, compared).unwrap();
            proptest::prop_assert_eq!(band.drift(band.mean), None);
            let constant = vec![earlier[0]; 7];
            let band = GoldenBand::of(&constant, &Limits::exactly(earlier[0]), 0.0, compared).unwrap();
            proptest::prop_assert_eq!(band.drift(earlier[0]), None);
        }
    }
}
