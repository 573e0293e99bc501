//! The USB pair: the device's pull-up, the host's pull-downs, and whether both lines carry levels.

use super::build::Sketch;
use super::elements::Parts;
use super::{Circuit, Trial};
use crate::netlist::Node;
use bench_plan::{ContactInfo, DutFamily, Function};
use bench_run::Contact;
use std::collections::BTreeMap;

/// Supply of the device's transceiver, from its own regulator.
const TRANSCEIVER_VOLTS: f64 = 3.3;
/// Output resistance of a full-speed driver with its series resistor (USB 2.0, 7.1.1.1: 28 to 44 ohm).
const DRIVER_OHMS: f64 = 40.0;
/// The host's pull-downs on both lines (7.1.5).
const HOST_PULL_DOWN_OHMS: f64 = 15e3;
/// Receivers' thresholds (7.1.4.1).
const HIGH_VOLTS: f64 = 2.0;
const LOW_VOLTS: f64 = 0.8;

/// D+ and D-: on the module, and at the nails.
pub(super) struct DataLines {
    pads: [Node; 2],
    nails: [Node; 2],
}

/// Those of a connector on the module's own board, which no contact reaches.
pub(super) fn own_connector(sketch: &mut Sketch) -> DataLines {
    let lines = ["usb_plus", "usb_minus"].map(|name| sketch.node(name));
    DataLines { pads: lines, nails: lines }
}

pub(super) fn data_lines(
    dut: &DutFamily,
    module: &BTreeMap<Contact, Node>,
    nails: &BTreeMap<Contact, Node>,
) -> Option<DataLines> {
    let line = |sign: char| {
        let is_data = |info: &&ContactInfo| info.functions.contains(&Function::Usb) && info.pin.ends_with(sign);
        let contact = dut.contacts.iter().find(is_data)?.contact;
        Some((*module.get(&contact)?, *nails.get(&contact)?))
    };
    let ((plus, plus_nail), (minus, minus_nail)) = (line('+')?, line('-')?);
    Some(DataLines { pads: [plus, minus], nails: [plus_nail, minus_nail] })
}

impl Circuit {
    /// Sets whether the chip's USB device pulls D+ up.
    pub fn set_usb_pull_up(&mut self, on: bool) {
        if on != self.usb_pull_up {
            self.usb_pull_up = on;
            self.touch();
        }
    }

    pub(super) fn add_usb(&self, values: &mut impl Parts, trial: Trial) {
        let Some(lines) = &self.wiring.usb_data else { return };
        if self.commands.usb {
            lines
                .nails
                .iter()
                .for_each(|nail| values.driver(*nail, 0.0, HOST_PULL_DOWN_OHMS, "pull-down of the USB host"));
        }
        if self.usb_pull_up {
            let ohms = self.wiring.parts.usb_pull_up_ohms;
            values.driver(lines.pads[0], TRANSCEIVER_VOLTS, ohms, "pull-up of the USB device");
        }
        if let Some(levels) = trial.usb {
            for (pad, high) in lines.pads.iter().zip(levels) {
                let volts = if high { TRANSCEIVER_VOLTS } else { 0.0 };
                values.driver(*pad, volts, DRIVER_OHMS, "driver of the USB device");
            }
        }
    }

    /// Levels at the host's receivers: D+ and D-; `None` between their thresholds, or while the host is not joined.
    fn usb_levels(&mut self, trial: Trial) -> Option<[bool; 2]> {
        let nails = self.wiring.usb_data.as_ref()?.nails;
        if !self.commands.usb {
            return None;
        }
        let volts = self.solve_trial(trial);
        let level = |node: Node| match volts.at(node) {
            volts if volts > HIGH_VOLTS => Some(true),
            volts if volts < LOW_VOLTS => Some(false),
            _ => None,
        };
        Some([level(nails[0])?, level(nails[1])?])
    }

    /// Whether the host sees a full-speed device.
    pub fn usb_is_attached(&mut self) -> bool {
        self.usb_pull_up && self.usb_levels(Trial::default()) == Some([true, false])
    }

    /// Whether both states of the pair reach the other end.
    pub fn usb_data_passes(&mut self) -> bool {
        [[true, false], [false, true]]
            .into_iter()
            .all(|levels| self.usb_levels(Trial { usb: Some(levels), ..Trial::default() }) == Some(levels))
    }
}
