//! Solutions in which the one-way parts did not agree: their voltages are unreliable.

use super::{Circuit, Conducting};
use std::collections::BTreeSet;

/// Names in one report.
const MOST_NAMES: usize = 4;

/// Record of these solutions.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    count: u64,
    first_ns: u64,
    /// Parts that still changed their state the first time.
    parts: BTreeSet<String>,
}

impl Unsettled {
    pub(super) fn add(&mut self, now_ns: u64, parts: BTreeSet<String>) {
        if self.count == 0 {
            (self.first_ns, self.parts) = (now_ns, parts);
        }
        self.count += 1;
    }
}

impl Circuit {
    /// Reports whether voltages of this run are unreliable.
    pub fn doubt(&self) -> Option<String> {
        let Unsettled { count, first_ns, parts } = &self.unsettled;
        if *count == 0 {
            return None;
        }
        let named: Vec<&str> = parts.iter().take(MOST_NAMES).map(String::as_str).collect();
        let more = match parts.len().saturating_sub(MOST_NAMES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "the circuit found no state in which all parts agree, {count} times, first at {:.6} s: {}{more}",
            *first_ns as f64 * 1e-9,
            named.join(", ")
        ))
    }

    /// Adds the names of the parts whose state changed.
    pub(super) fn name_turned(&self, before: &Conducting, now: &Conducting, names: &mut BTreeSet<String>) {
        let wiring = &self.wiring;
        let name = |node: crate::netlist::Node| wiring.names.get(node.index()).map_or("?", String::as_str);
        for (diode, (before, now)) in wiring.diodes.iter().zip(before.diodes.iter().zip(&now.diodes)) {
            if before != now {
                names.insert(format!("{} ({} to {})", diode.what, name(diode.anode), name(diode.cathode)));
            }
        }
        for (rail, (before, now)) in wiring.rails.iter().zip(before.supplies.iter().zip(&now.supplies)) {
            if before != now {
                names.insert(format!("supply of {}", name(rail.node)));
            }
        }
        for (overload, (before, now)) in wiring.overloads.iter().zip(before.overloads.iter().zip(&now.overloads)) {
            if before != now {
                names.insert(format!("overload at {}", name(overload.node)));
            }
        }
        if before.logic != now.logic {
            names.insert("current of the running module".to_owned());
        }
        if before.regulator != now.regulator {
            names.insert("converter of 3V3".to_owned());
        }
    }
}
