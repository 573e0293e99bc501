//! `interrupts` against a module that counts correctly except for a defect.

use crate::bed::{Setup, silent};
use crate::plans::World;
use crate::steps::{step, story};
use bench_instruments::DutError;
use dut_protocol::{EDGE_CHANNELS, Edges, Port, PortSet, Refusal, Reply, Request};
use std::cell::RefCell;

/// Ten contacts: two groups, and the second repeats contacts of the first.
const STEP: &str =
    "kind = 'interrupts'\npins = ['A0', 'A1', 'A2', 'A3', 'A4', 'A5', 'A6', 'A7', 'D4', 'D5']\npulses = 2";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Defect {
    None,
    /// The port detects no edge.
    Open(u8, u8),
    ChannelDead(usize),
    /// The port counts one edge too many of each kind.
    Bounces(u8, u8),
    NinthOpened,
}

struct Module {
    defect: Defect,
    watched: Vec<(Port, Edges)>,
}

thread_local! {
    static MODULE: RefCell<Module> = const { RefCell::new(Module { defect: Defect::None, watched: Vec::new() }) };
}

fn answer(request: &Request) -> Result<Reply, DutError> {
    MODULE.with_borrow_mut(|module| match request {
        Request::WatchEdges { port, edges } => {
            let channel = module.watched.len();
            if channel >= EDGE_CHANNELS && module.defect != Defect::NinthOpened {
                return Err(DutError::Refused(Refusal::NoChannelLeft));
            }
            assert!(module.watched.iter().all(|(other, _)| other != port), "{port} is watched twice");
            module.watched.push((*port, *edges));
            Ok(Reply::Channel { channel: channel as u8 })
        }
        Request::TakeEdgeCounts => Ok(Reply::EdgeCounts(std::array::from_fn(|channel| {
            let Some((port, edges)) = module.watched.get(channel) else { return 0 };
            let counted = if *edges == Edges::Both { 4 } else { 2 };
            match module.defect {
                Defect::Open(bank, pin) if Port::from_bank(bank, pin) == Some(*port) => 0,
                Defect::Bounces(bank, pin) if Port::from_bank(bank, pin) == Some(*port) => counted + 1,
                Defect::ChannelDead(dead) if dead == channel => 0,
                _ => counted,
            }
        }))),
        Request::UnwatchEdges => {
            module.watched.clear();
            Ok(Reply::Done)
        }
        Request::ApplyVector(_) => Ok(Reply::Levels(PortSet::EMPTY)),
        other => panic!("unexpected {other:?}"),
    })
}

fn setup(defect: Defect) -> Setup {
    MODULE.set(Module { defect, watched: Vec::new() });
    Setup { powered: true, answers: answer, ..Setup::default() }
}

fn watched() -> usize {
    MODULE.with_borrow(|module| module.watched.len())
}

#[test]
fn defects_are_diagnosed() {
    let world = World::new();
    let rows = [
        (Defect::None, "ok"),
        (Defect::Open(0, 3), "ok\ncontact 23 (A0): open or held, port P0.03 sees no edge of its nail"),
        (Defect::Open(1, 8), "ok\ncontact 66 (D4): open or held, port P1.08 sees no edge of its nail"),
        (
            Defect::Bounces(0, 4),
            "ok\ncontact 33 (A1): interrupts are counted wrongly: rising 3 of 2, falling 3 of 2, both 5 of 4",
        ),
        (
            Defect::ChannelDead(0),
            "ok\nthe MCU's interrupt channel 0 (GPIOTE) is dead: it counts no edge at any contact",
        ),
        (
            Defect::ChannelDead(7),
            "ok\nthe MCU's interrupt channel 7 (GPIOTE) is dead: it counts no edge at any contact",
        ),
        (Defect::NinthOpened, "ok\nthe firmware opens a ninth interrupt channel, but the MCU has eight"),
    ];
    for (defect, expected) in rows {
        let ran = step(&world, STEP, setup(defect));
        assert_eq!(story(&ran), expected, "{defect:?}");
        assert_eq!((ran.bed.left_behind(), watched()), (Vec::new(), 0), "{defect:?}");
        let promised = &world.check(STEP).unwrap().steps[0].step.measurements;
        let measured = ran.log.measured.borrow();
        assert_eq!(measured.len(), promised.len(), "{defect:?}: not all that was promised");
        let passes = promised.iter().all(|spec| {
            bench_run::judge(&spec.limits, measured.get(&spec.name).copied().flatten()) == bench_run::Verdict::Pass
        });
        assert_eq!(passes, expected == "ok", "{defect:?}: {measured:?}");
    }
}

#[test]
fn after_an_error_nothing_stays_watched_or_driven() {
    let world = World::new();
    let calls = step(&world, STEP, setup(Defect::None)).bed.calls();
    assert!(calls > 50, "{calls}");
    let mut left = 0;
    for failing in 0..calls {
        let ran = step(&world, STEP, Setup { failing_call: Some(failing), ..setup(Defect::None) });
        let report = story(&ran);
        assert!(report.starts_with("bench: io0 does not answer"), "call {failing}: {report}");
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "call {failing}");
        left += usize::from(watched() > 0);
    }
    // Only where closing itself fails; the firmware closes them when the link falls silent.
    assert!(left <= 1, "{left} of {calls}");
    let ran = step(&world, STEP, Setup { answers: |_| Err(silent()), ..setup(Defect::None) });
    assert!(story(&ran).starts_with("dut: the module does not answer"), "{}", story(&ran));
}

#[test]
fn plans_that_cannot_work_are_refused() {
    let world = World::new();
    for (from, to, message) in [
        (", 'D4', 'D5'", "", "8 contacts: at least nine are needed"),
        ("'D5'", "'TX'", "carries the link"),
        ("'D5'", "'MODE'", "is not an interrupt input"),
        ("pulses = 2", "pulses = 0", "0 pulses"),
        ("pulses = 2", "pulses = 21", "21 pulses"),
    ] {
        let report = world.check(&STEP.replace(from, to)).err().map_or(String::new(), |problem| problem.to_string());
        assert!(report.contains(message), "{from} -> {to}: {report}");
    }
}
