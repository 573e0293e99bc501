//! `bench run`.

use super::{diagnosis, print, say, width};
use crate::answers;
use crate::cli::RunArgs;
use crate::hooks;
use crate::person::TerminalPerson;
use crate::progress;
use bench_coverage::{dictionary::Dictionary, failing};
use bench_engine::{Done, Failed, Loaded, OneRun, Project, Recorder, Stop};
use bench_hooks::UnitFacts;
use bench_journal::{StationKey, shown, write_whole};
use bench_operator::scan::Labels;
use bench_plan::DutFamily;
use bench_real::{self as real, ConfiguredNest, RealBackend};
use bench_replay::{ANSWERS_FILE, Recording, Written};
use bench_report::{RunRecord, Style, summary};
use bench_run::{Provenance, SerialNumber, Verdict};
use bench_steps::{Kinds, Nest};
use bench_virtual::{self as virtual_run, Order, VirtualBackend};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;
use virtual_bench::{BenchFault, ControllerDamage};

fn bench(error: impl std::fmt::Display) -> Failed {
    Failed::Bench(miette::miette!("{error}"))
}

/// A run that came to its end.
pub(super) struct Tested {
    /// Exit code of `bench run`.
    pub code: u8,
    /// Name of the run's folder, which no other run of the unit has.
    pub run_name: String,
}

pub(crate) fn run(root: Option<&Path>, args: &RunArgs) -> Result<u8, Failed> {
    Ok(test(root, args)?.code)
}

