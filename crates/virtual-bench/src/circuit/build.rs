//! The network of one fixture with one module and its faults.

use super::parts::{ADC_INPUT_OHMS, BOND_OHMS, CONTACT_OHMS, DEAD_MCU_AMPS, FixtureTolerances, ModuleParts, OPEN_OHMS};
use super::peers::{Memories, PeerWires};
use super::{
    Circuit, Commands, Conducting, FixedParts, LinkNail, LooseNail, NailCommand, NailParts, NailPlace, Net, PortPlace,
    RailCommand, RailParts, Supply, Wiring, defects, diodes, modem, nfc, regulator, usb,
};
use crate::bench_fault::BenchDamage;
use crate::chips::BitState;
use crate::fault::{Defects, Terminal, rail_contact, rail_index};
use crate::netlist::{Edge, NetlistBuilder, Node, Voltages, Workspace};
use crate::random::{Purpose, Random};
use bench_plan::{ContactInfo, DutFamily, Fixture, Function, NailWiring, PeerPart, SupplyRole};
use bench_run::Contact;
use std::collections::BTreeMap;
use virtual_nrf52840::{Activity, PORT_COUNT, PortState};

/// P0.18, the reset pad.
pub(crate) const RESET_PORT: usize = 18;
/// Leakage of the board that carries a node, ohms. It keeps every node from floating.
const NODE_LEAKAGE_OHMS: f64 = 1e12;
/// Input of an expander and some board leakage: an unconnected nail is at 0 V.
const NAIL_LEAKAGE_OHMS: f64 = 1e9;
/// Of a fixture without a source, which is never switched on.
const SOURCE_OHMS: f64 = 1e3;
/// A wire that joins two nails.
const PAIR_WIRE_OHMS: f64 = 0.1;
/// The same for the module's planes.
const PLANE_LEAKAGE_OHMS: f64 = 100e6;

