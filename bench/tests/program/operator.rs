//! The operator's screen in a real terminal, with keys as a scanner sends them.

use crate::support::{PLAN, bench, text};
use crate::terminal::{Terminal, found_below};
use bench_journal::JournalContents;
use bench_run::{Event, Verdict};
use std::path::Path;

const SECRET: &str = "MOBILESECRET";

fn serial(number: u32) -> String {
    format!("P042AV{number:09}")
}

fn label(number: u32) -> String {
    format!("{} {SECRET}{number:03}\r", serial(number))
}

/// A screen whose tests begin as soon as a label is scanned.
fn station(reports: &Path, arguments: &[&str]) -> Terminal {
    let rules = reports.join("rules.toml");
    std::fs::create_dir_all(reports).unwrap();
    std::fs::write(&rules, "begin = \"scan\"\nbell = false\n").unwrap();
    let mut all = vec!["operator", PLAN, "--virtual", "--reports", reports.to_str().unwrap()];
    all.extend(["--rules", rules.to_str().unwrap()]);
    all.extend(arguments);
    Terminal::run(&bench(&all), 80, 24)
}

fn run_of(reports: &Path, number: u32) -> JournalContents {
    let run = bench_journal::latest(reports, Some(&serial(number))).unwrap().unwrap();
    bench_journal::read(&run.journal).unwrap()
}

fn verdict(run: &JournalContents) -> Option<Verdict> {
    run.entries.iter().rev().find_map(|entry| match entry.event {
        Event::RunEnded { verdict, .. } => Some(verdict),
        _ => None,
    })
}

#[test]
fn a_shift_of_ten_units_two_of_them_faulty() {
    let folder = tempfile::tempdir().unwrap();
    let mut screen = station(folder.path(), &["--fault-at", "3=open:23", "--fault-at", "7=short:36-38"]);
    screen.wait_for("Scan the label");
    for number in 1..=10 {
        screen.send(label(number).as_bytes());
        screen.wait_for(&format!(" {number} tested:"));
        screen.wait_for(match number {
            3 => "Contact at fault: 23",
            7 => "Contacts at fault: 36, 38",
            _ => "Good: send it to the next station",
        });
        let shown = screen.text();
        assert!(!shown.contains(SECRET), "{shown}");
    }
    screen.wait_for("10 tested: 8 pass, 2 fail, 0 error, 0 aborted   first-pass yield 80 %");
    // F10: the end of the shift.
    screen.send(b"\x1b[21~");
    assert_eq!(screen.code(), Some(0));
    for number in 1..=10 {
        let expected = if matches!(number, 3 | 7) { Verdict::Fail } else { Verdict::Pass };
        assert_eq!(verdict(&run_of(folder.path(), number)), Some(expected), "{number}");
    }
    let log = std::fs::read_to_string(folder.path().join("operator-log.jsonl")).unwrap();
    let count = |event: &str| log.matches(&format!("\"event\":\"{event}\"")).count();
    assert_eq!((count("started"), count("ended"), count("shift-began"), count("shift-ended")), (10, 10, 1, 1), "{log}");
    assert_eq!(found_below(folder.path(), SECRET), None);
}

/// When the last rail was switched off after the order to stop, in milliseconds of bench time.
fn rails_off_after(run: &JournalContents) -> f64 {
    let stopping = run.entries.iter().position(|entry| matches!(entry.event, Event::Stopping { .. })).unwrap();
    let off = |event: &Event| matches!(event, Event::RailSwitched { on: false, volts: None, .. });
    let last = run.entries[stopping..].iter().rfind(|entry| off(&entry.event)).unwrap();
    (last.at_us - run.entries[stopping].at_us).as_secs_f64() * 1e3
}

