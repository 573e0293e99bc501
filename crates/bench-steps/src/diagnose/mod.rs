//! From a wrong reading to the contact at fault.

pub(crate) mod exchange;
pub(crate) mod held;
pub(crate) mod link;
pub(crate) mod pattern;
pub(crate) mod series;
pub(crate) mod short;

use bench_instruments::OPEN_OHMS;

/// Returns the unknown resistor of a divider whose other resistor is `known_ohms`, from the voltages over both.
pub(crate) fn divider(known_ohms: f64, over_unknown: f64, over_known: f64) -> f64 {
    // Less than this over a kiloohm is the ADC's error, not a current.
    const NOISE_VOLTS: f64 = 0.002;
    if over_known <= NOISE_VOLTS {
        return OPEN_OHMS;
    }
    (known_ohms * over_unknown / over_known).clamp(0.0, OPEN_OHMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dividers() {
        for (over_unknown, over_known, expected) in
            [(3.0, 0.3, 10_000.0), (3.3, 0.0, OPEN_OHMS), (0.0, 3.3, 0.0), (3.3, 0.001, OPEN_OHMS), (-0.001, 3.3, 0.0)]
        {
            let ohms = divider(1_000.0, over_unknown, over_known);
            assert!((ohms - expected).abs() <= expected * 1e-9, "{over_unknown} {over_known}: {ohms}");
        }
    }
}
