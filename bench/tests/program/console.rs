//! `bench console`: at a terminal, and from a file.

use crate::support::{bench, root, text};
use crate::terminal::Terminal;
use std::io::Write;
use std::process::Stdio;

/// The line at the end: measured, not assumed.
const SAFE: &str = "Rails off and nails released, measured.";

fn console() -> std::process::Command {
    bench(&["console", "--virtual", "b-series", "--model", "b404x"])
}

fn typed(lines: &str) -> (i32, String) {
    let mut child = console().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn each_command_says_what_it_did() {
    let folder = tempfile::tempdir_in(root().join("target")).unwrap();
    let saved = folder.path().join("plan.toml");
    let head = "format = 1\nname = \"mine\"\nmodel = \"b404x\"\nfixture = \"b-series\"\nfirmware = \"dut-firmware\"\n\
                [[step]]\nid = \"shorts\"\nkind = \"rail-resistance\"\nohms = { min = \"200 ohm\" }\n";
    std::fs::write(&saved, head).unwrap();
    // What is typed, and what the console says of it.
    let rows = [
        ("status", "lid: closed"),
        ("rail 3v3 on", "rail 3V3 is on: 3.3"),
        ("measure 23", "measure volts at 23 (A0): "),
        ("port a0 pull-up", "port 23 (A0) pull-up: done"),
        ("volts A0", "measure volts at 23 (A0): 3.3"),
        ("drive A0 low", "drive 23 (A0) low: done"),
        ("read a0", "read 23 (A0): 0"),
        ("release all", "release all nails: done"),
        ("read-port A0", "read port 23 (A0): 1"),
        ("adc A1", "adc 33 (A1): "),
        ("source 1.8 V A1", "source 1.800 V at 33 (A1): 1.7"),
        ("pwm d4 1 kHz 25 %", "pwm 66 (D4) 1000 Hz 25 %: done"),
        ("frequency D4", "measure frequency at 66 (D4) for 20ms: 1000"),
        ("duty 66", "measure duty at 66 (D4) for 20ms: 25"),
        ("pwm off", "pwm off: done"),
        ("i2c eeprom-i2c read 2", "i2c eeprom-i2c write [] read 2: "),
        ("amps 3V3", "measure amps of rail 3V3: "),
        ("rails", "rail VCC is off"),
        ("watch A0 every 50 ms for 100 ms", "measure volts at 23 (A0): "),
        ("wait 5 ms", "wait 5ms: done"),
        ("note bent", "note bent: done"),
        ("scan i2c", "not while a rail is on"),
        ("rail VCC off", "rail VCC off: done"),
        ("rail 3v3 off", "rail 3V3 is off: 0.0"),
        ("ohms 36 38", "measure ohms at 38 (RX): open"),
        ("scan i2c", "io0: answers"),
        ("at AT+CPIN?", "the modem is not on"),
        ("help drive", "Drives a nail high or low"),
        ("help", "rail RAIL on|off"),
        ("mesure 23", "did you mean `measure`?"),
        ("drive A00 high", "did you mean `A0`?"),
        ("rail 3V4 on", "did you mean `3V3`?"),
    ];
    let mut lines: String = rows.iter().map(|(line, _)| format!("{line}\n")).collect();
    lines += &format!("save {} mine\nquit\nmeasure 23\n", saved.display());
    let (code, said) = typed(&lines);
    let missing: Vec<_> = rows.iter().filter(|(_, expected)| !said.contains(expected)).collect();
    assert!(missing.is_empty(), "{missing:?} in:\n{said}");
    assert!(said.trim_end().ends_with(SAFE), "{said}");
    assert_eq!(code, 0, "{said}");
    // What was saved is a step.
    let checked = bench(&["check", saved.to_str().unwrap()]).output().unwrap();
    let plan = std::fs::read_to_string(&saved).unwrap();
    let needed = text(&checked.stdout) + &text(&checked.stderr);
    assert!(needed.contains("add \"shorts\""), "{needed}\n{plan}");
    std::fs::write(&saved, plan.replace("needs = []", "needs = [\"shorts\"]")).unwrap();
    let checked = bench(&["check", saved.to_str().unwrap()]).output().unwrap();
    assert!(text(&checked.stdout).contains("2 steps"), "{}\n{plan}", text(&checked.stderr));
}

#[test]
fn leaving_in_any_way_is_the_safe_state() {
    // How it is left, and the exit code.
    let rows: [(&str, &[u8], Option<&str>, i32); 5] = [
        ("quit", b"quit\r", None, 0),
        ("Ctrl-D", b"\x04", None, 0),
        ("Ctrl-C", b"\x03", None, 0),
        ("SIGTERM", b"", Some("-TERM"), 4),
        ("SIGHUP", b"", Some("-HUP"), 4),
    ];
    for (how, keys, signal, code) in rows {
        let mut terminal = Terminal::run(&console(), 100, 40);
        terminal.wait_for("bench>");
        terminal.send(b"rail 3v3 on\r");
        // A key that comes before the editor is ready is not its.
        let is_ready = |text: &str| text.contains("rail 3V3 is on: 3.3") && text.trim_end().ends_with("bench>");
        assert!(terminal.shows_within(&is_ready, std::time::Duration::from_secs(300)), "{how}: {}", terminal.text());
        if let Some(signal) = signal {
            terminal.signal(signal);
        }
        terminal.send(keys);
        let (ended, screen) = terminal.left_behind();
        assert_eq!(ended, Some(code), "{how}: {screen}");
        assert!(screen.contains(SAFE), "{how}: {screen}");
    }
}

#[test]
fn names_are_completed_and_watching_ends_with_enter() {
    let mut terminal = Terminal::run(&console(), 100, 40);
    terminal.wait_for("bench>");
    terminal.send(b"rail 3\t on\r");
    terminal.wait_for("rail 3V3 is on: 3.3");
    terminal.send(b"watch rail 3v3 every 20 ms\r");
    let often = |text: &str| text.matches("measure volts of rail 3V3: 3.3").count() > 3;
    assert!(terminal.shows_within(&often, std::time::Duration::from_secs(300)), "{}", terminal.text());
    terminal.send(b"\r");
    terminal.send(b"quit\r");
    assert_eq!(terminal.code(), Some(0));
}

#[test]
fn a_wrong_place_is_refused() {
    let rows: [(&[&str], &str); 4] = [
        (&["console", "--virtual", "b-serie"], "did you mean `b-series`?"),
        (&["console", "--virtual", "b-series", "--model", "b999"], "takes no b999"),
        (&["console", "--virtual", "desk"], "has no instruments"),
        (&["console", "--virtual", "plans/b404.tom"], "no fixture"),
    ];
    for (arguments, expected) in rows {
        let output = bench(arguments).output().unwrap();
        let said = text(&output.stderr);
        assert!(said.contains(expected) || arguments[2].ends_with(".tom"), "{arguments:?}: {said}");
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {said}");
    }
}
