//! How many of the faults that can be ordered a plan finds, and names.
//!
//! Every fault is one complete run of the plan on the virtual bench, with the engine that tests real modules. The list
//! of faults is used only afterwards, to compare what was ordered with what the bench said.

mod judge;
mod text;

pub(crate) use judge::{FaultResult, Naming, judge};
pub(crate) use text::summary;

use crate::cli::Failed;
use crate::engine::{self, Recorder};
use crate::virtual_run::{self, Order};
use crate::{Loaded, Project, Stop};
use bench_journal::Journal;
use bench_run::{Contact, Event, Verdict};
use bench_steps::Kinds;
use serde::Serialize;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use virtual_bench::Fault;

/// What a run of the plan on one module came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Run {
    pub verdict: Verdict,
    pub reason: Option<String>,
    /// Steps that failed or erred, in the order of their ends.
    pub steps: Vec<String>,
    /// Measurements outside their limits: "step/name".
    pub measurements: Vec<String>,
    pub diagnoses: Vec<Said>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Said {
    pub contacts: Vec<Contact>,
    pub text: String,
}

/// A module to test: its seed and its faults.
#[derive(Debug, Clone)]
pub(crate) struct Module {
    pub seed: u64,
    pub faults: Vec<Fault>,
}

/// Where the plan and its firmware are; each worker reads them for itself, because procedures do not cross threads.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    pub root: Option<&'a Path>,
    pub plan: &'a Path,
    pub firmware: &'a [u8],
    /// Journals that nobody keeps.
    pub scratch: &'a Path,
}

impl Work<'_> {
    /// Runs every module, `jobs` at a time; results in the order of the modules. `done` is told after each.
    ///
    /// # Errors
    /// What kept a run from starting: the same for all of them.
    pub(crate) fn run(&self, modules: &[Module], jobs: usize, done: &(dyn Fn() + Sync)) -> Result<Vec<Run>, Failed> {
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<Option<Run>>> = Mutex::new(vec![None; modules.len()]);
        let worker = || -> Result<(), Failed> {
            let loaded = Project::find(self.root, Some(self.plan)).load(self.plan, &Kinds::default())?;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(module) = modules.get(index) else { return Ok(()) };
                let run = self.one(&loaded, module, index)?;
                if let Some(place) = results.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
                    *place = Some(run);
                }
                done();
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(result) => result,
                Err(_) => Err(Failed::Bench(miette::miette!("a worker of the coverage run panicked"))),
            })
        })?;
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.into_iter().map(|run| run.ok_or_else(|| Failed::Bench(miette::miette!("a run got lost")))).collect()
    }

    fn one(&self, loaded: &Loaded, module: &Module, index: usize) -> Result<Run, Failed> {
        let bench = |error: &dyn std::fmt::Display| Failed::Bench(miette::miette!("{error}"));
        let Some(family) = loaded.family() else { return Err(bench(&"the plan's family got lost")) };
        let faults: Vec<String> = module.faults.iter().map(ToString::to_string).collect();
        let serial = virtual_run::serial(family, &loaded.plan.model, module.seed);
        let order = Order {
            fixture: &loaded.fixture,
            families: &loaded.families,
            model: &loaded.plan.model,
            firmware: self.firmware,
            seed: module.seed,
            faults: &module.faults,
            serial: &serial,
            pace: None,
        };
        let world = virtual_run::build(&order)?;
        let started = virtual_run::started(loaded, &serial, self.firmware, module.seed, &faults);
        let journal = Journal::create(self.scratch, &serial, &format!("coverage-{index}")).map_err(|e| bench(&e))?;
        let recorder = Recorder::new(journal, world.clock(), Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|e| bench(&e))?;
        let nest = virtual_run::nest(&world, &loaded.fixture, family, &serial, &recorder)?;
        let outcome = runtime
            .block_on(world.run(engine::run(&loaded.plan, &nest, &recorder, started, Stop::never())))
            .map_err(|e| bench(&e))?;
        let mut run = Run {
            verdict: outcome.verdict,
            reason: outcome.reason,
            steps: Vec::new(),
            measurements: Vec::new(),
            diagnoses: Vec::new(),
        };
        if run.verdict == Verdict::Pass && !world.diagnostics().is_empty() {
            // As `bench run` has it: a pass that leans on something that is not modelled is none.
            (run.verdict, run.reason) = (Verdict::Error, Some(world.diagnostics().join("; ")));
        }
        for entry in recorder.entries() {
            match entry.event {
                Event::StepEnded { step, verdict: Verdict::Fail | Verdict::Error, retried: false, .. } => {
                    run.steps.push(step);
                }
                Event::Measured { step, measurement, .. } if measurement.verdict != Verdict::Pass => {
                    run.measurements.push(format!("{step}/{}", measurement.name));
                }
                Event::Diagnosed { diagnosis, .. } => {
                    run.diagnoses.push(Said { contacts: diagnosis.contacts, text: diagnosis.text });
                }
                _ => {}
            }
        }
        Ok(run)
    }
}
