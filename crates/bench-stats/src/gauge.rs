//! Gauge repeatability and reproducibility: how much of the variation comes from the bench, and how much from the
//! module.
//!
//! A crossed study by analysis of variance, according to AIAG's Measurement Systems Analysis (4th edition). A fixture
//! has no appraiser: the station, the nest, or the re-seating of the unit takes that place.

use crate::noise::Resolution;
use bench_run::Limits;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, FisherSnedecor};

/// Interaction that is less significant than this is counted as repeatability.
const POOL_ABOVE: f64 = 0.25;

/// Every part measured by every appraiser equally often: `readings[part][appraiser][trial]`.
#[derive(Debug, Clone, PartialEq)]
pub struct GaugeStudy {
    /// The readings, in the measurement's unit.
    pub readings: Vec<Vec<Vec<f64>>>,
}

/// Why a study has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GaugeError {
    /// Too few units, appraisers or trials.
    #[error("a study needs at least 2 units, 2 seats and 2 trials; here are {parts}, {appraisers} and {trials}")]
    TooSmall {
        /// Number of units.
        parts: usize,
        /// Number of seats, nests or stations.
        appraisers: usize,
        /// Number of trials.
        trials: usize,
    },
    /// The numbers of trials differ.
    #[error("not every unit was measured equally often on every seat")]
    Unbalanced,
    /// A reading is not finite.
    #[error("a reading is missing")]
    Missing,
}

/// AIAG's rule of thumb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acceptance {
    /// Below 10 %, and at least five distinct categories.
    Acceptable,
    /// 10 % to 30 %, or too few categories: depends on the importance of the measurement and the cost of a better one.
    Marginal,
    /// Above 30 %.
    NotAcceptable,
}

/// Result of a study. Standard deviations in the measurement's unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gauge {
    /// Number of units.
    pub parts: usize,
    /// Number of seats, nests or stations.
    pub appraisers: usize,
    /// Number of trials of each unit at each of them.
    pub trials: usize,
    /// Equipment variation.
    pub repeatability: f64,
    /// Appraiser (here: seat, nest, station) variation, interaction included.
    pub reproducibility: f64,
    /// Variation by the combination of part and appraiser; 0 when it is pooled.
    pub interaction: f64,
    /// Repeatability and reproducibility together.
    pub grr: f64,
    /// Variation between the parts.
    pub part: f64,
    /// Total variation: gauge and parts together.
    pub total: f64,
    /// Smallest step between distinct readings; `None` when all are equal.
    pub resolution: Option<f64>,
    /// Share of the total variation; `None` when nothing varies.
    pub grr_percent: Option<f64>,
    /// 6 standard deviations of the gauge, as a share of the tolerance; with two limits only, and when something varies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance_percent: Option<f64>,
    /// Number of distinct categories; `None` when the gauge itself does not vary at its resolution.
    pub ndc: Option<u32>,
    /// Significance of the interaction; above 0.25 it is counted as repeatability.
    pub interaction_p: f64,
    /// Whether the interaction is counted as repeatability.
    pub pooled: bool,
    /// Sums of squares: parts, appraisers, interaction, repeatability.
    pub sums_of_squares: [f64; 4],
    /// Assessment of the gauge; `None` when nothing varies at this resolution.
    pub acceptance: Option<Acceptance>,
}

