//! `bench plan`: the schedule of a plan, drawn.

use super::{print, print_json, say, width, write_report};
use crate::cli::PlanArgs;
use crate::gantt::{Look, Times, chart, svg, text};
use bench_coverage::{Module, RunFindings, Work};
use bench_engine::{Failed, Loaded, Project};
use bench_journal::shown;
use bench_run::Verdict;
use bench_steps::Kinds;
use bench_store::examine_file;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub(crate) fn plan(root: Option<&Path>, args: &PlanArgs) -> Result<u8, Failed> {
    let mut loaded = Project::find(root, Some(&args.plan)).load(&args.plan, &Kinds::default())?;
    if args.from.is_none() {
        super::without_people(&mut loaded)?;
    }
    let times = match &args.from {
        Some(run) => recorded(&loaded, run)?,
        None => measured(root, args, &loaded)?,
    };
    let chart = chart(&loaded.plan, &times);
    if let Some(file) = &args.svg {
        write_report(file, svg(&chart).as_bytes())?;
    }
    if args.json {
        print_json(&chart)?;
    } else {
        let terminal = std::io::stdout().is_terminal();
        print(&text(&chart, Look { width: usize::from(width()).min(160), blocks: terminal }));
    }
    Ok(0)
}

/// From two runs on a good module of the virtual bench: as the schedule has it, and one step after the other. The times
/// of the steps are those of the first: a step that waits for what another one began, such as a modem that boots, takes
/// as long as the others leave it.
fn measured(root: Option<&Path>, args: &PlanArgs, loaded: &Loaded) -> Result<Times, Failed> {
    let firmware = bench_engine::read_firmware(args.firmware.as_deref().unwrap_or(&loaded.firmware_path))?;
    let provenance = loaded.provenance(&firmware);
    let stop = AtomicBool::new(false);
    let work = Work {
        root,
        plan: &args.plan,
        fixture: None,
        firmware: &firmware,
        provenance: &provenance,
        jobs: 2,
        stop: &stop,
    };
    let module = |one_by_one| Module { seed: args.seed, one_by_one, ..Default::default() };
    let runs = work.run(&[module(false), module(true)], &|| ())?.unwrap_or_default();
    let [run, one_by_one] = runs.as_slice() else {
        return Err(Failed::Bench(miette::miette!("the virtual bench gave no result")));
    };
    let passed = |run: &RunFindings| run.verdict == Verdict::Pass;
    if !passed(run) {
        let help = "`bench run PLAN --virtual` shows more";
        return Err(Failed::Bench(miette::miette!(
            help = help,
            "the plan does not pass a good module: {}",
            run.said()
        )));
    }
    let micros = Duration::from_micros;
    let steps: Vec<Duration> = run.step_us.iter().map(|(_, time)| micros(*time)).collect();
    let one_by_one = if passed(one_by_one) {
        micros(one_by_one.total_us)
    } else {
        let why = one_by_one.said();
        say(&format!(
            "One step after the other the plan does not pass ({why}); what that takes is the sum of the steps."
        ));
        steps.iter().sum()
    };
    let from = format!("the virtual bench, seed {}", args.seed);
    Ok(Times { steps, run: micros(run.total_us), one_by_one, from })
}

/// From the journal of a run that passed.
fn recorded(loaded: &Loaded, run: &Path) -> Result<Times, Failed> {
    let journal = super::report::find(run)?;
    let usage = |message: String| {
        Failed::Usage(miette::miette!(help = "name the folder of a run of this plan that passed", "{message}"))
    };
    let record = examine_file(&journal).usable().map_err(|reason| usage(format!("{}: {reason}", shown(&journal))))?;
    let time = |id: &str| {
        let step = record.steps.iter().find(|step| step.id == id && step.verdict == Some(Verdict::Pass))?;
        // The attempt that passed: the others would not be there on a good module.
        step.last()?.duration()
    };
    let steps = loaded.plan.steps.iter().map(|planned| {
        let id = &planned.step.id;
        time(id).ok_or_else(|| usage(format!("{} has no time of step `{id}`: it did not pass there", shown(&journal))))
    });
    let steps = steps.collect::<Result<Vec<Duration>, Failed>>()?;
    Ok(Times {
        run: Duration::from_micros(record.duration_us.as_micros()),
        one_by_one: steps.iter().sum(),
        steps,
        from: shown(&journal),
    })
}
