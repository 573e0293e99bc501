//! `bench coverage`: what a plan finds of everything that can be wrong.

mod of_bench;
mod of_sizes;

use super::faults::listed;
use super::{print, print_json, say, write_report};
use crate::cli::{CoverageArgs, EXIT_ABORTED, EXIT_BELOW};
use crate::study_progress::Progress;
use bench_coverage::{
    FaultResult, Module, Rates, Results, RunFindings, Study, Without, Work, dictionary::Dictionary, glob, judge, lost,
    name, page, summary, with_dependants,
};
use bench_engine::{Failed, Loaded, Project, Stop};
use bench_journal::shown;
use bench_plan::Source;
use bench_run::{Contact, Step};
use bench_steps::Kinds;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use virtual_bench::Fault;

/// Seed of every faulty module: the one that `bench run` takes when none is given.
pub(super) const FAULT_SEED: u64 = 1;

/// Every run that the study needs, on the same terms.
pub(super) struct Runs<'a> {
    pub(super) work: Work<'a>,
    pub(super) loaded: &'a Loaded,
    /// Taken out for the whole study.
    pub(super) gone: &'a [String],
    pub(super) progress: Progress,
}

/// The user wants an end.
pub(super) struct Stopped;

pub(super) enum Ended {
    Stopped,
    Failed(Failed),
}

impl From<Failed> for Ended {
    fn from(failed: Failed) -> Self {
        Ended::Failed(failed)
    }
}

impl From<Stopped> for Ended {
    fn from(_: Stopped) -> Self {
        Ended::Stopped
    }
}

pub(crate) fn coverage(root: Option<&Path>, args: &CoverageArgs) -> Result<u8, Failed> {
    let project = Project::find(root, Some(&args.plan));
    let mut loaded = project.load_on(&args.plan, args.fixture.as_deref(), &Kinds::default())?;
    super::without_people(&mut loaded)?;
    let rates = rates(&project, args)?;
    let firmware = bench_engine::read_firmware(args.firmware.as_deref().unwrap_or(&loaded.firmware_path))?;
    let faults = if args.bench_faults || !args.sweep.is_empty() { Vec::new() } else { wanted(&loaded, &args.faults)? };
    let gone = left_out(&loaded, &args.without)?;
    let provenance = loaded.provenance(&firmware);
    let stop = stop_on_signals();
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let (plan, fixture) = (args.plan.as_path(), args.fixture.as_deref());
    let work = Work { root, plan, fixture, firmware: &firmware, provenance: &provenance, jobs, stop: &stop };
    let good = good_modules(args);
    let (what, known) = match (args.sweep.is_empty(), args.bench_faults) {
        (false, _) => (format!("defects of growing size on {good} modules each"), 0),
        (_, true) => (format!("faults of the bench, each with {good} good modules and some bad ones"), 0),
        _ => (format!("{} faults and {good} good modules", faults.len()), faults.len() as u64 + good),
    };
    let runs = Runs { work, loaded: &loaded, gone: &gone, progress: Progress::new(&what, known, jobs) };
    if !args.sweep.is_empty() {
        return of_sizes::measure(&runs, args);
    }
    if args.bench_faults {
        return of_bench::measure(&runs, args);
    }

    let began = Instant::now();
    let Some(study) = runs.finished(study(&runs, args, &faults, &rates))? else { return Ok(EXIT_ABORTED) };
    if args.json {
        print_json(&study)?;
    } else {
        print(&summary(&study, began.elapsed()));
    }
    write(args.html.as_deref(), || Ok(page(&study)))?;
    write(args.dictionary.as_deref(), || to_json(&Dictionary::of(&study)))?;
    Ok(verdict(args, &study))
}

pub(super) fn good_modules(args: &CoverageArgs) -> u64 {
    args.good.unwrap_or(match (args.bench_faults, args.sweep.is_empty()) {
        (true, _) => 5,
        (false, false) => 20,
        (false, true) => 100,
    })
}

/// 0, or what CI acts on when the plan is below what is asked of it.
fn verdict(args: &CoverageArgs, study: &Study) -> u8 {
    let below = |least: Option<f64>, is: f64| least.is_some_and(|least| is < least);
    let asked = args.min_detected.is_some() || args.min_named.is_some();
    if below(args.min_detected, study.detected_percent)
        || below(args.min_named, study.named_percent)
        || asked && study.false_fails > 0
    {
        return EXIT_BELOW;
    }
    0
}

