//! Shrinks a program that differs.

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

/// Programs with as few units of this one as still differ, and with zeros in every part of their state that does not matter.
/// There is one for each unit that differs alone, as each may have a cause of its own.
pub fn shrink(machines: &mut [&mut dyn Machine; 2], program: &Program) -> Result<Vec<Program>, String> {
    let mut found = Vec::new();
    let mut rest = program.clone();
    let nothing = Program { units: Vec::new(), ..program.clone() };
    if differing(machines, std::slice::from_ref(&nothing))?[0] {
        // The state alone differs, which would hide everything else. Only FPSCR has modes that a machine may not have.
        found.push(clear_state(machines, nothing)?);
        rest.state.fpscr = 0;
        if !differing(machines, std::slice::from_ref(&rest))?[0] {
            return Ok(found);
        }
    }
    let single = rest.units.iter().map(|unit| Program { units: vec![unit.clone()], ..rest.clone() });
    let alone: Vec<Program> = single.collect();
    let differs = differing(machines, &alone)?;
    let causes: Vec<Program> =
        alone.into_iter().zip(differs).filter(|(_, differs)| *differs).map(|(one, _)| one).collect();
    if causes.is_empty() {
        let small = drop_units(machines, rest)?;
        found.push(clear_state(machines, small)?);
    }
    for cause in causes {
        found.push(clear_state(machines, cause)?);
    }
    Ok(found)
}

/// Leaves out one unit after the other.
fn drop_units(machines: &mut [&mut dyn Machine; 2], program: Program) -> Result<Program, String> {
    let mut small = program;
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
    Ok(small)
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
