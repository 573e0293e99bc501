//! The module's NFC antenna: conversion of a reader's field to voltage at the chip's pads.
//!
//! Coil and capacitors resonate at the carrier, balanced around ground. The resistances determine the quality of each
//! half of the resonator: in series those of coil, switches, nails and joints, in parallel the chip's load and
//! everything else at its pad. They come from the network, which is solved with a small current through the antenna's
//! place.
//!
//! Assumption without a source: the tuning capacitors are on the module, as in the chip's reference design.

use super::elements::Parts;
use super::{Circuit, Trial};
use crate::netlist::{Edge, Node};
use crate::random::{Purpose, Random};

/// Reactance of coil and capacitors at the carrier: 1.4 uH at 13.56 MHz.
const REACTANCE_OHMS: f64 = 120.0;
/// Resistance of the coil, three turns.
const COIL_OHMS: f64 = 0.8;
/// Load of the chip on the antenna during communication.
const CHIP_OHMS: f64 = 1.5e3;
/// Quality with all of these and two switches.
const USUAL_QUALITY: f64 = 8.0;
/// Share of the strongest field that the chip needs in a resonator of this quality.
const NEEDED_FIELD: f64 = 0.286;
/// Tolerance of the capacitors (5 %) and of the chip's own capacitance detunes the resonance.
const TUNING: (f64, f64) = (0.9, 1.0);
/// The same with a capacitor of a wrong value, and without any. Test current through the antenna's place, to find its
/// resistances.
const TEST_AMPS: f64 = 1e-6;

/// Where the antenna is.
pub(super) struct Antenna {
    pub coil: Option<CoilWires>,
    tuning: f64,
    /// Field that the chip needs in the usual resonator.
    needed: f64,
}

/// A coil of the fixture.
pub(super) struct CoilWires {
    pub nails: [Node; 2],
    /// Between the nails.
    pub edge: Edge,
    /// Of both switches together.
    pub switch_ohms: f64,
    pub pads: [Node; 2],
    /// From each pad to the module's ground.
    pub loads: [Edge; 2],
}

impl Antenna {
    pub fn new(coil: Option<CoilWires>, seed: u64, damage: f64) -> Self {
        let mut random = Random::new(seed, Purpose::Antenna);
        let tuning = random.between(TUNING.0, TUNING.1);
        Self { coil, tuning: tuning * damage, needed: random.within(NEEDED_FIELD, 0.12) }
    }
}

impl Circuit {
    /// Whether the chip sees a reader's field of this strength, a share of the strongest one.
    pub fn nfc_reaches(&mut self, field: f64) -> bool {
        if field <= 0.0 {
            return false;
        }
        let Some(antenna) = &self.wiring.antenna else { return false };
        let (tuning, needed) = (antenna.tuning, antenna.needed);
        field * tuning * self.nfc_quality() / USUAL_QUALITY >= needed
    }

    fn nfc_quality(&mut self) -> f64 {
        let Some(coil) = self.wiring.antenna.as_ref().and_then(|antenna| antenna.coil.as_ref()) else {
            return quality(COIL_OHMS, CHIP_OHMS);
        };
        if !self.commands.nfc {
            return 0.0;
        }
        let (nails, pads, switch_ohms) = (coil.nails, coil.pads, coil.switch_ohms);
        let [forth, back] =
            [TEST_AMPS, -TEST_AMPS].map(|amps| self.solve_trial(Trial { nfc: Some(amps), ..Trial::default() }));
        let ohms = |node: Node| (forth.at(node) - back.at(node)) / (2.0 * TEST_AMPS);
        let across = |nodes: [Node; 2]| (ohms(nodes[0]) - ohms(nodes[1])).abs();
        let in_series = (across(nails) - across(pads)).max(0.0) + COIL_OHMS + switch_ohms;
        // A half of the resonator has half of everything.
        let halves = pads.map(|pad| quality(in_series, 2.0 * ohms(pad).abs()));
        halves.iter().sum::<f64>() / 2.0
    }

    pub(super) fn add_nfc(&self, values: &mut impl Parts, trial: Trial) {
        let Some(coil) = self.wiring.antenna.as_ref().and_then(|antenna| antenna.coil.as_ref()) else { return };
        if !self.commands.nfc {
            return;
        }
        match trial.nfc {
            None => values.resistor(coil.edge, COIL_OHMS + coil.switch_ohms, "coil of the NFC antenna"),
            Some(amps) => {
                values.current(coil.nails[0], amps, "test current through the antenna");
                values.current(coil.nails[1], -amps, "test current through the antenna");
                coil.loads.iter().for_each(|load| values.resistor(*load, CHIP_OHMS / 2.0, "NFC tag of the chip"));
            }
        }
    }
}

/// Quality of a resonator with these resistances in series and in parallel with its coil.
fn quality(series_ohms: f64, parallel_ohms: f64) -> f64 {
    1.0 / (series_ohms / REACTANCE_OHMS + REACTANCE_OHMS / parallel_ohms.max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use crate::circuit::Circuit;
    use crate::testing::{boron, dut, fixture};

    /// Weakest of the reader's 63 steps that reaches the chip.
    fn weakest(model: &str, seed: u64, faults: &[&str], joined: bool) -> Option<u8> {
        let (family, fixture) = if model == "boron" { boron() } else { (dut("b4xx"), fixture()) };
        let faults: Vec<crate::Fault> = faults.iter().map(|text| text.parse().unwrap()).collect();
        let mut circuit = Circuit::new(&fixture, &family, seed, &crate::fault::Defects::of(&faults));
        let mut commands = circuit.commands().clone();
        commands.nfc = joined;
        circuit.command(commands, 0);
        (1..=63).find(|steps| circuit.nfc_reaches(f64::from(*steps) / (f64::from(*steps) + 20.0)))
    }

    #[test]
    fn good_modules_need_little_and_a_coil_that_is_off_is_none() {
        for (model, least, most) in [("b4xx", 6, 13), ("boron", 4, 7)] {
            let all: Vec<u8> = (1..=200).map(|seed| weakest(model, seed, &[], true).unwrap()).collect();
            let (low, high) = (all.iter().min().unwrap(), all.iter().max().unwrap());
            assert!(*low >= least && *high <= most, "{model}: {low} to {high}");
        }
        assert_eq!(weakest("b4xx", 1, &[], false), None);
    }

    #[test]
    fn what_is_wrong_at_the_pads_weakens_the_field_or_kills_it() {
        // More than the plans allow, or no field at all.
        for fault in [
            "open:17",
            "open:19",
            "short:17-19",
            "short:17-19@100",
            "cold:17",
            "esd:17@50",
            "short:15-17",
            "short:17-gnd",
            "empty-nest",
            "nfc-antenna",
            "nfc-detuned",
        ] {
            for seed in 1..=10 {
                let steps = weakest("b4xx", seed, &[fault], true);
                assert!(steps.is_none_or(|steps| steps >= 18), "{fault}, seed {seed}: {steps:?}");
            }
        }
        for fault in ["nfc-antenna", "nfc-detuned"] {
            for seed in 1..=50 {
                let steps = weakest("boron", seed, &[fault], true);
                assert!(steps.is_none_or(|steps| steps >= 10), "{fault}, seed {seed}: {steps:?}");
            }
        }
        // A coil has no direction, and other contacts have no part in it.
        for fault in ["swap:17-19", "open:23", "short:23-gnd"] {
            assert!(weakest("b4xx", 1, &[fault], true).unwrap() <= 13, "{fault}");
        }
    }
}
