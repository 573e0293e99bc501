//! Programs of a station that are asked before each unit and get the record after it: `[hooks]` in the station file, or a file of
//! its own for a virtual bench.

use crate::quantity::Seconds;
use crate::reading::parse_file;
use crate::{ParamProblem, Problem, Source, Spanned};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHooks {
    /// Program and arguments. It gets the unit as JSON and allows the test with exit code 0.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    before_unit: Option<Spanned<Vec<String>>>,
    /// Program and arguments. It gets the record of each run as JSON.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    after_unit: Option<Spanned<Vec<String>>>,
    /// Longest time for each of them to answer.
    #[serde(default)]
    #[schemars(with = "Option<Seconds>")]
    timeout: Option<Spanned<Seconds>>,
}

/// A file with hooks and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    hooks: RawHooks,
}

/// Programs that run around the test of each unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    /// Program and arguments; never empty.
    pub before_unit: Option<Vec<String>>,
    pub after_unit: Option<Vec<String>>,
    pub timeout: Duration,
}

/// A server of the plant answers within a second or never.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An operator who waits longer takes the unit out.
const LONGEST: Duration = Duration::from_secs(300);

impl Hooks {
    /// Reads a file whose only section is `[hooks]`.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(source: &Source) -> Result<Self, Box<Problem>> {
        let raw: RawFile = parse_file(source)?;
        raw.hooks.check().map_err(|problem| problem.in_file(source, 0..0))
    }
}

impl RawHooks {
    pub(crate) fn check(self) -> Result<Hooks, ParamProblem> {
        let timeout = match &self.timeout {
            None => TIMEOUT,
            Some(given) => {
                let span = given.get_ref().duration();
                if span.is_zero() || span > LONGEST {
                    return Err(ParamProblem::new("no program answers within this time, or nobody waits so long")
                        .at(given.span(), "here")
                        .help("from some milliseconds to 5 min; 10 s when left out"));
                }
                span
            }
        };
        let hooks = Hooks { before_unit: command(self.before_unit)?, after_unit: command(self.after_unit)?, timeout };
        if hooks.before_unit.is_none() && hooks.after_unit.is_none() {
            return Err(ParamProblem::new("[hooks] names no program").help("add `before_unit` or `after_unit`"));
        }
        Ok(hooks)
    }
}

fn command(given: Option<Spanned<Vec<String>>>) -> Result<Option<Vec<String>>, ParamProblem> {
    let Some(given) = given else { return Ok(None) };
    if given.get_ref().first().is_none_or(|program| program.trim().is_empty()) {
        return Err(ParamProblem::new("no program is named")
            .at(given.span(), "here")
            .help("write the program and its arguments, such as [\"python3\", \"interlock.py\"]"));
    }
    Ok(Some(given.into_inner()))
}
