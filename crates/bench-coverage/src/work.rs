//! Complete runs of the plan in memory, several at a time.
//!
//! A run is the same as with `bench run`: fixture, firmware, engine, safe state, and how its record is judged. Only the
//! journal stays in memory. Every run has a bench of its own, so that its result depends only on the seed, the faults and
//! the plan, and not on how many run at the same time.

use super::disk;
use super::run::RunFindings;
use bench_engine::{self as engine, Failed, Loaded, Project, Stop};
use bench_instruments::Plausibility;
use bench_report::RunRecord;
use bench_run::Provenance;
use bench_steps::Kinds;
use bench_virtual::{self as virtual_run, Order};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use virtual_bench::{BenchFault, ControllerDamage, Fault};

/// A module to test, and how the plan is changed for it.
#[derive(Debug, Clone, Default)]
pub struct Module {
    pub seed: u64,
    pub faults: Vec<Fault>,
    /// What is wrong with the bench itself.
    pub bench_faults: Vec<BenchFault>,
    /// Checks of the bench on itself that it does without.
    pub unchecked: Vec<Plausibility>,
    /// Ids of steps that are taken out of the plan, in its order.
    pub gone: Vec<String>,
    /// The steps run one after the other, whatever they share.
    pub one_by_one: bool,
}

/// Where the plan and its firmware are; each worker reads the plan for itself, because procedures do not cross threads.
pub struct Work<'a> {
    pub root: Option<&'a Path>,
    pub plan: &'a Path,
    /// Another fixture than the plan's.
    pub fixture: Option<&'a str>,
    pub firmware: &'a [u8],
    /// Hashes of the plan's files: if a file changes during the study, the study ends.
    pub provenance: &'a Provenance,
    /// Runs at a time.
    pub jobs: usize,
    /// Set when the user stops the study.
    pub stop: &'a AtomicBool,
}

impl Work<'_> {
    /// Runs every module; results in the order of the modules, or `None` when the user stopped it. `done` is called after
    /// each run.
    ///
    /// # Errors
    /// Why no run could start; the reason is the same for all runs.
    pub fn run(&self, modules: &[Module], done: &(dyn Fn() + Sync)) -> Result<Option<Vec<RunFindings>>, Failed> {
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<Option<RunFindings>>> = Mutex::new(vec![None; modules.len()]);
        let worker = || -> Result<(), Failed> {
            let mut loaded: Option<(&Module, Loaded)> = None;
            while !self.stop.load(Ordering::Relaxed) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(module) = modules.get(index) else { break };
                let fits = |(of, _): &(&Module, Loaded)| of.gone == module.gone && of.one_by_one == module.one_by_one;
                let plan = match loaded.take().filter(fits) {
                    Some((_, plan)) => plan,
                    None => self.load(module)?,
                };
                let run = self.one(&plan, module).inspect_err(|_| self.stop.store(true, Ordering::Relaxed))?;
                loaded = Some((module, plan));
                if let Some(place) = results.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
                    *place = Some(run);
                }
                done();
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.jobs.max(1)).map(|_| scope.spawn(worker)).collect();
            let ends: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            ends.into_iter().try_for_each(|end| match end {
                Ok(result) => result,
                Err(_) => Err(Failed::Bench(miette::miette!("a worker panicked outside of a run"))),
            })
        })?;
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(results.into_iter().collect())
    }

    fn load(&self, module: &Module) -> Result<Loaded, Failed> {
        let mut loaded =
            Project::find(self.root, Some(self.plan)).load_on(self.plan, self.fixture, &Kinds::default())?;
        if loaded.provenance(self.firmware) != *self.provenance {
            let help = "a result must be that of one plan; start again";
            return Err(Failed::Usage(miette::miette!(help = help, "the plan, fixture or module file was changed")));
        }
        loaded.leave_out_questions();
        loaded.plan.take_out(&module.gone);
        if module.one_by_one {
            loaded.plan.steps.iter_mut().for_each(|planned| planned.step.uses.push("the bench".to_owned()));
        }
        Ok(loaded)
    }

    /// One run, with the outcome that `bench run` would have.
    fn one(&self, loaded: &Loaded, module: &Module) -> Result<RunFindings, Failed> {
        match catch_unwind(AssertUnwindSafe(|| self.attempt(loaded, module))) {
            Ok(Err(Failed::Bench(report))) => Ok(RunFindings::broken(report.to_string())),
            Ok(result) => result,
            Err(_) => Ok(RunFindings::broken("the virtual bench panicked".to_owned())),
        }
    }

    fn attempt(&self, loaded: &Loaded, module: &Module) -> Result<RunFindings, Failed> {
        let bench = |error: &dyn std::fmt::Display| Failed::Bench(miette::miette!("{error}"));
        let Some(family) = loaded.family() else { return Err(bench(&"the plan's family got lost")) };
        let serial = virtual_run::serial(family, &loaded.plan.model, module.seed);
        let plain = Order::of(loaded, self.firmware, &serial, module.seed);
        // An empty module takes longer to test.
        let affected = |fault: &Fault| fault.affects_programming(family, &loaded.fixture);
        let of_probe = |fault: &BenchFault| fault.group() == virtual_bench::Group::Probe;
        let blank = plain.blank && (module.faults.iter().any(affected) || module.bench_faults.iter().any(of_probe));
        let order = Order { blank, faults: &module.faults, bench_faults: &module.bench_faults, ..plain };
        let image = virtual_run::image(loaded, self.firmware)?;
        let world = virtual_run::build(&order)?;
        let faults = virtual_run::ordered(&module.faults, &module.bench_faults);
        let controller = module
            .bench_faults
            .iter()
            .map(|fault| fault.of_controller(&loaded.fixture))
            .fold(ControllerDamage::default(), ControllerDamage::and);
        let mut started = virtual_run::started(loaded, self.provenance.clone(), &serial, module.seed, &faults);
        if let Some(seconds) = controller.clock_step_s {
            virtual_run::dated(&mut started, seconds);
        }
        let recorder = disk::recorder(controller.disk, world.clock()).map_err(|error| bench(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| bench(&error))?;
        let mut nest =
            virtual_run::trusting_nest(&world, &loaded.fixture, family, &serial, &recorder, &module.unchecked)?;
        loaded.equip(&mut nest, image);
        let outcome = runtime
            .block_on(world.run(engine::run(&loaded.plan, &nest, &recorder, started, Stop::never())))
            .map_err(|error| bench(&format!("the virtual bench stopped: {error}")))?;
        let mut run = RunFindings::of(&RunRecord::from_entries(&recorder.entries()), &outcome);
        run.lean_on(&world.diagnostics());
        Ok(run)
    }
}
