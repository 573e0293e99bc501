//! The capacitors of the supplies: stepped while they charge or discharge, omitted once they are settled.

use super::solve::Capacitors;
use super::{Circuit, Conducting, Wiring};
use crate::netlist::Voltages;

/// A capacitor further than this from its final voltage is stepped, volts.
const DISTURBED_VOLTS: f64 = 0.005;
/// A capacitor nearer than this has settled, volts.
const SETTLED_VOLTS: f64 = 0.0003;
const FIRST_STEP_NS: u64 = 20_000;
const LONGEST_STEP_NS: u64 = 20_000_000;
/// Steps grow with the time since the disturbance: an exponential needs no fine steps late.
const STEPS_PER_AGE: u64 = 32;
/// Steps during the rise of a supply.
const STEPS_PER_RISE: u64 = 32;

/// A disturbance under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transient {
    began_ns: u64,
    last_ns: u64,
    next_ns: u64,
}

/// Final voltages if nothing changes, and the state they were computed from. Cached, because every step of a transient
/// needs them.
#[derive(Debug)]
pub(super) struct Rest {
    inputs: u64,
    /// What conducted when the search began.
    before: Conducting,
    conducting: Conducting,
    volts: Voltages,
}

impl Circuit {
    /// When [`Circuit::step`] must be called next.
    pub fn next_step_ns(&self) -> Option<u64> {
        self.transient.map(|transient| transient.next_ns)
    }

    /// Starts stepping if the last change disturbed a capacitor.
    pub fn settle(&mut self, at_ns: u64) {
        if self.transient.is_some() {
            if self.dirty {
                self.advance_capacitors(at_ns);
                self.begin(at_ns);
            }
            return;
        }
        self.now_ns = at_ns;
        if !self.dirty {
            return;
        }
        let rising = self.is_rising();
        if rising || self.distance_to_rest() > DISTURBED_VOLTS {
            self.begin(at_ns);
            self.touch_charge();
        } else {
            self.rest_now();
        }
    }

    /// Applies port changes of a running chip to the capacitors without shortening the steps: the changes are many and
    /// disturb little.
    pub fn settle_ports(&mut self, at_ns: u64) {
        if self.transient.is_none() {
            self.settle(at_ns);
        }
    }

    /// Steps to `at_ns` if a step is due.
    pub fn step(&mut self, at_ns: u64) {
        let Some(transient) = self.transient else { return };
        if at_ns < transient.next_ns {
            return;
        }
        self.advance_capacitors(at_ns);
        if !self.is_rising() && self.distance_to_rest() < SETTLED_VOLTS {
            self.transient = None;
            self.touch_charge();
            self.rest_now();
        } else if let Some(mut transient) = self.transient {
            transient.next_ns = at_ns + self.step_ns(at_ns - transient.began_ns);
            self.transient = Some(transient);
        }
    }

    /// Updates the capacitors between two steps, so that two measurements in a row see the voltage move.
    pub fn catch_up(&mut self, at_ns: u64) {
        self.advance_capacitors(at_ns);
    }

    fn begin(&mut self, at_ns: u64) {
        self.transient = Some(Transient { began_ns: at_ns, last_ns: at_ns, next_ns: at_ns + self.step_ns(0) });
    }

    fn step_ns(&self, age_ns: u64) -> u64 {
        let step = (age_ns / STEPS_PER_AGE).clamp(FIRST_STEP_NS, LONGEST_STEP_NS);
        let rise = |rail: &super::RailParts| (rail.rise_ns / STEPS_PER_RISE).max(FIRST_STEP_NS);
        match self.is_rising() {
            true => self.wiring.rails.iter().map(rise).fold(step, u64::min),
            false => step,
        }
    }

    /// One step of implicit Euler from the last one to now.
    fn advance_capacitors(&mut self, at_ns: u64) {
        let Some(mut transient) = self.transient else { return };
        let span = at_ns.saturating_sub(transient.last_ns);
        self.now_ns = at_ns;
        if span == 0 {
            return;
        }
        let mut volts = Voltages::default();
        let mut conducting = self.conducting.clone();
        self.solve(Capacitors::Step(span as f64 * 1e-9), Default::default(), &mut conducting, &mut volts);
        let ground = volts.at(self.wiring.ground);
        for (charge, net) in self.charge.iter_mut().zip(&self.wiring.nets) {
            *charge = volts.at(net.node) - ground;
        }
        self.conducting = conducting;
        transient.last_ns = at_ns;
        self.transient = Some(transient);
        self.touch_charge();
    }

    /// Largest distance of a capacitor from its final voltage, volts. No supply rises meanwhile.
    fn distance_to_rest(&mut self) -> f64 {
        let rest = self.take_rest();
        let ground = rest.volts.at(self.wiring.ground);
        let way = |(charge, net): (&f64, &super::Net)| (rest.volts.at(net.node) - ground - charge).abs();
        let distance = self.charge.iter().zip(&self.wiring.nets).map(way).fold(0.0, f64::max);
        self.rest = Some(rest);
        distance
    }

    fn take_rest(&mut self) -> Rest {
        if let Some(rest) = self.rest.take_if(|rest| rest.inputs == self.inputs && rest.before == self.conducting) {
            return rest;
        }
        let mut volts = Voltages::default();
        let mut conducting = self.conducting.clone();
        self.solve(Capacitors::Open, Default::default(), &mut conducting, &mut volts);
        Rest { inputs: self.inputs, before: self.conducting.clone(), conducting, volts }
    }

    /// Solves for the present instant with everything at rest. Reuses the solution of [`Circuit::distance_to_rest`].
    fn rest_now(&mut self) {
        let rest = self.take_rest();
        self.levels = self.wiring.levels_in(&rest.volts);
        self.charge = self.wiring.charges_in(&rest.volts);
        (self.volts, self.conducting, self.dirty) = (rest.volts, rest.conducting, false);
    }
}

impl Wiring {
    pub(super) fn charges_in(&self, volts: &Voltages) -> Vec<f64> {
        let ground = volts.at(self.ground);
        self.nets.iter().map(|net| volts.at(net.node) - ground).collect()
    }
}
