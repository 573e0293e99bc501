//! Reads many journals on all cores; one thread writes.

use crate::STORE_FILE;
use crate::examine::Refused;
use crate::facts::Facts;
use crate::ledger::{Alarm, Ledger, ledger_of};
use crate::shape::Shapes;
use crate::store::{Added, JournalFile, Store, StoreError};
use bench_journal::{LARGEST_JOURNAL, read_regular, unhex};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::UNIX_EPOCH;

/// Runs per transaction.
const BATCH: usize = 500;

/// Runs that may wait for the writer; more would only cost memory.
const WAITING: usize = 64;

/// Result of reading.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ingested {
    pub new: usize,
    pub replaced: usize,
    /// Skipped: the file has the same size and time as before.
    pub unchanged: usize,
    /// The same run exists at two places.
    pub doubles: usize,
    /// Runs whose journals are gone or are now refused.
    pub forgotten: usize,
    /// Journals without a complete line: the power failed before their runs began.
    pub empty: Vec<PathBuf>,
    /// Replays of recorded runs, which are never counted.
    pub replays: usize,
    /// Diagnoses, which are no tests and are never counted.
    pub diagnoses: usize,
    /// Files that are not journals, or do not hold, with the reason.
    pub refused: Vec<(PathBuf, String)>,
    /// Finished runs that were changed or have vanished since they were first read, and nobody has acknowledged.
    pub alarms: Vec<Alarm>,
}

/// Rebuilds the store of a folder of reports from its journals. The old one stays in use until the new one is complete.
///
/// # Errors
/// When the folder cannot be read or the store cannot be written.
pub fn rebuild(reports: &Path, store: &Path) -> Result<Ingested, StoreError> {
    let new_path = store.with_extension(format!("{}.new", std::process::id()));
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Io { path, source }
    };
    if new_path.exists() {
        fs::remove_file(&new_path).map_err(io(&new_path))?;
    }
    let mut made = Store::open_or_create(&new_path)?;
    let done = made.in_a_hurry().and_then(|()| ingest(reports, &mut made, &ledger_of(store)));
    drop(made);
    let done = done.and_then(|ingested| {
        fs::File::open(&new_path).and_then(|file| file.sync_all()).map_err(io(&new_path))?;
        fs::rename(&new_path, store).map_err(io(store))?;
        let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        bench_journal::sync_folder(folder).map_err(io(folder))?;
        Ok(ingested)
    });
    if done.is_err() {
        // Report the first failure.
        let _ = fs::remove_file(&new_path);
    }
    done
}

/// Adds new runs of the folder of reports, and removes those that are gone.
///
/// # Errors
/// When the folder cannot be read or the store cannot be written.
pub fn add(reports: &Path, store: &Path) -> Result<Ingested, StoreError> {
    ingest(reports, &mut Store::open_or_create(store)?, &ledger_of(store))
}

fn ingest(reports: &Path, store: &mut Store, ledger: &Path) -> Result<Ingested, StoreError> {
    let io = |source| StoreError::Io { path: reports.to_owned(), source };
    let journals = bench_journal::journals_in(reports).map_err(io)?;
    let mut places = store.places()?;
    let mut ingested = Ingested::default();
    let mut work = Vec::new();
    for journal in journals {
        let place = place(reports, &journal).map_err(io)?;
        match places.remove(&place.path) {
            Some((size, modified_ns)) if size == place.size && modified_ns == place.modified_ns => {
                ingested.unchanged += 1;
            }
            _ => work.push((journal, place)),
        }
    }
    // First what is gone: a journal that was moved has the same seal at another path.
    let gone: Vec<String> = places.into_keys().collect();
    store.forget(&gone)?;
    ingested.forgotten = gone.len();
    let mut no_longer_taken = Vec::new();
    read_all(&work, |batch, refused| {
        let added = store.add(&batch)?;
        for facts in added {
            match facts {
                Added::New => ingested.new += 1,
                Added::Replaced => ingested.replaced += 1,
                Added::Known => ingested.doubles += 1,
            }
        }
        for (place, journal, why) in refused {
            no_longer_taken.push(place.path);
            if why.empty {
                ingested.empty.push(journal);
            } else if why.replay {
                ingested.replays += 1;
            } else if why.diagnosis {
                ingested.diagnoses += 1;
            } else {
                ingested.refused.push((journal, why.reason));
            }
        }
        Ok(())
    })?;
    ingested.refused.sort();
    ingested.empty.sort();
    let before = store.places()?.len();
    store.forget(&no_longer_taken)?;
    ingested.forgotten += before - store.places()?.len();
    let is_new = !ledger.is_file();
    let mut ledger = Ledger::open(ledger)?;
    // Most of the time nothing is new: a station that sends every minute should not compare a year of runs.
    ingested.alarms = if is_new || ingested.new + ingested.replaced + ingested.forgotten + ingested.refused.len() > 0 {
        store.put_in_order()?;
        let refused = ingested.refused.iter().map(|(journal, _)| relative(reports, journal)).collect();
        let as_it_was = |path: &str, digest: &[u8; 32]| {
            let seal = bench_journal::judge_file(&reports.join(path)).contents.ok().and_then(|run| run.seal);
            seal.as_deref().and_then(unhex).as_ref() == Some(digest)
        };
        ledger.compare(store, &refused, as_it_was)?
    } else {
        ledger.alarms()?
    };
    Ok(ingested)
}

