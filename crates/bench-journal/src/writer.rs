//! Writes a journal: an acknowledged line is on record.

use crate::chain::Chain;
use crate::disk::{Disk, Failure, JournalFile, remove_run};
use crate::filesystem::sync_folder;
use crate::folder::{RunFolder, create_run_folder};
use crate::number::{self, RunNumber};
use crate::shown;
use crate::thread::{Goal, Pending, PendingLine, Shared, Writer, hanging};
use bench_run::{BenchTime, Entry, Event, JOURNAL_FORMAT, Limits, Verdict};
use std::borrow::Borrow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a dropped journal waits for queued lines. A slower disk finishes without it.
const LINGER: Duration = Duration::from_millis(500);

/// When lines are forced to the disk, beyond being handed to the operating system.
///
/// A line that was handed over survives the death of this process, whatever the cause. Forcing it to the disk protects
/// it from a loss of the station's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After every line. For tracing a bench that dies; costs a disk access per measurement.
    EveryEntry,
    /// After the lines that others act on: the start of the run (before anything is powered), a switched rail, a step's
    /// final verdict (pass, fail, error, aborted), the end of the run. Skipped steps may be many and say nothing about
    /// the module, so they are forced with the end of the run. So are attempts that are repeated.
    #[default]
    AtBoundaries,
}

/// Cost of the journal so far, in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Number of lines.
    pub lines: u64,
    /// Number of writes; lines that waited together are one write.
    pub writes: u64,
    /// Size of all lines, bytes.
    pub bytes: u64,
    /// Time spent on writes.
    pub write_time: Duration,
    /// Time spent on the hashes that chain the lines.
    pub chain_time: Duration,
    /// Number of times that lines were forced to the disk.
    pub syncs: u64,
    /// Time spent on forcing lines to the disk.
    pub sync_time: Duration,
}

/// Progress of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Number of lines handed to the operating system: they survive the death of this process.
    pub written: u64,
    /// Number of lines on the disk: they survive a loss of power.
    pub forced: u64,
}

/// The journal of one run, open for appending.
///
/// A separate thread writes the lines, so [`append`](Self::append) never waits for the disk. Lines that wait together
/// are written with one write and forced with one `fdatasync`. A line that is not yet
/// [acknowledged](Self::is_acknowledged) must not be shown: there may be no record of it.
///
/// A failure is final: the run ends as a fault of the bench, because what cannot be recorded must not be shown. Every
/// later call fails too; a line after a half-written one would be unreadable.
pub struct Journal {
    /// `None`: kept in memory only.
    shared: Option<Arc<Shared>>,
    place: RunFolder,
    /// `None`: kept in memory or on another disk.
    number: Option<RunNumber>,
    durability: Durability,
    entries: Vec<Arc<Entry>>,
    /// Numbers of the lines that must be on the disk, ascending.
    boundaries: Vec<u64>,
    /// An error from before the line reached the thread.
    refused: Option<Failure>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("path", &self.place.journal).field("lines", &self.entries.len()).finish()
    }
}

impl Journal {
    /// Creates the run's folder and an empty journal in it, both on disk when this returns.
    ///
    /// `serial` and `run_id` are made safe as folder names. When that run id already exists, the folder is called `<run
    /// id>.2`, `.3`…: a run is never overwritten. [`run_id`](Self::run_id) returns the resulting name.
    ///
    /// # Errors
    /// When the folder, the file or the thread cannot be created. The text names the file and says what to do.
    pub fn create(reports_root: &Path, serial: &str, run_id: &str) -> io::Result<Self> {
        let place =
            create_run_folder(reports_root, serial, run_id).map_err(|error| Failure::of(reports_root, &error))?;
        let made = JournalFile::create(&place.journal).and_then(|file| {
            sync_folder(&place.folder)?;
            let number = number::take(reports_root, place.folder.parent().unwrap_or(reports_root))?;
            let mut journal = Self::with_thread(Box::new(file), place.clone())?;
            journal.number = Some(number);
            Ok(journal)
        });
        made.map_err(|error| {
            // Best effort: the first error is the one to act on.
            let _ = remove_run(&place.journal);
            Failure::of(&place.journal, &error).into()
        })
    }

