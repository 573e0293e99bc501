//! Every fault that can be ordered for a module in a fixture, to measure what a plan detects.

use super::kinds::KINDS;
use super::{Fault, Subject, Terminal, rail_contact};
use crate::circuit;
use crate::desk::as_wired;
use bench_plan::{Bus, ContactInfo, DutFamily, Fixture, Function, Model, NailWiring, SupplyRole};
use bench_run::Contact;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Resistance of an imperfect bridge (flux residue, a whisker), ohms.
const WEAK_SHORT_OHMS: f64 = 100.0;

/// A module in a fixture, from which each kind lists its faults.
pub(super) struct Site<'a> {
    pub dut: &'a DutFamily,
    pub fixture: &'a Fixture,
    /// Models that may be in the nest by mistake.
    pub others: &'a [String],
    /// The model that the plan is for, if known.
    pub model: Option<&'a Model>,
    /// The kind that is being listed.
    pub kind: &'static super::FaultKind,
}

/// Lists everything that can be wrong with a module of this family in this fixture. Omits shorts between contacts that
/// the module joins anyway (ground to ground). `other_models` may be in the nest by mistake; `model` says which modem
/// belongs into the module.
pub fn all_faults(dut: &DutFamily, fixture: &Fixture, other_models: &[String], model: Option<&Model>) -> Vec<Fault> {
    let fixture = &*as_wired(fixture, dut);
    let of_kind = |kind| (kind, Site { dut, fixture, others: other_models, model, kind });
    KINDS.iter().map(of_kind).flat_map(|(kind, site)| (kind.listed)(&site)).collect()
}

/// Pairs of neighbouring contacts, as the family's file describes its edge or headers.
pub fn neighbours(dut: &DutFamily) -> Vec<(Contact, Contact)> {
    dut.neighbours().collect()
}

impl Site<'_> {
    fn fault(&self, subject: Subject) -> Fault {
        Fault { kind: self.kind, subject, amount: self.kind.usual() }
    }
    /// The fault itself, if the module can have it.
    pub fn once(&self, exists: bool) -> Vec<Fault> {
        exists.then(|| self.fault(Subject::Nothing)).into_iter().collect()
    }
    /// One fault for each contact that has the property.
    pub fn contacts(&self, has: fn(&ContactInfo) -> bool) -> Vec<Fault> {
        let contacts = self.dut.contacts.iter().filter(|info| has(info));
        contacts.map(|info| self.fault(Subject::Contact(info.contact))).collect()
    }
    pub fn numbers(&self, values: &[f64]) -> Vec<Fault> {
        let number = |value: &f64| Fault { kind: self.kind, subject: Subject::Nothing, amount: Some(*value) };
        values.iter().map(number).collect()
    }
    pub fn numbers_if(&self, exists: bool, values: &[f64]) -> Vec<Fault> {
        if exists { self.numbers(values) } else { Vec::new() }
    }
    pub fn indices(&self, range: RangeInclusive<u8>) -> Vec<Fault> {
        range.map(|index| self.fault(Subject::Index(index))).collect()
    }
    pub fn has_probe(&self) -> bool {
        self.fixture.probe.is_some()
    }
    /// Rails that reach the module.
    pub fn rails(&self) -> Vec<Fault> {
        self.rail_names().map(|name| self.fault(Subject::Rail(name))).collect()
    }
    pub fn other_models(&self) -> Vec<Fault> {
        self.others.iter().map(|name| self.fault(Subject::Word(name.clone()))).collect()
    }
    /// Types of modem that do not belong in this model.
    pub fn other_modems(&self) -> Vec<Fault> {
        let fitted = |name: &str| self.model.is_none_or(|model| model.modem_parts.iter().any(|part| part == name));
        let others = crate::modem::TYPES.iter().map(|modem| modem.name()).filter(|name| !fitted(name));
        let exist = self.dut.modem.is_some();
        others.filter(|_| exist).map(|name| self.fault(Subject::Word(name.to_owned()))).collect()
    }
    /// Units of this peripheral that are masters of buses at the module's contacts.
    pub fn masters(&self, peripheral: &str) -> Vec<Fault> {
        let outside = |bus: &&Bus| bus.function.is_some_and(|function| BUSES.contains(&function));
        let unit = |bus: &Bus| {
            let number = bus.peripheral.strip_prefix(peripheral)?.chars().next()?.to_digit(10)?;
            u8::try_from(number).ok()
        };
        self.dut.buses.iter().filter(outside).filter_map(unit).map(|unit| self.fault(Subject::Index(unit))).collect()
    }
    fn rail_names(&self) -> impl Iterator<Item = String> {
        let on_module = |(index, _): &(usize, _)| rail_contact(self.fixture, self.dut, *index).is_some();
        self.fixture.rails.iter().enumerate().filter(on_module).map(|(_, rail)| rail.name.to_ascii_lowercase())
    }
    /// The rail that feeds the microcontroller.
    fn logic_rail(&self) -> Option<Terminal> {
        let info = self.dut.supply_contact(SupplyRole::Logic)?;
        match self.fixture.nail(info.contact)?.wiring {
            NailWiring::Rail { rail, .. } => {
                Some(Terminal::Rail(self.fixture.rails.get(rail)?.name.to_ascii_lowercase()))
            }
            _ => None,
        }
    }
    fn pwm_outputs(&self, unit: u8) -> Vec<Contact> {
        let channel = |info: &ContactInfo| info.pwm_channel.filter(|pwm| pwm.instance == unit).map(|pwm| pwm.channel);
        let outputs = self.dut.contacts.iter().filter_map(|info| Some((channel(info)?, info.contact)));
        outputs.collect::<BTreeSet<_>>().into_iter().map(|(_, contact)| contact).collect()
    }
    fn pwm_units(&self) -> BTreeSet<u8> {
        self.dut.contacts.iter().filter_map(|info| info.pwm_channel).map(|pwm| pwm.instance).collect()
    }
}

