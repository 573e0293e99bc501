//! Draws what is tested and what happens meanwhile.

use crate::case::{CASES, Case};
use crate::event::{Event, Kind};
use crate::random::Random;
use crate::scenario::Scenario;
use std::ops::RangeInclusive;
use virtual_bench::{BenchFault, Fault, habit_names};

/// How many events a run has, and how often.
const COUNTS: &[(u64, (u64, u64))] =
    &[(8, (0, 0)), (30, (1, 1)), (26, (2, 2)), (16, (3, 3)), (12, (4, 6)), (8, (7, 15))];
/// Of a hundred runs of plans that can: with an empty module, with a record on the disk.
const BLANK: u64 = 8;
const RECORDED: u64 = 15;
/// Defects that a module has at most; more hide each other.
const MOST_FAULTS: usize = 2;
/// Modules: as many as there are tolerances to try.
const SEEDS: u64 = 1_000_000;

const MS: u64 = 1000;
const STALL: RangeInclusive<u64> = 2 * MS..=3000 * MS;
const HAND: RangeInclusive<u64> = MS..=2000 * MS;
const DISK: RangeInclusive<u64> = MS..=20_000 * MS;
/// Events near a moment of the record come so long before or after it.
const NEAR: u64 = 20 * MS;
/// After the end of a good run: modules with a defect may take longer.
const AFTER_END: u64 = 12_000 * MS;
const LEAST_SUPPLY: u64 = 1;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Draw {
    Fault,
    Bench,
    Habit,
    Lid,
    Emergency,
    Start,
    Signal,
    Kill,
    Drop,
    Stall,
    Expander,
    Supply,
    GuardActs,
    GuardGone,
    Panic,
    ObserverPanic,
    DiskFull,
    DiskTorn,
    DiskBroken,
    DiskSlow,
    DiskChanged,
}

const DRAWS: &[(u64, Draw)] = &[
    (34, Draw::Fault),
    (16, Draw::Bench),
    (8, Draw::Habit),
    (6, Draw::Lid),
    (4, Draw::Emergency),
    (2, Draw::Start),
    (8, Draw::Signal),
    (6, Draw::Kill),
    (2, Draw::Drop),
    (18, Draw::Stall),
    (6, Draw::Expander),
    (4, Draw::Supply),
    (2, Draw::GuardActs),
    (2, Draw::GuardGone),
    (2, Draw::Panic),
    (1, Draw::ObserverPanic),
    (1, Draw::DiskFull),
    (1, Draw::DiskTorn),
    (1, Draw::DiskBroken),
    (2, Draw::DiskSlow),
    (1, Draw::DiskChanged),
];

/// The name of a case.
pub fn case_name(random: &mut Random) -> &'static str {
    random.weighted(CASES).unwrap_or("b404x")
}

/// Draws a scenario of this case. `moments` are the times of the entries of a good run's record.
pub fn scenario(random: &mut Random, name: &str, case: &Case, moments: &[u64]) -> Scenario {
    let (least, most) = random.weighted(COUNTS).unwrap_or((1, 1));
    let count = least + random.below(most - least + 1);
    let mut events: Vec<Event> = Vec::new();
    for _ in 0..count {
        let draw = random.weighted(DRAWS).unwrap_or(Draw::Stall);
        events.extend(event(random, draw, case, moments, &events));
    }
    let (blank, recorded) = (random.chance(BLANK), random.chance(RECORDED));
    let recorded = recorded && events.iter().all(|event| !event.kind.is_of_disk());
    Scenario { plan: name.to_owned(), seed: random.below(SEEDS), blank, recorded, events }
}

fn event(random: &mut Random, draw: Draw, case: &Case, moments: &[u64], before: &[Event]) -> Option<Event> {
    let has = |kind: &Kind| before.iter().any(|event| event.kind == *kind);
    let is_fault = |event: &&Event| matches!(event.kind, Kind::Fault(_)) && !event.kind.is_habit();
    let faults = before.iter().filter(is_fault).count();
    let bed = case.has_rails();
    let (kind, span) = match draw {
        Draw::Fault if faults < MOST_FAULTS => (Kind::Fault(of_kind(random, &case.faults, Fault::kind)?), None),
        Draw::Bench => (Kind::Bench(of_kind(random, &case.bench_faults, BenchFault::kind)?), None),
        Draw::Habit if case.family.modem.is_some() => (Kind::Fault(habit(random)?), None),
        Draw::Lid if bed => (Kind::Lid, Some(HAND)),
        Draw::Emergency if bed => (Kind::Emergency, Some(HAND)),
        Draw::Start if bed => (Kind::Start, Some(HAND)),
        Draw::Signal => (Kind::Signal, None),
        Draw::Kill if !has(&Kind::Kill) && !has(&Kind::Drop) => (Kind::Kill, None),
        Draw::Drop if !has(&Kind::Kill) && !has(&Kind::Drop) => (Kind::Drop, None),
        Draw::Stall => (Kind::Stall, Some(STALL)),
        Draw::Expander => (Kind::Expander(random.pick(&case.expanders)?.clone()), None),
        Draw::Supply => {
            let (rail, limit) = random.pick(&case.rails)?.clone();
            (Kind::Supply(rail, random.logarithmic(LEAST_SUPPLY, limit)), None)
        }
        Draw::GuardActs if bed => (Kind::GuardActs, None),
        Draw::GuardGone if bed => (Kind::GuardGone, None),
        Draw::Panic => (Kind::Panic, None),
        Draw::ObserverPanic => (Kind::ObserverPanic, None),
        Draw::DiskFull => (Kind::DiskFull, None),
        Draw::DiskTorn => (Kind::DiskTorn, None),
        Draw::DiskBroken => (Kind::DiskBroken, None),
        Draw::DiskSlow => (Kind::DiskSlow, Some(DISK)),
        Draw::DiskChanged => (Kind::DiskChanged, None),
        _ => return None,
    };
    let at_us = if kind.has_no_time() { 0 } else { moment(random, moments) };
    let span_us = match span {
        // What a hand does may also stay so.
        Some(span) if span == HAND && random.chance(40) => 0,
        Some(span) => random.logarithmic(*span.start(), *span.end()),
        None => 0,
    };
    Some(Event { kind, at_us, span_us })
}

/// Near something that the record of a good run has, anywhere in that run, or after it.
fn moment(random: &mut Random, moments: &[u64]) -> u64 {
    let end = moments.last().copied().unwrap_or_default();
    match random.weighted(&[(5, 0), (4, 1), (1, 2)]) {
        Some(0) => {
            let moment = random.pick(moments).copied().unwrap_or_default();
            (moment + random.below(2 * NEAR)).saturating_sub(NEAR)
        }
        Some(1) => random.below(end),
        _ => end + random.below(AFTER_END),
    }
}

/// First a kind, then one of it: some kinds have a hundred faults, some have one. Or any.
fn of_kind<T: Clone>(random: &mut Random, faults: &[T], kind: fn(&T) -> &'static str) -> Option<T> {
    if random.chance(50) {
        return random.pick(faults).cloned();
    }
    let mut kinds: Vec<&str> = faults.iter().map(kind).collect();
    kinds.dedup();
    let wanted = *random.pick(&kinds)?;
    let these: Vec<&T> = faults.iter().filter(|fault| kind(fault) == wanted).collect();
    random.pick(&these).map(|fault| (*fault).clone())
}

fn habit(random: &mut Random) -> Option<Fault> {
    let names: Vec<&str> = habit_names().collect();
    format!("modem-habit:{}", random.pick(&names)?).parse().ok()
}
