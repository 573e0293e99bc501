//! What the store says is what the journals say.
#![allow(clippy::unwrap_used)] // all of it is test code

use bench_journal::to_bytes;
use bench_run::{BenchTime, Entry, Event, Verdict};
use bench_store::synthetic::Production;
use bench_store::{Facts, Filter, Shapes, Store, add, rebuild};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

const SMALL: Production = Production { steps: 4, per_step: 3, units_a_day: 10, bad_per_mille: 300 };

fn write(reports: &Path, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let (path, bytes) = SMALL.journal(number);
        let path = reports.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Same facts by the long way and by the quick one; the bytes decide which is taken.
fn both(bytes: &[u8]) {
    let shapes = Shapes::default();
    match (Facts::read(bytes, &shapes), Facts::read_any(bytes, &shapes)) {
        (Ok(quick), Ok(long)) => {
            let bits = |facts: &Facts| facts.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&quick), bits(&long));
            let without = |facts: Facts| Facts { values: Vec::new(), ..facts };
            assert_eq!(without(quick), without(long));
        }
        (quick, long) => assert_eq!(quick.map_err(|e| e.to_string()), long.map_err(|e| e.to_string())),
    }
}

#[test]
fn both_ways_through_a_journal_give_the_same() {
    let mut verdicts = Vec::new();
    for number in 0..40 {
        let (_, bytes) = SMALL.journal(number);
        both(&bytes);
        verdicts.push(Facts::read(&bytes, &Shapes::default()).unwrap().verdict);
        both(&bytes[..bytes.len() / 2]);
    }
    assert!(verdicts.contains(&Verdict::Pass) && verdicts.contains(&Verdict::Fail));
    for name in ["pass", "fail", "pass-2", "fail-2"] {
        both(&fs::read(Path::new("../../reports/golden").join(name).join("journal.jsonl")).unwrap());
    }
}

/// Takes one line out, doubles it, swaps it with the next, or changes what it says; then seals the journal anew.
fn tamper(mut entries: Vec<Entry>, at: usize, how: u8) -> Vec<Entry> {
    let at = at % entries.len();
    match how % 6 {
        0 => drop(entries.remove(at)),
        1 => entries.insert(at, entries[at].clone()),
        2 if at + 1 < entries.len() => entries.swap(at, at + 1),
        3 => entries.truncate(at),
        _ => match &mut entries[at].event {
            Event::Measured { measurement, .. } if how % 6 == 4 => measurement.value = None,
            Event::Measured { measurement, .. } => measurement.limits.max = Some(1e9),
            Event::StepEnded { verdict, .. } => *verdict = Verdict::Fail,
            Event::SafeState { confirmed, .. } => *confirmed = false,
            Event::StepStarted { attempt, .. } => *attempt = 2,
            Event::RunEnded { tally, .. } if how % 6 == 4 => tally.passed += 1,
            Event::RunEnded { verdict, .. } => *verdict = Verdict::Pass,
            Event::RunStarted { steps, .. } => steps[1].promised[0].limits.min = None,
            _ => {}
        },
    }
    for (seq, entry) in entries.iter_mut().enumerate() {
        (entry.seq, entry.at_us) = (seq as u64, BenchTime(seq as u64));
    }
    entries
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// A pass in the store follows from the journal, even when somebody made the journal's hashes anew.
    #[test]
    fn no_tampering_takes_the_quick_way(number in 0..30_u64, at in any::<usize>(), how in any::<u8>()) {
        both(&to_bytes(&tamper(SMALL.entries(number), at, how)));
    }
}

#[test]
fn rebuilding_and_adding_come_to_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path().join("reports");
    let (first, second) = (folder.path().join("a.sqlite"), folder.path().join("b.sqlite"));
    write(&reports, 0..30);
    assert_eq!(add(&reports, &first).unwrap().new, 30);
    write(&reports, 30..50);
    let added = add(&reports, &first).unwrap();
    assert_eq!((added.new, added.unchanged, added.replaced), (20, 30, 0));
    assert_eq!(rebuild(&reports, &second).unwrap().new, 50);

    let content = |path: &Path| {
        let store = Store::open(path).unwrap();
        let mut runs = store.runs(&Filter::default()).unwrap();
        let mut readings = Vec::new();
        store
            .readings(&runs, |run, values| {
                let bits: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
                readings.push((run.serial.clone(), bits));
            })
            .unwrap();
        let mut faults = store.faults(&Filter::default()).unwrap();
        faults.iter_mut().for_each(|fault| {
            fault.run = runs.iter().position(|run| run.id == fault.run).unwrap() as i64;
        });
        faults.sort_by_key(|fault| (fault.run, fault.step, fault.counts));
        runs.iter_mut().for_each(|run| run.id = 0);
        (runs, readings, faults)
    };
    let (one, two) = (content(&first), content(&second));
    assert!(one == two, "{} and {} runs differ", one.0.len(), two.0.len());
    assert_eq!((one.0.len(), one.1.len(), one.1[0].1.len()), (50, 50, 12));
    assert!(!one.2.is_empty());
    assert!(one.0.is_sorted_by_key(|run| run.started_us));
}

