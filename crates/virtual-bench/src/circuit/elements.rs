//! The parts of the network, one after the other, for the solver or a description.

use super::FixedParts;
use crate::netlist::{Edge, Node, Values};

/// Takes parts. The last argument names the part.
pub(super) trait Parts {
    fn resistor(&mut self, edge: Edge, ohms: f64, what: &'static str);
    /// A voltage against the reference behind a resistance.
    fn driver(&mut self, node: Node, volts: f64, ohms: f64, what: &'static str);
    /// A current into a node.
    fn current(&mut self, node: Node, amps: f64, what: &'static str);
    /// A voltage source in series with a resistance: no current flows when `from` is `volts` above `to`.
    fn battery(&mut self, edge: Edge, from: Node, to: Node, volts: f64, ohms: f64, what: &'static str);
}

impl Parts for Values {
    fn resistor(&mut self, edge: Edge, ohms: f64, _: &'static str) {
        Values::resistor(self, edge, ohms);
    }
    fn driver(&mut self, node: Node, volts: f64, ohms: f64, _: &'static str) {
        Values::driver(self, node, volts, ohms);
    }
    fn current(&mut self, node: Node, amps: f64, _: &'static str) {
        Values::current(self, node, amps);
    }
    fn battery(&mut self, edge: Edge, from: Node, to: Node, volts: f64, ohms: f64, _: &'static str) {
        Values::battery(self, edge, from, to, volts, ohms);
    }
}

impl FixedParts {
    pub(super) fn add(&self, parts: &mut impl Parts) {
        self.resistors.iter().for_each(|&(edge, ohms, what)| parts.resistor(edge, ohms, what));
        self.leaks.iter().for_each(|&(node, ohms, what)| parts.driver(node, 0.0, ohms, what));
    }
}
