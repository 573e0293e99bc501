//! Text of a difference, and of a whole run.

use crate::asm::is_wide;
use crate::compare::Difference;
use crate::kinds::{GROUPS, Kind};
use crate::program::Program;
use std::fmt::Write as _;

/// Describes a shrunk program completely.
pub fn difference(kinds: &[Kind], names: [&str; 2], program: &Program, differences: &[Difference]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |arguments: std::fmt::Arguments| {
        let _ = writeln!(text, "{arguments}");
    };
    line(format_args!("seed {} program {}: {} / {}", program.seed, program.number, names[0], names[1]));
    for unit in &program.units {
        let kind = kinds[unit.kind];
        let condition = if unit.conditional { " (IT)" } else { "" };
        line(format_args!(
            "  {:<40} {}",
            instructions(&unit.code),
            format_args!("{}/{}{condition}", kind.group, kind.name)
        ));
    }
    let state = &program.state;
    let mut set: Vec<String> = Vec::new();
    let mut add = |name: String, value: u32| {
        if value != 0 {
            set.push(format!("{name}={value:08x}"));
        }
    };
    for (number, value) in state.registers.into_iter().enumerate() {
        add(format!("r{number}"), value);
    }
    add("lr".to_owned(), state.lr);
    add("sp".to_owned(), state.sp);
    add("apsr".to_owned(), state.apsr);
    add("fpscr".to_owned(), state.fpscr);
    for (number, value) in state.singles.into_iter().enumerate() {
        add(format!("s{number}"), value);
    }
    let data = if state.window.iter().any(|word| *word != 0) { " and the data area" } else { "" };
    line(format_args!("  before: {}{data}", set.join(" ")));
    for difference in differences {
        line(format_args!("  {difference}"));
    }
    text
}

/// Halfwords, those of one instruction together.
fn instructions(code: &[u16]) -> String {
    let mut text = String::new();
    let mut second = false;
    for half in code {
        if !text.is_empty() && !second {
            text.push(' ');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{half:04x}");
        second = !second && is_wide(*half);
        if second {
            text.push('.');
        }
    }
    text
}

/// How often each kind was generated.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Units, and those in an IT block, by kind.
    pub units: Vec<(u64, u64)>,
    pub programs: u64,
}

impl Counts {
    pub fn new(kinds: &[Kind]) -> Counts {
        Counts { units: vec![(0, 0); kinds.len()], programs: 0 }
    }

    pub fn add(&mut self, program: &Program) {
        self.programs += 1;
        for unit in &program.units {
            let (all, conditional) = &mut self.units[unit.kind];
            *all += 1;
            *conditional += u64::from(unit.conditional);
        }
    }

    /// A line for each group, or for each kind.
    pub fn table(&self, kinds: &[Kind], each: bool) -> String {
        let mut text = format!("{:>10} {:>10}  kinds  group\n", "units", "in IT");
        for (group, _) in GROUPS {
            let of_group = || kinds.iter().zip(&self.units).filter(|(kind, _)| kind.group == group);
            let (all, conditional) =
                of_group().fold((0, 0), |(all, conditional), (_, count)| (all + count.0, conditional + count.1));
            let used = of_group().filter(|(_, count)| count.0 > 0).count();
            let _ = writeln!(text, "{all:>10} {conditional:>10} {used:>3}/{:<3} {group}", of_group().count());
            if each {
                for (kind, (all, conditional)) in of_group() {
                    let _ = writeln!(text, "{all:>10} {conditional:>10}          {}", kind.name);
                }
            }
        }
        text
    }
}
