//! `bench run`.

use super::{print, say, width};
use crate::cli::{EXIT_ERROR, Failed, RunArgs};
use crate::coverage::{dictionary::Dictionary, failing};
use crate::engine::{self, Recorder};
use crate::virtual_run::{self, Order};
use crate::{Project, Stop, files, progress};
use bench_journal::Journal;
use bench_plan::DutFamily;
use bench_report::{Record, Style, junit, summary};
use bench_run::{Event, Provenance, Verdict};
use bench_steps::Kinds;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Instant;

fn bench(error: impl std::fmt::Display) -> Failed {
    Failed::Bench(miette::miette!("{error}"))
}

pub(crate) fn run(root: Option<&Path>, args: &RunArgs) -> Result<u8, Failed> {
    if !args.virtual_bench {
        return Err(Failed::Usage(miette::miette!(
            help = "add --virtual to test an emulated module in a simulated fixture",
            "this version of bench drives no real fixture yet"
        )));
    }
    if args.pace.is_some_and(|pace| !pace.is_finite() || pace <= 0.0) {
        return Err(Failed::Usage(miette::miette!("--pace is a positive number such as 1 or 0.5")));
    }
    let began = Instant::now();
    let loaded = Project::find(root, Some(&args.plan)).load(&args.plan, &Kinds::default())?;
    let Some(family) = loaded.family() else { return Err(bench("the plan's family got lost")) };
    let firmware = files::read_firmware(args.firmware.as_deref().unwrap_or(&loaded.firmware_path))?;
    let faults = virtual_run::parse_faults(&args.faults)?;
    let serial = args.serial.clone().unwrap_or_else(|| virtual_run::serial(family, &loaded.plan.model, args.seed));
    if serial.len() != 15 || !serial.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Failed::Usage(miette::miette!(
            help = "the label's code holds the serial number, a space and the mobile secret: give the first part only",
            "--serial: a serial number has 15 letters and digits, such as P042AN0000DEMO1"
        )));
    }

    let dictionary =
        args.dictionary.as_deref().map(|path| dictionary(path, &loaded.provenance(&firmware))).transpose()?;

    let order = Order {
        fixture: &loaded.fixture,
        families: &loaded.families,
        model: &loaded.plan.model,
        firmware: &firmware,
        seed: args.seed,
        faults: &faults,
        serial: &serial,
        pace: args.pace,
    };
    let world = virtual_run::build(&order)?;

    let started = virtual_run::started(&loaded, loaded.provenance(&firmware), &serial, args.seed, &args.faults);
    let Event::RunStarted { run_id, .. } = &started else { return Err(bench("no start of the run")) };
    let journal = Journal::create(&args.reports, &serial, run_id).map_err(|error| {
        bench(format!("the record of the run cannot be made in {}: {error}", args.reports.display()))
    })?;
    let observers = if args.quiet { Vec::new() } else { vec![progress::observer()] };
    let recorder = Recorder::new(journal, world.clock(), observers);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(bench)?;
    let outcome = runtime.block_on(async {
        // Signals first: from here on nothing ends the program but the run itself.
        let stop = Stop::on_signals().map_err(bench)?;
        let nest = virtual_run::nest(&world, &loaded.fixture, family, &serial, &recorder)?;
        world
            .run(engine::run(&loaded.plan, &nest, &recorder, started, stop))
            .await
            .map_err(|error| bench(format!("the virtual bench stopped: {error}")))
    })?;
    let wall = began.elapsed();

    let folder = recorder.folder();
    let record = Record::from_entries(&recorder.entries()).with_run_folder(folder.display().to_string());
    let xml = junit(std::slice::from_ref(&record)).map_err(bench)?;
    let own = folder.join("junit.xml");
    for path in [Some(&own), args.junit.as_ref()].into_iter().flatten() {
        std::fs::write(path, &xml).map_err(|error| bench(format!("{}: {error}", path.display())))?;
    }
    let diagnostics = world.diagnostics();
    if !args.quiet {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        print(&summary(&record, Style { colour, width: usize::from(width()).min(120) }));
    }
    if let Some(dictionary) = dictionary.filter(|_| record.verdict == Verdict::Fail) {
        print(&candidates(&dictionary, &record, family));
    }
    if args.verbose {
        print(&costs(&world.stats(), &recorder, wall));
    }
    if !diagnostics.is_empty() {
        let mut text = String::from("The emulated chip was asked for something that is not modelled:\n");
        for diagnostic in &diagnostics {
            let _ = writeln!(text, "  {diagnostic}");
        }
        say(text.trim_end());
        if record.verdict == Verdict::Pass {
            // A pass that leans on something unknown is none.
            return Ok(EXIT_ERROR);
        }
    }
    // The record may doubt what the run said of itself; what people and CI act on is the same.
    Ok(record.verdict.and(outcome.verdict).exit_code())
}

/// Reads a dictionary of faults and sees that it was made with what runs now.
fn dictionary(path: &Path, now: &Provenance) -> Result<Dictionary, Failed> {
    let help = "make it anew: bench coverage PLAN --dictionary FILE";
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failed::Usage(miette::miette!(help = help, "{}: {error}", path.display())))?;
    let dictionary = Dictionary::parse(&text)
        .map_err(|error| Failed::Usage(miette::miette!(help = help, "{}: {error}", path.display())))?;
    // Another build of the bench reads the same; another plan, fixture or firmware measures something else.
    let made_with = Provenance {
        bench_version: now.bench_version.clone(),
        bench_commit: now.bench_commit.clone(),
        ..dictionary.provenance.clone()
    };
    if made_with != *now {
        return Err(Failed::Usage(miette::miette!(
            help = help,
            "{} was made with another plan, fixture, module file or firmware",
            path.display()
        )));
    }
    Ok(dictionary)
}

/// Faults that the dictionary tells of a failing unit.
const MOST_CANDIDATES: usize = 3;

fn candidates(dictionary: &Dictionary, record: &Record, family: &DutFamily) -> String {
    let found = dictionary.look_up(&failing(record), MOST_CANDIDATES);
    if found.is_empty() {
        return format!("None of the {} faults in the dictionary looks like this unit.\n", dictionary.len());
    }
    let mut text = format!("Of {} faults in the dictionary these look most like it:\n", dictionary.len());
    for candidate in found {
        let contacts: Vec<String> = candidate.contacts.iter().map(|contact| family.label(*contact)).collect();
        let contacts =
            if contacts.is_empty() { String::new() } else { format!("contact {}", contacts.join(", contact ")) };
        let _ = writeln!(text, "  {:3.0} %  {:20}  {contacts}", 100.0 * candidate.alike, candidate.fault);
    }
    text
}

fn costs(stats: &virtual_bench::VirtualStats, recorder: &Recorder, wall: std::time::Duration) -> String {
    let seconds = wall.as_secs_f64();
    let journal = recorder.stats();
    format!(
        "Virtual time {:.3} s in {seconds:.3} s of real time. Emulated {} instructions, {:.2} million per second; \
         {} I2C transfers, {} solutions of the circuit.\nJournal: {} lines, {} bytes, written in {:.1} ms; forced to disk {} times in {:.1} ms.\n",
        stats.virtual_seconds,
        stats.instructions,
        stats.instructions as f64 / 1e6 / seconds,
        stats.i2c_transactions,
        stats.solutions,
        journal.writes,
        journal.bytes,
        journal.write_time.as_secs_f64() * 1e3,
        journal.syncs,
        journal.sync_time.as_secs_f64() * 1e3,
    )
}
