//! How a unit is named: on the command line, and by what a scanner sends.

use crate::support::{PLAN, bench, output, text};
use crate::terminal::{Terminal, found_below};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

const SECRET: &str = "MOBILESECRET123";

#[test]
fn a_unit_has_one_name_however_it_is_given() {
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("reports");
    let reports = folder.to_str().unwrap();
    let run = |serial: &str| {
        output(&[
            "run",
            PLAN,
            "--virtual",
            "--quiet",
            "--reports",
            reports,
            "--serial",
            serial,
            "--fault",
            "empty-nest",
        ])
    };
    for serial in ["P042AN0000DEMO1", "p042an0000demo1", " P042an0000DEMO1\r\n", "]d1P042AN0000DEMO1"] {
        assert_eq!(run(serial).status.code(), Some(2), "{serial:?}");
    }
    let units: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let units = units.iter().filter(|path| path.is_dir());
    assert_eq!(units.collect::<Vec<_>>(), [&folder.join("P042AN0000DEMO1")]);
    for unit in ["P042AN0000DEMO1", "p042an0000demo1"] {
        for path in [folder.join(unit).to_str().unwrap(), unit] {
            let report = bench(&["report", path]).current_dir(work.path()).output().unwrap();
            assert_eq!(report.status.code(), Some(2), "{path}: {}", text(&report.stderr));
            assert!(text(&report.stdout).contains("P042AN0000DEMO1"), "{}", text(&report.stdout));
            let verified = bench(&["verify", path]).current_dir(work.path()).output().unwrap();
            assert_eq!(verified.status.code(), Some(0), "{path}: {}", text(&verified.stderr));
        }
    }
}

#[test]
fn what_is_wrong_with_a_serial_number_is_said_without_the_secret() {
    let whole = format!("P042AN0000DEMO1 {SECRET}");
    let rows = [
        ("P042AN0000DEMO", "1 character too short"),
        ("P042AN0000DEMO12", "1 character too long"),
        ("P042AN0000DEM-1", "character 14 of this one is `-`"),
        ("", "this one is empty"),
        ("p006an0000demo1", "P006 is a B402"),
        (&whole, "give the first part only"),
        (&format!("{SECRET}{SECRET}"), "15 characters too long"),
    ];
    for command in ["run", "virtual-dut"] {
        for (serial, expected) in &rows {
            let more: &[&str] = if command == "run" { &["--virtual"] } else { &["--probe", "127.0.0.1:0"] };
            let output = output(&[&[command, PLAN, "--serial", serial], more].concat());
            let said =
                text(&output.stderr).split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
            assert_eq!(output.status.code(), Some(3), "{command} {serial:?}: {said}");
            assert!(said.contains(expected) && !said.contains(SECRET), "{command} {serial:?}: {said}");
        }
    }
}

#[test]
fn an_imei_is_read_as_labels_print_it() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path().to_str().unwrap();
    for (imei, code) in [
        ("490154203237518", 2),
        ("49-015420-323751-8", 2),
        ("IMEI: 490154 20 323751 8", 2),
        ("imei490154203237518", 2),
        ("490154203237519", 3),
        ("49015420323751", 3),
        ("IMEI", 3),
        ("ÄÖÜ", 3),
    ] {
        let output = output(&[
            "run",
            PLAN,
            "--virtual",
            "--quiet",
            "--reports",
            reports,
            "--fault",
            "empty-nest",
            "--imei",
            imei,
        ]);
        assert_eq!(output.status.code(), Some(code), "{imei}: {}", text(&output.stderr));
    }
}

/// Sends each piece once the pieces before it were reported, so that a pause is between them.
fn scan_test(arguments: &[&str], pieces: &[(&[u8], &str)]) -> (Option<i32>, String) {
    let mut command = bench(&[&["scan-test"], arguments].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut all = String::new();
    for (bytes, expected) in pieces {
        stdin.write_all(bytes).unwrap();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("never reported: {expected}\n{all}")).unwrap();
            all.push_str(&line);
            all.push('\n');
            if line.contains(expected) {
                break;
            }
        }
    }
    drop(stdin);
    all.extend(lines.map(|line| line.unwrap() + "\n"));
    (child.wait().unwrap().code(), all)
}

