//! `bench operator`: the screen of a station.

use super::run::station_key;
use super::say;
use crate::cli::{EXIT_ABORTED, EXIT_ERROR, OperatorArgs};
use crate::hooks;
use bench_engine::{Failed, FileError, Loaded, Project};
use bench_hooks::StationHooks;
use bench_journal::shown;
use bench_operator::people::hash_pin;
use bench_operator::rules::Rules;
use bench_operator::scan::Labels;
use bench_operator::{
    Devices, EdgeMap, FolderHistory, Lamps, NoLamps, RealLamps, RealRuns, RunFactory, Setup, Shift, StationPlace,
    Texts, VirtualRuns, VirtualUnits, show, stopped_nests,
};
use bench_pi::PiGpio;
use bench_plan::{Fixture, Source};
use bench_real::{self as real, ConfiguredNest, FixtureLock, Hand};
use bench_steps::Kinds;
use bench_virtual as virtual_run;
use std::collections::BTreeMap;
use std::io::{IsTerminal, stdin, stdout};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The longest that a run may be silent beyond its longest step: the modem's last way to be switched off.
const SILENCE: Duration = Duration::from_secs(90);

fn usage(message: String, help: &'static str) -> Failed {
    Failed::Usage(miette::miette!(help = help, "{message}"))
}

pub(crate) fn operator(root: Option<&Path>, args: &OperatorArgs) -> Result<u8, Failed> {
    if args.make_pin {
        return make_pin();
    }
    let Some(plan) = &args.plan else {
        return Err(usage("no plan is named".to_owned(), "name one, for example plans/b404x.toml"));
    };
    let project = Project::find(root, Some(plan));
    let loaded = project.load(plan, &Kinds::default())?;
    if !loaded.plan.passes_here {
        let help = "`bench check` says which steps this fixture cannot do";
        return Err(usage(format!("the plan does not allow the fixture `{}`", loaded.fixture.name), help));
    }
    if loaded.fixture.desk.is_some() {
        let help = "`bench run` asks the person who sits there";
        return Err(usage(
            format!("the fixture {} is a desk, which has no start button and no lid", loaded.fixture.name),
            help,
        ));
    }
    let Some(family) = loaded.family() else {
        return Err(Failed::Bench(miette::miette!("the plan's family got lost")));
    };
    let firmware = bench_engine::read_firmware(args.firmware.as_deref().unwrap_or(&loaded.firmware_path))?;
    let fault_at = faults(&args.fault_at, &loaded, &firmware)?;
    let rules = rules(&project, args.rules.as_deref())?;
    let language = args.language.as_ref().unwrap_or(&rules.language);
    let texts = Texts::new(language)
        .ok_or_else(|| usage(format!("there are no messages in `{language}`"), "known languages: en, de"))?;
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return Err(usage("the operator's screen needs a terminal".to_owned(), "`bench run` works without one"));
    }

    let nests = nests(args, &loaded.fixture)?;
    let provenance = loaded.provenance(&firmware);
    let place = StationPlace {
        plan: loaded.plan.name.clone(),
        station: nests.iter().find_map(|nest| nest.station.clone()),
        nests: nests.iter().map(|nest| nest.hand.as_ref().map(|_| nest.name.clone())).collect(),
    };
    let history = FolderHistory::new(&args.reports, place);
    let longest = loaded.plan.steps.iter().map(|planned| planned.step.timeout).max().unwrap_or_default();
    let setup = Setup {
        plan: loaded.plan.name.clone(),
        title: loaded.plan.title.clone(),
        model: loaded.plan.model.clone(),
        labels: Labels::of(&loaded.families, Some(&loaded.plan.model)),
        nests: nests.len(),
        rules,
        virtual_bench: args.virtual_bench,
        pace: args.pace,
        silence: (longest + SILENCE).div_f64(args.pace.unwrap_or(1.0).clamp(1e-3, 1.0)),
        expected: history.expected(&provenance),
        orderly: bench_engine::orderly_within(family, &loaded.plan.model),
        stopped: stopped_nests(&args.reports, nests.len()).map_err(|error| {
            Failed::Bench(miette::miette!("the operators' log in {}: {error}", shown(&args.reports)))
        })?,
    };
    let edge = EdgeMap::of(family);
    let key = station_key(args.key.as_deref(), (!args.virtual_bench).then_some(args.station.as_path()))?;
    let key = key.map(std::sync::Arc::new);
    let (root, plan, lot) = (root.map(Path::to_owned), plan.clone(), args.lot.clone());
    let station_hooks = match &args.hooks {
        Some(file) => Some(hooks::from_file(file)?),
        None => nests.first().and_then(|nest| nest.hooks.clone()),
    };
    let station_hooks = station_hooks.map(Arc::new);
    let shift = Shift {
        root,
        plan,
        provenance,
        firmware: firmware.into(),
        reports: args.reports.clone(),
        lot,
        key,
        hooks: station_hooks.clone(),
        station: nests.iter().find_map(|nest| nest.station.clone()),
    };
    if !args.virtual_bench {
        let clock = real::wall_clock::state(&jiff::Zoned::now());
        real::wall_clock::notice(&clock).iter().for_each(|notice| say(notice));
    }
    let hands: Vec<Hand> = nests.iter().filter_map(|nest| nest.hand.clone()).collect();
    let (runs, lamps): (Box<dyn RunFactory>, Box<dyn Lamps>) = if args.virtual_bench {
        let units = VirtualUnits::new(fault_at);
        (Box::new(VirtualRuns { shift, pace: args.pace, seed: args.seed, units }), Box::new(NoLamps))
    } else {
        let named = nests.iter().filter_map(|nest| Some((nest.name.clone(), nest.hand.clone()?))).collect();
        let station = args.station.clone();
        (Box::new(RealRuns { shift, station, nests: named }), Box::new(RealLamps::of(&hands)))
    };
    let scanner = args.scanner.clone();
    let (history, reports) = (Box::new(history), args.reports.as_path());
    let devices = Devices { runs, history, edge, reports, scanner, hooks: station_hooks, lamps, hands };
    let end = show(setup, texts, devices)?;
    for nest in &end.hung_nests {
        say(&format!("nest {}: the test does not end; switch the fixture off by hand", nest + 1));
    }
    if !end.hung_nests.is_empty() {
        return Ok(EXIT_ERROR);
    }
    Ok(end.stopped_by.map_or(0, |reason| {
        say(&reason);
        EXIT_ABORTED
    }))
}

