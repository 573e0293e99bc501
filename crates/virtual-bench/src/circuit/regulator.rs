//! A module that makes its own 3V3: battery and USB feed a charger's system rail, a converter behind it makes 3V3 while
//! its enable input is high. Modules whose 3V3 is an input have none of it.
//!
//! Simpler than the parts are: the charger's own converter is a drop, so its input current equals its output current,
//! and it charges nothing. The 3V3 converter has an efficiency and a current limit.

use super::build::Sketch;
use super::{Supply, Wiring};
use crate::netlist::{Edge, Node, Values, Voltages};
use crate::random::{Purpose, Random};

/// Output of the 3V3 converter: 2 % (usual for its kind), and what is left of its output resistance.
const OUT_VOLTS: f64 = 3.3;
const OUT_SPREAD: f64 = 0.01;
const OUT_OHMS: f64 = 0.05;
/// Boron data sheet: 1 A.
const LIMIT_AMPS: f64 = 1.0;
const EFFICIENCY: f64 = 0.9;
/// What the converter needs above its output. With less its switch stays closed: the output follows the input.
const DROPOUT_VOLTS: f64 = 0.1;
const SWITCH_OHMS: f64 = 0.3;
/// The enable input switches here.
const ENABLE_VOLTS: f64 = 1.0;
/// Pull-up of the enable input to the system rail, as the module's file says.
const ENABLE_PULL_OHMS: f64 = 100e3;
/// A change of the input current below this is none.
const SETTLED_AMPS: f64 = 1e-6;

/// Between battery and system rail: a transistor. Between USB and system rail: 5 V become about 3.8 V.
pub(super) const BATTERY_PATH: (f64, f64) = (0.01, 0.06);
pub(super) const USB_PATH: (f64, f64) = (1.1, 0.1);

pub(super) struct Regulator {
    system: Node,
    enable: Node,
    /// From the system rail to the output.
    switch: Edge,
    volts: f64,
}

/// What the converter does in a solution.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Converting {
    supply: Option<Supply>,
    /// The input is too low to regulate.
    passes: bool,
    /// Out of the system rail, beside what passes.
    input_amps: f64,
}

impl Regulator {
    pub(super) fn new(system: Node, enable: Node, output: Node, seed: u64, sketch: &mut Sketch) -> Self {
        let mut random = Random::new(seed, Purpose::Regulator);
        sketch.resistor(enable, system, random.within(ENABLE_PULL_OHMS, 0.05));
        let switch = sketch.edge(system, output);
        Self { system, enable, switch, volts: random.within(OUT_VOLTS, OUT_SPREAD) }
    }

    /// Adds what the converter does.
    pub(super) fn add(&self, values: &mut Values, wiring: &Wiring, state: Converting) {
        let output = &wiring.nets[wiring.logic];
        if state.passes {
            values.resistor(self.switch, SWITCH_OHMS);
            return;
        }
        match state.supply {
            Some(Supply::Regulates) => {
                values.battery(output.to_ground, output.node, wiring.ground, self.volts, OUT_OHMS);
            }
            Some(Supply::Limits) => {
                values.current(output.node, LIMIT_AMPS);
                values.current(wiring.ground, -LIMIT_AMPS);
            }
            Some(Supply::Blocks) | None => {}
        }
        values.current(self.system, -state.input_amps);
        values.current(wiring.ground, state.input_amps);
    }

    /// What the converter would do at these voltages.
    pub(super) fn wanted(&self, volts: &Voltages, wiring: &Wiring, state: Converting) -> Converting {
        let ground = volts.at(wiring.ground);
        let system = volts.at(self.system) - ground;
        let output = volts.at(wiring.nets[wiring.logic].node) - ground;
        if volts.at(self.enable) - ground < ENABLE_VOLTS {
            return Converting::default();
        }
        let is_low = if state.passes { output < self.volts } else { system < self.volts + DROPOUT_VOLTS };
        if is_low {
            return Converting { passes: true, ..Converting::default() };
        }
        let amps = (self.volts - output) / OUT_OHMS;
        let supply = match state.supply.unwrap_or(Supply::Regulates) {
            Supply::Regulates if amps > LIMIT_AMPS => Supply::Limits,
            Supply::Regulates if amps < -1e-9 => Supply::Blocks,
            Supply::Limits if amps < LIMIT_AMPS => Supply::Regulates,
            Supply::Blocks if amps > 1e-9 => Supply::Regulates,
            same => same,
        };
        let out = match supply {
            Supply::Regulates => amps.clamp(0.0, LIMIT_AMPS),
            Supply::Limits => LIMIT_AMPS,
            Supply::Blocks => 0.0,
        };
        let input_amps = out * output.max(0.0) / (EFFICIENCY * system);
        let settled = (input_amps - state.input_amps).abs() < SETTLED_AMPS;
        Converting {
            supply: Some(supply),
            passes: false,
            input_amps: if settled { state.input_amps } else { input_amps },
        }
    }
}
