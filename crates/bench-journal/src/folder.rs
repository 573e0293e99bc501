//! Location of runs: `REPORTS/<serial>/<run id>/`.

use crate::{JOURNAL_FILE, sync_folder};
use bench_run::{Entry, Event, Placed, RunOrder, has_trusted_day, microseconds, true_order, unit_name};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

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
    // What is neither is refused by its reader.
    if !fs::metadata(path)?.is_dir() {
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

/// What the first line of a journal states.
pub(crate) struct RunStart {
    /// RFC 3339.
    started_at: Option<String>,
    /// Name of the station; `None` on the virtual bench.
    station: Option<String>,
    /// Position of the run in its series.
    pub(crate) order: Option<RunOrder>,
}

/// Longest first line that is read for the order of runs, bytes: that of a plan with ten thousand measurements is 2 MB.
const LONGEST_START: u64 = 16 * 1024 * 1024;

/// Reads the first line of a journal; `None` when there is none, or it is not the start of a run.
pub(crate) fn start_of(journal: &Path) -> Option<RunStart> {
    let file = crate::files::open_regular(journal).ok()?;
    let mut line = Vec::new();
    BufReader::new(file.take(LONGEST_START)).read_until(b'\n', &mut line).ok()?;
    let entry: Entry = serde_json::from_slice(line.strip_suffix(b"\n")?).ok()?;
    match entry.event {
        Event::RunStarted { started_at, order, bench, .. } => {
            let station = bench.station().map(str::to_owned);
            Some(RunStart { started_at, station, order: order.map(|order| *order) })
        }
        _ => None,
    }
}

/// Sorts journals in the true order of their runs. Those without a start come first: nothing places them.
pub fn in_true_order(journals: Vec<PathBuf>) -> Vec<PathBuf> {
    let starts: Vec<Option<RunStart>> = journals.iter().map(|journal| start_of(journal)).collect();
    // Older records have no number: `.2` follows the run whose name was taken, and `.10` follows `.9`.
    let run_name = |journal: &PathBuf| split_number(&journal.parent().map(shown).unwrap_or_default());
    let mut by_name: Vec<usize> = (0..journals.len()).collect();
    by_name.sort_by_cached_key(|index| run_name(&journals[*index]));
    let mut names = vec![String::new(); journals.len()];
    by_name.iter().enumerate().for_each(|(rank, index)| names[*index] = format!("{rank:010}"));
    let (mut ordered, mut indices, mut placed) = (Vec::with_capacity(journals.len()), Vec::new(), Vec::new());
    for (index, start) in starts.iter().enumerate() {
        match start {
            None => ordered.push(journals[index].clone()),
            Some(start) => {
                indices.push(index);
                placed.push(start.placed(&names[index]));
            }
        }
    }
    ordered.extend(true_order(&placed).into_iter().map(|at| journals[indices[at]].clone()));
    ordered
}

impl RunStart {
    fn placed<'a>(&'a self, tie: &'a str) -> Placed<'a> {
        let order = self.order.as_ref();
        let started_us = self.started_at.as_deref().and_then(microseconds);
        Placed {
            station: self.station.as_deref(),
            series: order.and_then(|order| order.series.as_deref()),
            number: order.map(|order| order.number),
            trusted_us: started_us.filter(|_| has_trusted_day(order, started_us)),
            tie,
        }
    }
}

/// Returns the last run in the true order; only those of one serial number, in capital or small letters, when `serial`
/// is given.
///
/// # Errors
/// When a folder cannot be listed.
pub fn latest(reports_root: &Path, serial: Option<&str>) -> io::Result<Option<RunFolder>> {
    let runs = find_runs(reports_root)?;
    let of_unit = runs.into_iter().filter(|run| serial.is_none_or(|serial| is_folder_of(&run.serial, serial)));
    let mut runs: BTreeMap<PathBuf, RunFolder> = of_unit.map(|run| (run.journal.clone(), run)).collect();
    let last = in_true_order(runs.keys().cloned().collect()).pop();
    Ok(last.and_then(|journal| runs.remove(&journal)))
}

/// Whether the folder with this name holds runs of the unit. Records from before serial numbers were normalised may
/// have it in small letters.
pub fn is_folder_of(name: &str, serial: &str) -> bool {
    name == safe_name(serial) || unit_name(name) == unit_name(serial)
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

    #[test]
    fn a_unit_s_folders_whatever_the_case_of_their_names() {
        for (name, serial, same) in [
            ("P042AN0000DEMO1", "P042AN0000DEMO1", true),
            ("p042an0000demo1", "P042AN0000DEMO1", true),
            ("P042AN0000DEMO1", "p042an0000demo1", true),
            ("P042AN0000DEMO2", "P042AN0000DEMO1", false),
            ("golden", "golden", true),
            // No serial number: another name is another unit.
            ("golden", "Golden", false),
        ] {
            assert_eq!(is_folder_of(name, serial), same, "{name} {serial}");
        }
        let spaced = "a b";
        assert!(is_folder_of(&safe_name(spaced), spaced));
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
