//! `bench replay`: the recorded answers of a run, for today's steps.

use super::print;
use super::report::find;
use super::run::left_out_by_hand;
use crate::cli::{EXIT_BELOW, EXIT_ERROR};
use bench_engine::{DiagnosisOrder, Done, Failed, Loaded, OneRun, Project};
use bench_instruments::{Backup, Image};
use bench_journal::{JOURNAL_FILE, read_regular, shown};
use bench_replay::{
    ANSWERS_FILE, Calls, Comparison, Player, ReplayBackend, Tape, TapeError, compare, stop_as_recorded, stopped, unpack,
};
use bench_report::RunRecord;
use bench_run::{BenchTime, Provenance, Verdict};
use bench_steps::{Kinds, Nest, Safekeeping};
use bench_store::{Examined, examine, examine_file};
use clap::Args;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

const AFTER: &str = "\
`bench run --record-answers` makes the recording. The replay is recorded as a run of its own; no statistics count it.

Exit codes:
  0  the unit and every step have the same verdicts as in the run
  1  a verdict differs
  2  the steps asked something that the recording does not answer, or the recording is damaged
  3  the plan, another file or the arguments are wrong

Example: bench replay reports/P042AN0000DEMO1";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct ReplayArgs {
    /// A run with recorded answers: its folder, its journal, a unit's folder (then its latest run), or an archive of
    /// `bench bug-report`.
    pub run: PathBuf,
    /// The plan [default: the one of this project with the name in the record].
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// The fixture [default: the one in the record].
    #[arg(long, value_name = "NAME")]
    pub fixture: Option<String>,
    /// Folder for the record of the replay.
    #[arg(long, default_value = "reports", value_name = "FOLDER")]
    pub reports: PathBuf,
    /// Prints nothing but errors.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Calls of one step that are listed one by one.
const MOST_CALLS: usize = 5;
/// Readings that are listed one by one.
const MOST_READINGS: usize = 20;

/// Largest archive of a report, bytes.
const LARGEST_ARCHIVE: u64 = 256 * 1024 * 1024;

/// A run with its recording.
struct Recorded {
    record: RunRecord,
    provenance: Provenance,
    tape: Tape,
    /// When somebody stopped it, and why.
    stopped: Option<(BenchTime, String)>,
}

pub(crate) fn replay(root: Option<&Path>, args: &ReplayArgs) -> Result<u8, Failed> {
    let Recorded { record, provenance, tape, stopped } = recorded(&args.run)?;
    let project = Project::find(root, args.plan.as_deref());
    let mut loaded = plan_of(&project, args.plan.as_deref(), args.fixture.as_deref(), &provenance)?;
    let left_out = record.notes.iter().filter_map(|note| left_out_by_hand(&note.text));
    loaded.plan.take_out(&left_out.map(str::to_owned).collect::<Vec<_>>());
    let diagnosis = match &record.diagnosis_run {
        Some(run) => Some(DiagnosisOrder::of_recorded(run).narrow(&mut loaded.plan)?),
        None => None,
    };
    let (firmware, now) = firmware(&loaded, &provenance)?;
    let imei = tape.imei().map(str::to_owned);
    let may_erase_locked = tape.may_erase_locked();
    // What was on the module is not recorded, so nothing may look as if it could be written back.
    let without_backup = |nest: Nest, _: &Path| {
        let store = |_: &Backup| Ok("a file of the recorded run".to_owned());
        Nest { safekeeping: Rc::new(Safekeeping::new(Arc::new(store))), ..nest }
    };
    let backend = ReplayBackend::new(tape, &record.run_id);
    let stop = stop_as_recorded(&backend, stopped);
    let done = OneRun {
        loaded: &loaded,
        firmware,
        provenance: now,
        serial: &record.serial,
        lot: None,
        imei: imei.as_deref(),
        reports: &args.reports,
        key: None,
        notes: &loaded.left_out_notes(),
        wrap: Some(&without_backup),
        may_erase_locked,
        diagnosis: diagnosis.as_ref(),
        hold_ends: None,
        answers: None,
    }
    .run(&backend, Vec::new(), || Ok(stop))?;
    let player = backend.player().ok_or_else(|| Failed::bench("nothing was played"))?;
    let comparison = compare(&record, &done.record);
    if !args.quiet {
        print(&summary(&record, &done, &comparison, player));
    }
    Ok(match (player.missing().is_empty(), comparison.same_verdicts()) {
        (false, _) => EXIT_ERROR,
        (true, false) => EXIT_BELOW,
        (true, true) => 0,
    })
}