/// Analyses a study. A variance is zero when it is below that of rounding to the resolution of the readings.
///
/// # Errors
/// When it is too small, unbalanced, or a reading is missing.
pub fn gauge(study: &GaugeStudy, limits: &Limits) -> Result<Gauge, GaugeError> {
    let readings = &study.readings;
    let parts = readings.len();
    let appraisers = readings.first().map_or(0, Vec::len);
    let trials = readings.first().and_then(|part| part.first()).map_or(0, Vec::len);
    if parts < 2 || appraisers < 2 || trials < 2 {
        return Err(GaugeError::TooSmall { parts, appraisers, trials });
    }
    let balanced = readings.iter().all(|part| part.len() == appraisers && part.iter().all(|cell| cell.len() == trials));
    if !balanced {
        return Err(GaugeError::Unbalanced);
    }
    if readings.iter().flatten().flatten().any(|value| !value.is_finite()) {
        return Err(GaugeError::Missing);
    }
    let (p, a, t) = (parts as f64, appraisers as f64, trials as f64);
    let cell = |part: usize, appraiser: usize| mean(readings[part][appraiser].iter().copied());
    let of_part: Vec<f64> = (0..parts).map(|part| mean((0..appraisers).map(|at| cell(part, at)))).collect();
    let of_appraiser: Vec<f64> = (0..appraisers).map(|at| mean((0..parts).map(|part| cell(part, at)))).collect();
    let grand = mean(of_part.iter().copied());
    let squares = |values: &[f64]| values.iter().map(|value| (value - grand).powi(2)).sum::<f64>();
    let ss_part = a * t * squares(&of_part);
    let ss_appraiser = p * t * squares(&of_appraiser);
    let (mut ss_interaction, mut ss_error) = (0.0, 0.0);
    for part in 0..parts {
        for at in 0..appraisers {
            let cell_mean = cell(part, at);
            ss_interaction += t * (cell_mean - of_part[part] - of_appraiser[at] + grand).powi(2);
            ss_error += readings[part][at].iter().map(|value| (value - cell_mean).powi(2)).sum::<f64>();
        }
    }
    let (df_interaction, df_error) = ((p - 1.0) * (a - 1.0), p * a * (t - 1.0));
    let (ms_part, ms_appraiser) = (ss_part / (p - 1.0), ss_appraiser / (a - 1.0));
    let mut resolution = Resolution::default();
    resolution.extend(readings.iter().flatten().flatten().copied());
    let floor = resolution.floor().powi(2);
    // Also when it is no number.
    let above = |variance: f64| if variance.is_finite() && variance >= floor { variance } else { 0.0 };
    let (ms_interaction, ms_error) = (above(ss_interaction / df_interaction), above(ss_error / df_error));
    let interaction_p = significance(ms_interaction, ms_error, df_interaction, df_error);
    let pooled = interaction_p > POOL_ABOVE;
    let ms_pooled = above((ss_interaction + ss_error) / (df_interaction + df_error));
    let (repeatability, against) = if pooled { (ms_pooled, ms_pooled) } else { (ms_error, ms_interaction) };
    let interaction = if pooled { 0.0 } else { above((ms_interaction - ms_error) / t) };
    let reproducibility = above((ms_appraiser - against) / (p * t)) + interaction;
    let part = above((ms_part - against) / (a * t));
    let grr = repeatability + reproducibility;
    let total = grr + part;
    let grr_percent = (total > 0.0).then(|| 100.0 * (grr / total).sqrt());
    let ndc = (grr > 0.0).then(|| (1.41 * (part / grr).sqrt()).floor() as u32);
    let tolerance = limits.min.zip(limits.max).map(|(min, max)| max - min).filter(|width| *width > 0.0 && total > 0.0);
    let acceptance = grr_percent.map(|percent| match percent {
        percent if percent > 30.0 => Acceptance::NotAcceptable,
        percent if percent < 10.0 && ndc.is_none_or(|ndc| ndc >= 5) => Acceptance::Acceptable,
        _ => Acceptance::Marginal,
    });
    Ok(Gauge {
        parts,
        appraisers,
        trials,
        repeatability: repeatability.sqrt(),
        reproducibility: reproducibility.sqrt(),
        interaction: interaction.sqrt(),
        grr: grr.sqrt(),
        part: part.sqrt(),
        total: total.sqrt(),
        resolution: resolution.step(),
        grr_percent,
        tolerance_percent: tolerance.map(|width| 600.0 * grr.sqrt() / width),
        ndc,
        interaction_p,
        pooled,
        sums_of_squares: [ss_part, ss_appraiser, ss_interaction, ss_error],
        acceptance,
    })
}

fn significance(ms_interaction: f64, ms_error: f64, df_interaction: f64, df_error: f64) -> f64 {
    if ms_error <= 0.0 {
        // Without variation within a cell, any interaction is significant.
        return if ms_interaction > 0.0 { 0.0 } else { 1.0 };
    }
    match FisherSnedecor::new(df_interaction, df_error) {
        Ok(distribution) => distribution.sf(ms_interaction / ms_error),
        Err(_) => 1.0,
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}
