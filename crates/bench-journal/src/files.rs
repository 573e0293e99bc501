//! Whole files: read within a limit, written so that a power cut leaves the old one or the new one.

use crate::filesystem::sync_folder;
use crate::shown;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The largest journal that is read, bytes. That of a long run has 2 MB.
pub const LARGEST_JOURNAL: u64 = 256 * 1024 * 1024;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}", path = shown(path))]
pub struct FileRefused {
    /// Path of the file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub reason: io::Error,
}

impl FileRefused {
    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        self.reason.kind() == io::ErrorKind::NotFound
    }
}

/// Without the path, for callers that name it.
impl From<FileRefused> for io::Error {
    fn from(refused: FileRefused) -> Self {
        refused.reason
    }
}

/// Opens a regular file: a folder, device, pipe or socket may never end. The kind is checked first, because to open a
/// pipe would wait for its other end.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path)?.is_file() {
        return File::open(path);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file; expected one that was written to a disk"))
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger.
pub fn read_regular(path: &Path, limit: u64) -> Result<Vec<u8>, FileRefused> {
    read_limited(path, limit).map_err(|reason| FileRefused { path: path.to_owned(), reason })
}

fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let reason = format!("larger than {limit} bytes, which no file of this kind is");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}

/// Like [`read_regular`], for text.
///
/// # Errors
/// Also when it is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, FileRefused> {
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "not text in UTF-8");
    String::from_utf8(read_regular(path, limit)?)
        .map_err(|error| FileRefused { path: path.to_owned(), reason: not_text(error) })
}

/// Writes a whole file: to a temporary one in the same folder, forced to the disk, then renamed. After a power cut the
/// path holds the old content or the new one. An existing file that is no regular one (`/dev/stdout`, a pipe) is written
/// to directly.
///
/// # Errors
/// When `write` or the disk refuses. The old content stays.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return write(&mut File::options().write(true).open(path)?);
    }
    // A link stays a link.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".new");
    let permissions = std::fs::metadata(&target).ok().map(|meta| meta.permissions());
    let mut made = builder.make_in(folder, |path| File::options().write(true).create_new(true).open(path))?;
    let mut buffered = io::BufWriter::new(made.as_file_mut());
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    if let Some(permissions) = permissions {
        made.as_file().set_permissions(permissions)?;
    }
    made.as_file().sync_all()?;
    made.persist(&target).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Writes a new file that only its owner can read, where the system has such rights.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    // Made by the library with the narrowest rights from the beginning.
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut made = tempfile::NamedTempFile::new_in(folder)?;
    made.write_all(text.as_bytes())?;
    made.as_file().sync_all()?;
    made.persist_noclobber(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_the_old_one_or_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.xml");
        write_whole(&path, |file| file.write_all(b"old")).unwrap();
        let refused = write_whole(&path, |file| {
            file.write_all(b"half of the n")?;
            Err(io::Error::other("the disk is full"))
        });
        assert_eq!(refused.unwrap_err().to_string(), "the disk is full");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_whole(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing temporary is left");
    }

    #[test]
    fn endless_and_huge_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_regular(&path, 5).unwrap(), b"12345");
        let kind = |path: &Path, limit| read_regular(path, limit).unwrap_err().reason.kind();
        assert_eq!(kind(&path, 4), io::ErrorKind::FileTooLarge);
        assert_eq!(kind(folder.path(), 5), io::ErrorKind::InvalidInput);
        assert!(read_regular(&folder.path().join("none"), 5).unwrap_err().is_missing());
        let endless = Path::new("/dev/zero");
        if endless.exists() {
            assert_eq!(kind(endless, 5), io::ErrorKind::InvalidInput);
        }
    }
}
