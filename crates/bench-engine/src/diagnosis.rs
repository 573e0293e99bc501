//! Runs that look for a cause: which steps of a plan run, how often, and what their readings came to.

use crate::{Failed, Recorder};
use async_trait::async_trait;
use bench_instruments::Question;
use bench_plan::{Plan, PlanStep, nearest_help};
use bench_run::{
    DiagnosisRun, Entry, Event, MeasurementSpec, MeasurementUnit, OnFail, Step, VOID, Verdict, repetition_id,
    without_repetition,
};
use bench_steps::{ImageFile, Leaves, Nest, Procedure, StepError, StepLog};
use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

/// Repetitions at most, and the number of repetitions until a step fails where none is given.
pub const MOST_REPETITIONS: u16 = 1_000;
/// Steps and promised measurements of all repetitions together: the first line of the journal lists them.
const MOST_STEPS: usize = 2_000;
const MOST_MEASUREMENTS: usize = 20_000;

/// Longest time that the power may stay on after the last step.
pub const LONGEST_HOLD: Duration = Duration::from_secs(600);

type Steps = Plan<Box<dyn Procedure>>;

/// What a person ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiagnosisOrder {
    /// These steps; all steps of the plan when this is empty and neither `from` nor `until` is given.
    pub only: Vec<String>,
    /// The first and the last of a range of the plan's steps, in the order of its text.
    pub from: Option<String>,
    pub until: Option<String>,
    /// How many times the chosen steps run.
    pub repeat: Option<u16>,
    /// Repeats until a chosen step does not pass.
    pub until_fail: bool,
    /// How long the power stays on afterwards.
    pub hold: Option<Duration>,
}

/// A mistake in an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderProblem {
    pub message: String,
    pub help: String,
}

impl From<OrderProblem> for Failed {
    fn from(problem: OrderProblem) -> Self {
        Failed::Usage(miette::miette!(help = problem.help, "{}", problem.message))
    }
}

impl DiagnosisOrder {
    /// Whether anything is ordered. A run without an order tests the unit.
    pub fn is_given(&self) -> bool {
        *self != Self::default()
    }

    /// The order that a recorded run had, without its hold: nobody measures anything in a replay.
    pub fn of_recorded(run: &DiagnosisRun) -> Self {
        Self { only: run.chosen.clone(), repeat: Some(run.repeat), until_fail: run.until_fail, ..Self::default() }
    }

    /// Reduces the plan to the chosen steps with everything that they need, and repeats the chosen ones.
    ///
    /// A repetition is a step of its own, which starts when all steps of the repetition before have ended. It has the
    /// attempts that the plan allows; until a fail it has one, because a retry would hide what is looked for.
    ///
    /// # Errors
    /// When a step is not in the plan, or there are too many repetitions.
    pub fn narrow(&self, plan: &mut Steps) -> Result<DiagnosisRun, OrderProblem> {
        let chosen = self.chosen(plan)?;
        let absent = absent(plan, &chosen);
        let needed: BTreeSet<usize> = needed(plan, &chosen).difference(&chosen).copied().collect();
        let ids = |of: &BTreeSet<usize>| of.iter().map(|&index| id(plan, index)).collect::<Vec<_>>();
        let mut run = DiagnosisRun {
            chosen: ids(&chosen),
            needed: ids(&needed),
            absent,
            repeat: 1,
            until_fail: self.until_fail,
            hold_s: self.hold.map(|hold| hold.min(LONGEST_HOLD).as_secs()),
        };
        let gone = |index: &usize| !chosen.contains(index) && !needed.contains(index);
        let gone: Vec<String> = (0..plan.steps.len()).filter(gone).map(|index| id(plan, index)).collect();
        plan.take_out(&gone);
        run.repeat = self.repetitions(plan, &run)?;
        if run.repeat > 1 {
            can_be_repeated(plan, &run)?;
        }
        for planned in plan.steps.iter_mut().filter(|planned| run.is_chosen(&planned.step.id)) {
            let step = &mut planned.step;
            if self.until_fail {
                step.retry = 0;
            }
            // What a step that did not pass has switched is not known, and a repetition would find it.
            let switches = run.repeat > 1 && planned.procedure.leaves().is_some();
            if self.until_fail || self.hold.is_some() || switches {
                step.on_fail = OnFail::Stop;
            } else if run.repeat > 1 {
                step.on_fail = OnFail::Continue;
            }
        }
        repeat(plan, &run);
        Ok(run)
    }

