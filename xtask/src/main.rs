//! Chores of this repository, called from its root as `cargo xtask NAME`.

mod checks;
mod dist;
mod firmware;
mod laptops;
mod mode;
mod others;
mod steps;
mod suite;

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fmt};
use steps::Steps;

const USAGE: &str = "\
usage: cargo xtask NAME

  firmware  build dut-firmware and put it where the bench finds it
  demo      build everything and test one emulated module
  dist      make an archive and a Debian package for controllers: `dist` for a Raspberry Pi, `dist x86_64` for a PC;
            `dist windows` makes a zip for a laptop with Windows
  on-pi     build for a Raspberry Pi and run a whole virtual plan in an emulator of its processor
  on-windows
            build for Windows and compare it under Wine with the program for Linux: the same answers, the same journals
  differential
            compare the emulated core with QEMU on random programs; options as `differential --help` says,
            such as `--programs 100000`
  swarm     random runs with faults, hands, signals, kills, stalls and disk trouble at once, and what must hold in all of
            them: `swarm --minutes 60`; options as `swarm --help` says
  stalls    300 stalls of the controller, 20 ms to 2 s, in good runs: no module may be blamed; `stalls 1000` for more
  book      build the documentation with mdBook: target/book/html/index.html
  setup     install other people's programs that some tests talk to (Debian and its kin, as root)
  test      everything that CI checks
  test --under-load
            the tests that run in real time, five times next to four busy loops
";

/// Commands of `demo` after the release build, run in the root of the repository.
const DEMO: &str = "target/release/bench";
const DEMO_ARGUMENTS: [&str; 7] =
    ["run", "plans/b404x.toml", "--virtual", "--serial", "P042AN0000DEMO1", "--reports", "reports"];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let chore: fn(&mut Steps) -> Result<(), Failed> = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        ["firmware"] => |_| firmware::build().map(|_| ()),
        ["demo"] => demo,
        ["dist"] => |steps| dist::dist(steps, dist::MACHINES[0]),
        ["dist", name] if dist::MACHINES[1].name == name => |steps| dist::dist(steps, dist::MACHINES[1]),
        ["dist", name] if dist::MACHINES[0].name == name => |steps| dist::dist(steps, dist::MACHINES[0]),
        ["dist", name] if dist::WINDOWS.name == name => laptops::dist,
        ["on-windows"] => laptops::on_windows,
        // Program that `test` runs in parallel with the other tests, once both are built.
        ["on-windows", laptops::BUILT] => |_| laptops::compare(),
        ["on-pi"] => |steps| steps.time("on the Pi's processor", on_controller),
        ["differential", ..] => differential,
        ["swarm", ..] => swarm,
        ["stalls", ..] => stalls,
        ["book"] => book,
        ["setup"] => |_| others::install(),
        ["test"] => test,
        ["test", "--under-load"] => test_under_load,
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut steps = Steps::new(root());
    let result = chore(&mut steps);
    steps.print_times();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed { what, code }) => {
            eprintln!("xtask: {what}");
            ExitCode::from(code)
        }
    }
}

fn demo(steps: &mut Steps) -> Result<(), Failed> {
    steps.time("firmware", firmware::build)?;
    steps.cargo("", &["build", "--release", "--locked", "--package", "bench"])?;
    steps.run("", &root().join(DEMO), &DEMO_ARGUMENTS)
}

/// Arguments after the chore's name are passed to the program.
fn differential(steps: &mut Steps) -> Result<(), Failed> {
    program(steps, "core-differential")
}

/// The same.
fn swarm(steps: &mut Steps) -> Result<(), Failed> {
    steps.time("firmware", firmware::build)?;
    program(steps, "swarm")
}

/// A minute of the swarm with a new seed, which the name of the job shows at its end. As the tests are compiled: no
/// crate is built again.
fn swarm_of_a_minute(steps: &mut Steps) -> Result<suite::Job, Failed> {
    steps.cargo("", &["build", "--workspace", "--bin", "swarm", "--locked"])?;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = since.map_or(1, |since| since.as_secs()).to_string();
    println!("swarm: seed {seed}");
    let program = target_folder().join("debug").join(format!("swarm{}", env::consts::EXE_SUFFIX));
    let mut command = std::process::Command::new(program);
    command.current_dir(root()).args(["--minutes", "1", "--seed", &seed]);
    Ok(suite::Job { name: format!("swarm --minutes 1 --seed {seed}"), command })
}

fn program(steps: &mut Steps, package: &str) -> Result<(), Failed> {
    let arguments: Vec<String> = env::args().skip(2).collect();
    let run = ["run", "--release", "--locked", "--package", package, "--"];
    let all: Vec<&str> = run.into_iter().chain(arguments.iter().map(String::as_str)).collect();
    steps.cargo("", &all)
}

