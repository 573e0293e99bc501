//! Diagnoses the PWM of one unit, by contact.

use super::{Heard, PwmPin, worst};
use crate::Nest;
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};

/// A signal whose duty is this near to another contact's setting belongs to that contact.
const SAME_DUTY: f64 = 0.04;

/// No edges in any round.
pub(super) fn is_still(heard: &[Heard]) -> bool {
    heard.iter().all(|contact| contact.signal.is_still())
}

/// Diagnoses of one unit, most specific first; empty when everything is within its limits. `follows`: its only contact
/// is still, and follows the port when that is driven without PWM.
pub(super) fn unit(nest: &Nest, unit: u8, pins: &[PwmPin], heard: &[Vec<Heard>], follows: bool) -> Vec<Diagnosis> {
    if follows || pins.len() > 1 && heard.iter().all(|heard| is_still(heard)) {
        let labels: Vec<String> = pins.iter().map(|pin| nest.label(pin.contact)).collect();
        let text = format!("the MCU's PWM{unit} is dead: no edges at its contacts {}", labels.join(", "));
        return vec![Diagnosis { defect: Defect::Other, contacts: Vec::new(), text }];
    }
    let mut named = Vec::new();
    let mut exchanged: Vec<Contact> = Vec::new();
    for (place, pin) in pins.iter().enumerate() {
        if exchanged.contains(&pin.contact) {
            continue;
        }
        if let Some(other) = carries(place, heard) {
            let other_pin = &pins[other];
            let (label, other_label) = (nest.label(pin.contact), nest.label(other_pin.contact));
            let text = if carries(other, heard) == Some(place) {
                exchanged.push(other_pin.contact);
                format!("contacts {label} and {other_label}: each carries the other's PWM")
            } else {
                format!("contact {label}: PWM on the wrong contact, it carries the signal of contact {other_label}")
            };
            named.push(Diagnosis { defect: Defect::Other, contacts: vec![pin.contact, other_pin.contact], text });
        } else {
            named.extend(defect_of(nest, unit, pin, &heard[place]));
        }
    }
    named
}

/// The index whose duty a contact has in every round, if that is not its own.
fn carries(place: usize, heard: &[Vec<Heard>]) -> Option<usize> {
    let mine = heard.get(place)?;
    let has = |other: &Vec<Heard>| {
        mine.iter()
            .zip(other)
            .all(|(mine, other)| !mine.signal.is_still() && (mine.signal.duty - other.duty).abs() < SAME_DUTY)
    };
    if has(mine) {
        return None;
    }
    heard.iter().position(has)
}

fn defect_of(nest: &Nest, unit: u8, pin: &PwmPin, heard: &[Heard]) -> Option<Diagnosis> {
    let label = nest.label(pin.contact);
    let outside = |spec: &MeasurementSpec, error| judge(&spec.limits, error) != Verdict::Pass;
    let frequency = worst(heard, Heard::frequency_error);
    let duty = worst(heard, Heard::duty_error);
    let still = heard.iter().filter(|round| round.signal.is_still()).count();
    let (defect, text) = if still == heard.len() {
        let port = pin.port;
        (Defect::Open, format!("contact {label}: open or held, no edges while port {port} has PWM from PWM{unit}"))
    } else if still > 0 {
        (
            Defect::Other,
            format!("contact {label}: its PWM is intermittent, no edges in {still} of {} rounds", heard.len()),
        )
    } else if outside(&pin.frequency_error, frequency) {
        let off = MeasurementUnit::Percent.show(frequency.unwrap_or_default());
        (Defect::Other, format!("contact {label}: the frequency of its PWM is off by {off}"))
    } else if outside(&pin.duty_error, duty) {
        let off = MeasurementUnit::Percent.show(duty.unwrap_or_default());
        (Defect::Other, format!("contact {label}: the duty of its PWM is off by {off} of the period"))
    } else {
        return None;
    };
    Some(Diagnosis { defect, contacts: vec![pin.contact], text })
}
