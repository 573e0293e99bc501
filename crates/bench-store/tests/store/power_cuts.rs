//! A power cut at every point: no finished run is lost, and none appears that was not.
//!
//! The log of what a journal's thread does to its file is replayed on a file system that keeps what was forced to the disk,
//! and of the rest whatever it likes: nothing, all, a part, or blocks with zeros between others.

use bench_journal::{Disk, Finding, JOURNAL_FILE, Journal, judge};
use bench_run::{Entry, Event, Verdict};
use bench_store::synthetic::Production;
use bench_store::{Filter, Store, StoreError, add, rebuild};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SMALL: Production = Production { steps: 3, per_step: 3, units_a_day: 10, bad_per_mille: 300 };

/// Size of the blocks that a disk writes; small, so that a journal has many.
const BLOCK: usize = 256;

#[derive(Clone)]
enum Done {
    Written(Vec<u8>),
    Forced,
}

#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<Done>>>);

impl Disk for Logged {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().push(Done::Written(bytes.to_vec()));
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().push(Done::Forced);
        Ok(())
    }
    fn read_back(&mut self) -> io::Result<Vec<u8>> {
        let log = self.0.lock().unwrap();
        Ok(log
            .iter()
            .flat_map(|done| if let Done::Written(bytes) = done { bytes.clone() } else { Vec::new() })
            .collect())
    }
}

/// Writes a run as the engine does: what must be on the disk is waited for before anything else happens.
fn log_of(entries: &[Entry]) -> Vec<Done> {
    let disk = Logged::default();
    let mut journal = Journal::on_disk_of(Box::new(disk.clone()), "run/journal.jsonl").unwrap();
    for entry in entries {
        let seq = journal.append(entry.at_us, entry.event.clone()).unwrap().seq;
        journal.acknowledgement(seq).wait_at_most(Duration::from_secs(60)).unwrap();
    }
    journal.verify().wait_at_most(Duration::from_secs(60)).unwrap();
    disk.0.lock().unwrap().clone()
}

/// What the disk may hold after a cut: what was forced, and of the rest one of these.
fn survivors(forced: &[u8], rest: &[u8]) -> Vec<Vec<u8>> {
    let with = |tail: Vec<u8>| [forced, &tail].concat();
    let mut all = vec![with(Vec::new()), with(rest.to_vec()), with(rest[..rest.len() / 2].to_vec())];
    all.push(with(vec![0; rest.len()]));
    for lost in (0..rest.len()).step_by(BLOCK) {
        let mut holed = rest.to_vec();
        holed[lost..(lost + BLOCK).min(rest.len())].fill(0);
        all.push(with(holed));
    }
    all
}

#[test]
fn every_cut_of_fifty_runs_leaves_what_was_finished_and_nothing_else() {
    let (mut cuts, mut finished) = (0, 0);
    for number in 0..50 {
        let entries = SMALL.entries(number);
        let verdict = entries.iter().find_map(|entry| match &entry.event {
            Event::RunEnded { verdict, .. } => Some(*verdict),
            _ => None,
        });
        let log = log_of(&entries);
        for cut in 0..=log.len() {
            let (mut forced, mut rest) = (Vec::new(), Vec::new());
            for done in &log[..cut] {
                match done {
                    Done::Written(bytes) => rest.extend_from_slice(bytes),
                    Done::Forced => forced.append(&mut rest),
                }
            }
            // Only a verdict that was forced to the disk has been shown.
            let was_shown = judge(&forced).verdict.is_some();
            finished += usize::from(was_shown);
            for survivor in survivors(&forced, &rest) {
                cuts += 1;
                let judgement = judge(&survivor);
                assert_ne!(judgement.finding, Finding::DoesNotHold, "run {number}, cut {cut}: {:?}", judgement.reasons);
                match judgement.finding {
                    Finding::Holds => assert_eq!(judgement.claimed, verdict, "a phantom of run {number} at cut {cut}"),
                    _ => assert!(!was_shown, "run {number} was shown, and is lost at cut {cut}"),
                }
            }
        }
    }
    assert!(cuts > 5_000 && finished >= 50, "{cuts} cuts, {finished} after the verdict");
}

fn folder_of(path: &Path, runs: u64) {
    for number in 0..runs {
        let (journal, bytes) = SMALL.journal(number);
        let journal = path.join(journal);
        fs::create_dir_all(journal.parent().unwrap()).unwrap();
        fs::write(journal, bytes).unwrap();
    }
}

fn verdicts(store: &Path) -> Result<Vec<(String, Verdict)>, StoreError> {
    let runs = Store::open(store)?.runs(&Filter::default())?;
    Ok(runs.into_iter().map(|run| (run.serial.to_string(), run.verdict)).collect())
}

/// A rebuild writes another file, forces it to the disk and renames it. Before the rename a cut leaves the old store and
/// any part of the new one; without a file system that keeps its word, the store itself may be cut.
#[test]
fn every_cut_of_a_rebuild_leaves_a_store_that_is_whole_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, store) = (folder.path().join("reports"), folder.path().join("s.sqlite"));
    folder_of(&reports, 50);
    rebuild(&reports, &store).unwrap();
    let (whole, right) = (fs::read(&store).unwrap(), verdicts(&store).unwrap());
    assert_eq!(right.len(), 50);
    let mut refused = 0;
    for length in (0..whole.len()).step_by(1024) {
        // The unfinished new one next to the old one.
        let new = store.with_extension("123.new");
        fs::write(&new, &whole[..length]).unwrap();
        assert_eq!(verdicts(&store).unwrap(), right, "{length}");
        fs::remove_file(&new).unwrap();
        // The store itself.
        let cut = folder.path().join("cut.sqlite");
        fs::write(&cut, &whole[..length]).unwrap();
        match verdicts(&cut) {
            Ok(read) => assert_eq!(read, right, "{length} of {} bytes read as fewer runs", whole.len()),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 10);
    // Whatever was refused is made again from the journals.
    fs::write(&store, "").unwrap();
    assert!(matches!(Store::open(&store), Err(StoreError::Empty { .. })));
    rebuild(&reports, &store).unwrap();
    assert_eq!(verdicts(&store).unwrap(), right);
    fs::write(&store, "").unwrap();
    let again = add(&reports, &store).unwrap();
    assert_eq!((again.new, again.alarms.len()), (50, 0));
    assert!(reports.join(SMALL.journal(0).0).ends_with(JOURNAL_FILE));
}
