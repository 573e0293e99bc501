//! Real files.

use crate::arbitrary::{event, events};
use bench_journal::{
    Durability, Journal, JournalError, MIN_FREE, Progress, find_runs, free_space, latest, parse, read,
};
use bench_run::{
    BenchKind, BenchTime, Entry, Event, JOURNAL_FORMAT, Limits, Measurement, MeasurementUnit, Provenance, RunOrder,
    Tally, Verdict,
};
use proptest::prelude::*;
use std::fs;
use std::time::Duration;

/// Real time that exceeds every test.
const LONG: Duration = Duration::from_secs(60);

fn write(events: &[Event]) -> Vec<u8> {
    let root = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(root.path(), "P042", "r1").unwrap();
    for (index, event) in events.iter().enumerate() {
        journal.append(BenchTime(index as u64 * 7), event.clone()).unwrap();
    }
    settle(&journal);
    fs::read(journal.path()).unwrap()
}

/// Waits until everything is on the disk, and the file is as it was written.
fn settle(journal: &Journal) {
    journal.verify().wait_at_most(LONG).unwrap();
}

fn is_end(event: &Event) -> bool {
    matches!(event, Event::RunEnded { .. })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_what_is_read(events in events()) {
        let bytes = write(&events);
        let run = parse(&bytes).unwrap();
        let back: Vec<Event> = run.entries.iter().map(|entry| entry.event.clone()).collect();
        prop_assert_eq!(&back, &events);
        prop_assert_eq!(run.finished, events.iter().any(is_end));
        prop_assert_eq!(run.torn_bytes, 0);
        for (index, entry) in run.entries.iter().enumerate() {
            prop_assert_eq!((entry.v, entry.seq, entry.at_us), (2, index as u64, BenchTime(index as u64 * 7)));
        }
    }

    #[test]
    fn a_cut_anywhere_leaves_the_whole_entries_before_it(events in prop::collection::vec(event(), 1..4)) {
        let bytes = write(&events);
        let whole = parse(&bytes).unwrap().entries;
        let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').map(|at| at + 1).collect();
        for cut in 0..=bytes.len() {
            let run = parse(&bytes[..cut]).unwrap();
            let expected = ends.iter().filter(|end| **end <= cut).count();
            prop_assert_eq!(&run.entries[..], &whole[..expected], "cut at {}", cut);
            prop_assert_eq!(run.finished, events[..expected].iter().any(is_end));
            prop_assert_eq!(run.torn_bytes, cut - ends[..expected].last().copied().unwrap_or(0));
        }
    }

    #[test]
    fn every_changed_byte_is_found(events in prop::collection::vec(event(), 2..4), with in 1..=255_u8) {
        let bytes = write(&events);
        let last = bytes.len() - 1;
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= with;
            match parse(&changed) {
                Err(_) => {}
                // Without its line end the last line is a torn one, which the reader reports.
                Ok(run) => prop_assert!(at == last && run.torn_bytes > 0, "byte {at} ^ {with} was not found"),
            }
        }
    }

    #[test]
    fn lines_that_are_gone_moved_doubled_or_foreign_are_found(
        events in prop::collection::vec(event(), 3..6), others in prop::collection::vec(event(), 3..6),
        one in any::<prop::sample::Index>(), two in any::<prop::sample::Index>(),
    ) {
        let text = String::from_utf8(write(&events)).unwrap();
        let foreign = String::from_utf8(write(&others)).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let foreign: Vec<&str> = foreign.split_inclusive('\n').collect();
        let (one, two) = (one.index(lines.len()), two.index(lines.len()));
        let mut gone = lines.clone();
        gone.remove(one);
        let mut moved = lines.clone();
        moved.swap(one, two);
        let mut doubled = lines.clone();
        doubled.insert(two, lines[one]);
        let mut replaced = lines.clone();
        replaced[one] = foreign[one.min(foreign.len() - 1)];
        for changed in [gone, moved, doubled, replaced] {
            let Ok(run) = parse(changed.concat().as_bytes()) else { continue };
            // The rest may be a valid beginning: then it has another seal and no end.
            prop_assert!(changed == lines || run.entries.len() < lines.len() || run.seal != parse(text.as_bytes()).unwrap().seal);
            prop_assert!(run.entries.len() >= lines.len() || lines.concat().starts_with(&changed.concat()));
        }
    }

    #[test]
    fn no_bytes_at_all_make_the_reader_panic(bytes in any::<Vec<u8>>()) {
        let _ = parse(&bytes);
    }
}

