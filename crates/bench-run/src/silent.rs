//! Checks a plan for silent passes before anything runs.
//!
//! The code that computes a unit's verdict is the same for every plan; the requirements differ. So each requirement is
//! violated in turn in an otherwise perfect run: the reading is missing, not a number, outside each limit, or taken
//! twice. If such a run passes, it would also pass on the line.

use crate::{Limits, Measurement, MeasurementSpec, Step, Verdict, measured, step_verdict};
use std::collections::BTreeSet;

/// Returns every way in which a unit of this plan could pass without meeting a requirement; empty when there is none.
pub fn silent_passes(steps: &[Step]) -> Vec<String> {
    let mut passes = Vec::new();
    if steps.iter().all(|step| step.measurements.is_empty()) {
        passes.push("the plan requires no measurement: a unit would pass unmeasured".to_owned());
    }
    for step in steps {
        let mut names = BTreeSet::new();
        for spec in &step.measurements {
            if !names.insert(&spec.name) {
                passes.push(format!(
                    "step {}: {} is promised twice, and one reading would count for both",
                    step.id, spec.name
                ));
            }
        }
        let perfect: Vec<Option<Measurement>> =
            step.measurements.iter().map(|spec| Some(measured(spec, inside(&spec.limits)))).collect();
        for (at, spec) in step.measurements.iter().enumerate() {
            let mut object =
                |what: &str| passes.push(format!("step {}: {} could be {what} and the step pass", step.id, spec.name));
            if judged(step, &perfect) != Verdict::Pass {
                object("inside no limits at all, or never");
                continue;
            }
            for (what, reading) in spoilt(spec) {
                let mut delivered = perfect.clone();
                delivered[at] = reading;
                if judged(step, &delivered) == Verdict::Pass {
                    object(what);
                }
            }
        }
    }
    passes
}

fn judged(step: &Step, delivered: &[Option<Measurement>]) -> Verdict {
    let delivered: Vec<Measurement> = delivered.iter().flatten().cloned().collect();
    step_verdict(&step.measurements, &delivered, Verdict::Pass)
}

fn inside(limits: &Limits) -> Option<f64> {
    limits.min.or(limits.max)
}

/// Returns the reading in every form that must not pass. A limit with no number beyond it limits nothing.
fn spoilt(spec: &MeasurementSpec) -> Vec<(&'static str, Option<Measurement>)> {
    let with = |reading| Some(measured(spec, reading));
    let beyond = |limit: Option<f64>, next: fn(f64) -> f64| limit.map(|limit| with(Some(next(limit))));
    let mut ways = vec![
        ("missing", None),
        ("without a reading", with(None)),
        ("not a number", with(Some(f64::NAN))),
        ("infinite", with(Some(f64::INFINITY))),
        (
            "taken under another name",
            with(inside(&spec.limits))
                .map(|measurement| Measurement { name: format!("{} ", measurement.name), ..measurement }),
        ),
    ];
    // No number is beyond an infinite limit; the largest existing number passes and is reported.
    ways.extend(beyond(spec.limits.min, |min| min.next_down().max(f64::MIN)).map(|reading| ("too low", reading)));
    ways.extend(beyond(spec.limits.max, |max| max.next_up().min(f64::MAX)).map(|reading| ("too high", reading)));
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MeasurementUnit, OnFail};
    use std::time::Duration;

    fn step(specs: &[(&str, Limits)]) -> Step {
        let spec = |(name, limits): &(&str, Limits)| MeasurementSpec {
            name: (*name).to_owned(),
            unit: MeasurementUnit::Volts,
            limits: *limits,
            contacts: Vec::new(),
        };
        Step {
            id: "s".into(),
            kind: "test".into(),
            title: "s".into(),
            needs: Vec::new(),
            after: Vec::new(),
            uses: Vec::new(),
            shares: Vec::new(),
            timeout: Duration::from_secs(1),
            retry: 0,
            on_fail: OnFail::Stop,
            measurements: specs.iter().map(spec).collect(),
        }
    }

    #[test]
    fn silent_passes_are_reported() {
        let good = Limits::between(0.0, 1.0);
        type Row<'a> = (&'a str, Vec<(&'a str, Limits)>, Option<&'a str>);
        let rows: [Row<'_>; 8] = [
            ("sound", vec![("a", good), ("b", Limits::at_least(2.0)), ("c", Limits::exactly(1.0))], None),
            ("nothing required", vec![], Some("requires no measurement")),
            ("promised twice", vec![("a", good), ("a", good)], Some("a is promised twice")),
            ("no limits", vec![("a", Limits { min: None, max: None })], Some("a could be inside no limits at all")),
            ("crossed", vec![("a", Limits::between(1.0, 0.0))], Some("a could be inside no limits at all")),
            ("not a number", vec![("a", Limits::at_most(f64::NAN))], Some("a could be")),
            ("endless above", vec![("a", Limits::between(0.0, f64::INFINITY))], Some("too high")),
            ("endless below", vec![("a", Limits::at_least(f64::NEG_INFINITY))], Some("a could be")),
        ];
        for (what, specs, expected) in rows {
            let passes = silent_passes(&[step(&specs)]);
            match expected {
                None => assert!(passes.is_empty(), "{what}: {passes:?}"),
                Some(part) => assert!(passes.iter().any(|text| text.contains(part)), "{what}: {passes:?}"),
            }
        }
    }
}