/// Tests one unit and shows what came out.
pub(super) fn test(root: Option<&Path>, args: &RunArgs) -> Result<Tested, Failed> {
    let began = Instant::now();
    let project = Project::find(root, Some(&args.plan));
    let mut loaded = project.load_on(&args.plan, args.fixture.as_deref(), &Kinds::default())?;
    let mut kept = if args.keep { loaded.keep_firmware() } else { Vec::new() };
    kept.extend(without(&mut loaded, &args.without)?);
    if !loaded.plan.passes_here {
        return Err(Failed::Usage(miette::miette!(
            help = format!(
                "write also_on = [{{ fixture = \"{0}\", reason = \"...\" }}] into the plan if a module may pass there \
                 without {1} of its steps; `bench check --fixture {0}` says which",
                loaded.fixture.name,
                loaded.plan.left_out.len()
            ),
            "the plan does not allow the fixture `{}`",
            loaded.fixture.name
        )));
    }
    let notes = [loaded.left_out_notes(), kept].concat();
    let diagnosis = args.diagnosis.narrow(&mut loaded)?;
    let Some(family) = loaded.family() else { return Err(bench("the plan's family got lost")) };
    let firmware = bench_engine::read_firmware(args.firmware.as_deref().unwrap_or(&loaded.firmware_path))?;
    let Unit { serial, imei } = unit(args, &loaded, family)?;
    if let Some(path) = &args.junit {
        can_be_written(path)?;
    }
    let provenance = loaded.provenance(&firmware);
    let dictionary = args.dictionary.as_deref().map(|path| dictionary(path, &provenance)).transpose()?;
    let lot = args.lot.as_deref();
    let given = answers::given(&args.answers, args.answers_file.as_deref(), &loaded)?;
    let key = station_key(args.key.as_deref(), (!args.virtual_bench).then_some(args.station.as_path()))?;
    let image = virtual_run::image(&loaded, &firmware)?;
    let answers = Answers::default();
    let wrap = |nest: Nest, folder: &Path| answers.begin(nest, folder);
    let orderly = loaded.family().map(|family| bench_engine::orderly_within(family, &loaded.plan.model));
    let orderly = orderly.unwrap_or_default();
    let (observer, bar) = progress::observer(orderly);
    let observers = if args.quiet { Vec::new() } else { vec![observer] };
    let person = Rc::new(TerminalPerson::new(bar.filter(|_| !args.quiet), args.powered));
    let hold_ends = diagnosis::on_enter(&person);
    let unit_run = OneRun {
        loaded: &loaded,
        firmware: image,
        provenance,
        serial: &serial,
        lot,
        imei: imei.as_deref(),
        reports: &args.reports,
        key: key.as_ref(),
        notes: &notes,
        // On a desk it is the first that anybody sees of a module: what went wrong there is worth a report.
        wrap: (args.record_answers || loaded.fixture.desk.is_some()).then_some(&wrap),
        may_erase_locked: args.erase_locked,
        diagnosis: diagnosis.as_ref(),
        hold_ends: Some(&hold_ends),
        answers: Some(&given),
    };

    let programs = loaded.plan.steps.iter().any(|planned| planned.procedure.writes_firmware());
    if loaded.fixture.desk.is_some() && programs && !args.quiet {
        // Before anything is written: it is somebody's module.
        say(&format!("what is on the module is stored first and written back at the end; {}", bench_steps::GOES));
    }

    let facts = |station: Option<&str>, nest: Option<&str>| UnitFacts {
        serial: serial.clone(),
        model: loaded.plan.model.clone(),
        plan: loaded.plan.name.clone(),
        station: station.map(str::to_owned),
        nest: nest.map(str::to_owned),
        lot: args.lot.clone(),
    };
    // A part of a plan and a golden module are nothing that a plant's system should count.
    let is_unit = diagnosis.is_none() && !args.without_hooks;
    let (done, stats, hooks) = if args.virtual_bench {
        let hooks = args.hooks.as_deref().map(hooks::from_file).transpose()?.filter(|_| is_unit);
        let faults = virtual_run::parse_faults(&args.faults)?;
        let bench_faults = virtual_run::parse_bench_faults(&args.bench_faults)?;
        refuse_what_is_not_of_the_fixture(&bench_faults, &loaded)?;
        let order = Order {
            faults: &faults,
            bench_faults: &bench_faults,
            pace: args.pace,
            ..Order::of(&loaded, &firmware, &serial, args.seed)
        };
        let world = virtual_run::build(&order)?;
        let faults = virtual_run::ordered(&faults, &bench_faults);
        let backend = VirtualBackend { world, seed: args.seed, faults, person: Some(person) };
        hooks::before(hooks.as_ref(), &facts(None, None))?;
        let done = unit_run.run(&backend, observers, || Stop::on_signals(say))?;
        (done, Some(backend.world.stats()), hooks)
    } else {
        let now = jiff::Zoned::now();
        let place = ConfiguredNest::find(&args.station, args.nest.as_deref(), &loaded.fixture, real::day_of(&now))?;
        let hooks = hooks::of_station(&place.station, &args.station)?.filter(|_| is_unit);
        hooks::before(hooks.as_ref(), &facts(Some(&place.station.name), Some(&place.nest.name)))?;
        let backend = RealBackend::take(project.root(), place, &now)?.with_person(person);
        backend.clock_notice().iter().for_each(|notice| say(notice));
        (unit_run.run(&backend, observers, || Stop::on_signals(say))?, None, hooks)
    };
    let wall = began.elapsed();
    let recorded = answers.finish(&done.doubts);

    // Whatever becomes of the report: the verdict is printed.
    let unwritten = args.junit.as_ref().and_then(|path| {
        let error = write_whole(path, |to| to.write_all(done.junit.as_bytes())).err()?;
        Some(format!("{}: {error}: the JUnit report was not written, so this is no pass", shown(path)))
    });
    let alike = dictionary.filter(|_| done.record.verdict == Verdict::Fail);
    let alike = alike.map(|dictionary| candidates(&dictionary, &done.record, family));
    show(args, &done, alike.as_deref());
    // After the verdict is shown: it does not wait for a server.
    hooks::after(hooks.as_ref(), &done.record, &args.reports).iter().for_each(|trouble| say(trouble));
    let rule = super::operator::rules(&project, None).map(|rules| rules.repeated.rule()).unwrap_or_default();
    // What a diagnosis found again is no further unit with the same cause.
    let counts = diagnosis.is_none() && !args.quiet;
    if let Some(suspicion) = counts.then(|| crate::repeated::suspicion(&args.reports, &done.record, rule)).flatten() {
        print(&format!("{suspicion}\n"));
    }
    if args.verbose {
        print(&costs(stats.as_ref(), &done.recorder, wall));
        print(&recorded.map(shown_answers).unwrap_or_default());
    }
    let run_name = crate::golden::run_name(&done.record);
    if let Some(problem) = unwritten {
        say(&problem);
        return Ok(Tested { code: done.verdict.and(Verdict::Error).exit_code(), run_name });
    }
    Ok(Tested { code: diagnosis::exit_code(done.verdict, &done.record), run_name })
}

