//! Judges a whole run again from what is on record, and says where the record does not bear itself out.

use crate::{Contact, Entry, Event, Measurement, MeasurementSpec, PlannedStep, Tally, Verdict, judge, step_verdict};
use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};

/// What a run comes to when it is judged anew.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejudged {
    /// What the record says; `None` when the run has no end.
    pub claimed: Option<Verdict>,
    /// What follows from readings, limits and promises alone.
    pub verdict: Verdict,
    /// Readings that were judged again, of all attempts.
    pub measurements: usize,
    pub steps: usize,
    /// Where the record contradicts itself; empty when everything agrees.
    pub contradictions: Vec<Contradiction>,
}

/// Something on record that does not follow from the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// Number of the line, from 1.
    pub line: u64,
    pub text: String,
}

impl Rejudged {
    /// Whether the verdict stands, and everything that leads to it.
    pub fn holds(&self) -> bool {
        self.claimed.is_some() && self.contradictions.is_empty()
    }
}

/// Judges every measurement, every step and the unit again.
///
/// Of a journal in format 1 the promises are known by number only, and a step's verdict can be checked in one direction:
/// it may be worse than its measurements say (its procedure failed), never better.
pub fn rejudge<E: Borrow<Entry>>(entries: &[E]) -> Rejudged {
    let mut judge = Judge::default();
    for entry in entries.iter().map(Borrow::borrow) {
        judge.line = entry.seq + 1;
        if entry.at_us < judge.now {
            judge.object(format!("at {} us, earlier than the line before it", entry.at_us.as_micros()));
        }
        judge.now = entry.at_us;
        judge.take(&entry.event);
    }
    judge.end()
}

/// The attempt at a step that runs or ran last.
#[derive(Default)]
struct Attempt {
    number: u8,
    running: bool,
    /// `None`: it has no end on record.
    verdict: Option<Verdict>,
    delivered: Vec<Measurement>,
}

#[derive(Default)]
struct Judge {
    line: u64,
    now: crate::BenchTime,
    begun: bool,
    steps: Vec<PlannedStep>,
    /// Where in them a step is, by its id.
    places: HashMap<String, usize>,
    /// Format 2: promises are named, and how a procedure ended is on record.
    named: bool,
    attempts: HashMap<String, Attempt>,
    stopping: bool,
    safe: bool,
    claimed: Option<Verdict>,
    computed: Option<Verdict>,
    measurements: usize,
    contradictions: Vec<Contradiction>,
}

impl Judge {
    fn object(&mut self, text: String) {
        self.contradictions.push(Contradiction { line: self.line, text });
    }

    fn take(&mut self, event: &Event) {
        if self.claimed.is_some() {
            self.object("stands behind the end of the run".to_owned());
        }
        if !self.begun && !matches!(event, Event::RunStarted { .. }) {
            self.object("stands before the start of the run".to_owned());
            self.begun = true;
        }
        match event {
            Event::RunStarted { steps, .. } => self.run_started(steps),
            Event::StepStarted { step, attempt } => self.step_started(step, *attempt),
            Event::Measured { step, attempt, measurement } => self.measured(step, *attempt, measurement),
            Event::StepEnded { step, attempt, verdict, procedure, .. } => {
                self.step_ended(step, *attempt, *verdict, *procedure);
            }
            Event::Stopping { .. } => self.stopping = true,
            Event::SafeState { confirmed, .. } => self.safe = *confirmed,
            Event::RunEnded { verdict, reason, tally } => self.run_ended(*verdict, reason.is_some(), tally),
            Event::Diagnosed { .. } | Event::Note { .. } | Event::Dialogue { .. } | Event::RailSwitched { .. } => {}
        }
    }

    fn run_started(&mut self, steps: &[PlannedStep]) {
        if self.begun {
            self.object("the run starts a second time".to_owned());
            return;
        }
        self.begun = true;
        self.named = steps.iter().any(|step| !step.promised.is_empty());
        self.steps = steps.to_vec();
        for (place, step) in steps.iter().enumerate() {
            if self.places.contains_key(&step.id) {
                self.object(format!("step {} is planned twice", step.id));
            } else {
                self.places.insert(step.id.clone(), place);
            }
            if self.named && step.promised.len() != step.measurements {
                let (named, counted) = (step.promised.len(), step.measurements);
                self.object(format!("step {} promises {counted} measurements and names {named}", step.id));
            }
        }
    }

    fn planned(&self, step: &str) -> Option<&PlannedStep> {
        self.steps.get(*self.places.get(step)?)
    }

    fn step_started(&mut self, step: &str, number: u8) {
        let before = self.attempts.insert(step.to_owned(), Attempt { number, running: true, ..Attempt::default() });
        if self.planned(step).is_none() {
            self.object(format!("step {step} is not in the plan"));
        }
        if before.is_some_and(|before| before.running || before.number >= number) {
            self.object(format!("attempt {number} at step {step} starts before the one before it ended"));
        }
    }