/// A nest that is the shift's own.
struct HeldNest {
    name: String,
    /// Name of its station, of a real fixture.
    station: Option<String>,
    /// Of a real station.
    hooks: Option<StationHooks>,
    /// Of a real fixture.
    hand: Option<Hand>,
    _lock: Option<FixtureLock>,
}

/// All nests of the station, for the whole shift; or as many virtual ones as are wanted.
fn nests(args: &OperatorArgs, fixture: &Fixture) -> Result<Vec<HeldNest>, Failed> {
    if args.virtual_bench {
        let one = |number| HeldNest { name: format!("{number}"), station: None, hooks: None, hand: None, _lock: None };
        return Ok((1..=args.nests.unwrap_or(1)).map(one).collect());
    }
    let today = real::day_of(&jiff::Zoned::now());
    let gpio = || PiGpio::open().map_err(|error| Failed::Bench(miette::miette!("{error}")));
    let take = |place: ConfiguredNest| {
        let lock = real::lock(&place)?;
        let hand = Hand::take(&gpio()?, &place.nest).map_err(|error| Failed::Bench(miette::miette!("{error}")))?;
        let hooks = hooks::of_station(&place.station, &args.station)?;
        let (name, station) = (place.nest.name, Some(place.station.name));
        Ok(HeldNest { name, station, hooks, hand: Some(hand), _lock: Some(lock) })
    };
    ConfiguredNest::all(&args.station, fixture, today)?.into_iter().map(take).collect()
}

/// The rules as named, else those of the project, else the built-in ones.
pub(super) fn rules(project: &Project, named: Option<&Path>) -> Result<Rules, Failed> {
    let own = project.operator_rules();
    let path = match named {
        Some(path) => path,
        None if own.is_file() => &own,
        None => return Ok(Rules::default()),
    };
    let text = bench_journal::read_text(path, 1024 * 1024).map_err(|error| FileError::Unreadable {
        path: path.to_owned(),
        error: error.into(),
        help: "--rules names a file of rules, docs/how-to/operator-screen.md shows one".into(),
    })?;
    Ok(Rules::parse(&Source::new(shown(path), text)).map_err(FileError::from)?)
}

/// "3=open:23": the third module has this fault. Tried out now, so that no shift is stopped by a misspelt one.
fn faults(specs: &[String], loaded: &Loaded, firmware: &[u8]) -> Result<BTreeMap<usize, Vec<String>>, Failed> {
    let mut at: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for spec in specs {
        let parts = spec.split_once('=').and_then(|(number, fault)| Some((number.parse().ok()?, fault)));
        let Some((number, fault)) = parts.filter(|(number, _)| *number > 0) else {
            let help = "write NUMBER=FAULT, for example 3=open:23 for the third module";
            return Err(usage(format!("--fault-at {spec}: no number of a module"), help));
        };
        at.entry(number).or_default().push(fault.to_owned());
    }
    for specs in at.values() {
        let faults = virtual_run::parse_faults(specs)?;
        let order =
            virtual_run::Order { faults: &faults, ..virtual_run::Order::of(loaded, firmware, "P000AV000000001", 1) };
        virtual_run::build(&order)?;
    }
    Ok(at)
}

fn make_pin() -> Result<u8, Failed> {
    let bench = |error: &dyn std::fmt::Display| Failed::Bench(miette::miette!("{error}"));
    let mut line = zeroize::Zeroizing::new(String::new());
    if stdin().is_terminal() {
        say("PIN, then Enter:");
        let read = console::Term::stderr().read_secure_line().map_err(|error| bench(&error))?;
        line.push_str(&zeroize::Zeroizing::new(read));
    } else {
        stdin().read_line(&mut line).map_err(|error| bench(&error))?;
    }
    let pin = line.trim();
    if pin.chars().count() < 4 {
        return Err(usage("a PIN has four characters at least".to_owned(), "type it and press Enter"));
    }
    super::print(&format!("pin = \"{}\"\n", hash_pin(pin).map_err(|error| bench(&error))?));
    Ok(0)
}