#[test]
fn refusals_name_the_line() {
    let events = [note("a"), note("b"), note("c")];
    let text = String::from_utf8(write(&events)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let later = r#"{"v":3,"seq":1,"when":"now"}"#;
    let later_same_shape = lines[1].replace("\"v\":2", "\"v\":9");
    let (old, changed) = (lines[1].replace("\"v\":2", "\"v\":1"), lines[1].replace("\"b\"", "\"B\""));
    let rows: [(&str, Vec<&str>, &str); 10] = [
        ("a changed line", vec![lines[0], &changed, lines[2]], "line 2: does not match its checksum"),
        ("an old line", vec![lines[0], &old], "line 2: in format 1, the lines before it in format 2"),
        ("an unchained line", vec![r#"{"v":2,"seq":0,"at_us":0,"event":"note","text":"a"}"#], "line 1: does not match"),
        ("a line is gone", vec![lines[0], lines[2]], "line 2: expected entry 1 and found entry 2"),
        ("a line is double", vec![lines[0], lines[0]], "line 2: expected entry 1 and found entry 0"),
        ("the first line is gone", vec![lines[1]], "line 1: expected entry 0 and found entry 1"),
        ("garbage in the middle", vec![lines[0], "{\"v\":1,\"seq\"", lines[2]], "line 2: not a journal entry"),
        ("an empty line", vec![lines[0], "", lines[1]], "line 2: not a journal entry"),
        ("a later format", vec![lines[0], later], "line 2: written in format 3"),
        ("a later format that looks alike", vec![lines[0], &later_same_shape], "line 2: written in format 9"),
    ];
    for (what, lines, expected) in rows {
        let refusal = parse(format!("{}\n", lines.join("\n")).as_bytes()).unwrap_err().to_string();
        assert!(refusal.starts_with(expected), "{what}: {refusal}");
    }
    assert!(matches!(read(std::path::Path::new("/nowhere/journal.jsonl")), Err(JournalError::Io { .. })));
}

#[test]
fn zeros_behind_the_last_line_are_a_torn_line() {
    // The result of some file systems after a loss of power: the length grew, the data did not arrive.
    let mut bytes = write(&[note("a")]);
    bytes.extend([0; 4096]);
    let run = parse(&bytes).unwrap();
    assert_eq!((run.entries.len(), run.torn_bytes, run.finished), (1, 4096, false));
}

#[test]
fn a_run_is_never_written_over_and_the_last_one_is_found() {
    let root = tempfile::tempdir().unwrap();
    let reports = root.path().join("reports");
    assert_eq!(find_runs(&reports).unwrap(), []);
    assert_eq!(latest(&reports, None).unwrap(), None);
    let mut names = Vec::new();
    for _ in 0..11 {
        let mut journal = Journal::create(&reports, "../P042", "r1").unwrap();
        journal.append(BenchTime(0), note(journal.run_id().to_owned().as_str())).unwrap();
        settle(&journal);
        assert!(journal.folder().starts_with(&reports));
        names.push(journal.run_id().to_owned());
    }
    assert_eq!((names[0].as_str(), names[1].as_str(), names[10].as_str()), ("r1", "r1.2", "r1.11"));
    let other = Journal::create(&reports, "P043", "r1").unwrap();
    fs::write(reports.join("README.md"), "not a run").unwrap();
    fs::create_dir(reports.join("P043").join("empty")).unwrap();

    let mut runs = find_runs(&reports).unwrap();
    runs.rotate_left(1); // "P043" sorts before the name that "../P042" became
    let of_first: Vec<&str> = runs[..11].iter().map(|run| run.run_id.as_str()).collect();
    assert_eq!(of_first, names);
    assert_eq!(runs.len(), 12);
    assert_eq!(read(&runs[3].folder).unwrap(), read(&runs[3].journal).unwrap());

    // Copies and changed clocks give files any time; the order stays that of the numbers.
    let touched = |run: &bench_journal::RunFolder, seconds: u64| {
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::options().append(true).open(&run.journal).unwrap().set_modified(at).unwrap();
    };
    let numbers = [7, 1, 2, 3, 11, 4, 5, 6, 8, 9, 10];
    for (run, number) in runs.iter().zip(numbers) {
        let Event::RunStarted { run_id, serial, model, bench, lot, diagnosis, provenance, steps, .. } = started()
        else {
            panic!()
        };
        let order = Some(Box::new(RunOrder { number, ..RunOrder::default() }));
        // Clocks that went back, or nowhere.
        let started_at = (number % 3 > 0).then(|| format!("20{}-01-01T00:00:00Z", 40 - number));
        let event =
            Event::RunStarted { run_id, serial, model, started_at, order, bench, lot, diagnosis, provenance, steps };
        let entry = Entry { v: JOURNAL_FORMAT, seq: 0, at_us: BenchTime(0), event };
        fs::write(&run.journal, bench_journal::to_bytes(&[entry])).unwrap();
        touched(run, 5000 - number);
    }
    assert_eq!(latest(&reports, Some("../P042")).unwrap().as_ref(), Some(&runs[4]));
    let journals = runs[..11].iter().map(|run| run.journal.clone()).collect();
    assert_eq!(bench_journal::in_true_order(journals).last(), Some(&runs[4].journal));
    assert_eq!(latest(&reports, Some("P043")).unwrap().unwrap().journal, other.path());
    assert_eq!(latest(&reports, Some("P044")).unwrap(), None);
}

#[test]
fn only_lines_that_others_act_on_are_forced() {
    let root = tempfile::tempdir().unwrap();
    let run = || {
        [
            (started(), true),
            (Event::RailSwitched { rail: "3V3".into(), on: true, volts: None }, true),
            (Event::StepStarted { step: "a".into(), attempt: 1 }, false),
            (measured(3.3), false),
            (ended("a", Verdict::Fail, true), false),
            (Event::StepStarted { step: "a".into(), attempt: 2 }, false),
            (ended("a", Verdict::Pass, false), true),
            (ended("b", Verdict::Skipped, false), false),
            (Event::RunEnded { verdict: Verdict::Pass, reason: None, tally: Tally::default() }, true),
        ]
    };
    for durability in [Durability::AtBoundaries, Durability::EveryEntry] {
        let mut journal = Journal::create(root.path(), "P042", "r1").unwrap().with_durability(durability);
        let (mut syncs, mut forced) = (0, 0);
        for (seq, (event, boundary)) in run().into_iter().enumerate() {
            let seq = journal.append(BenchTime(seq as u64), event).unwrap().seq;
            // One at a time, so that no two share a forced write.
            journal.acknowledgement(seq).wait_at_most(LONG).unwrap();
            if boundary || durability == Durability::EveryEntry {
                syncs += 1;
                forced = seq + 1;
            }
            assert_eq!(journal.stats().syncs, syncs, "{durability:?}, line {seq}");
            assert_eq!(journal.progress(), Progress { written: seq + 1, forced }, "{durability:?}");
        }
        settle(&journal);
        let stats = journal.stats();
        assert_eq!((stats.lines, stats.syncs), (9, syncs), "the end of the run was forced already");
        assert_eq!(stats.bytes, fs::metadata(journal.path()).unwrap().len());
        let read = read(journal.path()).unwrap();
        assert!(journal.entries().iter().map(|entry| &**entry).eq(&read.entries));
        assert_eq!(journal.seal(), read.seal);
    }
}

#[test]
fn numbers_without_a_json_word_end_the_journal() {
    let root = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(root.path(), "P042", "r1").unwrap();
    journal.append(BenchTime(0), note("a")).unwrap();
    assert!(journal.append(BenchTime(1), measured(f64::NAN)).is_err());
    assert!(journal.append(BenchTime(2), note("b")).is_err(), "a failed journal stays failed");
    assert!(journal.failure().unwrap().to_string().contains("not a finite number"));
    settle(&journal);
    assert_eq!(read(journal.path()).unwrap().entries.len(), 1);
}

#[test]
fn an_unusable_reports_folder_is_refused() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("P044"), "a file where the unit's folder should be").unwrap();
    assert!(Journal::create(root.path(), "P044", "r1").is_err());
    assert!(Journal::create(&root.path().join("P044"), "P045", "r1").is_err());
}

/// A change to a journal, and the result of the check.
#[test]
fn a_changed_journal_is_detected() {
    type Touch = fn(&std::path::Path);
    fn change(file: &std::path::Path, change: impl Fn(&mut Vec<u8>)) {
        // In place: it remains the same file.
        let mut bytes = fs::read(file).unwrap();
        change(&mut bytes);
        fs::write(file, bytes).unwrap();
    }
    fn put_instead(file: &std::path::Path, bytes: &[u8]) {
        let other = file.with_extension("other");
        fs::write(&other, bytes).unwrap();
        fs::rename(other, file).unwrap();
    }
    let rows: [(&str, Touch, Option<&str>); 12] = [
        ("nobody", |_| {}, None),
        ("only read", |file| drop(fs::read(file).unwrap()), None),
        ("deleted", |file| fs::remove_file(file).unwrap(), Some("is gone")),
        ("moved", |file| fs::rename(file, file.with_extension("old")).unwrap(), Some("is gone")),
        (
            "its folder moved",
            |file| {
                let folder = file.parent().unwrap();
                fs::rename(folder, folder.with_extension("old")).unwrap();
            },
            Some("is gone"),
        ),
        ("emptied", |file| change(file, Vec::clear), Some("was emptied")),
        ("cut in a line", |file| change(file, |bytes| bytes.truncate(bytes.len() - 9)), Some("was cut at line 3")),
        (
            "a line appended",
            |file| change(file, |bytes| bytes.extend(b"{\"x\":1}\n")),
            Some("was changed by another program, at line 4"),
        ),
        (
            "a byte changed",
            |file| {
                change(file, |bytes| {
                    let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                    bytes[second] ^= 1;
                })
            },
            Some("was changed at line 2"),
        ),
        (
            "a line doubled in front",
            |file| {
                change(file, |bytes| {
                    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                    let first = bytes[..end].to_vec();
                    bytes.splice(0..0, first);
                })
            },
            Some("was changed at line 2"),
        ),
        ("another file", |file| put_instead(file, b"{}\n"), Some("was replaced by another file")),
        ("a copy of itself", |file| put_instead(file, &fs::read(file).unwrap()), Some("was replaced by another file")),
    ];
    for (who, touch, expected) in rows {
        let root = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(root.path(), "P042", "r1").unwrap();
        for text in ["a", "b", "c"] {
            journal.append(BenchTime(0), note(text)).unwrap();
        }
        settle(&journal);
        touch(journal.path());
        let said = journal.verify().wait_at_most(LONG).err().map(|error| error.to_string());
        let path = journal.path().display().to_string();
        let wanted =
            expected.map(|what| format!("the journal {path} {what}: find the cause, then test the module again"));
        assert_eq!(said, wanted, "{who}");
    }
}

#[test]
fn a_run_that_did_not_start_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let discard = || Journal::create(root.path(), "P042", "r1").unwrap().discard().unwrap();
    let listing = || fs::read_dir(root.path()).unwrap().count();
    discard();
    assert_eq!(listing(), 0);

    let mut journal = Journal::create(root.path(), "P042", "r1").unwrap();
    journal.append(BenchTime(0), note("a")).unwrap();
    settle(&journal);
    let kept = journal.path().to_owned();
    journal.discard().unwrap();
    assert_eq!(read(&kept).unwrap().entries.len(), 1, "a journal with a line stays");

    discard();
    assert_eq!(find_runs(root.path()).unwrap().len(), 1, "the unit's folder holds another run");

    let journal = Journal::create(root.path(), "P043", "r1").unwrap();
    let photo = journal.folder().join("photo.jpg");
    fs::write(&photo, "").unwrap();
    journal.discard().unwrap();
    assert!(photo.is_file());
}

