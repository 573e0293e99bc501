//! What the nests of a line are made of: for each run, the work that its thread does.

use crate::cli::Failed;
use crate::commands::run::without;
use crate::engine::Observer;
use crate::one_run::{Done, OneRun};
use crate::virtual_run::{self, Order, VirtualBackend};
use crate::{Project, Stop, files};
use bench_run::Provenance;
use bench_steps::Kinds;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// One run, from its order to its end, in whatever thread it is called.
pub(crate) type Work = Box<dyn FnOnce(Observer, Stop) -> Result<Done, Failed> + Send>;

/// Makes runs.
pub(crate) trait Line {
    /// The run of a unit on a nest. `notes` are for the record, before anything is powered.
    fn work(&mut self, nest: usize, serial: &str, notes: Vec<String>) -> Work;
}

/// Virtual modules: each serial number has tolerances of its own, and some have faults to order.
#[derive(Debug)]
pub(crate) struct VirtualUnits {
    fault_at: BTreeMap<usize, Vec<String>>,
    known: BTreeMap<String, Vec<String>>,
}

impl VirtualUnits {
    /// `fault_at`: the faults of the so-many-th module that is tested, from 1.
    pub(crate) fn new(fault_at: BTreeMap<usize, Vec<String>>) -> Self {
        Self { fault_at, known: BTreeMap::new() }
    }

    /// A module keeps its faults when it is tested again.
    fn faults(&mut self, serial: &str) -> Vec<String> {
        let count = self.known.len() + 1;
        let faults = || self.fault_at.get(&count).cloned().unwrap_or_default();
        self.known.entry(serial.to_owned()).or_insert_with(faults).clone()
    }
}

/// The nests of the virtual bench.
pub(crate) struct VirtualLine {
    pub root: Option<PathBuf>,
    pub plan: PathBuf,
    pub firmware: Arc<[u8]>,
    /// What the plan must be made of: a file that changes during a shift ends it.
    pub provenance: Provenance,
    pub reports: PathBuf,
    /// Production lot of the units, for statistics.
    pub lot: Option<String>,
    pub pace: Option<f64>,
    pub seed: u64,
    pub units: VirtualUnits,
}

impl VirtualLine {
    /// Another seed makes other modules of the same serial numbers.
    fn seed(&self, serial: &str) -> u64 {
        let hash = files::sha256(format!("{} {serial}", self.seed).as_bytes());
        u64::from_str_radix(&hash[..8], 16).unwrap_or(self.seed)
    }
}

impl Line for VirtualLine {
    fn work(&mut self, _: usize, serial: &str, notes: Vec<String>) -> Work {
        let (root, plan, reports) = (self.root.clone(), self.plan.clone(), self.reports.clone());
        let (firmware, expected) = (Arc::clone(&self.firmware), self.provenance.clone());
        let lot = self.lot.clone();
        let (pace, seed, serial, specs) = (self.pace, self.seed(serial), serial.to_owned(), self.units.faults(serial));
        Box::new(move |observer, stop| {
            // Read anew: procedures do not cross threads.
            let loaded = Project::find(root.as_deref(), Some(&plan)).load(&plan, &Kinds::default())?;
            let provenance = loaded.provenance(&firmware);
            if provenance != expected {
                return Err(Failed::Usage(miette::miette!(
                    "the plan, fixture or module file was changed during the shift: end it and start anew"
                )));
            }
            let notes = [without(&loaded), notes].concat();
            let faults = virtual_run::parse_faults(&specs)?;
            let order = Order { faults: &faults, pace, ..Order::of(&loaded, &firmware, &serial, seed) };
            let backend = VirtualBackend { world: virtual_run::build(&order)?, seed, faults: specs };
            let one = OneRun {
                loaded: &loaded,
                firmware: virtual_run::image(&loaded, &firmware)?,
                provenance,
                serial: &serial,
                lot: lot.as_deref(),
                reports: &reports,
                notes: &notes,
            };
            one.run(&backend, vec![observer], || Ok(stop))
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
