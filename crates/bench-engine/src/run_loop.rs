//! The run loop: starts what may start, records what comes back, and leaves the nest safe whatever happens.

use crate::diagnosis::{announced, figures};
use crate::hold::{HoldEnds, hold};
use crate::lateness::{Late, Lateness};
use crate::power::{Cut, CutBy, Power};
use crate::recorder::{Delivered, HANGS_AFTER, LAST_WAIT};
use crate::safe_state::Left;
use crate::{Recorder, Stop, asking, put_back, safe_state, seal, supervise, tally};
use bench_instruments::{Rails, Repeated, TimedOut, with_deadline};
use bench_plan::{Plan, PlanStep};
use bench_run::{
    Defect, Diagnosis, DiagnosisRun, Event, LateRecord, NOT_BLAMED, NOT_TESTED, Schedule, Start, Step, VOID, Verdict,
    step_verdict, without_repetition,
};
use bench_steps::{Accused, Nest, Procedure, StepError, resource, second_opinion};
use futures_util::FutureExt;
use futures_util::future::{FusedFuture, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub verdict: Verdict,
    pub reason: Option<String>,
}

/// How one attempt at a step ended.
struct Ended {
    step: usize,
    attempt: u8,
    procedure: Verdict,
    reason: Option<String>,
    /// The longest lateness of the controller during the attempt.
    late: Late,
    /// The lateness that makes the attempt void.
    void: Option<Late>,
    /// Rails that the step switched on.
    switched_on: Vec<String>,
}

/// Runs the plan on the module in the nest. `started` is the first entry of the journal.
///
/// Whatever happens in here (a step that fails, panics or hangs, a stop from outside, a disk that is full) the rails are
/// off and the nails released before the verdict is written, and the verdict is on the disk before this returns.
pub async fn run(
    plan: &Plan<Box<dyn Procedure>>,
    nest: &Nest,
    recorder: &Recorder,
    started: Event,
    stop: Stop,
) -> Outcome {
    run_for(plan, nest, recorder, started, Surroundings::default(), stop).await
}

/// What a run needs from around it.
#[derive(Default)]
pub struct Surroundings<'a> {
    /// Notes for the record before anything is powered: who tests, and why a unit is tested against the rules.
    pub notes: &'a [String],
    /// Called at the end: what this bench does not model as real hardware behaves. A pass that depends on it is invalid.
    pub doubts: Option<&'a dyn Fn() -> Vec<String>>,
    /// What ends a hold before its time, besides a stop of the run.
    pub hold_ends: Option<&'a HoldEnds>,
}

/// Does what [`run`] does, in these surroundings.
pub async fn run_for(
    plan: &Plan<Box<dyn Procedure>>,
    nest: &Nest,
    recorder: &Recorder,
    started: Event,
    surroundings: Surroundings<'_>,
    stop: Stop,
) -> Outcome {
    let lateness = Rc::new(Lateness::new(Rc::clone(&nest.clock), Rc::clone(&nest.load)));
    let power = Rc::new(Power::new(nest, lateness));
    // Whatever switches rails from here on goes through their owner.
    let nest = Nest { rails: Rc::clone(&power) as Rc<dyn Rails>, ..nest.clone() };
    if plan.steps.iter().any(|planned| !planned.procedure.program().is_empty()) {
        nest.programs.prepare();
    }
    supervise::watched_over(&nest, &power, run_kicked(plan, &nest, &power, recorder, started, surroundings, stop)).await
}

