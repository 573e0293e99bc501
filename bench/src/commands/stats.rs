//! `bench stats`: a question to many runs.

use super::store::{Where, failed};
use super::{print, print_json, write_report};
use bench_engine::Failed;
use bench_report::{line_page, line_text};
use bench_store::{By, Filter, Question, overview};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Measurements whose distribution a page shows unasked.
const WORST_ON_PAGE: usize = 8;

#[derive(Debug, Args)]
#[command(after_help = "Example: bench stats --model b404x --from 2026-11-01 --by day,station --html line.html")]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub place: Where,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Groups runs by day, model, plan, station, nest or lot; several with commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    by: Vec<ByArg>,
    /// Shows how the values of a measurement lie, and how they move in time, for example supply/3V3.volts; may be repeated.
    #[arg(long = "measurement", value_name = "STEP/NAME")]
    measurements: Vec<String>,
    /// Capability over all judged runs; otherwise over those that passed, so that a broken module does not hide how good
    /// ones lie.
    #[arg(long)]
    all_runs: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Writes a page for a browser, one file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Which runs.
#[derive(Debug, Args, Clone)]
pub(crate) struct FilterArgs {
    /// Name of the plan.
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    #[arg(long, value_name = "NAME")]
    station: Option<String>,
    #[arg(long, value_name = "NAME")]
    nest: Option<String>,
    #[arg(long, value_name = "NAME")]
    lot: Option<String>,
    /// First day, such as 2026-11-22.
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<String>,
    /// Last day.
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<String>,
}

impl FilterArgs {
    pub(crate) fn filter(&self) -> Filter {
        Filter {
            plan: self.plan.clone(),
            model: self.model.clone(),
            station: self.station.clone(),
            nest: self.nest.clone(),
            lot: self.lot.clone(),
            serial: None,
            from: self.from.clone(),
            to: self.to.clone(),
        }
    }
}

/// Days are compared as text: anything else would silently let through the wrong ones.
fn day(text: &str) -> Result<String, String> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if shape == "0000-00-00" { Ok(text.to_owned()) } else { Err("expected a day such as 2026-11-22".to_owned()) }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ByArg {
    Day,
    Model,
    Plan,
    Station,
    Nest,
    Lot,
}

pub(crate) fn stats(args: &StatsArgs) -> Result<u8, Failed> {
    let store = args.place.open()?;
    let by = args.by.iter().map(|by| match by {
        ByArg::Day => By::Day,
        ByArg::Model => By::Model,
        ByArg::Plan => By::Plan,
        ByArg::Station => By::Station,
        ByArg::Nest => By::Nest,
        ByArg::Lot => By::Lot,
    });
    let question = Question {
        filter: args.filter.filter(),
        by: by.collect(),
        details: args.measurements.clone(),
        worst: if args.html.is_some() { WORST_ON_PAGE } else { 0 },
        all_runs: args.all_runs,
    };
    let answer = overview(&store, &question).map_err(|error| failed(error, &args.place.reports))?;
    for name in &args.measurements {
        if answer.measurements.iter().all(|row| *name != format!("{}/{}", row.step, row.name)) {
            let help = "names are those of the journal: step, slash, measurement, such as supply/3V3.volts";
            return Err(Failed::Usage(miette::miette!(help = help, "no run has a measurement {name}")));
        }
    }
    if let Some(file) = &args.html {
        write_report(file, line_page(&answer).as_bytes())?;
    }
    if args.json {
        print_json(&answer)?;
    } else {
        print(&line_text(&answer));
    }
    Ok(0)
}
