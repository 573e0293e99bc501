//! A small fixed sample, on QEMU and on a core with known faults. Without QEMU its tests are skipped with a message.
#![allow(clippy::unwrap_used)] // what cannot go on in a test has failed it

#[path = "support/rsemu.rs"]
mod rsemu_machine;

use core_differential::compare::{differences, is_finished};
use core_differential::kinds::kinds;
use core_differential::layout::result;
use core_differential::machine::{NEEDED, run_each};
use core_differential::program::{Generator, Program};
use core_differential::report::{Counts, difference};
use core_differential::{Image, Machine, Ours, Outcome, Qemu};
use std::path::Path;

const SEED: u64 = 404;
/// Environment variable with the folder in which skipped tests leave a file with the reason.
const SKIPPED: &str = "BENCH_SKIPPED";

/// Where QEMU is not installed; the reason is counted and shown by `cargo xtask test`.
fn skipped(test: &str) -> bool {
    if Qemu::is_there() {
        return false;
    }
    println!("skipped: no {NEEDED}");
    if let Some(folder) = std::env::var_os(SKIPPED) {
        std::fs::write(Path::new(&folder).join(test), format!("no {NEEDED}")).unwrap();
    }
    true
}

fn programs(only: Option<&str>, count: u64) -> (Generator, Vec<Program>) {
    let generator = Generator::new(only).unwrap();
    let programs = (0..count).map(|number| generator.program(SEED, number)).collect();
    (generator, programs)
}

#[test]
fn every_kind_is_generated() {
    let (generator, programs) = programs(None, 6000);
    let mut counts = Counts::new(&generator.kinds);
    programs.iter().for_each(|program| counts.add(program));
    let rare: Vec<String> = generator
        .kinds
        .iter()
        .zip(&counts.units)
        .filter(|(kind, (all, conditional))| *all < 5 || kind.plain && *conditional == 0)
        .map(|(kind, (all, conditional))| format!("{}/{}: {all}, {conditional} in IT", kind.group, kind.name))
        .collect();
    assert!(rare.is_empty(), "{rare:?}\n{}", counts.table(&generator.kinds, true));
    // IT blocks of all lengths with all conditions.
    let mut seen = std::collections::BTreeSet::new();
    for unit in programs.iter().flat_map(|program| &program.units).filter(|unit| unit.conditional) {
        let block = unit.code.iter().find(|half| **half >> 8 == 0xBF && **half & 0xF != 0);
        seen.extend(block.map(|half| half & 0xFF));
    }
    // Fourteen conditions with fifteen patterns each, and AL with four, of which a few may be literals of setups.
    assert!(seen.len() >= 14 * 15 + 4, "{}", seen.len());
}

