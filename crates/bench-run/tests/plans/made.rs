//! Random plans.

use bench_run::{OnFail, Step, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

const RESOURCES: [&str; 4] = ["dut", "ports", "bus", "rails"];

/// A step and the results of its attempts.
#[derive(Debug, Clone)]
pub struct Made {
    pub step: Step,
    pub ticks: u32,
    pub tidying: u32,
    pub verdicts: Vec<Verdict>,
}

pub fn some_of(bits: u8) -> Vec<String> {
    let picked = RESOURCES.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1);
    picked.map(|(_, &name)| name.to_owned()).collect()
}

/// Of 16 bits one in four is set.
fn few(bits: u16) -> u8 {
    (bits & bits >> 8) as u8
}

/// Weights of the results of an attempt.
fn verdicts() -> impl Strategy<Value = Vec<Verdict>> {
    vec(prop_oneof![6 => Just(Verdict::Pass), 1 => Just(Verdict::Fail), 1 => Just(Verdict::Error)], 3)
}

/// Uses and shares, earlier steps that it needs or comes after, retries, duration, cleanup time, results, whether a
/// failure stops.
type Drawn = ((u16, u16), [Vec<prop::sample::Index>; 2], u8, (u32, u32), Vec<Verdict>, bool);

pub fn plans() -> impl Strategy<Value = Vec<Made>> {
    let earlier = || vec(any::<prop::sample::Index>(), 0..3);
    let waits = (earlier(), earlier()).prop_map(|(needs, after)| [needs, after]);
    let drawn_step = ((any::<u16>(), any::<u16>()), waits, 0u8..3, (1u32..20, 0u32..3), verdicts(), any::<bool>());
    vec(drawn_step, 1..14)
        .prop_map(|drawn| drawn.into_iter().enumerate().map(|(index, drawn_step)| made(index, drawn_step)).collect())
}

fn made(index: usize, ((uses, shares), waits, retry, (ticks, tidying), verdicts, stops): Drawn) -> Made {
    let earlier =
        |drawn: Vec<prop::sample::Index>| drawn.iter().filter(|_| index > 0).map(|need| need.index(index)).collect();
    let [needs, after] = waits.map(earlier);
    let step = Step {
        needs,
        after,
        retry,
        on_fail: if stops { OnFail::Stop } else { OnFail::Continue },
        ..step(index, some_of(few(uses)), some_of(few(shares)))
    };
    Made { step, ticks, tidying, verdicts }
}

pub fn step(index: usize, uses: Vec<String>, shares: Vec<String>) -> Step {
    Step {
        id: format!("s{index}"),
        kind: "test".into(),
        title: String::new(),
        needs: Vec::new(),
        after: Vec::new(),
        uses,
        shares,
        timeout: Duration::from_secs(1),
        retry: 0,
        on_fail: OnFail::Continue,
        measurements: Vec::new(),
    }
}
