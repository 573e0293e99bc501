//! Reads a journal: exactly the complete lines, or a clear refusal.

use crate::chain::Chain;
use crate::files::{FileRefused, LARGEST_JOURNAL, read_regular};
use bench_run::{Entry, Event, JOURNAL_FORMAT, OLDEST_JOURNAL_FORMAT};
use serde::Deserialize;
use std::path::Path;

/// The first format with chained lines.
const FIRST_CHAINED: u16 = 2;

/// The complete entries of one journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalContents {
    /// The entries, in their order.
    pub entries: Vec<Entry>,
    /// Whether the run's end is recorded. False: the bench died or is still running; the unit counts as not tested.
    pub finished: bool,
    /// Bytes after the last complete line: a line that was being written when the power failed.
    pub torn_bytes: usize,
    /// Chain value of the last complete line: for a finished run, the seal of its journal. `None` in format 1, which
    /// has no chain, and when there is no line.
    pub seal: Option<String>,
}

impl JournalContents {
    /// Format of the journal; `None` when it has no line.
    pub fn format(&self) -> Option<u16> {
        self.entries.first().map(|entry| entry.v)
    }
}

/// Why a journal is refused. `line` counts from 1.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read.
    #[error("{}", .0.reason)]
    Io(#[from] FileRefused),
    /// The format is older or newer than those that can be read.
    #[error(
        "line {line}: written in format {found}, this program reads formats {OLDEST_JOURNAL_FORMAT} to {JOURNAL_FORMAT}; \
         use the version of bench that wrote it or a newer one"
    )]
    UnknownFormat {
        /// Number of the line.
        line: usize,
        /// Format of the line.
        found: u64,
    },
    /// A line has another format than those before it.
    #[error("line {line}: in format {found}, the lines before it in format {expected}; the journal was changed")]
    MixedFormats {
        /// Number of the line.
        line: usize,
        /// Format of the lines before it.
        expected: u16,
        /// Format of the line.
        found: u16,
    },
    /// A line does not match its chain value.
    #[error(
        "line {line}: does not match its checksum and the lines before it; the journal was changed here, or lines before \
         it are missing"
    )]
    Changed {
        /// Number of the line.
        line: usize,
    },
    /// The numbers of the entries are not consecutive.
    #[error("line {line}: expected entry {expected} and found entry {found}; lines are missing or were moved")]
    Gap {
        /// Number of the line.
        line: usize,
        /// Expected number of the entry.
        expected: u64,
        /// Number of the entry.
        found: u64,
    },
    /// A line is not an entry.
    #[error("line {line}: not a journal entry: {problem}")]
    Garbage {
        /// Number of the line.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

/// Reads the journal at `path`, which may be the file or the run's folder.
///
/// # Errors
/// When the file cannot be read or [`parse`] refuses it.
pub fn read(path: &Path) -> Result<JournalContents, JournalError> {
    let file = if path.is_dir() { path.join(crate::JOURNAL_FILE) } else { path.to_owned() };
    let bytes = read_regular(&file, LARGEST_JOURNAL)?;
    parse(&bytes)
}

/// Reads the text of a journal. What follows the last line end, or zeros, was torn by a power cut and is left out.
///
/// # Errors
/// For a complete line that is not an entry, an entry of another format version, a gap in `seq`, or, from format 2 on,
/// a line that does not match its chain value.
pub fn parse(bytes: &[u8]) -> Result<JournalContents, JournalError> {
    let reached = lost_block(bytes).unwrap_or(bytes.len());
    let whole = bytes[..reached].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let mut entries: Vec<Entry> = Vec::new();
    let mut chain = Chain::default();
    for (index, text) in bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
        let line = index + 1;
        let entry: Entry = serde_json::from_slice(text).map_err(|error| refusal(line, text, &error))?;
        if !(OLDEST_JOURNAL_FORMAT..=JOURNAL_FORMAT).contains(&entry.v) {
            return Err(JournalError::UnknownFormat { line, found: entry.v.into() });
        }
        if let Some(first) = entries.first().filter(|first: &&Entry| first.v != entry.v) {
            return Err(JournalError::MixedFormats { line, expected: first.v, found: entry.v });
        }
        let expected = entries.len() as u64;
        if entry.seq != expected {
            return Err(JournalError::Gap { line, expected, found: entry.seq });
        }
        // After the number, whose error says more about a missing line.
        if entry.v >= FIRST_CHAINED && !chain.accept(text) {
            return Err(JournalError::Changed { line });
        }
        entries.push(entry);
    }
    let finished = entries.iter().any(|entry| matches!(entry.event, Event::RunEnded { .. }));
    Ok(JournalContents { entries, finished, torn_bytes: bytes.len() - whole, seal: chain.value() })
}

/// Fewest zeros in a row that are a lost block and no changed byte, unless the file ends with them.
const LOST_BLOCK: usize = 16;

/// Returns where the first block begins that a power cut kept from the disk. It reads as zeros, which JSON does not have;
/// nothing behind it counts.
fn lost_block(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == 0).map(|at| from + at) {
        let zeros = bytes[at..].iter().take_while(|byte| **byte == 0).count();
        if zeros >= LOST_BLOCK || at + zeros == bytes.len() {
            return Some(at);
        }
        from = at + zeros;
    }
    None
}

/// Returns the lines of a journal in a chained format and its seal, when nothing is torn and the chain is unbroken.
/// Does not parse the lines.
pub fn chained_lines(text: &str) -> Option<(Vec<&str>, String)> {
    let mut chain = Chain::default();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let unbroken = lines.iter().all(|line| chain.accept(line.as_bytes()));
    Some((lines, chain.value().filter(|_| unbroken)?))
}

/// An entry of a later format may differ: its version says more than serde's error.
fn refusal(line: usize, text: &[u8], error: &serde_json::Error) -> JournalError {
    #[derive(Deserialize)]
    struct VersionOnly {
        v: u64,
    }
    match serde_json::from_slice::<VersionOnly>(text) {
        Ok(VersionOnly { v })
            if !(OLDEST_JOURNAL_FORMAT..=JOURNAL_FORMAT).map(u64::from).any(|supported| supported == v) =>
        {
            JournalError::UnknownFormat { line, found: v }
        }
        _ => JournalError::Garbage { line, problem: error.to_string() },
    }
}
