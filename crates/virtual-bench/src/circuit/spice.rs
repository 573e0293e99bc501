//! The network in its present state as a SPICE deck, so that another solver can check this one.
//!
//! The linear parts are those of the solver, one by one. The states of the one-way parts are not taken from the solver:
//! each part is a source whose current follows its own voltage, with the same knee, so that the other solver decides
//! which of them conduct. The exception is the converter of a module that makes its own 3V3, whose mode is taken over:
//! as a formula it would keep the other solver from converging, and its enable depends on its past.

use super::elements::Parts;
use super::parts::{OVERLOAD_KNEE_VOLTS, POWER_ON_VOLTS};
use super::solve::Capacitors;
use super::{Circuit, NailCommand, Trial};
use crate::fault::Defects;
use crate::netlist::{Edge, Netlist, Node};
use bench_plan::{DutFamily, Fixture};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use virtual_nrf52840::Ports;

/// How long a module needs until its supplies have settled.
const SETTLING_NS: u64 = 10_000_000_000;
/// Node voltages in one line of `.print`.
const PER_LINE: usize = 6;

/// A deck under way.
pub(super) struct Deck<'c> {
    netlist: &'c Netlist,
    /// By node.
    names: Vec<String>,
    /// Voltages against the reference, each a source of its own.
    sources: Vec<f64>,
    parts: usize,
    text: String,
}

/// The deck of a good module of this family: all supplies on, all feeds closed, the chip runs and drives nothing.
pub fn good_module(fixture: &Fixture, dut: &DutFamily, seed: u64) -> String {
    let fixture = &*crate::desk::as_wired(fixture, dut);
    let mut circuit = Circuit::on_bench(fixture, dut, seed, &Defects::default(), &Default::default());
    circuit.power_up();
    circuit.spice(&format!("{} with a good module of the family {}, seed {seed}", fixture.name, dut.name))
}

impl Circuit {
    /// Switches on all supplies, closes all feeds, lets everything settle and the chip run.
    fn power_up(&mut self) {
        let mut commands = self.commands.clone();
        for nail in &mut commands.nails {
            if let NailCommand::Feed(closed) = nail {
                *closed = true;
            }
        }
        commands.rails.iter_mut().for_each(|rail| rail.on_since_ns = Some(0));
        self.command(commands, 0);
        for powered in [false, true] {
            self.set_ports(&Ports { powered, ..Ports::default() });
            self.settle(self.now_ns);
            let end = self.now_ns + SETTLING_NS;
            while let Some(at) = self.next_step_ns()
                && at <= end
            {
                self.step(at);
            }
        }
    }

    /// The network as it is now.
    pub fn spice(&mut self, title: &str) -> String {
        self.solved();
        let wiring = &self.wiring;
        let capacitors = if self.transient.is_some() { Capacitors::Hold } else { Capacitors::Open };
        let mut deck = Deck {
            netlist: &wiring.netlist,
            names: readable(&wiring.names),
            sources: Vec::new(),
            parts: 0,
            text: String::new(),
        };
        deck.say(&format!("* {title}"));
        deck.say("* Made by the virtual bench. Run it with: ngspice -b FILE");
        deck.say("* What never changes");
        wiring.own.add(&mut deck);
        deck.say("* What fixture, chip and modem do now");
        self.add_linear_parts(&mut deck, capacitors, Trial::default());
        deck.say("* What conducts one way only");
        self.describe_one_way_parts(&mut deck);
        deck.finish()
    }

    fn describe_one_way_parts(&self, deck: &mut Deck<'_>) {
        let wiring = &self.wiring;
        for diode in &wiring.diodes {
            deck.one_way(diode.anode, diode.cathode, diode.volts, diode.ohms, diode.what);
        }
        for overload in &wiring.overloads {
            deck.one_way(overload.node, wiring.ground, OVERLOAD_KNEE_VOLTS, overload.ohms, "ordered: an overload");
        }
        let logic = wiring.nets[wiring.logic].node;
        let ohms = (3.3 - POWER_ON_VOLTS) / wiring.logic_amps;
        deck.one_way(logic, wiring.ground, POWER_ON_VOLTS, ohms, "current of the running module");
        for (n, rail) in wiring.rails.iter().enumerate() {
            if let Some(volts) = self.supply_volts(n) {
                deck.supply(rail.node, volts, rail.series_ohms, rail.limit_amps, "supply with its current limit");
                // Starting point of the search: the supply at half of its limit. From other points the limit can keep
                // the search from converging.
                deck.first_guess(rail.node, volts - 0.5 * rail.limit_amps * rail.series_ohms);
            }
        }
        if let Some(regulator) = &wiring.regulator {
            regulator.describe(deck, wiring, self.conducting.regulator);
        }
    }
}

