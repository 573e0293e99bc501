use super::Refusal;
use std::fs::File;
use std::io;
use std::path::Path;

/// Syncs a folder: a new name in it survives a loss of power only then.
///
/// # Errors
/// When the folder cannot be opened, or the disk fails.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// These numbers are the same on Linux and macOS.
pub(crate) fn refusal(error: &io::Error) -> Option<Refusal> {
    const EIO: i32 = 5;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    match error.raw_os_error()? {
        EMFILE | ENFILE => Some(Refusal::TooManyFiles),
        EIO => Some(Refusal::DiskBroken),
        _ => None,
    }
}
