//! A run that is recorded as a station records it: on the disk, with its answers, in a store.

use crate::event::Kind;
use crate::rule::Rule;
use crate::run::{Told, record};
use crate::stage::Stage;
use bench_engine::{Backend, Done, Failed, OneRun, Outcome, Stop};
use bench_instruments::Backup;
use bench_journal::{JOURNAL_FILE, LARGEST_JOURNAL, journals_in, read_regular};
use bench_replay::{ANSWERS_FILE, Recording, ReplayBackend, Tape, VerdictChange, compare, stop_as_recorded, stopped};
use bench_report::{RunRecord, junit};
use bench_run::{Entry, Measurement, Verdict};
use bench_steps::{Nest, Safekeeping};
use bench_store::{Filter, Store, add, default_store, examine_file};
use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// Runs it, and compares everything that is made of its record.
///
/// # Errors
/// When the folder cannot be made.
pub(crate) fn run(stage: &Stage<'_>, stop: Stop) -> Result<Told, Failed> {
    let reports = tempfile::tempdir().map_err(Failed::bench)?;
    let recording: RefCell<Option<Rc<Recording>>> = RefCell::default();
    let wrap = |nest: Nest, folder: &Path| match Recording::begin(nest.clone(), folder) {
        Ok((begun, nest)) => {
            recording.replace(Some(begun));
            nest
        }
        Err(error) => {
            stage.object(Rule::Replay, format!("not recorded: {error}"));
            nest
        }
    };
    let done = one_run(stage, reports.path(), Some(&wrap)).run(stage, stage.observers(), || Ok(stop));
    let recorded = recording.take().map(|recording| recording.finish(&stage.doubts()));
    let journals = journals_in(reports.path()).map_err(Failed::bench)?;
    let bytes = journals.first().map(|journal| read_regular(journal, LARGEST_JOURNAL));
    let bytes = bytes.transpose().map_err(|error| Failed::bench(error.reason))?;
    let done = match done {
        Ok(done) => done,
        Err(_) => {
            // Killed, dropped or not started: there is a record of what was, or none.
            if let Some(bytes) = &bytes {
                record(stage, bytes, None);
            }
            return Ok(Told { outcome: None, entries: Vec::new() });
        }
    };
    let outcome = Outcome { verdict: done.verdict, reason: done.record.reason.clone() };
    record(stage, &bytes.unwrap_or_default(), Some(&outcome));
    let entries = done.recorder.entries();
    if let Err(text) = reports_agree(&done, reports.path()) {
        stage.object(Rule::Reports, text);
    }
    // A panic of the bench's own is no answer of an instrument, and has no place in a recording.
    let is_unlike = stage.scenario.events.iter().any(|event| match event.kind {
        Kind::Panic | Kind::ObserverPanic => true,
        // Known: the replay of a run in which the watchdog cut the power may miss the cut.
        Kind::Stall => event.span_us >= WATCHDOG_US,
        _ => false,
    });
    if let Some(Err(error)) = recorded {
        stage.object(Rule::Replay, format!("the recording has no end: {error}"));
    } else if !is_unlike && let Err(text) = replay_agrees(stage, &done, &entries) {
        stage.object(Rule::Replay, text);
    }
    Ok(Told { outcome: Some(outcome), entries })
}

fn one_run<'a>(stage: &'a Stage<'_>, reports: &'a Path, wrap: Option<bench_engine::NestWrap<'a>>) -> OneRun<'a> {
    OneRun {
        loaded: &stage.case.loaded,
        firmware: Rc::clone(&stage.case.image),
        provenance: stage.case.provenance.clone(),
        serial: &stage.serial,
        lot: None,
        imei: None,
        reports,
        key: None,
        notes: &[],
        wrap,
        may_erase_locked: false,
        diagnosis: None,
        hold_ends: None,
        answers: None,
    }
}

/// JUnit and store, made of the record on the disk, say what the run said.
fn reports_agree(done: &Done, reports: &Path) -> Result<(), String> {
    let folder = done.recorder.folder();
    let examined = examine_file(&folder.join(JOURNAL_FILE));
    let record: RunRecord = examined.record.ok_or("the journal cannot be read")?;
    if record.verdict != done.verdict {
        return Err(format!("{} shown, {} in the record from the disk", done.verdict, record.verdict));
    }
    let from_disk = junit(std::slice::from_ref(&record)).map_err(|error| error.to_string())?;
    let written = fs::read_to_string(folder.join("junit.xml")).map_err(|error| format!("junit.xml: {error}"))?;
    if written != done.junit || written != from_disk {
        return Err("junit.xml differs from the one that the journal on the disk gives".to_owned());
    }
    let is_green = !["<failure", "<error"].iter().any(|tag| written.contains(tag));
    if is_green != (done.verdict == Verdict::Pass) {
        return Err(format!(
            "junit.xml is {}, the verdict is {}",
            if is_green { "green" } else { "red" },
            done.verdict
        ));
    }
    let path = default_store(reports);
    let ingested = add(reports, &path).map_err(|error| error.to_string())?;
    if let Some((_, reason)) = ingested.refused.first() {
        return Err(format!("the store refuses the run: {reason}"));
    }
    let rows =
        Store::open(&path).and_then(|store| store.runs(&Filter::default())).map_err(|error| error.to_string())?;
    match rows.as_slice() {
        [row] if row.verdict == done.verdict && row.finished => Ok(()),
        rows => Err(format!(
            "{} shown, in the store: {:?}",
            done.verdict,
            rows.iter().map(|row| row.verdict).collect::<Vec<_>>()
        )),
    }
}

