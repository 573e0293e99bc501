//! `bench grr`: how much of what is measured is the bench.

use super::stats::FilterArgs;
use super::store::{Where, failed};
use super::{print, print_json};
use crate::cli::EXIT_USAGE;
use bench_engine::Failed;
use bench_run::Verdict;
use bench_stats::Acceptance;
use bench_store::{Appraiser, MeasurementGauge, Study, StudyPlan, study};
use clap::{Args, ValueEnum};
use std::fmt::Write as _;

/// A gauge is not acceptable.
const EXIT_NOT_ACCEPTABLE: u8 = Verdict::Fail.exit_code();

const AFTER: &str = "\
A study: give its runs a lot of their own (bench run --lot study-1), then ask what comes next until it is whole.

Exit codes:
  0  no gauge is worse than 30 % of the total variation
  1  at least row is
  3  runs are missing

Example: bench grr --lot study-1 --units 10 --seats 3 --trials 3";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct GrrArgs {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    filter: FilterArgs,
    /// Units, chosen over the whole range in which good ones lie.
    #[arg(long, default_value_t = 10, value_name = "N")]
    units: usize,
    /// How often each unit is seated; with --by nest or station, how many of them.
    #[arg(long, default_value_t = 3, value_name = "N")]
    seats: usize,
    /// Runs on each seat.
    #[arg(long, default_value_t = 3, value_name = "N")]
    trials: usize,
    /// What takes the place of the appraiser.
    #[arg(long, value_enum, default_value_t = ByArg::Seat)]
    by: ByArg,
    /// All measurements; otherwise those whose readings differ between units.
    #[arg(long)]
    all: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ByArg {
    Seat,
    Nest,
    Station,
}

pub(crate) fn grr(args: &GrrArgs) -> Result<u8, Failed> {
    let store = args.place.open()?;
    let by = match args.by {
        ByArg::Seat => Appraiser::Seat,
        ByArg::Nest => Appraiser::Nest,
        ByArg::Station => Appraiser::Station,
    };
    let plan = StudyPlan { units: args.units, appraisers: args.seats, trials: args.trials, by };
    if plan.units < 2 || plan.appraisers < 2 || plan.trials < 2 {
        return Err(Failed::Usage(miette::miette!("a study needs at least 2 units, 2 seats and 2 trials")));
    }
    match study(&store, &args.filter.filter(), plan).map_err(|error| failed(error, &args.place.reports))? {
        Study::Missing { next, units } if args.json => {
            print_json(&serde_json::json!({ "next": next, "units": units }))?;
            Ok(EXIT_USAGE)
        }
        Study::Missing { next, units } => {
            let mut text = format!("Not whole yet. Next: {next}.\n");
            for (serial, counts) in units {
                let counts: Vec<String> = counts.iter().map(|count| format!("{count}/{}", args.trials)).collect();
                let _ = writeln!(text, "  {serial}  {}", counts.join("  "));
            }
            print(&text);
            Ok(EXIT_USAGE)
        }
        Study::Done(gauges) => {
            if args.json {
                print_json(&gauges)?;
            } else {
                print(&table(&gauges, args.all));
            }
            let worse = |row: &MeasurementGauge| varies(row) && acceptance(row) == Some(Acceptance::NotAcceptable);
            Ok(if gauges.iter().any(worse) { EXIT_NOT_ACCEPTABLE } else { 0 })
        }
    }
}

fn acceptance(row: &MeasurementGauge) -> Option<Acceptance> {
    row.gauge.as_ref()?.acceptance
}

/// A code that is always the same says nothing about a gauge.
fn varies(row: &MeasurementGauge) -> bool {
    acceptance(row).is_some()
}

fn table(gauges: &[MeasurementGauge], all: bool) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:>7}  {:>7}  {:>4}  {:>12}  {:>12}  {:>12}  {:16}  measurement",
        "%GRR", "%tol", "ndc", "repeat", "reproduce", "units", ""
    );
    let mut left_out = 0;
    for row in gauges {
        let Some(gauge) = &row.gauge else {
            let problem = row.problem.as_deref().unwrap_or_default();
            let _ = writeln!(text, "{:>7}  {}/{}: {problem}", "-", row.step, row.name);
            continue;
        };
        if !varies(row) && !all {
            left_out += 1;
            continue;
        }
        let word = match gauge.acceptance {
            Some(Acceptance::Acceptable) => "acceptable",
            Some(Acceptance::Marginal) => "marginal",
            Some(Acceptance::NotAcceptable) => "NOT ACCEPTABLE",
            None => "no variation at this resolution",
        };
        let percent = |percent: Option<f64>| percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.1}"));
        let spread = |sd: f64| if sd > 0.0 { row.unit.show(sd) } else { "-".to_owned() };
        let _ = writeln!(
            text,
            "{:>7}  {:>7}  {:>4}  {:>12}  {:>12}  {:>12}  {word:16}  {}/{}",
            percent(gauge.grr_percent),
            percent(gauge.tolerance_percent),
            gauge.ndc.map_or_else(|| "-".to_owned(), |ndc| ndc.to_string()),
            spread(gauge.repeatability),
            spread(gauge.reproducibility),
            spread(gauge.part),
            row.step,
            row.name
        );
    }
    if left_out > 0 {
        let _ = writeln!(
            text,
            "{left_out} measurements without variation at their resolution are left out (--all shows them)."
        );
    }
    let _ =
        writeln!(text, "Acceptable below 10 % with ndc 5 or more, not acceptable above 30 % (AIAG MSA, 4th edition).");
    text
}
