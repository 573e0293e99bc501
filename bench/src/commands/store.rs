//! `bench store`: the index over many runs, which can always be rebuilt.

use super::{print, say};
use crate::cli::EXIT_ERROR;
use bench_engine::Failed;
use bench_journal::shown;
use bench_store::{Filter, Ingested, Store, StoreError};
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
    /// Says what is in the store.
    Info(Where),
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
        Store::open(&self.file()).map_err(|error| failed(error, &self.reports))
    }
}

/// A store that is missing or old is the user's to make; one that cannot be read or written is the bench's trouble.
pub(crate) fn failed(error: StoreError, reports: &Path) -> Failed {
    let help = format!("make it from the journals: bench store rebuild --reports {}", shown(reports));
    match error {
        StoreError::Missing { .. } | StoreError::OtherVersion { .. } => {
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
    };
    let ingested = ingested.map_err(|error| failed(error, &place.reports))?;
    print_result(&ingested, began.elapsed().as_secs_f64());
    // A journal that cannot be read is in no figure: a person has to check it.
    Ok(if ingested.refused.is_empty() { 0 } else { EXIT_ERROR })
}

fn print_result(of: &Ingested, seconds: f64) {
    for (journal, why) in &of.refused {
        say(&format!("{}: refused: {why}", shown(journal)));
    }
    let read = of.new + of.replaced + of.doubles + of.refused.len();
    print(&format!(
        "{} new, {} replaced, {} unchanged, {} in two places, {} forgotten, {} refused; {read} journals read in \
         {seconds:.2} s, {:.0} a second\n",
        of.new,
        of.replaced,
        of.unchanged,
        of.doubles,
        of.forgotten,
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
