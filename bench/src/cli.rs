//! Arguments, and what they lead to.

use crate::commands;
use bench_engine::Failed;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use virtual_bench::PACES;

/// Plan, arguments or files are wrong; nothing was powered.
pub const EXIT_USAGE: u8 = 3;
/// The bench is bad or could not tell.
pub const EXIT_ERROR: u8 = 2;
/// The user ended it.
pub const EXIT_ABORTED: u8 = 4;
/// `bench coverage`: the plan finds or names less than was asked for, or fails a good module.
pub const EXIT_BELOW: u8 = 1;

const EXIT_CODES: &str = "\
Exit codes:
  0  pass: everything that the plan requires was measured and is inside its limits
  1  fail: the module is bad
  2  error: the bench is bad, or could not tell
  3  the plan, another file or the arguments are wrong; nothing was powered
  4  aborted from outside";

const OPERATOR_EXIT_CODES: &str = "\
Exit codes:
  0  the operator ended the shift
  2  error: a nest did not come to its end, or the screen could not be shown
  3  the plan, another file or the arguments are wrong; nothing was powered
  4  ended from outside (Ctrl-C, SIGTERM, a closed terminal); what was tested is aborted";

const EXAMPLES: &str = "\
Examples:
  bench run plans/b404x.toml --virtual
  bench run plans/b404x.toml --virtual --fault open:23
  bench operator plans/b404x.toml --virtual --nests 4 --pace 10 --fault-at 3=open:23
  bench check plans/*.toml
  bench pins b404x --compare boron
  bench faults plans/b404x.toml
  bench coverage plans/b404x.toml
  bench plan plans/b404x.toml --svg schedule.svg
  bench report reports/P042AN0000DEMO1
  bench verify reports
  bench store add && bench stats --by day,model";

/// End-of-line test bench for Particle B Series SoMs and Borons.
#[derive(Debug, Parser)]
#[command(name = "bench", bin_name = "bench", version = bench_engine::VERSION, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
struct Cli {
    /// Folder that holds `fixtures/` and `plans/` [default: the nearest one above the plan].
    #[arg(long, global = true, value_name = "FOLDER")]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tests one module.
    #[command(after_long_help = EXIT_CODES)]
    Run(Box<RunArgs>),
    /// Shows the operator's screen, which tests modules as their labels are scanned, on one nest or more.
    #[command(after_long_help = OPERATOR_EXIT_CODES)]
    Operator(OperatorArgs),
    /// Shows what a label scanner sends, and what the bench makes of it.
    ScanTest(commands::scan_test::ScanTestArgs),
    /// Checks plans without running them, and shows what covers each contact.
    Check(CheckArgs),
    /// Shows when each step of a plan runs, and which steps decide how long the run takes.
    Plan(PlanArgs),
    /// Shows the contacts of a model, alone or next to another's.
    Pins(PinsArgs),
    /// Checks the fixture before a shift, with no module in the nest, and says what to fix.
    Doctor(DoctorArgs),
    /// A line editor over the instruments: to bring a fixture up, and to find a fault by hand.
    Console(crate::console::ConsoleArgs),
    /// Writes back what was on a module before a run on a desk, where the run could not do that itself.
    Restore(RestoreArgs),
    /// Writes a station file from your answers to a few questions.
    Init(InitArgs),
    /// Shows the wiring of a fixture.
    Fixture(FixtureArgs),
    /// Lists the faults that `run --fault` accepts.
    Faults(FaultsArgs),
    /// Measures which faults a plan detects: runs it on a module with each fault, and on good modules.
    Coverage(CoverageArgs),
    /// Prints the JSON Schema of a kind of file.
    Schema(SchemaArgs),
    /// Makes reports from the journal of a run.
    Report(ReportArgs),
    /// Repeats a run without its hardware: today's steps get the answers that were recorded.
    Replay(commands::replay::ReplayArgs),
    /// Packs a run and what is around it into one file, without what must not leave the site.
    BugReport(commands::bug_report::BugReportArgs),
    /// Holds a fixture's rails while another bench program tests: started by that program.
    #[command(hide = true)]
    Guard(GuardArgs),
    /// Stays between this program and one of the plan's: started by this program.
    #[command(hide = true)]
    Keep,
    /// Runs an emulated module for other programs, with a debug probe on the network and a serial port, in real time.
    VirtualDut(VirtualDutArgs),
    /// Judges runs again from their journals, and reports whether a journal was changed.
    Verify(commands::verify::VerifyArgs),
    /// Keeps an index of many runs, for `bench stats`.
    Store(commands::store::StoreArgs),
    /// Sends runs to a PostgreSQL server of the line or the plant.
    Sync(commands::sync::SyncArgs),
    /// Tests a golden module, and compares every measurement with the module's own history.
    Golden(commands::golden::GoldenArgs),
    /// Does a gauge study: how much of the variation comes from the bench and not from the modules.
    Grr(commands::grr::GrrArgs),
    /// Suggests limits from the measurements of good units.
    Limits(commands::limits::LimitsArgs),
    /// Exports many runs as CSV, JSON, JUnit or STDF.
    Export(commands::export::ExportArgs),
    /// Shows yields, causes of failures, capability and worn nails of many runs.
    Stats(commands::stats::StatsArgs),
    /// Prints a completion script for a shell.
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Args)]
#[command(after_help = "Example: bench run plans/b404x.toml --virtual --seed 7 --fault short:36-38@100")]
pub(crate) struct RunArgs {
    /// The plan.
    pub plan: PathBuf,
    /// Tests an emulated module in a simulated fixture.
    #[arg(long = "virtual")]
    pub virtual_bench: bool,
    /// Another fixture than the one that the plan names; the plan must list it in `also_on`.
    #[arg(long, value_name = "NAME")]
    pub fixture: Option<String>,
    /// The station file: which devices this controller has, and their calibrations.
    #[arg(long, value_name = "FILE", default_value = bench_real::DEFAULT_FILE, conflicts_with = "virtual_bench")]
    pub station: PathBuf,
    /// Nest of the station [default: the only one].
    #[arg(long, value_name = "NAME", conflicts_with = "virtual_bench")]
    pub nest: Option<String>,
    /// Serial number of the unit, in capital or small letters [default on the virtual bench: from the seed].
    #[arg(long, value_name = "TEXT")]
    pub serial: Option<String>,
    /// IMEI on the label of the unit, which the modem must report; spaces and dashes do not matter.
    #[arg(long, value_name = "DIGITS")]
    pub imei: Option<String>,
    /// Production lot of the unit, for statistics.
    #[arg(long, value_name = "TEXT")]
    pub lot: Option<String>,
    /// Seed for the tolerances and the noise of the virtual module and fixture.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// A fault of the virtual module or fixture, for example open:23 or short:36-38@100; may be repeated. `bench faults`
    /// lists the kinds, `bench faults PLAN` every fault.
    #[arg(long = "fault", value_name = "SPEC", requires = "virtual_bench")]
    pub faults: Vec<String>,
    /// A fault of the virtual bench itself, for example nail-worn:23@80 or rail-slow:3V3; may be repeated. `bench faults
    /// PLAN --bench` lists them.
    #[arg(long = "bench-fault", value_name = "SPEC", requires = "virtual_bench")]
    pub bench_faults: Vec<String>,
    /// Slows the virtual bench down: 1 is real time, 10 ten times faster.
    #[arg(long, value_name = "FACTOR", requires = "virtual_bench", value_parser = pace)]
    pub pace: Option<f64>,
    /// Folder for the records of runs.
    #[arg(long, default_value = "reports", value_name = "FOLDER")]
    pub reports: PathBuf,
    /// Signs records with this station key [default on a real bench: the station file's name with `.key`, if it
    /// exists].
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Also writes the JUnit report to this file.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// The firmware image [default: the one that the plan names, built by `cargo xtask firmware`].
    #[arg(long, value_name = "FILE")]
    pub firmware: Option<PathBuf>,
    /// A dictionary that `bench coverage --dictionary` wrote: if the module fails, lists the faults that look most
    /// like it.
    #[arg(long, value_name = "FILE")]
    pub dictionary: Option<PathBuf>,
    /// Answers a question of the plan, so that nobody is asked: the id of a `prompt` step and the answer, for example
    /// led=yes; may be repeated. `?` is a person who cannot say.
    #[arg(long = "answer", value_name = "STEP=ANSWER")]
    pub answers: Vec<String>,
    /// The same from a TOML file with lines such as led = "yes". An --answer comes before one in the file.
    #[arg(long = "answers", value_name = "FILE")]
    pub answers_file: Option<PathBuf>,
    /// Uses the hooks in the section [hooks] of this file, as a station uses its own.
    #[arg(long, value_name = "FILE", requires = "virtual_bench")]
    pub hooks: Option<PathBuf>,
    /// Golden modules are not units of the line, so they use no hooks.
    #[arg(skip)]
    pub without_hooks: bool,
    /// Records what instruments and module answered, for `bench replay`.
    #[arg(long)]
    pub record_answers: bool,
    /// Leaves out a step and everything that needs it, and says so in the record; may be repeated. For what a desk does
    /// not have: no telephone with NFC, no Bluetooth.
    #[arg(long, value_name = "STEP")]
    pub without: Vec<String>,
    /// Does not program the module: it must hold the test firmware of this version.
    #[arg(long)]
    pub keep: bool,
    /// Allows to erase a locked module. What is on it cannot be read, so it is lost.
    #[arg(long, conflicts_with = "keep")]
    pub erase_locked: bool,
    /// On a desk: the board is on already, so nobody is asked to switch it on.
    #[arg(long, conflicts_with = "virtual_bench")]
    pub powered: bool,
    /// Prints nothing but errors.
    #[arg(long, short, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Prints what the run and the emulation cost.
    #[arg(long, short)]
    pub verbose: bool,
    #[command(flatten)]
    pub diagnosis: commands::diagnosis::DiagnosisArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: bench operator plans/b404x.toml --virtual --nests 4 --pace 10 --fault-at 3=open:23")]
pub(crate) struct OperatorArgs {
    /// The plan.
    pub plan: Option<PathBuf>,
    /// Tests emulated modules in simulated fixtures.
    #[arg(long = "virtual")]
    pub virtual_bench: bool,
    /// Number of virtual nests [default: 1]. A real station has its nests in the station file.
    #[arg(long, value_name = "N", requires = "virtual_bench", value_parser = clap::value_parser!(u8).range(1..=8))]
    pub nests: Option<u8>,
    /// The station file: which devices this controller has, and their calibrations.
    #[arg(long, value_name = "FILE", default_value = bench_real::DEFAULT_FILE, conflicts_with = "virtual_bench")]
    pub station: PathBuf,
    /// Rules of the line [default: fixtures/operator.toml, or the built-in ones].
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Language of the screen, en or de [default: the one in the rules].
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<String>,
    /// A scanner on a serial port, for example /dev/ttyACM0 or /dev/ttyUSB0:115200. A scanner that acts as a keyboard
    /// needs no option.
    #[arg(long, value_name = "PORT")]
    pub scanner: Option<bench_operator::Port>,
    /// A fault of the Nth virtual module, for example 3=open:23; may be repeated.
    #[arg(long, value_name = "NUMBER=SPEC", requires = "virtual_bench")]
    pub fault_at: Vec<String>,
    /// Seed for the tolerances and the noise of the virtual modules and fixtures.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Slows the virtual benches down: 1 is real time, 10 ten times faster.
    #[arg(long, value_name = "FACTOR", requires = "virtual_bench", value_parser = pace)]
    pub pace: Option<f64>,
    /// Uses the hooks in the section [hooks] of this file, as a station uses its own.
    #[arg(long, value_name = "FILE", requires = "virtual_bench")]
    pub hooks: Option<PathBuf>,
    /// Production lot of the units, for statistics.
    #[arg(long, value_name = "TEXT")]
    pub lot: Option<String>,
    /// Folder for the records of runs and the operators' log.
    #[arg(long, default_value = "reports", value_name = "FOLDER")]
    pub reports: PathBuf,
    /// The firmware image [default: the one that the plan names, built by `cargo xtask firmware`].
    #[arg(long, value_name = "FILE")]
    pub firmware: Option<PathBuf>,
    /// Signs records with this station key [default on a real bench: the station file's name with `.key`, if it
    /// exists].
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Reads a PIN and prints its hash for the rules file.
    #[arg(long, exclusive = true)]
    pub make_pin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Plans.
    #[arg(required = true)]
    pub plans: Vec<PathBuf>,
    /// Checks the plans on another fixture than the one they name: what can they cover there, and what not?
    #[arg(long, value_name = "NAME")]
    pub fixture: Option<String>,
    /// Exits with code 2 if there are warnings, such as limits that no reading can fail.
    #[arg(long)]
    pub strict: bool,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: bench plan plans/b404x.toml --from reports/P042AN0000DEMO1")]
pub(crate) struct PlanArgs {
    /// The plan.
    pub plan: PathBuf,
    /// Takes the times of the steps from this run, which passed: a journal or its folder [default: from two runs on
    /// the virtual bench].
    #[arg(long, value_name = "RUN")]
    pub from: Option<PathBuf>,
    /// Writes an SVG picture.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
    /// Seed for the tolerances and the noise of the virtual module and fixture.
    #[arg(long, default_value_t = 1, value_name = "N", conflicts_with = "from")]
    pub seed: u64,
    /// The firmware image [default: the one that the plan names, built by `cargo xtask firmware`].
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub firmware: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PinsArgs {
    /// b402, b404, b404x, b523, b524 or boron.
    pub model: String,
    /// Compares with this model, fact by fact.
    #[arg(long, value_name = "MODEL")]
    pub compare: Option<String>,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: bench restore reports/P042AN0000DEMO1/20261129-101500-A/before-b0f4c76351cf90e7.hex")]
pub(crate) struct RestoreArgs {
    /// The file that the run's record names: Intel HEX with flash and UICR.
    pub file: PathBuf,
    /// Number of the MCU that it belongs to, 16 hexadecimal digits [default: from the file's name].
    #[arg(long, value_name = "HEX")]
    pub mcu: Option<String>,
    /// Debug probe to use: "VID:PID:SERIAL" [default: the only one].
    #[arg(long, value_name = "PROBE")]
    pub probe: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: bench doctor --station station.toml --nest A")]
pub(crate) struct DoctorArgs {
    /// The station file: which devices this controller has.
    #[arg(long, value_name = "FILE", default_value = bench_real::DEFAULT_FILE)]
    pub station: PathBuf,
    /// Nest of the station [default: the only one].
    #[arg(long, value_name = "NAME")]
    pub nest: Option<String>,
    /// Checks the simulated fixture of this name.
    #[arg(long = "virtual", value_name = "FIXTURE", conflicts_with_all = ["station", "nest"])]
    pub virtual_fixture: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bench init --file station.toml   a fixture with instruments\n  \
                  bench init --desk                a module on an evaluation board")]
pub(crate) struct InitArgs {
    /// The file to write; an existing file is not changed.
    #[arg(long, value_name = "FILE", default_value = bench_real::DEFAULT_FILE)]
    pub file: PathBuf,
    /// Writes the file for a desk: finds debug probe and serial port by asking you to unplug and plug them.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = bench_real::DEFAULT_FILE, conflicts_with = "file")]
    pub desk: Option<PathBuf>,
    /// Fixture of the desk.
    #[arg(long, value_name = "NAME", default_value = "desk", requires = "desk")]
    pub fixture: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: bench fixture b-series --wiring --svg b-series.svg")]
pub(crate) struct FixtureArgs {
    /// Name of the fixture: `b-series` is fixtures/b-series.toml.
    pub fixture: String,
    /// Prints every wire of contacts, controller and chips.
    #[arg(long)]
    pub wiring: bool,
    /// Writes an SVG picture.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Writes the circuit that the virtual bench solves, for `ngspice -b FILE`: a good module with all supplies on.
    #[arg(long, value_name = "FILE")]
    pub spice: Option<PathBuf>,
    /// Model in that circuit [default: the first one of the fixture].
    #[arg(long, value_name = "MODEL", requires = "spice")]
    pub model: Option<String>,
    /// Seed for its tolerances.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "spice")]
    pub seed: u64,
    /// Prints JSON.
    #[arg(long, conflicts_with = "wiring")]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: bench virtual-dut plans/b404x.toml --blank --probe 127.0.0.1:2022")]
pub(crate) struct VirtualDutArgs {
    /// The plan, which names module and fixture.
    pub plan: PathBuf,
    /// Address of the debug probe, a Black Magic Probe on the network.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:2022")]
    pub probe: String,
    /// How other programs reach the module's link: pty, tcp (127.0.0.1:2023) or ADDRESS:PORT; over TCP the link keeps its first
    /// rate [default: pty on Linux, tcp elsewhere].
    #[arg(long, value_name = "PLACE")]
    pub link: Option<virtual_dut::LinkPlace>,
    /// Prints what a Bluetooth adapter near the module receives, "air ADDRESS DBM COMPANY DATA", and advertises what
    /// standard input says: "advertise COMPANY DATA", or "quiet".
    #[arg(long)]
    pub air: bool,
    /// Starts with an empty module [default: it holds the firmware image].
    #[arg(long)]
    pub blank: bool,
    /// Serial number of the module [default: from the seed].
    #[arg(long, value_name = "TEXT")]
    pub serial: Option<String>,
    /// Seed for the tolerances of the module.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// A fault of the module, for example locked; may be repeated. `bench faults` lists them.
    #[arg(long = "fault", value_name = "SPEC")]
    pub faults: Vec<String>,
    /// The firmware image [default: the one that the plan names, built by `cargo xtask firmware`].
    #[arg(long, value_name = "FILE")]
    pub firmware: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct GuardArgs {
    /// Name of the fixture.
    pub fixture: String,
    #[arg(long)]
    pub i2c_bus: u8,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  bench faults                       every kind of fault, and how it is written\n  \
                  bench faults plans/b404x.toml      every fault of this plan's module in its fixture",
    after_long_help = format!("Kinds of fault:\n\n{}", virtual_bench::fault_help()),
)]
pub(crate) struct FaultsArgs {
    /// The plan whose module and fixture may have the faults; without one, the kinds of fault are listed.
    pub plan: Option<PathBuf>,
    /// Lists the faults of the bench itself, as `run --bench-fault` accepts them.
    #[arg(long)]
    pub bench: bool,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: bench coverage plans/b404x.toml --faults 'open:*' --good 20 --json > coverage.json")]
pub(crate) struct CoverageArgs {
    /// The plan.
    pub plan: PathBuf,
    /// Another fixture than the one that the plan names: a lesser one that is built on it.
    #[arg(long, value_name = "NAME")]
    pub fixture: Option<String>,
    /// Only the faults that match: `*` is any text, `?` is one character; may be repeated.
    #[arg(long, value_name = "GLOB")]
    pub faults: Vec<String>,
    /// Measures whom the plan blames for faults of the bench itself: each of them with good and with bad modules.
    /// `--faults` then selects faults of the bench.
    #[arg(long, conflicts_with_all = ["min_detected", "min_named", "dictionary", "quick"])]
    pub bench_faults: bool,
    /// Exits with 1 if more than this share of the bench's faults is blamed on good modules, or if one lets a bad module
    /// pass.
    #[arg(long, value_name = "PERCENT", value_parser = number, requires = "bench_faults")]
    pub max_blamed: Option<f64>,
    /// Does without a check of the bench on itself, to measure what it is worth: repeated-transfers, pins-read-back,
    /// second-opinion or lossy-link; may be repeated.
    #[arg(long, value_name = "CHECK", requires = "bench_faults")]
    pub trust: Vec<bench_instruments::Plausibility>,
    /// Finds the smallest size of these defects that is detected in 95 % of the modules, and the largest that is excused:
    /// for example `cold:*` or `sleep-current`; may be repeated.
    #[arg(long, value_name = "GLOB", conflicts_with_all = ["min_detected", "min_named", "dictionary", "quick", "bench_faults", "faults", "html"])]
    pub sweep: Vec<String>,
    /// Number of good modules with different tolerances, to count false fails [default: 100, with --sweep 20, with --bench-faults 5].
    #[arg(long, value_name = "N")]
    pub good: Option<u64>,
    /// Number of runs at the same time [default: one per core].
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Leaves these steps out of the plan, by id or by kind.
    #[arg(long, value_name = "STEP")]
    pub without: Vec<String>,
    /// Skips the runs without each of the steps, which take about as long as all the others.
    #[arg(long)]
    pub quick: bool,
    /// Exits with 1 if a smaller share of the faults is detected, or if a good module fails.
    #[arg(long, value_name = "PERCENT", value_parser = number)]
    pub min_detected: Option<f64>,
    /// Exits with 1 if a smaller share of the faults is named correctly, or if a good module fails.
    #[arg(long, value_name = "PERCENT", value_parser = number)]
    pub min_named: Option<f64>,
    /// Prints the whole study as JSON.
    #[arg(long)]
    pub json: bool,
    /// Writes a page for a browser, as one file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Writes what each fault looks like, for `bench run --dictionary`.
    #[arg(long, value_name = "FILE")]
    pub dictionary: Option<PathBuf>,
    /// Rates of defects [default: fixtures/defect-rates.toml].
    #[arg(long, value_name = "FILE")]
    pub rates: Option<PathBuf>,
    /// The firmware image [default: the one that the plan names, built by `cargo xtask firmware`].
    #[arg(long, value_name = "FILE")]
    pub firmware: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    #[arg(value_enum, default_value_t = SchemaOf::Plan)]
    pub of: SchemaOf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SchemaOf {
    Plan,
    /// A part that plans include, `plans/parts/*.toml`.
    Part,
    Fixture,
    /// A module family, `fixtures/duts/*.toml`.
    Dut,
    /// A controller with its fixtures, `station.toml`.
    Station,
    /// An order of a fault, as `--fault` takes it.
    Fault,
    /// Rates of defects, `fixtures/defect-rates.toml`.
    Rates,
    /// The lines between the bench and a program of a step.
    Program,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// A journal, its folder, or a unit's folder (then its latest run); a serial number is a folder in `reports`.
    pub run: PathBuf,
    /// Writes the JUnit report.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Writes a page for a browser, as one file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Writes an STDF V4 file.
    #[arg(long, value_name = "FILE")]
    pub stdf: Option<PathBuf>,
    /// Prints all measurements as CSV.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Prints the whole record as JSON.
    #[arg(long)]
    pub json: bool,
}

/// A number without a unit, with what was meant by another notation.
fn number(text: &str) -> Result<f64, String> {
    let finite = text.parse::<f64>().ok().filter(|number| number.is_finite());
    finite.ok_or_else(|| match bench_plan::number_meant(text) {
        Some(meant) => format!("did you mean `{meant}`? A number such as 1 or 0.5 is expected"),
        None => "a number such as 1 or 0.5 is expected".to_owned(),
    })
}

fn pace(text: &str) -> Result<f64, String> {
    let pace = number(text)?;
    let (slowest, fastest) = (PACES.start(), PACES.end());
    if PACES.contains(&pace) {
        return Ok(pace);
    }
    Err(format!("from {slowest} to {fastest} is possible; leave it out for full speed"))
}

/// File handles that a run needs at most, with some to spare.
const HANDLES: usize = 32;

/// Before anything begins: the runtime's own start panics when there are none left.
fn enough_handles() -> Result<(), Failed> {
    // Of two handles each.
    let opened: std::io::Result<Vec<_>> = (0..HANDLES / 2).map(|_| std::io::pipe()).collect();
    opened.map(drop).map_err(|error| {
        let help =
            "raise the limit of open files, for example with `ulimit -n 1024`, and try again; nothing was powered";
        Failed::Bench(miette::miette!(help = help, "bench needs {HANDLES} more open files than it may have: {error}"))
    })
}

/// Parses the arguments, does what they say, and answers with the documented exit code.
pub fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|command| command == "keep") {
        // Before everything else: a step waits for it.
        return ExitCode::from(bench_programs::keep());
    }
    // The console of Windows has to be asked for it; elsewhere this does nothing.
    let _ = anstyle_query::windows::enable_ansi_colors();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes, and neither is a closed pipe.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let done = match catch_unwind(AssertUnwindSafe(|| enough_handles().and_then(|()| command(&cli)))) {
        Ok(done) => done,
        // Whatever was powered is off by now: what holds the rails puts them off when it goes.
        Err(panic) => Err(Failed::bench(format_args!("the bench failed: {}", bench_engine::panic_text(&*panic)))),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(Failed::Usage(report) | Failed::Refused(report)) => {
            commands::show(&report);
            ExitCode::from(EXIT_USAGE)
        }
        Err(Failed::Bench(report)) => {
            commands::show(&report);
            ExitCode::from(EXIT_ERROR)
        }
    }
}

fn command(cli: &Cli) -> Result<u8, Failed> {
    let root = cli.root.as_deref();
    match &cli.command {
        Command::Run(args) => commands::run::run(root, args),
        Command::Operator(args) => commands::operator::operator(root, args),
        Command::ScanTest(args) => commands::scan_test::scan_test(root, args),
        Command::Check(args) => commands::check::check(root, args),
        Command::Plan(args) => commands::plan::plan(root, args),
        Command::Pins(args) => commands::pins::pins(root, args),
        Command::Doctor(args) => commands::doctor::doctor(root, args),
        Command::Console(args) => crate::console::console(root, args),
        Command::Restore(args) => commands::restore::restore(args),
        Command::Init(args) => commands::init::init(root, args),
        Command::Fixture(args) => commands::fixture::fixture(root, args),
        Command::Faults(args) => commands::faults::faults(root, args),
        Command::Coverage(args) => commands::coverage::coverage(root, args),
        Command::Schema(args) => commands::schema::schema(root, args),
        Command::Report(args) => commands::report::report(args),
        Command::Replay(args) => commands::replay::replay(root, args),
        Command::BugReport(args) => commands::bug_report::bug_report(root, args),
        Command::Guard(args) => commands::guard::guard(root, args),
        Command::Keep => Ok(bench_programs::keep()),
        Command::VirtualDut(args) => commands::virtual_dut::virtual_dut(root, args),
        Command::Verify(args) => commands::verify::verify(args),
        Command::Store(args) => commands::store::store(args),
        Command::Sync(args) => commands::sync::sync(args),
        Command::Golden(args) => commands::golden::golden(root, args),
        Command::Grr(args) => commands::grr::grr(args),
        Command::Limits(args) => commands::limits::limits(root, args),
        Command::Export(args) => commands::export::export(args),
        Command::Stats(args) => commands::stats::stats(args),
        Command::Completions { shell } => {
            let mut command = <Cli as clap::CommandFactory>::command();
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command, "bench", &mut script);
            commands::print(&String::from_utf8_lossy(&script));
            Ok(0)
        }
    }
}
