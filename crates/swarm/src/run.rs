//! Runs one scenario, and checks what can be checked of that run alone.

use crate::case::Case;
use crate::disk::{Contents, MemoryDisk};
use crate::event::Kind;
use crate::panics;
use crate::recorded;
use crate::rule::{Rule, Violation};
use crate::scenario::Scenario;
use crate::stage::{End, Stage};
use bench_engine::{Backend, Failed, Outcome, Recorder, Surroundings, run_for};
use bench_journal::{Finding, Journal, judge, to_bytes};
use bench_run::{BenchTime, Entry, Event, RAIL_OFF_VOLTS, Verdict};
use bench_steps::Safekeeping;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use virtual_bench::{DiskDamage, Group};

/// From the watchdog's cut until capacitors are empty, with nothing but the module's own load on them.
const DISCHARGED_WITHIN: Duration = Duration::from_secs(20);

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    pub end: End,
    /// What people and CI act on; `None` when the program was gone before it had one.
    pub verdict: Option<Verdict>,
    pub reason: String,
    pub violations: Vec<Violation>,
    /// When each event really happened; `None` if the run had ended before.
    pub happened: Vec<Option<BenchTime>>,
    /// When the last step ended.
    pub judged_until: BenchTime,
    /// The record; empty for a run that is `recorded` and had no end.
    pub entries: Vec<Entry>,
}

/// What is known of a run when it ended, however it was recorded.
pub(crate) struct Told {
    pub outcome: Option<Outcome>,
    pub entries: Vec<Entry>,
}

/// Runs a scenario.
///
/// # Errors
/// When the module or the fixture cannot have what is ordered.
pub fn run(case: &Case, scenario: &Scenario) -> Result<Ran, Failed> {
    let (done, panicked) = panics::noted(|| attempt(case, scenario));
    let mut ran = match done {
        Some(ran) => ran?,
        None => Ran {
            end: End::Verdict,
            verdict: None,
            reason: String::new(),
            violations: Vec::new(),
            happened: vec![None; scenario.events.len()],
            judged_until: BenchTime::ZERO,
            entries: Vec::new(),
        },
    };
    ran.violations.extend(panicked.into_iter().map(|text| Violation::new(Rule::Panic, text)));
    ran.violations.sort_by_key(|violation| violation.rule);
    Ok(ran)
}

fn attempt(case: &Case, scenario: &Scenario) -> Result<Ran, Failed> {
    let (stage, stop) = Stage::build(case, scenario)?;
    let before = case.loaded.fixture.desk.is_some().then(|| stage.backend.world.mcu_memory());
    let told = if scenario.recorded { recorded::run(&stage, stop)? } else { in_memory(&stage, stop)? };
    let end = stage.end.borrow().clone();
    match &end {
        End::Hung(why) => stage.object(Rule::Hang, why.clone()),
        // With a defect of its own, a bench may refuse to start.
        End::NotStarted(why) if !scenario.events.iter().any(|event| matches!(event.kind, Kind::Bench(_))) => {
            stage.object(Rule::NotStarted, why.clone());
        }
        _ => {}
    }
    let outcome = told.outcome.as_ref();
    if let (Some(before), Some(outcome)) = (before, outcome)
        && outcome.verdict != Verdict::Error
        && scenario.events.iter().all(|event| !matches!(event.kind, Kind::Fault(_)) || event.kind.is_habit())
        && stage.backend.world.mcu_memory() != before
        && stage.scenario.blank
    {
        stage.object(Rule::PutBack, format!("the verdict is {}", outcome.verdict));
    }
    rails(&stage, &end, &told.entries);
    let judged = told.entries.iter().rev().find(|entry| matches!(entry.event, Event::StepEnded { .. }));
    let (happened, violations) = (stage.happened.take(), stage.violations.take());
    let verdict = match end {
        End::NotStarted(_) => Some(Verdict::Error),
        _ => outcome.map(|outcome| outcome.verdict),
    };
    Ok(Ran {
        end,
        verdict,
        reason: outcome.and_then(|outcome| outcome.reason.clone()).unwrap_or_default(),
        violations,
        happened,
        judged_until: judged.map_or(BenchTime::ZERO, |entry| entry.at_us),
        entries: told.entries,
    })
}