fn study(runs: &Runs<'_>, args: &CoverageArgs, faults: &[Fault], rates: &Rates) -> Result<Study, Ended> {
    let began = Instant::now();
    let modules: Vec<Module> = faults.iter().map(|fault| runs.faulty(fault, &[])).collect();
    let faulty = runs.all(&modules)?;
    let faults_took = began.elapsed();
    // Seed 1 is the faulty modules'.
    let seeds: Vec<u64> = (0..good_modules(args)).map(|n| FAULT_SEED + 1 + n).collect();
    let modules: Vec<Module> =
        seeds.iter().map(|seed| Module { seed: *seed, gone: runs.gone.to_vec(), ..Default::default() }).collect();
    let good = seeds.into_iter().zip(runs.all(&modules)?).collect();

    let Some(family) = runs.loaded.family() else {
        return Err(Failed::Bench(miette::miette!("the plan's family got lost")).into());
    };
    let fixture = &runs.loaded.fixture;
    let judged = faults.iter().zip(faulty).map(|(fault, run)| judge(fault, run, family, fixture, rates));
    let results: Vec<FaultResult> = judged.collect();
    let without = if args.quick { BTreeMap::new() } else { runs.without_each_step(faults, &results)? };
    let plan = &runs.loaded.plan;
    Ok(Study::of(Results {
        plan: match &args.fixture {
            Some(fixture) => format!("{} on {fixture}", shown(&args.plan)),
            None => shown(&args.plan),
        },
        model: plan.model.clone(),
        provenance: runs.work.provenance.clone(),
        steps: runs.steps().iter().map(|step| (step.id.clone(), step.kind.clone())).collect(),
        contacts: family.contacts.iter().map(|info| (info.contact, info.pin.clone())).collect::<Vec<(Contact, _)>>(),
        faults: results,
        without,
        good,
        rates,
        faults_took,
    }))
}

impl Runs<'_> {
    /// What the runs showed; `None` when the user stopped them, which is said.
    pub(super) fn finished<T>(&self, ended: Result<T, Ended>) -> Result<Option<T>, Failed> {
        self.progress.finish();
        match ended {
            Ok(study) => Ok(Some(study)),
            Err(Ended::Failed(failed)) => Err(failed),
            Err(Ended::Stopped) => {
                say("stopped; nothing was written");
                Ok(None)
            }
        }
    }

    fn faulty(&self, fault: &Fault, gone: &[String]) -> Module {
        let gone = if gone.is_empty() { self.gone } else { gone };
        Module { seed: FAULT_SEED, faults: vec![fault.clone()], gone: gone.to_vec(), ..Default::default() }
    }

    pub(super) fn all(&self, modules: &[Module]) -> Result<Vec<RunFindings>, Ended> {
        let progress = &self.progress;
        Ok(self.work.run(modules, &|| progress.one_done())?.ok_or(Stopped)?)
    }

    /// The steps of the plan, without those that are left out.
    fn steps(&self) -> Vec<Step> {
        let steps = self.loaded.plan.steps.iter().map(|planned| &planned.step);
        steps.filter(|step| !self.gone.contains(&step.id)).cloned().collect()
    }

    /// What the plan loses without each of its steps. A fault at which another step failed as well is found without the
    /// step, too; only the others are run again.
    fn without_each_step(&self, faults: &[Fault], results: &[FaultResult]) -> Result<BTreeMap<String, Without>, Ended> {
        let all: Vec<Step> = self.loaded.plan.steps.iter().map(|planned| planned.step.clone()).collect();
        let steps: Vec<String> = self.steps().into_iter().map(|step| step.id).collect();
        let with = |id: &String, more: Vec<String>| -> Vec<String> {
            let is_gone = |step: &&Step| self.gone.contains(&step.id) || step.id == *id || more.contains(&step.id);
            all.iter().filter(is_gone).map(|step| step.id.clone()).collect()
        };
        // First whether a good module still passes: some steps make others possible.
        let alone: Vec<Vec<String>> = steps.iter().map(|id| with(id, Vec::new())).collect();
        self.progress.more(alone.len());
        let good: Vec<Module> =
            alone.iter().map(|gone| Module { seed: FAULT_SEED, gone: gone.clone(), ..Default::default() }).collect();
        let passes: Vec<bool> = self.all(&good)?.iter().map(|run| !run.is_detected()).collect();
        let gone: Vec<Vec<String>> = steps
            .iter()
            .zip(alone.into_iter().zip(passes))
            .map(
                |(id, (alone, passes))| {
                    if passes { alone } else { with(id, with_dependants(&all, std::slice::from_ref(id))) }
                },
            )
            .collect();

        let again = |gone: &[String]| -> Vec<usize> {
            let only_there =
                |run: &RunFindings| !run.steps.is_empty() && run.steps.iter().all(|step| gone.contains(step));
            results.iter().enumerate().filter(|(_, result)| only_there(&result.run)).map(|(index, _)| index).collect()
        };
        let plans: Vec<(&String, &Vec<String>, Vec<usize>)> =
            steps.iter().zip(&gone).map(|(id, gone)| (id, gone, again(gone))).collect();
        let modules: Vec<Module> = plans
            .iter()
            .flat_map(|(_, gone, again)| again.iter().filter_map(|index| Some(self.faulty(faults.get(*index)?, gone))))
            .collect();
        self.progress.more(modules.len());
        let mut now = self.all(&modules)?.into_iter();

        let (family, fixture) = (self.loaded.family(), &self.loaded.fixture);
        let mut without = BTreeMap::new();
        for (id, gone, again) in plans {
            let mut after = Vec::with_capacity(again.len());
            for index in again {
                if let (Some(run), Some(family), Some(fault)) = (now.next(), family, faults.get(index)) {
                    after.push((index, name(fault, &run, family, fixture).0));
                }
            }
            let also = gone.iter().filter(|step| *step != id && !self.gone.contains(step)).cloned().collect();
            without.insert(id.clone(), lost(results, &after, also));
        }
        Ok(without)
    }
}