async fn run_kicked(
    plan: &Plan<Box<dyn Procedure>>,
    nest: &Nest,
    power: &Power,
    recorder: &Recorder,
    started: Event,
    surroundings: Surroundings<'_>,
    stop: Stop,
) -> Outcome {
    let Surroundings { notes, doubts, hold_ends } = surroundings;
    let (stop, at_once) = stop.split();
    let diagnosis = match &started {
        Event::RunStarted { diagnosis, .. } => diagnosis.as_deref().cloned(),
        _ => None,
    };
    recorder.emit(started);
    let announced = diagnosis.as_ref().map(announced);
    for text in announced.into_iter().chain(notes.iter().cloned()) {
        recorder.emit(Event::Note { step: None, text });
    }
    let mut schedule = Schedule::new(plan.steps.iter().map(|planned| &planned.step));
    let work = Work { plan, nest, power, recorder, diagnosis: diagnosis.as_ref(), hold_ends };
    let work = AssertUnwindSafe(work.to_the_end(&mut schedule, stop)).catch_unwind();
    let (mut verdict, mut reason) = match work.await {
        Ok(Worked { reason, at_least, .. }) => (schedule.verdict().and(at_least), reason),
        Err(panic) => {
            schedule.abort();
            // It was not ordered: not aborted, but an error of the bench.
            (Verdict::Error, Some(format!("the bench failed: {}", panic_text(&*panic))))
        }
    };

    let left = AssertUnwindSafe(safe_state::reach(nest, recorder, power, at_once)).catch_unwind().await;
    let Left { safe, put_back } = left.unwrap_or_else(|panic| {
        let text = format!("the way to the safe state failed: {}; switch the fixture off by hand", panic_text(&*panic));
        Left { safe: Err(text), put_back: put_back::not_tried(nest) }
    });
    if let Err(text) = put_back {
        recorder.emit(Event::Note { step: None, text: text.clone() });
        verdict = verdict.and(Verdict::Error);
        reason = Some(text);
    }
    if let Err(text) = &safe {
        verdict = verdict.and(Verdict::Error);
        reason = Some(text.clone());
    }
    recorder.emit(Event::SafeState { confirmed: safe.is_ok(), reason: safe.err() });
    for repeated in nest.switches.repeated() {
        let Repeated { chip, transfers, repeated } = repeated;
        let text = format!(
            "{chip} did not acknowledge {repeated} of {transfers} transfers, which were repeated: check its connector and the \
             pull-ups of the I2C bus"
        );
        recorder.emit(Event::Note { step: None, text });
    }
    let tally = tally::count(&schedule, plan, recorder);
    if verdict == Verdict::Pass
        && let Err(text) = seal::bear_out_pass(plan, recorder, recorded(verdict, diagnosis.as_ref()), tally)
    {
        verdict = Verdict::Error;
        reason = Some(text);
    }
    // Everybody has seen everything else before the verdict is made.
    let settled = recorder.settle(LAST_WAIT).await;
    if let Some(trouble) = recorder.trouble() {
        // No record, no pass.
        verdict = verdict.and(Verdict::Error);
        reason = Some(trouble);
    }
    // A pass needs a record that is as it was written.
    if verdict == Verdict::Pass
        && let Err(error) = recorder.verify(LAST_WAIT).await
    {
        verdict = Verdict::Error;
        reason = Some(error.to_string());
    }
    // Before the end is written, so that the journal and every report say the same.
    if verdict == Verdict::Pass
        && let Some(doubt) = doubts.and_then(|doubts| doubts().into_iter().next())
    {
        verdict = Verdict::Error;
        reason = Some(format!("not modelled: {doubt}"));
    }
    let reason = reason.filter(|_| verdict != Verdict::Pass);
    let passed = verdict == Verdict::Pass && diagnosis.is_some();
    let reason = if passed { Some(NOT_TESTED.to_owned()) } else { reason };
    let verdict = recorded(verdict, diagnosis.as_ref());
    recorder.emit(Event::RunEnded { verdict, reason: reason.clone(), tally });
    // A disk that hung until now is not waited for a second time.
    let finished = recorder.finish(if settled.is_ok() { LAST_WAIT } else { Duration::ZERO }).await;
    match finished.and_then(|()| recorder.seen_to_the_end()) {
        Ok(()) => Outcome { verdict, reason },
        // The first reason is what must be acted on.
        Err(error) if verdict == Verdict::Error => Outcome { verdict, reason: reason.or(Some(error.to_string())) },
        Err(error) => Outcome { verdict: Verdict::Error, reason: Some(error.to_string()) },
    }
}

/// What the record says. A diagnosis in which everything passed tested no unit, and nobody may take it for a pass.
fn recorded(verdict: Verdict, diagnosis: Option<&DiagnosisRun>) -> Verdict {
    if verdict == Verdict::Pass && diagnosis.is_some() { Verdict::Skipped } else { verdict }
}