    fn chosen(&self, plan: &Steps) -> Result<BTreeSet<usize>, OrderProblem> {
        let place = |argument: &str, wanted: &String| {
            let ids = || plan.steps.iter().map(|planned| planned.step.id.as_str());
            ids().position(|id| id == wanted).ok_or_else(|| {
                let left_out = plan.left_out.iter().find(|left_out| left_out.step == *wanted);
                match left_out {
                    Some(left_out) => OrderProblem {
                        message: format!("{argument} {wanted}: this step does not run here"),
                        help: format!("the plan leaves it out: {}", left_out.reason),
                    },
                    None => OrderProblem {
                        message: format!("{argument} {wanted}: the plan has no such step"),
                        help: nearest_help(wanted, ids(), "steps"),
                    },
                }
            })
        };
        if !self.only.is_empty() {
            return self.only.iter().map(|wanted| place("--only", wanted)).collect();
        }
        let first = self.from.as_ref().map(|from| place("--from", from)).transpose()?.unwrap_or(0);
        let last = self.until.as_ref().map(|until| place("--until", until)).transpose()?;
        let last = last.unwrap_or(plan.steps.len().saturating_sub(1));
        if let (true, Some(from), Some(until)) = (first > last, &self.from, &self.until) {
            return Err(OrderProblem {
                message: format!("--from {from} --until {until}: the plan has {until} before {from}"),
                help: "`bench plan PLAN` lists the steps; --only names steps in any order".to_owned(),
            });
        }
        Ok((first..plan.steps.len()).take_while(|&index| index <= last).collect())
    }

    /// How many times the chosen steps of the reduced plan run at most.
    fn repetitions(&self, plan: &Steps, run: &DiagnosisRun) -> Result<u16, OrderProblem> {
        let chosen = || plan.steps.iter().filter(|planned| run.is_chosen(&planned.step.id));
        let measurements: usize = chosen().map(|planned| planned.step.measurements.len()).sum();
        let (steps, measurements) = (chosen().count().max(1), measurements.max(1));
        let fit = (MOST_STEPS / steps).min(MOST_MEASUREMENTS / measurements).max(1);
        let most = u16::try_from(fit).unwrap_or(MOST_REPETITIONS).min(MOST_REPETITIONS);
        match self.repeat {
            None if self.until_fail => Ok(most),
            None => Ok(1),
            Some(repeat) if (1..=most).contains(&repeat) => Ok(repeat),
            Some(repeat) => Err(OrderProblem {
                message: format!("--repeat {repeat}: expected 1 to {most} for {}", these(steps, measurements)),
                help: "choose fewer steps with --only, or repeat them fewer times".to_owned(),
            }),
        }
    }
}

fn these(steps: usize, measurements: usize) -> String {
    let of = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    format!("{} with {}", of(steps, "step"), of(measurements, "measurement"))
}

fn id(plan: &Steps, index: usize) -> String {
    plan.steps.get(index).map(|planned| planned.step.id.clone()).unwrap_or_default()
}

/// The steps, and all that they need.
fn needed(plan: &Steps, steps: &BTreeSet<usize>) -> BTreeSet<usize> {
    let (mut all, mut open) = (BTreeSet::new(), steps.iter().copied().collect::<Vec<_>>());
    while let Some(index) = open.pop() {
        if all.insert(index) {
            open.extend(plan.steps.get(index).into_iter().flat_map(|planned| &planned.step.needs));
        }
    }
    all
}

