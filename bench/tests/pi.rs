//! The back end of the real bench, unmodified, on the virtual fixture in another process: rppal through the devices of a
//! Raspberry Pi, the link through a serial port, the debug probe over the network. Needs root, for a mount namespace of its
//! own.
//!
//! Both processes live in the fixture's time (`virtual-pi`): it passes no faster than real time, and stops while a thread
//! of either waits for a processor. Every span in these tests is one of that time, so a busy machine changes none of them.

// A failed unwrap fails the test that called it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)] // uses its own part
#[path = "program/terminal.rs"]
mod terminal;

use bench_engine::Project;
use bench_instruments::Clock;
use bench_plan::{DutFamily, Fixture};
use bench_steps::Kinds;
use futures_util::future::select;
use std::fs;
use std::future::Future;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use terminal::{Terminal, found_below};
use virtual_bench::{Fault, VirtualBench, VirtualConfig};
use virtual_dut::serve_probe;
use virtual_pi::VirtualPi;

const SERIAL: &str = "P042AN0000REAL1";
const MS: Duration = Duration::from_millis(1);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Where this cannot be done; the reason is counted and shown by `cargo xtask test`.
fn skipped(test: &str) -> bool {
    let possible = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    if possible.is_ok_and(|status| status.success()) {
        return false;
    }
    let reason = "no mount namespace can be made here: run the tests as root";
    println!("skipped: {reason}");
    if let Some(folder) = std::env::var_os("BENCH_SKIPPED") {
        fs::write(Path::new(&folder).join(test), reason).unwrap();
    }
    true
}

/// The virtual fixture, with the devices that lead to it.
struct ProductionLine {
    folder: tempfile::TempDir,
    bench: Rc<VirtualBench>,
    fixture: Fixture,
    pi: Option<VirtualPi>,
    uart: String,
    socket: PathBuf,
    gpiomem: PathBuf,
    clock: PathBuf,
    /// Where the debug probe is served, if there is one.
    probe: Option<TcpListener>,
    _turn: MutexGuard<'static, ()>,
}

const NO_USB: &str = "[leave_out]\nusb = \"the test has no USB host\"\n";
/// The module comes programmed.
const NO_PROBE: &str = "program = \"the test has no debug probe\"\n";

/// `plans/b404x.toml` without what needs Bluetooth and USB of the controller, and further changes.
fn plan_in(folder: &Path, more: &str) -> PathBuf {
    let plans = folder.join("plans");
    fs::create_dir_all(plans.join("parts")).unwrap();
    for file in fs::read_dir(root().join("plans/parts")).unwrap().flatten() {
        fs::copy(file.path(), plans.join("parts").join(file.file_name())).unwrap();
    }
    let text = fs::read_to_string(root().join("plans/b404x.toml")).unwrap();
    assert!(text.contains("\"parts/ble.toml\", "));
    let text = text.replace("\"parts/ble.toml\", ", "");
    let plan = plans.join("b404x.toml");
    fs::write(&plan, format!("{text}\n{more}")).unwrap();
    plan
}

/// There is one `/dev/i2c-1` for all, by the lock on it: one test at a time.
static ONE: Mutex<()> = Mutex::new(());

/// With a module that holds the test firmware.
fn line(faults: &[&str]) -> ProductionLine {
    line_with(faults, None)
}

/// With an empty module and a debug probe.
fn line_with_probe() -> ProductionLine {
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    probe.set_nonblocking(true).unwrap();
    line_with(&[], Some(probe))
}

fn line_with(faults: &[&str], probe: Option<TcpListener>) -> ProductionLine {
    let turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let file = root().join("plans/b404x.toml");
    let loaded = Project::find(Some(&root()), Some(&file)).load(&file, &Kinds::default()).unwrap();
    let family: &DutFamily = loaded.family().unwrap();
    let faults: Vec<Fault> = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    let firmware = fs::read(&loaded.firmware_path).unwrap();
    let bench = VirtualBench::new(VirtualConfig {
        fixture: &loaded.fixture,
        dut: family,
        model: "b404x",
        firmware: probe.is_none().then_some(firmware.as_slice()),
        seed: 1,
        faults: &faults,
        bench_faults: &[],
        serial: Some(SERIAL.to_owned()),
        pace: Some(1.0),
    })
    .unwrap();
    let pi = VirtualPi::new(folder.path()).unwrap();
    fs::create_dir(folder.path().join("lock")).unwrap();
    ProductionLine {
        uart: pi.uart().to_owned(),
        socket: pi.socket().to_owned(),
        gpiomem: pi.gpiomem().to_owned(),
        clock: pi.clock().to_owned(),
        pi: Some(pi),
        probe,
        folder,
        _turn: turn,
        bench: Rc::new(bench),
        fixture: loaded.fixture,
    }
}

