//! A whole run on a desk as on a laptop: the program drives a real serial port and a real probe driver, behind which is an
//! emulated module in a process of its own, in real time. No I2C, no GPIO, no fixture.
#![cfg(target_os = "linux")]
// A failed unwrap fails the test that called it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "program/terminal.rs"]
#[allow(dead_code)] // the other tests' keys
mod terminal;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use terminal::Terminal;

const PLAN: &str = "plans/desk-b404x.toml";
const SERIAL: &str = "P042AV000000001";
/// What no stand-in is there for: the computer's USB host and a telephone.
const WITHOUT: [&str; 4] = ["--without", "usb", "--without", "nfc"];
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
        let mut command = self.run_with_bluetooth(more);
        command.args(["--without", "ble"]);
        command
    }

    fn run_with_bluetooth(&self, more: &[&str]) -> Command {
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

    /// Plays the computer's adapter between the module's air and a stand-in for BlueZ: what the module sends is heard
    /// there, and what is advertised there goes into the air. Ends when the module ends.
    fn carry_air(&mut self, mut bluez: Mock) {
        let (air, mut orders) = (self.air.take().unwrap(), self.process.stdin.take().unwrap());
        std::thread::spawn(move || {
            let (mut known, mut before) = (false, String::new());
            loop {
                // The newest of what came meanwhile: a scanner hears some of all packets.
                if let Some(packet) = air.try_iter().last() {
                    bluez.ask(&format!("{} hci0 {packet}", if known { "heard" } else { "device" }));
                    known = true;
                }
                let advertised = bluez.ask("advertised");
                if advertised != before {
                    let data = advertised.strip_prefix("broadcast 20 ms ");
                    let order = data.map_or("quiet".to_owned(), |data| format!("advertise {data}"));
                    if writeln!(orders, "{order}").is_err() {
                        return;
                    }
                    before = advertised;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
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
fn in_real_time(what: impl Fn(&mut Module) -> Result<(), String>) {
    in_real_time_with(&[], what);
}

fn in_real_time_with(more: &[&str], what: impl Fn(&mut Module) -> Result<(), String>) {
    for attempt in 1..=ATTEMPTS {
        let mut module = Module::start_with(more);
        let done = what(&mut module);
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

// -------------------- the computer's Bluetooth

/// Environment variable with the address of D-Bus's system bus.
const BUS: &str = "DBUS_SYSTEM_BUS_ADDRESS";
const PYTHONS: [&str; 2] = ["python3", "/usr/bin/python3"];
/// Environment variable with the folder in which skipped tests leave a file with the reason.
const SKIPPED: &str = "BENCH_SKIPPED";
const NEEDED: &str = "dbus-daemon and python3-dbusmock (`cargo xtask setup`)";

/// Ended when the test ends in any way.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A private bus with python-dbusmock's BlueZ on it, which has one adapter.
struct Bluez {
    address: String,
    python: &'static str,
    _running: [Running; 2],
}

impl Bluez {
    /// `None`: the programs are not installed.
    fn start() -> Option<Self> {
        let has_modules = |python: &&str| {
            let modules = Command::new(python).args(["-c", "import dbusmock, dbus"]).stderr(Stdio::null()).status();
            modules.is_ok_and(|status| status.success())
        };
        let python = PYTHONS.into_iter().find(has_modules)?;
        let mut bus = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut address = String::new();
        BufReader::new(bus.stdout.take()?).read_line(&mut address).ok()?;
        let address = address.trim().to_owned();
        let mock = Command::new(python)
            .args(["-m", "dbusmock", "--system", "--template", "bluez5"])
            .env(BUS, &address)
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        Some(Self { address, python, _running: [Running(mock), Running(bus)] })
    }

    /// Another program that controls it.
    fn mock(&self) -> Mock {
        let script = root().join("crates/bench-bluez/tests/bluez_mock.py");
        let start = || {
            let mut command = Command::new(self.python);
            command.arg(&script).arg(&self.address).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            let (commands, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
            Mock { commands, answers, _running: Running(child) }
        };
        // The mock takes a moment to start, and this program ends if it is not there.
        for _ in 0..1_000 {
            let mut mock = start();
            if mock.ask("adapter hci0").contains("hci0") {
                return mock;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("python-dbusmock does not start");
    }
}

struct Mock {
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    _running: Running,
}

impl Mock {
    /// Its answer; nothing when it has ended.
    fn ask(&mut self, command: &str) -> String {
        let mut answer = String::new();
        let asked = writeln!(self.commands, "{command}").and_then(|()| self.answers.read_line(&mut answer));
        asked.map_or(String::new(), |_| answer.trim().to_owned())
    }
}

#[test]
fn bluetooth_goes_both_ways_through_bluez() {
    if Bluez::start().is_none() {
        println!("desk bluetooth ... SKIPPED: needs {NEEDED}");
        if let Some(folder) = std::env::var_os(SKIPPED) {
            fs::write(Path::new(&folder).join("desk-bluetooth"), format!("needs {NEEDED}\n")).unwrap();
        }
        return;
    }
    in_real_time_with(&["--air"], |module| {
        let bluez = Bluez::start().unwrap();
        module.carry_air(bluez.mock());
        let mut run = module.run_with_bluetooth(&["--powered", "--without", "modem-on"]);
        let out = run.env(BUS, &bluez.address).output().unwrap();
        let said = text(&out);
        let heard = said.contains("pass     ble") && out.status.code() == Some(0);
        if heard { Ok(()) } else { Err(said) }
    });
}
