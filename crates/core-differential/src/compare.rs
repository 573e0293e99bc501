//! Comparison of two outcomes of a program.

use crate::image::Outcome;
use crate::layout::{DATA, FAULT_WORDS, FAULTS, WINDOW_WORDS, result};
use std::fmt;

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub what: String,
    pub values: [String; 2],
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<14} {} / {}", self.what, self.values[0], self.values[1])
    }
}

const SPECIAL: [&str; 8] = ["xpsr", "sp", "fpscr", "primask", "basepri", "faultmask", "control", "psp"];
const FAULT: [&str; FAULT_WORDS as usize] =
    ["exception", "exc_return", "cfsr", "hfsr", "mmfar", "bfar", "r0", "r1", "r2", "r3", "r12", "lr", "pc", "xpsr"];
const CFSR: u32 = 2;
const MMFAR: u32 = 4;
const BFAR: u32 = 5;
/// Bits of CFSR which say that the addresses are valid.
const MMARVALID: u32 = 1 << 7;
const BFARVALID: u32 = 1 << 15;

/// The fields that differ, in the order of the registers. A machine that failed has one field, its error.
pub fn differences(first: &Result<Outcome, String>, second: &Result<Outcome, String>) -> Vec<Difference> {
    match (first, second) {
        (Ok(first), Ok(second)) => fields(first, second),
        _ => {
            let text = |outcome: &Result<Outcome, String>| match outcome {
                Ok(_) => "finished".to_owned(),
                Err(error) => error.clone(),
            };
            vec![Difference { what: "the run".to_owned(), values: [text(first), text(second)] }]
        }
    }
}

fn fields(first: &Outcome, second: &Outcome) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut look = |what: &dyn Fn() -> String, index: u32, mask: u32| {
        let (a, b) = (first.word(index) & mask, second.word(index) & mask);
        if a != b {
            differences.push(Difference { what: what(), values: [a, b].map(|word| format!("{word:08x}")) });
        }
    };
    const ALL: u32 = u32::MAX;
    look(&|| "finished".to_owned(), result::MARKER, ALL);
    look(&|| "r0".to_owned(), result::R0, ALL);
    for index in 0..13 {
        let name = || if index == 12 { "lr".to_owned() } else { format!("r{}", index + 1) };
        look(&name, result::R1 + index, ALL);
    }
    for (name, index) in SPECIAL.into_iter().zip(result::XPSR..) {
        look(&|| name.to_owned(), index, ALL);
    }
    for index in 0..32 {
        look(&|| format!("s{index}"), result::SINGLES + index, ALL);
    }
    for index in 0..WINDOW_WORDS {
        look(&|| format!("[{:08x}]", DATA + 4 * index), result::WINDOW + index, ALL);
    }
    look(&|| "exceptions".to_owned(), result::FAULT_COUNT, ALL);
    let faults = first.word(result::FAULT_COUNT).min(second.word(result::FAULT_COUNT)).min(FAULTS);
    for fault in 0..faults {
        let base = result::FAULT + fault * FAULT_WORDS;
        let status = first.word(base + CFSR) & second.word(base + CFSR);
        for (name, index) in FAULT.into_iter().zip(0..) {
            // An address that is not marked as valid is UNKNOWN.
            let known = match index {
                MMFAR => status & MMARVALID != 0,
                BFAR => status & BFARVALID != 0,
                _ => true,
            };
            if known {
                look(&|| format!("exception {}: {name}", fault + 1), base + index, ALL);
            }
        }
    }
    differences
}

/// Whether the program came to its end.
pub fn is_finished(outcome: &Outcome) -> bool {
    outcome.word(result::MARKER) == result::DONE
}
