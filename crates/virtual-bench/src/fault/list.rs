//! Every fault that can be ordered, to measure what a plan finds.

use super::{Fault, Terminal, rail_contact};
use bench_plan::{ContactInfo, DutFamily, Fixture, Function};
use bench_run::Contact;

/// Contact numbers that the notch of an M.2 key-E edge takes away.
const NOTCH: std::ops::RangeInclusive<u8> = 24..=31;
/// Resistance of a bridge that is not quite one: flux residue, a whisker. Ohms.
const WEAK_SHORT_OHMS: f64 = 100.0;

/// Pairs of contacts that lie side by side: n and n + 2 on one face of an M.2 edge, n and n + 1 on a header.
pub fn neighbours(dut: &DutFamily) -> Vec<(Contact, Contact)> {
    let is_header = dut.name == "boron";
    let exists = |contact: Contact| dut.contact(contact).is_some() && (is_header || !NOTCH.contains(&contact.0));
    let step = if is_header { 1 } else { 2 };
    // The Boron's headers have 16 and 12 pins.
    let same_side = |a: Contact| !is_header || a.0 != 16;
    dut.contacts
        .iter()
        .map(|info| (info.contact, Contact(info.contact.0.saturating_add(step))))
        .filter(|&(a, b)| exists(a) && exists(b) && a != b && same_side(a))
        .collect()
}

/// Everything that can be wrong with a module of this family in this fixture, one fault each. Shorts between contacts
/// that the module joins anyway (ground to ground) are no faults and do not appear; `other_models` may lie on the nest
/// by mistake.
pub fn all_faults(dut: &DutFamily, fixture: &Fixture, other_models: &[String]) -> Vec<Fault> {
    let mut faults: Vec<Fault> = dut.contacts.iter().map(|info| Fault::Open(info.contact)).collect();
    for (a, b) in neighbours(dut) {
        if let (Some(first), Some(second)) = (dut.contact(a), dut.contact(b))
            && !joined_inside(first, second)
        {
            for ohms in [0.0, WEAK_SHORT_OHMS] {
                faults.push(Fault::Short { a: Terminal::Contact(a), b: Terminal::Contact(b), ohms });
            }
        }
    }
    let logic_rail = dut.pin("3V3").and_then(|info| fixture.nail(info.contact)).and_then(|nail| match nail.wiring {
        bench_plan::NailWiring::Rail { rail, .. } => fixture.rails.get(rail),
        _ => None,
    });
    for info in dut.contacts.iter().filter(|info| info.port.is_some()) {
        let contact = Terminal::Contact(info.contact);
        faults.push(Fault::Short { a: contact.clone(), b: Terminal::Ground, ohms: 0.0 });
        if let Some(rail) = logic_rail {
            let rail = Terminal::Rail(rail.name.to_ascii_lowercase());
            faults.push(Fault::Short { a: contact, b: rail, ohms: 0.0 });
        }
        faults.push(Fault::StuckHigh(info.contact));
        faults.push(Fault::StuckLow(info.contact));
        faults.push(Fault::LostPull(info.contact));
    }
    for (index, rail) in fixture.rails.iter().enumerate() {
        if rail_contact(fixture, dut, index).is_some() {
            let name = rail.name.to_ascii_lowercase();
            faults.push(Fault::Short { a: Terminal::Rail(name.clone()), b: Terminal::Ground, ohms: 0.0 });
            faults.push(Fault::Overload { rail: name, amps: None });
        }
    }
    faults.extend([Fault::AdcGain(5.0), Fault::AdcGain(-5.0), Fault::AdcOffset(50.0), Fault::AdcOffset(-50.0)]);
    faults.extend([Fault::DeadLink, Fault::DeadMcu, Fault::EmptyNest]);
    faults.extend(other_models.iter().cloned().map(Fault::WrongModel));
    faults
}

/// Ground contacts, and contacts of one supply.
fn joined_inside(a: &ContactInfo, b: &ContactInfo) -> bool {
    let both = |function: Function| a.functions.contains(&function) && b.functions.contains(&function);
    both(Function::Ground) || both(Function::Power) && a.pin == b.pin
}