/// The journal and the recording of a run: from its folder, or from the archive of a report.
fn recorded(run: &Path) -> Result<Recorded, Failed> {
    let (examined, tape, journal) = if is_archive(run) { from_archive(run)? } else { from_folder(run)? };
    let reasons = || examined.judgement.reasons.join("; ");
    let Some(record) = examined.record.clone() else {
        return Err(Failed::Usage(miette::miette!("{}: {}", shown(&journal), reasons())));
    };
    let Some(provenance) = record.provenance.clone() else {
        return Err(Failed::Usage(miette::miette!("{}: the record does not say which plan ran", shown(&journal))));
    };
    let help = "only `bench run --record-answers` records what the instruments answered";
    let tape = tape.map_err(|error| match error {
        TapeError::Unreadable { .. } => Failed::Usage(miette::miette!(help = help, "{error}")),
        error => Failed::Bench(miette::miette!("{error}")),
    })?;
    let entries = examined.judgement.contents.map(|run| run.entries).unwrap_or_default();
    Ok(Recorded { stopped: stopped(&entries), record, provenance, tape })
}

type Read = (Examined, Result<Tape, TapeError>, PathBuf);

fn is_archive(run: &Path) -> bool {
    run.is_file() && run.extension().is_some_and(|extension| extension == "gz")
}

fn from_folder(run: &Path) -> Result<Read, Failed> {
    let journal = find(run)?;
    Ok((examine_file(&journal), Tape::read(&journal.with_file_name(ANSWERS_FILE)), journal))
}

fn from_archive(path: &Path) -> Result<Read, Failed> {
    let help = "name an archive that `bench bug-report` made";
    let wrong = |error: String| Failed::Usage(miette::miette!(help = help, "{}: {error}", shown(path)));
    let bytes = read_regular(path, LARGEST_ARCHIVE).map_err(|error| wrong(error.reason.to_string()))?;
    let files = unpack(&bytes).map_err(|error| wrong(error.to_string()))?;
    let of_run = |name: &str| {
        let end = format!("/run/{name}");
        files.iter().find(|(path, _)| path.ends_with(&end)).map(|(_, bytes)| bytes.as_slice())
    };
    let journal = of_run(JOURNAL_FILE).ok_or_else(|| wrong("it holds no run".to_owned()))?;
    let within = path.join(ANSWERS_FILE);
    let absent = || TapeError::Unreadable { path: within.clone(), error: std::io::ErrorKind::NotFound.into() };
    let tape = of_run(ANSWERS_FILE).map_or_else(|| Err(absent()), |bytes| Tape::read_bytes(bytes, &within));
    Ok((examine(journal), tape, path.to_owned()))
}

/// Today's plan of this name, on today's fixture.
pub(super) fn plan_of(
    project: &Project,
    plan: Option<&Path>,
    fixture: Option<&str>,
    then: &Provenance,
) -> Result<Loaded, Failed> {
    let named = || project.root().join("plans").join(format!("{}.toml", then.plan));
    let path = plan.map_or_else(named, Path::to_owned);
    if plan.is_none() && !path.is_file() {
        let help = "name it with --plan";
        return Err(Failed::Usage(miette::miette!(help = help, "this project has no plan {}", shown(&path))));
    }
    Ok(project.load_on(&path, Some(fixture.unwrap_or(&then.fixture)), &Kinds::default())?)
}

/// The firmware is not executed, so that a replay needs no image of it. Without one, the replay has that of the record.
fn firmware(loaded: &Loaded, then: &Provenance) -> Result<(Rc<Image>, Provenance), Failed> {
    match bench_engine::read_firmware(&loaded.firmware_path) {
        Ok(bytes) => Ok((bench_virtual::image(loaded, &bytes)?, loaded.provenance(&bytes))),
        Err(_) => {
            let image = Image { name: loaded.firmware_name(), segments: Vec::new() };
            let firmware_sha256 = then.firmware_sha256.clone();
            Ok((Rc::new(image), Provenance { firmware_sha256, ..loaded.provenance(&[]) }))
        }
    }
}

fn word(verdict: Option<Verdict>) -> &'static str {
    verdict.map_or("not run", Verdict::as_str)
}

