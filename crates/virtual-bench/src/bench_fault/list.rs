//! Every fault with which a bench is measured.
//!
//! A nail is in series with its contact, so its faults are those of the contact, which the list of module faults has for
//! every contact. Here, one nail of each wiring stands for its kind; any other can be ordered.

use super::kinds::{BENCH_KINDS, BenchFaultKind};
use super::{BenchFault, Target, show_output};
use bench_plan::{ChipKind, DutFamily, Fixture, Function, IoBit, NailWiring};
use bench_run::Contact;

/// A bench, from which each kind lists its faults.
pub(super) struct Site<'a> {
    pub dut: &'a DutFamily,
    pub fixture: &'a Fixture,
    pub kind: &'static BenchFaultKind,
}

/// Lists what can be wrong with this fixture, its controller and the people at it.
pub fn all_bench_faults(dut: &DutFamily, fixture: &Fixture) -> Vec<BenchFault> {
    let of_kind = |kind| (kind, Site { dut, fixture, kind });
    let listed = BENCH_KINDS.iter().map(of_kind).flat_map(|(kind, site)| (kind.listed)(&site));
    listed.filter(|fault| fault.check(fixture).is_ok()).collect()
}

/// Something that a port expander switches.
struct Switched {
    bit: IoBit,
    /// As errors name it, in lower case.
    names: Vec<String>,
    /// Behind a supply's own enable: a kind of its own.
    is_rail: bool,
}

/// All outputs of port expanders but those of nails that drive.
fn switched(fixture: &Fixture) -> Vec<Switched> {
    let Some(bed) = &fixture.bed else { return Vec::new() };
    let mut all = Vec::new();
    let mut add = |bit: IoBit, names: &[String], is_rail: bool| {
        all.push(Switched { bit, names: names.iter().map(|name| name.to_lowercase()).collect(), is_rail });
    };
    let text = |text: &str| vec![text.to_owned()];
    for rail in &fixture.rails {
        let name = vec![format!("rail {}", rail.name)];
        add(rail.enable, &name, true);
        add(rail.discharge, &name, false);
    }
    for (contact, nail) in &fixture.nails {
        match nail.wiring {
            NailWiring::Rail { feed, .. } | NailWiring::Ground { feed, .. } => {
                add(feed, &[format!("nail {contact}"), format!("nail of contact {contact}")], false);
            }
            NailWiring::Io { .. } => {}
        }
    }
    let bus = &bed.measure_bus;
    for bit in &bus.address {
        add(*bit, &text("address"), false);
    }
    for (number, bit) in bus.banks.iter().enumerate() {
        add(*bit, &[format!("bank {number}")], false);
    }
    add(bus.source_enable, &text("source"), false);
    add(bed.link_relay, &[text("relay"), text("loop-back")].concat(), false);
    if let Some(usb) = fixture.usb {
        add(usb.switch, &text("usb switch"), false);
    }
    if let Some(coil) = fixture.nfc.and_then(|nfc| nfc.coil) {
        add(coil.switch, &text("coil"), false);
    }
    for peer in &fixture.peers {
        add(peer.select, std::slice::from_ref(&peer.id), false);
    }
    all
}

/// Words that name an output: its chip and pin, what is behind it.
pub(super) fn words_of(bit: IoBit, fixture: &Fixture) -> Vec<String> {
    let own = show_output(bit, fixture).map(|name| name.to_lowercase());
    let behind = switched(fixture).into_iter().filter(|switch| switch.bit == bit).flat_map(|switch| switch.names);
    let drives = |nail: &bench_plan::Nail| matches!(nail.wiring, NailWiring::Io { io, .. } if io == bit);
    let nails = fixture.nails.values().filter(|nail| drives(nail)).map(|nail| format!("nail {}", nail.contact));
    own.into_iter().chain(behind).chain(nails).collect()
}

pub(super) fn has_lid(fixture: &Fixture) -> bool {
    fixture.bed.as_ref().is_some_and(|bed| bed.controller.lid.is_some())
}

