//! `bench report`: reports from a journal alone.

use super::{print, width};
use crate::cli::ReportArgs;
use bench_engine::Failed;
use bench_journal::shown;
use bench_report::{RunRecord, Style, csv, json, junit, stdf, summary, unit_page};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

fn bench(error: impl std::fmt::Display) -> Failed {
    Failed::Bench(miette::miette!("{error}"))
}

pub(crate) fn report(args: &ReportArgs) -> Result<u8, Failed> {
    let journal = find(&args.run)?;
    let run = bench_journal::read(&journal).map_err(|error| {
        Failed::Usage(miette::miette!(
            help = "name a journal.jsonl, the folder of a run, or the folder of a unit",
            "{}: {error}",
            shown(&journal)
        ))
    })?;
    let folder = journal.parent().map(shown).unwrap_or_default();
    let record = RunRecord::from_entries(&run.entries).with_run_folder(folder).with_seal(run.seal);
    if let Some(file) = &args.junit {
        let text = junit(std::slice::from_ref(&record)).map_err(bench)?;
        std::fs::write(file, text).map_err(|error| bench(format!("{}: {error}", shown(file))))?;
    }
    let write = |file: &PathBuf, bytes: &[u8]| {
        std::fs::write(file, bytes).map_err(|error| bench(format!("{}: {error}", shown(file))))
    };
    if let Some(file) = &args.html {
        write(file, unit_page(&record).as_bytes())?;
    }
    if let Some(file) = &args.stdf {
        write(file, &stdf(std::slice::from_ref(&record)))?;
    }
    if args.csv {
        print(&csv(std::slice::from_ref(&record)).map_err(bench)?);
    } else if args.json {
        print(&json(&record).map_err(bench)?);
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        print(&summary(&record, Style { colour, width: usize::from(width()).min(120) }));
    }
    Ok(record.verdict.exit_code())
}

/// The journal that is meant: the file, the one in a run's folder, or the newest in a unit's folder.
pub(super) fn find(run: &Path) -> Result<PathBuf, Failed> {
    if run.is_file() {
        return Ok(run.to_owned());
    }
    let own = run.join(bench_journal::JOURNAL_FILE);
    if own.is_file() {
        return Ok(own);
    }
    let serial = run.file_name().and_then(|name| name.to_str());
    let root = run.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match bench_journal::latest(root, serial).map_err(bench)? {
        Some(found) => Ok(found.journal),
        None => Err(Failed::Usage(miette::miette!(
            help = "name a journal.jsonl, the folder of a run, or the folder of a unit such as reports/P042AN0000DEMO1",
            "{} holds no run",
            shown(run)
        ))),
    }
}