/// What the run waits for.
enum Done {
    Attempt(Ended),
    /// What an unfinished step left behind was taken back.
    TidiedUp {
        step: usize,
    },
}

/// How the work on the plan ended.
struct Worked {
    reason: Option<String>,
    /// The verdict is no better than this, whatever the steps came to.
    at_least: Verdict,
    /// Ended before the end of the plan.
    cut_short: bool,
}

/// The work on a plan, until nothing of it runs any more.
struct Work<'a> {
    plan: &'a Plan<Box<dyn Procedure>>,
    nest: &'a Nest,
    power: &'a Power,
    recorder: &'a Recorder,
    diagnosis: Option<&'a DiagnosisRun>,
    hold_ends: Option<&'a HoldEnds>,
}

impl Work<'_> {
    /// Runs the steps; afterwards, in a diagnosis, sums up what was repeated and holds the power.
    async fn to_the_end(&self, schedule: &mut Schedule<'_>, stop: impl Future<Output = String>) -> Worked {
        let Self { plan, nest, power, recorder, .. } = *self;
        let mut stop = std::pin::pin!(stop.fuse());
        let worked = self.steps(schedule, &mut stop).await;
        let Some(run) = self.diagnosis else { return worked };
        for text in figures(run, plan, recorder) {
            recorder.emit(Event::Note { step: None, text });
        }
        let chosen_ran = plan.steps.iter().enumerate().any(|(index, planned)| {
            let ran = schedule.verdict_of(index).is_some_and(|verdict| verdict != Verdict::Skipped);
            ran && run.is_chosen(&planned.step.id)
        });
        let (Some(seconds), false, true) = (run.hold_s, worked.cut_short, chosen_ran) else { return worked };
        let limit = Duration::from_secs(seconds);
        let Err(end) = hold(limit, &*nest.clock, power, recorder, self.hold_ends, &mut stop).await else {
            return worked;
        };
        let why = end.to_string();
        recorder.emit(Event::Stopping { reason: why.clone() });
        let at_least = match end.verdict() {
            Verdict::Aborted => {
                schedule.abort();
                Verdict::Aborted
            }
            // No step ran: whatever a person did to the module during the hold is not the module's fault.
            _ => Verdict::Error,
        };
        Worked { reason: Some(why), at_least, cut_short: true }
    }

    /// Whether what this step leaves is kept for a person to look at.
    fn is_held(&self, step: &Step) -> bool {
        self.diagnosis.is_some_and(|run| run.hold_s.is_some() && run.is_chosen(&step.id))
    }

    async fn steps(&self, schedule: &mut Schedule<'_>, mut stop: impl FusedFuture<Output = String> + Unpin) -> Worked {
        let Self { plan, nest, power, recorder, .. } = *self;
        let step = |index: usize| &plan.steps[index].step;
        let mut cut = std::pin::pin!(power.until_cut().fuse());
        // Attempts that did not count, of each step.
        let voids: Vec<Cell<u8>> = vec![Cell::new(0); plan.steps.len()];
        let mut running: FuturesUnordered<LocalBoxFuture<'_, Done>> = FuturesUnordered::new();
        // Of what did not pass, the first of the weightiest: it is what must be acted on.
        let mut worst: Option<(Verdict, String)> = None;
        // Nothing is powered before the first line is on the disk.
        let mut begun = std::pin::pin!(recorder.settle(HANGS_AFTER).fuse());
        let mut early = futures_util::select_biased! {
            cut = cut => Some(End::Cut(cut)),
            why = stop => Some(End::Stopped(why)),
            begun = begun => begun.err().map(|error| End::Trouble(error.to_string())),
        };
        let mut pump = std::pin::pin!(recorder.pump().fuse());
        loop {
            let end = match early.take() {
                Some(end) => end,
                None => {
                    // First: a step that is skipped has ended, which is all that some others wait for.
                    for index in schedule.skip_unreachable() {
                        recorder.emit(skipped(step(index)));
                    }
                    for start in schedule.start() {
                        let number = start.attempt.saturating_add(voids[start.step].get());
                        recorder.begin(start.step, number, step(start.step).measurements.len());
                        recorder.emit(Event::StepStarted { step: step(start.step).id.clone(), attempt: number });
                        let tries = Tries { nest, power, recorder, voids: &voids[start.step] };
                        running.push(tries.attempt(&plan.steps[start.step], start).map(Done::Attempt).boxed_local());
                    }
                    if running.is_empty() {
                        let reason = worst.map(|(_, reason)| reason);
                        return Worked { reason, at_least: Verdict::Skipped, cut_short: false };
                    }
                    let done = futures_util::select_biased! {
                        cut = cut => Err(End::Cut(cut)),
                        why = stop => Err(End::Stopped(why)),
                        why = pump => Err(End::Trouble(why)),
                        done = running.next() => Ok(done),
                    };
                    match (done, power.cut()) {
                        // Whatever an attempt came to: it was not noticed before it ended that its power was gone.
                        (_, Some(cut)) => End::Cut(cut),
                        (Ok(Some(Done::Attempt(ended))), None) => {
                            let closed = close(step(ended.step), &ended, recorder, schedule);
                            if ended.procedure == Verdict::Pass || (self.is_held(step(ended.step)) && !closed.retried) {
                                schedule.let_go(ended.step);
                            } else {
                                // After its end is on record, before anything that waits for its resources starts, and next to the
                                // steps that continue: one of them may hold what this needs.
                                let tidied = Done::TidiedUp { step: ended.step };
                                let (uses, rails) = (&step(ended.step).uses, ended.switched_on);
                                let tidy_up = async move {
                                    safe_state::tidy_up(nest, uses, &rails).await;
                                    tidied
                                };
                                running.push(tidy_up.boxed_local());
                            }
                            let weightier =
                                worst.as_ref().is_none_or(|(verdict, _)| verdict.and(closed.verdict) != *verdict);
                            if matches!(closed.verdict, Verdict::Fail | Verdict::Error) && !closed.retried && weightier
                            {
                                let reason = closed.reason.unwrap_or_else(|| closed.verdict.to_string());
                                worst = Some((closed.verdict, format!("{}: {reason}", step(ended.step).id)));
                            }
                            match recorder.trouble() {
                                None => continue,
                                Some(trouble) => End::Trouble(trouble),
                            }
                        }
                        (Ok(Some(Done::TidiedUp { step })), None) => {
                            schedule.let_go(step);
                            continue;
                        }
                        (Ok(None), None) => continue,
                        (Err(end), None) => end,
                    }
                }
            };
            // Dropping the futures ends what runs, in the middle of whatever it waits for.
            running.clear();
            let why = end.to_string();
            recorder.emit(Event::Stopping { reason: why.clone() });
            let was_running = schedule.running();
            match end.verdict() {
                Verdict::Aborted => schedule.abort(),
                verdict => schedule.cut_off(verdict),
            }
            for (n, index) in was_running.into_iter().enumerate() {
                let attempt = recorder.with_delivered(index, |delivered| delivered.attempt);
                let Step { id, measurements, .. } = step(index);
                if let (0, End::Cut(Cut { by: CutBy::CurrentLimit { contacts }, text, .. })) = (n, &end) {
                    let diagnosis =
                        Diagnosis { defect: Defect::Overload, contacts: contacts.clone(), text: text.clone() };
                    recorder.emit(Event::Diagnosed { step: id.clone(), attempt, diagnosis });
                }
                let (verdict, procedure) = match end.verdict() {
                    Verdict::Aborted => (Verdict::Aborted, None),
                    procedure => {
                        let judged = recorder.with_delivered(index, |delivered| {
                            step_verdict(measurements, &delivered.measurements, procedure)
                        });
                        (judged, Some(procedure))
                    }
                };
                let (step, reason) = (id.clone(), Some(why.clone()));
                recorder.emit(Event::StepEnded {
                    step,
                    attempt,
                    verdict,
                    reason,
                    procedure,
                    retried: false,
                    late: None,
                });
            }
            for index in schedule.skip_unreachable() {
                recorder.emit(skipped(step(index)));
            }
            return Worked { reason: Some(why), at_least: Verdict::Skipped, cut_short: true };
        }
    }
}

