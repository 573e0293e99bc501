//! Judges a recorded run again and reports where the record contradicts itself.

use crate::{
    Contact, Entry, Event, Measurement, MeasurementSpec, PlannedStep, Tally, VOID, Verdict, judge, step_verdict,
};
use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A rail below this voltage is off.
pub const RAIL_OFF_VOLTS: f64 = 0.3;

/// Result of judging a recorded run again.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejudged {
    /// The recorded verdict; `None` when the run has no end.
    pub claimed: Option<Verdict>,
    /// The verdict that follows from readings, limits and promises alone.
    pub verdict: Verdict,
    /// Number of readings judged again, over all attempts.
    pub measurements: usize,
    pub steps: usize,
    /// Contradictions in the record; empty when everything agrees.
    pub contradictions: Vec<Contradiction>,
}

/// A recorded statement that does not follow from the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// Number of the line, from 1.
    pub line: u64,
    pub text: String,
}

impl Rejudged {
    /// Whether the verdict and everything it depends on agree.
    pub fn holds(&self) -> bool {
        self.claimed.is_some() && self.contradictions.is_empty()
    }
}

/// Judges every measurement, every step and the unit again.
///
/// A journal in format 1 has only the number of promises, so a step's verdict can be checked in one direction only: it
/// may be worse than its measurements (its procedure failed), never better.
pub fn rejudge<E: Borrow<Entry>>(entries: &[E]) -> Rejudged {
    rejudge_lines(entries.iter().map(Borrow::borrow))
}

/// Like [`rejudge`], for entries that are not contiguous in memory.
pub fn rejudge_lines<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Rejudged {
    let mut judge = Judge::default();
    for entry in entries {
        judge.line = entry.seq + 1;
        if entry.at_us < judge.now {
            judge.object(format!("at {} us, earlier than the line before it", entry.at_us.as_micros()));
        }
        judge.now = entry.at_us;
        judge.take(&entry.event);
    }
    judge.end()
}

/// A recorded step, with the attempt that runs or ran last.
///
/// Everything is borrowed from the record: before a pass, this takes place within the unit's test time.
struct OnRecord<'a> {
    id: &'a str,
    /// `None`: the step is not in the plan.
    planned: Option<&'a PlannedStep>,
    /// Attempts that did not count because the controller was late.
    voids: u8,
    attempt: Option<Attempt<'a>>,
}

#[derive(Default)]
struct Attempt<'a> {
    number: u8,
    running: bool,
    /// Whether its end announces another attempt.
    retried: bool,
    /// `None`: no end is recorded.
    verdict: Option<Verdict>,
    delivered: Vec<&'a Measurement>,
}

#[derive(Default)]
struct Judge<'a> {
    line: u64,
    now: crate::BenchTime,
    begun: bool,
    /// Maps the plan's order to the recorded steps.
    plan: Vec<usize>,
    on_record: Vec<OnRecord<'a>>,
    /// Maps a step's id to its index.
    places: HashMap<&'a str, usize>,
    /// The step of the previous line: most lines belong to the same one.
    last: usize,
    /// Format 2: promises have names, and the procedure's result is recorded.
    named: bool,
    /// No test of the unit, whatever its steps came to.
    diagnosis: bool,
    stopping: bool,
    safe: bool,
    /// Each rail that was switched, with its last state: on, or off with the voltage that was read afterwards.
    rails: BTreeMap<&'a str, (bool, Option<f64>)>,
    claimed: Option<Verdict>,
    computed: Option<Verdict>,
    measurements: usize,
    contradictions: Vec<Contradiction>,
}

impl<'a> Judge<'a> {
    fn object(&mut self, text: String) {
        self.contradictions.push(Contradiction { line: self.line, text });
    }

    fn take(&mut self, event: &'a Event) {
        if self.claimed.is_some() {
            self.object("is after the end of the run".to_owned());
        }
        if !self.begun && !matches!(event, Event::RunStarted { .. }) {
            self.object("is before the start of the run".to_owned());
            self.begun = true;
        }
        match event {
            Event::RunStarted { steps, diagnosis, .. } => {
                self.diagnosis |= diagnosis.is_some();
                self.run_started(steps);
            }
            Event::StepStarted { step, attempt } => self.step_started(step, *attempt),
            Event::Measured { step, attempt, measurement } => self.measured(step, *attempt, measurement),
            Event::StepEnded { step, attempt, verdict, procedure, retried, reason, .. } => {
                self.step_ended(step, *attempt, *verdict, *procedure);
                let void = *retried && reason.as_deref().is_some_and(|reason| reason.starts_with(VOID));
                let place = self.place(step);
                let of = &mut self.on_record[place];
                of.voids = of.voids.saturating_add(u8::from(void));
                if let Some(attempt) = &mut of.attempt {
                    attempt.retried = *retried;
                }
            }
            Event::RailSwitched { rail, on, volts } => {
                self.rails.insert(rail, (*on, *volts));
            }
            Event::Stopping { .. } => self.stopping = true,
            Event::SafeState { confirmed, .. } => self.safe = *confirmed,
            Event::RunEnded { verdict, reason, tally } => self.run_ended(*verdict, reason.is_some(), tally),
            Event::Diagnosed { .. } | Event::Note { .. } | Event::Dialogue { .. } => {}
        }
    }

