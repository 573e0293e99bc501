//! The store agrees with the journals.
#![allow(clippy::unwrap_used)] // all of it is test code

mod exports;
mod figures;
mod power_cuts;
mod records;

use bench_journal::to_bytes;
use bench_run::{BenchTime, Contact, Defect, Diagnosis, Entry, Event, LateRecord, Measurement, VOID, Verdict};
use bench_store::synthetic::Production;
use bench_store::{Facts, Filter, Question, Shapes, Store, add, overview, rebuild};
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

/// Both readers return the same facts; the bytes decide which one is used.
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

/// Removes one line, duplicates it, swaps it with the next, or changes its content; then seals the journal again.
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
            Event::StepEnded { late, .. } if how % 6 == 4 => {
                *late = Some(LateRecord { us: at as u64, cause: "disk".to_owned() });
            }
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

    /// A pass in the store follows from the journal, even when its hashes were recomputed.
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
    let (first_content, second_content) = (content(&first), content(&second));
    assert!(first_content == second_content, "{} and {} runs differ", first_content.0.len(), second_content.0.len());
    assert_eq!((first_content.0.len(), first_content.1.len(), first_content.1[0].1.len()), (50, 50, 12));
    assert!(!first_content.2.is_empty());
    assert!(first_content.0.is_sorted_by_key(|run| run.started_us));
}

#[test]
fn what_changes_on_disk_changes_in_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, store) = (folder.path().join("reports"), folder.path().join("s.sqlite"));
    write(&reports, 0..6);
    let path = |number| reports.join(SMALL.journal(number).0);
    let whole = fs::read(path(1)).unwrap();
    // Still being written; changed afterwards; gone; the same run at another place; not a journal.
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
fn a_foreign_file_is_refused_and_a_failed_rebuild_keeps_the_old_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    assert!(Store::open(&path).unwrap_err().to_string().contains("no store exists here"));
    fs::write(&path, "not a database, but long enough to be looked at as one").unwrap();
    assert!(Store::open(&path).is_err());
    fs::remove_file(&path).unwrap();
    let reports = folder.path().join("reports");
    write(&reports, 0..3);
    rebuild(&reports, &path).unwrap();
    assert!(rebuild(&folder.path().join("nowhere"), &path).is_err());
    assert_eq!(Store::open(&path).unwrap().runs(&Filter::default()).unwrap().len(), 3);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "reports, store and seals: {left:?}");
    fs::write(&path, "").unwrap();
    assert!(Store::open(&path).unwrap_err().to_string().contains("the store is empty, as a power cut"));
}

/// Change to the journal of a unit that passed at once.
#[derive(Clone, Copy)]
enum Lateness {
    None,
    /// In a step that passed.
    Noted(u64),
    /// The first attempt at a step is void, and the second passes.
    Void(u64),
    /// After the void attempt the module does not pass, which is the bench's fault; the plan's own repetition passes.
    VoidThenError(u64),
}

/// The third step of [`SMALL`]: its first contact is in no other step.
const LATE_STEP: &str = "step-2";

fn with(entries: &[Entry], what: Lateness) -> Vec<Entry> {
    let record = |us| LateRecord { us, cause: "disk".to_owned() };
    let in_vain: Vec<(String, Option<LateRecord>)> = match what {
        Lateness::None | Lateness::Noted(_) => Vec::new(),
        Lateness::Void(us) => vec![(format!("{VOID}{}", record(us)), Some(record(us)))],
        Lateness::VoidThenError(us) => {
            let (late, why) = (record(us), "P0.volts is 0.1 V");
            vec![
                (format!("{VOID}{late}"), Some(late.clone())),
                (format!("{late} in the first attempt, and the second did not pass: {why}"), None),
            ]
        }
    };
    let mut made = Vec::new();
    let more = u8::try_from(in_vain.len()).unwrap();
    for entry in entries {
        let mut entry = entry.clone();
        match &mut entry.event {
            Event::StepStarted { step, .. } if step == LATE_STEP => {
                for (attempt, (reason, late)) in (1..).zip(&in_vain) {
                    made.extend(attempt_in_vain(entries, attempt, reason, late.clone()));
                }
            }
            Event::StepEnded { step, late, .. } if step == LATE_STEP => {
                if let Lateness::Noted(us) = what {
                    *late = Some(record(us));
                }
            }
            _ => {}
        }
        match &mut entry.event {
            Event::StepStarted { step, attempt }
            | Event::Measured { step, attempt, .. }
            | Event::StepEnded { step, attempt, .. }
                if step == LATE_STEP =>
            {
                *attempt += more;
            }
            _ => {}
        }
        made.push(entry);
    }
    for (seq, entry) in made.iter_mut().enumerate() {
        (entry.seq, entry.at_us) = (seq as u64, BenchTime(seq as u64));
    }
    made
}

