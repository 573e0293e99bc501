//! The history of a unit before its test: its runs, from their journals, and who allowed it against the rules, from the
//! operators' log.

use super::log::{self, Row};
use super::rules::UnitPast;
use super::sign_off::{SIGN_OFF_FILE, SignOff, signatures};
use bench_report::RunRecord;
use bench_run::{BenchTime, Provenance, Verdict, unit_name};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Looks up the earlier runs of a unit.
pub trait UnitHistory {
    /// # Errors
    /// Why the history cannot be read. The rules then cannot decide whether the unit may be tested.
    fn past(&self, serial: &str) -> Result<UnitPast, String>;

    /// The last signature of the golden module for this nest, by its number, from 0.
    ///
    /// # Errors
    /// Why the signatures cannot be read.
    fn golden(&self, nest: usize) -> Result<Option<SignOff>, String>;
}

/// Reads the folder of the unit below the reports.
pub struct FolderHistory {
    reports: PathBuf,
    place: StationPlace,
    /// Folders from before serial numbers were normalised. No program makes such folders any more, so that they are
    /// listed once and not at every scan.
    earlier: OnceCell<Vec<PathBuf>>,
}

/// Where golden modules are signed off for.
#[derive(Debug, Clone, Default)]
pub struct StationPlace {
    /// Name of the plan.
    pub plan: String,
    /// Name of the station; `None` for the virtual bench.
    pub station: Option<String>,
    /// Names of the nests, as their records have them; `None` for the virtual bench.
    pub nests: Vec<Option<String>>,
}

impl FolderHistory {
    pub fn new(reports: &Path, place: StationPlace) -> Self {
        Self { reports: reports.to_owned(), place, earlier: OnceCell::new() }
    }

    /// How long the last recorded good unit took with the same plan and fixture.
    pub fn expected(&self, now: &Provenance) -> Option<Duration> {
        let rows = log::read(&self.reports, "\"pass\"").ok()?;
        let passed = rows.iter().rev().filter_map(|row| match row {
            Row::Ended { serial, verdict: Verdict::Pass, .. } => Some(serial),
            _ => None,
        });
        let took = |serial: &String| {
            let record = record(self.journals(serial).ok()?.last()?)?;
            let made_of = record.provenance.as_ref()?;
            let same = (&made_of.plan_sha256, &made_of.plan_parts, &made_of.fixture_sha256)
                == (&now.plan_sha256, &now.plan_parts, &now.fixture_sha256);
            (same && record.verdict == Verdict::Pass).then(|| record.duration_us - BenchTime::ZERO)
        };
        passed.take(RUNS_LOOKED_AT).find_map(took)
    }

    fn earlier(&self) -> io::Result<&[PathBuf]> {
        if let Some(listed) = self.earlier.get() {
            return Ok(listed);
        }
        let mut folders = entries(&self.reports)?;
        folders.retain(|path| unit_name(file_name(path)) != file_name(path));
        Ok(self.earlier.get_or_init(|| folders))
    }