/// Why a run ends before the end of its plan.
pub(crate) enum End {
    Stopped(String),
    Cut(Cut),
    /// The bench itself cannot continue.
    Trouble(String),
}

impl End {
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            End::Stopped(_) => Verdict::Aborted,
            End::Cut(cut) => cut.verdict(),
            End::Trouble(_) => Verdict::Error,
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Stopped(why) | End::Trouble(why) => f.write_str(why),
            End::Cut(cut) => cut.fmt(f),
        }
    }
}

fn skipped(step: &Step) -> Event {
    let reason = Some("not started".to_owned());
    let (step, verdict) = (step.id.clone(), Verdict::Skipped);
    Event::StepEnded { step, attempt: 0, verdict, reason, procedure: None, retried: false, late: None }
}

/// What the attempts at a step need.
struct Tries<'a> {
    nest: &'a Nest,
    power: &'a Power,
    recorder: &'a Recorder,
    /// Attempts at this step that did not count.
    voids: &'a Cell<u8>,
}

impl Tries<'_> {
    /// Runs an attempt to its end, its time limit or its panic; once more if it is void because the controller was late.
    async fn attempt(self, planned: &PlanStep<Box<dyn Procedure>>, start: Start) -> Ended {
        let step = &planned.step;
        let ended = self.once(planned, start).await;
        let Some(late) = ended.void else { return ended };
        let judge = |procedure: Verdict| {
            self.recorder.with_delivered(start.step, |delivered| {
                step_verdict(&step.measurements, &delivered.measurements, procedure)
            })
        };
        self.recorder.emit(Event::StepEnded {
            step: step.id.clone(),
            attempt: ended.attempt,
            verdict: judge(Verdict::Error),
            reason: Some(format!("{VOID}{late}")),
            procedure: Some(Verdict::Error),
            retried: true,
            late: late_record(late),
        });
        // Before anything that waits: a run that is stopped meanwhile ends the attempt that is on record as running.
        self.voids.set(self.voids.get().saturating_add(1));
        let attempt = start.attempt.saturating_add(self.voids.get());
        self.recorder.begin(start.step, attempt, step.measurements.len());
        self.recorder.emit(Event::StepStarted { step: step.id.clone(), attempt });
        safe_state::tidy_up(self.nest, &step.uses, &ended.switched_on).await;
        let again = self.once(planned, start).await;
        if let Some(late) = again.void {
            // Late once more: the bench could not tell, whatever was read.
            return Ended { procedure: Verdict::Error, reason: Some(late.to_string()), ..again };
        }
        if judge(again.procedure) == Verdict::Pass {
            return again;
        }
        // The first attempt may have left the module in the middle of something: a failure now proves nothing.
        let why_not = |delivered: &Delivered| why_not(step, &delivered.measurements, Verdict::Fail);
        let why = again.reason.clone().or_else(|| self.recorder.with_delivered(start.step, why_not));
        let reason = format!("{late} in the first attempt, and the second did not pass: {}", why.unwrap_or_default());
        Ended { procedure: Verdict::Error, reason: Some(reason), ..again }
    }

    async fn once(&self, planned: &PlanStep<Box<dyn Procedure>>, start: Start) -> Ended {
        let (nest, power, step) = (self.nest, self.power, &planned.step);
        let attempt = start.attempt.saturating_add(self.voids.get());
        let record = self.recorder.for_step(start.step, step, attempt, power);
        let began = nest.clock.now();
        let on_before = power.on_now();
        let switching = step.uses.iter().any(|used| used == resource::RAILS).then(|| power.switching());
        let is_repetition = attempt == 1 && without_repetition(&step.id) != step.id;
        let procedure = async {
            if is_repetition {
                planned.procedure.before_repetition(nest).await;
            }
            planned.procedure.run(nest, &record).await
        };
        let procedure = asking::as_attempt(&step.id, attempt, procedure);
        let procedure = AssertUnwindSafe(procedure).catch_unwind();
        let result = with_deadline(&*nest.clock, began + step.timeout, procedure).await;
        let (procedure, reason) = match result {
            Ok(Ok(Ok(()))) => (Verdict::Pass, None),
            Ok(Ok(Err(StepError::Dut(why)))) => (Verdict::Fail, Some(why)),
            Ok(Ok(Err(StepError::Bench(why)))) => (Verdict::Error, Some(why)),
            Ok(Err(panic)) => (Verdict::Error, Some(format!("the step panicked: {}", panic_text(&*panic)))),
            Err(TimedOut) => (Verdict::Error, Some(not_finished(planned))),
        };
        let judge = |delivered: &Delivered| step_verdict(&step.measurements, &delivered.measurements, procedure);
        let passed = self.recorder.with_delivered(start.step, judge) == Verdict::Pass;
        if passed && switching.is_some() {
            power.settled();
        }
        if !passed {
            // Before the module is blamed: has it had its power all the time? What is found stops the run.
            let _ = power.check_thoroughly().await;
        }
        drop(switching);
        let late = power.lateness().since(began);
        let void = record.missed().or_else(|| (!passed && late.by >= NOT_BLAMED).then_some(late));
        let judged = self.recorder.with_delivered(start.step, judge);
        let (procedure, reason) = match judged {
            Verdict::Fail if void.is_none() && power.cut().is_none() => {
                let contacts = self.recorder.accused(start.step, step, attempt);
                let powered = !power.on_now().is_empty();
                let accused = Accused { uses: &step.uses, contacts: &contacts, powered };
                match second_opinion(nest, accused).await {
                    Some(doubt) => (Verdict::Error, Some(doubt)),
                    None => (procedure, reason),
                }
            }
            _ => (procedure, reason),
        };
        let switched_on = power.on_now().difference(&on_before).cloned().collect();
        Ended { step: start.step, attempt, procedure, reason, late, void, switched_on }
    }
}

