//! A damaged family file results in a family or in a diagnostic, never in a panic.

mod dut_common;

use bench_plan::{DutFamily, Source};
use dut_common::report;
use proptest::prelude::*;

const SMALL: &str = include_str!("data/small-family.toml");

/// Pieces that mean something in TOML or to the checks.
const PIECES: [&str; 16] = [
    "",
    "\"",
    "[",
    "]",
    "{",
    "=",
    "\n",
    "\u{e4}",
    "0",
    "255",
    "-1",
    "1e999",
    "nan",
    "[[contact]]\n",
    "\"P1.99\"",
    "0xFFFF_FFFF",
];

proptest! {
    #[test]
    fn a_cut_and_a_piece_in_its_place(
        at in any::<prop::sample::Index>(), length in 0_usize..40, piece in prop::sample::select(&PIECES[..])
    ) {
        let start = at.index(SMALL.len());
        let end = (start + length).min(SMALL.len());
        let text = format!("{}{piece}{}", &SMALL[..start], &SMALL[end..]); // the file is ASCII
        check(text)?;
    }

    #[test]
    fn one_value_replaced_by_a_number(line in any::<prop::sample::Index>(), value in any::<i64>()) {
        let mut lines: Vec<String> = SMALL.lines().map(str::to_owned).collect();
        let index = line.index(lines.len());
        if let Some((key, _)) = lines[index].split_once(" = ") {
            lines[index] = format!("{key} = {value}");
        }
        check(lines.join("\n"))?;
    }
}

fn check(text: String) -> Result<(), TestCaseError> {
    if let Err(problem) = DutFamily::parse(&Source::new("toy.toml", text.as_str())) {
        let shown = report(&problem); // asserts that the place is within the text
        prop_assert!(shown.contains("toy.toml") || problem.span.is_none(), "{}", shown);
    }
    Ok(())
}