#[test]
fn names_are_unique() {
    let mut names: Vec<&str> = kinds().iter().map(|kind| kind.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn the_same_seed_gives_the_same_programs() {
    let (_, first) = programs(None, 50);
    let (_, second) = programs(None, 50);
    assert_eq!(first, second);
    assert_eq!(Image::new(&first).unwrap().code, Image::new(&second).unwrap().code);
}

#[test]
fn unknown_names_are_errors() {
    assert!(Generator::new(Some("nothing")).is_err());
    assert!(Generator::new(Some("vsub")).is_ok());
}

/// Without an instruction that faults no exception is taken: nothing is undefined, no address is wrong.
#[test]
fn qemu_runs_every_program_to_its_end() {
    if skipped("qemu_runs_every_program_to_its_end") {
        return;
    }
    let (_, programs) = programs(None, 1000);
    let outcomes = Qemu.run(&Image::new(&programs).unwrap()).unwrap();
    let mut exceptions = 0;
    for (program, outcome) in programs.iter().zip(&outcomes) {
        assert!(is_finished(outcome), "program {}", program.number);
        let count = outcome.word(result::FAULT_COUNT);
        if !program.units.iter().any(|unit| unit.faults) {
            assert_eq!(count, 0, "program {}: {:?}", program.number, program.units);
        }
        exceptions += count;
    }
    assert!(exceptions > 20, "{exceptions}");
}

/// Every program that `machine` fails on, alone or among others.
struct Fails {
    on: Vec<Program>,
}

impl Machine for Fails {
    fn name(&self) -> &'static str {
        "fails"
    }

    fn run(&mut self, image: &Image) -> Result<Vec<Outcome>, String> {
        let bad = self.on.iter().any(|bad| {
            let code: Vec<u8> = bad.units[0].code.iter().flat_map(|half| half.to_le_bytes()).collect();
            image.code.windows(code.len()).any(|window| window == code)
        });
        if bad { Err("hangs".to_owned()) } else { Ok(vec![Outcome::missing(); image.programs]) }
    }
}

#[test]
fn a_program_that_hangs_does_not_take_the_others_with_it() {
    let (_, programs) = programs(Some("memory"), 20);
    let bad = [3usize, 17];
    // Long enough to occur nowhere else.
    let mut programs = programs;
    for number in bad {
        programs[number].units[0].code = vec![0xBF00; 5 + number];
        programs[number].units[0].code.push(0xBF40);
        programs[number].units[0].align = None;
    }
    let mut machine = Fails { on: bad.iter().map(|number| programs[*number].clone()).collect() };
    let outcomes = run_each(&mut machine, &programs).unwrap();
    let failed: Vec<usize> = (0..20).filter(|number| outcomes[*number].is_err()).collect();
    assert_eq!(failed, [3, 17]);
    assert_eq!(differences(&outcomes[3], &outcomes[4])[0].what, "the run");
}

/// The core of our emulated chip agrees with QEMU in every kind of instruction.
#[test]
fn our_core_agrees() {
    if skipped("our_core_agrees") {
        return;
    }
    let (generator, programs) = programs(None, 600);
    let expected = run_each(&mut Qemu, &programs).unwrap();
    let found = run_each(&mut Ours, &programs).unwrap();
    for ((program, expected), found) in programs.iter().zip(&expected).zip(&found) {
        let fields = differences(expected, found);
        assert!(fields.is_empty(), "{}", difference(&generator.kinds, ["qemu", "ours"], program, &fields));
    }
}

mod rsemu {
    use super::rsemu_machine::Rsemu;
    use super::*;
    use core_differential::shrink::shrink;

    fn differing(only: &str, count: u64) -> (Generator, Vec<Program>) {
        let (generator, programs) = programs(Some(only), count);
        let expected = run_each(&mut Qemu, &programs).unwrap();
        let found = run_each(&mut Rsemu, &programs).unwrap();
        let differs = expected.iter().zip(&found).map(|(expected, found)| !differences(expected, found).is_empty());
        let differing =
            programs.iter().zip(differs).filter(|(_, differs)| *differs).map(|(program, _)| program.clone());
        (generator, differing.collect())
    }

    /// Two implementations of integers that were written apart agree. rsemu has no FPSCR.AHP, so programs that begin with it
    /// are left out.
    #[test]
    fn integers_agree() {
        if skipped("integers_agree") {
            return;
        }
        const AHP: u32 = 1 << 26;
        for group in ["narrow", "wide-data", "parallel", "multiply", "memory", "branch", "system"] {
            let (_, mut differing) = differing(group, 100);
            differing.retain(|program| program.state.fpscr & AHP == 0);
            assert!(differing.is_empty(), "{group}: {}", differing[0].number);
        }
    }

    /// VSUB of a NaN negates it there (ARM DDI 0403 has the NaN itself, quiet).
    #[test]
    fn a_known_fault_is_found_and_shrunk() {
        if skipped("a_known_fault_is_found_and_shrunk") {
            return;
        }
        let (generator, differing) = differing("vsub", 100);
        let small = differing.iter().flat_map(|program| shrink(&mut [&mut Qemu, &mut Rsemu], program).unwrap());
        let negated = small.into_iter().find_map(|small| {
            let programs = std::slice::from_ref(&small);
            let expected = run_each(&mut Qemu, programs).unwrap();
            let found = run_each(&mut Rsemu, programs).unwrap();
            let fields = differences(&expected[0], &found[0]);
            let is_single = fields.len() == 1 && fields[0].what.starts_with('s');
            is_single.then(|| (difference(&generator.kinds, ["qemu", "rsemu"], &small, &fields), small))
        });
        let (text, small) = negated.unwrap();
        assert_eq!(small.units.len(), 1, "{text}");
        assert!(text.contains("float/vsub"), "{text}");
        assert!(text.contains(" / "), "{text}");
    }
}