/// The steps that chosen ones come after in the plan without a need, and that do not run: a reading may differ from that
/// in a whole run.
fn absent(plan: &Steps, chosen: &BTreeSet<usize>) -> Vec<String> {
    let here = needed(plan, chosen);
    let after = |&index: &usize| plan.steps.get(index).into_iter().flat_map(|planned| &planned.step.after);
    let absent: BTreeSet<usize> =
        chosen.iter().flat_map(after).copied().filter(|index| !here.contains(index)).collect();
    absent.into_iter().map(|index| id(plan, index)).collect()
}

/// Refuses what a repetition would not find as the step needs it: power that is on already, a modem that is on or off.
///
/// # Errors
/// Which step cannot be repeated, and why.
fn can_be_repeated(plan: &Steps, run: &DiagnosisRun) -> Result<(), OrderProblem> {
    let is_chosen = |planned: &PlanStep<Box<dyn Procedure>>| run.is_chosen(&planned.step.id);
    let problem = |message: String, help: &str| Err(OrderProblem { message, help: help.to_owned() });
    let modem = || {
        let of_modem = |switches| matches!(switches, Some(Leaves::ModemOn | Leaves::ModemOff));
        plan.steps.iter().filter(move |planned| of_modem(planned.procedure.leaves()))
    };
    for (index, planned) in plan.steps.iter().enumerate() {
        let step = &planned.step.id;
        match planned.procedure.leaves() {
            Some(Leaves::RailOn) if is_chosen(planned) => {
                return problem(
                    format!("--repeat: {step} switches a rail on, which stays on between repetitions"),
                    "choose steps that come after it, with --only or --from; what they need runs once",
                );
            }
            Some(Leaves::RailOn) => {
                let before = needed(plan, &BTreeSet::from([index]));
                let before =
                    before.iter().filter_map(|&index| plan.steps.get(index)).find(|planned| is_chosen(planned));
                if let Some(before) = before {
                    return problem(
                        format!(
                            "--repeat: {} comes before {step}, whose rail stays on between repetitions",
                            before.step.id
                        ),
                        "repeat the steps before power and those after it in runs of their own",
                    );
                }
            }
            Some(Leaves::ModemOn | Leaves::ModemOff) if is_chosen(planned) => {
                let off = modem().any(|planned| planned.procedure.leaves() == Some(Leaves::ModemOff));
                if !off || !modem().all(is_chosen) {
                    return problem(
                        format!("--repeat: {step} finds the modem as the repetition before it left it"),
                        "choose all steps that switch the modem, from the one that switches it on to the one that switches \
                         it off; or choose steps between them",
                    );
                }
            }
            Some(Leaves::ModemOn | Leaves::ModemOff) | None => {}
        }
    }
    Ok(())
}

/// Appends the repetitions of the chosen steps to the plan.
fn repeat(plan: &mut Steps, run: &DiagnosisRun) {
    if run.repeat <= 1 {
        return;
    }
    let mut first: Vec<(usize, Step, Rc<dyn Procedure>)> = Vec::new();
    let mut steps = Vec::with_capacity(plan.steps.len());
    for (index, planned) in std::mem::take(&mut plan.steps).into_iter().enumerate() {
        if !run.is_chosen(&planned.step.id) {
            steps.push(planned);
            continue;
        }
        let shared: Rc<dyn Procedure> = Rc::from(planned.procedure);
        first.push((index, planned.step.clone(), Rc::clone(&shared)));
        steps.push(PlanStep { procedure: Box::new(Shared(shared)), ..planned });
    }
    let (once, chosen) = (steps.len(), first.len());
    // Where a step of the first repetition is in this one; what runs once stays where it is.
    let place = |index: usize, repetition: usize| match first.iter().position(|(of, ..)| *of == index) {
        Some(at) if repetition > 1 => once + (repetition - 2) * chosen + at,
        _ => index,
    };
    for repetition in 2..=run.repeat {
        let round = usize::from(repetition);
        for (_, step, procedure) in &first {
            let here = |indices: &[usize]| indices.iter().map(|&index| place(index, round)).collect::<Vec<_>>();
            let (needs, mut after) = (here(&step.needs), here(&step.after));
            after.extend(first.iter().map(|&(index, ..)| place(index, round - 1)));
            let copy = Step {
                id: repetition_id(&step.id, repetition),
                title: format!("{}, repetition {repetition}", step.title),
                needs,
                after,
                ..step.clone()
            };
            let procedure = Box::new(Shared(Rc::clone(procedure)));
            steps.push(PlanStep { step: copy, coverage: Vec::new(), procedure });
        }
    }
    plan.steps = steps;
}

