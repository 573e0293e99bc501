//! `bench export`: many runs for other people's software.

use super::stats::FilterArgs;
use super::store::{Where, failed};
use super::{print, say};
use crate::cli::EXIT_ERROR;
use bench_engine::Failed;
use bench_journal::{shown, write_whole};
use bench_report::{
    CsvDialect, CsvWriter, JunitWriter, ParquetWriter, ReportError, RunRecord, StdfGroup, StdfScan, StdfWriter,
    json_line,
};
use bench_store::{RunRow, examine_file};
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(after_help = "Example: bench export --lot 2026-48 --stdf lot.stdf --csv lot.csv")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    filter: FilterArgs,
    /// STDF V4. A file speaks of one model, plan, station and lot: several get a file each, with these in its name.
    #[arg(long, value_name = "FILE")]
    stdf: Option<PathBuf>,
    /// All measurements as comma-separated values.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// How CSV is written: `plain` (comma, decimal point) or `german` (semicolon, decimal comma, for a German Excel).
    #[arg(long, value_enum, default_value_t = DialectArg::Plain, requires = "csv")]
    csv_dialect: DialectArg,
    /// All measurements as Parquet, with types, for data analysis.
    #[arg(long, value_name = "FILE")]
    parquet: Option<PathBuf>,
    /// Whole records, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,
    /// JUnit, a suite for each run.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DialectArg {
    Plain,
    German,
}

fn bench(error: impl std::fmt::Display) -> Failed {
    Failed::Bench(miette::miette!("{error}"))
}

/// The runs to export. Each is read from its journal when it is needed, so memory holds one record at a time.
struct Runs<'a> {
    reports: &'a Path,
    rows: Vec<RunRow>,
}

impl Runs<'_> {
    /// Passes every run, in the true order. Each was usable before: one that is not was changed meanwhile.
    fn each<E: From<io::Error>>(&self, mut see: impl FnMut(&RunRecord) -> Result<(), E>) -> Result<(), E> {
        for row in &self.rows {
            let journal = self.reports.join(&*row.path);
            let changed = |reason| io::Error::other(format!("{} changed during the export: {reason}", shown(&journal)));
            see(&examine_file(&journal).usable().map_err(changed)?)?;
        }
        Ok(())
    }
}

/// The runs of one STDF file.
struct Group<'a> {
    scan: StdfScan,
    runs: Runs<'a>,
}

/// Reads the journals again: the store only lists them.
pub(crate) fn export(args: &ExportArgs) -> Result<u8, Failed> {
    let files = [&args.stdf, &args.csv, &args.parquet, &args.jsonl, &args.junit];
    if files.iter().all(|file| file.is_none()) {
        return Err(Failed::Usage(miette::miette!("name at least one of --stdf, --csv, --parquet, --jsonl, --junit")));
    }
    let store = args.place.open()?;
    let rows = store.runs(&args.filter.filter()).map_err(|error| failed(error, &args.place.reports))?;
    let reports = args.place.reports.as_path();
    let mut runs = Runs { reports, rows: Vec::with_capacity(rows.len()) };
    let mut groups: BTreeMap<StdfGroup, Group<'_>> = BTreeMap::new();
    let mut refused = 0;
    for row in rows {
        let journal = args.place.reports.join(&*row.path);
        match examine_file(&journal).usable() {
            Ok(record) => {
                if args.stdf.is_some() {
                    let new = || Group { scan: StdfScan::default(), runs: Runs { reports, rows: Vec::new() } };
                    let group = groups.entry(StdfGroup::of(&record)).or_insert_with(new);
                    group.scan.run(&record);
                    group.runs.rows.push(row.clone());
                }
                runs.rows.push(row);
            }
            Err(reason) => {
                refused += 1;
                say(&format!("{}: left out: {reason}", shown(&journal)));
            }
        }
    }
    if let Some(file) = &args.csv {
        let dialect = match args.csv_dialect {
            DialectArg::Plain => CsvDialect::Plain,
            DialectArg::German => CsvDialect::German,
        };
        write(file, |to| {
            let mut csv = CsvWriter::new(to, dialect)?;
            runs.each(|record| csv.run(record))?;
            csv.finish().map(drop)
        })?;
    }
    if let Some(file) = &args.parquet {
        write(file, |to| {
            let mut parquet = ParquetWriter::new(to)?;
            runs.each(|record| parquet.run(record).map_err(ReportError::from))?;
            Ok(parquet.finish().map(drop)?)
        })?;
    }
    if let Some(file) = &args.junit {
        write(file, |to| {
            let mut junit = JunitWriter::new(to)?;
            runs.each(|record| junit.run(record))?;
            junit.finish().map(drop)
        })?;
    }
    if let Some(file) = &args.jsonl {
        write(file, |to| runs.each(|record| Ok(to.write_all(json_line(record)?.as_bytes())?)))?;
    }
    if let Some(file) = &args.stdf {
        stdf(file, &groups)?;
    }
    print(&format!("{} runs written, {refused} left out\n", runs.rows.len()));
    Ok(if refused == 0 { 0 } else { EXIT_ERROR })
}

/// Writes a file for each group; the only one has the name as given.
fn stdf(file: &Path, groups: &BTreeMap<StdfGroup, Group<'_>>) -> Result<(), Failed> {
    if groups.is_empty() {
        return write(file, |to| Ok(StdfWriter::new(to, &StdfScan::default())?.finish().map(drop)?));
    }
    for (group, Group { scan, runs }) in groups {
        let path = if groups.len() == 1 { file.to_owned() } else { named(file, group, groups) };
        write(&path, |to| {
            let mut writer = StdfWriter::new(to, scan)?;
            runs.each(|record| writer.run(record))?;
            Ok(writer.finish().map(drop)?)
        })?;
        if groups.len() > 1 {
            print(&format!("{}\n", shown(&path)));
        }
    }
    Ok(())
}

/// "lot.b404x-line_1-2026_48.stdf"; with the beginning of the plan's hash where only the plan differs.
fn named(file: &Path, group: &StdfGroup, all: &BTreeMap<StdfGroup, Group<'_>>) -> PathBuf {
    let parts = |of: &StdfGroup| {
        let lot = of.lot.as_deref().unwrap_or("no-lot");
        [of.model.as_str(), &of.station, lot].map(bench_journal::safe_name).join("-")
    };
    let mut name = parts(group);
    if all.keys().filter(|other| parts(other) == name).count() > 1 {
        let hash: String = group.plan_sha256.chars().take(8).collect();
        name.push_str(&format!("-{}-{hash}", bench_journal::safe_name(&group.plan)));
    }
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let extension = file.extension().map(|of| of.to_string_lossy().into_owned()).unwrap_or_else(|| "stdf".to_owned());
    file.with_file_name(format!("{stem}.{name}.{extension}"))
}

fn write(file: &Path, make: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), ReportError>) -> Result<(), Failed> {
    let made = write_whole(file, |to| {
        make(to).map_err(|error| match error {
            ReportError::Io(error) => error,
            error => io::Error::other(error.to_string()),
        })
    });
    made.map_err(|error| bench(format!("{}: {error}", shown(file))))
}
