//! The hooks of a station around one run.

use bench_engine::{Failed, FileError};
use bench_hooks::{NotAllowed, StationHooks, UnitFacts, WAITING};
use bench_journal::shown;
use bench_plan::{Hooks, Station};
use bench_report::RunRecord;
use std::path::Path;

fn made(hooks: Hooks, file: &Path) -> Result<StationHooks, Failed> {
    StationHooks::new(hooks, file).map_err(|error| Failed::bench(format!("the hooks cannot be run: {error}")))
}

/// Those of a file of their own, for a virtual bench.
pub(crate) fn from_file(file: &Path) -> Result<StationHooks, Failed> {
    let source = bench_engine::read(file, "--hooks names a TOML file with a section [hooks], as in a station file")?;
    made(Hooks::parse(&source).map_err(FileError::from)?, file)
}

/// Those of the station in this file, if it has any.
pub(crate) fn of_station(station: &Station, file: &Path) -> Result<Option<StationHooks>, Failed> {
    station.hooks.clone().map(|hooks| made(hooks, file)).transpose()
}

/// Asks whether the unit may be tested.
pub(crate) fn before(hooks: Option<&StationHooks>, unit: &UnitFacts) -> Result<(), Failed> {
    let Some(hooks) = hooks else { return Ok(()) };
    hooks.before(unit).map_err(|why| match why {
        NotAllowed::Refused(words) => Failed::Refused(miette::miette!(
            help = "the program `before_unit` of the station refuses it; nothing was powered",
            "{} is not to be tested: {words}",
            unit.serial
        )),
        NotAllowed::Broken(why) => Failed::Bench(miette::miette!(
            help = "no unit is tested without its answer: check the program, or take it out of [hooks]; nothing was powered",
            "{why}"
        )),
    })
}

/// Keeps the record for `after_unit`, and offers it what waits. Returns what went wrong, which changes no verdict.
pub(crate) fn after(hooks: Option<&StationHooks>, record: &RunRecord, reports: &Path) -> Vec<String> {
    let Some(hooks) = hooks.filter(|hooks| hooks.has_after()) else { return Vec::new() };
    let kept = hooks
        .keep(record, reports)
        .map_err(|error| format!("{}: {error}: this run is not offered to after_unit", shown(&reports.join(WAITING))));
    let delivery = hooks.deliver(reports);
    let trouble = delivery.trouble.map(|why| {
        let folder = shown(&reports.join(WAITING));
        format!("{why}; {} record(s) wait in {folder} and are offered again after the next run", delivery.waiting)
    });
    kept.err().into_iter().chain(trouble).collect()
}
