//! The run loop: starts what may start, records what comes back, and leaves the nest safe whatever happens.

use crate::recorder::{Delivered, HANGS_AFTER, LAST_WAIT};
use crate::{Recorder, Stop, safe_state, seal, supervise, tally};
use bench_instruments::{TimedOut, with_deadline};
use bench_plan::{Plan, PlanStep};
use bench_run::{Event, Schedule, Start, Step, Tally, Verdict, step_verdict};
use bench_steps::{Nest, Procedure, StepError};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

/// What a run came to.
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
    run_with_notes(plan, nest, recorder, started, &[], stop).await
}

/// As [`run`], with what is to stand in the record before anything is powered: who tests, and why a unit is tested that
/// the rules would turn away.
pub async fn run_with_notes(
    plan: &Plan<Box<dyn Procedure>>,
    nest: &Nest,
    recorder: &Recorder,
    started: Event,
    notes: &[String],
    stop: Stop,
) -> Outcome {
    supervise::kicked(nest, run_kicked(plan, nest, recorder, started, notes, stop)).await
}

async fn run_kicked(
    plan: &Plan<Box<dyn Procedure>>,
    nest: &Nest,
    recorder: &Recorder,
    started: Event,
    notes: &[String],
    stop: Stop,
) -> Outcome {
    let (stop, at_once) = supervise::watch_lid(nest, stop).split();
    recorder.emit(started);
    for text in notes {
        recorder.emit(Event::Note { step: None, text: text.clone() });
    }
    let mut schedule = Schedule::new(plan.steps.iter().map(|planned| &planned.step));
    let work = AssertUnwindSafe(work(plan, nest, recorder, &mut schedule, stop)).catch_unwind();
    let (mut verdict, mut reason) = match work.await {
        Ok(reason) => (schedule.verdict(), reason),
        Err(panic) => {
            schedule.abort();
            // Nobody asked for it: not aborted, but the bench's own fault.
            (Verdict::Error, Some(format!("the bench failed: {}", panic_text(&*panic))))
        }
    };

    let safe = match AssertUnwindSafe(safe_state::reach(nest, recorder, at_once)).catch_unwind().await {
        Ok(safe) => safe,
        Err(panic) => {
            Err(format!("the way to the safe state failed: {}; switch the fixture off by hand", panic_text(&*panic)))
        }
    };
    if let Err(text) = &safe {
        verdict = verdict.and(Verdict::Error);
        reason = Some(text.clone());
    }
    recorder.emit(Event::SafeState { confirmed: safe.is_ok(), reason: safe.err() });
    // Everybody has seen everything else before the verdict is made.
    let settled = recorder.settle(LAST_WAIT).await;
    if let Some(trouble) = recorder.trouble() {
        // No record, no pass.
        verdict = verdict.and(Verdict::Error);
        reason = Some(trouble);
    }
    let tally = tally::count(&schedule, plan, recorder);
    if verdict == Verdict::Pass
        && let Err(text) = deserve_pass(plan, recorder, tally).await
    {
        verdict = Verdict::Error;
        reason = Some(text);
    }
    let reason = reason.filter(|_| verdict != Verdict::Pass);
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

/// A pass needs a record that is on the disk, is as it was written, and bears the pass out.
async fn deserve_pass(plan: &Plan<Box<dyn Procedure>>, recorder: &Recorder, tally: Tally) -> Result<(), String> {
    recorder.verify(LAST_WAIT).await.map_err(|error| error.to_string())?;
    seal::bear_out_pass(plan, recorder, tally)
}

/// What the run waits for.
enum Done {
    Attempt(Ended),
    /// After a step that did not go to its end.
    TidiedUp {
        step: usize,
    },
}

async fn work(
    plan: &Plan<Box<dyn Procedure>>,
    nest: &Nest,
    recorder: &Recorder,
    schedule: &mut Schedule<'_>,
    stop: impl Future<Output = String>,
) -> Option<String> {
    let step = |index: usize| &plan.steps[index].step;
    let mut running: FuturesUnordered<LocalBoxFuture<'_, Done>> = FuturesUnordered::new();
    let mut stop = std::pin::pin!(stop.fuse());
    // Nothing is powered before the first line is on the disk.
    let mut begun = std::pin::pin!(recorder.settle(HANGS_AFTER).fuse());
    let begun = futures_util::select_biased! {
        why = stop => Err(Halt::Asked(why)),
        begun = begun => begun.map_err(|error| Halt::Trouble(error.to_string())),
    };
    if let Err(halt) = begun {
        return Some(halted(plan, recorder, schedule, halt));
    }
    let mut pump = std::pin::pin!(recorder.pump().fuse());
    // Of what did not pass, the first of the weightiest: it is what must be acted on.
    let mut worst: Option<(Verdict, String)> = None;
    loop {
        // First: a step that is skipped has ended, which is all that some others wait for.
        for index in schedule.skip_unreachable() {
            recorder.emit(skipped(step(index)));
        }
        for start in schedule.start() {
            recorder.begin(start.step, start.attempt);
            recorder.emit(Event::StepStarted { step: step(start.step).id.clone(), attempt: start.attempt });
            running.push(attempt(&plan.steps[start.step], start, nest, recorder).map(Done::Attempt).boxed_local());
        }
        if running.is_empty() {
            return worst.map(|(_, reason)| reason);
        }
        let done = futures_util::select_biased! {
            why = stop => Err(Halt::Asked(why)),
            why = pump => Err(Halt::Trouble(why)),
            done = running.next() => Ok(done),
        };
        let halt = match done {
            Ok(Some(Done::Attempt(ended))) => {
                let closed = close(step(ended.step), &ended, recorder, schedule);
                if ended.procedure == Verdict::Pass {
                    schedule.let_go(ended.step);
                } else {
                    // After its end is on record, before anything that waits for its resources starts, and beside the
                    // steps that go on: one of them may hold what this needs.
                    let uses = &step(ended.step).uses;
                    let tidied = Done::TidiedUp { step: ended.step };
                    running.push(safe_state::tidy_up(nest, uses).map(|()| tidied).boxed_local());
                }
                let weightier = worst.as_ref().is_none_or(|(verdict, _)| verdict.and(closed.verdict) != *verdict);
                if matches!(closed.verdict, Verdict::Fail | Verdict::Error) && !closed.retried && weightier {
                    let reason = closed.reason.unwrap_or_else(|| closed.verdict.to_string());
                    worst = Some((closed.verdict, format!("{}: {reason}", step(ended.step).id)));
                }
                match recorder.trouble() {
                    None => continue,
                    Some(trouble) => Halt::Trouble(trouble),
                }
            }
            Ok(Some(Done::TidiedUp { step })) => {
                schedule.let_go(step);
                continue;
            }
            Ok(None) => continue,
            Err(halt) => halt,
        };
        // Dropping the futures ends what runs, in the middle of whatever it waits for.
        running.clear();
        return Some(halted(plan, recorder, schedule, halt));
    }
}

/// Why a run ends before its steps are through.
enum Halt {
    /// Somebody outside asked.
    Asked(String),
    /// The bench cannot go on.
    Trouble(String),
}

/// Records the end of what ran and of what will not run any more; gives the reason.
fn halted(plan: &Plan<Box<dyn Procedure>>, recorder: &Recorder, schedule: &mut Schedule<'_>, halt: Halt) -> String {
    let step = |index: usize| &plan.steps[index].step;
    let was_running = schedule.running();
    let (why, verdict, procedure) = match halt {
        Halt::Asked(why) => {
            schedule.abort();
            (why, Verdict::Aborted, None)
        }
        Halt::Trouble(why) => {
            schedule.give_up();
            (why, Verdict::Error, Some(Verdict::Error))
        }
    };
    recorder.emit(Event::Stopping { reason: why.clone() });
    for index in was_running {
        let attempt = recorder.with_delivered(index, |delivered| delivered.attempt);
        let (step, reason) = (step(index).id.clone(), Some(why.clone()));
        recorder.emit(Event::StepEnded { step, attempt, verdict, reason, procedure, retried: false });
    }
    for index in schedule.skip_unreachable() {
        recorder.emit(skipped(step(index)));
    }
    why
}

fn skipped(step: &Step) -> Event {
    let reason = Some("not started".to_owned());
    let (step, verdict) = (step.id.clone(), Verdict::Skipped);
    Event::StepEnded { step, attempt: 0, verdict, reason, procedure: None, retried: false }
}

/// Runs one attempt to its end, its time limit or its panic.
async fn attempt(planned: &PlanStep<Box<dyn Procedure>>, start: Start, nest: &Nest, recorder: &Recorder) -> Ended {
    let step = &planned.step;
    let record = recorder.for_step(start.step, step, start.attempt);
    let deadline = nest.clock.now() + step.timeout;
    let procedure = AssertUnwindSafe(planned.procedure.run(nest, &record)).catch_unwind();
    let result = with_deadline(&*nest.clock, deadline, procedure).await;
    let (procedure, reason) = match result {
        Ok(Ok(Ok(()))) => (Verdict::Pass, None),
        Ok(Ok(Err(StepError::Dut(why)))) => (Verdict::Fail, Some(why)),
        Ok(Ok(Err(StepError::Bench(why)))) => (Verdict::Error, Some(why)),
        Ok(Err(panic)) => (Verdict::Error, Some(format!("the step panicked: {}", panic_text(&*panic)))),
        Err(TimedOut) => (Verdict::Error, Some(format!("not finished after {:?}", step.timeout))),
    };
    Ended { step: start.step, attempt: start.attempt, procedure, reason }
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
    let missing = step.measurements.iter().find(|spec| delivered.iter().all(|one| one.name != spec.name))?;
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