#[test]
fn scan_test_shows_what_a_scanner_sends_and_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    std::fs::write(&rules, "[[person]]\nid = \"Jürgen\"\nname = \"Jürgen B\"\n").unwrap();
    let rules = ["--rules", rules.to_str().unwrap()];
    let (code, said) = scan_test(
        &rules,
        &[
            (b"]d1P042AN0000DEMO1\tMOBILESECRET123\r\n", "read  serial number P042AN0000DEMO1, the label of a B404X"),
            (b"P006AN0000DEMO1\x1dMOBILESECRET123\r", "read  serial number P006AN0000DEMO1, the label of a B402"),
            (b"J\xc3\xbcrgen\r", "read  the badge of Jürgen B"),
            (b"J\xfcrgen\n", "one scan"),
        ],
    );
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("sent  ]d1P042AN0000DEMO1<TAB>•••••••••••••••<CR><LF>"), "{said}");
    assert!(said.contains("36 characters in"), "{said}");
    assert!(!said.contains("MOBILE"), "{said}");

    let (code, said) = scan_test(
        &[PLAN],
        &[
            (b"P042AN0000DEMO1\rP042AN00", "read  REFUSED: no end came"),
            (
                b"P042AN0000DEMO2 MOBILESECRET123\rMOBILESECRET123 P042AN0000DEMO1\r",
                "The serial number does not come first",
            ),
            (b"P042AN000DEMO2 MOBILESECRET123\r", "The serial number lacks 1 character"),
            (b"P006AN0000DEMO1 MOBILESECRET123\r", "P006 is not the label of a B404X"),
        ],
    );
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("read  serial number P042AN0000DEMO2, the label of a B404X"), "{said}");
    assert!(!said.contains("MOBILE"), "{said}");

    let rows: [(&[&str], &str, i32); 4] = [
        (&[], "nothing was scanned", 2),
        (&["--scanner", "/dev/none"], "does it act as a serial port", 2),
        (&["--scanner", "/dev/none:fast"], "is no rate", 3),
        (&["plans/none.toml"], "plans/none.toml", 3),
    ];
    for (arguments, expected, code) in rows {
        let output = bench(&[&["scan-test"], arguments].concat()).stdin(Stdio::null()).output().unwrap();
        assert!(text(&output.stderr).contains(expected), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn scan_test_reads_the_terminal_without_an_echo() {
    let mut screen = Terminal::run(&bench(&["scan-test", PLAN]), 100, 30);
    screen.wait_for("Ctrl-C ends it");
    let label = format!("]d1P042AN0000DEMO1\x1d{SECRET}\r");
    screen.press_until(label.as_bytes(), "the label of a B404X");
    screen.wait_for("]d1P042AN0000DEMO1<GS>•••••••••••••••<CR>");
    assert!(!screen.text().contains("MOBILE"), "{}", screen.text());
    screen.send(b"\x03");
    assert_eq!(screen.code(), Some(0));
}

/// The label is sent until the screen shows it: the program must have opened the port first.
#[test]
fn a_scanner_at_a_port_fills_the_nests_with_what_is_on_its_labels() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path().to_str().unwrap();
    let (mut scanner, port) = port();
    let mut screen = Terminal::run(
        &bench(&["operator", PLAN, "--virtual", "--nests", "2", "--reports", reports, "--scanner", &port]),
        80,
        24,
    );
    screen.wait_for("Scan the label");
    let mut scan = |text: &[u8]| scanner.write_all(text).unwrap();
    screen.repeat_until(|_| scan(b"]d1P042AN0000DEMO1\tMOBILESECRET123\r\n"), "P042AN0000DEMO1");
    scan(b"P042AN00");
    screen.wait_for("The scan broke off");
    scan(b"P042AN0000DEMO2\x1dMOBILESECRET123\r\n");
    screen.wait_for("P042AN0000DEMO2");
    assert!(!screen.text().contains("MOBILE"), "{}", screen.text());
    screen.send(b"\x1b[21~");
    assert_eq!(screen.code(), Some(0));
    assert_eq!(found_below(folder.path(), "MOBILESECRET"), None);
}

/// A pseudo terminal: its own end, and the name of the other.
fn port() -> (std::fs::File, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    // As a serial port, it shows and changes nothing of what is sent.
    let raw = Command::new("stty").args(["-F", &name, "raw", "-echo"]).status().unwrap();
    assert!(raw.success());
    (master.into(), name)
}