impl Site<'_> {
    fn fault(&self, target: Target) -> BenchFault {
        BenchFault { kind: self.kind, target, amount: self.kind.amount.map(|amount| amount.usual) }
    }

    fn with_amounts(&self, target: &Target, amounts: &[f64]) -> Vec<BenchFault> {
        let one = |amount: &f64| BenchFault { kind: self.kind, target: target.clone(), amount: Some(*amount) };
        amounts.iter().map(one).collect()
    }

    pub fn once(&self, exists: bool) -> Vec<BenchFault> {
        exists.then(|| self.fault(Target::Nothing)).into_iter().collect()
    }

    pub fn amounts(&self, amounts: &[f64]) -> Vec<BenchFault> {
        self.with_amounts(&Target::Nothing, amounts)
    }

    pub fn amounts_if(&self, exists: bool, amounts: &[f64]) -> Vec<BenchFault> {
        if exists { self.amounts(amounts) } else { Vec::new() }
    }

    /// One nail of each wiring: an analog input, a supply, a ground, the link, NFC.
    fn representatives(&self) -> Vec<Contact> {
        let nails = || self.fixture.nails.values();
        let info = |contact: Contact| self.dut.contact(contact);
        let first = |has: &dyn Fn(&bench_plan::Nail) -> bool| nails().find(|nail| has(nail)).map(|nail| nail.contact);
        let wiring = |nail: &bench_plan::Nail, is: fn(&NailWiring) -> bool| is(&nail.wiring);
        let mut chosen: Vec<Contact> = [
            first(&|nail| info(nail.contact).is_some_and(|info| info.adc_input.is_some())),
            first(&|nail| wiring(nail, |wiring| matches!(wiring, NailWiring::Rail { .. }))),
            first(&|nail| wiring(nail, |wiring| matches!(wiring, NailWiring::Ground { .. }))),
            first(&|nail| nail.contact == self.fixture.link.dut_rx),
            first(&|nail| info(nail.contact).is_some_and(|info| info.functions.contains(&Function::Nfc))),
        ]
        .into_iter()
        .flatten()
        .collect();
        chosen.dedup();
        chosen
    }

    pub fn nails(&self) -> Vec<BenchFault> {
        self.representatives().into_iter().map(|contact| self.fault(Target::Nail(contact))).collect()
    }

    pub fn nails_with(&self, amounts: &[f64]) -> Vec<BenchFault> {
        let all = self.representatives().into_iter();
        all.flat_map(|contact| self.with_amounts(&Target::Nail(contact), amounts)).collect()
    }

    /// Every nail that the multiplexers reach.
    pub fn nails_on_the_bus(&self) -> Vec<BenchFault> {
        let on_bus = self.fixture.nails.values().filter(|nail| nail.mux.is_some());
        on_bus.map(|nail| self.fault(Target::Nail(nail.contact))).collect()
    }

    /// Two pairs of neighbours that lead to ports.
    pub fn neighbouring_nails(&self) -> Vec<BenchFault> {
        let drives = |contact: Contact| {
            self.dut.contact(contact).is_some_and(|info| info.port.is_some())
                && self.fixture.nail(contact).is_some_and(|nail| matches!(nail.wiring, NailWiring::Io { .. }))
        };
        let pairs: Vec<(Contact, Contact)> = self.dut.neighbours().filter(|(a, b)| drives(*a) && drives(*b)).collect();
        let chosen = [pairs.len() / 3, 2 * pairs.len() / 3];
        chosen.iter().filter_map(|at| pairs.get(*at)).map(|(a, b)| self.fault(Target::Nails(*a, *b))).collect()
    }

    pub fn banks(&self) -> Vec<BenchFault> {
        let banks = self.fixture.bed.as_ref().map_or(0, |bed| bed.measure_bus.banks.len());
        (0..banks as u8).map(|number| self.fault(Target::Bank(number))).collect()
    }

    /// Everything that is switched, with or without the rails.
    pub fn switches(&self, rails: bool) -> Vec<BenchFault> {
        let named = switched(self.fixture).into_iter().filter(|switch| rails || !switch.is_rail);
        named
            .filter_map(|switch| show_output(switch.bit, self.fixture))
            .map(|name| self.fault(Target::Output(name)))
            .collect()
    }

    /// Everything that is switched, and one nail of each expander that drives nails.
    pub fn outputs(&self) -> Vec<BenchFault> {
        let mut bits: Vec<IoBit> = switched(self.fixture).into_iter().map(|switch| switch.bit).collect();
        let mut of_nails = std::collections::BTreeSet::new();
        for nail in self.fixture.nails.values() {
            if let NailWiring::Io { io, .. } = nail.wiring
                && of_nails.insert(io.chip)
            {
                bits.push(io);
            }
        }
        bits.into_iter()
            .filter_map(|bit| show_output(bit, self.fixture))
            .map(|name| self.fault(Target::Output(name)))
            .collect()
    }

    pub fn chips(&self, of: fn(ChipKind) -> bool) -> Vec<BenchFault> {
        let chips = self.fixture.chips.iter().filter(|chip| of(chip.kind));
        chips.map(|chip| self.fault(Target::Named(chip.id.clone()))).collect()
    }

    pub fn chips_with(&self, of: fn(ChipKind) -> bool, amounts: &[f64]) -> Vec<BenchFault> {
        let chips = self.fixture.chips.iter().filter(|chip| of(chip.kind));
        chips.flat_map(|chip| self.with_amounts(&Target::Named(chip.id.clone()), amounts)).collect()
    }

    /// The rails that the fixture itself feeds.
    fn rail_names(&self) -> Vec<String> {
        self.fixture.rails.iter().filter(|rail| rail.load_ohms.is_none()).map(|rail| rail.name.clone()).collect()
    }

    pub fn rails(&self) -> Vec<BenchFault> {
        self.rail_names().into_iter().map(|name| self.fault(Target::Named(name))).collect()
    }

    pub fn rails_with(&self, amounts: &[f64]) -> Vec<BenchFault> {
        let rails = self.rail_names().into_iter();
        rails.flat_map(|name| self.with_amounts(&Target::Named(name), amounts)).collect()
    }
}