/// Resistors by edge, before the shape of the network is final.
#[derive(Default)]
pub(super) struct Sketch {
    builder: NetlistBuilder,
    /// By node.
    names: Vec<String>,
    resistors: Vec<(Edge, f64, &'static str)>,
    leaks: Vec<(Node, f64, &'static str)>,
}

impl Sketch {
    pub(super) fn node(&mut self, name: impl Into<String>) -> Node {
        let node = self.builder.node();
        self.names.push(name.into());
        self.leaks.push((node, NODE_LEAKAGE_OHMS, "leakage of the board"));
        node
    }
    pub(super) fn edge(&mut self, a: Node, b: Node) -> Edge {
        self.builder.edge(a, b)
    }
    /// `what` appears in descriptions of the network.
    pub(super) fn resistor(&mut self, a: Node, b: Node, ohms: f64, what: &'static str) {
        let edge = self.builder.edge(a, b);
        self.resistors.push((edge, ohms, what));
    }
}

impl Circuit {
    /// Builds the network. The faults must have been checked against `dut` and `fixture`.
    #[cfg(test)]
    pub fn new(fixture: &Fixture, dut: &DutFamily, seed: u64, defects: &Defects) -> Self {
        Self::on_bench(fixture, dut, seed, defects, &BenchDamage::default())
    }

    /// The same with faults of the bench.
    pub fn on_bench(fixture: &Fixture, dut: &DutFamily, seed: u64, defects: &Defects, bench: &BenchDamage) -> Self {
        let mut sketch = Sketch::default();
        let mut tolerances = FixtureTolerances::new(seed);
        let mut parts = ModuleParts::new(seed);
        defects::weaken(defects, dut, &mut parts);
        let mut contacts = Random::new(seed, Purpose::Contacts);
        let bus = sketch.node("measure_bus");
        sketch.leaks.push((bus, ADC_INPUT_OHMS, "input of the ADC"));
        let ground = sketch.node("module_ground");
        sketch.leaks.push((ground, PLANE_LEAKAGE_OHMS, "leakage of the module's planes"));
        let rails = rails(fixture, bench, &mut sketch, &mut tolerances);
        let nail_nodes: BTreeMap<Contact, Node> =
            fixture.nails.keys().map(|c| (*c, sketch.node(format!("nail_{}", c.0)))).collect();
        sketch.leaks.extend(nail_nodes.values().map(|node| (*node, NAIL_LEAKAGE_OHMS, "leakage of the nail's input")));

        let module = ModuleNets::new(dut, &parts, ground, &mut sketch);
        let loose = join_nails(fixture, defects, bench, &nail_nodes, &module, &mut contacts, &mut sketch);
        let ports = port_places(dut, defects, &module, &mut sketch);
        let mut diodes = diodes::of_module(dut, &module.contacts, &module.supplies(dut), seed, &mut sketch);
        let regulator = regulator(dut, &module, seed, &mut diodes, &mut sketch);
        let place_of = |terminal: &Terminal| module.place_of(terminal, fixture, dut);
        let overloads = defects::join(defects, fixture, ground, module.logic, place_of, &mut sketch);
        let nails = nail_parts(fixture, bench, &nail_nodes, &rails, bus, &mut sketch, &mut tolerances);
        let link = |contact: Contact, tolerances: &mut FixtureTolerances| LinkNail {
            node: nail_nodes.get(&contact).copied(),
            series_ohms: tolerances.resistor(fixture.link.series_ohms).max(1.0),
        };
        let logic_amps = if defects.mcu_dead { DEAD_MCU_AMPS } else { parts.chip.busy };
        let (controller_tx, controller_rx) =
            (link(fixture.link.dut_rx, &mut tolerances), link(fixture.link.dut_tx, &mut tolerances));
        let nail_volts = tolerances.supply(fixture.nail_volts);
        let bus_wiring = fixture.bed.as_ref().map(|bed| &bed.measure_bus);
        let source_series_ohms = tolerances.resistor(bus_wiring.map_or(SOURCE_OHMS, |bus| bus.source_series_ohms));
        let peers: Vec<PeerWires> =
            fixture.peers.iter().map(|peer| peer_wires(peer, &nail_nodes, &mut tolerances)).collect();
        let modem =
            modem::ModemPins::new(dut, &module.contacts, |role| module.supply_net(dut, role), ground, &mut sketch);
        let antenna = fixture.nfc.map(|wiring| {
            let wires = |coil| coil_wires(coil, &nail_nodes, &module.contacts, ground, &mut sketch);
            nfc::Antenna::new(wiring.coil.and_then(wires), seed, defects.nfc_tuning)
        });
        let usb_data = usb::data_lines(dut, &module.contacts, &nail_nodes)
            .or_else(|| fixture.usb.map(|_| usb::own_connector(&mut sketch)));
        let netlist = sketch.builder.build();
        let mut fixed = netlist.values();
        let own = FixedParts { resistors: sketch.resistors, leaks: sketch.leaks };
        own.add(&mut fixed);
        let usb = module.supply_net(dut, SupplyRole::Usb).filter(|_| !defects.vusb_undetected);
        let wiring = Wiring {
            netlist,
            names: sketch.names,
            own,
            fixed,
            nails,
            rails,
            logic: 0,
            usb,
            analog: module.analog_inputs(dut),
            usb_data,
            nets: module.nets.into_iter().map(|(_, net)| net).collect(),
            ground,
            bus,
            ports,
            controller_tx,
            controller_rx,
            link_cut: defects.link_cut,
            loose,
            peers,
            modem,
            antenna,
            diodes,
            overloads,
            regulator,
            parts,
            logic_amps,
            nail_volts,
            source_series_ohms,
        };
        Self::at_rest(wiring)
    }

    fn at_rest(wiring: Wiring) -> Self {
        let released = |nail: &NailParts| match nail.wiring {
            NailPlace::Io { .. } => NailCommand::Io(BitState::Float),
            _ => NailCommand::Feed(false),
        };
        let commands = Commands {
            nails: wiring.nails.iter().map(released).collect(),
            rails: vec![RailCommand { on_since_ns: None, discharge: false }; wiring.rails.len()],
            mux_channel: 0,
            mux_banks: 0,
            source: None,
            loopback: false,
            peers: vec![false; wiring.peers.len()],
            usb: false,
            nfc: false,
        };
        let conducting = Conducting {
            diodes: vec![false; wiring.diodes.len()],
            supplies: vec![Supply::Regulates; wiring.rails.len()],
            overloads: vec![false; wiring.overloads.len()],
            logic: false,
            regulator: Default::default(),
        };
        let mut circuit = Self {
            charge: vec![0.0; wiring.nets.len()],
            memories: Memories::of(wiring.peers.len()),
            wiring,
            commands,
            ports: [PortState::default(); PORT_COUNT],
            chip_runs: false,
            usb_pull_up: false,
            modem: Default::default(),
            activity: Activity::default(),
            transient: None,
            conducting,
            now_ns: 0,
            dirty: true,
            revision: 0,
            inputs: 0,
            rest: None,
            volts: Voltages::default(),
            levels: 0,
            workspace: Workspace::default(),
            scratch: Default::default(),
            solutions: 0,
            max_rounds: super::solve::MAX_ROUNDS,
            unsettled: Default::default(),
        };
        // Everything settled long before the run began.
        circuit.solve_now();
        circuit.charge = circuit.wiring.charges_in(&circuit.volts);
        circuit
    }
}

enum Role {
    Ground,
    Supply,
    Port(usize),
    SimSupply,
    /// Of a converter that makes 3V3.
    Enable,
    /// A high-impedance input of the modem or of the USB block.
    Input,
    Nothing,
}

fn role(info: &ContactInfo) -> Role {
    let has = |function: Function| info.functions.contains(&function);
    match info.port {
        Some(port) => Role::Port(usize::from(port.index())),
        None if has(Function::Ground) => Role::Ground,
        None if has(Function::Enable) => Role::Enable,
        None if has(Function::Power) => Role::Supply,
        None if super::is_sim_supply(info) => Role::SimSupply,
        None if has(Function::Nc) => Role::Nothing,
        None => Role::Input,
    }
}

/// The role of the SIM's supply among the lines of the card.
pub(super) const SIM_SUPPLY: &str = "VCC";

/// The contact of a line of the SIM card.
fn sim_line(dut: &DutFamily, role: &str) -> Option<Contact> {
    dut.by_role(Function::Sim, role).map(|info| info.contact)
}

/// The nets of the module: one for each name of a supply pin, and a node for each contact.
struct ModuleNets<'d> {
    pins: SupplyPins<'d>,
    nets: Vec<(String, Net)>,
    contacts: BTreeMap<Contact, Node>,
    /// Of the microcontroller's supply.
    logic: Node,
    ground: Node,
}

impl<'d> ModuleNets<'d> {
    fn new(dut: &'d DutFamily, parts: &ModuleParts, ground: Node, sketch: &mut Sketch) -> Self {
        let pins = SupplyPins::of(dut);
        let mut nets: Vec<(String, Net)> = Vec::new();
        let mut contacts: BTreeMap<Contact, Node> = BTreeMap::new();
        let mut net_of = |name: &str, sketch: &mut Sketch| -> Node {
            if let Some((_, net)) = nets.iter().find(|(net, _)| net == name) {
                return net.node;
            }
            let node = sketch.node(format!("net_{name}"));
            let (load_ohms, farads) = match name {
                _ if name == pins.logic => (parts.logic_load_ohms, parts.logic_farads),
                _ if Some(name) == pins.modem => (parts.modem_load_ohms, parts.modem_farads),
                _ => (parts.five_volt_load_ohms, parts.five_volt_farads),
            };
            sketch.resistor(node, ground, load_ohms, "load of the module");
            nets.push((name.to_owned(), Net { node, to_ground: sketch.builder.edge(node, ground), farads }));
            node
        };
        let logic = net_of(pins.logic, sketch);
        for info in &dut.contacts {
            let node = sketch.node(format!("pad_{}_{}", info.contact.0, info.pin));
            contacts.insert(info.contact, node);
            match role(info) {
                Role::Ground => sketch.resistor(node, ground, BOND_OHMS, "bond"),
                Role::Supply => {
                    let net = net_of(&info.pin, sketch);
                    sketch.resistor(node, net, BOND_OHMS, "bond");
                }
                Role::Port(port) => {
                    sketch.resistor(node, ground, parts.ports[port].leakage_ohms, "leakage of the port");
                }
                // The modem holds or feeds it; the pull-up of the enable comes with the converter.
                Role::SimSupply | Role::Enable | Role::Nothing => {}
                Role::Input => sketch.resistor(node, ground, parts.input_leakage_ohms, "leakage of the input"),
            }
        }
        if let (Some(data), Some(supply)) = (sim_line(dut, "DATA"), sim_line(dut, SIM_SUPPLY)) {
            sketch.resistor(contacts[&data], contacts[&supply], parts.sim_pull_ohms, "pull-up of the SIM's data");
        }
        Self { pins, nets, contacts, logic, ground }
    }

