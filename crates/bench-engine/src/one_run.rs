//! One run of a plan on one unit, from the first line of its record to its reports: the same for every caller.

use crate::{DiskWait, Observer, Outcome, Recorder};
use crate::{Failed, HoldEnds, Surroundings};
use crate::{Loaded, Stop};
use bench_instruments::{AttachedFile, Clock, Image, RunFiles, SuppliedAnswers};
use bench_journal::shown;
use bench_journal::{Journal, MIN_FREE, RunNumber, StationKey, free_space, read_regular, write_secret, write_whole};
use bench_report::{RunRecord, junit};
use bench_run::{BenchKind, DiagnosisRun, Event, Provenance, Verdict};
use bench_steps::{Nest, Safekeeping};
use bench_swd::backup_to_hex;
use futures_util::future::LocalBoxFuture;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// What a run happens on: builds the nest, and drives the run in its own time.
pub trait Backend {
    fn clock(&self) -> Rc<dyn Clock>;

    /// How a run on this bench waits for the disk that holds its journal.
    fn disk_wait(&self) -> DiskWait;

    /// The first entry of the journal.
    fn started(&self, loaded: &Loaded, provenance: Provenance, serial: &str) -> Event;

    /// The instruments around the unit.
    ///
    /// # Errors
    /// When an instrument does not start.
    fn nest<'a>(
        &'a self,
        loaded: &'a Loaded,
        serial: &'a str,
        recorder: &'a Rc<Recorder>,
    ) -> LocalBoxFuture<'a, Result<Nest, Failed>>;

    /// Drives the run to its end; the error says why the bench could not.
    fn drive<'a>(&'a self, run: LocalBoxFuture<'a, Outcome>) -> LocalBoxFuture<'a, Result<Outcome, String>>;

    /// Notes for the record of every run on it, before anything is powered.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// What this bench does not model as real hardware behaves. A pass that depends on it is invalid.
    fn doubts(&self) -> Vec<String>;
}

/// Puts something around the instruments of a nest, such as what records their answers. Gets the folder of the run.
pub type NestWrap<'a> = &'a dyn Fn(Nest, &Path) -> Nest;

/// What to test, and where to record it.
pub struct OneRun<'a> {
    pub loaded: &'a Loaded,
    /// What the plan puts into the module.
    pub firmware: Rc<Image>,
    pub provenance: Provenance,
    pub serial: &'a str,
    /// Production lot, for statistics.
    pub lot: Option<&'a str>,
    /// IMEI on the unit's label, if it was given.
    pub imei: Option<&'a str>,
    pub reports: &'a Path,
    /// Signs the record at its end.
    pub key: Option<&'a StationKey>,
    /// Notes for the record before anything is powered.
    pub notes: &'a [String],
    /// Is around the instruments from the first step to the safe state.
    pub wrap: Option<NestWrap<'a>>,
    /// A person allows to erase a locked module, with everything that is on it.
    pub may_erase_locked: bool,
    /// The run looks for a cause and is no test of the unit: what [`DiagnosisOrder::narrow`](crate::DiagnosisOrder::narrow)
    /// made of the plan.
    pub diagnosis: Option<&'a DiagnosisRun>,
    /// What ends its hold before the time.
    pub hold_ends: Option<&'a HoldEnds>,
    /// Answers that were given before the run, as typed, by the id of the step that asks.
    pub answers: Option<&'a BTreeMap<String, String>>,
}

/// A run that ended.
pub struct Done {
    pub record: RunRecord,
    /// The verdict that people and CI act on; never better than the one in the record.
    pub verdict: Verdict,
    pub doubts: Vec<String>,
    pub recorder: Rc<Recorder>,
    /// The run's own JUnit report.
    pub junit: String,
}

fn bench(error: impl std::fmt::Display) -> Failed {
    Failed::Bench(miette::miette!("{error}"))
}

/// Checked before anything is powered, because a disk that fills up during a run ends that run as an error.
fn enough_space(reports: &Path) -> Result<(), Failed> {
    const MB: u64 = 1024 * 1024;
    // A disk that cannot be asked is tried.
    let Ok(free) = free_space(reports) else { return Ok(()) };
    if free >= MIN_FREE {
        return Ok(());
    }
    let help = "remove old runs from it after `bench sync`, or name another folder with --reports; nothing was powered";
    Err(Failed::Bench(miette::miette!(
        help = help,
        "{}: only {} MB left on this disk, and a run needs {} MB for its record",
        shown(reports),
        free / MB,
        MIN_FREE / MB
    )))
}

/// Stores what was on a module in the folder of its run.
fn safekeeping(folder: PathBuf) -> Safekeeping {
    Safekeeping::new(Arc::new(move |backup| {
        let text = backup_to_hex(backup).map_err(|error| error.to_string())?;
        let path = folder.join(format!("before-{:016x}.hex", backup.device_id));
        // It may hold keys of the device.
        write_secret(&path, &text).map_err(|error| format!("{}: {error}", shown(&path)))?;
        Ok(shown(&path))
    }))
}

/// Logs and attached files of programs, next to the journal.
struct FilesInFolder(PathBuf);

