//! `bench golden`: does a known good module still measure what it measured before?

use super::diagnosis::DiagnosisArgs;
use super::run::Tested;
use super::{print, print_json};
use crate::cli::{EXIT_ERROR, RunArgs};
use crate::golden::{Comparison, compare, is_history_of, run_name};
use bench_engine::{Failed, Project};
use bench_journal::{find_runs, in_true_order, is_folder_of, safe_name, shown};
use bench_operator::{GoldenOutcome, SIGN_OFF_FILE, SignOff, sign, signatures};
use bench_plan::DutFamily;
use bench_report::RunRecord;
use bench_run::Verdict;
use bench_steps::Kinds;
use clap::Args;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The module does not measure what it measured before.
const EXIT_DRIFTED: u8 = Verdict::Fail.exit_code();

/// Drifted measurements that are printed; JSON has all.
const MOST_SHOWN: usize = 20;

const AFTER: &str = "\
Examples:
  bench golden plans/b404x.toml --serial P042AN0000DEMO1 --by Kim
  bench golden plans/b404x.toml --serial P042AN0000DEMO1 --last
  bench golden --list

Exit codes:
  0  every measurement agrees with the module's history
  1  a measurement drifted, or the golden module failed
  2  it cannot be decided: fewer than 5 earlier runs, or the run ended in an error
  3  the plan, another file or the arguments are wrong; nothing was powered
  4  aborted from outside";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct GoldenArgs {
    /// The plan.
    #[arg(required_unless_present = "list")]
    plan: Option<PathBuf>,
    /// Serial number of the golden module.
    #[arg(long, value_name = "TEXT", required_unless_present = "list")]
    serial: Option<String>,
    /// Signs the result off with this name, in `golden.jsonl` in the folder for the records.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Compares the newest run of this module, instead of testing it now.
    #[arg(long, conflicts_with_all = ["virtual_bench", "list"])]
    last: bool,
    /// The bench was changed on purpose, for example new nails: the history begins again with this run.
    #[arg(long, requires = "by")]
    new_history: bool,
    /// Prints what was signed off, oldest first.
    #[arg(long)]
    list: bool,
    /// Tests an emulated module in a simulated fixture.
    #[arg(long = "virtual")]
    virtual_bench: bool,
    /// Another fixture than the one that the plan names; the plan must list it in `also_on`.
    #[arg(long, value_name = "NAME")]
    fixture: Option<String>,
    /// The station file: which devices this controller has, and their calibrations.
    #[arg(long, value_name = "FILE", default_value = bench_real::DEFAULT_FILE, conflicts_with = "virtual_bench")]
    station: PathBuf,
    /// Nest of the station [default: the only one].
    #[arg(long, value_name = "NAME", conflicts_with = "virtual_bench")]
    nest: Option<String>,
    /// Seed for the tolerances and the noise of the virtual module and fixture.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// A fault of the virtual bench, as `bench run` takes it; may be repeated.
    #[arg(long = "bench-fault", value_name = "SPEC", requires = "virtual_bench")]
    bench_faults: Vec<String>,
    /// Folder for the records of runs.
    #[arg(long, default_value = "reports", value_name = "FOLDER")]
    reports: PathBuf,
    /// Signs records with this station key [default on a real bench: the station file's name with `.key`, if it
    /// exists].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The firmware image [default: the one that the plan names, built by `cargo xtask firmware`].
    #[arg(long, value_name = "FILE")]
    firmware: Option<PathBuf>,
    /// Prints the comparison only, not the summary of the run.
    #[arg(long, short)]
    quiet: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

fn usage(problem: impl std::fmt::Display, help: &str) -> Failed {
    Failed::Usage(miette::miette!(help = help.to_owned(), "{problem}"))
}

