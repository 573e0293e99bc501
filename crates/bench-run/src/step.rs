//! A step as the run sees it: when it may start, how long it may take, what it must deliver.

use crate::MeasurementSpec;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What happens to the rest of the plan when a step does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFail {
    /// Nothing more is started; what runs is finished; the rest is skipped.
    #[default]
    Stop,
    /// Steps that need this one are skipped, the others go on.
    Continue,
}

/// A step of a checked plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Unique in the plan.
    pub id: String,
    /// Kind of test, for example `interconnect`.
    pub kind: String,
    /// For people; the id when the plan gives none.
    pub title: String,
    /// Indices of the steps that must have passed before.
    pub needs: Vec<usize>,
    /// Indices of the steps that must have ended before, with whatever verdict.
    pub after: Vec<usize>,
    /// Resources that the step has for itself while it runs ("nails", "measure-bus").
    pub uses: Vec<String>,
    /// Resources that it needs, beside others that share them; whoever uses one has to wait ("dut").
    pub shares: Vec<String>,
    pub timeout: Duration,
    /// How many further attempts a step gets that did not pass.
    pub retry: u8,
    pub on_fail: OnFail,
    pub measurements: Vec<MeasurementSpec>,
}

impl Step {
    /// Whether the two may not run at the same time: one of them uses what the other uses or shares.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let needs = |step: &Self, resource: &String| step.uses.contains(resource) || step.shares.contains(resource);
        self.uses.iter().any(|resource| needs(other, resource))
            || other.uses.iter().any(|resource| self.shares.contains(resource))
    }
}