impl RunFiles for FilesInFolder {
    fn log(&self, name: &str) -> Option<PathBuf> {
        Some(self.0.join(name))
    }

    fn attach(&self, name: &str, from: &Path) -> Result<AttachedFile, String> {
        let to = self.0.join(name);
        let failed = |error: std::io::Error| format!("{}: {error}", shown(from));
        if to.exists() {
            return Err(format!("the record has a file {name} already"));
        }
        let bytes = read_regular(from, LARGEST_ATTACHED).map_err(|error| failed(error.into()))?;
        write_whole(&to, |file| file.write_all(&bytes)).map_err(failed)?;
        Ok(AttachedFile { name: name.to_owned(), bytes: bytes.len() as u64, sha256: crate::sha256(&bytes) })
    }
}

/// Largest file that a program may attach, bytes.
const LARGEST_ATTACHED: u64 = 64 * 1024 * 1024;

/// Adds the run's number. The series is random, and a virtual run with the same order has the same record.
fn place_in_order(started: &mut Event, number: Option<&RunNumber>) {
    let (Event::RunStarted { order, bench, .. }, Some(of)) = (started, number) else { return };
    let order = order.get_or_insert_default();
    order.number = of.number;
    order.series = matches!(**bench, BenchKind::Real { .. }).then(|| of.series.clone());
}

impl OneRun<'_> {
    /// Calls `stop` inside the runtime, before anything is powered.
    ///
    /// # Errors
    /// Why the run could not start or be recorded. Once it has begun, whatever happens in it becomes a verdict.
    pub fn run(
        &self,
        backend: &dyn Backend,
        observers: Vec<Observer>,
        stop: impl FnOnce() -> std::io::Result<Stop>,
    ) -> Result<Done, Failed> {
        let Self { loaded, serial, reports, .. } = *self;
        let mut started = backend.started(loaded, self.provenance.clone(), serial);
        let Event::RunStarted { run_id, lot, diagnosis, .. } = &mut started else {
            return Err(bench("no start of the run"));
        };
        *lot = self.lot.map(str::to_owned);
        *diagnosis = self.diagnosis.cloned().map(Box::new);
        enough_space(reports)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(bench)?;
        // Signals first: from here on nothing ends the program but the run itself.
        let stop = runtime.block_on(async { stop() }).map_err(bench)?;
        let journal = Journal::create(reports, serial, run_id)
            .map_err(|error| bench(format!("the record of the run cannot be made: {error}")))?;
        place_in_order(&mut started, journal.number());
        let recorder = Recorder::waiting(journal, backend.clock(), observers, backend.disk_wait(), None);

        let outcome = runtime.block_on(async {
            let mut nest = backend.nest(loaded, serial, &recorder).await?;
            loaded.equip(&mut nest, Rc::clone(&self.firmware));
            nest.safekeeping = Rc::new(safekeeping(recorder.folder()));
            nest.files = Rc::new(FilesInFolder(recorder.folder()));
            nest.may_erase_locked = self.may_erase_locked;
            nest.imei = self.imei.map(str::to_owned);
            if let Some(answers) = self.answers {
                nest.person = Rc::new(SuppliedAnswers::new(answers.clone(), nest.person));
            }
            if let Some(wrap) = self.wrap {
                nest = wrap(nest, &recorder.folder());
            }
            let doubts = || backend.doubts();
            let notes = [backend.notes(), self.notes.to_vec()].concat();
            let surroundings = Surroundings { notes: &notes, doubts: Some(&doubts), hold_ends: self.hold_ends };
            let run = crate::run_for(&loaded.plan, &nest, &recorder, started, surroundings, stop);
            backend.drive(Box::pin(run)).await.map_err(bench)
        });
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(failed) => {
                // Best effort: why it did not start is what must be acted on.
                let _ = recorder.discard();
                return Err(failed);
            }
        };

        let folder = recorder.folder();
        let mut record = RunRecord::from_entries(&recorder.recorded())
            .with_run_folder(shown(&folder))
            .with_seal(recorder.seal())
            .with_outcome(outcome.verdict, outcome.reason.as_deref());
        let text = junit(std::slice::from_ref(&record)).map_err(bench)?;
        let path = folder.join("junit.xml");
        if let Err(error) = write_whole(&path, |file| file.write_all(text.as_bytes())) {
            // The verdict is printed all the same, and it is no pass: what collects the reports would miss this one.
            let problem = format!("{}: {error}: free some space or repair the folder", shown(&path));
            record = record.with_outcome(Verdict::Error, Some(&problem));
        }
        if let (Some(key), Some(seal)) = (self.key, recorder.seal())
            && let Err(error) = key.sign(&folder, &seal)
        {
            let problem = format!("{}: the record is not signed: {error}", shown(&folder));
            record = record.with_outcome(Verdict::Error, Some(&problem));
        }
        let junit = junit(std::slice::from_ref(&record)).map_err(bench)?;
        // The record may doubt what the run said of itself; what people and CI act on is the same.
        let verdict = record.verdict.and(outcome.verdict);
        Ok(Done { record, verdict, doubts: backend.doubts(), recorder, junit })
    }
}