/// What a Raspberry Pi 4 has, in its own namespace.
const SET_UP: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs none /sys/firmware
mkdir -p /sys/firmware/devicetree/base
printf 'raspberrypi,4-model-b\0brcm,bcm2711\0' > /sys/firmware/devicetree/base/compatible
printf 'Raspberry Pi 4 Model B Rev 1.4\0' > /sys/firmware/devicetree/base/model
mkdir "$LINE/dev"
mount --rbind /dev "$LINE/dev"
mount -t tmpfs none /dev
for name in null zero full random urandom tty; do touch /dev/$name; mount --bind "$LINE/dev/$name" /dev/$name; done
mkdir /dev/pts /dev/shm
mount --rbind "$LINE/dev/pts" /dev/pts
ln -s /proc/self/fd /dev/fd
touch /dev/i2c-1 /dev/gpiochip0 /dev/gpiomem
mount --bind "$GPIOMEM" /dev/gpiomem
mount --bind "$LINE/lock" /run/lock
ln -s "$UART" /dev/ttyAMA0
export LD_PRELOAD="$KERNEL"
exec "$@"
"#;

/// A namespace with the locks of this line and no devices.
const ONLY_LOCKS: &str = r#"mount --make-rprivate / && mount --bind "$LINE/lock" /run/lock && exec "$@""#;

impl ProductionLine {
    /// Starts `bench` with these arguments on the Pi's devices.
    fn start(&self, arguments: &[&str]) -> Child {
        let output = fs::File::create(self.folder.path().join("output")).unwrap();
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap()
    }

    /// `bench` with these arguments on the Pi's devices, at this station.
    fn command(&self, arguments: &[&str]) -> Command {
        let probe = self.probe.as_ref().map(|probe| probe.local_addr().unwrap());
        let probe = probe.map(|at| format!("probe = \"1d50:6018:{at}\"\n")).unwrap_or_default();
        fs::write(self.folder.path().join("station.toml"), format!("{STATION}{probe}")).unwrap();
        let kernel = std::env::current_exe().unwrap().with_file_name("libvirtual_pi_kernel.so");
        assert!(kernel.is_file(), "{}", kernel.display());
        let mut command = Command::new("unshare");
        command
            .args(["-m", "sh", "-c", SET_UP, "sh", env!("CARGO_BIN_EXE_bench"), "--root"])
            .arg(root())
            .args(arguments)
            .current_dir(self.folder.path())
            .env("LINE", self.folder.path())
            .env("GPIOMEM", &self.gpiomem)
            .env("UART", &self.uart)
            .env("KERNEL", kernel)
            .env("VIRTUAL_PI", &self.socket)
            .env("VIRTUAL_PI_CLOCK", &self.clock);
        command
    }

    fn run(&self, plan: &Path, more: &[&str]) -> Child {
        let plan = plan.display().to_string();
        self.start(&[&["run", &plan, "--serial", SERIAL, "--reports", "reports"], more].concat())
    }

    fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap()
    }

    fn journal(&self) -> String {
        let runs = fs::read_dir(self.folder.path().join("reports").join(SERIAL)).unwrap();
        let run = runs.flatten().next().unwrap().path();
        fs::read_to_string(run.join("journal.jsonl")).unwrap()
    }

    /// Plays the fixture until `end` ends.
    fn serve<T>(&mut self, end: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (pi, probe) = (self.pi.take().unwrap(), self.probe.take());
        let served = async {
            let probe = async {
                let Some(probe) = probe else { return std::future::pending().await };
                let probe = tokio::net::TcpListener::from_std(probe).unwrap();
                match serve_probe(probe, Rc::new(self.bench.swd())).await.unwrap() {}
            };
            let end = async { select(pin!(end), pin!(probe)).await.factor_first().0 };
            pi.serve(&self.bench, &self.fixture, end).await
        };
        runtime.block_on(served).unwrap()
    }
}