pub(crate) fn golden(root: Option<&Path>, args: &GoldenArgs) -> Result<u8, Failed> {
    let (Some(plan), Some(serial), false) = (&args.plan, &args.serial, args.list) else { return list(args) };
    if args.by.as_ref().is_some_and(|by| by.trim().is_empty()) {
        return Err(usage("--by: the name is empty", "write the name of the person who signs; nothing was powered"));
    }
    let loaded = Project::find(root, Some(plan)).load_on(plan, args.fixture.as_deref(), &Kinds::default())?;
    let serial = super::run::serial_number(serial, &loaded)?;
    // Read before the run, so that a file that cannot be read costs no test.
    let signed = read_signatures(&args.reports)?;
    let (wanted, code) = if args.last {
        (None, None)
    } else {
        let Tested { code, run_name } = super::run::test(root, &run_args(args, plan, &serial))?;
        (Some(run_name), Some(code))
    };
    let mut runs = records(&args.reports, &serial)?;
    let of_plan = |run: &RunRecord| run.provenance.as_ref().is_some_and(|made_of| made_of.plan == loaded.plan.name);
    let is_wanted = |run: &RunRecord| match &wanted {
        Some(name) => run_name(run) == *name,
        None => of_plan(run) && args.nest.as_ref().is_none_or(|nest| run.nest.as_ref() == Some(nest)),
    };
    let Some(at) = runs.iter().rposition(is_wanted) else {
        return Err(match wanted {
            Some(name) => {
                Failed::bench(format_args!("{}: the record of run {name} cannot be read", shown(&args.reports)))
            }
            None => usage(
                format_args!(
                    "{}: there is no run of {serial} with the plan {}",
                    shown(&args.reports),
                    loaded.plan.name
                ),
                "leave --last out to test the module now, or name another folder with --reports",
            ),
        });
    };
    let run = runs.remove(at);
    runs.truncate(at);
    let history = history(runs, &run, &signed);
    let comparison = compare(&run, &history);
    let outcome = outcome(&run, &comparison, args.new_history);
    let unsigned = || miette::miette!("{}: not signed off", shown(&args.reports.join(SIGN_OFF_FILE)));
    if let (Some(by), Some(outcome)) = (&args.by, outcome) {
        let line = signature(&run, by.trim(), outcome, &comparison);
        sign(&args.reports, &line).map_err(|error| Failed::Bench(unsigned().wrap_err(error.to_string())))?;
    }
    if args.json {
        print_json(&serde_json::json!({
            "serial": run.serial, "run_id": run_name(&run), "verdict": run.verdict, "outcome": outcome,
            "signed_by": args.by.as_ref().filter(|_| outcome.is_some()), "comparison": comparison,
        }))?;
    } else {
        if args.last {
            print(&format!(
                "Run {}{}:\n",
                run_name(&run),
                run.started_at.as_ref().map_or(String::new(), |at| format!(", {at}"))
            ));
        }
        print(&text(&run, outcome, &comparison, args.by.as_deref(), loaded.family()));
    }
    Ok(match outcome {
        Some(GoldenOutcome::Agrees | GoldenOutcome::NewHistory) => 0,
        Some(GoldenOutcome::Drifted) => EXIT_DRIFTED,
        Some(GoldenOutcome::TooFew) => EXIT_ERROR,
        None => code.unwrap_or(run.verdict.exit_code()),
    })
}

/// The arguments of the run: a golden module is tested as any other.
fn run_args(args: &GoldenArgs, plan: &Path, serial: &str) -> RunArgs {
    RunArgs {
        plan: plan.to_owned(),
        virtual_bench: args.virtual_bench,
        fixture: args.fixture.clone(),
        station: args.station.clone(),
        nest: args.nest.clone(),
        serial: Some(serial.to_owned()),
        imei: None,
        lot: None,
        seed: args.seed,
        faults: Vec::new(),
        bench_faults: args.bench_faults.clone(),
        pace: None,
        reports: args.reports.clone(),
        key: args.key.clone(),
        junit: None,
        firmware: args.firmware.clone(),
        dictionary: None,
        hooks: None,
        without_hooks: true,
        answers: Vec::new(),
        answers_file: None,
        record_answers: false,
        without: Vec::new(),
        keep: false,
        erase_locked: false,
        powered: false,
        quiet: args.quiet || args.json,
        verbose: false,
        diagnosis: DiagnosisArgs::default(),
    }
}

fn read_signatures(reports: &Path) -> Result<Vec<SignOff>, Failed> {
    signatures(reports).map_err(|error| {
        usage(
            format_args!("{}: {error}", shown(&reports.join(SIGN_OFF_FILE))),
            "the file must be readable; nothing was powered",
        )
    })
}