    /// The node of the net with this pin's name.
    fn net_node(&self, pin: Option<&str>) -> Option<Node> {
        self.nets.iter().find(|(net, _)| Some(net.as_str()) == pin).map(|(_, net)| net.node)
    }

    /// Index of the net that carries the supply with this role.
    fn supply_net(&self, dut: &DutFamily, role: SupplyRole) -> Option<usize> {
        let pin = &dut.supply_contact(role)?.pin;
        self.nets.iter().position(|(net, _)| net == pin)
    }

    fn supplies(&self, dut: &DutFamily) -> diodes::Supplies {
        diodes::Supplies {
            ground: self.ground,
            logic: self.logic,
            usb: self.net_node(self.pins.usb),
            modem: self.net_node(self.pins.modem),
            sim: sim_line(dut, SIM_SUPPLY).and_then(|contact| self.contacts.get(&contact).copied()),
        }
    }

    /// Where a fault's terminal is on the module.
    fn place_of(&self, terminal: &Terminal, fixture: &Fixture, dut: &DutFamily) -> Option<Node> {
        match terminal {
            Terminal::Contact(contact) => self.contacts.get(contact).copied(),
            Terminal::Ground => Some(self.ground),
            Terminal::Rail(name) => {
                let contact = rail_contact(fixture, dut, rail_index(fixture, name)?)?;
                self.net_node(Some(&dut.contact(contact)?.pin))
            }
        }
    }