const STATION: &str = r#"format = 1
name = "test-line"
fixture = "b-series"
fixture_serial = "FX-TEST"
overdue = "mark"

[[calibration]]
chip = "power-vcc"
gain = 1.0
date = 2020-01-01
due = 2021-01-01

[[nest]]
name = "A"
"#;

/// Ends when the process does.
fn exit_of(mut child: Child) -> impl Future<Output = ExitStatus> {
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || ended.send(child.wait().unwrap()));
    async { end.await.unwrap() }
}

fn kill(pid: u32) {
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
}

async fn wait_for(clock: &dyn Clock, within: Duration, mut what: impl FnMut() -> bool) -> Option<Duration> {
    let began = clock.now();
    while clock.now() - began <= within {
        if what() {
            return Some(clock.now() - began);
        }
        clock.sleep(MS).await;
    }
    None
}

/// Waits until the run has switched two rails on. While the bench checks itself, one at a time is on for a moment.
async fn powered(bench: &VirtualBench) {
    let on = || bench.rails_on().into_iter().filter(|on| *on).count() > 1;
    assert!(wait_for(&*bench.clock(), 20_000 * MS, on).await.is_some(), "no rail was ever switched on");
}

#[test]
fn a_plan_passes_through_rppal_serialport_and_a_probe_on_the_network() {
    if skipped("a_plan_passes_through_rppal_serialport_and_a_probe_on_the_network") {
        return;
    }
    let mut line = line_with_probe();
    let plan = plan_in(line.folder.path(), NO_USB);
    let status = line.serve(exit_of(line.run(&plan, &["--record-answers"])));
    assert_eq!(status.code(), Some(0), "{}", line.output());
    replays_as_it_ran(&line, &plan);
    let journal = line.journal();
    for expected in [
        r#""bench":{"kind":"real","station":"test-line","nest":"A","fixture_serial":"FX-TEST""#,
        r#""overdue":["the calibration of power-vcc was due on 2021-01-01"]"#,
        r#""name":"firmware.verified","value":1.0"#,
        r#""event":"run-ended","verdict":"pass""#,
    ] {
        assert!(journal.contains(expected), "{expected} is missing in\n{journal}");
    }
    assert!(!line.bench.rails_on().contains(&true));
    assert_eq!(line.bench.stats().watchdog_cuts, 0, "it was kicked all the way");
}

/// Of some 530, without those of the modem, whose steps wait most.
const SAME_READINGS: usize = 450;

/// A recording of a bench in real time replays without its devices. Where a step asks again and again until something
/// happens, a busy machine makes the replay ask once more or less than the run did: that step may lack an answer, and it
/// is said. What does not wait for anything is the same.
fn replays_as_it_ran(line: &ProductionLine, plan: &Path) {
    let run = line.folder.path().join("reports").join(SERIAL);
    let after = line.folder.path().join("replayed");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    let replay = command.args(["replay".as_ref(), run.as_os_str(), "--root".as_ref(), root().as_os_str()]);
    let replayed = replay.arg("--plan").arg(plan).arg("--reports").arg(after).output().unwrap();
    let shown = String::from_utf8_lossy(&replayed.stdout);
    let errors = String::from_utf8_lossy(&replayed.stderr);
    assert!(matches!(replayed.status.code(), Some(0 | 2)), "{shown}{errors}");
    let equal =
        shown.split(" readings equal").next().and_then(|before| before.rsplit(' ').next()?.parse::<usize>().ok());
    assert!(equal.is_some_and(|equal| equal > SAME_READINGS), "{shown}{errors}");
    println!("{shown}");
}

