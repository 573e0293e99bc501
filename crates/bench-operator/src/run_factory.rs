//! Makes the work of each run, for the thread of its nest.

use super::asker::Asker;
use bench_engine::{Backend, DiagnosisOrder, Done, Failed, Loaded, Observer, OneRun, Project, Stop};
use bench_hooks::{NotAllowed, StationHooks, UnitFacts};
use bench_instruments::Person;
use bench_journal::StationKey;
use bench_real::{self as real, ConfiguredNest, Hand, RealBackend};
use bench_run::Provenance;
use bench_steps::Kinds;
use bench_virtual::{self as virtual_run, Order, VirtualBackend};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// One complete run, in the thread that calls it.
pub type Work = Box<dyn FnOnce(Observer, Stop, Asker) -> Result<Done, Failed> + Send>;

/// Makes runs.
pub trait RunFactory {
    /// The run of a unit on a nest, or a diagnosis of one step. `notes` are for the record, before anything is powered.
    fn work(&mut self, nest: usize, serial: &str, notes: Vec<String>, diagnosis: Option<String>) -> Work;
}

/// Virtual modules: each serial number has tolerances of its own, and some have the faults that were ordered.
#[derive(Debug)]
pub struct VirtualUnits {
    fault_at: BTreeMap<usize, Vec<String>>,
    faults_of: BTreeMap<String, Vec<String>>,
}

impl VirtualUnits {
    /// `fault_at`: faults by the position of the module in the order of testing, from 1.
    pub fn new(fault_at: BTreeMap<usize, Vec<String>>) -> Self {
        Self { fault_at, faults_of: BTreeMap::new() }
    }

    /// A module keeps its faults when it is tested again.
    fn faults(&mut self, serial: &str) -> Vec<String> {
        let count = self.faults_of.len() + 1;
        let faults = || self.fault_at.get(&count).cloned().unwrap_or_default();
        self.faults_of.entry(serial.to_owned()).or_insert_with(faults).clone()
    }
}

/// How long the power stays on after the step of a diagnosis.
const HOLD: Duration = Duration::from_secs(60);

/// What all runs of a shift have in common.
#[derive(Clone)]
pub struct Shift {
    pub root: Option<PathBuf>,
    pub plan: PathBuf,
    pub firmware: Arc<[u8]>,
    /// Hashes of the plan's files: if a file changes during a shift, the shift ends.
    pub provenance: Provenance,
    pub reports: PathBuf,
    /// Signs every record.
    pub key: Option<Arc<StationKey>>,
    /// Production lot of the units, for statistics.
    pub lot: Option<String>,
    /// Programs that are asked before each unit and get the record after it.
    pub hooks: Option<Arc<StationHooks>>,
    /// Name of the station; `None` on the virtual bench.
    pub station: Option<String>,
}

impl Shift {
    /// The run of a unit, on the bench that `backend` makes of the plan.
    fn work<B: Backend>(
        &self,
        nest: &str,
        serial: &str,
        notes: Vec<String>,
        diagnosis: Option<String>,
        backend: impl FnOnce(&Self, &Project, &Loaded, &str, Rc<dyn Person>) -> Result<B, Failed> + Send + 'static,
    ) -> Work {
        let (shift, nest, serial) = (self.clone(), nest.to_owned(), serial.to_owned());
        Box::new(move |observer, stop, asker| {
            let project = Project::find(shift.root.as_deref(), Some(&shift.plan));
            let mut loaded = shift.unchanged(&project)?;
            let notes = [loaded.left_out_notes(), notes].concat();
            let order = |step| DiagnosisOrder { only: vec![step], hold: Some(HOLD), ..DiagnosisOrder::default() };
            let diagnosis = diagnosis.map(|step| order(step).narrow(&mut loaded.plan)).transpose()?;
            if diagnosis.is_none() {
                // A diagnosis is no test of the unit: nobody is asked whether it may be tested.
                shift.ask(&loaded, &nest, &serial)?;
            }
            let backend = backend(&shift, &project, &loaded, &serial, Rc::new(asker.clone()))?;
            let run = OneRun {
                may_erase_locked: false,
                diagnosis: diagnosis.as_ref(),
                hold_ends: None,
                answers: None,
                loaded: &loaded,
                firmware: virtual_run::image(&loaded, &shift.firmware)?,
                provenance: shift.provenance.clone(),
                serial: &serial,
                lot: shift.lot.as_deref(),
                imei: None,
                reports: &shift.reports,
                key: shift.key.as_deref(),
                notes: &notes,
                wrap: None,
            };
            let done = run.run(&backend, vec![observer], || Ok(stop))?;
            if let Some(hooks) = shift.hooks.as_ref().filter(|_| diagnosis.is_none())
                && let Err(error) = hooks.keep(&done.record, &shift.reports)
            {
                asker.trouble(format!("after_unit: {error}"));
            }
            Ok(done)
        })
    }

