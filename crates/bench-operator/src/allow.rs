//! A person with a badge and a PIN allows a unit that the rules would turn away, or releases a nest.

use super::app::{Action, App, Asked, Mode};
use super::log::Row;
use super::nest::{State, Unit};
use super::people::Role;
use super::rules::Why;
use super::scan::first_part;
use super::texts::Key;

/// After this many wrong PINs the unit is refused.
const MOST_WRONG_PINS: u8 = 3;

impl App {
    pub(super) fn badge_or_pin(&mut self, text: &str) {
        let Mode::Allow(allow) = &mut self.mode else { return };
        allow.since = self.now;
        let Some(badge) = &allow.badge else {
            let role = allow.role;
            match self.setup.rules.person(first_part(text)) {
                Some(person) if role == Role::Operator => {
                    let id = person.id.clone();
                    self.let_in(Some(id));
                }
                Some(person) if person.role >= role => allow.badge = Some(person.id.clone()),
                Some(_) => self.warn(Key::NoticeMayNot, &[]),
                None => self.warn(Key::NoticeNoBadge, &[]),
            }
            return;
        };
        let badge = badge.clone();
        if self.setup.rules.person(&badge).is_some_and(|person| person.has_pin(text)) {
            return self.let_in(Some(badge));
        }
        allow.wrong_pins += 1;
        let given_up = allow.wrong_pins >= MOST_WRONG_PINS;
        self.actions.push(Action::Log(Row::WrongPin { at: self.date.clone(), person: badge }));
        self.warn(Key::NoticeWrongPin, &[]);
        if given_up {
            self.mode = Mode::Work;
        }
    }

    /// Allows what was asked on a person's responsibility, and records that before it happens.
    pub(super) fn let_in(&mut self, badge: Option<String>) {
        let Mode::Allow(allow) = std::mem::replace(&mut self.mode, Mode::Work) else { return };
        let allowed_by = badge.or_else(|| self.operator.clone()).unwrap_or_else(|| "operator".to_owned());
        let (unit, why) = match allow.asked {
            Asked::Unit(unit, why) => (unit, why_id(why)),
            Asked::Release(suspicion) => return self.release(allow.nest, &suspicion, &allowed_by),
            Asked::Cause(step) => return self.find_cause(allow.nest, step, &allowed_by),
        };
        self.actions.push(Action::Log(Row::LetIn {
            at: self.date.clone(),
            serial: unit.serial.clone(),
            why: why.to_owned(),
            operator: self.operator.clone(),
            allowed_by: allowed_by.clone(),
            runs_before: unit.past.verdicts.len(),
        }));
        let let_in = Some(format!("let in by {allowed_by} although {why}"));
        // Its count of fails begins again.
        let mut past = unit.past;
        past.let_in_after = past.verdicts.len();
        let free = |nest: &usize| self.nests[*nest].is_free();
        match Some(allow.nest).filter(free).or_else(|| self.next_free(allow.nest)) {
            Some(nest) => self.place(nest, Unit { let_in, past, ..unit }),
            None => self.warn(Key::NoticeAllBusy, &[]),
        }
    }

    /// Refuses the unit, because the permission could not be recorded.
    pub(super) fn not_let_in(&mut self, serial: &str) {
        for nest in 0..self.nests.len() {
            if matches!(&self.nests[nest].state, State::Ready(unit) if unit.serial == serial) {
                self.nests[nest].state = State::Empty;
                self.lamp(nest);
            }
        }
    }
}

/// The name of a reason in the log.
fn why_id(why: Why) -> &'static str {
    match why {
        Why::PassedAlready => "passed-already",
        Why::InRepair => "in-repair",
        Why::TooManyErrors => "too-many-errors",
    }
}

pub fn why_key(why: Why) -> Key {
    match why {
        Why::PassedAlready => Key::WhyPassedAlready,
        Why::InRepair => Key::WhyInRepair,
        Why::TooManyErrors => Key::WhyTooManyErrors,
    }
}
