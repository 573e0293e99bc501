//! One judgement for all, seals that are kept, and the true order of runs.

use bench_journal::{Finding, judge, parse, to_bytes};
use bench_run::{BenchKind, Entry, Event, RunOrder, Verdict, WallClock};
use bench_store::synthetic::Production;
use bench_store::{Alarm, AlarmKind, Filter, Ledger, Store, add, examine, examine_file, ledger_of, overview, rebuild};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

const SMALL: Production = Production { steps: 4, per_step: 3, units_a_day: 10, bad_per_mille: 300 };

fn write(reports: &Path, path: &str, bytes: &[u8]) -> PathBuf {
    let path = reports.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn write_runs(reports: &Path, numbers: std::ops::Range<u64>) -> Vec<PathBuf> {
    let runs = numbers.map(|number| SMALL.journal(number));
    runs.map(|(path, bytes)| write(reports, &path, &bytes)).collect()
}

/// Changes something in a journal and seals it again, as somebody would who knows the format.
fn forge(mut entries: Vec<Entry>, at: usize, how: u8) -> Vec<u8> {
    let at = at % entries.len();
    let next = (at + 1).min(entries.len() - 1);
    match how % 9 {
        0 => drop(entries.remove(at)),
        1 => entries.insert(at, entries[at].clone()),
        2 => entries.swap(at, next),
        3 => entries.truncate(at),
        _ => match &mut entries[at].event {
            Event::Measured { measurement, .. } if how.is_multiple_of(2) => measurement.value = Some(f64::from(how)),
            Event::Measured { measurement, .. } => measurement.verdict = Verdict::Fail,
            Event::StepEnded { verdict, .. } => *verdict = Verdict::Pass,
            Event::StepStarted { attempt, .. } => *attempt = attempt.wrapping_add(how),
            Event::SafeState { confirmed, .. } => *confirmed = how.is_multiple_of(2),
            Event::RunEnded { verdict, tally, .. } => {
                (*verdict, tally.passed) = (Verdict::Pass, tally.passed + usize::from(how % 2));
            }
            Event::RunStarted { steps, .. } => steps[0].attempts = Some(how % 3),
            _ => {}
        },
    }
    for (seq, entry) in entries.iter_mut().enumerate() {
        entry.seq = seq as u64;
    }
    to_bytes(&entries)
}

#[test]
fn a_thousand_forged_journals_are_judged_the_same_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, store) = (folder.path().join("reports"), folder.path().join("s.sqlite"));
    let mut expected = Vec::new();
    for number in 0..1000_u64 {
        let (path, bytes) = SMALL.journal(number);
        let forged = forge(parse(&bytes).unwrap().entries, (number * 7) as usize, (number / 3) as u8);
        let journal = write(&reports, &path, &forged);
        expected.push((path, judge(&forged), examine_file(&journal)));
    }
    let ingested = rebuild(&reports, &store).unwrap();
    let taken: Vec<String> =
        Store::open(&store).unwrap().runs(&Filter::default()).unwrap().iter().map(|run| run.path.to_string()).collect();
    let mut counts = [0; 3];
    for (path, judgement, examined) in expected {
        counts[judgement.finding as usize] += 1;
        let refused = ingested.refused.iter().any(|(journal, _)| journal.ends_with(&path));
        let empty = judgement.is_empty();
        assert_eq!(refused, judgement.finding == Finding::DoesNotHold, "{path}: {:?}", judgement.reasons);
        assert_eq!(taken.contains(&path), !refused && !empty, "{path}");
        assert_eq!(examined.judgement.finding, judgement.finding);
        if judgement.finding == Finding::DoesNotHold {
            // `bench report` shows it, never as a pass.
            assert!(
                examined.record.as_ref().is_none_or(|record| !matches!(record.verdict, Verdict::Pass | Verdict::Fail))
            );
        }
        assert_eq!(examined.usable().is_ok(), !refused && !empty, "what an export writes");
    }
    assert!(counts.iter().all(|count| *count > 50), "held, did not, cannot tell: {counts:?}");
}