/// The records of a unit in their true order. What cannot be read, was changed or has no end is no history.
fn records(reports: &Path, serial: &str) -> Result<Vec<RunRecord>, Failed> {
    let runs = find_runs(reports).map_err(|error| Failed::bench(format_args!("{}: {error}", shown(reports))))?;
    let of_unit = runs.into_iter().filter(|run| is_folder_of(&run.serial, &safe_name(serial)));
    let journals = in_true_order(of_unit.map(|run| run.journal).collect());
    Ok(journals.iter().filter_map(|journal| bench_store::examine_file(journal).usable().ok()).collect())
}

/// The runs that this one is compared with. A run that was signed as drifted would widen the band for the next one. A new
/// history begins with the run that was signed so.
fn history(earlier: Vec<RunRecord>, run: &RunRecord, signed: &[SignOff]) -> Vec<RunRecord> {
    let with = |outcome| signed.iter().filter(move |line| line.outcome == outcome).map(|line| line.run_id.as_str());
    let drifted: BTreeSet<&str> = with(GoldenOutcome::Drifted).collect();
    let begins: BTreeSet<&str> = with(GoldenOutcome::NewHistory).collect();
    let mut history: Vec<RunRecord> = earlier.into_iter().filter(|earlier| is_history_of(earlier, run)).collect();
    if let Some(first) = history.iter().rposition(|earlier| begins.contains(run_name(earlier).as_str())) {
        history.drain(..first);
    }
    history
        .retain(|earlier| begins.contains(run_name(earlier).as_str()) || !drifted.contains(run_name(earlier).as_str()));
    history
}

/// What can be signed; `None` when the run decided nothing.
fn outcome(run: &RunRecord, comparison: &Comparison, new_history: bool) -> Option<GoldenOutcome> {
    match run.verdict {
        Verdict::Pass if new_history => Some(GoldenOutcome::NewHistory),
        Verdict::Pass if comparison.compared == 0 => Some(GoldenOutcome::TooFew),
        Verdict::Pass if comparison.drifted.is_empty() => Some(GoldenOutcome::Agrees),
        Verdict::Pass | Verdict::Fail => Some(GoldenOutcome::Drifted),
        Verdict::Error | Verdict::Skipped | Verdict::Aborted => None,
    }
}

fn signature(run: &RunRecord, by: &str, outcome: GoldenOutcome, comparison: &Comparison) -> SignOff {
    SignOff {
        serial: run.serial.clone(),
        plan: run.provenance.as_ref().map(|made_of| made_of.plan.clone()).unwrap_or_default(),
        station: run.bench.as_ref().and_then(|bench| bench.station().map(str::to_owned)),
        nest: run.nest.clone(),
        run_id: run_name(run),
        at: run.started_at.clone(),
        by: by.to_owned(),
        outcome,
        compared: comparison.compared,
        drifted: comparison.drifted.len(),
    }
}

/// "12 earlier runs, from 2026-01-01T06:00:00Z to 2026-01-12T06:00:00Z"; the virtual bench has no dates.
fn span(comparison: &Comparison) -> String {
    let mut text = match comparison.history.len() {
        1 => "1 earlier run".to_owned(),
        count => format!("{count} earlier runs"),
    };
    if let [first, .., last] = comparison.history.as_slice() {
        let name = |run: &crate::golden::Earlier| run.started_at.clone().unwrap_or_else(|| run.run_id.clone());
        let _ = write!(text, ", from {} to {}", name(first), name(last));
    }
    text
}

