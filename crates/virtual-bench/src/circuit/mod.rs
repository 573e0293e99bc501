//! Fixture and module as one resistive network with a handful of capacitors.
//!
//! ```text
//! rail --feed--+                                    +--bond-- net of the module (3V3, VCC, ...)
//! ground-feed--+-- nail --contact resistance-- module side of the contact --drivers, pulls, diodes-- 3V3 and ground
//! expander-----+     |
//!                measure bus
//! ```
//! Everything is solved together: the current of a port lowers its supply, a lifted ground nail shifts the ground.
//! Switches and drivers change values, never the shape of the network. The capacitors of the supplies are the only
//! memory: they are stepped by implicit Euler while a supply moves, and leave the network once it is settled.

mod build;
mod capacitors;
mod current;
mod defects;
mod diodes;
mod elements;
mod modem;
mod nfc;
mod parts;
mod peers;
mod regulator;
mod solve;
mod spice;
mod unsettled;
mod usb;

pub(crate) use build::RESET_PORT;
pub(crate) use diodes::{is_protected, is_sim_supply};
pub use parts::FixtureTolerances;
use parts::{EXPANDER_OUTPUT_OHMS, EXPANDER_PULL_UP_OHMS};
pub use parts::{POWER_OFF_VOLTS, POWER_ON_VOLTS};
pub use spice::good_module as spice_deck;

use crate::chips::{BitState, DacOutput};
use crate::modem::ModemLoad;
use crate::netlist::{Edge, Netlist, Node, Values, Voltages, Workspace};
use bench_run::Contact;
use parts::ModuleParts;
use virtual_nrf52840::{Activity, PORT_COUNT, PortState, Ports};

/// Topology and values of the network.
struct Wiring {
    netlist: Netlist,
    /// By node.
    names: Vec<String>,
    own: FixedParts,
    /// `own` in the form that the solver takes.
    fixed: Values,
    nails: Vec<NailParts>,
    rails: Vec<RailParts>,
    nets: Vec<Net>,
    /// Ground inside the module.
    ground: Node,
    /// The net that supplies the chip.
    logic: usize,
    /// The net at the chip's USB supply pin.
    usb: Option<usize>,
    bus: Node,
    /// By port: where it leads.
    ports: Vec<Option<PortPlace>>,
    /// By AIN: the module side of its contact.
    analog: [Option<Node>; 8],
    controller_tx: LinkNail,
    controller_rx: LinkNail,
    link_cut: bool,
    /// Nails whose touch changes during the run.
    loose: Vec<LooseNail>,
    peers: Vec<peers::PeerWires>,
    usb_data: Option<usb::DataLines>,
    modem: modem::ModemPins,
    antenna: Option<nfc::Antenna>,
    diodes: Vec<diodes::Diode>,
    overloads: Vec<Overload>,
    /// On modules that make their own 3V3.
    regulator: Option<regulator::Regulator>,
    parts: ModuleParts,
    /// Current of the chip at 3.3 V, over the last millisecond or so.
    logic_amps: f64,
    /// Supply of the nails' expanders.
    nail_volts: f64,
    source_series_ohms: f64,
}