/// A run of its own writes to a real disk and has a real clock: their faults are ordered by `bench coverage` alone.
fn refuse_what_is_not_of_the_fixture(faults: &[BenchFault], loaded: &Loaded) -> Result<(), Failed> {
    let of_controller = |fault: &&BenchFault| fault.of_controller(&loaded.fixture) != ControllerDamage::default();
    match faults.iter().find(of_controller) {
        None => Ok(()),
        Some(fault) => {
            let help = format!(
                "`bench coverage PLAN --bench-faults --faults '{fault}'` runs it on a simulated disk and clock"
            );
            Err(Failed::Usage(miette::miette!(
                help = help,
                "--bench-fault {fault}: this run writes to a real disk and has a real clock"
            )))
        }
    }
}

/// The recording of a run's answers. A run never depends on it: what goes wrong is said.
#[derive(Default)]
struct Answers(RefCell<Option<Rc<Recording>>>);

impl Answers {
    fn begin(&self, nest: Nest, folder: &Path) -> Nest {
        match Recording::begin(nest.clone(), folder) {
            Ok((recording, nest)) => {
                *self.0.borrow_mut() = Some(recording);
                nest
            }
            Err(error) => {
                say(&format!("{}: {error}: the answers are not recorded", shown(&folder.join(ANSWERS_FILE))));
                nest
            }
        }
    }

    fn finish(&self, doubts: &[String]) -> Option<Written> {
        let recording = self.0.borrow_mut().take()?;
        let finished = recording.finish(doubts);
        finished.map_err(|error| say(&format!("{ANSWERS_FILE}: {error}: the recording is not complete"))).ok()
    }
}

fn shown_answers(of: Written) -> String {
    format!("Answers: {} lines, {} bytes, {} compressed.\n", of.lines, of.bytes, of.compressed)
}

/// End of the note about a step that was left out by hand.
const LEFT_OUT: &str = ": left out by --without";
/// The same for what `--keep` leaves out.
const KEPT: &str = "(--keep)";

/// The step that an argument of the run left out, if a note says so.
pub(super) fn left_out_by_hand(note: &str) -> Option<&str> {
    let left_out = note.ends_with(LEFT_OUT) || note.ends_with(KEPT);
    note.strip_prefix("without ").filter(|_| left_out)?.split(':').next()
}

