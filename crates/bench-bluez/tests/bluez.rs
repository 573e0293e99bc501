//! The adapter against python-dbusmock's BlueZ interface on a private bus. Skipped, with a message, where the programs
//! it needs are not installed.
#![allow(clippy::unwrap_used)] // a helper that cannot continue fails its test

use bench_bluez::BluezAir;
use bench_instruments::{Advert, BleAir, Clock, TokioClock};
use bench_run::BenchTime;
use futures_util::future::LocalBoxFuture;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// Environment variable with the address of D-Bus's system bus. Changing the environment of a running program is
/// unsafe, so the test starts itself again with it.
const BUS: &str = "DBUS_SYSTEM_BUS_ADDRESS";
/// Interpreters that may have the modules; the system's own, for which Debian installs them, is last.
const PYTHONS: [&str; 2] = ["python3", "/usr/bin/python3"];
const NEEDED: &str =
    "dbus-daemon and python3-dbusmock (`apt-get install dbus python3-dbusmock`, or `cargo xtask setup`)";
/// Environment variable with the folder in which skipped tests leave a file with the reason.
const SKIPPED: &str = "BENCH_SKIPPED";

/// Ended when the test ends in any way.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> ExitCode {
    if let Ok(inner) = std::env::var("BENCH_BLUEZ_MOCK") {
        return inside(&inner);
    }
    let python = PYTHONS.into_iter().find(|python| {
        let modules = Command::new(python).args(["-c", "import dbusmock, dbus"]).stderr(Stdio::null()).status();
        modules.is_ok_and(|status| status.success())
    });
    let (Some(python), Some((_bus, address))) = (python, private_bus()) else {
        println!("bluez ... SKIPPED: needs {NEEDED}");
        if let Some(folder) = std::env::var_os(SKIPPED) {
            std::fs::write(Path::new(&folder).join("bluez"), format!("needs {NEEDED}\n")).unwrap();
        }
        return ExitCode::SUCCESS;
    };
    let mock = Command::new(python)
        .args(["-m", "dbusmock", "--system", "--template", "bluez5"])
        .env(BUS, &address)
        .stdout(Stdio::null())
        .spawn();
    let _mock = Running(mock.unwrap());
    let inner = Command::new(std::env::current_exe().unwrap())
        .env(BUS, &address)
        .env("BENCH_BLUEZ_MOCK", format!("{python} {address}"))
        .status()
        .unwrap();
    if inner.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `None`: the program is not installed.
fn private_bus() -> Option<(Running, String)> {
    let mut bus = Command::new("dbus-daemon")
        .args(["--session", "--nofork", "--print-address"])
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut address = String::new();
    BufReader::new(bus.stdout.take()?).read_line(&mut address).ok()?;
    Some((Running(bus), address.trim().to_owned()))
}

/// The helper program that controls the mock.
struct Mock {
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    _running: Running,
}

