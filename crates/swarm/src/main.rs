//! Runs the swarm, or repeats one run of it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use swarm::{Alone, CASES, Case, Line, Scenario, Swarm, WORDS, check, note_all};

const USAGE: &str = "\
usage: cargo xtask swarm [OPTIONS]

Runs plans on the virtual bench while things go wrong, and checks what must always hold. Exit code 1: something did not.

  --minutes N      begins no further run after so many minutes (1)
  --runs N         makes exactly so many runs instead
  --seed N         which runs (from the clock)
  --threads N      runs at a time (one for each core)
  --plan NAME      only this plan
  --reproduce RUN  repeats one run, as a violation prints it
  --verbose        prints every run; with --reproduce, its journal
";

struct Options {
    minutes: f64,
    runs: Option<u64>,
    seed: Option<u64>,
    threads: Option<usize>,
    plan: Option<&'static str>,
    reproduce: Option<Scenario>,
    verbose: bool,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!(
                "{USAGE}\nA RUN is\n  plan=NAME[@FIXTURE] seed=N [blank] [recorded] events=[EVENT ...]\n\nEVENT is one of\n"
            );
            for (_, form, meaning) in WORDS {
                println!("  {form:34}  {meaning}");
            }
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprint!("swarm: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    note_all();
    let holds = match &options.reproduce {
        Some(scenario) => reproduce(scenario, options.verbose),
        None => search(&options),
    };
    match holds {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(
            bench_engine::Failed::Usage(report)
            | bench_engine::Failed::Refused(report)
            | bench_engine::Failed::Bench(report),
        ) => {
            eprintln!("swarm: {report}");
            ExitCode::from(2)
        }
    }
}

/// The project that this program was built in.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(PathBuf::from).unwrap_or_default()
}

fn reproduce(scenario: &Scenario, verbose: bool) -> Result<bool, bench_engine::Failed> {
    let case = Case::load(&root(), &scenario.plan)?;
    let ran = check(&case, scenario, &Alone::default())?;
    if verbose {
        print!("{}", String::from_utf8_lossy(&bench_journal::to_bytes(&ran.entries)));
    }
    let verdict = ran.verdict.map_or_else(|| format!("{:?}", ran.end), |verdict| verdict.to_string());
    println!("{verdict}: {}", ran.reason);
    for (event, happened) in scenario.events.iter().zip(&ran.happened).filter(|(event, _)| event.at_us > 0) {
        if let Some(happened) = happened {
            println!("  {event} happened at {happened}");
        }
    }
    ran.violations.iter().for_each(|violation| println!("{violation}"));
    Ok(ran.violations.is_empty())
}

fn search(options: &Options) -> Result<bool, bench_engine::Failed> {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let seed = options.seed.unwrap_or_else(clock);
    let threads = options.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let runs = options.runs.unwrap_or(u64::MAX);
    println!("swarm: seed {seed}");
    let swarm = Swarm { root: root(), seed, threads, runs, only: options.plan };
    let began = Instant::now();
    let budget = Duration::from_secs_f64(60.0 * options.minutes);
    let go_on = || options.runs.is_some() || began.elapsed() < budget;
    let output = Mutex::new(());
    let seen = |line: &Line| {
        let _output = output.lock();
        if options.verbose {
            let verdict = line.verdict.map_or_else(|| format!("{:?}", line.end), |verdict| verdict.to_string());
            println!("{}\n  {verdict}: {}", line.scenario, line.reason);
        }
        for violation in &line.violations {
            println!("{violation}\n  '{}'", line.scenario);
        }
    };
    let findings = swarm.go(&go_on, &seen)?;
    print!("{}", findings.summary());
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    println!("swarm: seed {seed}: {:.0} runs a minute", findings.lines.len() as f64 / minutes);
    Ok(findings.hold())
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options =
        Options { minutes: 1.0, runs: None, seed: None, threads: None, plan: None, reproduce: None, verbose: false };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--verbose" => {
                options.verbose = true;
                continue;
            }
            _ => {}
        }
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value, or is unknown"))?;
        let wrong = |_| format!("{argument}: {value} is no number");
        match argument.as_str() {
            "--minutes" => {
                let minutes = value.parse().ok().filter(|minutes: &f64| (0.0..=1e6).contains(minutes));
                options.minutes = minutes.ok_or_else(|| format!("--minutes: {value} is no number of minutes"))?;
            }
            "--runs" => options.runs = Some(value.parse().map_err(wrong)?),
            "--seed" => options.seed = Some(value.parse().map_err(wrong)?),
            "--threads" => options.threads = Some(value.parse().map_err(wrong)?),
            "--plan" => {
                let known = CASES.iter().map(|(_, name)| *name).find(|name| *name == value);
                let help = || bench_plan::nearest_help(&value, CASES.iter().map(|(_, name)| *name), "plans");
                options.plan = Some(known.ok_or_else(|| format!("--plan: no {value}: {}", help()))?);
            }
            "--reproduce" => options.reproduce = Some(value.parse()?),
            _ => return Err(format!("unknown option {argument}")),
        }
    }
    Ok(Some(options))
}