/// Takes steps out that this place cannot do. Only on a desk: a line tests all that its plan says.
fn without(loaded: &mut Loaded, ids: &[String]) -> Result<Vec<String>, Failed> {
    let Some(first) = ids.first() else { return Ok(Vec::new()) };
    if loaded.fixture.desk.is_none() {
        return Err(Failed::Usage(miette::miette!(
            help = "write [leave_out] with a reason into the plan",
            "--without {first}: the fixture {} is no desk, and a unit passes the whole plan or not",
            loaded.fixture.name
        )));
    }
    let steps: Vec<bench_run::Step> = loaded.plan.steps.iter().map(|planned| planned.step.clone()).collect();
    let known = || steps.iter().map(|step| step.id.as_str());
    if let Some(unknown) = ids.iter().find(|id| !known().any(|known| known == id.as_str())) {
        let help = bench_plan::nearest_help(unknown, known(), "steps");
        return Err(Failed::Usage(miette::miette!(help = help, "--without {unknown}: the plan has no such step")));
    }
    let gone = bench_coverage::with_dependants(&steps, ids);
    loaded.plan.take_out(&gone);
    if loaded.plan.steps.is_empty() {
        let help = "the other steps need it";
        return Err(Failed::Usage(miette::miette!(help = help, "--without {first}: nothing of the plan is left")));
    }
    Ok(gone.iter().map(|id| format!("without {id}{LEFT_OUT}")).collect())
}

/// The key that signs records: the named one, or that of the station if it has one.
pub(super) fn station_key(named: Option<&Path>, station: Option<&Path>) -> Result<Option<StationKey>, Failed> {
    let own = station.map(|station| station.with_extension("key")).filter(|key| key.exists());
    let Some(path) = named.map(Path::to_owned).or(own) else { return Ok(None) };
    let key = StationKey::read(&path).map_err(|error| {
        Failed::Usage(miette::miette!(help = "nothing was powered; `bench init` makes a key", "{error}"))
    })?;
    Ok(Some(key))
}

/// The serial number of the unit, and its IMEI where one is given, as they may be.
fn unit(args: &RunArgs, loaded: &Loaded, family: &DutFamily) -> Result<Unit, Failed> {
    let model = &loaded.plan.model;
    let imei = args.imei.as_deref().map(imei).transpose()?;
    let serial = match &args.serial {
        Some(serial) => serial_number(serial, loaded)?,
        None if args.virtual_bench => virtual_run::serial(family, model, args.seed),
        None => {
            return Err(Failed::Usage(miette::miette!(
                help = "--serial P042AN0000DEMO1: the first part of the code on the module's label; or --virtual for an emulated module",
                "which module is it?"
            )));
        }
    };
    Ok(Unit { serial, imei })
}

/// A unit as it is named on the command line.
struct Unit {
    serial: String,
    imei: Option<String>,
}

/// The serial number that `--serial` names, of the plan's model as far as that is known.
pub(super) fn serial_number(text: &str, loaded: &Loaded) -> Result<String, Failed> {
    let serial = SerialNumber::parse(text).map_err(|problem| {
        Failed::Usage(miette::miette!(
            help = "the label's code holds the serial number, a space and the mobile secret: give the first part only",
            "--serial: {problem}"
        ))
    })?;
    let labels = Labels::of(&loaded.families, Some(&loaded.plan.model));
    if let Some((prefix, other)) = labels.other_model(serial.as_str()) {
        let (own, model) = (labels.own.join(" or "), loaded.plan.model.to_uppercase());
        return Err(Failed::Usage(miette::miette!(
            help = format!("this plan tests a {model}, whose serial numbers begin with {own}: is it the right plan?"),
            "--serial: {serial} is another model: {prefix} is a {}",
            other.to_uppercase()
        )));
    }
    Ok(serial.as_str().to_owned())
}

/// The IMEI that `--imei` names, as labels print it: with spaces, dashes or the word before it.
fn imei(text: &str) -> Result<String, Failed> {
    let text = text.trim();
    let label = text.get(..4).filter(|word| word.eq_ignore_ascii_case("IMEI"));
    let number = text[label.map_or(0, str::len)..].trim_start_matches([':', '#', ' ']);
    let digits: String = number.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '.' | '/')).collect();
    if bench_steps::modem::is_imei(&digits) {
        return Ok(digits);
    }
    Err(Failed::Usage(miette::miette!(
        help = "it is printed on the label of the modem or of the module; spaces and dashes do not matter",
        "--imei: an IMEI has 15 digits, the last of which checks the others"
    )))
}

