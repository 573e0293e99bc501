use super::Refusal;
use std::io;
use std::path::Path;

/// Checks that the folder exists. Windows cannot sync a folder: NTFS protects names by its own journal.
///
/// # Errors
/// When it is not.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::read_dir(folder).map(drop)
}

/// From `winerror.h`.
pub(crate) fn refusal(error: &io::Error) -> Option<Refusal> {
    const ERROR_TOO_MANY_OPEN_FILES: i32 = 4;
    const ERROR_CRC: i32 = 23;
    const ERROR_WRITE_FAULT: i32 = 29;
    const ERROR_READ_FAULT: i32 = 30;
    const ERROR_IO_DEVICE: i32 = 1117;
    match error.raw_os_error()? {
        ERROR_TOO_MANY_OPEN_FILES => Some(Refusal::TooManyFiles),
        ERROR_CRC | ERROR_WRITE_FAULT | ERROR_READ_FAULT | ERROR_IO_DEVICE => Some(Refusal::DiskBroken),
        _ => None,
    }
}