/// One procedure for all repetitions of a step.
struct Shared(Rc<dyn Procedure>);

#[async_trait(?Send)]
impl Procedure for Shared {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        self.0.run(nest, log).await
    }
    fn images(&self) -> &[ImageFile] {
        self.0.images()
    }
    fn question(&self) -> Option<&Question> {
        self.0.question()
    }
    fn program(&self) -> &[String] {
        self.0.program()
    }
    fn measures_for_shorts(&self) -> Vec<String> {
        self.0.measures_for_shorts()
    }
    fn switches_on(&self) -> Vec<String> {
        self.0.switches_on()
    }
    fn writes_firmware(&self) -> bool {
        self.0.writes_firmware()
    }
    fn needs_bluetooth(&self) -> bool {
        self.0.needs_bluetooth()
    }
    fn leaves(&self) -> Option<Leaves> {
        self.0.leaves()
    }
    async fn before_repetition(&self, nest: &Nest) {
        self.0.before_repetition(nest).await;
    }
}

/// What the note before the first step says of a diagnosis.
pub(crate) fn announced(run: &DiagnosisRun) -> String {
    let mut text = format!("diagnosis, not a test of the unit: runs {}", run.chosen.join(", "));
    if !run.needed.is_empty() {
        text.push_str(&format!("; these need {}", run.needed.join(", ")));
    }
    if !run.absent.is_empty() {
        text.push_str(&format!("; in the plan they come after {}, which do not run", run.absent.join(", ")));
    }
    match (run.repeat, run.until_fail) {
        (1, _) => {}
        (most, true) => text.push_str(&format!("; repeated until one does not pass, {most} times at most")),
        (times, false) => text.push_str(&format!("; repeated {times} times")),
    }
    text
}

/// With four digits. Units without prefixes have three decimals elsewhere, which hide how a small reading varies.
fn shown(unit: MeasurementUnit, value: f64) -> String {
    let has_prefixes = !matches!(unit, MeasurementUnit::One | MeasurementUnit::Percent);
    if has_prefixes || !value.is_finite() || value == 0.0 || value.abs() >= 1.0 {
        return unit.show(value);
    }
    let text = format!("{value:.*}", (3.0 - value.abs().log10().floor()).clamp(0.0, 12.0) as usize);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} {}", unit.symbol()).trim_end().to_owned()
}

/// What the readings of one measurement came to, over all repetitions.
struct Readings<'a> {
    step: &'a str,
    spec: &'a MeasurementSpec,
    values: Vec<f64>,
    missing: usize,
    outside: usize,
}