    /// Journals of the unit, in their true order.
    fn journals(&self, serial: &str) -> io::Result<Vec<PathBuf>> {
        let mut runs = Vec::new();
        let name = bench_journal::safe_name(serial);
        let of_unit = |path: &&PathBuf| file_name(path) != name && bench_journal::is_folder_of(file_name(path), serial);
        let earlier = self.earlier()?.iter().filter(of_unit).cloned();
        for unit in std::iter::once(self.reports.join(&name)).chain(earlier) {
            for run in entries(&unit)? {
                let journal = run.join(bench_journal::JOURNAL_FILE);
                match std::fs::metadata(&journal) {
                    Ok(_) => runs.push(journal),
                    // A folder without a journal is no run.
                    Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(bench_journal::in_true_order(runs))
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// What is in a folder; nothing if it does not exist.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(listing) => listing.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// How many runs are searched for the time that a good unit takes.
const RUNS_LOOKED_AT: usize = 10;

fn record(journal: &Path) -> Option<RunRecord> {
    bench_store::examine_file(journal).usable().ok()
}

impl UnitHistory for FolderHistory {
    fn past(&self, serial: &str) -> Result<UnitPast, String> {
        let journals =
            self.journals(serial).map_err(|error| format!("the runs of {serial} cannot be listed: {error}"))?;
        // A journal that cannot be read says as much as one that does not end: the bench could not tell.
        let (mut verdicts, mut judged) = (Vec::new(), BTreeMap::new());
        for run in journals.iter().map(|path| bench_store::examine_file(path).usable()) {
            let run = match run {
                Ok(run) => run,
                // The power failed before the run began: no unit was tested.
                Err(refused) if refused.empty => continue,
                Err(_) => {
                    verdicts.push(Verdict::Error);
                    continue;
                }
            };
            verdicts.push(run.verdict);
            if matches!(run.verdict, Verdict::Pass | Verdict::Fail) {
                judged.insert(run.provenance.map(|made_of| made_of.plan).unwrap_or_default(), run.verdict);
            }
        }
        let rows =
            log::read(&self.reports, serial).map_err(|error| format!("the operators' log cannot be read: {error}"))?;
        let let_in_after = rows
            .iter()
            .filter_map(|row| match row {
                Row::LetIn { serial: of, runs_before, .. } if of == serial => Some(*runs_before),
                _ => None,
            })
            .next_back();
        Ok(UnitPast { verdicts, let_in_after: let_in_after.unwrap_or(0), judged })
    }

    fn golden(&self, nest: usize) -> Result<Option<SignOff>, String> {
        let StationPlace { plan, station, nests } = &self.place;
        let Some(nest) = nests.get(nest) else { return Ok(None) };
        let signed = signatures(&self.reports)
            .map_err(|error| format!("{SIGN_OFF_FILE}, with who signed golden modules off, cannot be read: {error}"))?;
        let is_here = |line: &SignOff| line.plan == *plan && line.station == *station && line.nest == *nest;
        Ok(signed.into_iter().rfind(is_here))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;

    fn run(reports: &Path, serial: &str, name: &str, ends: bool) {
        let started = bench_report::builders::RunBuilder::new("b404x", serial)
            .plan(&[("supply", "supply", 1)])
            .step("supply")
            .volts("3V3.volts", 9.0, 3.2, 3.4);
        let entries = if ends { started.end(Verdict::Fail).safe().run_end(Verdict::Fail) } else { started.torn() };
        let folder = reports.join(serial).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(bench_journal::JOURNAL_FILE), bench_journal::to_bytes(&entries)).unwrap();
        let judgement = bench_journal::judge_file(&folder);
        assert_ne!(judgement.finding, bench_journal::Finding::DoesNotHold, "{:?}", judgement.reasons);
    }

    #[test]
    fn a_record_with_small_letters_is_of_the_same_unit() {
        const UNIT: &str = "P042AN0000DEMO1";
        let folder = tempfile::tempdir().unwrap();
        let reports = folder.path();
        run(reports, "p042an0000demo1", "r", true);
        run(reports, UNIT, "r.2", false);
        run(reports, "P042AN0000DEMO2", "r", true);
        let past = FolderHistory::new(reports, StationPlace::default()).past(UNIT).unwrap();
        let count = |verdict| past.verdicts.iter().filter(|past| **past == verdict).count();
        assert_eq!((past.verdicts.len(), count(Verdict::Fail), count(Verdict::Error)), (2, 1, 1));
    }

    #[test]
    fn a_unit_s_past_is_its_own_runs_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let reports = folder.path();
        let history = FolderHistory::new(reports, StationPlace::default());
        assert_eq!(history.past("A"), Ok(UnitPast::default()));
        run(reports, "A", "r", true);
        run(reports, "B", "r", true);
        // A run that died, and something that is none.
        run(reports, "A", "r.2", false);
        std::fs::create_dir(reports.join("A/notes")).unwrap();
        // What a power cut left before the run began.
        for (name, left) in [("cut", ""), ("torn", "{\"v\":2")] {
            std::fs::create_dir(reports.join("A").join(name)).unwrap();
            std::fs::write(reports.join("A").join(name).join(bench_journal::JOURNAL_FILE), left).unwrap();
        }
        std::fs::write(reports.join("A/photo.jpg"), "").unwrap();
        let judged = BTreeMap::from([("end-of-line".to_owned(), Verdict::Fail)]);
        let past = |let_in_after| UnitPast {
            verdicts: vec![Verdict::Fail, Verdict::Error],
            let_in_after,
            judged: judged.clone(),
        };
        assert_eq!(history.past("A"), Ok(past(0)));

        let let_in = |serial: &str, runs_before| Row::LetIn {
            at: "2026-01-01T00:00:00Z".into(),
            serial: serial.into(),
            why: "in-repair".into(),
            operator: None,
            allowed_by: "t1".into(),
            runs_before,
        };
        let mut log = Log::open(reports).unwrap();
        log.append(&let_in("A", 2)).unwrap();
        log.append(&let_in("B", 7)).unwrap();
        assert_eq!(history.past("A"), Ok(past(2)));
    }
}
