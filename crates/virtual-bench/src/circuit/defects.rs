//! Changes of the network by the ordered faults.

use super::Overload;
use super::build::Sketch;
use super::parts::{ModuleParts, OPEN_OHMS, OVERLOAD_KNEE_VOLTS, PortParts};
use crate::fault::{Defects, Load, SOLDER_BRIDGE_OHMS, Terminal, rail_index};
use crate::netlist::Node;
use bench_plan::{DutFamily, Fixture};
use bench_run::Contact;

/// Current of an overload without a given current, relative to the supply's limit.
const OVERLOAD_FACTOR: f64 = 3.0;
const LOGIC_VOLTS: f64 = 3.3;

/// Resistance between nail and module, with `touching` for good gold.
pub(super) fn joint_ohms(defects: &Defects, contact: Contact, touching: f64) -> f64 {
    if defects.empty_nest || defects.open.contains(&contact) {
        return OPEN_OHMS;
    }
    let cold = defects.cold.iter().filter(|(cold, _)| *cold == contact);
    touching + cold.map(|(_, ohms)| ohms).sum::<f64>()
}

/// Damages output stages and pulls.
pub(super) fn weaken(defects: &Defects, dut: &DutFamily, parts: &mut ModuleParts) {
    let mut change = |contact: Contact, change: &dyn Fn(&mut PortParts)| {
        let port = dut.contact(contact).and_then(|info| info.port).map(|port| usize::from(port.index()));
        if let Some(stage) = port.and_then(|port| parts.ports.get_mut(port)) {
            change(stage);
        }
    };
    for &(contact, factor) in &defects.weak_pulls {
        change(contact, &|stage| {
            stage.pull_up_ohms *= factor;
            stage.pull_down_ohms *= factor;
        });
    }
    for &(contact, factor) in &defects.weak_drivers {
        change(contact, &|stage| {
            stage.standard_ohms *= factor;
            stage.high_drive_ohms *= factor;
        });
    }
}

/// Adds the joints of the faults. `place_of` returns the node of a terminal on the module. Returns the parts that draw
/// current in one direction.
pub(super) fn join(
    defects: &Defects,
    fixture: &Fixture,
    ground: Node,
    logic: Node,
    place_of: impl Fn(&Terminal) -> Option<Node>,
    sketch: &mut Sketch,
) -> Vec<Overload> {
    for joint in &defects.joints {
        if let (Some(a), Some(b)) = (place_of(&joint.a), place_of(&joint.b))
            && a != b
        {
            sketch.resistor(a, b, joint.ohms.max(SOLDER_BRIDGE_OHMS), joint.label);
        }
    }
    let mut overload = |node: Node, volts: f64, amps: f64| {
        let ohms = (volts - OVERLOAD_KNEE_VOLTS) / amps;
        Overload { node, edge: sketch.edge(node, ground), ohms }
    };
    let mut load = |load: &Load| match load {
        Load::Logic(amps) => Some(overload(logic, LOGIC_VOLTS, *amps)),
        Load::Rail(name, amps) => {
            let rail = &fixture.rails[rail_index(fixture, name)?];
            let node = place_of(&Terminal::Rail(name.clone()))?;
            Some(overload(node, rail.volts, amps.unwrap_or(OVERLOAD_FACTOR * rail.current_limit_amps)))
        }
    };
    defects.loads.iter().filter_map(&mut load).collect()
}
