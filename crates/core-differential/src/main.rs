//! Compares a core with QEMU on random programs.

use core_differential::compare::differences;
use core_differential::machine::{self, NEEDED, run_each};
use core_differential::program::{Generator, Program};
use core_differential::report::{Counts, difference};
use core_differential::shrink::shrink;
use core_differential::{Machine, Qemu};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: &str = "\
usage: core-differential [OPTIONS]

  --programs N   how many programs (10000)
  --seed N       which ones (1)
  --first N      the number of the first program (0)
  --group NAME   only this group of instructions, or this kind
  --machine NAME what is compared with QEMU (ours)
  --reports N    how many differences are made small and shown (10)
  --kinds        counts each kind instead of each group
";

/// Programs in one image.
const AT_ONCE: u64 = 1000;
/// Differences that are shrunk for each one shown: among many, the next probably resembles one already shown.
const LOOKED_AT: usize = 10;
/// Nor longer than this; each takes QEMU dozens of starts.
const LOOKING: Duration = Duration::from_secs(60);

struct Options {
    programs: u64,
    seed: u64,
    first: u64,
    group: Option<String>,
    machine: String,
    reports: usize,
    kinds: bool,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("core-differential: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("core-differential: {error}");
            ExitCode::from(2)
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        programs: 10_000,
        seed: 1,
        first: 0,
        group: None,
        machine: "ours".to_owned(),
        reports: 10,
        kinds: false,
    };
    while let Some(argument) = arguments.next() {
        if matches!(argument.as_str(), "--help" | "-h") {
            return Ok(None);
        }
        if argument == "--kinds" {
            options.kinds = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value, or is unknown"))?;
        let number = || value.parse().map_err(|_| format!("{argument}: {value} is no number"));
        match argument.as_str() {
            "--programs" => options.programs = number()?,
            "--seed" => options.seed = number()?,
            "--first" => options.first = number()?,
            "--group" => options.group = Some(value),
            "--machine" => options.machine = value,
            "--reports" => options.reports = number()? as usize,
            _ => return Err(format!("unknown option {argument}")),
        }
    }
    Ok(Some(options))
}

/// Returns how many programs differ.
fn run(options: &Options) -> Result<u64, String> {
    if !Qemu::is_there() {
        return Err(format!("no {NEEDED}"));
    }
    let generator = Generator::new(options.group.as_deref())?;
    let begin = Instant::now();
    let mut other = machine::by_name(&options.machine)?;
    let mut counts = Counts::new(&generator.kinds);
    let mut differing: Vec<Program> = Vec::new();
    let mut different = 0;
    let end = options.first + options.programs;
    let mut at = options.first;
    while at < end {
        let next = end.min(at + AT_ONCE);
        let programs: Vec<Program> = (at..next).map(|number| generator.program(options.seed, number)).collect();
        at = next;
        programs.iter().for_each(|program| counts.add(program));
        let (expected, found) = std::thread::scope(|scope| {
            let expected = scope.spawn(|| run_each(&mut Qemu, &programs));
            let found = run_each(&mut *other, &programs);
            (expected.join().unwrap_or_else(|_| Err("the thread of QEMU panicked".to_owned())), found)
        });
        for ((program, expected), found) in programs.iter().zip(expected?).zip(found?) {
            if !differences(&expected, &found).is_empty() {
                different += 1;
                if differing.len() < options.reports * LOOKED_AT {
                    differing.push(program.clone());
                }
            }
        }
    }
    let took = begin.elapsed().as_secs_f64();
    show(options, &generator, &mut *other, &differing)?;
    print!("{}", counts.table(&generator.kinds, options.kinds));
    println!(
        "{} programs in {took:.1} s, {:.0} a second; {different} differ",
        counts.programs,
        counts.programs as f64 / took
    );
    Ok(different)
}

/// Shrinks differences until there are enough distinct ones.
fn show(
    options: &Options,
    generator: &Generator,
    other: &mut dyn Machine,
    differing: &[Program],
) -> Result<(), String> {
    let begin = Instant::now();
    let mut seen: BTreeSet<(Vec<usize>, BTreeSet<String>)> = BTreeSet::new();
    for program in differing {
        if seen.len() >= options.reports || begin.elapsed() > LOOKING {
            break;
        }
        let name = other.name();
        for small in shrink(&mut [&mut Qemu, other], program)? {
            let single = std::slice::from_ref(&small);
            let expected = run_each(&mut Qemu, single)?;
            let found = run_each(other, single)?;
            let fields = differences(&expected[0], &found[0]);
            // Two differences are alike if the same kinds differ in the same sort of field.
            let sorts: BTreeSet<String> = fields.iter().map(|field| sort(&field.what)).collect();
            let kinds: Vec<usize> = small.units.iter().map(|unit| unit.kind).collect();
            if seen.len() < options.reports && seen.insert((kinds, sorts)) {
                println!("{}", difference(&generator.kinds, ["qemu", name], &small, &fields));
            }
        }
    }
    Ok(())
}

/// A field without the number of its register, or its address.
fn sort(field: &str) -> String {
    if field.starts_with('[') { "memory".to_owned() } else { field.trim_end_matches(char::is_numeric).to_owned() }
}
