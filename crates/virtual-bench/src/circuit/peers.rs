//! The fixture's memories in the network: switches, pull-ups, and the outputs of the parts.
//!
//! A bus has thousands of edges but only a few different states of its lines. The levels of each state are cached while
//! a memory is joined and only ports and outputs change.

use super::elements::Parts;
use super::{Circuit, Wiring};
use crate::netlist::{Node, Voltages};
use crate::peers::{PinLevels, PinOutputs};
use std::collections::HashMap;
use std::rc::Rc;

/// Output stages of the memories: 0.4 V at 3 mA or better (their data sheets).
const OUTPUT_OHMS: f64 = 40.0;
/// Thresholds of their inputs as shares of the supply.
const INPUT_HIGH_SHARE: f64 = 0.7;
const INPUT_LOW_SHARE: f64 = 0.3;

/// One memory's connections.
pub(super) struct PeerWires {
    /// Nails of its lines.
    pub lines: Vec<Node>,
    pub switch_ohms: f64,
    pub pull_up_ohms: Option<f64>,
}

/// Levels of everything digital.
#[derive(Debug, Default)]
pub struct Levels {
    /// Of ports that reach a contact, one bit each.
    pub ports: u64,
    /// By memory, the joined ones only.
    pub peers: Vec<PinLevels>,
}

/// Key of the cached [`Levels`] while the rest of the circuit is constant: states of the ports, one bit each, and
/// outputs of the memories.
#[derive(Debug, PartialEq, Eq, Hash)]
struct State {
    driven: u64,
    high: u64,
    strong: u64,
    pulled: u64,
    pulled_up: u64,
    outputs: Vec<PinOutputs>,
}

#[derive(Debug)]
pub(super) struct Memories {
    pub outputs: Vec<PinOutputs>,
    remembered: HashMap<State, Rc<Levels>>,
}

impl Memories {
    pub fn of(count: usize) -> Self {
        Self { outputs: vec![PinOutputs::default(); count], remembered: HashMap::new() }
    }

    /// Something else has changed.
    pub fn forget(&mut self) {
        self.remembered.clear();
    }
}

impl Circuit {
    pub fn any_peer_joined(&self) -> bool {
        self.commands.peers.contains(&true)
    }

    /// Sets the outputs of a memory. Returns whether they changed.
    pub fn set_peer_outputs(&mut self, peer: usize, outputs: PinOutputs) -> bool {
        let changed = self.memories.outputs.get_mut(peer).is_some_and(|old| std::mem::replace(old, outputs) != outputs);
        if changed {
            self.touch_levels();
        }
        changed
    }

    /// Levels of ports and memories now.
    pub fn levels(&mut self) -> Rc<Levels> {
        // Thresholds follow the supply.
        if !self.any_peer_joined() || self.transient.is_some() {
            self.solved();
            return Rc::new(self.levels_in_solution());
        }
        let state = self.state();
        if let Some(levels) = self.memories.remembered.get(&state) {
            return Rc::clone(levels);
        }
        self.solved();
        let levels = Rc::new(self.levels_in_solution());
        self.memories.remembered.insert(state, Rc::clone(&levels));
        levels
    }

    fn state(&self) -> State {
        let outputs = self.memories.outputs.clone();
        let mut state = State { driven: 0, high: 0, strong: 0, pulled: 0, pulled_up: 0, outputs };
        for (n, port) in self.ports.iter().enumerate() {
            if let Some(driver) = port.driven {
                state.driven |= 1 << n;
                state.high |= u64::from(driver.level) << n;
                state.strong |= u64::from(driver.strength == virtual_nrf52840::Strength::High) << n;
            }
            state.pulled |= u64::from(port.pull != virtual_nrf52840::Pull::None) << n;
            state.pulled_up |= u64::from(port.pull == virtual_nrf52840::Pull::Up) << n;
        }
        state
    }

    fn levels_in_solution(&self) -> Levels {
        let peers = self.wiring.peers.iter().zip(&self.commands.peers);
        let levels = |(peer, &joined): (&PeerWires, &bool)| match joined {
            true => self.wiring.pin_levels(peer, &self.volts),
            false => PinLevels::default(),
        };
        Levels { ports: self.levels, peers: peers.map(levels).collect() }
    }

    pub(super) fn add_peers(&self, values: &mut impl Parts) {
        let joined = self.wiring.peers.iter().zip(&self.commands.peers).zip(&self.memories.outputs);
        for ((peer, _), outputs) in joined.filter(|((_, joined), _)| **joined) {
            for (line, &node) in peer.lines.iter().enumerate() {
                if let Some(ohms) = peer.pull_up_ohms {
                    let ohms = peer.switch_ohms + ohms;
                    values.driver(node, self.wiring.nail_volts, ohms, "pull-up of the fixture's memory");
                }
                if outputs.driven >> line & 1 == 1 {
                    let volts = if outputs.high >> line & 1 == 1 { self.wiring.nail_volts } else { 0.0 };
                    values.driver(node, volts, peer.switch_ohms + OUTPUT_OHMS, "output of the fixture's memory");
                }
            }
        }
    }
}

impl Wiring {
    fn pin_levels(&self, peer: &PeerWires, volts: &Voltages) -> PinLevels {
        let mut levels = PinLevels::default();
        for (line, &node) in peer.lines.iter().enumerate() {
            let share = volts.at(node) / self.nail_volts;
            levels.high |= u8::from(share > INPUT_HIGH_SHARE) << line;
            levels.low |= u8::from(share < INPUT_LOW_SHARE) << line;
        }
        levels
    }
}