/// Why an attempt is an error that used up its time.
fn not_finished(planned: &PlanStep<Box<dyn Procedure>>) -> String {
    let timeout = planned.step.timeout;
    match planned.procedure.question() {
        Some(question) => format!("nobody answered within {timeout:?}: {}", question.text),
        None => format!("not finished after {timeout:?}"),
    }
}

/// Less lateness is not noted in the record.
const NOTED: Duration = Duration::from_millis(5);

fn late_record(late: Late) -> Option<LateRecord> {
    (late.by >= NOTED).then(|| late.record())
}

/// How an attempt was judged.
struct Closed {
    verdict: Verdict,
    reason: Option<String>,
    /// Another attempt follows, and only that one counts.
    retried: bool,
}

/// Judges an attempt and records its end.
fn close(step: &Step, ended: &Ended, recorder: &Recorder, schedule: &mut Schedule<'_>) -> Closed {
    let (verdict, reason) = recorder.with_delivered(ended.step, |Delivered { measurements, .. }| {
        let verdict = step_verdict(&step.measurements, measurements, ended.procedure);
        (verdict, ended.reason.clone().or_else(|| why_not(step, measurements, verdict)))
    });
    let retried = schedule.ended(ended.step, verdict);
    recorder.emit(Event::StepEnded {
        step: step.id.clone(),
        attempt: ended.attempt,
        verdict,
        reason: reason.clone().filter(|_| verdict != Verdict::Pass),
        procedure: Some(ended.procedure),
        retried,
        late: late_record(ended.late),
    });
    Closed { verdict, reason, retried }
}

/// The measurements that spoil a verdict, in words.
fn why_not(step: &Step, delivered: &[bench_run::Measurement], verdict: Verdict) -> Option<String> {
    if verdict == Verdict::Pass {
        return None;
    }
    let mut bad = delivered.iter().filter(|measurement| measurement.verdict != Verdict::Pass);
    if let Some(first) = bad.next() {
        let value = match (first.value, &first.raw) {
            (Some(value), _) => first.unit.show(value),
            (None, Some(raw)) => raw.clone(),
            (None, None) => "not measured".to_owned(),
        };
        let more = match bad.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        return Some(format!("{} is {value}, expected {}{more}", first.name, first.limits.show(first.unit)));
    }
    let missing =
        step.measurements.iter().find(|spec| delivered.iter().all(|measurement| measurement.name != spec.name))?;
    Some(format!("{} was never measured", missing.name))
}

pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}

/// What the rails' driver calls on each switching.
pub fn rail_observer(recorder: &Rc<Recorder>) -> bench_instruments::RailObserver {
    let recorder = Rc::clone(recorder);
    Rc::new(move |event| recorder.emit(Event::RailSwitched { rail: event.rail, on: event.on, volts: None }))
}