/// A run whose journal is in memory, on a disk that has the ordered trouble.
fn in_memory(stage: &Stage<'_>, stop: bench_engine::Stop) -> Result<Told, Failed> {
    let (case, events) = (stage.case, &stage.scenario.events);
    let contents = Contents::default();
    let damage: Vec<DiskDamage> = stage.controller.iter().map(|damage| damage.disk).collect();
    let has_disk = events.iter().any(|event| event.kind.is_of_disk() || event.kind == Kind::Kill);
    let journal = if has_disk {
        let disk = Box::new(MemoryDisk::new(events, &damage, contents.clone()));
        Journal::on_disk_of(disk, "the swarm's disk").map_err(Failed::bench)?
    } else {
        Journal::in_memory()
    };
    let slow = events.iter().filter(|event| event.kind == Kind::DiskSlow);
    let slow: Vec<(BenchTime, Duration)> =
        slow.map(|event| (BenchTime::from_micros(event.at_us), Duration::from_micros(event.span_us))).collect();
    let delay = move |entry: &Entry| -> Duration {
        let due = slow.iter().filter(|(at, _)| entry.at_us >= *at);
        due.map(|(_, span)| *span).max().unwrap_or_default()
    };
    let recorder =
        Recorder::waiting(journal, stage.clock(), stage.observers(), stage.disk_wait(), Some(Box::new(delay)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failed::bench)?;
    let started = stage.started(&case.loaded, case.provenance.clone(), &stage.serial);
    let outcome = runtime.block_on(async {
        let mut nest = stage.nest(&case.loaded, &stage.serial, &recorder).await?;
        case.loaded.equip(&mut nest, Rc::clone(&case.image));
        nest.safekeeping = Rc::new(Safekeeping::new(Arc::new(|_| Ok("the swarm's memory".to_owned()))));
        let (doubts, notes) = (|| stage.doubts(), case.loaded.left_out_notes());
        let surroundings = Surroundings { notes: &notes, doubts: Some(&doubts), hold_ends: None };
        let run = run_for(&case.loaded.plan, &nest, &recorder, started, surroundings, stop);
        stage.drive(Box::pin(run)).await.map_err(Failed::bench)
    });
    let entries = recorder.entries();
    let bytes = if has_disk { contents.bytes() } else { to_bytes(&entries) };
    let outcome = outcome.ok();
    record(stage, &bytes, outcome.as_ref());
    Ok(Told { outcome, entries })
}

/// What `bench verify` finds in the journal, against what people were shown.
pub(crate) fn record(stage: &Stage<'_>, bytes: &[u8], outcome: Option<&Outcome>) {
    let judgement = judge(bytes);
    let was_changed = stage.scenario.events.iter().any(|event| event.kind == Kind::DiskChanged);
    if judgement.finding == Finding::DoesNotHold && !was_changed {
        return stage.object(Rule::Record, judgement.reasons.join("; "));
    }
    let Some(outcome) = outcome else { return };
    let shown = outcome.verdict;
    let on_record = judgement.verdict.filter(|_| judgement.finding == Finding::Holds);
    match on_record {
        _ if shown == Verdict::Pass && on_record != Some(Verdict::Pass) => {
            let on_record = on_record.map_or("none", Verdict::as_str);
            stage.object(Rule::PassWithoutRecord, format!("{on_record} on record: {}", judgement.reasons.join("; ")));
        }
        // What is shown may be worse: the disk may have failed with the last line.
        Some(on_record) if on_record != shown && shown != Verdict::Error => {
            stage.object(Rule::Record, format!("{on_record} on record, {shown} shown"));
        }
        None if !stage.scenario.events.iter().any(|event| event.kind.is_of_disk()) => {
            stage.object(Rule::Record, format!("{shown} shown: {}", judgement.reasons.join("; ")));
        }
        _ => {}
    }
}

/// Whether the only instruments that measure rails are broken: then a rail that is switched off may still be charged when
/// the bench believes that it is not.
fn monitors_fail(stage: &Stage<'_>) -> bool {
    let of_monitor = |kind: &Kind| matches!(kind, Kind::Bench(fault) if fault.kind().starts_with("monitor-"));
    stage.scenario.events.iter().any(|event| of_monitor(&event.kind))
}

/// Whether a broken switch or discharge may leave capacitors charged that nothing feeds.
fn keeps_charge(stage: &Stage<'_>) -> bool {
    let groups = [Group::Switches, Group::Rails, Group::Expanders];
    let of_switches = |kind: &Kind| matches!(kind, Kind::Bench(fault) if groups.contains(&fault.group()));
    stage.scenario.events.iter().any(|event| of_switches(&event.kind))
}

/// Whether the bench can still switch everything off and measure it, in time.
fn leaves_switches(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::Fault(_) | Kind::Bench(_) | Kind::Expander(_) | Kind::Supply(..) | Kind::Stall | Kind::GuardActs
    ) || kind.is_habit()
}