    fn run_started(&mut self, steps: &'a [PlannedStep]) {
        if self.begun {
            self.object("the run starts a second time".to_owned());
            return;
        }
        self.begun = true;
        self.named = steps.iter().any(|step| !step.promised.is_empty());
        self.plan.reserve(steps.len());
        self.on_record.reserve(steps.len());
        self.places.reserve(steps.len());
        for step in steps {
            let index = self.on_record.len();
            let place = self.place(&step.id);
            self.plan.push(place);
            if place < index {
                self.object(format!("step {} is planned twice", step.id));
            } else {
                self.on_record[place].planned = Some(step);
            }
            if self.named && step.promised.len() != step.measurements {
                let (named, counted) = (step.promised.len(), step.measurements);
                self.object(format!("step {} promises {counted} measurements and names {named}", step.id));
            }
        }
    }

    /// Returns the index of the step among the recorded ones; a new one is added.
    fn place(&mut self, step: &'a str) -> usize {
        if self.on_record.get(self.last).is_some_and(|last| last.id == step) {
            return self.last;
        }
        let next = self.on_record.len();
        self.last = *self.places.entry(step).or_insert(next);
        if self.last == next {
            self.on_record.push(OnRecord { id: step, planned: None, voids: 0, attempt: None });
        }
        self.last
    }

    fn step_started(&mut self, step: &'a str, number: u8) {
        let place = self.place(step);
        let before = self.on_record[place].attempt.replace(Attempt { number, running: true, ..Attempt::default() });
        if self.on_record[place].planned.is_none() {
            self.object(format!("step {step} is not in the plan"));
        }
        let of = &self.on_record[place];
        let allowed = of.planned.and_then(|planned| planned.attempts).map(|attempts| attempts.saturating_add(of.voids));
        match before {
            Some(before) if before.running || before.number >= number => {
                self.object(format!("attempt {number} at step {step} starts before the one before it ended"));
            }
            Some(before) if !before.retried => {
                self.object(format!("attempt {number} at step {step} starts although the one before it was the last"));
            }
            Some(before) if before.number + 1 != number => {
                self.object(format!("attempt {number} at step {step} follows attempt {}", before.number));
            }
            None if number != 1 => self.object(format!("step {step} starts with attempt {number}")),
            _ => {}
        }
        if let Some(allowed) = allowed.filter(|allowed| number > *allowed) {
            self.object(format!("attempt {number} at step {step} starts; the plan allows {allowed}"));
        }
    }

    fn measured(&mut self, step: &'a str, number: u8, measurement: &'a Measurement) {
        self.measurements += 1;
        let place = self.place(step);
        let (name, said) = (&measurement.name, measurement.verdict);
        let again = judge(&measurement.limits, measurement.value);
        if again != said {
            self.object(format!("{step}/{name} is recorded as {said}; its reading and limits give {again}"));
        }
        if self.named {
            let promised = self.on_record[place].planned.and_then(|planned| spec(&planned.promised, name));
            match promised.map(|spec| spec.unit == measurement.unit && spec.limits == measurement.limits) {
                Some(true) => {}
                Some(false) => self.object(format!("{step}/{name} was judged by other limits than the plan's")),
                None => self.object(format!("{step}/{name} was never promised")),
            }
        }
        let attempt = self.on_record[place].attempt.as_mut();
        match attempt.filter(|attempt| attempt.running && attempt.number == number) {
            Some(attempt) => attempt.delivered.push(measurement),
            // A reading from another time belongs to no attempt.
            None => self.object(format!("{step}/{name} was taken while attempt {number} did not run")),
        }
    }

    fn step_ended(&mut self, step: &'a str, number: u8, said: Verdict, procedure: Option<Verdict>) {
        let place = self.place(step);
        let Some(planned) = self.on_record[place].planned else {
            return self.object(format!("step {step} is not in the plan"));
        };
        let attempt = self.on_record[place].attempt.get_or_insert_default();
        let (running, ran) = (attempt.running, attempt.running && attempt.number == number);
        (attempt.number, attempt.running, attempt.verdict) = (number, false, Some(said));
        if said == Verdict::Skipped {
            // A step that waits for another attempt when the run is stopped is skipped; a running one cannot be.
            if running {
                self.object(format!("step {step} ran and counts as skipped"));
            }
            return;
        }
        if !ran {
            return self.object(format!("attempt {number} at step {step} ended without having started"));
        }
        if said == Verdict::Aborted {
            return;
        }
        let delivered = &attempt.delivered;
        let least = match procedure {
            Some(procedure) => {
                let again = step_verdict(&planned.promised, delivered, procedure);
                if again != said {
                    self.object(format!("step {step} is recorded as {said}; its measurements give {again}"));
                }
                return;
            }
            None if self.named => {
                return self.object(format!("step {step} does not say how its procedure ended"));
            }
            None => delivered
                .iter()
                .fold(Verdict::Pass, |sum, measurement| sum.and(judge(&measurement.limits, measurement.value))),
        };
        // Without names: the number of measurements must match, without duplicates.
        let names: BTreeSet<&str> = delivered.iter().map(|measurement| measurement.name.as_str()).collect();
        let complete = names.len() == delivered.len() && names.len() == planned.measurements;
        let least = if complete || said == Verdict::Fail { least } else { least.and(Verdict::Error) };
        if said.and(least) != said {
            self.object(format!("step {step} is recorded as {said}; its measurements give {least}"));
        }
    }

