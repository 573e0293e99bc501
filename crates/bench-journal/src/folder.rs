//! Location of runs: `REPORTS/<serial>/<run id>/`.

use crate::{JOURNAL_FILE, sync_folder};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Formats a path with forward slashes, so that records and messages are the same on every system.
pub fn shown(path: &Path) -> String {
    path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
}

/// Longest part of a serial number or run id that is used in a folder name, characters.
const LONGEST_NAME: usize = 80;

/// A run on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunFolder {
    /// Name of the unit's folder: the serial number made safe by [`safe_name`].
    pub serial: String,
    /// Name of the run's folder: the run id made safe, with `.2`, `.3` when it was taken before.
    pub run_id: String,
    /// `REPORTS/<serial>/<run id>`.
    pub folder: PathBuf,
    /// The journal in this folder.
    pub journal: PathBuf,
}

/// Makes one folder name of a text from outside (a scanned serial number, a run id).
///
/// Letters, digits, `-`, `_` and `.` stay, anything else becomes `_`, and a leading `.` too, so that the name can
/// neither leave its folder nor be hidden. A changed name gets a checksum of the original, so that `A/1` and `A_1` do
/// not share a folder.
///
/// ```
/// assert_eq!(bench_journal::safe_name("P042AB3Q1234"), "P042AB3Q1234");
/// assert!(bench_journal::safe_name("../../etc").starts_with("_._.._etc-"));
/// ```
pub fn safe_name(text: &str) -> String {
    let mut name: String = text
        .chars()
        .take(LONGEST_NAME)
        .enumerate()
        .map(|(index, c)| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => c,
            '.' if index > 0 => c,
            _ => '_',
        })
        .collect();
    if name != text || name.is_empty() {
        name.push_str(&format!("-{:08x}", fnv1a(text.as_bytes())));
    }
    name
}

/// FNV-1a, 32 bits: distinguishes names; no protection against tampering.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Makes `REPORTS/<serial>/<run id>`, or `<run id>.2`, `.3`… when it exists, and syncs it to the disk before it
/// returns.
pub(crate) fn create_run_folder(reports_root: &Path, serial: &str, run_id: &str) -> io::Result<RunFolder> {
    fs::create_dir_all(reports_root)?;
    let serial = safe_name(serial);
    let run_id = safe_name(run_id);
    let unit_folder = reports_root.join(&serial);
    let mut taken = 1_u32;
    let mut tries = 0_u8;
    loop {
        match fs::create_dir(&unit_folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let run_id = if taken == 1 { run_id.clone() } else { format!("{run_id}.{taken}") };
        let folder = unit_folder.join(&run_id);
        // create_dir and not create_dir_all: when two stations want the same name, only one gets it.
        match fs::create_dir(&folder) {
            Ok(()) => {
                if let Some(above) = reports_root.parent().filter(|path| !path.as_os_str().is_empty()) {
                    sync_folder(above)?;
                }
                sync_folder(reports_root)?;
                sync_folder(&unit_folder)?;
                return Ok(RunFolder { serial, run_id, journal: folder.join(JOURNAL_FILE), folder });
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = taken.saturating_add(1),
            // Another nest discarded a run of the same unit, together with the unit's folder.
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries < 10 => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Returns all runs below `reports_root`, by serial and run id (`.10` after `.9`). A missing root holds none.
///
/// # Errors
/// When a folder cannot be listed.
pub fn find_runs(reports_root: &Path) -> io::Result<Vec<RunFolder>> {
    let mut runs = Vec::new();
    for unit_folder in folders_in(reports_root)? {
        for folder in folders_in(&unit_folder)? {
            let journal = folder.join(JOURNAL_FILE);
            if let (Some(serial), Some(run_id), true) = (name_of(&unit_folder), name_of(&folder), journal.is_file()) {
                runs.push(RunFolder { serial, run_id, folder, journal });
            }
        }
    }
    runs.sort_by_cached_key(|run| (run.serial.clone(), split_number(&run.run_id)));
    Ok(runs)
}

/// Returns every journal of `path`: itself when it is a file, else each one below it, in the order of their names.
///
/// # Errors
/// When `path` does not exist or a folder cannot be listed.
pub fn journals_in(path: &Path) -> io::Result<Vec<PathBuf>> {
    if fs::metadata(path)?.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut journals = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let journal = folder.join(JOURNAL_FILE);
        if journal.is_file() {
            journals.push(journal);
        }
        folders.extend(folders_in(&folder)?);
    }
    journals.sort();
    Ok(journals)
}

/// Returns the run whose journal was written last; only those of one serial number when `serial` is given.
///
/// # Errors
/// When a folder cannot be listed.
pub fn latest(reports_root: &Path, serial: Option<&str>) -> io::Result<Option<RunFolder>> {
    let wanted = serial.map(safe_name);
    let runs = find_runs(reports_root)?;
    let of_unit = runs.into_iter().filter(|run| wanted.as_ref().is_none_or(|name| *name == run.serial));
    // max_by_key returns the last of equals: the one with the higher number.
    Ok(of_unit.max_by_key(|run| written_at(&run.journal)))
}

fn written_at(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn split_number(run_id: &str) -> (String, u64) {
    match run_id.rsplit_once('.').and_then(|(stem, number)| Some((stem, number.parse().ok()?))) {
        Some((stem, number)) => (stem.to_owned(), number),
        None => (run_id.to_owned(), 1),
    }
}

fn folders_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut folders = Vec::new();
    for entry in listing {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

fn name_of(path: &Path) -> Option<String> {
    path.file_name().and_then(|name| name.to_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    #[test]
    fn names_stay_what_they_are_or_become_harmless() {
        for kept in ["P042AB3Q1234", "2026-11-22T12.00_b", "a", "a..b"] {
            assert_eq!(safe_name(kept), kept);
        }
        let changed = ["", ".", "..", "../x", "/etc/passwd", "a b", "a\0b", "ü", "a\n", "\u{202e}x", "x/../../y"];
        let names: Vec<String> = changed.iter().map(|text| safe_name(text)).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name} is used for two serials");
        }
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_folder(text in any::<String>()) {
            let name = safe_name(&text);
            let parts: Vec<_> = Path::new(&name).components().collect();
            prop_assert!(matches!(parts[..], [Component::Normal(_)]), "{name}");
            prop_assert!(!name.starts_with('.') && name.len() <= LONGEST_NAME + 9);
        }
    }
}