/// One stall in twelve is a stopped process on a Pi's devices, which takes real time; the others are a blocked executor
/// on the virtual bench.
fn stalls(steps: &mut Steps) -> Result<(), Failed> {
    const ALL: u64 = 300;
    const OF_WHICH_ON_A_PI: u64 = 12;
    let ordered = env::args().nth(2);
    let ordered = ordered.map(|text| text.parse::<u64>().map_err(|_| Failed::new(format!("{text}: how many stalls?"))));
    let all = ordered.transpose()?.unwrap_or(ALL);
    let on_a_pi = all / OF_WHICH_ON_A_PI;
    steps.time("firmware", firmware::build)?;
    let mut run = |(variable, count): (&str, u64), program: &[&str], test: &str| {
        let arguments =
            [&["test", "--workspace", "--locked", "--quiet"], program, &[test, "--", "--nocapture"]].concat();
        let mut cargo = std::process::Command::new(cargo());
        cargo.env(variable, count.to_string());
        steps.run_command("", cargo, &arguments)
    };
    run(("BENCH_STALLS", all - on_a_pi), &["--lib"], "a_controller_that_is_late_condemns_no_module")?;
    run(("BENCH_PI_STALLS", on_a_pi), &["--test", "pi"], "a_program_that_is_stopped_for_a_while")
}

/// mdBook is a library of the crate `book`, behind a feature that nothing else switches on: a new clone needs no
/// program but cargo, and the tests compile none of it.
fn book(steps: &mut Steps) -> Result<(), Failed> {
    // With the whole workspace's features, so that shared crates are compiled once.
    steps.cargo("", &["build", "--workspace", "--features", "book/html", "--bin", "book", "--locked"])?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let (root, folder) = (root().display().to_string(), root().join("target/book").display().to_string());
    steps.run("", &target.join("debug/book"), &[&root, &folder])
}

fn test(steps: &mut Steps) -> Result<(), Failed> {
    steps.time("setup", others::install)?;
    steps.time("firmware", firmware::build)?;
    steps.cargo("", &["fmt", "--all", "--check"])?;
    steps.cargo("dut-firmware", &["fmt", "--check"])?;
    steps.cargo("", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    steps.time("firmware clippy", firmware::lint)?;
    book(steps)?;
    let skipped = others::Skipped::none_yet()?;
    let mut also = match others::has_controller() {
        Ok(()) => steps.time("build for the Pi's processor", build_for_controller).map(|job| vec![job]),
        Err(missing) => skipped.add("a_plan_passes_on_the_processor_of_a_pi", &missing).map(|()| Vec::new()),
    }?;
    also.extend(laptops::check(steps, &skipped)?);
    also.push(swarm_of_a_minute(steps)?);
    checks::run_all(steps, &skipped)?;
    let tested = suite::run_all(steps, skipped.variable(), also);
    skipped.print();
    tested
}

fn test_under_load(steps: &mut Steps) -> Result<(), Failed> {
    steps.time("setup", others::install)?;
    steps.time("firmware", firmware::build)?;
    let skipped = others::Skipped::none_yet()?;
    let tested = suite::run_under_load(steps, skipped.variable());
    skipped.print();
    tested
}

fn on_controller() -> Result<(), Failed> {
    others::has_controller().map_err(Failed::new)?;
    let mut job = build_for_controller()?;
    steps::run(&job.name, &mut job.command)
}

/// The program as built for a Raspberry Pi, in an emulator of its processor, through a whole virtual plan: emulation
/// within emulation. It tests alignment, the sign of `char` and the C libraries before a Pi runs the program.
fn build_for_controller() -> Result<suite::Job, Failed> {
    let program = dist::build(dist::MACHINES[0], dist::Effort::Quick)?;
    let reports = root().join("target/on-controller");
    // Fails if none exists.
    let _ = std::fs::remove_dir_all(&reports);
    let mut command = std::process::Command::new(others::QEMU);
    command.current_dir(root()).args(["-L", others::CONTROLLER_ROOT]).arg(program);
    command.args(["run", "plans/b404x.toml", "--virtual", "--quiet", "--reports"]).arg(reports);
    Ok(suite::Job { name: "a whole plan on the Pi's processor".to_owned(), command })
}

/// Why a chore ended, and the exit code to end with.
pub struct Failed {
    what: String,
    code: u8,
}

impl Failed {
    pub fn new(what: impl fmt::Display) -> Self {
        Self { what: what.to_string(), code: 1 }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// The root of the repository: the folder above this crate.
pub fn root() -> PathBuf {
    let crate_folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().map(PathBuf::from).unwrap_or(crate_folder)
}

/// Where cargo puts what it builds.
pub fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that runs this program.
pub fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}