impl Deck<'_> {
    fn say(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    pub(super) fn name(&self, node: Node) -> &str {
        self.names.get(node.index()).map_or("0", String::as_str)
    }

    /// A part that is written as one line: its letter, its nodes, its value.
    fn part(&mut self, letter: char, nodes: [&str; 2], value: &str, what: &str) {
        self.parts += 1;
        let [a, b] = nodes;
        let _ = writeln!(self.text, "{letter}{} {a} {b} {value} ; {what}", self.parts);
    }

    /// The node of a voltage against the reference.
    fn source(&mut self, volts: f64) -> String {
        if volts == 0.0 {
            return "0".to_owned();
        }
        let existing = self.sources.iter().position(|source| source.to_bits() == volts.to_bits());
        let at = existing.unwrap_or_else(|| {
            self.sources.push(volts);
            self.sources.len() - 1
        });
        format!("source_{at}")
    }

    /// Starting point of the other solver; the result does not depend on it.
    fn first_guess(&mut self, node: Node, volts: f64) {
        let name = self.name(node).to_owned();
        self.say(&format!(".nodeset v({name})={volts:e}"));
    }

    /// A current that follows a formula.
    pub(super) fn formula(&mut self, from: Node, to: Node, amps: &str, what: &str) {
        let (from, to) = (self.name(from).to_owned(), self.name(to).to_owned());
        self.part('B', [&from, &to], &format!("I = {amps}"), what);
    }

    fn one_way(&mut self, from: Node, to: Node, volts: f64, ohms: f64, what: &str) {
        let amps = format!("uramp(V({},{})-{volts:e})/{ohms:e}", self.name(from), self.name(to));
        self.formula(from, to, &amps, what);
    }

    /// Output current of a supply: never backwards, never above its limit.
    fn supply(&mut self, node: Node, volts: f64, ohms: f64, limit: f64, what: &str) {
        let node = self.name(node).to_owned();
        let amps = format!("I = min(uramp({volts:e}-V({node}))/{ohms:e},{limit:e})");
        self.part('B', ["0", &node], &amps, what);
    }

    fn finish(mut self) -> String {
        self.say("* Voltages that drive");
        for (n, volts) in std::mem::take(&mut self.sources).into_iter().enumerate() {
            let _ = writeln!(self.text, "Vsource_{n} source_{n} 0 {volts:e}");
        }
        // The parts are piecewise linear, so the solution is exact and the tolerances may be tight.
        self.say(".options reltol=1e-6 abstol=1e-13 vntol=1e-9 itl1=60");
        self.say(".op");
        let names = std::mem::take(&mut self.names);
        for some in names.chunks(PER_LINE) {
            let volts: Vec<String> = some.iter().map(|name| format!("v({name})")).collect();
            self.say(&format!(".print op {}", volts.join(" ")));
        }
        self.say(".end");
        self.text
    }
}

impl Parts for Deck<'_> {
    fn resistor(&mut self, edge: Edge, ohms: f64, what: &'static str) {
        let (a, b) = self.netlist.ends(edge);
        let (a, b) = (self.name(a).to_owned(), self.name(b).to_owned());
        self.part('R', [&a, &b], &format!("{ohms:e}"), what);
    }
    fn driver(&mut self, node: Node, volts: f64, ohms: f64, what: &'static str) {
        let (node, source) = (self.name(node).to_owned(), self.source(volts));
        self.part('R', [&node, &source], &format!("{ohms:e}"), what);
    }
    fn current(&mut self, node: Node, amps: f64, what: &'static str) {
        let node = self.name(node).to_owned();
        self.part('I', ["0", &node], &format!("{amps:e}"), what);
    }
    fn battery(&mut self, _: Edge, from: Node, to: Node, volts: f64, ohms: f64, what: &'static str) {
        let (from, to) = (self.name(from).to_owned(), self.name(to).to_owned());
        let between = format!("inside_{}", self.parts);
        self.part('R', [&from, &between], &format!("{ohms:e}"), what);
        self.part('V', [&between, &to], &format!("{volts:e}"), what);
    }
}

/// Valid SPICE names: lower-case letters, digits and underscores, each name once.
fn readable(names: &[String]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let clean = |name: &String| {
        let letter = |letter: char| match letter {
            '+' => "_plus".to_owned(),
            '-' => "_minus".to_owned(),
            letter if letter.is_ascii_alphanumeric() => letter.to_ascii_lowercase().to_string(),
            _ => "_".to_owned(),
        };
        let mut name: String = name.chars().map(letter).collect();
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        name
    };
    names.iter().map(clean).collect()
}

#[cfg(test)]
mod tests;
