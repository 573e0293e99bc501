//! Whether a verdict is right, by what was ordered.

use crate::case::Case;
use crate::event::{Event, Kind};
use crate::rule::{Rule, Violation};
use crate::run::{Ran, run};
use crate::scenario::Scenario;
use crate::stage::End;
use bench_engine::Failed;
use bench_plan::SupplyRole;
use bench_run::{BenchTime, Verdict};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use virtual_bench::{Fault, undetectable};

/// A person, the guard and the bench itself need so long to end a run.
const STOPPED_WITHIN: Duration = Duration::from_millis(50);

/// Faults that a plan detects in some modules and not in others, because their tolerances decide; and why.
const BY_TOLERANCE: &[(&str, &str, &str)] = &[(
    "desk-boron",
    "stuck-high:14",
    "the adapter's TX and the port's driver oppose each other at the same contact: the level in the middle is read as low or \
     high, and nothing else on a desk reaches the contact",
)];

/// A lid that is open for so short may go unseen: two looks of the owner of power, and what it does between them.
const LID_UNSEEN_US: u64 = 25_000;
/// With less than this from its supply, the microcontroller does not even begin to start.
const MCU_STARTS_MICROAMPERES: u64 = 1_000;

/// What the plans make of single faults: in a run of module 1, with nothing else.
#[derive(Debug, Default)]
pub struct Alone(Mutex<BTreeMap<(String, String), Option<Verdict>>>);

impl Alone {
    fn verdict(&self, case: &Case, plan: &str, kind: &Kind) -> Result<Option<Verdict>, Failed> {
        let key = (plan.to_owned(), kind.to_string());
        let known = |alone: &Self| alone.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some(verdict) = known(self) {
            return Ok(verdict);
        }
        let event = Event { kind: kind.clone(), at_us: 0, span_us: 0 };
        let verdict = run(case, &Scenario { events: vec![event], ..Scenario::plain(plan) })?.verdict;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, verdict);
        Ok(verdict)
    }

    /// Whether the plan passes a module with this fault: nothing that a bench of this kind could measure, or a gap that
    /// `bench coverage` lists.
    fn passes(&self, case: &Case, plan: &str, fault: &Fault) -> Result<bool, Failed> {
        let text = fault.to_string();
        let by_tolerance = BY_TOLERANCE.iter().any(|(of, known, _)| *of == plan && *known == text);
        if by_tolerance || undetectable(fault, &case.family, &case.loaded.fixture).is_some() {
            return Ok(true);
        }
        Ok(self.verdict(case, plan, &Kind::Fault(fault.clone()))? == Some(Verdict::Pass))
    }

    /// Whether a good module fails because of this trouble of the bench: nothing distinguishes the two in one run, or
    /// `bench coverage --bench-faults` lists it.
    fn is_blamed(&self, case: &Case, plan: &str, event: &Event) -> Result<bool, Failed> {
        let kind = &event.kind;
        match kind {
            kind if kind.is_habit() => Ok(false),
            Kind::Bench(fault) if fault.indistinguishable(&case.family, &case.loaded.fixture).is_some() => Ok(true),
            // Such a supply holds its voltage until the modem or the microcontroller draws its peak, which resets it and is
            // over at once. The monitor shows averages: what remains is a modem or a module that does not start.
            Kind::Supply(rail, microamperes) => Ok(case.feeds(rail, &[SupplyRole::Modem, SupplyRole::Battery])
                || case.feeds(rail, &[SupplyRole::Logic]) && *microamperes > MCU_STARTS_MICROAMPERES),
            // The hardware cuts the rails, and the bench does not see the line between two looks at it.
            Kind::Lid => Ok(event.span_us > 0 && event.span_us < LID_UNSEEN_US),
            kind if kind.has_no_time() => Ok(self.verdict(case, plan, kind)? == Some(Verdict::Fail)),
            _ => Ok(false),
        }
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
            for event in &scenario.events {
                if alone.is_blamed(case, &scenario.plan, event)? {
                    return Ok(None);
                }
            }
            object(Rule::GoodModuleFailed, ran.reason.clone())
        }
        Verdict::Error if ran.end == End::Verdict && scenario.events.iter().all(is_harmless) => {
            object(Rule::GoodModuleNotPassed, ran.reason.clone())
        }
        Verdict::Aborted => {
            if scenario.events.iter().any(|event| event.kind.is_of_people()) {
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
