//! `pair-test` against levels from a table.

use crate::bed::{Setup, run};
use crate::plans::World;
use crate::steps::{good, powered, refusing, story};
use bench_instruments::DutError;
use dut_protocol::{Port, Reply, Request};

const STEP: &str = "kind = 'pair-test'";
const JUMPERS: &str =
    "format = 1\nname = \"b-series\"\nrevision = \"A\"\nbase = \"b-series\"\npairs = [[22, 20], [23, 33]]\n";

fn port(bank: u8, pin: u8) -> Port {
    Port::from_bank(bank, pin).unwrap()
}

/// D0 and D1, A0 and A1.
fn pairs() -> [[Port; 2]; 2] {
    [[port(0, 26), port(0, 27)], [port(0, 3), port(0, 4)]]
}

/// The port that does not lead to its partner, and the one that is held high.
fn answer(request: &Request, open: Option<Port>, held: Option<Port>) -> Result<Reply, DutError> {
    let Request::ApplyVector(vector) = request else { return good(request) };
    let mut levels = vector.high;
    for [a, b] in pairs() {
        let cut = open == Some(a) || open == Some(b);
        for (from, to) in [(a, b), (b, a)] {
            if vector.high.contains(from) && !cut {
                levels = levels.with(to);
            }
        }
    }
    Ok(Reply::Levels(held.map_or(levels, |port| levels.with(port))))
}

/// The firmware's answer.
type Firmware = fn(&Request) -> Result<Reply, DutError>;

#[test]
fn pairs_that_follow_and_pairs_that_do_not() {
    let mut world = World::new();
    let source = bench_plan::Source::new("fixtures/b-series.toml", JUMPERS);
    world.fixture = world.fixture.with_jumpers(&source, &[]).unwrap();
    let rows: [(Firmware, &str); 4] = [
        (|request| answer(request, None, None), "ok"),
        (
            |request| answer(request, Some(pairs()[1][0]), None),
            "ok\ncontact 23 (A0) drives: contact 33 (A1) does not follow\n\
             contact 33 (A1) drives: contact 23 (A0) does not follow",
        ),
        (
            |request| answer(request, None, Some(pairs()[0][0])),
            "ok\ncontact 22 (D0): its own level does not follow its driver",
        ),
        (refusing, "bench: the firmware refused"),
    ];
    let plan = world.check(STEP).unwrap_or_else(|problem| panic!("{problem}"));
    for (answers, expected) in rows {
        let ran = run(&*plan.steps[0].procedure, powered(answers, &[]), &world.fixture, world.family());
        let story = story(&ran);
        let fits = if expected == "ok" { story == expected } else { story.starts_with(expected) };
        assert!(fits, "expected {expected}\n  got {story}");
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{expected}");
    }
    let silent = Setup { connects: false, ..powered(good, &[]) };
    let ran = run(&*plan.steps[0].procedure, silent, &world.fixture, world.family());
    // It answers the next request.
    assert!(story(&ran).starts_with("bench: an answer of the module got lost"), "{}", story(&ran));
}

#[test]
fn a_bed_without_pairs_is_refused() {
    let problem = World::new().check(STEP).err().unwrap();
    assert!(problem.message.contains("joins no pairs of contacts"), "{}", problem.message);
}