/// Rails are off now if the record says so, and in any case once the program is gone.
fn rails(stage: &Stage<'_>, end: &End, entries: &[Entry]) {
    if !stage.case.has_rails() {
        return;
    }
    let world = &stage.backend.world;
    let safe = entries.iter().rev().find_map(|entry| match &entry.event {
        Event::SafeState { confirmed, .. } => Some(*confirmed),
        _ => None,
    });
    let charged = |volts: &f64| volts.abs() >= RAIL_OFF_VOLTS;
    let on = stage.names(&world.rails_on(), |on| *on);
    let unhindered = stage.scenario.events.iter().all(|event| leaves_switches(&event.kind));
    if *end == End::Verdict && unhindered && !on.is_empty() {
        // Whatever the record says, which a disk may have refused.
        stage.object(Rule::RailsOn, format!("{}: switched on when the run had ended", on.join(", ")));
    }
    match (end, safe) {
        (End::Verdict, Some(true)) if !monitors_fail(stage) => {
            // A reset expander opens feeds: the module's capacitors keep a charge that no monitor sees and nothing feeds.
            let parted = stage.scenario.events.iter().any(|event| matches!(event.kind, Kind::Expander(_)));
            let charged = if parted { Vec::new() } else { stage.names(&world.rail_volts(), charged) };
            // What the record confirms is that nothing has power. The switch of a load, stuck, feeds nothing.
            let feeding: Vec<&str> = on.iter().copied().filter(|rail| stage.case.is_supplied(rail)).collect();
            if !feeding.is_empty() || !charged.is_empty() {
                let (on, charged) = (feeding.join(", "), charged.join(", "));
                let detail = format!("confirmed to be off, and on: {on}, charged: {charged}");
                stage.object(Rule::RailsOn, detail);
            }
        }
        (End::Verdict, Some(false)) if unhindered => {
            stage.object(Rule::SafeState, "not confirmed, and nothing was in its way");
        }
        (End::Verdict, None) if !stage.scenario.events.iter().any(|event| event.kind.is_of_disk()) => {
            stage.object(Rule::SafeState, "no entry of the safe state");
        }
        (End::Dropped, _) if !on.is_empty() => {
            stage.object(Rule::RailsOn, format!("{} after the run was dropped", on.join(", ")));
        }
        _ => {}
    }
    stage.rails_off_without_program("the end of the program");
    world.let_pass(DISCHARGED_WITHIN);
    let charged = stage.names(&world.rail_volts(), charged);
    if !charged.is_empty() && !keeps_charge(stage) {
        let seconds = DISCHARGED_WITHIN.as_secs();
        stage.object(Rule::RailsOn, format!("{}: still charged {seconds} s after the end", charged.join(", ")));
    }
}
