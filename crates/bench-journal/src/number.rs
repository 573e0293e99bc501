//! Numbers of runs: a file next to the journals that only grows.
//!
//! A line is the series and the number, appended and forced to the disk before the run begins. A power cut loses the
//! last line at most, together with the run that would have had it. If the file is lost, the journals show how far the
//! numbers went.

use crate::filesystem::sync_folder;
use crate::folder::{journals_in, start_of};
use bench_run::RunOrder;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Name of the file in the folder of reports.
pub const NUMBER_FILE: &str = "run-numbers";

/// How much of the end of the file is read, bytes: about a hundred lines.
const TAIL: u64 = 4096;

/// The number of a run, and the series that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunNumber {
    /// Random, drawn for a folder without runs.
    pub series: String,
    /// From 1.
    pub number: u64,
}

impl RunNumber {
    fn parse(line: &str) -> Option<Self> {
        let (series, number) = line.strip_suffix('\n')?.split_once(' ')?;
        let is_series = series.len() == 16 && series.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_series.then_some(Self { series: series.to_owned(), number: number.parse().ok()? })
    }
}

/// Takes the next number. Programs that share the folder wait for each other.
/// `unit` is the folder of the unit: if the file is an older copy, a retest still comes after the runs that are there.
pub(crate) fn take(reports_root: &Path, unit: &Path) -> io::Result<RunNumber> {
    let path = reports_root.join(NUMBER_FILE);
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
    file.lock()?;
    let next = match last(&mut file)? {
        Some(RunNumber { series, number }) => {
            let of_unit =
                orders(unit)?.into_iter().filter(|order| order.series.as_ref().is_none_or(|of| *of == series));
            let highest = of_unit.map(|order| order.number).max().unwrap_or(0);
            RunNumber { series, number: number.max(highest).saturating_add(1) }
        }
        None => after_journals(reports_root)?,
    };
    // The line end before it closes a torn line.
    let torn = ends_torn(&mut file)?;
    let line = format!("{}{} {}\n", if torn { "\n" } else { "" }, next.series, next.number);
    file.write_all(line.as_bytes())?;
    file.sync_data()?;
    if next.number == 1 {
        sync_folder(reports_root)?;
    }
    Ok(next)
}

/// Returns the highest number of the lines at the end. A copy that was continued may hold several series: the last one
/// counts.
fn last(file: &mut File) -> io::Result<Option<RunNumber>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let text = String::from_utf8_lossy(&tail);
    let lines: Vec<RunNumber> = text.split_inclusive('\n').filter_map(RunNumber::parse).collect();
    let series = lines.last().map(|last| last.series.clone());
    Ok(lines.into_iter().filter(|line| Some(&line.series) == series.as_ref()).max_by_key(|line| line.number))
}

fn ends_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut end = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut end)?;
    Ok(end != *b"\n")
}

/// What the journals below a folder say of their order.
fn orders(folder: &Path) -> io::Result<Vec<RunOrder>> {
    Ok(journals_in(folder)?.into_iter().filter_map(|journal| start_of(&journal)?.order).collect())
}

/// Continues the series of the journals, or begins one.
fn after_journals(reports_root: &Path) -> io::Result<RunNumber> {
    let highest = orders(reports_root)?.into_iter().max_by_key(|order| order.number);
    let series = highest.as_ref().and_then(|order| order.series.clone());
    Ok(RunNumber {
        // Random in every process, without a generator of our own.
        series: series.unwrap_or_else(|| format!("{:016x}", RandomState::new().hash_one(reports_root))),
        number: highest.map_or(1, |order| order.number.saturating_add(1)),
    })
}

/// Removes the file of a folder whose only run was discarded, so that the folder is as it was.
pub(crate) fn forget_first(reports_root: &Path) {
    let path = reports_root.join(NUMBER_FILE);
    let only_first = fs::read_to_string(&path).is_ok_and(|text| {
        let mut lines = text.split_inclusive('\n').filter_map(RunNumber::parse);
        lines.next().is_some_and(|first| first.number == 1) && lines.next().is_none()
    });
    if only_first {
        // The folder may be in use: a number that stays only leaves a gap.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_run::{BenchKind, BenchTime, Event};

    #[test]
    fn numbers_only_grow() {
        let folder = tempfile::tempdir().unwrap();
        let (root, path) = (folder.path(), folder.path().join(NUMBER_FILE));
        let first = take(root, root).unwrap();
        assert_eq!(first.number, 1);
        assert_eq!(take(root, root).unwrap(), RunNumber { number: 2, ..first.clone() });
        // Each is what a power cut may leave.
        for torn in ["", "12", "0123456789abcdef 99999", "\0\0\0\0"] {
            let before = take(root, root).unwrap().number;
            OpenOptions::new().append(true).open(&path).unwrap().write_all(torn.as_bytes()).unwrap();
            assert_eq!(take(root, root).unwrap(), RunNumber { number: before + 1, ..first.clone() }, "{torn:?}");
        }
        fs::write(&path, "0123456789abcdef 18446744073709551615\n").unwrap();
        assert_eq!(take(root, root).unwrap().number, u64::MAX, "no number is beyond it");
        fs::write(&path, "nonsense\n").unwrap();
        assert_eq!(take(root, root).unwrap().number, 1, "no journal shows more");
    }

    #[test]
    fn two_programs_never_share_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let take_some = || (0..25).map(|_| take(root, root).unwrap().number).collect::<Vec<_>>();
        let mut numbers: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take_some)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
    }

    #[test]
    fn an_older_copy_of_the_file_puts_no_retest_before_its_first_test() {
        let folder = tempfile::tempdir().unwrap();
        let record = |serial: &str| {
            let mut journal = crate::Journal::create(folder.path(), serial, "run").unwrap();
            let number = journal.number().unwrap().clone();
            let order = RunOrder { number: number.number, series: Some(number.series), ..RunOrder::default() };
            let started = Event::RunStarted {
                run_id: "run".to_owned(),
                serial: serial.to_owned(),
                model: "b404x".to_owned(),
                started_at: None,
                order: Some(Box::new(order)),
                bench: Box::new(BenchKind::Virtual { seed: 1, faults: Vec::new() }),
                lot: None,
                diagnosis: None,
                provenance: Box::default(),
                steps: Vec::new(),
            };
            journal.append(BenchTime(0), started).unwrap();
            journal.verify().wait_at_most(std::time::Duration::from_secs(60)).unwrap();
            number.number
        };
        let path = folder.path().join(NUMBER_FILE);
        assert_eq!(record("a"), 1);
        let older = fs::read(&path).unwrap();
        assert_eq!((record("b"), record("a")), (2, 3));
        fs::write(&path, older).unwrap();
        assert_eq!(record("a"), 4);
        fs::remove_file(&path).unwrap();
        assert_eq!(record("c"), 5);
    }
}
