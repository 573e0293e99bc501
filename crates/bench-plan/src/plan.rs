//! Plans: which steps to run, in which order, against which limits. From `plans/*.toml`.

use crate::{DutFamily, Fixture, Problem, Reach, Source};
use bench_run::{Contact, MeasurementSpec, Step};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;

/// The only version of the plan format so far.
pub const PLAN_FORMAT: u32 = 1;

/// Keys that every step has; all other keys of a step's table belong to its kind.
pub const STEP_KEYS: &[&str] =
    &["id", "kind", "title", "models", "needs", "after", "uses", "shares", "timeout", "retry", "on_fail"];

/// A checked plan. `P` is what a step kind makes of its parameters: the procedure to run.
#[derive(Debug)]
pub struct Plan<P> {
    pub name: String,
    /// Title; the name when the plan gives none.
    pub title: String,
    pub model: String,
    /// The model's family.
    pub family: String,
    /// The fixture to run on: the one that its text names, or a reduced one.
    pub fixture: String,
    /// Whether a module may pass on that fixture: on a reduced one only where the plan allows it.
    pub passes_here: bool,
    /// On a reduced fixture: why the plan allows a pass there, in its words.
    pub reason_here: Option<String>,
    /// The firmware image that must be on the module while testing, as named by the plan.
    pub firmware: String,
    /// Steps in the order of the text: first those of the parts, in the order in which the plan includes them.
    pub steps: Vec<PlanStep<P>>,
    /// Included steps that this plan leaves out, and steps that the fixture cannot do.
    pub left_out: Vec<LeftOut>,
    /// Contacts that no step covers, with the plan's reason, ascending.
    pub not_covered: Vec<NotCovered>,
    /// What is valid and hardly meant, such as limits that no reading can fail. In the order of the steps.
    pub warnings: Vec<Problem>,
}

impl<P> Plan<P> {
    /// Takes steps out. A step that needed one of them then needs whatever that one needed, so that the order of the rest
    /// stays. Ids that the plan does not have are ignored.
    pub fn take_out(&mut self, gone: &[String]) {
        let is_gone: Vec<bool> = self.steps.iter().map(|planned| gone.contains(&planned.step.id)).collect();
        let needs: Vec<Vec<usize>> = self.steps.iter().map(|planned| planned.step.needs.clone()).collect();
        let place = |index: usize| is_gone[..index].iter().filter(|gone| !**gone).count();
        for planned in &mut self.steps {
            let mut left = BTreeSet::new();
            let (mut open, mut seen) = (planned.step.needs.clone(), BTreeSet::new());
            while let Some(needed) = open.pop() {
                if !is_gone.get(needed).copied().unwrap_or(false) {
                    left.insert(place(needed));
                } else if seen.insert(needed) {
                    open.extend(&needs[needed]);
                }
            }
            planned.step.needs = left.into_iter().collect();
            let stays = |index: &usize| !is_gone.get(*index).copied().unwrap_or(false);
            planned.step.after =
                planned.step.after.iter().filter(|index| stays(index)).map(|&index| place(index)).collect();
        }
        let mut keep = is_gone.iter().map(|gone| !gone);
        self.steps.retain(|_| keep.next().unwrap_or(true));
    }

    /// Takes these steps out, and says so in [`Plan::left_out`]. Returns their ids.
    pub fn leave_out(&mut self, which: impl Fn(&P) -> bool, reason: &str) -> Vec<String> {
        let steps = self.steps.iter().filter(|planned| which(&planned.procedure));
        let ids: Vec<String> = steps.map(|planned| planned.step.id.clone()).collect();
        self.take_out(&ids);
        self.left_out.extend(ids.iter().map(|id| LeftOut { step: id.clone(), reason: reason.to_owned() }));
        ids
    }
}

/// A reduced fixture on which a module may pass without the steps that cannot be done there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlsoOn {
    pub fixture: Spanned<String>,
    /// Why a pass there is good enough, as the plan gives it.
    pub reason: String,
}

/// A contact that no step covers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NotCovered {
    pub contact: Contact,
    /// The reason, as the plan gives it.
    pub reason: String,
}

/// A step of a part that the plan leaves out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    pub step: String,
    /// The reason, as the plan gives it.
    pub reason: String,
}

