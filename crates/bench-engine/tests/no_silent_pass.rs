//! Whatever plans, steps, modules and people do: a unit passes only with every required reading on record, and every
//! record bears out its verdict.
#![allow(clippy::unwrap_used)] // a helper of a test that cannot go on is a failed test

mod support;

use async_trait::async_trait;
use bench_engine::{self as engine, Stop};
use bench_instruments::{Clock, ManualClock};
use bench_plan::PlanStep;
use bench_run::{Entry, Event, Limits, MeasurementSpec, MeasurementUnit, OnFail, Verdict, rejudge};
use bench_steps::{Nest, Procedure, StepError, StepLog};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use support::{Idle, nest, plan, recorder, started, step};

/// What a step does next.
#[derive(Debug, Clone)]
enum Deed {
    /// Measures one of the promised names, or one that was not promised.
    Measure(usize, Option<f64>),
    Sleep(u64),
    /// The reply never comes.
    Hang,
    Panic,
    ModuleBad,
    BenchBad,
}

#[derive(Debug, Clone)]
struct Made {
    promised: usize,
    retry: u8,
    needs_first: bool,
    /// For each attempt; the last one again after that.
    attempts: Vec<Vec<Deed>>,
}

struct Script {
    attempts: Vec<Vec<Deed>>,
    attempt: Cell<usize>,
}

#[async_trait(?Send)]
impl Procedure for Script {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let at = self.attempt.get();
        self.attempt.set(at + 1);
        for deed in &self.attempts[at.min(self.attempts.len() - 1)] {
            match deed {
                Deed::Measure(name, reading) => log.measured(&format!("m{name}"), *reading),
                Deed::Sleep(ms) => nest.clock.sleep(Duration::from_millis(*ms)).await,
                Deed::Hang => nest.clock.sleep(Duration::from_secs(3_600)).await,
                Deed::Panic => panic!("a bug in a step"),
                Deed::ModuleBad => return Err(StepError::Dut("dead".into())),
                Deed::BenchBad => return Err(StepError::Bench("cable".into())),
            }
        }
        Ok(())
    }
}

fn reading() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        12 => Just(Some(0.5)),
        1 => Just(Some(2.0)),
        1 => Just(None),
        1 => Just(Some(f64::NAN)),
        1 => Just(Some(f64::NEG_INFINITY)),
    ]
}

/// Mostly what a good step does; now and then something is lost, doubled or goes wrong.
fn attempt(promised: usize) -> impl Strategy<Value = Vec<Deed>> {
    let readings = prop::collection::vec(reading(), promised);
    let odd = prop_oneof![
        30 => Just(None),
        2 => (0..=promised, reading()).prop_map(|(name, reading)| Some(Deed::Measure(name, reading))),
        1 => Just(Some(Deed::Hang)),
        1 => Just(Some(Deed::Panic)),
        1 => Just(Some(Deed::ModuleBad)),
        1 => Just(Some(Deed::BenchBad)),
    ];
    (readings, odd, any::<prop::sample::Index>(), 0..40_u8, 0..20_u64).prop_map(move |(readings, odd, at, lost, ms)| {
        let measured = readings.into_iter().enumerate().map(|(name, reading)| Deed::Measure(name, reading));
        let mut deeds: Vec<Deed> = std::iter::once(Deed::Sleep(ms)).chain(measured).collect();
        if lost == 0 {
            deeds.remove(at.index(deeds.len()));
        }
        if let Some(odd) = odd {
            deeds.insert(at.index(deeds.len() + 1), odd);
        }
        deeds
    })
}

fn made() -> impl Strategy<Value = Made> {
    (1..4_usize).prop_flat_map(|promised| {
        (prop::collection::vec(attempt(promised), 1..3), 0..3_u8, any::<bool>())
            .prop_map(move |(attempts, retry, needs_first)| Made { promised, retry, needs_first, attempts })
    })
}

fn planned(made: &[Made]) -> Vec<PlanStep<Box<dyn Procedure>>> {
    made.iter()
        .enumerate()
        .map(|(index, made)| {
            let script = Script { attempts: made.attempts.clone(), attempt: Cell::new(0) };
            let mut planned = step(&format!("s{index}"), script);
            planned.step.retry = made.retry;
            planned.step.on_fail = if index % 3 == 2 { OnFail::Stop } else { OnFail::Continue };
            planned.step.needs = if made.needs_first && index > 0 { vec![0] } else { Vec::new() };
            planned.step.measurements = (0..made.promised)
                .map(|name| MeasurementSpec {
                    name: format!("m{name}"),
                    unit: MeasurementUnit::Volts,
                    limits: Limits::between(0.0, 1.0),
                    contacts: Vec::new(),
                })
                .collect();
            planned
        })
        .collect()
}