#[test]
fn a_changed_a_removed_and_a_forged_run_raise_alarms_until_they_are_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, store) = (folder.path().join("reports"), folder.path().join("s.sqlite"));
    let runs = write_runs(&reports, 0..6);
    assert_eq!(add(&reports, &store).unwrap().alarms, []);

    fs::remove_file(&runs[0]).unwrap();
    let other = SMALL.journal(100).1;
    fs::write(&runs[1], other).unwrap();
    // A failure becomes a pass, with every hash made again.
    let mut entries = parse(&fs::read(&runs[2]).unwrap()).unwrap().entries;
    entries.iter_mut().for_each(|entry| {
        if let Event::RunStarted { serial, .. } = &mut entry.event {
            serial.push('X');
        }
    });
    fs::write(&runs[2], to_bytes(&entries)).unwrap();
    // A single byte.
    let mut bytes = fs::read(&runs[3]).unwrap();
    bytes[100] ^= 1;
    fs::write(&runs[3], bytes).unwrap();
    // A move is none.
    let moved = reports.join("moved/run-4/journal.jsonl");
    fs::create_dir_all(moved.parent().unwrap()).unwrap();
    fs::rename(&runs[4], &moved).unwrap();

    let kinds = |alarms: &[Alarm]| alarms.iter().map(|alarm| alarm.kind).collect::<Vec<_>>();
    let expected = [AlarmKind::Removed, AlarmKind::Changed, AlarmKind::Changed, AlarmKind::Changed];
    assert_eq!(kinds(&add(&reports, &store).unwrap().alarms), expected);
    // They stay: after another look, and after the store was made again.
    assert_eq!(kinds(&add(&reports, &store).unwrap().alarms), expected);
    fs::remove_file(&store).unwrap();
    let alarms = rebuild(&reports, &store).unwrap().alarms;
    assert_eq!(kinds(&alarms), expected);

    let ledger = Ledger::open(&ledger_of(&store)).unwrap();
    assert_eq!(ledger.acknowledge(Some("nobody"), "ann", "looked").unwrap(), 0);
    assert_eq!(ledger.acknowledge(Some(&alarms[0].serial), "ann", "moved to the archive").unwrap(), 1);
    assert_eq!(ledger.alarms().unwrap(), alarms[1..]);
    assert_eq!(ledger.acknowledge(None, "ann", "a test").unwrap(), 3);
    assert_eq!(add(&reports, &store).unwrap().alarms, []);
}

#[test]
fn a_record_with_a_serial_number_in_small_letters_is_of_the_same_unit() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, store) = (folder.path().join("reports"), folder.path().join("s.sqlite"));
    const UNIT: &str = "P042AN000000001";
    for (number, named) in [(1, UNIT), (2, "p042an000000001"), (3, "P042AN000000003")] {
        let mut entries = SMALL.entries(number);
        if let Event::RunStarted { serial, .. } = &mut entries[0].event {
            named.clone_into(serial);
        }
        let run = reports.join(named).join(format!("run-{number}"));
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join("journal.jsonl"), to_bytes(&entries)).unwrap();
    }
    assert_eq!(add(&reports, &store).unwrap().new, 3);
    for asked in [UNIT, "p042an000000001"] {
        let filter = Filter { serial: Some(asked.to_owned()), ..Filter::default() };
        let open = Store::open(&store).unwrap();
        let serials: Vec<String> = open.runs(&filter).unwrap().iter().map(|run| run.serial.to_string()).collect();
        assert_eq!(serials, [UNIT, UNIT], "{asked}");
        let question = bench_store::Question { filter, ..bench_store::Question::default() };
        assert_eq!(overview(&open, &question).unwrap().total.runs, 2, "{asked}");
    }
    // Whichever way the unit is named, its alarms are meant.
    fs::remove_dir_all(reports.join("p042an000000001")).unwrap();
    assert_eq!(add(&reports, &store).unwrap().alarms.len(), 1);
    let ledger = Ledger::open(&ledger_of(&store)).unwrap();
    assert_eq!(ledger.acknowledge(Some(UNIT), "ann", "looked").unwrap(), 1);
}