/// A refused journal: its path, and the reason.
type RefusedFile = (JournalFile, PathBuf, Refused);

/// Reads in as many threads as there are cores; `write` gets batches in this one. The order in which runs are written,
/// and so their numbers, vary; no answer of the store depends on it.
fn read_all(
    work: &[(PathBuf, JournalFile)],
    mut write: impl FnMut(Vec<(JournalFile, Facts)>, Vec<RefusedFile>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let next = AtomicUsize::new(0);
    let shapes = Shapes::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel::<Result<(JournalFile, Facts), RefusedFile>>(WAITING);
        for _ in 0..workers {
            let (next, shapes, send) = (&next, &shapes, send.clone());
            scope.spawn(move || {
                while let Some((journal, place)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let read = read_regular(journal, LARGEST_JOURNAL);
                    let read = read.map_err(|error| Refused { reason: error.reason.to_string(), ..Refused::unread() });
                    let facts = read.and_then(|bytes| Facts::read(&bytes, shapes));
                    let done = match facts {
                        Ok(facts) => Ok((place.clone(), facts)),
                        Err(why) => Err((place.clone(), journal.clone(), why)),
                    };
                    // The writer stopped: its error is the cause.
                    if send.send(done).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let (mut batch, mut refused) = (Vec::new(), Vec::new());
        for done in receive {
            match done {
                Ok(run) => batch.push(run),
                Err(why) => refused.push(why),
            }
            if batch.len() >= BATCH {
                write(std::mem::take(&mut batch), std::mem::take(&mut refused))?;
            }
        }
        write(batch, refused)
    })
}

fn relative(reports: &Path, journal: &Path) -> String {
    journal.strip_prefix(reports).unwrap_or(journal).to_string_lossy().into_owned()
}

fn place(reports: &Path, journal: &Path) -> std::io::Result<JournalFile> {
    let meta = fs::metadata(journal)?;
    let modified = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(JournalFile {
        path: relative(reports, journal),
        size: i64::try_from(meta.len()).unwrap_or(i64::MAX),
        modified_ns: i64::try_from(modified.as_nanos()).unwrap_or(i64::MAX),
    })
}

/// Default path of the store of a folder of reports.
pub fn default_store(reports: &Path) -> PathBuf {
    reports.join(STORE_FILE)
}

/// Adds journals from memory, for measurements.
pub(crate) fn add_bytes(store: &mut Store, journals: &[(String, Vec<u8>)], shapes: &Shapes) -> Result<(), StoreError> {
    let mut batch = Vec::new();
    for (path, bytes) in journals {
        let facts = Facts::read(bytes, shapes)
            .map_err(|error| StoreError::Io { path: path.into(), source: std::io::Error::other(error.to_string()) })?;
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        batch.push((JournalFile { path: path.clone(), size, modified_ns: 0 }, facts));
    }
    store.add(&batch)?;
    store.put_in_order()
}