/// It names contact 7, like the steps of [`Production`] that find an open contact.
fn attempt_in_vain(entries: &[Entry], attempt: u8, reason: &str, late: Option<LateRecord>) -> Vec<Entry> {
    let step = || LATE_STEP.to_owned();
    let diagnosis = Diagnosis { defect: Defect::Open, contacts: vec![Contact(7)], text: "contact 7: open".to_owned() };
    let taken = entries.iter().find_map(|entry| match &entry.event {
        Event::Measured { step, measurement, .. } if step == LATE_STEP => Some(measurement.clone()),
        _ => None,
    });
    let measurement = Measurement { value: Some(0.1), verdict: Verdict::Fail, ..taken.unwrap() };
    let events = [
        Event::StepStarted { step: step(), attempt },
        Event::Measured { step: step(), attempt, measurement },
        Event::Diagnosed { step: step(), attempt, diagnosis },
        Event::StepEnded {
            step: step(),
            attempt,
            verdict: Verdict::Error,
            reason: Some(reason.to_owned()),
            procedure: Some(Verdict::Error),
            retried: true,
            late,
        },
    ];
    let entry = |event| Entry { v: bench_run::JOURNAL_FORMAT, seq: 0, at_us: BenchTime::ZERO, event };
    events.map(entry).to_vec()
}

/// Entries of units that passed, each step at its first attempt.
fn good_units() -> impl Iterator<Item = Vec<Entry>> {
    (0..).map(|number| SMALL.entries(number)).filter(|entries| {
        let facts = Facts::read_any(&to_bytes(entries), &Shapes::default()).unwrap();
        facts.first_pass()
    })
}

#[test]
fn a_late_controller_is_not_the_module_s_fault() {
    let good = good_units().next().unwrap();
    // Lateness of the run, void attempts.
    let rows = [
        (Lateness::None, None, 0),
        (Lateness::Noted(7_000), Some(7_000), 0),
        (Lateness::Noted(20_000), Some(20_000), 0),
        (Lateness::Void(640_000), Some(640_000), 1),
        (Lateness::VoidThenError(30_000), Some(30_000), 2),
    ];
    for (what, late, voids) in rows {
        let bytes = to_bytes(&with(&good, what));
        both(&bytes);
        let facts = Facts::read(&bytes, &Shapes::default()).unwrap();
        assert_eq!((facts.verdict, &facts.reason), (Verdict::Pass, &None));
        assert!(facts.first_pass());
        assert_eq!((facts.late.as_ref().map(|late| late.us), facts.voids), (late, voids));
        assert_eq!(facts.faults, [], "contacts in a void attempt are not faults");
        assert!(facts.values.iter().all(|value| value.is_finite()));
        let counted: Vec<_> = facts.steps.iter().map(|step| (step.first, step.last, step.attempts)).collect();
        assert_eq!(counted, vec![(Some(Verdict::Pass), Some(Verdict::Pass), 1); SMALL.steps]);
    }
}

#[test]
fn a_failed_attempt_in_time_still_counts() {
    let rescued = (0..).map(|number| SMALL.entries(number)).find_map(|entries| {
        let facts = Facts::read_any(&to_bytes(&entries), &Shapes::default()).unwrap();
        (facts.verdict == Verdict::Pass && !facts.first_pass()).then_some(facts)
    });
    let rescued = rescued.unwrap();
    let step = rescued.steps.iter().find(|step| step.attempts == 2).unwrap();
    assert_eq!((step.first, step.last), (Some(Verdict::Fail), Some(Verdict::Pass)));
    assert_eq!((rescued.faults.len(), rescued.faults[0].counts, rescued.voids), (1, false, 0));
}