#[derive(Debug)]
pub struct PlanStep<P> {
    pub step: Step,
    pub coverage: Vec<Coverage>,
    pub procedure: P,
}

/// A contact that a step covers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Coverage {
    pub contact: Contact,
    /// "open", "short", "pull-up", "voltage".
    pub aspects: Vec<&'static str>,
}

/// Inputs for a step kind when its parameters are resolved.
pub struct Surroundings<'a> {
    /// All families, to name a wrong module in the nest.
    pub families: &'a [&'a DutFamily],
    pub dut: &'a DutFamily,
    pub model: &'a crate::Model,
    pub fixture: &'a Fixture,
    /// Resources that the step itself lists, in its `uses` and `shares`.
    pub uses: &'a [String],
    pub shares: &'a [String],
}

/// A step kind's result for its parameters.
#[derive(Debug)]
pub struct Resolved<P> {
    /// Each with a name that is unique in the step and with limits.
    pub measurements: Vec<MeasurementSpec>,
    pub coverage: Vec<Coverage>,
    /// Resources that the procedure uses exclusively.
    pub uses: Vec<String>,
    /// Resources that it shares with other steps.
    pub shares: Vec<String>,
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
    /// Place in the plan's text; the whole step when `None`.
    pub span: Option<Range<usize>>,
    /// Whether something is missing elsewhere.
    pub(crate) is_absence: bool,
    /// Whether a value has the wrong form.
    pub(crate) is_form: bool,
}

impl ParamProblem {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            label: "here".into(),
            span: None,
            is_absence: false,
            is_form: false,
        }
    }
    #[must_use]
    pub fn at(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.span = Some(span);
        self.label = label.into();
        self
    }
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    /// Says that something is missing elsewhere.
    #[must_use]
    pub fn absent(mut self) -> Self {
        self.is_absence = true;
        self
    }
    /// Converts it to a problem of a file; `otherwise` is its place when it has none.
    pub fn in_file(self, source: &Source, otherwise: Range<usize>) -> Box<Problem> {
        let mut problem = Problem::new(source, self.message).at(self.span.unwrap_or(otherwise), self.label);
        (problem.help, problem.is_absence, problem.is_form) = (self.help, self.is_absence, self.is_form);
        Box::new(problem)
    }
}

/// The table of step kinds, which is defined above this crate.
pub trait StepKinds {
    type Procedure;
    /// Every kind's name, for messages and the schema.
    fn names(&self) -> Vec<&'static str>;
    /// Resolves the parameters of a step. `params` holds the keys of the step's table beyond [`STEP_KEYS`], with their
    /// places in the text. `kind` is one of [`StepKinds::names`]. [`crate::parse_params`] turns the table into a typed
    /// value.
    fn resolve(
        &self,
        kind: &str,
        params: toml::de::DeTable<'_>,
        around: &Surroundings<'_>,
    ) -> Result<Resolved<Self::Procedure>, ParamProblem>;
    /// Whether a step of this kind may promise no measurement (a wait, a power-down). All others must measure.
    fn may_measure_nothing(&self, _kind: &str) -> bool {
        false
    }
    /// Whether steps that need one of this kind depend on its effect, such as power or a conversation. Other kinds only
    /// measure: on a fixture that cannot do them, their dependents inherit their needs.
    fn is_rested_on(&self, _kind: &str) -> bool {
        true
    }
    /// What the limits of this kind's parameters are compared with, one entry for each parameter with limits.
    fn reaches(&self, _kind: &str) -> &'static [Reach] {
        &[]
    }
    /// The rails whose resistance to ground the procedure measures, without power.
    fn measures_for_shorts(&self, _procedure: &Self::Procedure) -> Vec<String> {
        Vec::new()
    }
    /// The rails that the procedure switches on.
    fn switches_on(&self, _procedure: &Self::Procedure) -> Vec<String> {
        Vec::new()
    }
    /// JSON Schema of the parameters of each kind: an object schema, inline and not a reference
    /// (`Params::json_schema(generator)`).
    fn schemas(&self, generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, schemars::Schema)>;
}

/// Checks a plan against its module family and fixture.
pub type PlanResult<P> = Result<Plan<P>, Box<Problem>>;
