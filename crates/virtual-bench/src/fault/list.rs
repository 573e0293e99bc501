//! Every fault that can be ordered, to measure what a plan finds.

use super::{
    BLE_CRYSTAL_PPM, BLE_WEAK_DB, COLD_OHMS, CRYSTAL_PPM, ESD_OHMS, Fault, FlowLine, LEAK_OHMS, LOST_AFTER,
    SLEEP_MILLIAMPS, Terminal, rail_contact,
};
use crate::circuit;
use bench_plan::{ContactInfo, DutFamily, Fixture, Function, Model};
use bench_run::Contact;
use std::collections::BTreeSet;

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
/// by mistake; of `model` it is known which modem belongs into it.
pub fn all_faults(dut: &DutFamily, fixture: &Fixture, other_models: &[String], model: Option<&Model>) -> Vec<Fault> {
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
        // The NFC antenna's pads are no GPIO: neither their pulls nor their drivers are ever on.
        if !info.functions.contains(&Function::Nfc) {
            faults.push(Fault::LostPull(info.contact));
            faults.push(Fault::WeakPull(info.contact));
        }
    }
    for (index, rail) in fixture.rails.iter().enumerate() {
        if rail_contact(fixture, dut, index).is_some() {
            let name = rail.name.to_ascii_lowercase();
            faults.push(Fault::Short { a: Terminal::Rail(name.clone()), b: Terminal::Ground, ohms: 0.0 });
            faults.push(Fault::Overload { rail: name, amps: None });
        }
    }
    faults.extend([Fault::AdcGain(5.0), Fault::AdcGain(-5.0), Fault::AdcOffset(50.0), Fault::AdcOffset(-50.0)]);
    faults.extend([Fault::DeadLink, Fault::SlowLink, Fault::DeadMcu, Fault::EmptyNest]);
    faults.extend(other_models.iter().cloned().map(Fault::WrongModel));
    faults.extend(of_contacts(dut, logic_rail.map(|rail| rail.name.to_ascii_lowercase()).as_deref()));
    faults.extend([Fault::SleepCurrent(SLEEP_MILLIAMPS), Fault::VusbDetectLost, Fault::RetainedLost, Fault::UsbDead]);
    faults.extend([Fault::FlashAbsent, Fault::FlashBadBlock, Fault::FlashLineOpen(2), Fault::FlashLineOpen(3)]);
    faults.extend([Fault::Crystal(CRYSTAL_PPM), Fault::Crystal(-CRYSTAL_PPM), Fault::CrystalDead]);
    let units: BTreeSet<u8> = dut.contacts.iter().filter_map(|info| info.pwm_channel).map(|pwm| pwm.instance).collect();
    faults.extend(of_buses(dut));
    faults.extend(units.iter().copied().map(Fault::PwmDead));
    for unit in units {
        let channel = |info: &ContactInfo| info.pwm_channel.filter(|pwm| pwm.instance == unit).map(|pwm| pwm.channel);
        let mut outputs: Vec<(u8, Contact)> =
            dut.contacts.iter().filter_map(|info| Some((channel(info)?, info.contact))).collect();
        outputs.sort_unstable();
        faults.extend(outputs.windows(2).map(|pair| Fault::PwmWrong(pair[0].1, pair[1].1)));
    }
    if fixture.nfc.is_some() {
        faults.extend([Fault::NfcDead, Fault::NfcAntenna, Fault::NfcDetuned, Fault::NfcAsPorts]);
    }
    if dut.with_function(Function::Interrupt).next().is_some() {
        faults.extend((0..dut_protocol::EDGE_CHANNELS as u8).map(Fault::InterruptDead));
    }
    if dut.modem.is_some() {
        faults.extend(super::ModemFault::all().map(Fault::Modem));
        let fitted = |name: &str| model.is_none_or(|model| model.modem_parts.iter().any(|part| part == name));
        let others = crate::modem::TYPES.iter().map(|known| known.name()).filter(|name| !fitted(name));
        faults.extend(others.map(|part| Fault::Modem(super::ModemFault::Wrong(part.to_owned()))));
    }
    if fixture.ble.is_some() {
        faults.extend([Fault::BleAntenna, Fault::BleWeak(BLE_WEAK_DB), Fault::BleDead]);
        faults.extend([Fault::BleCrystal(BLE_CRYSTAL_PPM), Fault::BleCrystal(-BLE_CRYSTAL_PPM)]);
    }
    if fixture.controller.probe.is_some() {
        faults.extend([Fault::ProbeAbsent, Fault::SwdioOpen, Fault::SwclkOpen, Fault::ProbeLost(LOST_AFTER)]);
        faults.extend([Fault::Locked, Fault::SelfLocking, Fault::WrongMcu, Fault::McuFlashPage]);
    }
    faults
}