    /// Asks the station's own program whether the unit may be tested.
    fn ask(&self, loaded: &Loaded, nest: &str, serial: &str) -> Result<(), Failed> {
        let Some(hooks) = &self.hooks else { return Ok(()) };
        let unit = UnitFacts {
            serial: serial.to_owned(),
            model: loaded.plan.model.clone(),
            plan: loaded.plan.name.clone(),
            station: self.station.clone(),
            nest: Some(nest.to_owned()),
            lot: self.lot.clone(),
        };
        hooks.before(&unit).map_err(|why| match why {
            NotAllowed::Refused(words) => Failed::Refused(miette::miette!("{words}")),
            NotAllowed::Broken(why) => Failed::Bench(miette::miette!("{why}")),
        })
    }

    /// Loads the plan again, because procedures do not cross threads. Fails if it changed since the shift began.
    fn unchanged(&self, project: &Project) -> Result<Loaded, Failed> {
        let loaded = project.load(&self.plan, &Kinds::default())?;
        if loaded.provenance(&self.firmware) == self.provenance {
            return Ok(loaded);
        }
        Err(Failed::Usage(miette::miette!(
            "the plan, fixture or module file was changed during the shift: end it and start again"
        )))
    }
}

/// Runs on the virtual bench.
pub struct VirtualRuns {
    pub shift: Shift,
    pub pace: Option<f64>,
    pub seed: u64,
    pub units: VirtualUnits,
}

impl VirtualRuns {
    /// Seed of the module with this serial number; another seed of the shift gives it other tolerances.
    fn seed(&self, serial: &str) -> u64 {
        let hash = bench_engine::sha256(format!("{} {serial}", self.seed).as_bytes());
        u64::from_str_radix(&hash[..8], 16).unwrap_or(self.seed)
    }
}

impl RunFactory for VirtualRuns {
    fn work(&mut self, nest: usize, serial: &str, notes: Vec<String>, diagnosis: Option<String>) -> Work {
        let (pace, seed, specs) = (self.pace, self.seed(serial), self.units.faults(serial));
        self.shift.work(&(nest + 1).to_string(), serial, notes, diagnosis, move |shift, _, loaded, serial, person| {
            let faults = virtual_run::parse_faults(&specs)?;
            let order = Order { faults: &faults, pace, ..Order::of(loaded, &shift.firmware, serial, seed) };
            Ok(VirtualBackend { world: virtual_run::build(&order)?, seed, faults: specs, person: Some(person) })
        })
    }
}

/// Runs on a real fixture.
pub struct RealRuns {
    pub shift: Shift,
    pub station: PathBuf,
    /// Name of each nest in the station file, with its lid, buttons and lamps. The caller holds the fixtures.
    pub nests: Vec<(String, Hand)>,
}

impl RunFactory for RealRuns {
    fn work(&mut self, nest: usize, serial: &str, notes: Vec<String>, diagnosis: Option<String>) -> Work {
        let (station, named) = (self.station.clone(), self.nests.get(nest).cloned());
        let nest_name = named.as_ref().map_or_else(String::new, |(name, _)| name.clone());
        self.shift.work(&nest_name, serial, notes, diagnosis, move |_, project, loaded, _, person| {
            let Some((name, hand)) = named else {
                return Err(Failed::Bench(miette::miette!("the station has no nest {}", nest + 1)));
            };
            let now = jiff::Zoned::now();
            // Read again: a calibration may have come to its end.
            let nest = ConfiguredNest::find(&station, Some(&name), &loaded.fixture, real::day_of(&now))?;
            Ok(RealBackend::on_shift(project.root(), nest, &now, Some(hand)).with_person(person))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_keeps_its_faults() {
        let fault_at = BTreeMap::from([(2, vec!["open:23".to_owned()])]);
        let mut units = VirtualUnits::new(fault_at);
        let faulty: Vec<bool> = ["a", "b", "a", "c", "b"].iter().map(|unit| !units.faults(unit).is_empty()).collect();
        assert_eq!(faulty, [false, true, false, false, true]);
    }
}
