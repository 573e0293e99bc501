//! The modem in the network: its current, and its outputs at the contacts.

use super::Circuit;
use super::build::{SIM_SUPPLY, Sketch};
use super::elements::Parts;
use super::parts::SIM_SUPPLY_OFF_OHMS;
use crate::modem::ModemLoad;
use crate::netlist::{Edge, Node};
use bench_plan::{ContactInfo, DutFamily, Function, SupplyRole};
use bench_run::Contact;
use std::collections::BTreeMap;

/// Voltage to which the modem's current refers.
const LOAD_VOLTS: f64 = 3.8;
/// A card of class C (ISO/IEC 7816-3), and the regulator that feeds it.
const SIM_VOLTS: f64 = 1.8;
const SIM_SUPPLY_OHMS: f64 = 0.5;
/// Output stages of the modem.
const DRIVER_OHMS: f64 = 50.0;
/// Pull-up of an attached full-speed device, and its supply.
const USB_PULL_UP_OHMS: f64 = 1.5e3;
const USB_VOLTS: f64 = 3.3;
const RI_VOLTS: f64 = 1.8;
/// Smallest change of the current that causes a new solution of the network.
const WORTH_IT: f64 = 0.02;

/// Nodes that the modem drives; modules without such contacts have none.
pub(super) struct ModemPins {
    /// Net that feeds it: index in the list of nets.
    supply: Option<usize>,
    sim_supply: Option<(Node, Edge)>,
    sim_reset: Option<Node>,
    sim_clock: Option<Node>,
    usb_plus: Option<Node>,
    usb_supply: Option<usize>,
    ring: Option<Node>,
}

impl ModemPins {
    pub fn new(
        dut: &DutFamily,
        module: &BTreeMap<Contact, Node>,
        net: impl Fn(SupplyRole) -> Option<usize>,
        ground: Node,
        sketch: &mut Sketch,
    ) -> Self {
        let at = |is: &dyn Fn(&ContactInfo) -> bool| {
            let info = dut.contacts.iter().find(|info| is(info))?;
            module.get(&info.contact).copied()
        };
        let sim_line = |role: &str| at(&|info| info.roles.get(&Function::Sim).is_some_and(|own| own == role));
        let has = |info: &ContactInfo, function| info.functions.contains(&function);
        let sim_supply = sim_line(SIM_SUPPLY);
        Self {
            supply: net(SupplyRole::Modem).or_else(|| net(SupplyRole::Battery)),
            sim_supply: sim_supply.map(|node| (node, sketch.edge(node, ground))),
            sim_reset: sim_line("RST"),
            sim_clock: sim_line("CLK"),
            usb_plus: at(&|info| has(info, Function::ModemUsb) && info.pin.ends_with('+')),
            usb_supply: net(SupplyRole::ModemUsb),
            ring: at(&|info| has(info, Function::ModemRi)),
        }
    }
}

impl Circuit {
    /// Takes the state of the modem.
    pub fn set_modem(&mut self, load: ModemLoad) {
        let before = self.modem;
        let drifted = (load.amps - before.amps).abs() > WORTH_IT * before.amps.max(1e-6);
        if drifted || (ModemLoad { amps: 0.0, ..load }) != (ModemLoad { amps: 0.0, ..before }) {
            self.modem = load;
            self.touch();
        }
    }

    /// Voltages at the modem's supply and at its USB supply.
    pub fn modem_volts(&mut self) -> (f64, f64) {
        let (supply, usb) = (self.wiring.modem.supply, self.wiring.modem.usb_supply);
        let mut at = |net: Option<usize>| match net {
            Some(net) => {
                let (node, ground) = (self.wiring.nets[net].node, self.wiring.ground);
                let volts = self.solved();
                volts.at(node) - volts.at(ground)
            }
            None => 0.0,
        };
        (at(supply), at(usb))
    }

    pub(super) fn add_modem(&self, values: &mut impl Parts) {
        let (pins, load) = (&self.wiring.modem, &self.modem);
        if let Some(net) = pins.supply.filter(|_| load.amps > 0.0) {
            values.resistor(self.wiring.nets[net].to_ground, LOAD_VOLTS / load.amps, "modem");
        }
        match (pins.sim_supply, load.sim_on) {
            (Some((_, to_ground)), false) => {
                values.resistor(to_ground, SIM_SUPPLY_OFF_OHMS, "supply of the SIM, off");
            }
            (Some((node, _)), true) => values.driver(node, SIM_VOLTS, SIM_SUPPLY_OHMS, "supply of the SIM"),
            (None, _) => {}
        }
        if load.sim_on {
            // The card is out of reset, and its clock stopped between two commands.
            pins.sim_reset.iter().for_each(|node| values.driver(*node, SIM_VOLTS, DRIVER_OHMS, "reset of the SIM"));
            pins.sim_clock.iter().for_each(|node| values.driver(*node, 0.0, DRIVER_OHMS, "clock of the SIM"));
        }
        if let Some(node) = pins.usb_plus.filter(|_| load.usb_attached) {
            values.driver(node, USB_VOLTS, USB_PULL_UP_OHMS, "pull-up of the modem's USB");
        }
        if let (Some(node), Some(high)) = (pins.ring, load.ri_high) {
            let volts = if high { RI_VOLTS } else { 0.0 };
            values.driver(node, volts, DRIVER_OHMS, "RI of the modem");
        }
    }
}
