//! The disk below a journal, and the meaning of its errors.

use crate::filesystem::{self, Refusal};
use crate::shown;
use same_file::Handle;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Space that must be free before a run starts, bytes. A run with its reports takes 2 MB at most, and other programs
/// write to the same disk: 64 MB leave room for both, and for the technician to log in and clean up.
pub const MIN_FREE: u64 = 64 * 1024 * 1024;

/// Destination of a journal's lines. A thread of the journal owns it, so its calls may block.
pub trait Disk: Send {
    /// Hands bytes to the operating system, after those handed over before.
    ///
    /// # Errors
    /// When not all of them were accepted. How many were is then unknown.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when everything handed over is safe from a loss of power.
    ///
    /// # Errors
    /// When the disk refuses. What is on it is then unknown.
    fn sync(&mut self) -> io::Result<()>;

    /// Reads everything back by the path, as a later reader of the journal would.
    ///
    /// # Errors
    /// When the journal cannot be read, or is no longer the file that this journal writes to.
    fn read_back(&mut self) -> io::Result<Vec<u8>>;
}

/// A file that is only appended to.
pub(crate) struct JournalFile {
    file: File,
    path: PathBuf,
}

impl JournalFile {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        Ok(Self { file, path: path.to_owned() })
    }
}

impl Disk for JournalFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn read_back(&mut self) -> io::Result<Vec<u8>> {
        // By its path: the open handle would still read a deleted file.
        let mut reopened = File::open(&self.path)?;
        if Handle::from_file(self.file.try_clone()?)? != Handle::from_file(reopened.try_clone()?)? {
            return Err(io::Error::new(io::ErrorKind::StaleNetworkFileHandle, "replaced by another file"));
        }
        let mut bytes = Vec::new();
        reopened.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Returns the bytes that this user may still write to the disk of `path`. For a folder that does not exist yet, the
/// nearest existing parent counts.
///
/// # Errors
/// When the free space cannot be determined.
pub fn free_space(path: &Path) -> io::Result<u64> {
    let nearest = path.ancestors().find(|folder| folder.exists());
    // A relative path ends with "": the working folder.
    let nearest = nearest.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs4::available_space(nearest)
}

/// Why a journal failed. Unlike [`io::Error`] it can be cloned for every caller.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    kind: io::ErrorKind,
    text: String,
}

impl Failure {
    /// `text` is complete: it names the file and says what to do.
    pub(crate) fn new(kind: io::ErrorKind, text: String) -> Self {
        Self { kind, text }
    }

    /// Returns what a refused access to `path` means, and what to do.
    pub(crate) fn of(path: &Path, error: &io::Error) -> Self {
        let then = "then test the module again";
        let text = match (error.kind(), filesystem::refusal(error)) {
            (io::ErrorKind::StorageFull, _) => format!("no space left on the disk: free some space, {then}"),
            (io::ErrorKind::QuotaExceeded, _) => {
                format!("this user's share of the disk is full: free some space, {then}")
            }
            (io::ErrorKind::FileTooLarge, _) => {
                format!("the system lets no file grow further: raise its limit (`ulimit -f`), {then}")
            }
            (io::ErrorKind::ReadOnlyFilesystem, _) => {
                format!("the disk is read-only: check it and mount it for writing, {then}")
            }
            (io::ErrorKind::PermissionDenied, _) => {
                format!("no permission to write: change the folder's rights, {then}")
            }
            (_, Some(Refusal::TooManyFiles)) => {
                format!("too many files are open: close other programs or raise the limit (`ulimit -n`), {then}")
            }
            (_, Some(Refusal::DiskBroken)) => {
                format!("the disk reports a read or write error: check or replace it, {then}")
            }
            _ => format!("{error}: check the disk, {then}"),
        };
        Self { kind: error.kind(), text: format!("{}: {text}", shown(path)) }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        Self::new(failure.kind, failure.text)
    }
}

/// Describes a journal that no longer holds exactly `expected`.
pub(crate) fn compare(path: &Path, expected: &[u8], content: io::Result<Vec<u8>>) -> Result<(), Failure> {
    let changed = |what: String| {
        let text = format!("the journal {} {what}: find the cause, then test the module again", shown(path));
        Err(Failure::new(io::ErrorKind::InvalidData, text))
    };
    let content = match content {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return changed("is gone".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::StaleNetworkFileHandle => {
            return changed("was replaced by another file".to_owned());
        }
        Err(error) => return Err(Failure::of(path, &error)),
    };
    if content == expected {
        return Ok(());
    }
    let same = content.iter().zip(expected).take_while(|(byte, other)| byte == other).count();
    let line = 1 + expected[..same].iter().filter(|byte| **byte == b'\n').count();
    if expected.ends_with(&content) {
        // It may contain what was written afterwards.
        changed("was emptied".to_owned())
    } else if same == expected.len() {
        changed(format!("was changed by another program, at line {line}"))
    } else if same == content.len() {
        changed(format!("was cut at line {line}"))
    } else {
        changed(format!("was changed at line {line}"))
    }
}

/// Removes what [`crate::Journal::create`] made for a run that did not start. Folders with other content stay.
pub(crate) fn remove_run(journal: &Path) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => Err(error),
        _ => Ok(()),
    };
    gone(fs::remove_file(journal))?;
    for folder in journal.ancestors().skip(1).take(2) {
        gone(fs::remove_dir(folder))?;
    }
    Ok(())
}