/// Kills the bench in the middle of a run and returns how long a supply stayed on.
fn killed(test: &str, guard_too: bool) {
    if skipped(test) {
        return;
    }
    let mut line = line(&[]);
    let plan = plan_in(line.folder.path(), &[NO_USB, NO_PROBE].concat());
    let child = line.run(&plan, &[]);
    let pid = child.id();
    let exit = exit_of(child);
    let bench = Rc::clone(&line.bench);
    let off_after = line.serve(async move {
        let clock = bench.clock();
        powered(&bench).await;
        clock.sleep(300 * MS).await;
        assert!(bench.rails_on().contains(&true));
        if guard_too {
            kill(guard_of(pid));
        }
        kill(pid);
        exit.await;
        wait_for(&*clock, 1000 * MS, || !bench.rails_on().contains(&true)).await
    });
    let off_after = off_after.expect("a supply stayed on");
    println!("{test}: all supplies off after {off_after:?}");
    let limit = if guard_too { 510 * MS } else { 100 * MS };
    assert!(off_after <= limit, "{off_after:?}\n{}", line.output());
    assert_eq!(line.bench.stats().watchdog_cuts, u32::from(guard_too), "who cut the rails");
    let journal = line.journal();
    assert!(journal.starts_with("{") && !journal.contains("run-ended"), "{journal}");
    // It does not count as a tested unit.
    let report = Command::new(env!("CARGO_BIN_EXE_bench"))
        .arg("report")
        .arg(line.folder.path().join("reports").join(SERIAL))
        .output()
        .unwrap();
    assert_eq!(report.status.code(), Some(2), "{}", String::from_utf8_lossy(&report.stdout));
}

fn guard_of(pid: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn the_guard_switches_off_when_the_bench_is_killed() {
    killed("the_guard_switches_off_when_the_bench_is_killed", false);
}

#[test]
fn the_watchdog_switches_off_when_nobody_is_left() {
    killed("the_watchdog_switches_off_when_nobody_is_left", true);
}

#[test]
fn without_its_guard_a_run_does_not_go_on() {
    const TEST: &str = "without_its_guard_a_run_does_not_go_on";
    if skipped(TEST) {
        return;
    }
    let mut line = line(&[]);
    let plan = plan_in(line.folder.path(), &[NO_USB, NO_PROBE].concat());
    let child = line.run(&plan, &[]);
    let pid = child.id();
    let exit = exit_of(child);
    let bench = Rc::clone(&line.bench);
    let status = line.serve(async move {
        powered(&bench).await;
        kill(guard_of(pid));
        exit.await
    });
    assert_eq!(status.code(), Some(2), "{}", line.output());
    let journal = line.journal();
    assert!(journal.contains("the guard of the rails is gone (its process has ended)"), "{journal}");
    assert!(!line.bench.rails_on().contains(&true));
    assert_eq!(line.bench.stats().watchdog_cuts, 0, "the run itself switched off");
}

#[test]
fn a_second_bench_on_the_same_fixture_is_turned_away() {
    if skipped("a_second_bench_on_the_same_fixture_is_turned_away") {
        return;
    }
    let mut line = line(&[]);
    let plan = plan_in(line.folder.path(), &[NO_USB, NO_PROBE].concat());
    let first = line.run(&plan, &[]);
    let (bench, pid) = (Rc::clone(&line.bench), first.id());
    let exit = exit_of(first);
    let second = line.folder.path().to_owned();
    let refused = line.serve(async move {
        powered(&bench).await;
        let refused = Command::new("unshare")
            .args(["-m", "sh", "-c", ONLY_LOCKS, "sh", env!("CARGO_BIN_EXE_bench"), "--root"])
            .arg(root())
            .args(["run", "plans/b404x.toml", "--serial", SERIAL])
            .current_dir(&second)
            .env("LINE", &second)
            .output()
            .unwrap();
        let stopped = Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap();
        assert!(stopped.success());
        assert_eq!(exit.await.code(), Some(4), "SIGTERM aborts");
        refused
    });
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("in use by bench (process {pid}")), "{said}");
    assert!(!line.bench.rails_on().contains(&true));
}

/// Found before power.
const BEFORE_POWER: &str = "open:56";
const SECRET: &str = "MOBILESECRET";

