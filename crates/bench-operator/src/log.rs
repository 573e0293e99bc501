//! The operators' log: `REPORTS/operator-log.jsonl`, one line for everything that people decided at the screen.
//!
//! A run's journal records what the bench did. This log records who worked, and who allowed a unit against the rules. A
//! line is on the disk before the action that it allows. Format: docs/how-to/operator-screen.md.

use bench_stats::Suspicion;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const FILE: &str = "operator-log.jsonl";

/// One line. `at` is RFC 3339, UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Row {
    /// The screen came up.
    ShiftBegan { at: String, plan: String, nests: usize },
    /// A person scanned a badge to work here.
    Operator { at: String, operator: String },
    /// A person allowed a unit that the rules would turn away.
    LetIn {
        at: String,
        serial: String,
        /// `passed-already`, `in-repair`, `too-many-errors`.
        why: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        operator: Option<String>,
        /// Badge of who allowed it.
        allowed_by: String,
        /// How many runs the unit had before.
        runs_before: usize,
    },
    /// A wrong PIN was typed.
    WrongPin { at: String, person: String },
    /// A run began.
    Started {
        at: String,
        nest: usize,
        serial: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        operator: Option<String>,
    },
    /// A person ended runs from the screen.
    Aborted {
        at: String,
        nests: Vec<usize>,
        /// The power was cut without waiting for the modem.
        at_once: bool,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        operator: Option<String>,
    },
    /// Several different units in a row had the same trouble on a nest: no unit is tested there.
    NestStopped {
        at: String,
        nest: usize,
        why: String,
        #[serde(flatten)]
        suspicion: Suspicion,
    },
    /// A person released the nest.
    NestReleased {
        at: String,
        nest: usize,
        /// Why it was stopped.
        why: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        operator: Option<String>,
        /// Badge of who released it.
        released_by: String,
    },
    /// A person let a step of a tested unit run again, to find the cause of its failure. It is no test.
    DiagnosisBegan {
        at: String,
        nest: usize,
        serial: String,
        /// Id of the step.
        step: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        operator: Option<String>,
        /// Badge of who allowed it.
        allowed_by: String,
    },
    /// It ended. The unit keeps its verdict.
    DiagnosisEnded { at: String, nest: usize, serial: String, step: String, came_to: bench_run::Verdict },
    /// A run ended.
    Ended { at: String, nest: usize, serial: String, verdict: bench_run::Verdict },
    /// The screen was left.
    ShiftEnded { at: String, reason: String },
}

/// The log, open for appending.
pub struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    /// # Errors
    /// When the file cannot be made or written.
    pub fn open(reports: &Path) -> io::Result<Self> {
        Ok(Self { file: open_lines(reports, FILE)?, path: reports.join(FILE) })
    }

    /// Writes a line; it is on the disk when this returns.
    ///
    /// # Errors
    /// When the line is not on the disk. Then do not do what it allows.
    pub fn append(&mut self, row: &Row) -> io::Result<()> {
        append_line(&mut self.file, row)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Opens a file of lines for appending, and makes it and its folder if they are missing.
pub(crate) fn open_lines(reports: &Path, name: &str) -> io::Result<File> {
    std::fs::create_dir_all(reports)?;
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(reports.join(name))?;
    // What was being written when the power failed is no line; without an end it would spoil the next one.
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    bench_journal::sync_folder(reports)?;
    Ok(file)
}

/// Writes a line; it is on the disk when this returns.
pub(crate) fn append_line(file: &mut File, row: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(row)?;
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_data()
}

/// Reads every whole line that contains this text. A line that cannot be parsed (torn by a loss of power, or from another
/// version) is skipped. The text is searched for first, because searching a log of years is faster than parsing it.
pub fn read(reports: &Path, with: &str) -> io::Result<Vec<Row>> {
    read_lines(&reports.join(FILE), with)
}

/// The same for any file of lines; a missing one has none.
pub(crate) fn read_lines<T: DeserializeOwned>(path: &Path, with: &str) -> io::Result<Vec<T>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut rows = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        let text = String::from_utf8_lossy(&line);
        if text.contains(with) {
            rows.extend(serde_json::from_str(&text));
        }
    }
    Ok(rows)
}

/// The nests that are stopped, by their number, from 0, and why. What an earlier shift stopped stays stopped.
///
/// # Errors
/// When the log cannot be read.
pub fn stopped_nests(reports: &Path, nests: usize) -> io::Result<Vec<Option<Suspicion>>> {
    let mut stopped = vec![None; nests];
    for row in read(reports, "\"nest-")? {
        let (nest, suspicion) = match row {
            Row::NestStopped { nest, suspicion, .. } => (nest, Some(suspicion)),
            Row::NestReleased { nest, .. } => (nest, None),
            _ => continue,
        };
        if let Some(place) = nest.checked_sub(1).and_then(|nest| stopped.get_mut(nest)) {
            *place = suspicion;
        }
    }
    Ok(stopped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let row = |reason: &str| Row::ShiftEnded { at: "2026-01-01T00:00:00Z".into(), reason: reason.into() };
        Log::open(folder.path()).unwrap().append(&row("one")).unwrap();
        let path = folder.path().join(FILE);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"event\":\"shift-en\xff").unwrap();
        Log::open(folder.path()).unwrap().append(&row("two")).unwrap();
        assert_eq!(read(folder.path(), "").unwrap(), [row("one"), row("two")]);
        assert_eq!(read(folder.path(), "two").unwrap(), [row("two")]);
    }

    #[test]
    fn a_stopped_nest_stays_stopped_until_it_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let suspicion = Suspicion { causes: vec![bench_stats::Cause::Contact(bench_run::Contact(23))], units: 3 };
        let at = || "2026-01-01T00:00:00Z".to_owned();
        let why = || suspicion.to_string();
        let stop = |nest| Row::NestStopped { at: at(), nest, why: why(), suspicion: suspicion.clone() };
        let release =
            |nest| Row::NestReleased { at: at(), nest, why: why(), operator: None, released_by: "TE-1".to_owned() };
        assert_eq!(stopped_nests(folder.path(), 2).unwrap(), [None, None]);
        let rows = [
            (stop(2), [false, true, false]),
            (stop(3), [false, true, true]),
            (release(2), [false, false, true]),
            // A station that had more nests once.
            (stop(9), [false, false, true]),
            (stop(2), [false, true, true]),
        ];
        let mut log = Log::open(folder.path()).unwrap();
        for (row, expected) in rows {
            log.append(&row).unwrap();
            let stopped = stopped_nests(folder.path(), 3).unwrap();
            assert_eq!(stopped.iter().map(Option::is_some).collect::<Vec<_>>(), expected, "{row:?}");
            assert!(stopped.iter().flatten().all(|of| *of == suspicion), "{stopped:?}");
        }
    }

    #[test]
    fn a_full_disk_is_told() {
        let path = PathBuf::from("/dev/full");
        let mut log = Log { file: OpenOptions::new().append(true).open(&path).unwrap(), path };
        let row = Row::ShiftEnded { at: String::new(), reason: String::new() };
        assert_eq!(log.append(&row).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
