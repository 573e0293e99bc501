//! `bench coverage --sweep`: how small a defect may be and still be seen.

use super::super::{print, print_json};
use super::{Ended, FAULT_SEED, Runs, good_modules, wanted};
use crate::cli::{CoverageArgs, EXIT_ABORTED};
use bench_coverage::{Seen, Sweep, Sweeping, sized_kinds, sweep_table};
use bench_engine::Failed;

pub(super) fn measure(runs: &Runs<'_>, args: &CoverageArgs) -> Result<u8, Failed> {
    let sweeps = sweeps(runs, args)?;
    let Some(seen) = runs.finished(sweep(runs, args, &sweeps))? else { return Ok(EXIT_ABORTED) };
    if args.json {
        print_json(&seen)?;
    } else {
        print(&sweep_table(&seen));
    }
    Ok(0)
}

fn sweep(runs: &Runs<'_>, args: &CoverageArgs, sweeps: &[Sweep]) -> Result<Vec<Seen>, Ended> {
    let seeds = (0..good_modules(args)).map(|n| FAULT_SEED + n).collect();
    let mut sweeping = Sweeping::new(sweeps, seeds, runs.gone.to_vec());
    loop {
        let modules = sweeping.next_round();
        if modules.is_empty() {
            return Ok(sweeping.seen());
        }
        runs.progress.more(modules.len());
        sweeping.learn(&runs.all(&modules)?);
    }
}

/// One for each place that is meant, whatever sizes are listed of it.
fn sweeps(runs: &Runs<'_>, args: &CoverageArgs) -> Result<Vec<Sweep>, Failed> {
    let mut sweeps: Vec<Sweep> = Vec::new();
    for fault in wanted(runs.loaded, &args.sweep)? {
        if let Some(sweep) = Sweep::of(&fault)
            && !sweeps.iter().any(|known| known.place == sweep.place)
        {
            sweeps.push(sweep);
        }
    }
    if sweeps.is_empty() {
        let help = format!("kinds with a size: {}", sized_kinds().join(", "));
        return Err(Failed::Usage(miette::miette!(help = help, "--sweep: these faults have no size")));
    }
    Ok(sweeps)
}
