//! What the ordered faults change in the network.

use super::Overload;
use super::build::Sketch;
use super::parts::{ModuleParts, OPEN_OHMS, OVERLOAD_KNEE_VOLTS};
use crate::fault::{Fault, SOLDER_BRIDGE_OHMS, Terminal, rail_index};
use crate::netlist::Node;
use bench_plan::{DutFamily, Fixture};
use bench_run::Contact;

/// How much more than the supply can deliver an overload draws when its order names no current.
const OVERLOAD_FACTOR: f64 = 3.0;

/// The contact that really leads to where `contact` should, after the ordered exchanges.
pub(super) fn led_to(faults: &[Fault], contact: Contact) -> Contact {
    faults.iter().fold(contact, |contact, fault| match fault {
        Fault::Swap(a, b) if *a == contact => *b,
        Fault::Swap(a, b) if *b == contact => *a,
        _ => contact,
    })
}

/// Resistance between nail and module, with `touching` for good gold.
pub(super) fn joint_ohms(faults: &[Fault], contact: Contact, touching: f64) -> f64 {
    faults.iter().fold(touching, |ohms, fault| match fault {
        Fault::EmptyNest => OPEN_OHMS,
        Fault::Open(open) if *open == contact => OPEN_OHMS,
        Fault::Cold { contact: cold, ohms: more } if *cold == contact => ohms + more,
        _ => ohms,
    })
}

/// How much more resistance a damaged output stage has.
const WEAK_FACTOR: f64 = 5.0;

/// How much more resistance damaged pulls have: too little to lose a level against anything but a leak.
const WEAK_PULL_FACTOR: f64 = 2.0;

/// Damages output stages and pulls.
pub(super) fn weaken(faults: &[Fault], dut: &DutFamily, parts: &mut ModuleParts) {
    for fault in faults {
        let (Fault::WeakDriver(contact) | Fault::WeakPull(contact)) = fault else { continue };
        let port = dut.contact(*contact).and_then(|info| info.port).map(|port| usize::from(port.index()));
        let Some(stage) = port.and_then(|port| parts.ports.get_mut(port)) else { continue };
        if matches!(fault, Fault::WeakPull(_)) {
            stage.pull_up_ohms *= WEAK_PULL_FACTOR;
            stage.pull_down_ohms *= WEAK_PULL_FACTOR;
        } else {
            stage.standard_ohms *= WEAK_FACTOR;
            stage.high_drive_ohms *= WEAK_FACTOR;
        }
    }
}

/// Joins what the faults join. `place_of` finds a terminal on the module. Returns what draws current in one direction.
pub(super) fn join(
    faults: &[Fault],
    fixture: &Fixture,
    ground: Node,
    logic: Node,
    place_of: impl Fn(&Terminal) -> Option<Node>,
    sketch: &mut Sketch,
) -> Vec<Overload> {
    let mut overloads = Vec::new();
    let mut overload = |node: Node, volts: f64, amps: f64, sketch: &mut Sketch| {
        let ohms = (volts - OVERLOAD_KNEE_VOLTS) / amps;
        overloads.push(Overload { node, edge: sketch.edge(node, ground), ohms });
    };
    let join = |a: &Terminal, b: &Terminal, ohms: f64, what: &'static str, sketch: &mut Sketch| {
        if let (Some(a), Some(b)) = (place_of(a), place_of(b))
            && a != b
        {
            sketch.resistor(a, b, ohms.max(SOLDER_BRIDGE_OHMS), what);
        }
    };
    for fault in faults {
        match fault {
            Fault::Short { a, b, ohms } => join(a, b, *ohms, "ordered: a short", sketch),
            Fault::Leak { contact, to, ohms } => {
                join(&Terminal::Contact(*contact), to, *ohms, "ordered: a leak", sketch)
            }
            Fault::Esd { contact, ohms } => {
                join(&Terminal::Contact(*contact), &Terminal::Ground, *ohms, "ordered: a damaged pad", sketch);
            }
            Fault::Overload { rail, amps } => {
                if let (Some(node), Some(index)) = (place_of(&Terminal::Rail(rail.clone())), rail_index(fixture, rail))
                {
                    let rail = &fixture.rails[index];
                    overload(node, rail.volts, amps.unwrap_or(OVERLOAD_FACTOR * rail.current_limit_amps), sketch);
                }
            }
            Fault::SleepCurrent(milliamps) => overload(logic, 3.3, milliamps * 1e-3, sketch),
            _ => {}
        }
    }
    overloads
}