/// Worked out here, from the entries alone and by other means than the bench's: every promised reading of every step's
/// last attempt is there once, finite and inside, taken while that attempt ran, and the bench is known to be safe.
fn deserves_to_pass(made: &[Made], entries: &[Entry]) -> bool {
    // Number of the attempt, whether it ended, and what was taken in it.
    type Attempt = (u8, bool, Vec<(String, Option<f64>)>);
    let mut last: BTreeMap<String, Attempt> = BTreeMap::new();
    let (mut safe, mut stopped) = (false, false);
    for entry in entries {
        match &entry.event {
            Event::StepStarted { step, attempt } => {
                last.insert(step.clone(), (*attempt, false, Vec::new()));
            }
            Event::Measured { step, attempt, measurement } => {
                let (running, ended, taken) = last.get_mut(step).unwrap();
                if running != attempt || *ended {
                    return false;
                }
                taken.push((measurement.name.clone(), measurement.value));
            }
            Event::StepEnded { step, .. } => {
                if let Some((_, ended, _)) = last.get_mut(step) {
                    *ended = true;
                }
            }
            Event::Stopping { .. } => stopped = true,
            Event::SafeState { confirmed, .. } => safe = *confirmed,
            _ => {}
        }
    }
    let complete = made.iter().enumerate().all(|(index, made)| {
        let Some((_, true, taken)) = last.get(&format!("s{index}")) else { return false };
        (0..made.promised).all(|name| {
            let of: Vec<_> = taken.iter().filter(|(taken, _)| *taken == format!("m{name}")).collect();
            matches!(of.as_slice(), [(_, Some(value))] if (0.0..=1.0).contains(value))
        })
    });
    complete && safe && !stopped
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_pass_is_deserved_and_every_record_bears_out_its_verdict(
        made in prop::collection::vec(made(), 1..6), stop_ms in prop::option::weighted(0.2, 0..2_000_u64),
        broken in prop::bool::weighted(0.1),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Rc::new(ManualClock::new());
        let idle = Rc::new(Idle { broken, ..Idle::default() });
        if broken {
            // A rail that cannot be switched off.
            idle.rails.borrow_mut().insert("3V3".to_owned(), true);
        }
        let nest = nest(clock.clone(), idle);
        let recorder = recorder(folder.path(), clock.clone());
        let plan = plan(planned(&made));
        let stop = match stop_ms {
            Some(ms) => {
                let clock = clock.clone();
                Stop::when(async move {
                    clock.sleep(Duration::from_millis(ms)).await;
                    "asked".to_owned()
                })
            }
            None => Stop::never(),
        };
        std::panic::set_hook(Box::new(|_| {}));
        let outcome = clock.run(engine::run(&plan, &nest, &recorder, started(&plan), stop));
        let _ = std::panic::take_hook();
        let read = bench_journal::read(&folder.path().join("P042TEST/test")).unwrap();
        let again = rejudge(&read.entries);
        prop_assert!(again.holds(), "{:?}: {:?}", outcome, again.contradictions);
        prop_assert_eq!(again.claimed, Some(outcome.verdict));
        if outcome.verdict == Verdict::Pass {
            prop_assert!(deserves_to_pass(&made, &read.entries), "{:?}", outcome);
        }
        prop_assert!(read.seal.is_some() && read.finished);
    }
}

/// The property above would say nothing if nothing passed.
#[test]
fn a_good_plan_deserves_to_pass() {
    let good = Made {
        promised: 2,
        retry: 0,
        needs_first: false,
        attempts: vec![vec![Deed::Measure(0, Some(0.5)), Deed::Measure(1, Some(1.0))]],
    };
    let folder = tempfile::tempdir().unwrap();
    let clock = Rc::new(ManualClock::new());
    let nest = nest(clock.clone(), Rc::new(Idle::default()));
    let recorder = recorder(folder.path(), clock.clone());
    let plan = plan(planned(&[good.clone(), good.clone()]));
    let outcome = clock.run(engine::run(&plan, &nest, &recorder, started(&plan), Stop::never()));
    assert_eq!(outcome.verdict, Verdict::Pass);
    assert!(deserves_to_pass(&[good.clone(), good.clone()], &recorder.entries()));
    assert!(!deserves_to_pass(&[good.clone(), good.clone(), good], &recorder.entries()), "a step is missing");
}
