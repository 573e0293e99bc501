//! A step as the scheduler sees it: when it may start, how long it may take, what it must deliver.

use crate::MeasurementSpec;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What happens to the rest of the plan when a step does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFail {
    /// Nothing more is started; running steps finish; the rest is skipped.
    #[default]
    Stop,
    /// Steps that need this one are skipped, the others continue.
    Continue,
}

/// A step of a checked plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Unique in the plan.
    pub id: String,
    /// Kind of test, for example `interconnect`.
    pub kind: String,
    /// Title; the id when the plan gives none.
    pub title: String,
    /// Indices of the steps that must have passed before.
    pub needs: Vec<usize>,
    /// Indices of the steps that must have ended before, with any verdict.
    pub after: Vec<usize>,
    /// Resources that the step uses exclusively while it runs ("nails", "measure-bus").
    pub uses: Vec<String>,
    /// Resources that it shares with other steps; a step that uses one exclusively has to wait ("dut").
    pub shares: Vec<String>,
    pub timeout: Duration,
    /// Number of further attempts when the step does not pass.
    pub retry: u8,
    pub on_fail: OnFail,
    pub measurements: Vec<MeasurementSpec>,
}

impl Step {
    /// Whether the two may not run at the same time: one uses exclusively what the other uses or shares.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let needs = |step: &Self, resource: &String| step.uses.contains(resource) || step.shares.contains(resource);
        self.uses.iter().any(|resource| needs(other, resource))
            || other.uses.iter().any(|resource| self.shares.contains(resource))
    }
}