/// Constant parts: bonds, contact resistances, loads, leakage, faults; each with its name.
struct FixedParts {
    resistors: Vec<(Edge, f64, &'static str)>,
    /// To the reference.
    leaks: Vec<(Node, f64, &'static str)>,
}

struct NailParts {
    #[cfg(test)]
    contact: Contact,
    node: Node,
    wiring: NailPlace,
    /// Bank, channel, place of the switch, resistance.
    mux: Option<(u8, u8, Edge, f64)>,
}

/// A nail that touches its contact at times.
struct LooseNail {
    contact: Contact,
    edge: Edge,
    ohms: f64,
    touches: bool,
}

#[derive(Debug, Clone, Copy)]
enum NailPlace {
    Io { series_ohms: f64 },
    Rail { feed: Edge, ohms: f64 },
    Ground { ohms: f64 },
}

struct RailParts {
    node: Node,
    volts: f64,
    series_ohms: f64,
    limit_amps: f64,
    rise_ns: u64,
    discharge_ohms: f64,
    /// Load of a rail that the module makes, in place of a supply.
    load_ohms: Option<f64>,
    /// What a ripple adds to the voltage now.
    ripple_volts: f64,
}

/// A supply net of the module.
struct Net {
    node: Node,
    to_ground: Edge,
    farads: f64,
}

struct PortPlace {
    node: Node,
    to_logic: Edge,
    to_ground: Edge,
    stuck: Option<bool>,
    lost_pulls: bool,
}

#[derive(Debug, Clone, Copy)]
struct LinkNail {
    node: Option<Node>,
    series_ohms: f64,
}

struct Overload {
    node: Node,
    edge: Edge,
    ohms: f64,
}

/// Commands of the fixture's chips. Order and meaning of the lists follow the fixture file.
#[derive(Debug, Clone, PartialEq)]
pub struct Commands {
    /// By nail: state of its expander bit; for supply and ground nails whether the feed is closed.
    pub nails: Vec<NailCommand>,
    pub rails: Vec<RailCommand>,
    /// Channel selected by the address lines.
    pub mux_channel: u8,
    /// Enabled banks, one bit each.
    pub mux_banks: u32,
    /// The source, if it is switched to the bus.
    pub source: Option<DacOutput>,
    pub loopback: bool,
    /// By memory of the fixture: whether its switches are closed.
    pub peers: Vec<bool>,
    /// The module's USB pair is joined to the controller's host.
    pub usb: bool,
    /// The NFC antenna's switches are closed.
    pub nfc: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NailCommand {
    Io(BitState),
    Feed(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RailCommand {
    /// Time of switching on.
    pub on_since_ns: Option<u64>,
    pub discharge: bool,
}

/// Which one-way parts conduct, kept from one solution to the next.
#[derive(Debug, Clone, PartialEq)]
struct Conducting {
    diodes: Vec<bool>,
    supplies: Vec<Supply>,
    overloads: Vec<bool>,
    /// The module's own current flows.
    logic: bool,
    regulator: regulator::Converting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Supply {
    Regulates,
    Limits,
    /// The rail is above the supply: no current flows back.
    Blocks,
}

/// A level of the link to try instead of the present one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Trial {
    pub controller_tx_low: bool,
    /// Port whose driver is set to this level.
    pub port: Option<(usize, bool)>,
    /// Levels that the chip's USB device drives on D+ and D-.
    pub usb: Option<[bool; 2]>,
    /// Current through the NFC antenna's place, in place of the antenna.
    pub nfc: Option<f64>,
}

/// Levels at the two receivers of the link; `None`: undefined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkLevels {
    pub controller: Option<bool>,
    pub dut: Option<bool>,
}

/// The network with its present state.
pub struct Circuit {
    wiring: Wiring,
    commands: Commands,
    ports: [PortState; PORT_COUNT],
    chip_runs: bool,
    /// The chip's USB device pulls its D+ up.
    usb_pull_up: bool,
    modem: ModemLoad,
    activity: Activity,
    /// Voltages of the capacitors, by net.
    charge: Vec<f64>,
    transient: Option<capacitors::Transient>,
    conducting: Conducting,
    now_ns: u64,
    dirty: bool,
    /// Counts changes of anything that affects voltages.
    revision: u64,
    /// The same without the charge of the capacitors.
    inputs: u64,
    rest: Option<capacitors::Rest>,
    volts: Voltages,
    levels: u64,
    memories: peers::Memories,
    workspace: Workspace,
    scratch: (Values, Values),
    solutions: u64,
    /// Most rounds of a search for agreement.
    max_rounds: usize,
    unsettled: unsettled::Unsettled,
}

impl Circuit {
    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    /// Takes new commands from the fixture's chips.
    pub fn command(&mut self, commands: Commands, at_ns: u64) {
        if commands != self.commands {
            // The time until now passed under the old commands.
            self.catch_up(at_ns);
            self.commands = commands;
            self.touch();
            self.settle(at_ns);
        }
    }

    /// From now on the supply of a rail limits its current to this.
    pub fn limit_supply(&mut self, rail: usize, amps: f64, at_ns: u64) {
        self.catch_up(at_ns);
        if let Some(parts) = self.wiring.rails.get_mut(rail) {
            parts.limit_amps = amps;
            self.touch();
            self.settle(at_ns);
        }
    }

    /// The touch of one nail changes, or with `None` that of all.
    pub fn touch_nail(&mut self, nail: Option<Contact>, touches: bool, at_ns: u64) {
        self.catch_up(at_ns);
        let moved = |loose: &&mut LooseNail| nail.is_none_or(|contact| loose.contact == contact);
        self.wiring.loose.iter_mut().filter(moved).for_each(|loose| loose.touches = touches);
        self.touch();
        self.settle(at_ns);
    }

    /// From now on a ripple adds this to the voltage of a rail's supply.
    pub fn ripple(&mut self, rail: usize, volts: f64, at_ns: u64) {
        let is_on = self.commands.rails.get(rail).is_some_and(|rail| rail.on_since_ns.is_some());
        if let Some(parts) = self.wiring.rails.get_mut(rail) {
            parts.ripple_volts = volts;
        }
        if is_on {
            self.catch_up(at_ns);
            self.touch();
            self.settle(at_ns);
        }
    }

    /// Takes the state of the chip's ports; cheap when no port that reaches a contact changed.
    pub fn set_ports(&mut self, ports: &Ports) {
        let runs = ports.powered;
        if runs != self.chip_runs {
            self.touch();
        }
        let mut changed = false;
        self.chip_runs = runs;
        for (n, (mine, new)) in self.ports.iter_mut().zip(&ports.states).enumerate() {
            if *mine != *new {
                let electrically = (mine.driven, mine.pull) != (new.driven, new.pull);
                changed |= electrically && self.wiring.ports[n].is_some();
                *mine = *new;
            }
        }
        if changed {
            self.touch_levels();
        }
    }

    /// Changes whenever a voltage may have changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }
    /// How often the network was solved.
    pub fn solutions(&self) -> u64 {
        self.solutions
    }

    fn touch(&mut self) {
        self.memories.forget();
        self.touch_levels();
    }

    /// Only ports or outputs of the fixture's memories changed.
    fn touch_levels(&mut self) {
        self.inputs += 1;
        self.dirty = true;
        self.revision += 1;
    }

    /// Only the capacitors changed.
    fn touch_charge(&mut self) {
        self.memories.forget();
        self.dirty = true;
        self.revision += 1;
    }

    fn solved(&mut self) -> &Voltages {
        if self.dirty {
            self.solve_now();
        }
        &self.volts
    }

    fn at(&mut self, node: Node) -> f64 {
        self.solved().at(node)
    }

    /// VDD of the chip.
    pub fn logic_volts(&mut self) -> f64 {
        let (logic, ground) = (self.wiring.nets[self.wiring.logic].node, self.wiring.ground);
        let volts = self.solved();
        volts.at(logic) - volts.at(ground)
    }

    /// Voltage at the chip's USB supply pin.
    pub fn usb_volts(&mut self) -> f64 {
        match self.wiring.usb {
            Some(net) => self.at(self.wiring.nets[net].node),
            None => 0.0,
        }
    }

    /// Voltage at an analogue input of the chip against its own ground.
    pub fn analog_volts(&mut self, ain: u8) -> f64 {
        let (node, ground) = (self.wiring.analog.get(usize::from(ain)).copied().flatten(), self.wiring.ground);
        let volts = self.solved();
        node.map_or(0.0, |node| volts.at(node) - volts.at(ground))
    }

    /// Levels of the ports that reach a contact, one bit each.
    pub fn port_levels(&mut self) -> u64 {
        if self.any_peer_joined() {
            return self.levels().ports;
        }
        self.solved();
        self.levels
    }

    /// Ports that reach a contact.
    pub fn wired_ports(&self) -> u64 {
        self.wiring.ports.iter().enumerate().fold(0, |set, (n, place)| set | u64::from(place.is_some()) << n)
    }

    /// Voltage on the measure bus.
    pub fn bus_volts(&mut self) -> f64 {
        self.at(self.wiring.bus)
    }

    /// Voltage at the source before its series resistor; `source` is the DAC's output whether or not it reaches the
    /// bus.
    pub fn source_volts(&mut self, source: DacOutput) -> f64 {
        if self.commands.source.is_none() {
            return source.volts;
        }
        let bus = self.at(self.wiring.bus);
        let amps = (source.volts - bus) / (source.ohms + self.wiring.source_series_ohms);
        source.volts - amps * source.ohms
    }

    /// Voltage at an expander's pin behind the series resistor of the nail at `index`, if it is such a nail.
    pub fn nail_pin_volts(&mut self, index: usize) -> Option<f64> {
        let nail = &self.wiring.nails[index];
        let NailPlace::Io { series_ohms } = nail.wiring else { return None };
        let node = nail.node;
        let Some(NailCommand::Io(state)) = self.commands.nails.get(index).copied() else { return None };
        let (high, at_nail) = (self.wiring.nail_volts, self.at(node));
        let behind = |volts: f64, ohms: f64| at_nail + (volts - at_nail) * series_ohms / (series_ohms + ohms);
        Some(match state {
            BitState::High => behind(high, EXPANDER_OUTPUT_OHMS),
            BitState::Low => behind(0.0, EXPANDER_OUTPUT_OHMS),
            BitState::PullUp => behind(high, EXPANDER_PULL_UP_OHMS),
            BitState::Float => at_nail,
        })
    }

    /// Voltage of a rail at its monitor, and the current from supply to rail.
    pub fn rail_reading(&mut self, rail: usize) -> (f64, f64) {
        self.solved();
        let Some(parts) = self.wiring.rails.get(rail) else { return (0.0, 0.0) };
        let volts = self.volts.at(parts.node);
        if let Some(load) = self.load_ohms(rail) {
            return (volts, volts / load);
        }
        let amps = match (self.supply_volts(rail), self.conducting.supplies[rail]) {
            (None, _) | (_, Supply::Blocks) => 0.0,
            (Some(_), Supply::Limits) => parts.limit_amps,
            (Some(supply), Supply::Regulates) => (supply - volts) / parts.series_ohms,
        };
        (volts, amps)
    }

    /// Voltage at the nail of a contact.
    #[cfg(test)]
    pub fn nail_volts(&mut self, contact: Contact) -> Option<f64> {
        let node = self.wiring.nails.iter().find(|nail| nail.contact == contact)?.node;
        Some(self.at(node))
    }

    /// Levels at both ends of the link.
    pub fn link_levels(&mut self, trial: Trial, dut_rx_port: Option<usize>) -> LinkLevels {
        let volts = self.solve_trial(trial);
        let controller = match self.wiring.controller_rx.node {
            _ if self.wiring.link_cut => None,
            _ if self.commands.loopback => Some(!trial.controller_tx_low),
            node => node.map(|node| volts.at(node) > 0.5 * self.wiring.nail_volts),
        };
        let dut = dut_rx_port.map(|port| self.wiring.levels_in(&volts) >> port & 1 == 1);
        LinkLevels { controller, dut }
    }

    /// Present supply voltage of a rail that is on, during its rise.
    fn supply_volts(&self, rail: usize) -> Option<f64> {
        let parts = self.wiring.rails.get(rail).filter(|parts| parts.load_ohms.is_none())?;
        let since = self.commands.rails.get(rail)?.on_since_ns?;
        let elapsed = self.now_ns.saturating_sub(since);
        let risen = if elapsed >= parts.rise_ns { 1.0 } else { elapsed as f64 / parts.rise_ns as f64 };
        Some((parts.volts + parts.ripple_volts) * risen)
    }

    /// The load at a rail that the module makes, while it is switched on.
    fn load_ohms(&self, rail: usize) -> Option<f64> {
        self.commands.rails.get(rail)?.on_since_ns?;
        self.wiring.rails.get(rail)?.load_ohms
    }

    fn is_rising(&self) -> bool {
        self.wiring.rails.iter().zip(&self.commands.rails).any(|(parts, command)| {
            command.on_since_ns.is_some_and(|since| self.now_ns < since.saturating_add(parts.rise_ns))
        })
    }
}

#[cfg(test)]
mod tests;