#[test]
fn free_space_is_that_of_the_nearest_folder() {
    let root = tempfile::tempdir().unwrap();
    assert!(free_space(root.path()).unwrap() > 0);
    assert!(free_space(&root.path().join("not/yet/there")).unwrap() > 0);
    assert!(free_space(std::path::Path::new("not/yet/there")).unwrap() > 0);
    // This disk has no room at all, whatever is free elsewhere.
    assert!(free_space(std::path::Path::new("/proc/reports")).unwrap() < MIN_FREE);
}

fn note(text: &str) -> Event {
    Event::Note { step: None, text: text.into() }
}

fn started() -> Event {
    let text = || "x".to_owned();
    Event::RunStarted {
        run_id: text(),
        serial: text(),
        model: text(),
        started_at: None,
        order: None,
        bench: Box::new(BenchKind::Virtual { seed: u64::MAX, faults: vec![] }),
        lot: None,
        diagnosis: None,
        provenance: Box::new(Provenance {
            bench_version: text(),
            bench_commit: text(),
            plan: text(),
            plan_sha256: text(),
            plan_parts: vec![],
            dut_file_sha256: text(),
            fixture: text(),
            fixture_sha256: text(),
            firmware_sha256: text(),
            images: Vec::new(),
        }),
        steps: vec![],
    }
}

