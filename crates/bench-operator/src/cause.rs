//! A technician repeats the failed step of a unit that has its verdict, with the power held afterwards. This is a
//! diagnosis and no test: the verdict stands, and nothing counts it.

use super::app::{Action, Allow, App, Asked, Mode};
use super::live::Live;
use super::log::Row;
use super::nest::{Finished, State};
use super::people::Role;
use super::texts::Key;
use bench_engine::Ended;
use bench_run::{Verdict, without_repetition};
use std::time::Duration;

/// A diagnosis that runs on a nest.
#[derive(Debug, Clone)]
pub struct Diagnosing {
    /// Id of the step.
    pub step: String,
    /// What the nest showed before, and will show again.
    pub before: Finished,
}

/// The first step that did not pass.
fn failed_step(finished: &Finished) -> Option<String> {
    let steps = &finished.ended.record.as_ref()?.steps;
    let bad = steps.iter().find(|step| matches!(step.verdict, Some(Verdict::Fail | Verdict::Error)));
    bad.map(|step| without_repetition(&step.id).to_owned())
}

impl App {
    /// Whether a person in the rules may repeat a step.
    fn has_technician(&self) -> bool {
        self.setup.rules.person.iter().any(|person| person.role >= Role::Technician)
    }

    /// Whether the failed step of this unit can be repeated here.
    pub(crate) fn may_find_cause(&self, finished: &Finished) -> bool {
        self.has_technician() && failed_step(finished).is_some()
    }

    /// Asks for the technician's badge.
    pub(super) fn ask_cause(&mut self) {
        let nest = self.focus;
        let step = match &self.nests[nest].state {
            State::Done(finished) => failed_step(finished),
            _ => None,
        };
        let Some(step) = step.filter(|_| self.leaving.is_none() && matches!(self.mode, Mode::Work)) else {
            return self.warn(Key::NoticeNoFailedStep, &[]);
        };
        if !self.has_technician() {
            return self.warn(Key::NoticeNoTechnician, &[]);
        }
        self.notice = None;
        let (asked, role, since) = (Asked::Cause(step), Role::Technician, self.now);
        self.mode = Mode::Allow(Allow { nest, asked, role, badge: None, since, wrong_pins: 0 });
    }

    /// Starts the diagnosis on a person's responsibility, which is recorded first.
    pub(super) fn find_cause(&mut self, nest: usize, step: String, allowed_by: &str) {
        // The unit may have been taken out meanwhile.
        let Some(State::Done(finished)) = self.nests.get(nest).map(|place| &place.state) else { return };
        let before = Finished::clone(finished);
        if self.leaving.is_some() || !self.can_be_powered(nest) {
            return;
        }
        let place = &mut self.nests[nest];
        let unit = before.unit.clone();
        let serial = unit.serial.clone();
        place.state = State::Running(unit, Box::new(Live::begin(self.now)));
        (place.stopping, place.cut, place.stopped_at) = (false, false, None);
        place.diagnosing = Some(Box::new(Diagnosing { step: step.clone(), before }));
        self.notice = None;
        self.actions.push(Action::Log(Row::DiagnosisBegan {
            at: self.date.clone(),
            nest: nest + 1,
            serial: serial.clone(),
            step: step.clone(),
            operator: self.operator.clone(),
            allowed_by: allowed_by.to_owned(),
        }));
        let mut notes: Vec<String> = self.operator.iter().map(|badge| format!("operator: {badge}")).collect();
        notes.push(format!("diagnosis allowed by {allowed_by}"));
        self.actions.push(Action::Start { nest, serial, notes, diagnosis: Some(step) });
        self.lamp(nest);
    }

    /// Ends the hold of the diagnosis on this nest. Returns whether there is one.
    pub(super) fn end_hold(&mut self, nest: usize) -> bool {
        let held = match &self.nests[nest].state {
            State::Running(_, live) => live.held(self.now).is_some(),
            _ => false,
        };
        if held && !self.nests[nest].stopping {
            self.stop(nest, "Enter was pressed", false);
        }
        held
    }

    /// The nest shows the unit's verdict again, and next to it what the diagnosis came to.
    pub(super) fn diagnosed(&mut self, nest: usize, of: Diagnosing, ended: &Ended, off: Option<Duration>) {
        let Diagnosing { step, mut before } = of;
        let came_to = ended.record.as_ref().map_or(ended.verdict, |record| match ended.verdict {
            Verdict::Skipped => record.verdict_of_steps(),
            verdict => verdict,
        });
        self.actions.push(Action::Log(Row::DiagnosisEnded {
            at: self.date.clone(),
            nest: nest + 1,
            serial: before.unit.serial.clone(),
            step: step.clone(),
            came_to,
        }));
        let values = [("step", step.into()), ("verdict", came_to.as_str().into())];
        let mut said = vec![self.texts.with(Key::CauseEnded, &values)];
        if came_to != Verdict::Pass {
            said.extend(ended.reason.clone());
        }
        before.advice.details.splice(0..0, said);
        before.rails_off_after = off.or(before.rails_off_after);
        self.nests[nest].state = State::Done(Box::new(before));
    }
}
