//! `bench limits suggest`: limits from what good units measured, as a patch to the plan.

use super::print;
use super::stats::FilterArgs;
use super::store::{Where, failed};
use crate::cli::EXIT_USAGE;
use crate::limits_patch::{self, Wanted};
use bench_engine::{Failed, Loaded, Project};
use bench_stats::{FEWEST, suggest};
use bench_steps::Kinds;
use bench_store::{Appraiser, Filter, Study, StudyPlan, good_units, study};
use clap::{Args, Subcommand};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct LimitsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Prints limits that good units would keep, as tables to be pasted into the plan.
    #[command(after_help = "Example: bench limits suggest plans/b404x.toml --from 2026-11-01 --gauge study-1")]
    Suggest(SuggestArgs),
}

#[derive(Debug, Args)]
struct SuggestArgs {
    /// The plan.
    #[arg(value_name = "PLAN")]
    file: PathBuf,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    filter: FilterArgs,
    /// Lot of a gauge study: its error is kept away from the plan's limits (guard band of twice its standard deviation).
    #[arg(long, value_name = "LOT")]
    gauge: Option<String>,
    /// Units of that study.
    #[arg(long, default_value_t = 10, value_name = "N")]
    units: usize,
    /// Seats of each of its units.
    #[arg(long, default_value_t = 3, value_name = "N")]
    seats: usize,
    /// Runs on each seat.
    #[arg(long, default_value_t = 3, value_name = "N")]
    trials: usize,
}

pub(crate) fn limits(root: Option<&Path>, args: &LimitsArgs) -> Result<u8, Failed> {
    let What::Suggest(args) = &args.what;
    let loaded = Project::find(root, Some(&args.file)).load(&args.file, &Kinds::default())?;
    let store = args.place.open()?;
    let wrong = |error| failed(error, &args.place.reports);
    let filter = Filter { plan: Some(loaded.plan.name.clone()), ..args.filter.filter() };
    let gauge_sd = match &args.gauge {
        Some(lot) => {
            let (units, appraisers, trials) = (args.units, args.seats, args.trials);
            let plan = StudyPlan { units, appraisers, trials, by: Appraiser::Seat };
            let of_study = Filter { plan: filter.plan.clone(), lot: Some(lot.clone()), ..Filter::default() };
            match study(&store, &of_study, plan).map_err(wrong)? {
                Study::Done(gauges) => gauges
                    .into_iter()
                    .filter_map(|row| Some(((row.step, row.name), row.gauge?.grr)))
                    .collect::<HashMap<_, _>>(),
                Study::Missing { next, .. } => {
                    return Err(Failed::Usage(miette::miette!("the study {lot} is not whole: {next}")));
                }
            }
        }
        None => HashMap::new(),
    };
    let good = good_units(&store, &filter).map_err(wrong)?;
    let most = good.iter().map(|row| row.values.len() as u64).max().unwrap_or(0);
    if most < FEWEST {
        return Err(Failed::Usage(miette::miette!(
            help = "test more good units of this plan, or ask over more days",
            "limits need {FEWEST} good units of plan {}; there are {most}",
            loaded.plan.name
        )));
    }
    let wanted: Vec<Wanted> = good
        .into_iter()
        .filter_map(|row| {
            let planned = planned(&loaded, &row.step, &row.name)?;
            let sd = gauge_sd.get(&(row.step.clone(), row.name.clone())).copied();
            let suggestion = suggest(&row.values, &planned, sd);
            Some(Wanted::new(row, planned, suggestion))
        })
        .collect();
    let patch = limits_patch::patch(&loaded, &wanted);
    print(&patch.text);
    Ok(if patch.tables == 0 { EXIT_USAGE } else { 0 })
}

/// Limits of a measurement as the plan has them now.
fn planned(loaded: &Loaded, step: &str, name: &str) -> Option<bench_run::Limits> {
    let step = loaded.plan.steps.iter().find(|planned| planned.step.id == step)?;
    step.step.measurements.iter().find(|spec| spec.name == name).map(|spec| spec.limits)
}