fn measured(value: f64) -> Event {
    let limits = Limits::between(3.2, 3.4);
    let measurement = Measurement {
        name: "3V3.volts".into(),
        value: Some(value),
        raw: None,
        unit: MeasurementUnit::Volts,
        limits,
        verdict: Verdict::Pass,
        contacts: vec![],
    };
    Event::Measured { step: "a".into(), attempt: 1, measurement }
}

fn ended(step: &str, verdict: Verdict, retried: bool) -> Event {
    Event::StepEnded { step: step.into(), attempt: 1, verdict, reason: None, procedure: None, retried, late: None }
}

/// The line as documented in docs/reference/journal-format.md: a change here is a change of the format.
#[test]
fn the_format_is_the_documented_one() {
    let entry = Entry { v: 2, seq: 2, at_us: BenchTime(1500), event: measured(3.25) };
    assert_eq!(
        serde_json::to_string(&entry).unwrap(),
        r#"{"v":2,"seq":2,"at_us":1500,"event":"measured","step":"a","attempt":1,"measurement":{"name":"3V3.volts","value":3.25,"unit":"V","limits":{"min":3.2,"max":3.4},"verdict":"pass"}}"#
    );
}

/// Format 1 had no chain: it is read as before, without a seal.
#[test]
fn journals_of_format_1_are_read() {
    let text = "{\"v\":1,\"seq\":0,\"at_us\":5,\"event\":\"note\",\"text\":\"a\"}\n";
    let run = parse(text.as_bytes()).unwrap();
    assert_eq!((run.format(), run.seal, run.entries.len()), (Some(1), None, 1));
    assert_eq!(run.entries[0].event, note("a"));
}