/// Today's steps, with the recorded answers, come to the same.
fn replay_agrees(stage: &Stage<'_>, done: &Done, entries: &[Entry]) -> Result<(), String> {
    let tape = Tape::read(&done.recorder.folder().join(ANSWERS_FILE)).map_err(|error| error.to_string())?;
    let backend = ReplayBackend::new(tape, &done.record.run_id);
    let reports = tempfile::tempdir().map_err(|error| error.to_string())?;
    let without_backup = |nest: Nest, _: &Path| {
        let store = |_: &Backup| Ok("a file of the recorded run".to_owned());
        Nest { safekeeping: Rc::new(Safekeeping::new(Arc::new(store))), ..nest }
    };
    let stop = stop_as_recorded(&backend, stopped(entries));
    let again = one_run(stage, reports.path(), Some(&without_backup)).run(&backend, Vec::new(), || Ok(stop));
    let again = again.map_err(|failed| match failed {
        Failed::Bench(report) | Failed::Usage(report) | Failed::Refused(report) => report.to_string(),
    })?;
    let player = backend.player().ok_or("nothing was played")?;
    let missing = player.missing();
    let stalled = stage.scenario.events.iter().any(|event| event.kind == Kind::Stall);
    if stalled && !missing.is_empty() {
        // The replay notices a stall a moment earlier or later, so that another attempt may be void and repeated: it says
        // that it lacks answers, and decides nothing.
        return Ok(());
    }
    if let Some((step, calls)) = missing.iter().next() {
        let call = calls.keys().next().map(String::as_str).unwrap_or_default();
        return Err(format!("{} steps ask for what was not recorded, first {step}: {call}", missing.len()));
    }
    let comparison = compare(&done.record, &again.record);
    // What was on its way when a person stopped the run has no answer in the recording: such a step may end otherwise.
    let was_stopped = |change: &&VerdictChange| change.step.is_some() && change.before == Some(Verdict::Aborted);
    if let Some(change) = comparison.verdicts.iter().find(|change| !was_stopped(change)) {
        let of = change.step.as_deref().unwrap_or("the unit");
        let word = |verdict: Option<Verdict>| verdict.map_or("not run", Verdict::as_str);
        return Err(format!(
            "{of} was {}, is {}: {}",
            word(change.before),
            word(change.now),
            again.record.reason.clone().unwrap_or_default()
        ));
    }
    if stalled {
        // When a sleeper wakes from a stall depends on what else is due then: times are alike, and not the same.
        return Ok(());
    }
    let differs = comparison.readings.iter().find(|change| !is_alike(&done.record, &again.record, &change.name));
    if let Some(change) = differs {
        // As shown to people they may be equal.
        let exact = |record: &RunRecord| reading(record, &change.name).and_then(|reading| reading.value);
        let (before, now) = (exact(&done.record), exact(&again.record));
        return Err(format!("{} was {} ({before:?}), is {} ({now:?})", change.name, change.before, change.now));
    }
    match (comparison.only_before.first(), comparison.only_now.first()) {
        (Some(name), _) => Err(format!("{name} is not read in the replay")),
        (_, Some(name)) => Err(format!("{name} is read in the replay only")),
        _ => Ok(()),
    }
}

/// From here on, a stall may make the watchdog act.
const WATCHDOG_US: u64 = 400_000;

/// A step that reads in a loop may read once more or less than in the run, and a mean has one reading more or less.
const SAME_MEAN: f64 = 1e-3;

/// Whether a reading differs by no more than that.
fn is_alike(before: &RunRecord, now: &RunRecord, name: &str) -> bool {
    let (Some(before), Some(now)) = (reading(before, name), reading(now, name)) else { return false };
    let (Some(was), Some(is)) = (before.value, now.value) else { return false };
    (was - is).abs() <= SAME_MEAN * was.abs()
}

/// The last reading of "step.measurement".
fn reading<'r>(record: &'r RunRecord, name: &str) -> Option<&'r Measurement> {
    let step =
        record.steps.iter().find(|step| name.strip_prefix(&step.id).is_some_and(|rest| rest.starts_with('.')))?;
    let name = name.get(step.id.len() + 1..)?;
    step.last()?.measurements.iter().rfind(|taken| taken.measurement.name == name).map(|taken| &taken.measurement)
}
