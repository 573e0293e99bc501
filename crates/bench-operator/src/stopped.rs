//! A nest that is stopped because several different units in a row had the same trouble there. Other nests go on. A person
//! releases it, and the log and the record of its next run say who.

use super::app::{Action, Allow, App, Asked, Mode};
use super::log::Row;
use super::nest::{State, Unit};
use super::texts::{Key, Texts};
use bench_engine::Ended;
use bench_run::Verdict;
use bench_stats::{RepeatRun, Suspicion};

/// Why a nest is stopped, in the operator's language.
pub fn say(suspicion: &Suspicion, texts: &Texts) -> String {
    let (contacts, steps) = (suspicion.contacts(), suspicion.steps());
    let units = suspicion.units.into();
    if !contacts.is_empty() {
        let numbers = super::advice::ranges(&contacts).into();
        return texts
            .with(Key::StoppedContact, &[("contacts", numbers), ("count", contacts.len().into()), ("units", units)]);
    }
    if !steps.is_empty() {
        let values = [("steps", steps.join(", ").into()), ("count", steps.len().into()), ("units", units)];
        return texts.with(Key::StoppedStep, &values);
    }
    texts.with(Key::StoppedError, &[("units", units)])
}

impl App {
    /// Takes a run that ended on this nest. Stops the nest if what its last units have in common points at the bench.
    pub(super) fn watch_for_repeats(&mut self, nest: usize, unit: &Unit, ended: &Ended) {
        let run = ended.record.as_ref().map_or_else(
            // The run could not even begin.
            || RepeatRun { unit: String::new(), verdict: Verdict::Error, passed: Vec::new(), failed: Vec::new() },
            bench_report::RunRecord::repeat_run,
        );
        // The screen's own verdict and serial number: a record may be missing, or be another's.
        let run = RepeatRun { unit: unit.serial.clone(), verdict: ended.verdict, ..run };
        let place = &mut self.nests[nest];
        place.repeated.take(&run);
        if run.verdict == Verdict::Pass || run.verdict == Verdict::Aborted {
            return;
        }
        let Some(suspicion) = place.repeated.suspicion(self.setup.rules.repeated.rule()) else { return };
        place.stopped = Some(suspicion.clone());
        self.actions.push(Action::Log(Row::NestStopped {
            at: self.date.clone(),
            nest: nest + 1,
            why: suspicion.to_string(),
            suspicion,
        }));
    }

    /// Asks who releases a stopped nest whose unit was taken out. Returns whether it is one.
    pub(super) fn ask_release(&mut self, nest: usize) -> bool {
        let place = &self.nests[nest];
        let (Some(suspicion), State::Empty) = (place.stopped.clone(), &place.state) else { return false };
        self.focus = nest;
        self.notice = None;
        let (asked, role) = (Asked::Release(suspicion), self.setup.rules.releases());
        self.mode = Mode::Allow(Allow { nest, asked, role, badge: None, since: self.now, wrong_pins: 0 });
        true
    }

    /// Releases a nest on a person's responsibility. Its count begins again.
    pub(super) fn release(&mut self, nest: usize, suspicion: &Suspicion, released_by: &str) {
        let place = &mut self.nests[nest];
        place.stopped = None;
        place.repeated.clear();
        let why = suspicion.to_string();
        let note = format!("nest {} was stopped ({why}) and released by {released_by}", nest + 1);
        place.released = Some((note, suspicion.clone()));
        self.actions.push(Action::Log(Row::NestReleased {
            at: self.date.clone(),
            nest: nest + 1,
            why,
            operator: self.operator.clone(),
            released_by: released_by.to_owned(),
        }));
        self.say(Key::NoticeReleased, &[("nest", (nest + 1).into())]);
        self.lamp(nest);
    }

    /// Stops the nest again, because the release could not be recorded.
    pub(super) fn not_released(&mut self, nest: usize) {
        let Some(place) = self.nests.get_mut(nest) else { return };
        if let Some((_, suspicion)) = place.released.take() {
            place.stopped = Some(suspicion);
            self.lamp(nest);
        }
    }
}