    /// The nodes of the ADC's inputs.
    fn analog_inputs(&self, dut: &DutFamily) -> [Option<Node>; 8] {
        let mut analog = [None; 8];
        for info in &dut.contacts {
            if let Some(place) = info.adc_input.and_then(|input| analog.get_mut(usize::from(input))) {
                *place = self.contacts.get(&info.contact).copied();
            }
        }
        analog
    }
}

/// Nails touch the contacts to which they lead, a board joins further contacts to some of them, and wires join nails in
/// pairs.
fn join_nails(
    fixture: &Fixture,
    defects: &Defects,
    bench: &BenchDamage,
    nails: &BTreeMap<Contact, Node>,
    module: &ModuleNets<'_>,
    random: &mut Random,
    sketch: &mut Sketch,
) -> Vec<LooseNail> {
    let mut loose = Vec::new();
    let moving = bench.moving(fixture);
    for (contact, &nail) in nails {
        let touching = random.between(CONTACT_OHMS.0, CONTACT_OHMS.1);
        if let Some(&pad) = module.contacts.get(&defects.led_to(*contact)) {
            let ohms = defects::joint_ohms(defects, *contact, touching);
            if moving.contains(contact) {
                loose.push(LooseNail { contact: *contact, edge: sketch.edge(nail, pad), ohms, touches: true });
            } else {
                sketch.resistor(nail, pad, ohms, "nail on its contact");
            }
        }
    }
    for (a, b, ohms) in &bench.dirt {
        if let (Some(&a), Some(&b)) = (nails.get(a), nails.get(b)) {
            sketch.resistor(a, b, *ohms, "ordered: dirt between two nails");
        }
    }
    for (contact, to) in &fixture.joined {
        let touching = random.between(CONTACT_OHMS.0, CONTACT_OHMS.1);
        if let (Some(&nail), Some(&pad)) = (nails.get(to), module.contacts.get(&defects.led_to(*contact))) {
            let ohms = defects::joint_ohms(defects, *contact, touching);
            if moving.contains(contact) {
                loose.push(LooseNail { contact: *contact, edge: sketch.edge(nail, pad), ohms, touches: true });
            } else {
                sketch.resistor(nail, pad, ohms, "trace of the board to a joined contact");
            }
        }
    }
    for (a, b) in &fixture.pairs {
        if let (Some(&a), Some(&b)) = (nails.get(a), nails.get(b)) {
            sketch.resistor(a, b, PAIR_WIRE_OHMS, "wire of the pair");
        }
    }
    loose
}

/// The converter of a module that makes its own logic supply.
fn regulator(
    dut: &DutFamily,
    module: &ModuleNets<'_>,
    seed: u64,
    diodes: &mut Vec<diodes::Diode>,
    sketch: &mut Sketch,
) -> Option<regulator::Regulator> {
    let enable = dut.with_function(Function::Enable).next()?;
    let enable = *module.contacts.get(&enable.contact)?;
    let system = sketch.node("system_rail");
    let inputs = [(module.pins.battery, regulator::BATTERY_PATH), (module.pins.usb, regulator::USB_PATH)];
    for (pin, (volts, ohms)) in inputs {
        if let Some(input) = module.net_node(pin) {
            let edge = sketch.edge(input, system);
            let what = "path from the input to the system rail";
            diodes.push(diodes::Diode { anode: input, cathode: system, edge, volts, ohms, what });
        }
    }
    Some(regulator::Regulator::new(system, enable, module.logic, seed, sketch))
}

/// Names of the pins that carry the supplies: one net of the module each.
struct SupplyPins<'d> {
    logic: &'d str,
    modem: Option<&'d str>,
    usb: Option<&'d str>,
    battery: Option<&'d str>,
}

