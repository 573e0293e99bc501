//! The only place where a reading becomes a verdict.

use crate::{Limits, Measurement, MeasurementSpec, Verdict};
use std::borrow::Borrow;

/// Judges a reading. A missing or NaN reading is never a pass: it is an error of the bench.
pub fn judge(limits: &Limits, reading: Option<f64>) -> Verdict {
    match reading {
        None => Verdict::Error,
        Some(value) if !value.is_finite() => Verdict::Error,
        Some(_) if limits.min.is_none() && limits.max.is_none() => Verdict::Error,
        Some(value) => {
            let low = limits.min.is_some_and(|min| value < min);
            let high = limits.max.is_some_and(|max| value > max);
            if low || high { Verdict::Fail } else { Verdict::Pass }
        }
    }
}

/// Combines a promise with its reading.
pub fn measured(spec: &MeasurementSpec, reading: Option<f64>) -> Measurement {
    let finite = reading.filter(|value| value.is_finite());
    Measurement {
        name: spec.name.clone(),
        value: finite,
        raw: reading.filter(|value| !value.is_finite()).map(|value| value.to_string()),
        unit: spec.unit,
        limits: spec.limits,
        verdict: judge(&spec.limits, reading),
        contacts: spec.contacts.clone(),
    }
}

/// Returns the verdict of a step from all its promised and delivered measurements.
///
/// Pass is computed, never assumed: each promised measurement must be present exactly once, and pass. A step that
/// promises nothing can only pass if its procedure itself is the test (`procedure` is its result).
pub fn step_verdict<M: Borrow<Measurement>>(
    promised: &[MeasurementSpec],
    delivered: &[M],
    procedure: Verdict,
) -> Verdict {
    let mut verdict = procedure;
    for spec in promised {
        let mut matching = delivered.iter().map(Borrow::borrow).filter(|measurement| measurement.name == spec.name);
        verdict = match (matching.next(), matching.next()) {
            (Some(only), None) => verdict.and(judge(&spec.limits, only.value)),
            // Taken twice: it is undecidable which one counts.
            (Some(_), Some(_)) => verdict.and(Verdict::Error),
            // A procedure that finds the DUT bad stops early; the missing measurements are not the bench's fault.
            (None, _) if procedure == Verdict::Fail => verdict,
            (None, _) => verdict.and(Verdict::Error),
        };
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Contact, MeasurementUnit};

    #[test]
    fn readings_against_limits() {
        let inside = Limits::between(3.2, 3.4);
        let rows = [
            (inside, Some(3.3), Verdict::Pass),
            (inside, Some(3.2), Verdict::Pass),
            (inside, Some(3.4), Verdict::Pass),
            (inside, Some(3.199), Verdict::Fail),
            (inside, Some(3.401), Verdict::Fail),
            (inside, Some(f64::NAN), Verdict::Error),
            (inside, Some(f64::INFINITY), Verdict::Error),
            (inside, None, Verdict::Error),
            (Limits::at_least(1.0), Some(1e9), Verdict::Pass),
            (Limits::at_most(1.0), Some(-1e9), Verdict::Pass),
            (Limits { min: None, max: None }, Some(0.0), Verdict::Error),
        ];
        for (limits, reading, expected) in rows {
            assert_eq!(judge(&limits, reading), expected, "{reading:?} in {limits:?}");
        }
    }

    fn spec(name: &str) -> MeasurementSpec {
        MeasurementSpec {
            name: name.into(),
            unit: MeasurementUnit::Volts,
            limits: Limits::between(0.0, 1.0),
            contacts: vec![Contact(23)],
        }
    }

    #[test]
    fn what_was_promised_must_be_there() {
        let promised = [spec("a"), spec("b")];
        let good = |name: &str| measured(&spec(name), Some(0.5));
        let bad = |name: &str| measured(&spec(name), Some(2.0));
        let rows = [
            (vec![good("a"), good("b")], Verdict::Pass, Verdict::Pass),
            (vec![good("a")], Verdict::Pass, Verdict::Error),
            (vec![], Verdict::Pass, Verdict::Error),
            (vec![good("a"), bad("b")], Verdict::Pass, Verdict::Fail),
            (vec![bad("a")], Verdict::Pass, Verdict::Error),
            (vec![bad("a")], Verdict::Fail, Verdict::Fail),
            (vec![good("a"), good("b"), good("b")], Verdict::Pass, Verdict::Error),
            (vec![good("a"), good("b")], Verdict::Error, Verdict::Error),
            (vec![good("a"), good("b")], Verdict::Aborted, Verdict::Aborted),
        ];
        for (delivered, procedure, expected) in rows {
            assert_eq!(step_verdict(&promised, &delivered, procedure), expected, "{delivered:?} {procedure}");
        }
    }
}
