//! What to test, in which order, against which limits. From `plans/*.toml`.

use crate::{DutFamily, Fixture, Problem};
use bench_run::{Contact, MeasurementSpec, Step};
use std::time::Duration;

/// A checked plan. `P` is what a step kind makes of its parameters: the procedure that will run.
#[derive(Debug)]
pub struct Plan<P> {
    pub name: String,
    pub title: String,
    pub model: String,
    pub fixture: String,
    /// The firmware image that must be on the module while testing, as named by the plan.
    pub firmware: String,
    pub steps: Vec<PlanStep<P>>,
}

#[derive(Debug)]
pub struct PlanStep<P> {
    pub step: Step,
    pub coverage: Vec<Coverage>,
    pub procedure: P,
}

/// A step says something about a contact.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Coverage {
    pub contact: Contact,
    /// "open", "short", "pull-up", "voltage".
    pub aspects: Vec<&'static str>,
}

/// What a step kind has to look at when its parameters are resolved.
pub struct Surroundings<'a> {
    pub dut: &'a DutFamily,
    pub model: &'a crate::Model,
    pub fixture: &'a Fixture,
}

/// What a step kind makes of its parameters.
#[derive(Debug)]
pub struct Resolved<P> {
    pub measurements: Vec<MeasurementSpec>,
    pub coverage: Vec<Coverage>,
    /// Resources the procedure occupies.
    pub uses: Vec<String>,
    /// Used when the plan gives none.
    pub default_timeout: Duration,
    pub procedure: P,
}

/// A mistake in a step's parameters.
#[derive(Debug)]
pub struct ParamProblem {
    pub message: String,
    pub help: Option<String>,
    pub label: String,
    /// Where in the plan's text; the whole step when `None`.
    pub span: Option<std::ops::Range<usize>>,
}

/// The table of step kinds, which lives above this crate.
pub trait StepKinds {
    type Procedure;
    /// Every kind's name, for messages and the schema.
    fn names(&self) -> Vec<&'static str>;
    /// `params` holds what the step's table says beyond the keys that every step has, with its places in the text.
    fn resolve(
        &self,
        kind: &str,
        params: toml::de::DeTable<'_>,
        around: &Surroundings<'_>,
    ) -> Result<Resolved<Self::Procedure>, ParamProblem>;
    /// JSON Schema of the parameters of each kind.
    fn schemas(&self, generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, schemars::Schema)>;
}

/// Checks a plan against its module family and fixture.
pub type PlanResult<P> = Result<Plan<P>, Box<Problem>>;
