//! `bench report`: reports from a journal alone.

use super::{print, width, write_report};
use crate::cli::ReportArgs;
use bench_engine::Failed;
use bench_journal::{Finding, is_folder_of, shown};
use bench_report::{Style, csv, json, junit, stdf, summary, unit_page};
use bench_store::examine_file;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

fn bench(error: impl std::fmt::Display) -> Failed {
    Failed::Bench(miette::miette!("{error}"))
}

pub(crate) fn report(args: &ReportArgs) -> Result<u8, Failed> {
    let journal = find(&args.run)?;
    let examined = examine_file(&journal);
    let Some(record) = examined.record else {
        let help = "name a journal.jsonl, the folder of a run, or the folder of a unit";
        let reason = examined.judgement.reasons.join("; ");
        let problem = miette::miette!(help = help, "{}: {reason}", shown(&journal));
        // A file that is no journal is a wrong argument; a journal that does not hold is not.
        return Err(match examined.judgement.finding {
            Finding::DoesNotHold => Failed::Bench(problem),
            Finding::Holds | Finding::CannotTell => Failed::Usage(problem),
        });
    };
    if let Some(file) = &args.junit {
        let text = junit(std::slice::from_ref(&record)).map_err(bench)?;
        write_report(file, text.as_bytes())?;
    }
    if let Some(file) = &args.html {
        write_report(file, unit_page(&record).as_bytes())?;
    }
    if let Some(file) = &args.stdf {
        if record.diagnosis_run.is_some() {
            let help = "STDF has no word for it, and what reads such files counts every part in them";
            return Err(Failed::Usage(miette::miette!(help = help, "--stdf: this run is a diagnosis, not a test")));
        }
        write_report(file, &stdf(std::slice::from_ref(&record)))?;
    }
    if args.csv {
        print(&csv(std::slice::from_ref(&record)).map_err(bench)?);
    } else if args.json {
        print(&json(&record).map_err(bench)?);
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        print(&summary(&record, Style { colour, width: usize::from(width()).min(120) }));
    }
    Ok(super::diagnosis::exit_code(record.verdict, &record))
}

/// Where runs are recorded unless another folder is named.
const REPORTS: &str = "reports";

/// The folders that a path means: itself, or if it is missing, those of the unit that it names, here or in `reports`.
pub(super) fn unit_folders(path: &Path) -> Vec<PathBuf> {
    let serial = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let above = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if path.exists() || serial.is_empty() {
        return vec![path.to_owned()];
    }
    let folders = |root: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        let of_unit = |path: &PathBuf| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| is_folder_of(name, serial))
        };
        entries.map(|entry| entry.path()).filter(of_unit).collect()
    };
    let mut found = folders(above.unwrap_or(Path::new(".")));
    if found.is_empty() && above.is_none() {
        found = folders(Path::new(REPORTS));
    }
    if found.is_empty() { vec![path.to_owned()] } else { found }
}

/// The journal that is meant: the file, the one in a run's folder, or the newest in a unit's folder. A serial number alone
/// is a unit's folder here or in `reports`.
pub(super) fn find(run: &Path) -> Result<PathBuf, Failed> {
    if run.exists() && !run.is_dir() {
        return Ok(run.to_owned());
    }
    let own = run.join(bench_journal::JOURNAL_FILE);
    if own.is_file() {
        return Ok(own);
    }
    let serial = run.file_name().and_then(|name| name.to_str());
    let root = run.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let bare = run.components().count() == 1 && serial.is_some();
    let mut found = bench_journal::latest(root, serial).map_err(bench)?;
    if found.is_none() && bare {
        found = bench_journal::latest(Path::new(REPORTS), serial).map_err(bench)?;
    }
    match found {
        Some(found) => Ok(found.journal),
        None => Err(Failed::Usage(miette::miette!(
            help = "name a journal.jsonl, the folder of a run, or the folder of a unit such as reports/P042AN0000DEMO1",
            "{} holds no run",
            shown(run)
        ))),
    }
}
