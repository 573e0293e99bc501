//! Cp, Cpk, Pp, Ppk.

use crate::noise::Resolution;
use bench_run::Limits;
use serde::Serialize;

/// Two-sided 95 % of the normal distribution.
pub(crate) const Z95: f64 = 1.959_963_984_540_054;

/// Mean of the range of two values, in standard deviations.
const D2_OF_TWO: f64 = std::f64::consts::FRAC_2_SQRT_PI;

/// Statistics of consecutive values that capability needs. Keeps sums and a few distinct values, so that millions of
/// readings take no memory.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    /// Number of values.
    pub n: u64,
    /// Mean of all values; 0 when there is none.
    pub mean: f64,
    /// Sum of squared differences from the mean.
    pub squares: f64,
    /// Least value; 0 when there is none.
    pub min: f64,
    /// Greatest value; 0 when there is none.
    pub max: f64,
    /// Sum of the moving ranges of two.
    ranges: f64,
    last: f64,
    resolution: Resolution,
}

impl Sample {
    /// Adds the next value, in the order of measurement. Ignores values that are not finite.
    pub fn push(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.n == 0 {
            (self.min, self.max) = (value, value);
        } else {
            self.ranges += (value - self.last).abs();
        }
        (self.min, self.max, self.last) = (self.min.min(value), self.max.max(value), value);
        // Welford: avoids the difference of two large sums.
        self.n += 1;
        let (before, n) = (value - self.mean, self.n as f64);
        // The difference of two huge values of opposite sign is no number.
        self.mean += if before.is_finite() { before / n } else { value / n - self.mean / n };
        self.squares += before * (value - self.mean);
        self.resolution.push(value);
    }

    /// Returns the standard deviation of all values, with n − 1; 0 when it is below what the resolution of the values
    /// or rounding explains. `None` for fewer than two values, or when it is no number.
    pub fn sd(&self) -> Option<f64> {
        self.above_floor((self.n > 1).then(|| (self.squares / (self.n - 1) as f64).sqrt()))
    }

    /// Returns the smallest step between distinct values; `None` when all are equal.
    pub fn resolution(&self) -> Option<f64> {
        self.resolution.step()
    }

    fn above_floor(&self, sd: Option<f64>) -> Option<f64> {
        let sd = sd.filter(|sd| sd.is_finite())?;
        Some(if sd < self.resolution.floor() { 0.0 } else { sd })
    }

    /// Returns the short-term standard deviation: mean moving range of two, over 1.128; 0 and `None` as for
    /// [`sd`](Self::sd).
    pub fn sd_within(&self) -> Option<f64> {
        self.above_floor((self.n > 1).then(|| self.ranges / (self.n - 1) as f64 / D2_OF_TWO))
    }
}

/// How well a measurement keeps its limits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Capability {
    /// Number of values.
    pub n: u64,
    /// Mean, in the measurement's unit.
    pub mean: f64,
    /// Least value, in the measurement's unit.
    pub min: f64,
    /// Greatest value, in the measurement's unit.
    pub max: f64,
    /// Smallest step between distinct values, in the measurement's unit; `None` when all are equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<f64>,
    /// Overall standard deviation; 0 when the values do not vary at their resolution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sd: Option<f64>,
    /// Standard deviation within, by the moving range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sd_within: Option<f64>,
    /// Short-term capability over the whole interval. Needs both limits; `None` when nothing varies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cp: Option<f64>,
    /// Short-term capability at the nearer limit, without unit. `None` when nothing varies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpk: Option<f64>,
    /// Approximate two-sided 95 % interval of Cpk: wide with few values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpk_95: Option<(f64, f64)>,
    /// Like `cp`, from the overall standard deviation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pp: Option<f64>,
    /// Like `cpk`, from the overall standard deviation. 1.33 or more is commonly required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ppk: Option<f64>,
    /// Approximate two-sided 95 % interval of Ppk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ppk_95: Option<(f64, f64)>,
}

impl Capability {
    /// Whether there are several values, and no index because they do not vary at their resolution.
    pub fn is_constant(&self) -> bool {
        self.sd == Some(0.0)
    }
}

/// Returns the capability of the added values against these limits.
pub fn capability(sample: &Sample, limits: &Limits) -> Capability {
    let (sd, sd_within) = (sample.sd(), sample.sd_within());
    let index = |sd: Option<f64>| {
        let sd = sd.filter(|sd| *sd > 0.0)?;
        let low = limits.min.map(|min| (sample.mean - min) / (3.0 * sd));
        let high = limits.max.map(|max| (max - sample.mean) / (3.0 * sd));
        match (low, high) {
            (Some(low), Some(high)) => Some(low.min(high)),
            (low, high) => low.or(high),
        }
    };
    let spread = |sd: Option<f64>| {
        let sd = sd.filter(|sd| *sd > 0.0)?;
        Some((limits.max? - limits.min?) / (6.0 * sd)).filter(|index| index.is_finite())
    };
    let index = |sd| index(sd).filter(|index| index.is_finite());
    let (cpk, ppk) = (index(sd_within), index(sd));
    Capability {
        n: sample.n,
        mean: sample.mean,
        min: sample.min,
        max: sample.max,
        resolution: sample.resolution(),
        sd,
        sd_within,
        cp: spread(sd_within),
        cpk,
        cpk_95: cpk.map(|index| interval(index, sample.n)),
        pp: spread(sd),
        ppk,
        ppk_95: ppk.map(|index| interval(index, sample.n)),
    }
}

/// Bissell's approximation.
fn interval(index: f64, n: u64) -> (f64, f64) {
    let n = n as f64;
    let half = Z95 * (1.0 / (9.0 * n) + index * index / (2.0 * (n - 1.0))).sqrt();
    (index - half, index + half)
}