    /// Creates a journal on any [`Disk`], for tests of a slow, full or hanging disk. Errors name `path`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn on_disk_of(disk: Box<dyn Disk>, path: impl Into<PathBuf>) -> io::Result<Self> {
        let journal = path.into();
        let folder = journal.parent().unwrap_or(Path::new("")).to_owned();
        Self::with_thread(disk, RunFolder { folder, journal, ..RunFolder::default() })
    }

    fn with_thread(disk: Box<dyn Disk>, place: RunFolder) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Writer { disk, path: place.journal.clone(), shared: Arc::clone(&shared) };
        // Not joined: a thread that a disk blocks would block its caller. The shared state says when it ends.
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run())?;
        let mut journal = Self::in_memory();
        (journal.shared, journal.place) = (Some(shared), place);
        Ok(journal)
    }

    /// Creates a journal that is kept in memory only: for runs that are counted and not recorded, such as the thousands
    /// that measure a plan's fault coverage. Every line is acknowledged at once. A tested unit needs a file.
    pub fn in_memory() -> Self {
        Self {
            shared: None,
            place: RunFolder::default(),
            number: None,
            durability: Durability::default(),
            entries: Vec::new(),
            boundaries: Vec::new(),
            refused: None,
        }
    }

    /// Chooses when lines are forced to the disk.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Returns the folder of this run, for the reports that belong to it.
    pub fn folder(&self) -> &Path {
        &self.place.folder
    }

    /// Returns the path of the journal file.
    pub fn path(&self) -> &Path {
        &self.place.journal
    }

    /// Returns the run id of the folder, for `RunStarted`.
    pub fn run_id(&self) -> &str {
        &self.place.run_id
    }

    /// Returns the number of this run, for `RunStarted`; `None` in memory.
    pub fn number(&self) -> Option<&RunNumber> {
        self.number.as_ref()
    }

    /// Returns everything appended so far, acknowledged or not.
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// Whether lines are kept in memory only.
    pub fn is_in_memory(&self) -> bool {
        self.shared.is_none()
    }

    /// Returns the chain value of the last written line: after the end of the run, the seal of the whole journal.
    /// `None` in memory.
    pub fn seal(&self) -> Option<String> {
        self.shared.as_ref()?.seal()
    }

    /// Returns the cost of the journal so far; zero in memory.
    pub fn stats(&self) -> Stats {
        self.shared.as_ref().map(|shared| shared.stats()).unwrap_or_default()
    }

    /// Numbers a line and hands it to the thread that writes. Never waits.
    ///
    /// # Errors
    /// When the journal failed before, or when the event holds a number that JSON cannot represent (NaN, infinity): it
    /// would be read back as another event.
    pub fn append(&mut self, at: BenchTime, event: Event) -> io::Result<&Arc<Entry>> {
        if let Some(failure) = self.failed() {
            return Err(failure.into());
        }
        if !numbers_are_finite(&event) {
            let text = format!("{}: not a finite number in {event:?}; report this as a bug", shown(self.path()));
            let failure = Failure::new(io::ErrorKind::InvalidInput, text);
            return Err(self.refused.insert(failure).clone().into());
        }
        let seq = self.entries.len() as u64;
        let force = self.durability == Durability::EveryEntry || is_boundary(&event);
        let entry = Arc::new(Entry { v: JOURNAL_FORMAT, seq, at_us: at, event });
        if let Some(shared) = &self.shared {
            if force {
                self.boundaries.push(seq);
            }
            shared.push(PendingLine { entry: Arc::clone(&entry), force });
        }
        self.entries.push(entry);
        self.entries.last().ok_or_else(|| io::Error::other("no entry"))
    }

    /// Returns the first failure, if there was one. A line acknowledged before it is on record nevertheless.
    pub fn failure(&self) -> Option<io::Error> {
        self.failed().map(io::Error::from)
    }

    fn failed(&self) -> Option<Failure> {
        self.refused.clone().or_else(|| self.shared.as_ref()?.failure())
    }

    /// Returns the progress of the disk; in memory, all lines count as written.
    pub fn progress(&self) -> Progress {
        let lines = self.entries.len() as u64;
        match &self.shared {
            Some(shared) => Progress { written: shared.written(), forced: shared.forced() },
            None => Progress { written: lines, forced: lines },
        }
    }

    /// Returns the number of lines that may be shown, in their order: each of them, and each before it, is as safe as
    /// it must be. Lines that must be on the disk are there; all others are with the operating system.
    pub fn acknowledged(&self) -> u64 {
        let Progress { written, .. } = self.progress();
        self.oldest_waiting().unwrap_or(u64::MAX).min(written)
    }

    /// Whether the line may be shown.
    pub fn is_acknowledged(&self, seq: u64) -> bool {
        seq < self.acknowledged()
    }

    /// Returns the oldest line that must be on the disk and is not there yet.
    pub fn oldest_waiting(&self) -> Option<u64> {
        let Progress { forced, .. } = self.progress();
        self.boundaries.get(self.boundaries.partition_point(|seq| *seq < forced)).copied()
    }

    /// Ends when the line, and each before it, may be shown.
    pub fn acknowledgement(&self, seq: u64) -> Pending {
        // Only the lines up to the last that must be on the disk are sure to be written to it.
        let boundaries = self.boundaries.partition_point(|boundary| *boundary <= seq);
        let forced = self.boundaries[..boundaries].last().map_or(0, |boundary| boundary + 1);
        self.pending(Goal::Reached { written: seq + 1, forced })
    }

    /// Ends when the disk has progressed beyond `from`.
    pub fn progress_beyond(&self, from: Progress) -> Pending {
        self.pending(Goal::Moved { written: from.written, forced: from.forced })
    }

    /// Forces everything to the disk, reads the file back and compares. Succeeds when it holds exactly the lines
    /// appended so far; otherwise the error describes the difference. In memory there is nothing to check.
    pub fn verify(&self) -> Pending {
        let number = self.shared.as_ref().map_or(0, |shared| shared.order_check());
        self.pending(Goal::Checked(number))
    }

    /// Returns the error for a disk that has not acknowledged a line for this long.
    pub fn hanging(&self, waited: Duration) -> io::Error {
        hanging(self.path(), waited)
    }

    fn pending(&self, goal: Goal) -> Pending {
        Pending::new(self.shared.clone(), goal, self.place.journal.clone())
    }

    /// Removes the journal of a run that did not start, with its folder, and the unit's folder when it is empty. A
    /// journal with lines stays.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard(self) -> io::Result<()> {
        if self.shared.is_none() || !self.entries.is_empty() {
            return Ok(());
        }
        let path = self.place.journal.clone();
        drop(self);
        remove_run(&path).map_err(|error| Failure::of(&path, &error))?;
        if let Some(root) = path.ancestors().nth(3) {
            number::forget_first(root);
        }
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.close();
            // A disk that hangs blocks only its thread.
            shared.wait_for_end(LINGER);
        }
    }
}

/// Returns the text of a whole journal, as [`Journal`] would write it, for runs in memory. An entry that JSON cannot
/// represent is left out, which breaks the numbering, so that a reader refuses the result.
pub fn to_bytes<E: Borrow<Entry>>(entries: &[E]) -> Vec<u8> {
    let (mut bytes, mut chain) = (Vec::new(), Chain::default());
    for entry in entries {
        let Ok(mut line) = serde_json::to_vec(entry.borrow()) else { continue };
        chain.forge(&mut line);
        bytes.extend_from_slice(&line);
    }
    bytes
}

/// Lines that others act on; see [`Durability::AtBoundaries`].
fn is_boundary(event: &Event) -> bool {
    match event {
        Event::RunStarted { .. } | Event::RunEnded { .. } | Event::RailSwitched { .. } => true,
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
