//! A module that makes its own 3V3: battery and USB feed a charger's system rail, a converter behind it makes 3V3 while
//! its enable input is high. Modules whose 3V3 is an input have none of it.
//!
//! Simplified: the charger's own converter is a voltage drop, so its input current equals its output current, and it
//! does not charge. The 3V3 converter has an efficiency and a current limit.

use super::build::Sketch;
use super::elements::Parts as _;
use super::spice::Deck;
use super::{Supply, Wiring};
use crate::netlist::{Edge, Node, Values, Voltages};
use crate::random::{Purpose, Random};

/// Output of the 3V3 converter: 2 % (usual for its kind), and its remaining output resistance.
const OUT_VOLTS: f64 = 3.3;
const OUT_SPREAD: f64 = 0.01;
const OUT_OHMS: f64 = 0.05;
/// Boron data sheet: 1 A.
const LIMIT_AMPS: f64 = 1.0;
const EFFICIENCY: f64 = 0.9;
/// While the input is below the target output, the switch stays closed and the output follows the input.
const SWITCH_OHMS: f64 = 0.3;
/// Thresholds of the enable input: on, off.
const ENABLE_VOLTS: f64 = 1.0;
const DISABLE_VOLTS: f64 = 0.4;
/// Pull-up of the enable input to the system rail, as the module's file says.
const ENABLE_PULL_OHMS: f64 = 100e3;
/// Changes of the input current below this are ignored.
const SETTLED_AMPS: f64 = 1e-6;

/// Battery to system rail: a transistor. USB to system rail: drops 5 V to about 3.8 V.
pub(super) const BATTERY_PATH: (f64, f64) = (0.01, 0.06);
pub(super) const USB_PATH: (f64, f64) = (1.1, 0.1);

pub(super) struct Regulator {
    system: Node,
    enable: Node,
    /// From the system rail to the output.
    switch: Edge,
    volts: f64,
}

/// Mode of the converter in a solution.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Converting {
    supply: Option<Supply>,
    /// The input is too low to regulate.
    passes: bool,
    /// Current from the system rail in addition to the output current.
    input_amps: f64,
    /// The converter removed its own enable in this solution: a real one would retry endlessly and be off most of the
    /// time.
    failed: bool,
}

impl Converting {
    fn is_on(self) -> bool {
        self.passes || self.supply.is_some()
    }

    /// Allows a retry in a new solution.
    pub(super) fn forget_failure(&mut self) {
        self.failed = false;
    }
}

impl Regulator {
    pub(super) fn new(system: Node, enable: Node, output: Node, seed: u64, sketch: &mut Sketch) -> Self {
        let mut random = Random::new(seed, Purpose::Regulator);
        sketch.resistor(enable, system, random.within(ENABLE_PULL_OHMS, 0.05), "pull-up of the enable input");
        let switch = sketch.edge(system, output);
        Self { system, enable, switch, volts: random.within(OUT_VOLTS, OUT_SPREAD) }
    }

    /// Adds the converter.
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

    /// Writes the converter in its present mode. The input current follows from the output current.
    pub(super) fn describe(&self, deck: &mut Deck<'_>, wiring: &Wiring, state: Converting) {
        let (output, ground) = (&wiring.nets[wiring.logic], wiring.ground);
        let (system, out, zero) = (deck.name(self.system), deck.name(output.node), deck.name(ground));
        // The converter only works far above 1 V; the other solver may cross 0 V while it searches.
        let share = format!("min(V({out},{zero})/({EFFICIENCY:e}*max(V({system},{zero}),1)),1)");
        let regulated = format!("({:e}-V({out},{zero}))/{OUT_OHMS:e}*{share}", self.volts);
        match state.supply {
            _ if state.passes => deck.resistor(self.switch, SWITCH_OHMS, "closed switch of the converter"),
            Some(Supply::Regulates) => {
                let what = "output of the converter";
                deck.battery(output.to_ground, output.node, ground, self.volts, OUT_OHMS, what);
                deck.formula(self.system, ground, &regulated, "input of the converter");
            }
            Some(Supply::Limits) => {
                deck.formula(ground, output.node, &format!("{LIMIT_AMPS:e}"), "output of the converter, limited");
                deck.formula(self.system, ground, &format!("{LIMIT_AMPS:e}*{share}"), "input of the converter");
            }
            Some(Supply::Blocks) | None => {}
        }
    }

    /// Whether the present mode is consistent with these voltages, within this tolerance.
    #[cfg(test)]
    pub(super) fn agrees(&self, at: impl Fn(Node) -> f64, wiring: &Wiring, state: Converting, slack: f64) -> bool {
        let ground = at(wiring.ground);
        let (system, out) = (at(self.system) - ground, at(wiring.nets[wiring.logic].node) - ground);
        let enable = at(self.enable) - ground;
        if !state.is_on() {
            return state.failed || enable < ENABLE_VOLTS + slack;
        }
        let amps = (self.volts - out) / OUT_OHMS;
        let slack_amps = slack / OUT_OHMS;
        let right = match state.supply {
            _ if state.passes => out < self.volts + slack,
            Some(Supply::Regulates) => (-slack_amps..LIMIT_AMPS + slack_amps).contains(&amps),
            Some(Supply::Limits) => amps > LIMIT_AMPS - slack_amps,
            Some(Supply::Blocks) | None => amps < slack_amps,
        };
        enable > DISABLE_VOLTS - slack
            && right
            && (state.passes || system > self.volts - slack || out > self.volts - slack)
    }

    /// Mode of the converter at these voltages. `settled`: everything else agrees with these voltages.
    pub(super) fn wanted(&self, volts: &Voltages, wiring: &Wiring, state: Converting, settled: bool) -> Converting {
        if state.failed {
            return state;
        }
        let ground = volts.at(wiring.ground);
        let system = volts.at(self.system) - ground;
        let output = volts.at(wiring.nets[wiring.logic].node) - ground;
        let enabling = if state.is_on() { DISABLE_VOLTS } else { ENABLE_VOLTS };
        if volts.at(self.enable) - ground < enabling {
            return Converting { failed: state.is_on() && settled, ..Converting::default() };
        }
        // The two conditions overlap. An output that something else holds up is not driven.
        let is_low = output < self.volts && (state.passes || system < self.volts);
        if is_low {
            return Converting { passes: true, ..Converting::default() };
        }
        let amps = (self.volts - output) / OUT_OHMS;
        // The voltages of an idle converter do not show what it will deliver.
        let Some(before) = state.supply else {
            return Converting { supply: Some(Supply::Regulates), ..Converting::default() };
        };
        let supply = match before {
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
        // Never more than the output current: the switch is open for a part of the time. So passing begins where
        // converting ends.
        let input_amps = out * (output.max(0.0) / (EFFICIENCY * system)).min(1.0);
        if supply != before {
            return Converting { supply: Some(supply), ..state };
        }
        let unchanged = (input_amps - state.input_amps).abs() < SETTLED_AMPS;
        Converting {
            supply: Some(supply),
            input_amps: if unchanged { state.input_amps } else { input_amps },
            ..Converting::default()
        }
    }
}
