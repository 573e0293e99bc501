//! `bench console`: a person at the instruments, for the first use of a fixture and for repair.
//!
//! The console is a run with one step, which does what is typed. So everything that protects a run protects it: the owner
//! of power, the lid, the watchdog, the guard, signals, and the way to the safe state.

mod editor;
mod step;
mod terminal;
mod words;

use crate::commands::{print, say};
use bench_engine::{self as engine, Backend as _, DiskWait, Failed, Observer, Project, Recorder, Seen, Stop};
use bench_journal::Journal;
use bench_plan::{DutFamily, Fixture, Model, Plan, PlanStep};
use bench_real::{self as real, ConfiguredNest, RealBackend};
use bench_run::{BenchKind, Event, OnFail, Provenance, Step, Verdict};
use bench_steps::action::Places;
use bench_steps::{Kinds, Nest, Procedure, resource};
use bench_virtual::{self as virtual_run, Order};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use step::{ConsoleStep, Scan};

/// What `bench console` was asked for.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bench console --virtual b-series\n  bench console plans/b404x.toml --station station.toml --nest A"
)]
pub(crate) struct ConsoleArgs {
    /// A plan, whose model and fixture are used, or the name of a fixture.
    #[arg(required_unless_present = "fixture")]
    pub what: Option<PathBuf>,
    /// Name of the fixture, in place of a plan.
    #[arg(long, value_name = "NAME", conflicts_with = "what")]
    pub fixture: Option<String>,
    /// Model of the module in the nest [default: the plan's, or the first that the fixture takes].
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// An emulated module in a simulated fixture, in real time.
    #[arg(long = "virtual")]
    pub virtual_bench: bool,
    /// A fault of the virtual module, for example open:23; may be repeated.
    #[arg(long = "fault", value_name = "SPEC", requires = "virtual_bench")]
    pub faults: Vec<String>,
    /// Seed for the tolerances and the noise of the virtual module and fixture.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// The station file: which devices this controller has.
    #[arg(long, value_name = "FILE", default_value = bench_real::DEFAULT_FILE, conflicts_with = "virtual_bench")]
    pub station: PathBuf,
    /// Nest of the station [default: the only one].
    #[arg(long, value_name = "NAME", conflicts_with = "virtual_bench")]
    pub nest: Option<String>,
}

/// Where the console is.
struct Place {
    fixture: Fixture,
    families: Vec<DutFamily>,
    family: DutFamily,
    model: Model,
}

/// A person may think for long.
const OPEN_FOR: Duration = Duration::from_secs(24 * 3600);

pub(crate) fn console(root: Option<&Path>, args: &ConsoleArgs) -> Result<u8, Failed> {
    let plan = args.what.as_deref().filter(|what| what.extension().is_some_and(|end| end == "toml"));
    let project = Project::find(root, plan);
    let place = place(&project, args, plan)?;
    // Before anything is woken.
    let editor = editor::Editor::start(words::Names::of(&place.family, &place.fixture))?;
    let safe = if args.virtual_bench {
        on_virtual(&project, args, &place, editor)?
    } else {
        on_station(&project, args, &place, editor)?
    };
    Ok(safe)
}

fn place(project: &Project, args: &ConsoleArgs, plan: Option<&Path>) -> Result<Place, Failed> {
    let (fixture, families, model) = match plan {
        Some(plan) => {
            let loaded = project.load(plan, &Kinds::default())?;
            (loaded.fixture, loaded.families, Some(loaded.plan.model))
        }
        None => {
            let named = args.what.as_ref().map(|what| what.to_string_lossy().into_owned());
            let name = args.fixture.clone().or(named).unwrap_or_default();
            let (fixture, families) = project.fixture_and_families(&name)?;
            (fixture, families, None)
        }
    };
    if fixture.desk.is_some() {
        let help = "a console needs a fixture with instruments; `bench run` tests a module on a desk";
        return Err(Failed::Usage(miette::miette!(help = help, "the fixture {} has no instruments", fixture.name)));
    }
    let taken = || families.iter().filter(|family| fixture.families.contains(&family.name));
    let models = || taken().flat_map(|family| &family.models).map(|model| model.name.as_str());
    let wanted = args.model.clone().or(model).or_else(|| models().next().map(str::to_owned)).unwrap_or_default();
    let found = taken().find_map(|family| Some((family.clone(), family.model(&wanted)?.clone())));
    let Some((family, model)) = found else {
        let help = bench_plan::nearest_help(&wanted, models(), "models");
        return Err(Failed::Usage(miette::miette!(help = help, "the fixture {} takes no {wanted}", fixture.name)));
    };
    Ok(Place { fixture, families, family, model })
}

fn on_virtual(project: &Project, args: &ConsoleArgs, place: &Place, editor: editor::Editor) -> Result<u8, Failed> {
    let firmware = engine::read_firmware(&project.firmware("dut-firmware"))?;
    let faults = virtual_run::parse_faults(&args.faults)?;
    let serial = virtual_run::serial(&place.family, &place.model.name, args.seed);
    let world = virtual_run::build(&Order {
        fixture: &place.fixture,
        families: &place.families,
        model: &place.model.name,
        firmware: &firmware,
        blank: false,
        seed: args.seed,
        faults: &faults,
        bench_faults: &[],
        serial: &serial,
        // A person is in real time.
        pace: Some(1.0),
    })?;
    let recorder = recorder(world.clock());
    let nest = virtual_run::nest(&world, &place.fixture, &place.family, &serial, &recorder)?;
    let (fixture, bus) = (place.fixture.clone(), world.i2c());
    let scan: Scan =
        Rc::new(move || Ok(bench_instruments::ask_chips(&fixture, Rc::new(std::cell::RefCell::new(bus.clone())))));
    let bench = BenchKind::Virtual { seed: args.seed, faults: args.faults.clone() };
    let runtime = runtime()?;
    let stop = Stop::on_signals(say).map_err(Failed::bench)?;
    runtime.block_on(async {
        let run = open(place, &nest, &recorder, bench, editor, scan, stop);
        world.run(run).await.map_err(|error| Failed::bench(format!("the virtual bench stopped: {error}")))
    })
}