#[test]
fn stations_that_are_often_late_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, path) = (folder.path().join("reports"), folder.path().join("s.sqlite"));
    let rows: [(&str, &[Lateness]); 3] = [
        ("line-1", &[Lateness::None, Lateness::None, Lateness::Noted(7_000)]),
        ("line-2", &[Lateness::None, Lateness::Noted(20_000), Lateness::None, Lateness::Noted(6_000)]),
        ("line-3", &[Lateness::Void(640_000), Lateness::VoidThenError(30_000), Lateness::None]),
    ];
    let mut units = good_units();
    let places = rows.iter().flat_map(|(station, runs)| runs.iter().map(move |what| (*station, *what)));
    for (number, (line, what)) in places.enumerate() {
        let mut entries = units.next().unwrap();
        if let Event::RunStarted { bench, .. } = &mut entries[0].event
            && let bench_run::BenchKind::Real { station, nest, .. } = &mut **bench
        {
            (*station, *nest) = (line.to_owned(), None);
        }
        let run = reports.join(format!("unit/{number}"));
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join(bench_journal::JOURNAL_FILE), to_bytes(&with(&entries, what))).unwrap();
    }
    rebuild(&reports, &path).unwrap();
    let answer = overview(&Store::open(&path).unwrap(), &Question::default()).unwrap();
    let shown: Vec<_> = answer
        .controllers
        .iter()
        .map(|of| (of.place.as_str(), of.runs, of.late, of.voids, of.worst.as_ref().map(|worst| worst.us)))
        .collect();
    let expected =
        [("line-3", 3, 2, 3, Some(640_000)), ("line-2", 4, 1, 0, Some(20_000)), ("line-1", 3, 0, 0, Some(7_000))];
    assert_eq!(shown, expected);
    assert_eq!((answer.total.first_pass, answer.total.rescued_by_retry, answer.total.units), (10, 0, 10));
    assert_eq!(answer.total.defects_per_unit, Some(0.0));
    let retries: Vec<f64> =
        answer.nails.iter().filter(|nail| nail.contact == Contact(7)).map(|nail| nail.trend.retries).collect();
    assert_eq!(retries, [0.0; 3], "a void attempt does not count as a second attempt");
    let late_step = answer.measurements.iter().filter(|stat| stat.step == LATE_STEP);
    let (values, least) = late_step.fold((0, f64::INFINITY), |(values, least), stat| {
        (values + stat.capability.n, least.min(stat.capability.mean))
    });
    assert!(values == 10 * SMALL.per_step as u64 && least > 0.9, "{values} values, least mean {least}");
}

/// What the wear of nails says of a contact after these units, in the order of their tests: `f` fails at contact 23, `g`
/// at contact 24, `p` passes; the number is the unit's.
#[test]
fn a_nail_at_which_modules_fail_one_after_the_other_is_reported() {
    use bench_run::{Limits, MeasurementUnit};
    let rows: [(&str, usize, bool); 7] = [
        ("f1 f2 f3 f4 f5 f6", 6, true),
        ("f1 f2 f3", 3, true),
        ("f1 f2", 2, false),
        ("f1 f1 f1 f2", 2, false),
        ("f1 f2 f3 p4", 0, false),
        ("f1 p1 f2 p2 f3", 3, true),
        ("f1 g2 g3 f4", 2, false),
    ];
    for (units, expected, reported) in rows {
        let folder = tempfile::tempdir().unwrap();
        let (reports, path) = (folder.path().join("reports"), folder.path().join("s.sqlite"));
        for (number, unit) in units.split_whitespace().enumerate() {
            let (what, serial) = unit.split_at(1);
            let good = what == "p";
            let verdict = if good { Verdict::Pass } else { Verdict::Fail };
            let contact = if what == "g" { 24 } else { 23 };
            let (ohms, limits) = (if good { 1.0 } else { 1e6 }, Limits::at_most(5.0));
            let mut run =
                bench_report::builders::RunBuilder::new("b404x", serial).plan(&[("grounds", "continuity", 1)]);
            run = run.step("grounds").value("GND.23", Some(ohms), MeasurementUnit::Ohms, limits, &[23]);
            if !good {
                run = run.diagnosis(Defect::Open, &[contact], "open");
            }
            let mut entries = run.end(verdict).safe().run_end(verdict);
            if let Event::RunStarted { order, started_at, steps, .. } = &mut entries[0].event {
                let (name, unit, contacts) = ("GND.23".to_owned(), MeasurementUnit::Ohms, vec![Contact(23)]);
                steps[0].promised = vec![bench_run::MeasurementSpec { name, unit, limits, contacts }];
                (*order, *started_at) = (None, Some(format!("2026-01-01T00:00:{number:02}Z")));
            }
            for entry in &mut entries {
                match &mut entry.event {
                    Event::StepEnded { procedure, .. } => *procedure = Some(Verdict::Pass),
                    Event::RunEnded { tally, .. } => tally.contacts = 1,
                    _ => {}
                }
            }
            let run = reports.join(format!("{serial}/{number}"));
            fs::create_dir_all(&run).unwrap();
            fs::write(run.join(bench_journal::JOURNAL_FILE), to_bytes(&entries)).unwrap();
        }
        let ingested = rebuild(&reports, &path).unwrap();
        assert!(ingested.refused.is_empty(), "{:?}", ingested.refused);
        let answer = overview(&Store::open(&path).unwrap(), &Question::default()).unwrap();
        let nail = answer.nails.iter().find(|nail| nail.contact == Contact(23)).unwrap();
        let warns = nail.trend.state == bench_stats::NailState::Warn;
        assert_eq!((nail.trend.failed_in_a_row, warns), (expected, reported), "{units}");
    }
}