fn text(
    run: &RunRecord,
    outcome: Option<GoldenOutcome>,
    comparison: &Comparison,
    by: Option<&str>,
    family: Option<&DutFamily>,
) -> String {
    let (serial, compared, drifted) = (&run.serial, comparison.compared, comparison.drifted.len());
    let mut text = String::new();
    let line = match (outcome, run.verdict) {
        (None, verdict) => {
            format!(
                "Golden module {serial}: the run ended as {verdict}, so nothing was decided. Fix the cause and test again."
            )
        }
        (Some(GoldenOutcome::NewHistory), _) => {
            format!(
                "Golden module {serial}: a new history begins with run {}. Earlier runs no longer count.",
                run.run_id
            )
        }
        (Some(GoldenOutcome::TooFew), _) => format!(
            "Golden module {serial}: too few earlier runs to compare with ({}); {} more needed. This run is one of them.",
            span(comparison),
            comparison.missing.max(1)
        ),
        (Some(GoldenOutcome::Agrees), _) => {
            format!("Golden module {serial} agrees with its history: {compared} measurements, {}.", span(comparison))
        }
        (Some(GoldenOutcome::Drifted), Verdict::Fail) => format!(
            "Golden module {serial} FAILED, and {drifted} of {compared} compared measurements drifted ({}). The module is \
             known to be good: do not trust this nest.",
            span(comparison)
        ),
        (Some(GoldenOutcome::Drifted), _) => format!(
            "Golden module {serial} DRIFTED: {drifted} of {compared} measurements are not where they were ({}).",
            span(comparison)
        ),
    };
    let _ = writeln!(text, "{line}");
    if outcome != Some(GoldenOutcome::NewHistory) {
        for drift in comparison.drifted.iter().take(MOST_SHOWN) {
            let label = |contact| family.map_or_else(|| format!("{contact}"), |family| family.label(contact));
            let contacts: Vec<String> = drift.contacts.iter().map(|contact| label(*contact)).collect();
            let (unit, expected) = (drift.unit, drift.expected);
            let at = match contacts.as_slice() {
                [] => String::new(),
                [one] => format!("  contact {one}"),
                more => format!("  contacts {}", more.join(", ")),
            };
            let sign = if drift.by > 0.0 { "+" } else { "" };
            let _ = writeln!(text, "  {}/{}{at}", drift.step, drift.name);
            let _ = writeln!(
                text,
                "    {}, {sign}{} from the mean {} of {} runs; tolerated is {}. Check {}.",
                unit.show(drift.value),
                unit.show(drift.by),
                unit.show(expected.mean),
                expected.n,
                unit.show(expected.tolerance),
                drift.advice()
            );
        }
        if drifted > MOST_SHOWN {
            let _ = writeln!(text, "  and {} more (--json shows all)", drifted - MOST_SHOWN);
        }
        if outcome == Some(GoldenOutcome::Drifted) {
            let _ = writeln!(
                text,
                "Test a second golden module: if it drifted too, the bench changed; if not, this module did. After a repair \
                 of the bench, begin a new history with --new-history."
            );
        }
        let news = comparison.too_few.len();
        if news > 0 && compared > 0 {
            let _ = writeln!(text, "{news} measurements have too few earlier readings and were not compared.");
        }
    }
    if let (Some(by), Some(_)) = (by, outcome) {
        let _ = writeln!(text, "Signed off by {}.", by.trim());
    }
    text
}

fn list(args: &GoldenArgs) -> Result<u8, Failed> {
    let mut lines = read_signatures(&args.reports)?;
    if let Some(serial) = &args.serial {
        lines.retain(|line| line.serial.eq_ignore_ascii_case(serial.trim()));
    }
    if args.json {
        print_json(&lines)?;
        return Ok(0);
    }
    let mut text = String::new();
    for line in &lines {
        let outcome = match line.outcome {
            GoldenOutcome::Agrees => "agrees",
            GoldenOutcome::Drifted => "DRIFTED",
            GoldenOutcome::TooFew => "too few runs",
            GoldenOutcome::NewHistory => "new history",
        };
        let place: Vec<&str> = [&line.station, &line.nest].into_iter().flatten().map(String::as_str).collect();
        let row = format!(
            "{:24}  {:16}  {:10}  {outcome:12}  {:>3} of {:>4} drifted  {}  {}",
            line.at.as_deref().unwrap_or(&line.run_id),
            line.serial,
            line.plan,
            line.drifted,
            line.compared,
            line.by,
            place.join(" ")
        );
        let _ = writeln!(text, "{}", row.trim_end());
    }
    if lines.is_empty() {
        text = "No golden module was signed off yet.\n".to_owned();
    }
    print(&text);
    Ok(0)
}