/// A unit by scanner and start button: a bad one, so that its test is over before it gets power.
#[test]
fn the_operators_screen_drives_a_real_fixture() {
    const TEST: &str = "the_operators_screen_drives_a_real_fixture";
    if skipped(TEST) {
        return;
    }
    let mut line = line(&[BEFORE_POWER]);
    let plan = plan_in(line.folder.path(), &[NO_USB, NO_PROBE].concat()).display().to_string();
    let command = line.command(&["operator", &plan, "--reports", "reports"]);
    let (orders, mut received) = tokio::sync::mpsc::unbounded_channel();
    let operator = std::thread::spawn(move || {
        let mut screen = Terminal::run(&command, 100, 30);
        screen.wait_for("Scan the label");
        screen.send(format!("{SERIAL} {SECRET}001\r").as_bytes());
        screen.wait_for(SERIAL);
        orders.send("press").unwrap();
        screen.wait_for("1 tested: 0 pass, 1 fail");
        screen.wait_for("Contact at fault: 56");
        orders.send("look").unwrap();
        let shown = screen.text();
        screen.send(b"\x1b[21~");
        (screen.code(), shown)
    });
    let bench = Rc::clone(&line.bench);
    let lamps = line.serve(async move {
        let clock = bench.clock();
        let mut lamps = Vec::new();
        while let Some(what) = received.recv().await {
            if what == "look" {
                // The registers are looked at once in a millisecond; of several lamps that are put out meanwhile one is seen.
                wait_for(&*clock, 1000 * MS, || bench.lamps().contains(&"fail".to_owned())).await;
                lamps = bench.lamps();
                continue;
            }
            // As a finger does.
            bench.press_start(true);
            clock.sleep(200 * MS).await;
            bench.press_start(false);
        }
        lamps
    });
    let (code, shown) = operator.join().unwrap();
    assert_eq!(code, Some(0), "{shown}");
    assert!(lamps.contains(&"fail".to_owned()) && !lamps.contains(&"pass".to_owned()), "{lamps:?}\n{shown}");
    assert!(shown.contains("Contact at fault: 56"), "{shown}");
    let journal = line.journal();
    assert!(journal.contains(r#""bench":{"kind":"real","station":"test-line","nest":"A""#), "{journal}");
    assert!(journal.contains(r#""event":"run-ended","verdict":"fail""#), "{journal}");
    assert_eq!(found_below(&line.folder.path().join("reports"), SECRET), None);
    assert!(!line.bench.rails_on().contains(&true));
}

/// How many: BENCH_PI_STALLS=24 for more certainty.
fn stalls() -> u64 {
    std::env::var("BENCH_PI_STALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn signal(signal: &str, pid: u32) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// The whole program is stopped for a while, as by a kernel that is busy elsewhere; guard and watchdog are not.
#[test]
fn a_program_that_is_stopped_for_a_while_condemns_no_module() {
    const TEST: &str = "a_program_that_is_stopped_for_a_while_condemns_no_module";
    if skipped(TEST) {
        return;
    }
    let (mut passed, mut erred) = (0, 0);
    for n in 0..stalls() {
        // From 20 ms to 2 s, as many short ones as long ones; at moments all over a run.
        let mixed = |salt: u64| (n * 7 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let span = (20 * MS).mul_f64(100f64.powf((mixed(1) % 1000) as f64 / 1000.0));
        let after = Duration::from_millis(mixed(2) % 9_000);
        let mut line = line(&[]);
        let plan = plan_in(line.folder.path(), &[NO_USB, NO_PROBE].concat());
        let child = line.run(&plan, &[]);
        let pid = child.id();
        let exit = exit_of(child);
        let bench = Rc::clone(&line.bench);
        let status = line.serve(async move {
            let clock = bench.clock();
            let on = || bench.rails_on().contains(&true);
            assert!(wait_for(&*clock, 20_000 * MS, on).await.is_some(), "no rail was ever switched on");
            clock.sleep(after).await;
            signal("-STOP", pid);
            clock.sleep(span).await;
            signal("-CONT", pid);
            exit.await
        });
        let (said, journal, stats) = (line.output(), line.journal(), line.bench.stats());
        let end = journal.lines().last().unwrap_or_default().to_owned();
        println!("{TEST}: {span:.0?} after {after:?}: {}", end.get(..end.len().min(300)).unwrap_or_default());
        match status.code() {
            Some(0) => passed += 1,
            Some(2) => {
                erred += 1;
                assert!(said.contains(" ms late ("), "{span:?} after {after:?}: the lateness is not named: {said}");
            }
            other => panic!("{span:?} after {after:?}: a good module is blamed: {other:?}\n{said}"),
        }
        assert!(!line.bench.rails_on().contains(&true));
        if span < 400 * MS {
            assert_eq!(stats.modem_cuts, 0, "{span:?} after {after:?}\n{said}");
        }
    }
    println!("{TEST}: {passed} passed, {erred} ended as errors that name the lateness");
}