/// Cold joints, damaged pads, leaks, exchanged contacts, dead analog inputs.
fn of_contacts(dut: &DutFamily, logic_rail: Option<&str>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let has = |info: &ContactInfo, function: Function| info.functions.contains(&function);
    for info in dut.contacts.iter().filter(|info| !has(info, Function::Nc)) {
        faults.push(Fault::Cold { contact: info.contact, ohms: COLD_OHMS });
    }
    let is_signal = |info: &&ContactInfo| circuit::is_protected(info) && !has(info, Function::Power);
    for info in dut.contacts.iter().filter(is_signal) {
        faults.push(Fault::Esd { contact: info.contact, ohms: ESD_OHMS });
        faults.push(Fault::Leak { contact: info.contact, to: Terminal::Ground, ohms: LEAK_OHMS });
        if let Some(rail) = logic_rail {
            faults.push(Fault::Leak { contact: info.contact, to: Terminal::Rail(rail.to_owned()), ohms: LEAK_OHMS });
        }
    }
    for (a, b) in neighbours(dut) {
        if [a, b].iter().all(|contact| dut.contact(*contact).as_ref().is_some_and(is_signal)) {
            faults.push(Fault::Swap(a, b));
        }
    }
    let drives = |info: &&ContactInfo| info.port.is_some() && !has(info, Function::Reset) && !has(info, Function::Nfc);
    let ports = dut.contacts.iter().filter(drives);
    faults.extend(ports.map(|info| Fault::WeakDriver(info.contact)));
    faults.extend(dut.contacts.iter().filter(|info| info.adc_input.is_some()).map(|info| Fault::AdcDead(info.contact)));
    faults
}

const BUSES: [Function; 4] = [Function::Spi, Function::Spi1, Function::I2c, Function::I2c1];

/// Whether an SPI or I2C master works with the contact's port. The chip select is driven as a plain port.
pub(super) fn is_bus_line(info: &ContactInfo) -> bool {
    info.port.is_some()
        && BUSES.iter().any(|bus| info.functions.contains(bus) && info.roles.get(bus).is_some_and(|role| role != "SS"))
}

/// Bus masters that the module's contacts need, and the lines of buses and flow control.
fn of_buses(dut: &DutFamily) -> Vec<Fault> {
    let outside = |bus: &&bench_plan::Bus| bus.function.is_some_and(|function| BUSES.contains(&function));
    let unit = |bus: &bench_plan::Bus, name: &str| {
        let number = bus.peripheral.strip_prefix(name)?.chars().next()?.to_digit(10)?;
        u8::try_from(number).ok()
    };
    let mut faults = Vec::new();
    for bus in dut.buses.iter().filter(outside) {
        faults.extend(unit(bus, "SPIM").map(Fault::SpimDead));
        faults.extend(unit(bus, "TWIM").map(Fault::TwimDead));
    }
    faults.extend(dut.contacts.iter().filter(|info| is_bus_line(info)).map(|info| Fault::BusLineDead(info.contact)));
    let flow = [FlowLine::Rts, FlowLine::Cts].into_iter();
    faults.extend(flow.filter(|line| dut.by_role(Function::Uart, line.names().0).is_some()).map(Fault::FlowDead));
    faults
}

/// Ground contacts, and contacts of one supply.
fn joined_inside(a: &ContactInfo, b: &ContactInfo) -> bool {
    let both = |function: Function| a.functions.contains(&function) && b.functions.contains(&function);
    both(Function::Ground) || both(Function::Power) && a.pin == b.pin
}