impl<'d> SupplyPins<'d> {
    fn of(dut: &'d DutFamily) -> Self {
        let pin = |role| dut.supply_contact(role).map(|info| info.pin.as_str());
        Self {
            // The microcontroller has a supply even if no contact leads to it.
            logic: pin(SupplyRole::Logic).unwrap_or("logic"),
            modem: pin(SupplyRole::Modem),
            usb: pin(SupplyRole::Usb),
            battery: pin(SupplyRole::Battery),
        }
    }
}

fn rails(
    fixture: &Fixture,
    bench: &BenchDamage,
    sketch: &mut Sketch,
    tolerances: &mut FixtureTolerances,
) -> Vec<RailParts> {
    let rail = |rail: &bench_plan::Rail| RailParts {
        node: sketch.node(format!("rail_{}", rail.name)),
        volts: tolerances.supply(rail.volts),
        series_ohms: tolerances.switch(rail.series_ohms).max(0.001),
        limit_amps: rail.current_limit_amps,
        rise_ns: u64::try_from(rail.rise_time.as_nanos()).unwrap_or(u64::MAX),
        discharge_ohms: tolerances.resistor(rail.discharge_ohms),
        load_ohms: rail.load_ohms.map(|ohms| tolerances.resistor(ohms)),
        ripple_volts: 0.0,
    };
    let mut rails: Vec<RailParts> = fixture.rails.iter().map(rail).collect();
    for (index, damage) in &bench.rails {
        let Some(rail) = rails.get_mut(*index) else { continue };
        rail.volts *= 1.0 + damage.volts_error;
        rail.rise_ns = damage.rise_ns.unwrap_or(rail.rise_ns);
        rail.limit_amps = damage.limit_amps.unwrap_or(rail.limit_amps);
        if damage.no_discharge {
            rail.discharge_ohms = OPEN_OHMS;
        }
    }
    rails
}