#[test]
fn however_a_test_is_ended_the_power_is_off_and_the_record_is_whole() {
    type End = fn(&mut Terminal);
    let rows: [(&str, Option<i32>, End); 7] = [
        ("a pulled terminal", Some(4), |screen| screen.pull()),
        ("SIGTERM", Some(4), |screen| screen.signal("-TERM")),
        ("SIGHUP", Some(4), |screen| screen.signal("-HUP")),
        ("Ctrl-C", Some(4), |screen| screen.send(b"\x03")),
        ("abort", Some(0), |screen| {
            screen.send(b"\x1b");
            screen.wait_for("Abort the test on nest 1");
            screen.send(b"\r");
            screen.wait_for("the module is not tested");
            screen.send(b"\x1b[21~");
        }),
        ("Del at once", Some(0), |screen| {
            screen.send(b"\x1b[3~");
            screen.wait_for("the module is not tested");
            screen.wait_for("after the order");
            screen.send(b"\x1b[21~");
        }),
        ("abort at once", Some(0), |screen| {
            screen.send(b"\x1b");
            screen.wait_for("Del: power of all nests off");
            screen.send(b"\x1b[3~");
            screen.wait_for("the module is not tested");
            screen.wait_for("after the order");
            screen.send(b"\x1b[21~");
        }),
    ];
    for (how, code, end) in rows {
        let folder = tempfile::tempdir().unwrap();
        let mut screen = station(folder.path(), &["--pace", "4"]);
        screen.wait_for("Scan the label");
        screen.send(label(1).as_bytes());
        screen.wait_for("POWER ON");
        end(&mut screen);
        assert_eq!(screen.code(), code, "{how}");
        let run = run_of(folder.path(), 1);
        assert_eq!(verdict(&run), Some(Verdict::Aborted), "{how}");
        let confirmed = |event: &Event| matches!(event, Event::SafeState { confirmed: true, .. });
        assert!(run.entries.iter().any(|entry| confirmed(&entry.event)), "{how}");
        let after = rails_off_after(&run);
        println!("{how}: rails off {after:.1} ms of bench time after the order");
        if how.ends_with("at once") {
            assert!(after <= 50.0, "{how}: {after} ms");
        }
        assert_eq!(found_below(folder.path(), SECRET), None, "{how}");
        let log = std::fs::read_to_string(folder.path().join("operator-log.jsonl")).unwrap();
        assert!(log.contains("\"verdict\":\"aborted\"") && log.contains("shift-ended"), "{how}: {log}");
    }
}

#[test]
fn nothing_that_is_sent_or_done_to_the_terminal_harms() {
    let folder = tempfile::tempdir().unwrap();
    let mut screen = station(folder.path(), &["--nests", "2", "--pace", "6"]);
    screen.wait_for("Scan the label");
    screen.send(b"\x1b[200~pasted\ntext over\tlines \xff\xfe \x1b[201~");
    screen.wait_for("Not the label of a module");
    screen.send(b"\x1b[99;99R\x1b]0;title\x07\x1b[<0;1;1M\x00\x01\xff\xc3\x28\xf0\x9f");
    screen.send(&[b'x'; 3000]);
    screen.send(b"\r");
    screen.press_until(b"P006AV000000001 MOBILESECRET\r", "P006 is not the label of a B404X");
    // Twice in a row, which is one scan, and once more while it is tested.
    screen.send(label(1).as_bytes());
    screen.send(label(1).as_bytes());
    screen.wait_for("POWER ON");
    screen.press_until(label(1).as_bytes(), "is in nest 1 already");
    for (columns, rows) in [(200, 60), (20, 5), (1, 1), (132, 43), (80, 24)] {
        screen.resize(columns, rows);
        if columns > 80 {
            screen.wait_for(&serial(1));
        }
    }
    screen.send(label(2).as_bytes());
    screen.wait_for(" 2 tested: 2 pass");
    // Back to its size before the program noticed: the terminal has lost the picture, and the size is the same.
    screen.signal("-STOP");
    for (columns, rows) in [(20, 5), (1, 1), (80, 24)] {
        screen.resize(columns, rows);
    }
    assert!(!screen.text().contains("tested"));
    // And a label at the same moment.
    screen.send(label(3).as_bytes());
    screen.signal("-CONT");
    screen.wait_for(" 3 tested: 3 pass");
    screen.wait_for("first-pass yield 100 %");
    screen.send(b"\x1b[21~");
    assert_eq!(screen.code(), Some(0));
    assert_eq!(bench_journal::find_runs(folder.path()).unwrap().len(), 3);
    assert_eq!(found_below(folder.path(), SECRET), None);
}

#[test]
fn without_a_terminal_or_with_wrong_arguments_nothing_begins() {
    let rows: [(&[&str], &str); 7] = [
        (&["operator", PLAN, "--virtual"], "needs a terminal"),
        (&["operator", PLAN, "--nests", "2"], "--virtual"),
        (&["operator"], "name one, for example plans/b404x.toml"),
        (&["operator", PLAN, "--virtual", "--nests", "9"], "9 is not in 1..=8"),
        (&["operator", PLAN, "--virtual", "--fault-at", "open:23"], "write NUMBER=FAULT"),
        (&["operator", PLAN, "--virtual", "--fault-at", "1=open:999"], "bench faults"),
        (&["operator", PLAN, "--virtual", "--language", "fr"], "known languages: en, de"),
    ];
    for (arguments, expected) in rows {
        let output = bench(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        assert!(text(&output.stderr).contains(expected), "{arguments:?}: {}", text(&output.stderr));
    }
}
