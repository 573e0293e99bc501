//! `bench coverage --bench-faults`: whom a plan blames for what is wrong with the bench.

use super::super::faults::{listed, listed_of_bench};
use super::super::{print, print_json};
use super::{Ended, FAULT_SEED, Runs, good_modules, write};
use crate::cli::{CoverageArgs, EXIT_ABORTED, EXIT_BELOW};
use bench_coverage::{BenchStudy, Blame, Module, Seeds, bench_orders, bench_page, bench_summary, glob};
use bench_engine::{Failed, Loaded};
use bench_journal::shown;
use std::time::Instant;
use virtual_bench::BenchFault;

pub(super) fn measure(runs: &Runs<'_>, args: &CoverageArgs) -> Result<u8, Failed> {
    let bench_faults = wanted(runs.loaded, &args.faults)?;
    let began = Instant::now();
    let Some(study) = runs.finished(study(runs, args, &bench_faults))? else { return Ok(EXIT_ABORTED) };
    if args.json {
        print_json(&study)?;
    } else {
        print(&bench_summary(&study, began.elapsed()));
    }
    write(args.html.as_deref(), || Ok(bench_page(&study)))?;
    let too_much = args.max_blamed.is_some_and(|most| {
        study.blamed_percent > most || study.blamed_without_reason > 0 || study.count(Blame::Silent) > 0
    });
    Ok(if too_much { EXIT_BELOW } else { 0 })
}

fn study(runs: &Runs<'_>, args: &CoverageArgs, bench_faults: &[BenchFault]) -> Result<BenchStudy, Ended> {
    let Some(family) = runs.loaded.family() else {
        return Err(Failed::Bench(miette::miette!("the plan's family got lost")).into());
    };
    let fixture = &runs.loaded.fixture;
    let (bad, orders) = bench_orders(bench_faults, &listed(runs.loaded), family, fixture);
    let plain = Module { gone: runs.gone.to_vec(), unchecked: args.trust.clone(), ..Module::default() };
    let alone =
        |fault: &virtual_bench::Fault| Module { seed: FAULT_SEED, faults: vec![fault.clone()], ..plain.clone() };
    let good = good_modules(args);
    let mut modules: Vec<Module> = bad.iter().map(alone).collect();
    let parts: Vec<Vec<Module>> = orders
        .iter()
        .map(|order| order.modules(good, &bad, Seeds { good: FAULT_SEED + 1, bad: FAULT_SEED }, &plain))
        .collect();
    modules.extend(parts.iter().flatten().cloned());
    runs.progress.more(modules.len());
    let done = runs.all(&modules)?;
    let (alone, mut rest) = done.split_at(bad.len());
    let mut results = Vec::with_capacity(orders.len());
    for (order, part) in orders.iter().zip(&parts) {
        let (these, others) = rest.split_at(part.len());
        rest = others;
        let (of_good, of_bad) = these.split_at(these.len() - order.bad.len());
        results.push(order.judge(of_good, of_bad, alone, &bad, family, fixture));
    }
    let plan = &runs.loaded.plan;
    let title = match &args.fixture {
        Some(fixture) => format!("{} on {fixture}", shown(&args.plan)),
        None => shown(&args.plan),
    };
    Ok(BenchStudy::of(title, plan.model.clone(), good, bad.len(), results))
}

fn wanted(loaded: &Loaded, patterns: &[String]) -> Result<Vec<BenchFault>, Failed> {
    let mut faults = listed_of_bench(loaded);
    let fits = |pattern: &String, fault: &BenchFault| glob::fits(pattern, &fault.to_string());
    if let Some(unknown) = patterns.iter().find(|pattern| !faults.iter().any(|fault| fits(pattern, fault))) {
        let help = "`bench faults PLAN --bench` lists them; `*` is any text, `?` one character";
        return Err(Failed::Usage(miette::miette!(help = help, "no fault of the bench fits `{unknown}`")));
    }
    faults.retain(|fault| patterns.is_empty() || patterns.iter().any(|pattern| fits(pattern, fault)));
    Ok(faults)
}