impl Mock {
    fn start(python: &str, address: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bluez_mock.py");
        let mut child =
            Command::new(python).args([script, address]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (commands, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { commands, answers, _running: Running(child) }
    }

    fn ask(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }
}

type Test = fn(&tokio::runtime::Runtime, &mut Mock);

fn inside(mock: &str) -> ExitCode {
    let (python, address) = mock.split_once(' ').unwrap();
    let mut mock = Mock::start(python, address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tests: [(&str, Test); 3] =
        [("says_what_is_missing", says_what_is_missing), ("hears", hears), ("advertises", advertises)];
    for (name, test) in tests {
        test(&runtime, &mut mock);
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

fn clock() -> Rc<dyn Clock> {
    Rc::new(TokioClock::start())
}

/// The mock takes a moment to start.
fn says_what_is_missing(runtime: &tokio::runtime::Runtime, mock: &mut Mock) {
    runtime.block_on(async {
        let mut text = String::new();
        for _ in 0..1_000 {
            text = BluezAir::open("hci0", clock()).await.err().unwrap().to_string();
            if text.contains("there is none") {
                break;
            }
            assert!(text.contains("is `bluetooth.service` running"), "{text}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(text.contains("no adapter hci0, there is none: plug one in"), "{text}");
        assert_eq!(mock.ask("adapter hci0"), "/org/bluez/hci0");
        let text = BluezAir::open("hci7", clock()).await.err().unwrap().to_string();
        assert!(text.contains("no adapter hci7, there is hci0"), "{text}");
    });
}

/// Poll interval and timeout for the state of another process.
const LOOK: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(120);
/// Messages on the bus have arrived after this many turns of the loop, regardless of the duration of a turn.
const TURNS: usize = 10;

/// A clock on which no timeout expires before the test advances it.
struct ByHand {
    real: TokioClock,
    over: Rc<Notify>,
}

impl Clock for ByHand {
    fn now(&self) -> BenchTime {
        self.real.now()
    }
    fn sleep_until(&self, _: BenchTime) -> LocalBoxFuture<'static, ()> {
        let over = Rc::clone(&self.over);
        Box::pin(async move { over.notified().await })
    }
}

fn hears(runtime: &tokio::runtime::Runtime, mock: &mut Mock) {
    // A device known before the scan.
    assert_eq!(mock.ask("device hci0 C0:00:00:00:00:01 -47 FFFF 01"), "ok");
    let adverts: Vec<Advert> = runtime.block_on(async {
        let over = Rc::new(Notify::new());
        let by_hand = ByHand { real: TokioClock::start(), over: Rc::clone(&over) };
        let air = BluezAir::open("hci0", Rc::new(by_hand)).await.unwrap();
        let scan = air.scan(Duration::from_millis(1_500));
        let heard = async {
            let begun = std::time::Instant::now();
            while !mock.ask("called hci0").contains("StartDiscovery") && begun.elapsed() < PATIENCE {
                tokio::time::sleep(LOOK).await;
            }
            for command in [
                "heard hci0 C0:00:00:00:00:01 -48 FFFF 02",
                "device hci0 C0:00:00:00:00:02 -61 004C 0A0B",
                "heard hci0 C0:00:00:00:00:01 -48 FFFF 03",
                "heard hci0 C0:00:00:00:00:02 -62 004C 0A0C",
                "heard hci0 C0:00:00:00:00:01 -50 FFFF 04",
            ] {
                assert_eq!(mock.ask(command), "ok");
                for _ in 0..TURNS {
                    tokio::time::sleep(LOOK).await;
                }
            }
            over.notify_one();
        };
        let (adverts, ()) = tokio::join!(scan, heard);
        adverts.unwrap()
    });
    let of = |last: u8| -> Vec<(u16, Vec<u8>, f64)> {
        let of_one = adverts.iter().filter(|advert| advert.address == [0xC0, 0, 0, 0, 0, last]);
        of_one.map(|advert| (advert.company, advert.data.clone(), advert.rssi_dbm)).collect()
    };
    let ours = |byte: u8, dbm: f64| (0xFFFF, vec![byte], dbm);
    assert_eq!(of(1), [ours(1, -47.0), ours(2, -48.0), ours(3, -48.0), ours(4, -50.0)]);
    assert_eq!(of(2).last(), Some(&(0x004C, vec![0x0A, 0x0C], -62.0)));
    assert!(adverts.iter().all(|advert| advert.carrier_offset_hz.is_none()));
    assert!(adverts.is_sorted_by_key(|advert| advert.at));
    // Stops a moment later.
    let called = runtime.block_on(async {
        let begun = std::time::Instant::now();
        loop {
            let called = mock.ask("called hci0");
            if called.contains("StopDiscovery") || begun.elapsed() > PATIENCE {
                break called;
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    for method in ["SetDiscoveryFilter", "StartDiscovery", "StopDiscovery"] {
        assert!(called.contains(method), "{called}");
    }
}

fn advertises(runtime: &tokio::runtime::Runtime, mock: &mut Mock) {
    // The mock reads the advertisement from us, so we must keep answering.
    let air = runtime.block_on(BluezAir::open("hci0", clock())).unwrap();
    let text = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let begun = std::time::Instant::now();
            loop {
                let text = mock.ask("advertised");
                if text != "nothing" || begun.elapsed() > PATIENCE {
                    break text;
                }
                std::thread::sleep(LOOK);
            }
        });
        runtime.block_on(async {
            air.advertise(0xFFFF, &[1, 2, 0xAB], Duration::from_millis(20)).await.unwrap();
            while !asking.is_finished() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        asking.join().unwrap()
    });
    assert_eq!(text, "broadcast 20 ms FFFF 0102ab");
    runtime.block_on(async {
        let text = air.advertise(0xFFFF, &[0; 25], Duration::from_millis(20)).await.unwrap_err().to_string();
        assert!(text.contains("25 bytes do not fit into an advertisement; at most 24 do"), "{text}");
        air.stop().await.unwrap();
        let begun = std::time::Instant::now();
        while mock.ask("advertised") != "nothing" && begun.elapsed() < PATIENCE {
            tokio::time::sleep(LOOK).await;
        }
    });
    assert_eq!(mock.ask("advertised"), "nothing");
}
