//! `bench coverage`: what a plan finds of everything that can be wrong.

use super::faults::listed;
use super::print;
use crate::cli::{CoverageArgs, Failed};
use crate::coverage::{FaultResult, Module, Naming, Run, Work, judge, summary};
use crate::{Project, files};
use bench_run::{Contact, Verdict};
use bench_steps::Kinds;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Seed of every faulty module: the one that `bench run` takes when none is given.
const FAULT_SEED: u64 = 1;

#[derive(Serialize)]
struct Report<'a> {
    plan: &'a Path,
    faults: usize,
    detected: usize,
    named: usize,
    undetectable: usize,
    good: usize,
    false_fails: usize,
    faults_per_minute: f64,
    per_fault: &'a [FaultResult],
    per_contact: Vec<PerContact>,
    per_step: Vec<PerStep>,
    good_modules_that_failed: Vec<&'a (u64, Run)>,
}

#[derive(Serialize)]
struct PerContact {
    contact: Contact,
    faults: usize,
    detected: usize,
    named: usize,
}

#[derive(Serialize)]
struct PerStep {
    step: String,
    /// Faults that this step was the first to find.
    first: usize,
    /// Faults that no other step found in the same run. Steps that a failure kept from running might have.
    alone: usize,
}

pub(crate) fn coverage(root: Option<&Path>, args: &CoverageArgs) -> Result<u8, Failed> {
    let loaded = Project::find(root, Some(&args.plan)).load(&args.plan, &Kinds::default())?;
    let Some(family) = loaded.family() else { return Ok(0) };
    let firmware = files::read_firmware(args.firmware.as_deref().unwrap_or(&loaded.firmware_path))?;
    let wanted = |fault: &virtual_bench::Fault| {
        args.faults.as_deref().is_none_or(|pattern| matches(pattern, &fault.to_string()))
    };
    let faults: Vec<_> = listed(&loaded).into_iter().filter(wanted).collect();
    if let Some(pattern) = args.faults.as_deref().filter(|_| faults.is_empty()) {
        let help = "`bench faults PLAN` lists them; `*` stands for any text and `?` for one character";
        return Err(Failed::Usage(miette::miette!(help = help, "no fault fits `{pattern}`")));
    }
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));

    let provenance = loaded.provenance(&firmware);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let work = Work { root, plan: &args.plan, firmware: &firmware, provenance: &provenance, jobs, stop: &stop };
    let bar = ProgressBar::new((faults.len() + args.good as usize) as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {per_sec}  {eta} left") {
        bar.set_style(style);
    }
    let began = Instant::now();
    let modules: Vec<Module> =
        faults.iter().map(|fault| Module { seed: FAULT_SEED, faults: vec![fault.clone()], ..Default::default() }).collect();
    let faulty = work.run(&modules, &|| bar.inc(1));
    let faults_took = began.elapsed();
    // Seed 1 is the faulty modules'.
    let seeds: Vec<u64> = (0..args.good).map(|n| FAULT_SEED + 1 + n).collect();
    let modules: Vec<Module> = seeds.iter().map(|seed| Module { seed: *seed, ..Default::default() }).collect();
    let good = if faulty.is_ok() { work.run(&modules, &|| bar.inc(1)) } else { Ok(None) };
    bar.finish_and_clear();
    let results: Vec<FaultResult> =
        faults.iter().zip(faulty?.unwrap_or_default()).map(|(fault, run)| judge(fault, run, family, &loaded.fixture)).collect();
    let good: Vec<(u64, Run)> = seeds.into_iter().zip(good?.unwrap_or_default()).collect();

    print(&summary(&results, &good, faults_took, began.elapsed()));
    if let Some(path) = &args.json {
        let report = report(&args.plan, &results, &good, faults_took.as_secs_f64());
        let text = serde_json::to_string_pretty(&report)
            .map_err(|error| Failed::Bench(miette::miette!("the report cannot be written: {error}")))?;
        std::fs::write(path, text + "\n")
            .map_err(|error| Failed::Usage(miette::miette!("{}: {error}", path.display())))?;
    }
    Ok(0)
}

fn report<'a>(plan: &'a Path, results: &'a [FaultResult], good: &'a [(u64, Run)], seconds: f64) -> Report<'a> {
    let (mut contacts, mut steps) = (BTreeMap::new(), BTreeMap::new());
    for result in results {
        let found = result.naming != Naming::Missed;
        for contact in &result.contacts {
            let row =
                contacts.entry(*contact).or_insert(PerContact { contact: *contact, faults: 0, detected: 0, named: 0 });
            row.faults += 1;
            row.detected += usize::from(found);
            row.named += usize::from(result.naming == Naming::Named);
        }
        if let Some(first) = result.run.steps.first() {
            let row = steps.entry(first.clone()).or_insert(PerStep { step: first.clone(), first: 0, alone: 0 });
            row.first += 1;
            row.alone += usize::from(result.run.steps.len() == 1);
        }
    }
    let failed: Vec<_> = good.iter().filter(|(_, run)| run.verdict != Verdict::Pass).collect();
    Report {
        plan,
        faults: results.len(),
        detected: results.iter().filter(|result| result.naming != Naming::Missed).count(),
        named: results.iter().filter(|result| result.naming == Naming::Named).count(),
        undetectable: results.iter().filter(|result| result.undetectable.is_some()).count(),
        good: good.len(),
        false_fails: failed.len(),
        faults_per_minute: results.len() as f64 / seconds.max(1e-9) * 60.0,
        per_fault: results,
        per_contact: contacts.into_values().collect(),
        per_step: steps.into_values().collect(),
        good_modules_that_failed: failed,
    }
}

/// Whether `pattern`, with `*` for any text and `?` for one character, fits all of `text`.
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let tails = text.char_indices().map(|(at, _)| &text[at..]).chain([""]);
            tails.into_iter().any(|tail| matches(rest.as_str(), tail))
        }
        Some(wanted) => {
            let mut left = text.chars();
            left.next().is_some_and(|found| wanted == '?' || wanted == found) && matches(rest.as_str(), left.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn globs() {
        for (pattern, text, fits) in [
            ("open:*", "open:23", true),
            ("open:2?", "open:23", true),
            ("open:2?", "open:2", false),
            ("*", "", true),
            ("*-38*", "short:36-38@100", true),
            ("short:*@100", "short:36-38", false),
            ("open", "open:1", false),
        ] {
            assert_eq!(super::matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