fn on_station(project: &Project, args: &ConsoleArgs, place: &Place, editor: editor::Editor) -> Result<u8, Failed> {
    let now = jiff::Zoned::now();
    let configured = ConfiguredNest::find(&args.station, args.nest.as_deref(), &place.fixture, real::day_of(&now))?;
    let backend = RealBackend::take(project.root(), configured, &now)?;
    let recorder = recorder(backend.clock());
    let i2c_bus = backend.bed()?.i2c_bus;
    let fixture = place.fixture.clone();
    let scan: Scan = Rc::new(move || {
        let bus = bench_pi::PiI2c::open(i2c_bus)?;
        Ok(bench_instruments::ask_chips(&fixture, Rc::new(std::cell::RefCell::new(bus))))
    });
    let bench =
        BenchKind::Real { station: "console".to_owned(), nest: None, fixture_serial: None, overdue: Vec::new() };
    let runtime = runtime()?;
    let stop = Stop::on_signals(say).map_err(Failed::bench)?;
    runtime.block_on(async {
        let observer = engine::rail_observer(&recorder);
        let nest = backend.instruments(&place.fixture, &place.family, true, "", observer).await?;
        Ok(open(place, &nest, &recorder, bench, editor, scan, stop).await)
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failed::bench)
}

/// Keeps the record in memory: nothing was tested.
fn recorder(clock: Rc<dyn bench_instruments::Clock>) -> Rc<Recorder> {
    let observer: Observer = Box::new(|seen| {
        if let Seen::Entry(entry) = seen
            && let Event::Dialogue { text, .. } = &entry.event
        {
            print(&format!("  {text}\n"));
        }
    });
    Recorder::waiting(Journal::in_memory(), clock, vec![observer], DiskWait::Async, None)
}

/// Does what is typed until the person leaves, then switches everything off. Returns the exit code.
async fn open(
    place: &Place,
    nest: &Nest,
    recorder: &Rc<Recorder>,
    bench: BenchKind,
    editor: editor::Editor,
    scan: Scan,
    stop: Stop,
) -> u8 {
    let places = Places {
        family: Rc::new(place.family.clone()),
        fixture: Rc::new(place.fixture.clone()),
        model: Rc::new(place.model.clone()),
    };
    let title = format!("{} in {}", place.model.name.to_uppercase(), place.fixture.name);
    let plan = plan(place, Box::new(ConsoleStep::new(places, editor, scan)));
    print(&format!("Console: {title}. Everything is off. `help` lists the commands, `quit` leaves.\n"));
    let started = Event::RunStarted {
        run_id: "console".to_owned(),
        serial: nest.serial.clone(),
        model: place.model.name.clone(),
        started_at: None,
        order: None,
        bench: Box::new(bench),
        lot: None,
        diagnosis: None,
        provenance: Box::new(Provenance::default()),
        steps: engine::promises(&plan),
    };
    let outcome = engine::run(&plan, nest, recorder, started, stop).await;
    leave(recorder, &outcome)
}

fn leave(recorder: &Recorder, outcome: &engine::Outcome) -> u8 {
    let entries = recorder.entries();
    let stopping = entries.iter().find_map(|entry| match &entry.event {
        Event::Stopping { reason } => Some(reason.clone()),
        _ => None,
    });
    if let Some(reason) = &stopping {
        say(reason);
    }
    let safe = entries.iter().rev().find_map(|entry| match &entry.event {
        Event::SafeState { confirmed, reason } => Some((*confirmed, reason.clone())),
        _ => None,
    });
    match &safe {
        Some((true, _)) => print("Rails off and nails released, measured.\n"),
        Some((false, reason)) => say(reason.as_deref().unwrap_or("the safe state is not known")),
        None => say("the safe state is not known: switch the fixture off by hand"),
    }
    match (safe, stopping, outcome.verdict) {
        (Some((true, _)), None, _) => 0,
        (Some((true, _)), Some(_), Verdict::Aborted) => crate::cli::EXIT_ABORTED,
        _ => crate::cli::EXIT_ERROR,
    }
}

fn plan(place: &Place, procedure: Box<dyn Procedure>) -> Plan<Box<dyn Procedure>> {
    let everything = [
        resource::DUT,
        resource::PORTS,
        resource::MODEM,
        resource::NAILS,
        resource::MEASURE_BUS,
        resource::PEERS,
        resource::RAILS,
        resource::RADIO,
        resource::NFC,
    ];
    let step = Step {
        id: "console".to_owned(),
        kind: "console".to_owned(),
        title: "console".to_owned(),
        needs: Vec::new(),
        after: Vec::new(),
        uses: everything.map(str::to_owned).to_vec(),
        shares: Vec::new(),
        timeout: OPEN_FOR,
        retry: 0,
        on_fail: OnFail::Stop,
        measurements: Vec::new(),
    };
    Plan {
        name: "console".to_owned(),
        title: "console".to_owned(),
        model: place.model.name.clone(),
        family: place.family.name.clone(),
        fixture: place.fixture.name.clone(),
        passes_here: false,
        reason_here: None,
        firmware: String::new(),
        steps: vec![PlanStep { step, coverage: Vec::new(), procedure }],
        left_out: Vec::new(),
        not_covered: Vec::new(),
        warnings: Vec::new(),
    }
}
