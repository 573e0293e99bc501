//! Writing: a line is a promise.

use crate::chain::Chain;
use crate::folder::{RunFolder, create_run_folder, sync_folder};
use bench_run::{BenchTime, Entry, Event, JOURNAL_FORMAT, Limits, Verdict};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// When lines are forced to the disk, beyond being handed to the operating system.
///
/// A line that was handed over survives the death of this process, whatever kills it. Forcing it to the disk is for the
/// loss of the station's power. A rail switched shortly before that needs no forcing: without power it is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After every line. For hunting a bench that dies; costs a disk access per measurement.
    EveryEntry,
    /// After the lines that somebody acts on: the start of the run (before anything is powered), a step's final verdict
    /// (pass, fail, error, aborted), the end of the run. One per step and two per run. Skipped steps come in swarms,
    /// say nothing about the module and are forced with the end of the run, and so are attempts that are repeated.
    #[default]
    AtBoundaries,
}

/// What the journal cost so far, in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    pub writes: u64,
    pub bytes: u64,
    pub write_time: Duration,
    /// Spent on the hashes that chain the lines.
    pub chain_time: Duration,
    pub syncs: u64,
    pub sync_time: Duration,
}

/// The journal of one run, open for appending.
///
/// An error of any method is final: the run ends as a fault of the bench, because what cannot be recorded must not be
/// shown. After an error every later call fails too; a line after a half-written one would be unreadable.
#[derive(Debug)]
pub struct Journal {
    /// `None`: kept in memory only.
    file: Option<File>,
    place: RunFolder,
    durability: Durability,
    entries: Vec<Entry>,
    chain: Chain,
    unsynced: bool,
    failed: bool,
    stats: Stats,
}

impl Journal {
    /// Makes the run's folder and an empty journal in it, both on disk when this returns.
    ///
    /// `serial` and `run_id` are made safe as folder names. When that run id exists already the folder is called
    /// `<run id>.2`, `.3`…: a run is never written over. Ask [`run_id`](Self::run_id) for the name that it got.
    ///
    /// # Errors
    /// When the folder or the file cannot be made.
    pub fn create(reports_root: &Path, serial: &str, run_id: &str) -> io::Result<Self> {
        let place = create_run_folder(reports_root, serial, run_id)?;
        let file = OpenOptions::new().append(true).create_new(true).open(&place.journal)?;
        sync_folder(&place.folder)?;
        Ok(Self {
            file: Some(file),
            place,
            durability: Durability::default(),
            entries: Vec::new(),
            chain: Chain::default(),
            unsynced: false,
            failed: false,
            stats: Stats::default(),
        })
    }

    /// A journal that is kept in memory and nowhere else: for runs that are counted and not recorded, such as the
    /// thousands that measure what a plan finds. A unit that is tested needs a file.
    pub fn in_memory() -> Self {
        let place = RunFolder::default();
        let (durability, stats, chain) = (Durability::default(), Stats::default(), Chain::default());
        Self { file: None, place, durability, entries: Vec::new(), chain, unsynced: false, failed: false, stats }
    }

    /// Chooses when lines are forced to the disk.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Folder of this run, for the reports that belong to it.
    pub fn folder(&self) -> &Path {
        &self.place.folder
    }

    /// The file itself.
    pub fn path(&self) -> &Path {
        &self.place.journal
    }

    /// Run id that the folder got; the one for `RunStarted`.
    pub fn run_id(&self) -> &str {
        &self.place.run_id
    }