#[test]
fn what_changes_on_disk_changes_in_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, store) = (folder.path().join("reports"), folder.path().join("s.sqlite"));
    write(&reports, 0..6);
    let path = |number| reports.join(SMALL.journal(number).0);
    let whole = fs::read(path(1)).unwrap();
    // Still being written; changed afterwards; gone; the same run in another place; no journal at all.
    fs::write(path(1), &whole[..whole.len() / 2]).unwrap();
    add(&reports, &store).unwrap();
    let finished = |serial: &str| {
        let filter = Filter { serial: Some(serial.to_owned()), ..Filter::default() };
        Store::open(&store).unwrap().runs(&filter).unwrap().iter().map(|run| run.verdict).collect::<Vec<_>>()
    };
    assert_eq!(finished("P042AN000000001"), [Verdict::Error]);
    fs::write(path(1), &whole).unwrap();
    let mut changed = fs::read(path(2)).unwrap();
    let at = changed.len() / 2;
    changed[at] ^= 1;
    fs::write(path(2), changed).unwrap();
    fs::remove_file(path(3)).unwrap();
    fs::create_dir_all(reports.join("copy/run")).unwrap();
    fs::copy(path(4), reports.join("copy/run/journal.jsonl")).unwrap();
    fs::create_dir_all(reports.join("junk/run")).unwrap();
    fs::write(reports.join("junk/run/journal.jsonl"), "no journal\n").unwrap();
    let again = add(&reports, &store).unwrap();
    assert_eq!((again.new, again.replaced, again.doubles, again.forgotten, again.unchanged), (0, 1, 1, 2, 3));
    let refused: Vec<&str> = again.refused.iter().map(|(_, why)| why.split(':').next().unwrap()).collect();
    assert_eq!(refused.len(), 2, "{:?}", again.refused);
    assert_ne!(finished("P042AN000000001"), [Verdict::Error]);
    assert!(finished("P042AN000000002").is_empty() && finished("P042AN000000003").is_empty());
}

#[test]
fn runs_are_chosen_by_every_property() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, path) = (folder.path().join("reports"), folder.path().join("s.sqlite"));
    write(&reports, 0..40);
    rebuild(&reports, &path).unwrap();
    let store = Store::open(&path).unwrap();
    let some = |text: &str| Some(text.to_owned());
    let rows: [(Filter, usize); 8] = [
        (Filter::default(), 40),
        (Filter { model: some("b404x"), ..Filter::default() }, 14),
        (Filter { plan: some("b524"), ..Filter::default() }, 13),
        (Filter { station: some("line-1"), ..Filter::default() }, 15),
        (Filter { nest: some("4"), ..Filter::default() }, 9),
        (Filter { lot: some("lot-1"), ..Filter::default() }, 0),
        (Filter { from: some("2026-01-02"), to: some("2026-01-03"), ..Filter::default() }, 20),
        (Filter { model: some("x' OR 1 --"), ..Filter::default() }, 0),
    ];
    for (filter, expected) in rows {
        let expected_by_hand = (0..40).map(|n| Facts::read(&SMALL.journal(n).1, &Shapes::default()).unwrap());
        let fits = |facts: &Facts| {
            filter.model.as_ref().is_none_or(|model| *model == facts.model)
                && filter.plan.as_ref().is_none_or(|plan| *plan == facts.plan)
                && filter.station.as_ref().is_none_or(|station| facts.station.as_ref() == Some(station))
                && filter.nest.as_ref().is_none_or(|nest| facts.nest.as_ref() == Some(nest))
                && filter.lot.as_ref().is_none_or(|lot| facts.lot.as_ref() == Some(lot))
                && filter.from.as_ref().is_none_or(|day| facts.started_at.as_ref().unwrap()[..10] >= **day)
                && filter.to.as_ref().is_none_or(|day| facts.started_at.as_ref().unwrap()[..10] <= **day)
        };
        let by_hand = expected_by_hand.filter(fits).count();
        assert_eq!((store.runs(&filter).unwrap().len(), by_hand), (expected, expected), "{filter:?}");
    }
}

#[test]
fn a_store_that_is_none_is_refused_and_a_failed_rebuild_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    assert!(Store::open(&path).unwrap_err().to_string().contains("there is no store here"));
    fs::write(&path, "not a database, but long enough to be looked at as one").unwrap();
    assert!(Store::open(&path).is_err());
    fs::remove_file(&path).unwrap();
    let reports = folder.path().join("reports");
    write(&reports, 0..3);
    rebuild(&reports, &path).unwrap();
    assert!(rebuild(&folder.path().join("nowhere"), &path).is_err());
    assert_eq!(Store::open(&path).unwrap().runs(&Filter::default()).unwrap().len(), 3);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
