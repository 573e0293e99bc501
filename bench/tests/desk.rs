//! A whole run on a desk as on a laptop: the program drives a real serial port and a real probe driver, behind which is an
//! emulated module in a process of its own, in real time. No I2C, no GPIO, no fixture.
#![cfg(target_os = "linux")]
// A failed unwrap fails the test that called it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "program/terminal.rs"]
#[allow(dead_code)] // the other tests' keys
mod terminal;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use terminal::Terminal;

const PLAN: &str = "plans/desk-b404x.toml";
const SERIAL: &str = "P042AV000000001";
/// What no stand-in is there for: the computer's Bluetooth and USB host, and a telephone.
const WITHOUT: [&str; 6] = ["--without", "ble", "--without", "usb", "--without", "nfc"];
/// The least that the program may take for a module that is slow or dead.
const LATE_MS: f64 = 20.0;
/// Longest wait for a screen, whatever else the computer does.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a computer may be too late in a row.
const ATTEMPTS: usize = 10;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(arguments).current_dir(root()).env("NO_COLOR", "1");
    command
}

/// A module on a board that is on, with a probe on the network and a serial port.
struct Module {
    process: Child,
    said: Receiver<String>,
    /// What its radio sends.
    air: Option<Receiver<String>>,
    probe: String,
    folder: tempfile::TempDir,
}

impl Module {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(more: &[&str]) -> Self {
        let mut process = bench(&["virtual-dut", PLAN, "--blank", "--probe", "127.0.0.1:0"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ((say, said), (send, air)) = (channel(), channel());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Nobody may listen to the air.
                let _ = match line.strip_prefix("air     ") {
                    Some(packet) => send.send(packet.to_owned()),
                    None => say.send(line),
                };
            }
        });
        let lines: Vec<String> = said.iter().take(4).collect();
        let word = |line: usize, after: &str| {
            let line = lines.get(line).unwrap_or_else(|| panic!("{lines:?}"));
            let from = line.find(after).unwrap_or_else(|| panic!("{line}")) + after.len();
            line[from..].trim().split([' ', ',']).next().unwrap().to_owned()
        };
        let (probe, link) = (word(1, "--probe"), word(2, "link"));
        let folder = tempfile::tempdir().unwrap();
        let station = format!(
            "format = 1\nname = \"laptop\"\nfixture = \"desk\"\nfixture_serial = \"none\"\n\n[[nest]]\nname = \"A\"\n\
             link = \"{link}\"\nprobe = \"{probe}\"\nble = \"hci0\"\n"
        );
        fs::write(folder.path().join("station.toml"), station).unwrap();
        Self { process, said, air: Some(air), probe, folder }
    }

    fn run(&self, more: &[&str]) -> Command {
        let (station, reports) = (self.folder.path().join("station.toml"), self.folder.path().join("reports"));
        let mut command = bench(&["run", PLAN, "--serial", SERIAL]);
        command.arg("--station").arg(station).arg("--reports").arg(reports).args(WITHOUT).args(more);
        command
    }

    fn backup(&self) -> Option<PathBuf> {
        fn files(folder: &Path) -> Vec<PathBuf> {
            let entries = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
            entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
        }
        files(&self.folder.path().join("reports"))
            .into_iter()
            .find(|path| path.extension().is_some_and(|it| it == "hex"))
    }

    /// Ends it; how many milliseconds it was behind real time at most.
    fn end(mut self) -> f64 {
        let killed = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let rest: Vec<String> = self.said.iter().collect();
        self.process.wait().unwrap();
        let behind = rest.iter().find_map(|line| line.strip_prefix("behind  real time by "));
        behind.unwrap_or_else(|| panic!("{rest:?}")).split(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

/// Does this with a module, and once more with another for as long as it fails and the computer was too busy to emulate
/// the module in real time.
fn in_real_time(what: impl Fn(&Module) -> Result<(), String>) {
    for attempt in 1..=ATTEMPTS {
        let module = Module::start();
        let done = what(&module);
        let behind_ms = module.end();
        match done {
            Ok(()) => return,
            Err(why) if behind_ms < LATE_MS => panic!("{why}, and the module was never more than {behind_ms} ms late"),
            Err(why) => println!("attempt {attempt}: the module was up to {behind_ms} ms late: {why}; once more"),
        }
    }
    panic!("the computer was too busy {ATTEMPTS} times");
}

fn text(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[test]
fn a_module_passes_through_a_real_port_and_a_real_probe_and_gets_back_what_was_on_it() {
    in_real_time(|module| {
        let out = module.run(&["--powered"]).output().unwrap();
        let said = text(&out);
        if out.status.code() != Some(0) {
            return Err(said);
        }
        // Read back once more through the probe: the module holds what was stored before.
        let file = module.backup().ok_or_else(|| format!("nothing was stored: {said}"))?;
        let again = bench(&["restore", file.to_str().unwrap(), "--probe", &module.probe]).output().unwrap();
        let again = text(&again);
        if again.contains("nothing to write") { Ok(()) } else { Err(format!("{said}\n{again}")) }
    });
}

#[test]
fn a_run_that_is_interrupted_at_a_terminal_puts_everything_back() {
    in_real_time(|module| {
        let mut terminal = Terminal::run(&module.run(&["--without", "modem-on"]), 100, 40);
        if !terminal
            .shows_within(&|shown| shown.contains(">> Wire everything") && shown.contains("press Enter"), PATIENCE)
        {
            return Err(terminal.text());
        }
        terminal.send(b"\r");
        if !terminal.shows_within(&|shown| shown.contains("restarts"), PATIENCE) {
            return Err(terminal.text());
        }
        terminal.send(&[3]);
        let (code, shown) = terminal.left_behind();
        let put_back = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        let put_back = put_back.contains("the module holds again what was on it");
        if code == Some(4) && put_back { Ok(()) } else { Err(format!("{code:?} {shown}")) }
    });
}

#[test]
fn nobody_at_a_terminal_is_an_error_that_says_so() {
    let module = Module::start();
    let out = module.run(&[]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(out.status.code(), Some(2), "{}", text(&out));
    assert!(text(&out).contains("nobody is at a terminal"), "{}", text(&out));
    assert!(module.backup().is_none(), "nothing was written");
}

#[test]
fn the_air_near_the_module_is_told_to_other_programs() {
    let mut module = Module::start_with(&["--air"]);
    let air = module.air.take().unwrap();
    // Other devices are near: three of them.
    let mut heard = BTreeSet::new();
    while heard.len() < 3 {
        let packet = air.recv_timeout(PATIENCE).unwrap();
        let words: Vec<&str> = packet.split(' ').collect();
        assert!(words.len() >= 3 && words[0].len() == 17 && words[1].parse::<i32>().is_ok(), "{packet}");
        heard.insert(words[0].to_owned());
    }
    writeln!(module.process.stdin.as_mut().unwrap(), "advertise FFFF 0102\nquiet").unwrap();
    module.end();
}