fn summary(record: &RunRecord, done: &Done, comparison: &Comparison, player: &Player) -> String {
    let mut text = format!("Replay of run {} of {}", record.run_id, record.serial);
    if let Some(folder) = &done.record.run_folder {
        let _ = write!(text, ", recorded in {folder}");
    }
    text.push('\n');
    verdicts(&mut text, record, &done.record, comparison);
    let (missing, unused) = (player.missing(), player.unused());
    if !missing.is_empty() {
        text.push_str("Not in the recording:\n");
        for (step, calls) in &missing {
            let unread = without_reading(&done.record, step);
            let readings = match unread.len() {
                0 => "all of its readings were taken".to_owned(),
                count => {
                    format!("{} missing: {}", counted(count, "reading is", "readings are"), listed(&unread, MOST_CALLS))
                }
            };
            let calls_made = counted(calls.values().sum(), "call", "calls");
            let _ = writeln!(text, "  step {step}: {calls_made}; {readings}");
            list_calls(&mut text, calls);
        }
    }
    if !unused.is_empty() {
        text.push_str("Recorded, and no longer asked for:\n");
        let ran = |step: &String| done.record.steps.iter().any(|of| of.id == *step && of.was_started());
        for (step, calls) in unused.iter().filter(|(step, _)| ran(step)) {
            let _ = writeln!(text, "  step {step}: {}", counted(calls.values().sum(), "answer", "answers"));
            list_calls(&mut text, calls);
        }
        let answers: Vec<usize> =
            unused.iter().filter(|(step, _)| !ran(step)).map(|(_, calls)| calls.values().sum()).collect();
        if !answers.is_empty() {
            let (sum, steps) = (counted(answers.iter().sum(), "answer", "answers"), answers.len());
            let _ = writeln!(text, "  {sum} of {} did not run", counted(steps, "step that", "steps that"));
        }
    }
    text
}

fn verdicts(text: &mut String, record: &RunRecord, now: &RunRecord, comparison: &Comparison) {
    let verdict = now.verdict;
    let _ = match comparison.same_verdicts() {
        true => write!(text, "Same verdicts: {verdict}; "),
        false => write!(text, "The verdict was {}, is {verdict}; ", record.verdict),
    };
    let _ = writeln!(text, "{} readings equal, {} differ.", comparison.equal, comparison.readings.len());
    for change in &comparison.verdicts {
        if let Some(step) = &change.step {
            let _ = writeln!(text, "  step {step} was {}, is {}", word(change.before), word(change.now));
        }
    }
    for change in comparison.readings.iter().take(MOST_READINGS) {
        let _ = writeln!(text, "  {} was {}, is {}", change.name, change.before, change.now);
    }
    more(text, "  ", comparison.readings.len(), MOST_READINGS);
    for (what, names) in [("now", &comparison.only_before), ("in the run", &comparison.only_now)] {
        if !names.is_empty() {
            let _ = writeln!(text, "  not read {what}: {}", listed(names, MOST_READINGS));
        }
    }
    if let Some(reason) = &now.reason {
        let _ = writeln!(text, "  {reason}");
    }
}

/// What the step promised and did not deliver.
fn without_reading(record: &RunRecord, step: &str) -> Vec<String> {
    let Some(step) = record.steps.iter().find(|of| of.id == step) else { return Vec::new() };
    let taken = step.last().map(|attempt| attempt.measurements.as_slice()).unwrap_or_default();
    let is_taken = |name: &str| taken.iter().any(|taken| taken.measurement.name == name);
    step.specs.iter().filter(|spec| !is_taken(&spec.name)).map(|spec| spec.name.clone()).collect()
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

fn listed(names: &[String], most: usize) -> String {
    let mut text = names.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > most {
        let _ = write!(text, " and {} more", names.len() - most);
    }
    text
}

fn more(text: &mut String, indent: &str, count: usize, most: usize) {
    if count > most {
        let _ = writeln!(text, "{indent}and {} more", count - most);
    }
}

fn list_calls(text: &mut String, calls: &Calls) {
    for (call, times) in calls.iter().take(MOST_CALLS) {
        let times = if *times == 1 { String::new() } else { format!(", {times} times") };
        let _ = writeln!(text, "    {call}{times}");
    }
    more(text, "    ", calls.len(), MOST_CALLS);
}