impl Readings<'_> {
    fn note(&self) -> Option<String> {
        let Self { step, spec, values, missing, outside } = self;
        let show = |value: f64| shown(spec.unit, value);
        let without = if *missing > 0 { format!(", {missing} without a value") } else { String::new() };
        let named = format!("{step}/{}", spec.name);
        let limits = spec.limits.show(spec.unit);
        if values.is_empty() {
            return (*missing > 0).then(|| format!("{named}: {missing} readings without a value, expected {limits}"));
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = if values.len() > 1 { show((squares / (count - 1.0)).sqrt()) } else { "unknown".to_owned() };
        let (min, max) = (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
        Some(format!(
            "{named}: {} readings{without}: min {}, mean {}, max {}, sd {deviation}; {outside} outside {limits}",
            values.len(),
            show(min),
            show(mean),
            show(max),
        ))
    }
}

/// Notes for the record of a run with repetitions: how often each step passed, and what its readings came to. Void attempts
/// are not counted, attempts that the plan repeated are.
pub(crate) fn figures<P>(run: &DiagnosisRun, plan: &Plan<P>, recorder: &Recorder) -> Vec<String> {
    if run.repeat <= 1 {
        return Vec::new();
    }
    recorder.with_entries(|entries| figures_of(run, plan.steps.iter().map(|planned| &planned.step), entries))
}

fn figures_of<'a, E: Borrow<Entry>>(
    run: &DiagnosisRun,
    steps: impl Iterator<Item = &'a Step>,
    entries: &[E],
) -> Vec<String> {
    let once: Vec<&Step> = steps.filter(|step| run.chosen.contains(&step.id)).collect();
    let mut readings: Vec<Readings<'_>> = Vec::new();
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    for step in &once {
        for spec in &step.measurements {
            places.insert((&step.id, &spec.name), readings.len());
            readings.push(Readings { step: &step.id, spec, values: Vec::new(), missing: 0, outside: 0 });
        }
    }
    let mut taken: HashMap<&str, Vec<&bench_run::Measurement>> = HashMap::new();
    let mut ended: HashMap<&str, Vec<(Verdict, &str)>> = HashMap::new();
    for entry in entries {
        match &entry.borrow().event {
            Event::Measured { step, measurement, .. } if run.is_chosen(step) => {
                taken.entry(step).or_default().push(measurement);
            }
            Event::StepEnded { step, verdict, retried, reason, .. } if run.is_chosen(step) => {
                let of_attempt = taken.remove(step.as_str()).unwrap_or_default();
                if *retried && reason.as_deref().is_some_and(|reason| reason.starts_with(VOID)) {
                    continue;
                }
                let base = without_repetition(step);
                if !retried && *verdict != Verdict::Skipped {
                    ended.entry(base).or_default().push((*verdict, step));
                }
                for measurement in of_attempt {
                    let place = places.get(&(base, measurement.name.as_str()));
                    let Some(of) = place.and_then(|&place| readings.get_mut(place)) else { continue };
                    match measurement.value {
                        Some(value) => of.values.push(value),
                        None => of.missing += 1,
                    }
                    of.outside += usize::from(measurement.value.is_some() && measurement.verdict != Verdict::Pass);
                }
            }
            _ => {}
        }
    }
    let of_step = |step: &&Step| {
        let ended = ended.get(step.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        let not_passed: Vec<_> = ended.iter().filter(|(verdict, _)| *verdict != Verdict::Pass).collect();
        let first = not_passed.first().map(|(verdict, id)| format!("; first: {id}, {verdict}")).unwrap_or_default();
        let (ran, passed) = (ended.len(), ended.len() - not_passed.len());
        format!("{}: ran {ran} times of {}, passed {passed} times{first}", step.id, run.repeat)
    };
    once.iter().map(of_step).chain(readings.iter().filter_map(Readings::note)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_readings_keep_their_digits() {
        use MeasurementUnit::{One, Percent, Volts};
        let rows = [
            (Percent, 0.000_312_34, "0.0003123 %"),
            (Percent, -0.0005, "-0.0005 %"),
            (Percent, 12.3456, "12.346 %"),
            (One, 0.25, "0.25"),
            (One, 0.0, "0"),
            (Volts, 0.000_312_34, "312.3 uV"),
        ];
        for (unit, value, expected) in rows {
            assert_eq!(shown(unit, value), expected);
        }
    }
}
