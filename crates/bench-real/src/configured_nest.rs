//! Where a run happens: which station, which nest of it.

use bench_engine::{Failed, FileError, Project, read as read_source};
use bench_plan::{Calibration, Day, DutFamily, Fixture, Overdue, Problem, Source, Station, StationNest, nearest_help};
use std::path::Path;

/// Where a controller keeps its station file, unless the user names one.
pub const DEFAULT_FILE: &str = "station.toml";

/// One nest of a station.
pub struct ConfiguredNest {
    pub station: Station,
    pub nest: StationNest,
    /// Calibrations that are over their date, in words; the station says that they are to be marked.
    pub overdue: Vec<String>,
}

impl ConfiguredNest {
    /// Reads the station file, and checks that the plan's fixture is the one there and that its instruments may
    /// be believed today.
    ///
    /// # Errors
    /// Nothing was powered.
    pub fn find(file: &Path, nest: Option<&str>, fixture: &Fixture, today: Day) -> Result<Self, Failed> {
        let station = station(file, fixture)?;
        let nest = choose(&station, nest)?;
        Self::at(station, nest, today)
    }

    /// The same for every nest of the station.
    ///
    /// # Errors
    /// Nothing was powered.
    pub fn all(file: &Path, fixture: &Fixture, today: Day) -> Result<Vec<Self>, Failed> {
        let station = station(file, fixture)?;
        station.nests.iter().map(|nest| Self::at(station.clone(), nest.clone(), today)).collect()
    }

    fn at(station: Station, nest: StationNest, today: Day) -> Result<Self, Failed> {
        let overdue: Vec<&Calibration> = station.overdue_on(today, &nest.name).collect();
        if let (Overdue::Refuse, [first, ..]) = (station.overdue, overdue.as_slice()) {
            return Err(Failed::Bench(miette::miette!(
                help = "calibrate it and write the new dates into the station file; \
                        `overdue = \"mark\"` there lets runs continue and notes it in their records",
                "the calibration of `{}` counts from {} to {}, and today is {today}",
                first.chip,
                first.date,
                first.due
            )));
        }
        let overdue = overdue
            .iter()
            .map(|calibration| format!("the calibration of {} was due on {}", calibration.chip, calibration.due))
            .collect();
        Ok(Self { nest, station, overdue })
    }
}

fn station(file: &Path, fixture: &Fixture) -> Result<Station, Failed> {
    // A desk works on every computer.
    if fixture.desk.is_none() {
        controller()?;
    }
    let source = read(file)?;
    let named = Station::fixture_of(&source).map_err(wrong)?;
    if *named.get_ref() != fixture.name {
        return Err(wrong(Box::new(
            Problem::new(&source, format!("the plan is for the fixture `{}`", fixture.name))
                .at(named.span(), "another one is here")
                .help("take the plan to a station with that fixture, or a plan that is for this one"),
        )));
    }
    let parse = |source: &Source| Station::parse(source, fixture).map_err(FileError::from);
    let others = |first: FileError| first.with_others(|repairs| parse(&repairs.of(source.clone())));
    parse(&source).map_err(|first| Failed::from(others(first)))
}

fn choose(station: &Station, wanted: Option<&str>) -> Result<StationNest, Failed> {
    let names = || station.nests.iter().map(|nest| nest.name.as_str()).collect::<Vec<_>>().join(", ");
    match (wanted, station.nests.as_slice()) {
        (Some(name), _) => station.nest(name).cloned().ok_or_else(|| {
            let known = station.nests.iter().map(|nest| nest.name.as_str());
            let help = nearest_help(name, known, "nests");
            Failed::Usage(miette::miette!(help = help, "the station has no nest `{name}`"))
        }),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Failed::Usage(miette::miette!(
            help = format!("name one with --nest: {}", names()),
            "the station has {} nests",
            station.nests.len()
        ))),
    }
}

fn read(file: &Path) -> Result<Source, Failed> {
    let help = "a station is described in a file of its own: `bench init` writes one by asking, `bench init --desk` that of a \
                desk; --station names another, and --virtual needs none";
    Ok(read_source(file, help)?)
}

fn wrong(problem: Box<Problem>) -> Failed {
    Failed::from(FileError::from(problem))
}

/// Says on a system that drives no fixture what to do, before anything is asked of a station.
fn controller() -> Result<(), Failed> {
    let help = "add --virtual: the virtual bench runs everywhere";
    bench_pi::supported().map_err(|why| Failed::Usage(miette::miette!(help = help, "{why}")))
}

/// The fixture of a station, with all families, for commands that have no plan.
pub fn fixture_of(project: &Project, file: &Path) -> Result<(Fixture, Vec<DutFamily>), Failed> {
    controller()?;
    let named = Station::fixture_of(&read(file)?).map_err(wrong)?;
    Ok(project.fixture_and_families(named.get_ref())?)
}
