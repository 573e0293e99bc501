//! Makes a program that differs small.

use crate::compare::differences;
use crate::machine::{Machine, run_each};
use crate::program::Program;

/// Which of these programs differ.
fn differing(machines: &mut [&mut dyn Machine; 2], programs: &[Program]) -> Result<Vec<bool>, String> {
    let [first, second] = machines;
    let first = run_each(*first, programs)?;
    let second = run_each(*second, programs)?;
    Ok(first.iter().zip(&second).map(|(first, second)| !differences(first, second).is_empty()).collect())
}

/// The same program with as few units as still differ, and with zeros in every part of its state that does not matter.
pub fn shrink(machines: &mut [&mut dyn Machine; 2], program: &Program) -> Result<Program, String> {
    let mut small = program.clone();
    // The state alone may differ already, and one unit is enough for most.
    let nothing = [Program { units: Vec::new(), ..small.clone() }];
    let single = small.units.iter().map(|unit| Program { units: vec![unit.clone()], ..small.clone() });
    let alone: Vec<Program> = nothing.into_iter().chain(single).collect();
    if let Some(found) = differing(machines, &alone)?.iter().position(|differs| *differs) {
        small = alone[found].clone();
    }
    while small.units.len() > 1 {
        let without: Vec<Program> = (0..small.units.len())
            .map(|index| {
                let mut program = small.clone();
                program.units.remove(index);
                program
            })
            .collect();
        match differing(machines, &without)?.iter().position(|differs| *differs) {
            Some(found) => small = without[found].clone(),
            None => break,
        }
    }
    clear_state(machines, small)
}

fn clear_state(machines: &mut [&mut dyn Machine; 2], program: Program) -> Result<Program, String> {
    let mut small = program;
    let all: Vec<usize> = (0..PARTS).collect();
    // All at once first, then each alone, then those together that can go alone, one after the other if need be.
    let mut nothing = small.clone();
    all.iter().for_each(|part| clear(&mut nothing, *part));
    let alone: Vec<Program> = all
        .iter()
        .map(|part| {
            let mut program = small.clone();
            clear(&mut program, *part);
            program
        })
        .chain([nothing.clone()])
        .collect();
    let differs = differing(machines, &alone)?;
    if differs[PARTS] {
        return Ok(nothing);
    }
    let can_go: Vec<usize> = all.into_iter().filter(|part| differs[*part]).collect();
    // Prefixes of that list: the longest that still differs.
    let prefixes: Vec<Program> = (1..=can_go.len())
        .map(|length| {
            let mut program = small.clone();
            can_go[..length].iter().for_each(|part| clear(&mut program, *part));
            program
        })
        .collect();
    let differs = differing(machines, &prefixes)?;
    if let Some(longest) = differs.iter().rposition(|differs| *differs) {
        small = prefixes[longest].clone();
    }
    Ok(small)
}

/// r0 to r12, lr, APSR, FPSCR, s0 to s31, the window.
const PARTS: usize = 13 + 3 + 32 + 1;

fn clear(program: &mut Program, part: usize) {
    let state = &mut program.state;
    match part {
        0..=12 => state.registers[part] = 0,
        13 => state.lr = 0,
        14 => state.apsr = 0,
        15 => state.fpscr = 0,
        16..=47 => state.singles[part - 16] = 0,
        _ => state.window.iter_mut().for_each(|word| *word = 0),
    }
}
