//! `bench export`: many runs for other people's software.

use super::stats::FilterArgs;
use super::store::{Where, failed};
use super::{print, say};
use crate::cli::EXIT_ERROR;
use bench_engine::Failed;
use bench_journal::shown;
use bench_report::{ReportError, RunRecord, csv, json_line, junit, stdf};
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(after_help = "Example: bench export --lot 2026-48 --stdf lot.stdf --csv lot.csv")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    filter: FilterArgs,
    /// STDF V4.
    #[arg(long, value_name = "FILE")]
    stdf: Option<PathBuf>,
    /// All measurements as comma-separated values.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Whole records, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,
    /// JUnit, a suite for each run.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

fn bench(error: impl std::fmt::Display) -> Failed {
    Failed::Bench(miette::miette!("{error}"))
}

/// Reads the journals again: the store only lists them.
pub(crate) fn export(args: &ExportArgs) -> Result<u8, Failed> {
    let files = [&args.stdf, &args.csv, &args.jsonl, &args.junit];
    if files.iter().all(|file| file.is_none()) {
        return Err(Failed::Usage(miette::miette!("name at least one of --stdf, --csv, --jsonl, --junit")));
    }
    let store = args.place.open()?;
    let runs = store.runs(&args.filter.filter()).map_err(|error| failed(error, &args.place.reports))?;
    let mut records = Vec::with_capacity(runs.len());
    let mut refused = 0;
    for run in &runs {
        let journal = args.place.reports.join(&*run.path);
        match bench_journal::read(&journal) {
            Ok(read) => records.push(RunRecord::from_entries(&read.entries).with_seal(read.seal)),
            Err(error) => {
                refused += 1;
                say(&format!("{}: left out: {error}", shown(&journal)));
            }
        }
    }
    write(args.stdf.as_deref(), || Ok(stdf(&records)))?;
    write(args.csv.as_deref(), || csv(&records).map(String::into_bytes))?;
    write(args.junit.as_deref(), || junit(&records).map(String::into_bytes))?;
    write(args.jsonl.as_deref(), || {
        let lines: Result<Vec<String>, ReportError> = records.iter().map(json_line).collect();
        lines.map(|lines| lines.concat().into_bytes())
    })?;
    print(&format!("{} runs written, {refused} left out\n", records.len()));
    Ok(if refused == 0 { 0 } else { EXIT_ERROR })
}

fn write(file: Option<&Path>, make: impl FnOnce() -> Result<Vec<u8>, ReportError>) -> Result<(), Failed> {
    let Some(file) = file else { return Ok(()) };
    std::fs::write(file, make().map_err(bench)?).map_err(|error| bench(format!("{}: {error}", shown(file))))
}