    fn measured(&mut self, step: &str, number: u8, measurement: &Measurement) {
        self.measurements += 1;
        let (name, said) = (&measurement.name, measurement.verdict);
        let again = judge(&measurement.limits, measurement.value);
        if again != said {
            self.object(format!("{step}/{name} is {said} on record; its reading and limits make it {again}"));
        }
        if self.named {
            let promised = self.planned(step).and_then(|planned| spec(&planned.promised, name));
            match promised.map(|spec| spec.unit == measurement.unit && spec.limits == measurement.limits) {
                Some(true) => {}
                Some(false) => self.object(format!("{step}/{name} was judged by other limits than the plan's")),
                None => self.object(format!("{step}/{name} was never promised")),
            }
        }
        match self.attempts.get_mut(step).filter(|attempt| attempt.running && attempt.number == number) {
            Some(attempt) => attempt.delivered.push(measurement.clone()),
            // A reading from another time says nothing about this attempt.
            None => self.object(format!("{step}/{name} was taken while attempt {number} did not run")),
        }
    }

    fn step_ended(&mut self, step: &str, number: u8, said: Verdict, procedure: Option<Verdict>) {
        let Some(place) = self.places.get(step).copied() else {
            return self.object(format!("step {step} is not in the plan"));
        };
        let attempt = self.attempts.entry(step.to_owned()).or_default();
        let (running, ran) = (attempt.running, attempt.running && attempt.number == number);
        (attempt.number, attempt.running, attempt.verdict) = (number, false, Some(said));
        if said == Verdict::Skipped {
            // One that waits for another attempt when the run is stopped is skipped; one that runs cannot be.
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
        let (Some(planned), Some(Attempt { delivered, .. })) = (self.steps.get(place), self.attempts.get(step)) else {
            return;
        };
        let least = match procedure {
            Some(procedure) => {
                let again = step_verdict(&planned.promised, delivered, procedure);
                if again != said {
                    self.object(format!("step {step} is {said} on record; what it delivered makes it {again}"));
                }
                return;
            }
            None if self.named => {
                return self.object(format!("step {step} does not say how its procedure ended"));
            }
            None => delivered.iter().fold(Verdict::Pass, |sum, one| sum.and(judge(&one.limits, one.value))),
        };
        // Without names: all that was promised must be there, and each name once.
        let names: BTreeSet<&str> = delivered.iter().map(|one| one.name.as_str()).collect();
        let complete = names.len() == delivered.len() && names.len() == planned.measurements;
        let least = if complete || said == Verdict::Fail { least } else { least.and(Verdict::Error) };
        if said.and(least) != said {
            self.object(format!("step {step} is {said} on record; what it delivered makes it {least}"));
        }
    }

    fn run_ended(&mut self, said: Verdict, has_reason: bool, tally: &Tally) {
        let again = self.unit();
        self.claimed = Some(said);
        self.computed = Some(again);
        // A run that was stopped, or that met a fault of the bench outside of any step, is worse than its steps say.
        let excused = match said {
            Verdict::Aborted => self.stopping,
            Verdict::Error => has_reason && again != Verdict::Aborted,
            _ => false,
        };
        if again != said && !excused {
            self.object(format!("the unit is {said} on record; its steps and the safe state make it {again}"));
        }
        let counted = self.tally();
        if *tally != counted {
            self.object(format!("the counts at the end are {tally:?}; the lines make them {counted:?}"));
        }
    }

    /// As the run loop has it: pass only when every planned step passed and the bench is known to be safe.
    fn unit(&self) -> Verdict {
        let of = |step: &PlannedStep| self.attempts.get(&step.id).and_then(|attempt| attempt.verdict);
        let sum = |sum: Verdict, step: &PlannedStep| sum.and(of(step).unwrap_or(Verdict::Error));
        let mut verdict = self.steps.iter().fold(Verdict::Skipped, sum);
        if verdict == Verdict::Pass && !self.steps.iter().all(|step| of(step) == Some(Verdict::Pass)) {
            verdict = Verdict::Error;
        }
        if self.stopping && verdict == Verdict::Pass {
            verdict = Verdict::Aborted;
        }
        if self.safe { verdict } else { verdict.and(Verdict::Error) }
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally { steps: self.steps.len(), ..Tally::default() };
        for step in &self.steps {
            match self.attempts.get(&step.id).and_then(|attempt| attempt.verdict) {
                Some(Verdict::Pass) => tally.passed += 1,
                Some(Verdict::Fail) => tally.failed += 1,
                Some(Verdict::Error) => tally.errors += 1,
                Some(Verdict::Skipped) | None => tally.skipped += 1,
                Some(Verdict::Aborted) => tally.aborted += 1,
            }
        }
        let delivered = || self.attempts.values().flat_map(|attempt| &attempt.delivered);
        tally.measurements = delivered().count();
        let judged = delivered().filter(|one| one.value.is_some());
        tally.contacts = judged.flat_map(|one| one.contacts.iter().copied()).collect::<BTreeSet<Contact>>().len();
        tally
    }

    fn end(self) -> Rejudged {
        let verdict = self.computed.unwrap_or(Verdict::Error);
        Rejudged {
            claimed: self.claimed,
            verdict,
            measurements: self.measurements,
            steps: self.steps.len(),
            contradictions: self.contradictions,
        }
    }
}

fn spec<'a>(promised: &'a [MeasurementSpec], name: &str) -> Option<&'a MeasurementSpec> {
    promised.iter().find(|spec| spec.name == name)
}