/// Between neighbours, from ports to ground and to the supply of the microcontroller, from rails to ground.
pub(super) fn shorts(site: &Site<'_>) -> Vec<Fault> {
    let short =
        |a: Terminal, b: Terminal, ohms| Fault { kind: site.kind, subject: Subject::Ends(a, b), amount: Some(ohms) };
    let mut faults = Vec::new();
    for (a, b) in site.dut.neighbours() {
        if let (Some(first), Some(second)) = (site.dut.contact(a), site.dut.contact(b))
            && !joined_inside(first, second)
        {
            let bridge = |ohms| short(Terminal::Contact(a), Terminal::Contact(b), ohms);
            faults.extend([0.0, WEAK_SHORT_OHMS].map(bridge));
        }
    }
    let logic = site.logic_rail();
    for info in site.dut.contacts.iter().filter(|info| info.port.is_some()) {
        let ends = [Some(Terminal::Ground), logic.clone()].into_iter().flatten();
        faults.extend(ends.map(|end| short(Terminal::Contact(info.contact), end, 0.0)));
    }
    faults.extend(site.rail_names().map(|name| short(Terminal::Rail(name), Terminal::Ground, 0.0)));
    faults
}

/// From signals to ground and to the supply of the microcontroller.
pub(super) fn leaks(site: &Site<'_>) -> Vec<Fault> {
    let ends: Vec<Terminal> = [Some(Terminal::Ground), site.logic_rail()].into_iter().flatten().collect();
    let signals = site.dut.contacts.iter().filter(|info| is_signal(info));
    let leak =
        |info: &ContactInfo, to: &Terminal| site.fault(Subject::Ends(Terminal::Contact(info.contact), to.clone()));
    signals.flat_map(|info| ends.iter().map(move |to| leak(info, to))).collect()
}

/// Neighbouring signals.
pub(super) fn swaps(site: &Site<'_>) -> Vec<Fault> {
    let signal = |contact: &Contact| site.dut.contact(*contact).is_some_and(is_signal);
    let pairs = site.dut.neighbours().filter(|(a, b)| signal(a) && signal(b));
    pairs.map(|(a, b)| site.fault(Subject::Pair(a, b))).collect()
}

pub(super) fn pwm_units(site: &Site<'_>) -> Vec<Fault> {
    site.pwm_units().into_iter().map(|unit| site.fault(Subject::Index(unit))).collect()
}

/// Contacts of one PWM unit whose channels follow each other.
pub(super) fn pwm_pairs(site: &Site<'_>) -> Vec<Fault> {
    let pairs = |unit| {
        let outputs = site.pwm_outputs(unit);
        outputs.windows(2).map(|pair| site.fault(Subject::Pair(pair[0], pair[1]))).collect::<Vec<_>>()
    };
    site.pwm_units().into_iter().flat_map(pairs).collect()
}

pub(super) fn flow_lines(site: &Site<'_>) -> Vec<Fault> {
    let exists = |word: &&str| site.dut.by_role(Function::Uart, &word.to_ascii_uppercase()).is_some();
    ["rts", "cts"].into_iter().filter(exists).map(|word| site.fault(Subject::Word(word.to_owned()))).collect()
}

pub(super) fn interrupt_channels(site: &Site<'_>) -> Vec<Fault> {
    match site.dut.with_function(Function::Interrupt).next() {
        Some(_) => site.indices(0..=dut_protocol::EDGE_CHANNELS as u8 - 1),
        None => Vec::new(),
    }
}

/// The contact leads to silicon and is not a supply.
pub(super) fn is_signal(info: &ContactInfo) -> bool {
    circuit::is_protected(info) && !info.functions.contains(&Function::Power) && !info.functions.contains(&Function::Nc)
}

const BUSES: [Function; 4] = [Function::Spi, Function::Spi1, Function::I2c, Function::I2c1];

/// Whether an SPI or I2C master works with the contact's port. The chip select is driven as a plain port.
pub(super) fn is_bus_line(info: &ContactInfo) -> bool {
    info.port.is_some()
        && BUSES.iter().any(|bus| info.functions.contains(bus) && info.roles.get(bus).is_some_and(|role| role != "SS"))
}

/// Ground contacts, and contacts of one supply.
fn joined_inside(a: &ContactInfo, b: &ContactInfo) -> bool {
    let both = |function: Function| a.functions.contains(&function) && b.functions.contains(&function);
    both(Function::Ground) || both(Function::Power) && a.pin == b.pin
}