    /// Everything appended so far.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Chain value of the last line on record: after the end of the run, the seal of the whole journal. None in memory.
    pub fn seal(&self) -> Option<String> {
        self.chain.value()
    }

    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Writes one line, numbers it, and forces it to the disk where the [`Durability`] says so.
    ///
    /// When this returns for a step's final verdict or for the end of the run, the line is on disk: only then may the
    /// verdict be shown.
    ///
    /// # Errors
    /// When the line cannot be written or forced, when an earlier call failed, or when the event holds a number that
    /// JSON has no word for (NaN, infinity): it would come back as another event.
    pub fn append(&mut self, at: BenchTime, event: Event) -> io::Result<&Entry> {
        self.check_usable()?;
        if !numbers_are_finite(&event) {
            self.failed = true;
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a finite number in {event:?}")));
        }
        let force = self.durability == Durability::EveryEntry || is_boundary(&event);
        let entry = Entry { v: JOURNAL_FORMAT, seq: self.entries.len() as u64, at_us: at, event };
        let result = self.write_line(&entry);
        self.failed = result.is_err();
        result?;
        if force {
            self.sync()?;
        }
        self.entries.push(entry);
        self.entries.last().ok_or_else(|| io::Error::other("no entry"))
    }

    /// Forces everything appended so far to the disk; does nothing when it is there already.
    ///
    /// # Errors
    /// When the disk refuses. What is on it is then unknown, so the journal stays failed.
    pub fn sync(&mut self) -> io::Result<()> {
        self.check_usable()?;
        if !self.unsynced {
            return Ok(());
        }
        let Some(file) = &self.file else { return Ok(()) };
        let began = Instant::now();
        let result = file.sync_data();
        self.stats.sync_time += began.elapsed();
        self.stats.syncs += 1;
        self.failed = result.is_err();
        self.unsynced = result.is_err();
        result
    }

    fn check_usable(&self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other(format!("{}: an earlier line could not be written", self.path().display())));
        }
        Ok(())
    }

    fn write_line(&mut self, entry: &Entry) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut line = serde_json::to_vec(entry)?;
        let began = Instant::now();
        self.chain.forge(&mut line);
        self.stats.chain_time += began.elapsed();
        let began = Instant::now();
        // One call for the whole line: the file is opened for appending and nothing is buffered in this process.
        let result = file.write_all(&line);
        self.stats.write_time += began.elapsed();
        self.stats.writes += 1;
        self.stats.bytes += line.len() as u64;
        self.unsynced = true;
        result
    }
}

/// The text of a whole journal, as [`Journal`] would write it; for runs that are in memory. An entry that JSON has no word
/// for is left out, which breaks the numbering: a reader refuses the result.
pub fn to_bytes(entries: &[Entry]) -> Vec<u8> {
    let (mut bytes, mut chain) = (Vec::new(), Chain::default());
    for entry in entries {
        let Ok(mut line) = serde_json::to_vec(entry) else { continue };
        chain.forge(&mut line);
        bytes.extend_from_slice(&line);
    }
    bytes
}

/// Lines that somebody acts on; see [`Durability::AtBoundaries`].
fn is_boundary(event: &Event) -> bool {
    match event {
        Event::RunStarted { .. } | Event::RunEnded { .. } => true,
        Event::StepEnded { verdict, retried, .. } => *verdict != Verdict::Skipped && !retried,
        _ => false,
    }
}

fn numbers_are_finite(event: &Event) -> bool {
    let finite = |number: Option<f64>| number.is_none_or(f64::is_finite);
    let limits = |limits: &Limits| finite(limits.min) && finite(limits.max);
    match event {
        Event::Measured { measurement, .. } => finite(measurement.value) && limits(&measurement.limits),
        Event::RunStarted { steps, .. } => {
            steps.iter().flat_map(|step| &step.promised).all(|promised| limits(&promised.limits))
        }
        Event::RailSwitched { volts, .. } => finite(*volts),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_ends_the_journal() {
        let root = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(root.path(), "P042", "r1").unwrap();
        let note = || Event::Note { step: None, text: "a".into() };
        journal.append(BenchTime(0), note()).unwrap();
        // /dev/full refuses every byte, as a full disk does.
        let full = File::options().append(true).open("/dev/full").unwrap();
        let real = journal.file.replace(full);
        assert_eq!(journal.append(BenchTime(1), note()).unwrap_err().kind(), io::ErrorKind::StorageFull);
        journal.file = real;
        assert!(journal.append(BenchTime(2), note()).is_err(), "a line behind a lost one would hide the loss");
        assert_eq!(journal.entries().len(), 1);
    }
}
