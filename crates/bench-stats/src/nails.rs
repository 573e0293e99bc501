//! Wear of nails: the resistance through them grows, and steps that depend on them need second attempts. Both show long
//! before a good module fails.

use crate::capability::Sample;
use crate::repeated::RepeatRule;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};
use std::collections::VecDeque;

/// Number of runs that count as "lately".
const WINDOW: usize = 200;

/// Number of runs ahead in which a nail should still be good.
const AHEAD: f64 = 1_000.0;

/// Share of runs with a second attempt on this nail above which it is considered bad.
const RETRIES: f64 = 0.02;

/// Share of the limit that is too near to it, whatever the trend.
const NEAR: f64 = 0.8;

/// Fewest points for a line through them, and fewest runs for a share of second attempts.
const FEWEST_POINTS: usize = 30;
const FEWEST_RUNS: usize = 50;

/// A trend is one when chance alone would give it in fewer than one of 1,000 nails: a fixture has many.
const CHANCE: f64 = 0.001;

/// One run, from the view of one nail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NailReading {
    /// Resistance through the nail as a share of its limit: 1 is at the limit. `None`: not measured.
    pub of_limit: Option<f64>,
    /// Whether a repeated attempt named the contact and a later one did not. A void attempt names nothing.
    pub retried: bool,
}

/// Assessment of a nail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NailState {
    /// No sign of wear.
    Good,
    /// Replace or clean it before it fails good modules.
    Warn,
}

/// Condition of a nail.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NailTrend {
    /// Number of modules since it was new.
    pub cycles: usize,
    /// Mean of its resistance in the last runs, as a share of the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lately: Option<f64>,
    /// Growth of that share in 1,000 cycles, by least squares; `None` when the share does not vary at its resolution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_thousand: Option<f64>,
    /// Cycles until the line through the readings meets the limit; `None` when its slope is not significant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycles_left: Option<f64>,
    /// Second attempts in the last runs, as a share of them.
    pub retries: f64,
    /// Different units in a row that failed at this contact, the last ones.
    #[serde(skip_serializing_if = "is_none")]
    pub failed_in_a_row: usize,
    /// Assessment from the figures above.
    pub state: NailState,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// The runs of one nail since it was new, in the order of time: sums, and the last few runs.
#[derive(Debug, Clone, Default)]
pub struct NailLog {
    cycles: usize,
    recent: VecDeque<NailReading>,
    /// For cycle and share of the limit: number, means, sums of squares and of products about the means.
    points: usize,
    mean: (f64, f64),
    sxx: f64,
    sxy: f64,
    shares: Sample,
}

impl NailLog {
    /// Adds the next run.
    pub fn push(&mut self, reading: NailReading) {
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(reading);
        if let Some(share) = reading.of_limit.filter(|share| share.is_finite()) {
            let cycle = self.cycles as f64;
            self.points += 1;
            let (dx, dy) = (cycle - self.mean.0, share - self.mean.1);
            self.mean.0 += dx / self.points as f64;
            self.mean.1 += dy / self.points as f64;
            self.sxx += dx * (cycle - self.mean.0);
            self.sxy += dx * (share - self.mean.1);
            self.shares.push(share);
        }
        self.cycles += 1;
    }

    /// Returns the present condition of the nail. `failed_in_a_row`: how many different units in a row failed at its
    /// contact ([`crate::RepeatedCauses`]).
    pub fn trend(&self, failed_in_a_row: usize) -> NailTrend {
        let recent = self.recent.len();
        let retries = self.recent.iter().filter(|run| run.retried).count() as f64 / recent.max(1) as f64;
        let shares = self.recent.iter().filter_map(|run| run.of_limit);
        let values: Vec<f64> = shares.filter(|share| share.is_finite()).collect();
        let lately = (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let varies = self.sxx > 0.0 && self.shares.sd().is_some_and(|sd| sd > 0.0);
        let slope = varies.then(|| self.sxy / self.sxx).filter(|slope| slope.is_finite());
        let cycles_left = slope.filter(|slope| *slope > 0.0 && self.significant(*slope)).map(|slope| {
            let at_limit = self.mean.0 + (1.0 - self.mean.1) / slope;
            (at_limit - self.cycles as f64).max(0.0)
        });
        let wears_out = cycles_left.is_some_and(|left| left < AHEAD) && self.points >= FEWEST_POINTS;
        let often = retries > RETRIES && recent >= FEWEST_RUNS;
        let near = lately.is_some_and(|share| share > NEAR);
        NailTrend {
            cycles: self.cycles,
            lately,
            per_thousand: slope.map(|slope| slope * 1_000.0),
            cycles_left,
            retries,
            failed_in_a_row,
            state: if wears_out || often || near || failed_in_a_row >= RepeatRule::default().contact {
                NailState::Warn
            } else {
                NailState::Good
            },
        }
    }

    /// Whether a growth as steep as this is hardly by chance: t test of the slope.
    fn significant(&self, slope: f64) -> bool {
        let Some(freedom) = self.points.checked_sub(2).filter(|freedom| *freedom > 0) else { return false };
        let residual = (self.shares.squares - slope * self.sxy).max(0.0) / freedom as f64;
        let t = slope / (residual / self.sxx).sqrt();
        StudentsT::new(0.0, 1.0, freedom as f64)
            .is_ok_and(|distribution| t.is_infinite() || distribution.sf(t) < CHANCE)
    }
}