    fn run_ended(&mut self, said: Verdict, has_reason: bool, tally: &Tally) {
        let again = self.unit();
        self.claimed = Some(said);
        self.computed = Some(again);
        // A run that was stopped, or that had a bench fault outside of any step, has a worse verdict than its steps.
        let excused = match said {
            Verdict::Aborted => self.stopping,
            // After the last step, only the reason says whether a person or the bench stopped it.
            Verdict::Error => has_reason && (again != Verdict::Aborted || self.all_passed()),
            _ => false,
        };
        if again != said && !excused {
            self.object(format!("the unit is recorded as {said}; its steps and the safe state give {again}"));
        }
        if said == Verdict::Pass || (self.diagnosis && said == Verdict::Skipped) {
            self.rails_are_off(said);
        }
        let counted = self.tally();
        if *tally != counted {
            self.object(format!("the counts at the end are {tally:?}; the lines make them {counted:?}"));
        }
    }

    /// A pass needs every rail that was switched to be read as off at the end.
    fn rails_are_off(&mut self, said: Verdict) {
        let problems: Vec<String> = self
            .rails
            .iter()
            .filter_map(|(rail, state)| match state {
                (true, _) => Some(format!("the unit is recorded as {said}; rail {rail} is on")),
                (false, None) => {
                    Some(format!("the unit is recorded as {said}; rail {rail} was not read after it was switched off"))
                }
                (false, Some(volts)) if volts.abs() < RAIL_OFF_VOLTS => None,
                (false, Some(volts)) => {
                    Some(format!("the unit is recorded as {said}; rail {rail} still has {volts} V"))
                }
            })
            .collect();
        problems.into_iter().for_each(|problem| self.object(problem));
    }

    fn all_passed(&self) -> bool {
        self.verdicts().all(|verdict| verdict == Some(Verdict::Pass))
    }

    /// The same rule as in the run loop: pass only when every planned step passed and the bench is confirmed safe.
    fn unit(&self) -> Verdict {
        let sum = |sum: Verdict, verdict: Option<Verdict>| sum.and(verdict.unwrap_or(Verdict::Error));
        let mut verdict = self.verdicts().fold(Verdict::Skipped, sum);
        if verdict == Verdict::Pass && !self.all_passed() {
            verdict = Verdict::Error;
        }
        if self.stopping && verdict == Verdict::Pass {
            verdict = Verdict::Aborted;
        }
        let verdict = if self.safe { verdict } else { verdict.and(Verdict::Error) };
        // A part of a plan says nothing of the unit when it passes.
        if self.diagnosis && verdict == Verdict::Pass { Verdict::Skipped } else { verdict }
    }

    /// Of each planned step, in the plan's order.
    fn verdicts(&self) -> impl Iterator<Item = Option<Verdict>> {
        self.plan.iter().map(|place| self.on_record[*place].attempt.as_ref()?.verdict)
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally { steps: self.plan.len(), ..Tally::default() };
        for verdict in self.verdicts() {
            match verdict {
                Some(Verdict::Pass) => tally.passed += 1,
                Some(Verdict::Fail) => tally.failed += 1,
                Some(Verdict::Error) => tally.errors += 1,
                Some(Verdict::Skipped) | None => tally.skipped += 1,
                Some(Verdict::Aborted) => tally.aborted += 1,
            }
        }
        let attempts = || self.on_record.iter().filter_map(|step| step.attempt.as_ref());
        let delivered = || attempts().flat_map(|attempt| &attempt.delivered);
        tally.measurements = delivered().count();
        let judged = delivered().filter(|measurement| measurement.value.is_some());
        tally.contacts =
            judged.flat_map(|measurement| measurement.contacts.iter().copied()).collect::<BTreeSet<Contact>>().len();
        tally
    }

    fn end(self) -> Rejudged {
        let verdict = self.computed.unwrap_or(Verdict::Error);
        Rejudged {
            claimed: self.claimed,
            verdict,
            measurements: self.measurements,
            steps: self.plan.len(),
            contradictions: self.contradictions,
        }
    }
}

fn spec<'a>(promised: &'a [MeasurementSpec], name: &str) -> Option<&'a MeasurementSpec> {
    promised.iter().find(|spec| spec.name == name)
}