/// A run of a station: its number, and what its clock says.
fn placed(number: u64, day: Option<i64>, synchronised: bool, fails: bool) -> Vec<u8> {
    let wanted = |entries: &[Entry]| {
        let Some(Event::RunEnded { verdict, .. }) = entries.last().map(|entry| &entry.event) else { return false };
        (*verdict == Verdict::Fail) == fails
    };
    let mut entries = (0..).map(|at| SMALL.entries(at)).find(|entries| wanted(entries)).unwrap();
    let Event::RunStarted { serial, run_id, order, started_at, bench, .. } = &mut entries[0].event else { panic!() };
    (*serial, *run_id) = (format!("unit-{}", number % 4), format!("run-{number}"));
    **bench = BenchKind::Real { station: "s".to_owned(), nest: None, fixture_serial: None, overdue: Vec::new() };
    let clock =
        if synchronised { WallClock::Synchronised { by: "ntp".to_owned() } } else { WallClock::NotSynchronised };
    *order = Some(Box::new(RunOrder { number, clock: Some(clock), ..RunOrder::default() }));
    *started_at = day.map(|day| format!("2026-{:02}-{:02}T10:00:00Z", 1 + day / 28, 1 + day % 28));
    to_bytes(&entries)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever the clocks did and in whatever order the files were copied: the answers are those of the true order.
    #[test]
    fn clocks_and_copies_change_no_figure(
        runs in prop::collection::vec((prop::option::of(0..300_i64), any::<bool>(), any::<bool>()), 1..16),
        order in any::<u64>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let question = bench_store::Question::default();
        let figures = |name: &str, names: Vec<usize>, clocks: bool| {
            let (reports, store) = (folder.path().join(name), folder.path().join(format!("{name}.sqlite")));
            for at in names {
                let (day, synchronised, fails) = runs[at];
                let bytes = match clocks {
                    true => placed(at as u64 + 1, day, synchronised, fails),
                    false => placed(at as u64 + 1, None, true, fails),
                };
                // Another name in the copy, so that no path decides either.
                write(&reports, &format!("unit-{}/{name}-{}/journal.jsonl", (at + 1) % 4, at * 7 % 16), &bytes);
                let _ = add(&reports, &store).unwrap();
            }
            let store = Store::open(&store).unwrap();
            let listed: Vec<String> =
                store.runs(&Filter::default()).unwrap().iter().map(|run| run.run_id.to_string()).collect();
            let found = overview(&store, &question).unwrap();
            let latest = bench_journal::latest(&reports, None).unwrap().unwrap();
            let latest = examine_file(&latest.journal).record.unwrap().run_id;
            (listed, found.total, latest, found.measurements.iter().map(|row| row.capability).collect::<Vec<_>>())
        };
        let straight: Vec<usize> = (0..runs.len()).collect();
        let mut shuffled = straight.clone();
        let mut state = order;
        shuffled.sort_by_cached_key(|_| { state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99); state });
        let expected = figures("true", straight, false);
        prop_assert_eq!(&expected.2, &format!("run-{}", runs.len()));
        prop_assert_eq!(figures("copy", shuffled, true), expected);
    }
}

#[test]
fn an_empty_journal_is_named_and_is_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, store) = (folder.path().join("reports"), folder.path().join("s.sqlite"));
    write_runs(&reports, 0..2);
    let empty = write(&reports, "P042/empty/journal.jsonl", b"");
    let torn = write(&reports, "P042/torn/journal.jsonl", b"{\"v\":2,\"seq\":0,\"at_us\"");
    let ingested = add(&reports, &store).unwrap();
    assert_eq!((ingested.new, ingested.refused.len()), (2, 0));
    assert_eq!(ingested.empty, [empty.clone(), torn]);
    assert_eq!(
        examine_file(&empty).usable().unwrap_err().reason,
        "the journal is empty: the power failed before the run began; no unit was tested"
    );
    assert!(examine(b"").record.is_none());
}
