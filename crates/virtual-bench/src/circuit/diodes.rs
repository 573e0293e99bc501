//! Protection diodes: which contact has which, and their electrical data.
//!
//! Every pad of a chip has one diode to its supply and one from ground; they conduct with and without power, which
//! makes contacts measurable that no firmware reaches. That the pads of the nRF52840 have them follows from its
//! absolute maximum ratings (VDD + 0.3 V, -0.3 V). The rest is assumption, since no data sheet draws them: USB D+ and
//! D- lead to the supply of the USB block, all pads of the modem to VCC, its SIM lines to SIM_VCC, and the two 5 V
//! contacts have a suppressor from ground.

use super::build::Sketch;
use crate::netlist::{Edge, Node};
use crate::random::{Purpose, Random};
use bench_plan::{ContactInfo, DutFamily, Function};
use bench_run::Contact;
use std::collections::BTreeMap;

/// Forward voltage of a junction at a few microamperes, and the resistance in series.
const VOLTS: (f64, f64) = (0.57, 0.68);
const OHMS: f64 = 50.0;
/// Diodes of one kind on one chip are nearly alike.
const SPREAD_VOLTS: f64 = 0.015;
const SPREAD_OHMS: f64 = 0.15;

/// One diode of the module.
pub(super) struct Diode {
    pub anode: Node,
    pub cathode: Node,
    pub edge: Edge,
    /// Below this nothing flows.
    pub volts: f64,
    pub ohms: f64,
    pub what: &'static str,
}

/// Supply of the diodes.
pub(super) struct Supplies {
    pub ground: Node,
    pub logic: Node,
    pub usb: Option<Node>,
    pub modem: Option<Node>,
    pub sim: Option<Node>,
}

/// Which chip carries a contact's pad.
#[derive(Clone, Copy, PartialEq)]
enum Silicon {
    Mcu,
    UsbBlock,
    Modem,
    ModemSim,
    /// A suppressor from ground and no diode to a supply.
    Suppressor,
}

fn silicon(info: &ContactInfo) -> Option<Silicon> {
    let has = |function: Function| info.functions.contains(&function);
    let power = has(Function::Power);
    match info.port {
        Some(_) => Some(Silicon::Mcu),
        None if power && (has(Function::Usb) || has(Function::ModemUsb)) => Some(Silicon::Suppressor),
        None if has(Function::Ground) || has(Function::Nc) || power => None,
        None if has(Function::Usb) => Some(Silicon::UsbBlock),
        None if is_sim_supply(info) => Some(Silicon::Suppressor),
        None if has(Function::Sim) => Some(Silicon::ModemSim),
        None if has(Function::ModemUsb) || has(Function::ModemRi) => Some(Silicon::Modem),
        None => None,
    }
}

/// Whether the contact leads to silicon with protection diodes.
pub(crate) fn is_protected(info: &ContactInfo) -> bool {
    silicon(info).is_some()
}

/// Whether the contact is the SIM's supply, which a modem that is off holds at ground.
pub(crate) fn is_sim_supply(info: &ContactInfo) -> bool {
    info.roles.get(&Function::Sim).is_some_and(|role| role == super::build::SIM_SUPPLY)
}

/// All diodes of a module of this family.
pub(super) fn of_module(
    dut: &DutFamily,
    pads: &BTreeMap<Contact, Node>,
    supplies: &Supplies,
    seed: u64,
    sketch: &mut Sketch,
) -> Vec<Diode> {
    let mut random = Random::new(seed, Purpose::Diodes);
    let mut kind = || random.between(VOLTS.0, VOLTS.1);
    let (mcu, modem, suppressor) = ([kind(), kind()], [kind(), kind()], kind());
    let mut diodes = Vec::new();
    for info in &dut.contacts {
        let (Some(silicon), Some(&pad)) = (silicon(info), pads.get(&info.contact)) else { continue };
        let (supply, [to_supply, from_ground]) = match silicon {
            Silicon::Mcu => (Some(supplies.logic), mcu),
            Silicon::UsbBlock => (supplies.usb, mcu),
            Silicon::Modem => (supplies.modem, modem),
            Silicon::ModemSim => (supplies.sim, modem),
            Silicon::Suppressor => (None, [suppressor; 2]),
        };
        let mut add = |anode: Node, cathode: Node, volts: f64, what: &'static str| {
            diodes.push(Diode {
                anode,
                cathode,
                edge: sketch.edge(anode, cathode),
                volts: volts + random.between(-SPREAD_VOLTS, SPREAD_VOLTS),
                ohms: random.within(OHMS, SPREAD_OHMS),
                what,
            });
        };
        if let Some(supply) = supply {
            add(pad, supply, to_supply, "protection diode to the supply");
        }
        add(supplies.ground, pad, from_ground, "protection diode from ground");
    }
    diodes
}