/// Prints the summary, the faults that look most like this unit, and what the virtual bench does not model.
fn show(args: &RunArgs, done: &Done, candidates: Option<&str>) {
    if !args.quiet {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        print(&summary(&done.record, Style { colour, width: usize::from(width()).min(120) }));
    }
    if let Some(candidates) = candidates {
        print(candidates);
    }
    if !done.doubts.is_empty() {
        let mut text = String::from("The virtual bench was asked for something that is not modelled:\n");
        for doubt in &done.doubts {
            let _ = writeln!(text, "  {doubt}");
        }
        say(text.trim_end());
    }
}

/// Found before power: a report that has no place to go.
fn can_be_written(path: &Path) -> Result<(), Failed> {
    let existed = path.exists();
    let tried = std::fs::OpenOptions::new().create(true).append(true).open(path);
    if tried.is_ok() && !existed {
        let _ = std::fs::remove_file(path);
    }
    tried.map(drop).map_err(|error| {
        Failed::Usage(miette::miette!(
            help = "name a file in a folder that exists and may be written to; nothing was powered",
            "--junit {}: {error}",
            shown(path)
        ))
    })
}

/// Reads a dictionary of faults and sees that it was made with what runs now.
fn dictionary(path: &Path, now: &Provenance) -> Result<Dictionary, Failed> {
    let help = "make it again: bench coverage PLAN --dictionary FILE";
    let text = bench_journal::read_text(path, bench_journal::LARGEST_JOURNAL)
        .map_err(|error| Failed::Usage(miette::miette!(help = help, "{error}")))?;
    let dictionary = Dictionary::parse(&text)
        .map_err(|error| Failed::Usage(miette::miette!(help = help, "{}: {error}", shown(path))))?;
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
            shown(path)
        )));
    }
    Ok(dictionary)
}

/// Faults of the dictionary that look like a failing unit.
const MOST_CANDIDATES: usize = 3;

fn candidates(dictionary: &Dictionary, record: &RunRecord, family: &DutFamily) -> String {
    let alike = dictionary.look_up(&failing(record), MOST_CANDIDATES);
    if alike.is_empty() {
        return format!("None of the {} faults in the dictionary looks like this unit.\n", dictionary.faults());
    }
    let mut text = format!("Of {} faults in the dictionary these look most like it:\n", dictionary.faults());
    for candidate in alike {
        let contacts: Vec<String> = candidate.contacts.iter().map(|contact| family.label(*contact)).collect();
        let contacts =
            if contacts.is_empty() { String::new() } else { format!("contact {}", contacts.join(", contact ")) };
        let _ = writeln!(text, "  {:3.0} %  {:20}  {contacts}", 100.0 * candidate.alike, candidate.fault);
    }
    text
}

fn costs(stats: Option<&virtual_bench::VirtualStats>, recorder: &Recorder, wall: std::time::Duration) -> String {
    let seconds = wall.as_secs_f64();
    let emulated = match stats {
        None => format!("The run took {seconds:.3} s.\n"),
        Some(stats) => format!(
            "Virtual time {:.3} s in {seconds:.3} s of real time. Emulated {} instructions, {:.2} million per second; \
             {} I2C transfers, {} solutions of the circuit.\n",
            stats.virtual_seconds,
            stats.instructions,
            stats.instructions as f64 / 1e6 / seconds,
            stats.i2c_transactions,
            stats.solutions,
        ),
    };
    let journal = recorder.stats();
    format!(
        "{emulated}Journal: {} lines, {} bytes, written in {:.1} ms; chained in {:.1} ms, forced to disk {} times in {:.1} ms.\n",
        journal.lines,
        journal.bytes,
        journal.write_time.as_secs_f64() * 1e3,
        journal.chain_time.as_secs_f64() * 1e3,
        journal.syncs,
        journal.sync_time.as_secs_f64() * 1e3,
    )
}
