//! `bench store`: the index over many runs, which can always be rebuilt.

use super::{print, print_json, say};
use crate::cli::EXIT_ERROR;
use bench_engine::Failed;
use bench_journal::shown;
use bench_store::{Alarm, Filter, Ingested, Ledger, Store, StoreError, ledger_of};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Debug, Args)]
#[command(after_help = "Example: bench store rebuild --reports /mnt/line-1/reports")]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Rebuilds the store from all journals. The old one is used until the new one is complete.
    Rebuild(Where),
    /// Adds journals that are new or grew, and forgets those that are gone.
    Add(Where),
    /// Shows what is in the store.
    Info(Where),
    /// Lists finished runs that were changed or removed, until somebody acknowledges them.
    #[command(after_help = ALARMS)]
    Alarms(AlarmArgs),
}

const ALARMS: &str = "\
Exit codes:
  0  there is no alarm that nobody has acknowledged
  2  there is one

Examples:
  bench store alarms
  bench store alarms --acknowledge P042AN0000DEMO1 --by ann --because \"moved to the archive\"";

#[derive(Debug, Args, Clone)]
struct AlarmArgs {
    #[command(flatten)]
    place: Where,
    /// Acknowledges the alarms of this run: its path, run id, serial number or seal, or `all`.
    #[arg(long, value_name = "RUN", requires = "by", requires = "because")]
    acknowledge: Option<String>,
    /// Name of the person who has looked into it.
    #[arg(long, value_name = "NAME", requires = "acknowledge", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    by: Option<String>,
    /// Why the journal was changed or removed.
    #[arg(long, value_name = "TEXT", requires = "acknowledge", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    because: Option<String>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Which store.
#[derive(Debug, Args, Clone)]
pub(crate) struct Where {
    /// Where runs leave their files.
    #[arg(long, default_value = "reports", value_name = "FOLDER")]
    pub reports: PathBuf,
    /// The store [default: `store.sqlite` in the folder of reports].
    #[arg(long, value_name = "FILE")]
    pub store: Option<PathBuf>,
}

impl Where {
    pub(crate) fn file(&self) -> PathBuf {
        self.store.clone().unwrap_or_else(|| bench_store::default_store(&self.reports))
    }

    pub(crate) fn open(&self) -> Result<Store, Failed> {
        let wrong = |error| failed(error, &self.reports);
        let store = Store::open(&self.file()).map_err(wrong)?;
        let ledger = ledger_of(&self.file());
        if ledger.is_file() {
            say_alarms(&Ledger::open(&ledger).and_then(|ledger| ledger.alarms()).map_err(wrong)?);
        }
        Ok(store)
    }
}

/// A store that is missing or old is the user's to make; one that cannot be read or written is the bench's trouble.
pub(crate) fn failed(error: StoreError, reports: &Path) -> Failed {
    let help = format!("make it from the journals: bench store rebuild --reports {}", shown(reports));
    match error {
        StoreError::Missing { .. } | StoreError::Empty { .. } | StoreError::OtherVersion { .. } => {
            Failed::Usage(miette::miette!(help = help, "{error}"))
        }
        StoreError::Io { ref source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Failed::Usage(miette::miette!("{error}"))
        }
        error => Failed::Bench(miette::miette!(help = help, "{error}")),
    }
}

pub(crate) fn store(args: &StoreArgs) -> Result<u8, Failed> {
    let began = Instant::now();
    let (ingested, place) = match &args.what {
        What::Rebuild(place) => (bench_store::rebuild(&place.reports, &place.file()), place),
        What::Add(place) => (bench_store::add(&place.reports, &place.file()), place),
        What::Info(place) => return info(place),
        What::Alarms(args) => return alarms(args),
    };
    let ingested = ingested.map_err(|error| failed(error, &place.reports))?;
    print_result(&ingested, began.elapsed().as_secs_f64());
    // A journal that cannot be read is in no figure: a person has to check it.
    Ok(if ingested.refused.is_empty() && ingested.alarms.is_empty() { 0 } else { EXIT_ERROR })
}

/// Alarms that are listed one by one.
const MOST_ALARMS: usize = 10;

/// Says which finished runs are not what they were. Every command that reads the store does, until somebody
/// acknowledges it.
pub(crate) fn say_alarms(alarms: &[Alarm]) {
    if alarms.is_empty() {
        return;
    }
    say(&format!("ALARM: {} finished runs were changed or removed:", alarms.len()));
    alarms.iter().take(MOST_ALARMS).for_each(|alarm| say(&format!("  {alarm}")));
    if alarms.len() > MOST_ALARMS {
        say(&format!("  and {} more", alarms.len() - MOST_ALARMS));
    }
    say("  find out why, then: bench store alarms --acknowledge RUN --by NAME --because TEXT");
}

fn alarms(args: &AlarmArgs) -> Result<u8, Failed> {
    let wrong = |error| failed(error, &args.place.reports);
    let ledger = Ledger::open(&ledger_of(&args.place.file())).map_err(wrong)?;
    if let (Some(which), Some(by), Some(because)) = (&args.acknowledge, &args.by, &args.because) {
        let one = Some(which.as_str()).filter(|which| *which != "all");
        let count = ledger.acknowledge(one, by, because).map_err(wrong)?;
        if count == 0 {
            let help = "bench store alarms lists them";
            return Err(Failed::Usage(miette::miette!(help = help, "no open alarm is about {which}")));
        }
        say(&format!("{count} alarms acknowledged by {by}"));
    }
    let open = ledger.alarms().map_err(wrong)?;
    if args.json {
        print_json(&open)?;
    } else if open.is_empty() {
        print("No open alarm.\n");
    } else {
        open.iter().for_each(|alarm| print(&format!("{alarm}\n")));
    }
    Ok(if open.is_empty() { 0 } else { EXIT_ERROR })
}

fn print_result(of: &Ingested, seconds: f64) {
    for (journal, why) in &of.refused {
        say(&format!("{}: refused: {why}", shown(journal)));
    }
    for journal in &of.empty {
        say(&format!("{}: empty: the power failed before the run began; no unit was tested", shown(journal)));
    }
    if of.diagnoses > 0 {
        say(&format!("not counted, because they are diagnoses and no tests: {}", of.diagnoses));
    }
    if of.replays > 0 {
        say(&format!("{} replays of recorded runs are not counted", of.replays));
    }
    say_alarms(&of.alarms);
    let read = of.new + of.replaced + of.doubles + of.refused.len();
    print(&format!(
        "{} new, {} replaced, {} unchanged, {} in two places, {} forgotten, {} empty, {} refused; {read} journals read in \
         {seconds:.2} s, {:.0} a second\n",
        of.new,
        of.replaced,
        of.unchanged,
        of.doubles,
        of.forgotten,
        of.empty.len(),
        of.refused.len(),
        read as f64 / seconds.max(1e-9)
    ));
}

fn info(place: &Where) -> Result<u8, Failed> {
    let store = place.open()?;
    let runs = store.runs(&Filter::default()).map_err(|error| failed(error, &place.reports))?;
    let mut days: Vec<_> = runs.iter().filter_map(|run| run.day.clone()).collect();
    days.sort();
    let span = match (days.first(), days.last()) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "without dates".to_owned(),
    };
    print(&format!("{}: {} runs, {span}\n", shown(&place.file()), runs.len()));
    Ok(0)
}