fn rates(project: &Project, args: &CoverageArgs) -> Result<Rates, Failed> {
    let usual = project.defect_rates();
    let path = match &args.rates {
        Some(path) => path.clone(),
        None if usual.is_file() => usual,
        // Shares of detected faults need no rates.
        None => return Ok(Rates::default()),
    };
    let text = bench_journal::read_text(&path, 64 * 1024 * 1024).map_err(|error| {
        let help = "--rates names a file of defect rates, such as fixtures/defect-rates.toml";
        Failed::Usage(miette::miette!(help = help, "{error}"))
    })?;
    let source = Source::new(shown(&path), text);
    Rates::parse(&source).map_err(|problem| Failed::Usage(miette::Report::new(*problem)))
}

pub(super) fn wanted(loaded: &Loaded, patterns: &[String]) -> Result<Vec<Fault>, Failed> {
    let mut faults = listed(loaded);
    if let Some(unknown) = patterns.iter().find(|pattern| !faults.iter().any(|fault| glob::names(pattern, fault))) {
        let help = "`bench faults PLAN` lists them; `*` is any text, `?` one character";
        return Err(Failed::Usage(miette::miette!(help = help, "no fault fits `{unknown}`")));
    }
    faults.retain(|fault| patterns.is_empty() || patterns.iter().any(|pattern| glob::names(pattern, fault)));
    Ok(faults)
}

/// Ids of the steps that are meant: named by id or by kind.
fn left_out(loaded: &Loaded, without: &[String]) -> Result<Vec<String>, Failed> {
    let steps = || loaded.plan.steps.iter().map(|planned| &planned.step);
    let is_meant = |step: &Step, word: &String| step.id == *word || step.kind == *word;
    if let Some(unknown) = without.iter().find(|word| !steps().any(|step| is_meant(step, word))) {
        let names = steps().map(|step| step.id.as_str()).chain(steps().map(|step| step.kind.as_str()));
        let help = bench_plan::nearest_help(unknown, names, "steps");
        return Err(Failed::Usage(miette::miette!(help = help, "--without {unknown}: the plan has no such step")));
    }
    let gone = steps().filter(|step| without.iter().any(|word| is_meant(step, word)));
    Ok(gone.map(|step| step.id.clone()).collect())
}

/// Set by Ctrl-C and its like. Nothing real is powered here, so runs in progress are simply finished.
fn stop_on_signals() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    // The first line that people see comes when a signal is already heard.
    let (tell_ready, ready) = std::sync::mpsc::channel();
    // Without the handlers, a signal ends the program at once: as good.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let asked = Stop::on_signals(say)?.split().0;
            let _ = tell_ready.send(());
            asked.await;
            seen.store(true, Ordering::Relaxed);
            std::io::Result::Ok(())
        })
    });
    // Also ends when there are no handlers to be had.
    let _ = ready.recv();
    stop
}

fn to_json(value: &impl Serialize) -> Result<String, Failed> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|error| Failed::Bench(miette::miette!("cannot be written as JSON: {error}")))
}

pub(super) fn write(path: Option<&Path>, text: impl FnOnce() -> Result<String, Failed>) -> Result<(), Failed> {
    let Some(path) = path else { return Ok(()) };
    write_report(path, text()?.as_bytes())
}
