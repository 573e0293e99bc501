//! Whether a verdict is right, by what was ordered.

use crate::case::Case;
use crate::event::{Event, Kind};
use crate::rule::{Rule, Violation};
use crate::run::{Ran, run};
use crate::scenario::Scenario;
use crate::stage::End;
use bench_engine::Failed;
use bench_run::{BenchTime, Verdict};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use virtual_bench::{Fault, undetectable};

/// A person, the guard and the bench itself need so long to end a run.
const STOPPED_WITHIN: Duration = Duration::from_millis(50);

/// What the plans make of single faults: in a run of module 1, with nothing else.
#[derive(Debug, Default)]
pub struct Alone(Mutex<BTreeMap<(String, String), Option<Verdict>>>);

impl Alone {
    fn verdict(&self, case: &Case, plan: &str, fault: &Fault) -> Result<Option<Verdict>, Failed> {
        let key = (plan.to_owned(), fault.to_string());
        let known = |alone: &Self| alone.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some(verdict) = known(self) {
            return Ok(verdict);
        }
        let event = Event { kind: Kind::Fault(fault.clone()), at_us: 0, span_us: 0 };
        let verdict = run(case, &Scenario { events: vec![event], ..Scenario::plain(plan) })?.verdict;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, verdict);
        Ok(verdict)
    }

    /// Whether the plan passes a module with this fault: nothing that a bench of this kind could measure, or a gap that
    /// `bench coverage` lists.
    fn passes(&self, case: &Case, plan: &str, fault: &Fault) -> Result<bool, Failed> {
        if undetectable(fault, &case.family, &case.loaded.fixture).is_some() {
            return Ok(true);
        }
        Ok(self.verdict(case, plan, fault)? == Some(Verdict::Pass))
    }
}

/// Runs a scenario and checks everything.
///
/// # Errors
/// When the module or the fixture cannot have what is ordered.
pub fn check(case: &Case, scenario: &Scenario, alone: &Alone) -> Result<Ran, Failed> {
    let mut ran = run(case, scenario)?;
    let wrong = violation(case, scenario, &ran, alone)?;
    ran.violations.extend(wrong);
    Ok(ran)
}

fn violation(case: &Case, scenario: &Scenario, ran: &Ran, alone: &Alone) -> Result<Option<Violation>, Failed> {
    let Some(verdict) = ran.verdict else { return Ok(None) };
    let faults = || {
        scenario.events.iter().filter_map(|event| match &event.kind {
            Kind::Fault(fault) if !event.kind.is_habit() => Some(fault),
            _ => None,
        })
    };
    let of_module = || faults().filter(|fault| !fault.is_of_bench());
    let object = |rule, detail: String| Ok(Some(Violation::new(rule, detail)));
    match verdict {
        Verdict::Pass => {
            for fault in of_module() {
                if !alone.passes(case, &scenario.plan, fault)? {
                    return object(Rule::BadModulePassed, format!("{fault}"));
                }
            }
            match stopped(scenario, ran) {
                Some(event) => object(Rule::NotStopped, format!("{event} happened, and the unit passed")),
                None => Ok(None),
            }
        }
        Verdict::Fail if of_module().next().is_none() => {
            for fault in faults() {
                // Nothing distinguishes this fault of the bench from one of the module.
                if alone.verdict(case, &scenario.plan, fault)? == Some(Verdict::Fail) {
                    return Ok(None);
                }
            }
            object(Rule::GoodModuleFailed, ran.reason.clone())
        }
        Verdict::Error if ran.end == End::Verdict && scenario.events.iter().all(is_harmless) => {
            object(Rule::GoodModuleNotPassed, ran.reason.clone())
        }
        Verdict::Aborted => {
            let person = |event: &Event| matches!(event.kind, Kind::Lid | Kind::Emergency | Kind::Signal);
            if scenario.events.iter().any(person) {
                return Ok(None);
            }
            object(Rule::AbortedByNobody, ran.reason.clone())
        }
        _ => Ok(None),
    }
}

fn is_harmless(event: &Event) -> bool {
    event.kind.is_habit() || event.kind == Kind::Start
}

/// What must have ended the run: it happened while steps ran, long enough for the bench to see it.
fn stopped<'a>(scenario: &'a Scenario, ran: &Ran) -> Option<&'a Event> {
    // A controller that stands still sees nothing.
    if scenario.events.iter().any(|event| event.kind == Kind::Stall) {
        return None;
    }
    let long = |event: &Event| event.span_us == 0 || Duration::from_micros(event.span_us) > STOPPED_WITHIN;
    let stops = |event: &Event| match event.kind {
        Kind::Signal | Kind::GuardActs | Kind::GuardGone => true,
        Kind::Lid | Kind::Emergency => long(event),
        _ => false,
    };
    let at = |at: &Option<BenchTime>| at.is_some_and(|at| at + STOPPED_WITHIN < ran.judged_until);
    scenario
        .events
        .iter()
        .zip(&ran.happened)
        .find(|(event, happened)| stops(event) && at(happened))
        .map(|(event, _)| event)
}
