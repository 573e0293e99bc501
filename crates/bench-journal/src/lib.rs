//! The record of a run: everything that happened, on disk, in order, before it is shown.
//!
//! One file per run, `REPORTS/<serial>/<run id>/journal.jsonl`: one JSON object a line, only ever appended to, each
//! chained by a hash to those before it. Every report can be rebuilt from it. `docs/reference/journal-format.md`
//! describes the format.
//!
//! The writer ([`Journal`]) and the readers ([`read`], [`find_runs`]) share nothing but the file.

#![warn(missing_docs)]

mod chain;
mod disk;
mod files;
mod filesystem;
mod folder;
mod hex;
mod judgement;
mod number;
mod reader;
mod signature;
mod thread;
mod writer;

pub use disk::{Disk, MIN_FREE, free_space};
pub use files::{FileRefused, LARGEST_JOURNAL, read_regular, read_text, write_secret, write_whole};
pub use filesystem::sync_folder;
pub use folder::{RunFolder, find_runs, in_true_order, is_folder_of, journals_in, latest, safe_name, shown};
pub use hex::{hex, unhex};
pub use judgement::{Finding, Judgement, judge, judge_file};
pub use number::{NUMBER_FILE, RunNumber};
pub use reader::{JournalContents, JournalError, chained_lines, parse, read};
pub use signature::{KeyError, PublicKeys, SIGNATURE_FILE, Signing, StationKey};
pub use thread::Pending;
pub use writer::{Durability, Journal, Progress, Stats, to_bytes};

/// Name of the file in a run's folder.
pub const JOURNAL_FILE: &str = "journal.jsonl";