fn peer_wires(
    peer: &bench_plan::Peer,
    nails: &BTreeMap<Contact, Node>,
    tolerances: &mut FixtureTolerances,
) -> PeerWires {
    PeerWires {
        lines: peer.contacts().iter().filter_map(|contact| nails.get(contact).copied()).collect(),
        switch_ohms: tolerances.switch(peer.switch_ohms).max(0.1),
        pull_up_ohms: match peer.part {
            PeerPart::SpiFram { .. } => None,
            PeerPart::I2cEeprom { pull_up_ohms, .. } => Some(tolerances.resistor(pull_up_ohms)),
        },
    }
}

fn coil_wires(
    coil: bench_plan::NfcCoil,
    nails: &BTreeMap<Contact, Node>,
    module: &BTreeMap<Contact, Node>,
    ground: Node,
    sketch: &mut Sketch,
) -> Option<nfc::CoilWires> {
    let both = |nodes: &BTreeMap<Contact, Node>| Some([*nodes.get(&coil.contacts[0])?, *nodes.get(&coil.contacts[1])?]);
    let (nails, pads) = (both(nails)?, both(module)?);
    Some(nfc::CoilWires {
        nails,
        edge: sketch.edge(nails[0], nails[1]),
        switch_ohms: 2.0 * coil.switch_ohms,
        pads,
        loads: pads.map(|pad| sketch.edge(pad, ground)),
    })
}

fn port_places(
    dut: &DutFamily,
    defects: &Defects,
    module: &ModuleNets<'_>,
    sketch: &mut Sketch,
) -> Vec<Option<PortPlace>> {
    let mut places: Vec<Option<PortPlace>> = (0..PORT_COUNT).map(|_| None).collect();
    for info in &dut.contacts {
        let (Role::Port(port), Some(&node)) = (role(info), module.contacts.get(&info.contact)) else { continue };
        let stuck = defects.stuck.iter().find(|(contact, _)| *contact == info.contact).map(|(_, high)| *high);
        places[port] = Some(PortPlace {
            node,
            to_logic: sketch.builder.edge(node, module.logic),
            to_ground: sketch.builder.edge(node, module.ground),
            stuck,
            lost_pulls: defects.lost_pulls.contains(&info.contact),
        });
    }
    places
}

fn nail_parts(
    fixture: &Fixture,
    bench: &BenchDamage,
    nodes: &BTreeMap<Contact, Node>,
    rails: &[RailParts],
    bus: Node,
    sketch: &mut Sketch,
    tolerances: &mut FixtureTolerances,
) -> Vec<NailParts> {
    let mux_ohms = fixture.bed.as_ref().map_or(0.0, |bed| bed.measure_bus.mux_ohms);
    let mut part = |nail: &bench_plan::Nail| {
        let node = nodes[&nail.contact];
        let wiring = match nail.wiring {
            NailWiring::Io { series_ohms, .. } => NailPlace::Io { series_ohms: tolerances.resistor(series_ohms) },
            NailWiring::Rail { rail, feed_ohms, .. } => NailPlace::Rail {
                feed: sketch.builder.edge(node, rails[rail].node),
                ohms: tolerances.switch(feed_ohms),
            },
            NailWiring::Ground { feed_ohms, .. } => NailPlace::Ground { ohms: tolerances.switch(feed_ohms) },
        };
        let mux = nail
            .mux
            .map(|(bank, channel)| (bank, channel, sketch.builder.edge(node, bus), tolerances.switch(mux_ohms)))
            .filter(|_| !bench.dead_channels.contains(&nail.contact));
        NailParts {
            #[cfg(test)]
            contact: nail.contact,
            node,
            wiring,
            mux,
        }
    };
    fixture.nails.values().map(&mut part).collect()
}
