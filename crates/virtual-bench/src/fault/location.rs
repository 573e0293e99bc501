//! Location of a fault: the truth with which a diagnosis is compared afterwards. No run ever sees it.

use super::defects::{Defects, Joint};
use super::kinds::{Defective, Location};
use super::{Fault, Subject, Terminal, rail_index};
use crate::circuit;
use crate::desk::as_wired;
use bench_plan::{ContactInfo, DutFamily, Fixture, Function, NailWiring};
use bench_run::Contact;

const GROUND: &str = "ground";
/// Resistance of a path to ground from which on it is undetectable next to a modem that holds the contact at ground.
const HIDDEN_OHMS: f64 = 1e3;

/// What a diagnosis must name for a repair.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FaultLocation {
    /// Contacts that only this fault concerns; every one of them must be named. Ascending.
    pub contacts: Vec<Contact>,
    /// Supplies and ground that the fault touches.
    pub nets: Vec<Net>,
    /// For a fault without contacts and nets: words in lower case, one of which the diagnosis must contain.
    pub words: Vec<&'static str>,
}

/// Contacts that the module joins: a short to one of them is indistinguishable from a short to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Net {
    /// As people call it, in lower case: "3v3", "ground".
    pub name: String,
    /// Ascending.
    pub contacts: Vec<Contact>,
}

impl Fault {
    /// Location of this fault on a module of this family in this fixture.
    pub fn location(&self, dut: &DutFamily, fixture: &Fixture) -> FaultLocation {
        let fixture = &*as_wired(fixture, dut);
        let mut location = FaultLocation::default();
        match self.kind.location {
            Location::Words(words) => location.words = words.to_vec(),
            Location::UartRole => {
                let line = dut.by_role(Function::Uart, &self.word().to_ascii_uppercase());
                location.contacts.extend(line.map(|info| info.contact));
            }
            Location::Named => match &self.subject {
                Subject::Contact(contact) => location.contacts.push(*contact),
                Subject::Pair(a, b) => location.contacts.extend([*a, *b]),
                Subject::Ends(a, b) => {
                    location.add(a, dut, fixture);
                    location.add(b, dut, fixture);
                }
                Subject::Rail(rail) => location.add(&Terminal::Rail(rail.clone()), dut, fixture),
                Subject::Nothing | Subject::Index(_) | Subject::Word(_) => {}
            },
        }
        location.contacts.sort_unstable();
        location
    }

    /// Contacts of the fault, ascending. A short to a supply or to ground belongs to the other end; a short between two
    /// such nets belongs to all their contacts.
    pub fn contacts(&self, dut: &DutFamily, fixture: &Fixture) -> Vec<Contact> {
        let FaultLocation { mut contacts, mut nets, .. } = self.location(dut, fixture);
        if contacts.is_empty() {
            if nets.iter().any(|net| net.name != GROUND) {
                nets.retain(|net| net.name != GROUND);
            }
            contacts.extend(nets.into_iter().flat_map(|net| net.contacts));
        }
        contacts.sort_unstable();
        contacts.dedup();
        contacts
    }

    /// Whether an empty module shows the fault in another way than a programmed one. A module that is held in reset is
    /// programmed if it is empty; a programmed one does not answer the probe.
    pub fn affects_programming(&self, dut: &DutFamily, fixture: &Fixture) -> bool {
        let contacts = self.contacts(dut, fixture);
        let at_reset = dut.with_function(Function::Reset).any(|info| contacts.contains(&info.contact));
        let defective = self.kind.defective;
        at_reset || matches!(defective, Defective::ModuleWhileProgrammed | Defective::BenchWhileProgramming)
    }
}

impl FaultLocation {
    fn add(&mut self, terminal: &Terminal, dut: &DutFamily, fixture: &Fixture) {
        let net = match terminal {
            Terminal::Ground => ground(dut),
            Terminal::Rail(name) => rail(name, dut, fixture),
            Terminal::Contact(contact) => match dut.contact(*contact).map(|info| net_of(info, dut, fixture)) {
                Some(Some(net)) => net,
                _ => return self.contacts.push(*contact),
            },
        };
        if !self.nets.contains(&net) {
            self.nets.push(net);
        }
    }
}

fn ground(dut: &DutFamily) -> Net {
    let contacts = dut.with_function(Function::Ground).map(|info| info.contact).collect();
    Net { name: GROUND.to_owned(), contacts }
}

fn rail(name: &str, dut: &DutFamily, fixture: &Fixture) -> Net {
    let index = rail_index(fixture, name);
    let fed = |wiring: &NailWiring| matches!(wiring, NailWiring::Rail { rail, .. } if Some(*rail) == index);
    let nails = fixture.nails.values().filter(|nail| fed(&nail.wiring)).map(|nail| nail.contact);
    let joined = |contact| std::iter::once(contact).chain(fixture.joined_to(contact));
    let mut contacts: Vec<Contact> = nails.flat_map(joined).filter(|contact| dut.contact(*contact).is_some()).collect();
    contacts.sort_unstable();
    Net { name: name.to_ascii_lowercase(), contacts }
}

/// Only a pull-up carries current through the contact, and `ohms` are less than a hundredth of it.
fn is_weak_input(info: &ContactInfo, ohms: f64) -> bool {
    !circuit::is_protected(info) && info.pull_up_ohms.is_some_and(|pull| ohms < 0.01 * pull)
}

/// The supply or ground of a contact. A supply that no rail of the fixture feeds counts as an ordinary contact.
fn net_of(info: &ContactInfo, dut: &DutFamily, fixture: &Fixture) -> Option<Net> {
    if info.functions.contains(&Function::Ground) {
        return Some(ground(dut));
    }
    match fixture.nail_that_reaches(info.contact)?.wiring {
        NailWiring::Rail { rail: index, .. } => {
            fixture.rails.get(index).map(|supply| rail(&supply.name, dut, fixture)).filter(|net| net.contacts.len() > 1)
        }
        _ => None,
    }
}

/// Why no bench of this kind can detect the fault. `None`: the fault is detectable, and a plan that misses it has a
/// gap.
pub fn undetectable(fault: &Fault, dut: &DutFamily, fixture: &Fixture) -> Option<String> {
    let Defects { open, cold, swapped, joints, .. } = Defects::of(std::slice::from_ref(fault));
    if let Some(why) = beyond_the_board(fault, dut, fixture, open.iter().chain(cold.iter().map(|(contact, _)| contact)))
    {
        return Some(why);
    }
    let is = |contact: Contact, has: &dyn Fn(&ContactInfo) -> bool| dut.contact(contact).is_some_and(has);
    if let Some(contact) =
        open.iter().chain(cold.iter().map(|(contact, _)| contact)).find(|it| leads_nowhere(**it, dut))
    {
        let label = dut.label(*contact);
        return Some(format!("contact {label} leads nowhere inside the module: joined or not, no current can flow"));
    }
    if let Some((contact, ohms)) = cold.iter().find(|(contact, ohms)| is(*contact, &|info| is_weak_input(info, *ohms)))
    {
        return Some(format!(
            "contact {} is a high-impedance input with a weak pull-up and no diode that is known of: next to its \
             tolerance {ohms} ohm in series change nothing",
            dut.label(*contact)
        ));
    }
    if ends_of_a_coil(&swapped, dut) {
        return Some("the two ends of the NFC antenna's coil may be exchanged: the field is the same".to_owned());
    }
    let to_ground = |joint: &Joint| match (&joint.a, &joint.b) {
        (Terminal::Contact(contact), Terminal::Ground) if joint.ohms >= HIDDEN_OHMS => Some(*contact),
        _ => None,
    };
    let contact = joints.iter().filter_map(to_ground).find(|contact| is(*contact, &circuit::is_sim_supply))?;
    Some(format!(
        "the modem holds contact {} at ground through a few ohms while it is off, and feeds it from a regulator while it is \
         on: another path to ground changes less than they differ from module to module",
        dut.label(contact)
    ))
}

/// Why a module with this fault harms nobody: whatever it is plugged into, it does what a good one does. `None`: it may
/// harm somebody, or it is not known. That a bench cannot detect a fault is no reason: a cold joint may open later, a path to
/// ground takes current from the battery.
pub fn harmless(fault: &Fault, dut: &DutFamily) -> Option<String> {
    let Defects { open, cold, swapped, .. } = Defects::of(std::slice::from_ref(fault));
    let mut broken = open.iter().chain(cold.iter().map(|(contact, _)| contact));
    if let Some(contact) = broken.find(|contact| leads_nowhere(**contact, dut)) {
        let label = dut.label(*contact);
        return Some(format!(
            "contact {label} leads nowhere inside the module: nothing that it is plugged into can use it"
        ));
    }
    ends_of_a_coil(&swapped, dut).then(|| {
        "the two ends of the NFC antenna's coil have no polarity: a telephone reads the module either way".to_owned()
    })
}

fn leads_nowhere(contact: Contact, dut: &DutFamily) -> bool {
    dut.contact(contact).is_some_and(|info| info.port.is_none() && info.has(Function::Nc))
}

fn ends_of_a_coil(swapped: &[(Contact, Contact)], dut: &DutFamily) -> bool {
    let is_nfc = |contact: Contact| dut.contact(contact).is_some_and(|info| info.has(Function::Nfc));
    swapped.iter().any(|&(a, b)| is_nfc(a) && is_nfc(b))
}

/// Why a board that replaces the nails hides the fault: it joins the contact to others, or reaches none of the fault's.
fn beyond_the_board<'d>(
    fault: &Fault,
    dut: &DutFamily,
    fixture: &Fixture,
    mut broken: impl Iterator<Item = &'d Contact>,
) -> Option<String> {
    let shared =
        |contact: &&Contact| fixture.joined.contains_key(*contact) || fixture.joined_to(**contact).next().is_some();
    if let Some(contact) = broken.find(shared) {
        let label = dut.label(*contact);
        return Some(format!("the board joins contact {label} to others, which carry its current as well"));
    }
    fixture.base.as_ref()?;
    let place = fault.location(dut, fixture);
    let reason = |contact: &Contact| fixture.unwired.get(contact);
    let only = place.nets.is_empty() && !place.contacts.is_empty();
    match place.contacts.iter().all(|contact| fixture.nail_that_reaches(*contact).is_none()) && only {
        true => place.contacts.iter().find_map(reason).map(|why| format!("no nail reaches it: {why}")),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::{harmless, undetectable};
    use crate::testing;
    use bench_run::Contact;

    #[test]
    fn where_faults_are() {
        let (dut, fixture) = (testing::dut("b4xx"), testing::fixture());
        let cases: [(&str, &[u8], &[&str]); 9] = [
            ("open:12", &[12], &[]),
            ("cold:56", &[56], &[]),
            ("short:36-38@100", &[36, 38], &[]),
            ("short:23-gnd", &[23], &["ground"]),
            ("short:37-39", &[37], &["ground"]), // 39 is AGND
            ("short:8-10", &[], &["vcc", "3v3"]),
            ("leak:23-3v3", &[23], &["3v3"]),
            ("overload:3v3", &[], &["3v3"]),
            ("swap:22-20", &[20, 22], &[]),
        ];
        for (text, contacts, nets) in cases {
            let place = text.parse::<crate::Fault>().unwrap().location(&dut, &fixture);
            let numbers: Vec<u8> = place.contacts.iter().map(|contact| contact.0).collect();
            let names: Vec<&str> = place.nets.iter().map(|net| net.name.as_str()).collect();
            assert_eq!((numbers.as_slice(), names.as_slice()), (contacts, nets), "{text}");
        }
        let all = |text: &str| text.parse::<crate::Fault>().unwrap().contacts(&dut, &fixture);
        assert_eq!(all("short:3v3-gnd"), [10, 12].map(Contact));
        assert_eq!(all("overload:vcc"), [2, 4, 6, 8].map(Contact));
    }

    #[test]
    fn every_listed_fault_is_somewhere_or_has_words() {
        let (dut, fixture) = (testing::dut("b4xx"), testing::fixture());
        for fault in crate::all_faults(&dut, &fixture, &["b402".to_owned()], None) {
            let place = fault.location(&dut, &fixture);
            assert!(!(place.contacts.is_empty() && place.nets.is_empty() && place.words.is_empty()), "{fault}");
            let leads_nowhere = undetectable(&fault, &dut, &fixture).is_some();
            assert!(!leads_nowhere || ["open", "swap", "esd", "leak"].contains(&fault.kind()), "{fault}");
        }
        let nowhere = |text: &str| undetectable(&text.parse().unwrap(), &dut, &fixture).is_some();
        for (fault, expected) in [
            ("open:51", true),
            ("open:23", false),
            ("short:51-53", false),
            ("swap:17-19", true),
            ("swap:44-46", false),
            ("swap:69-71", false),
            ("swap:67-69", false),
            ("swap:71-73", false),
            ("swap:11-13", false),
            ("esd:67", true),
            ("leak:67-gnd", true),
            ("leak:67-3v3", false),
            ("leak:69-gnd", false),
        ] {
            assert_eq!(nowhere(fault), expected, "{fault}");
        }
        // What cannot be detected may harm somebody all the same, and what can be detected may harm nobody.
        for (fault, expected) in [
            ("open:51", true),
            ("cold:51", true),
            ("open:23", false),
            ("short:51-53", false),
            ("leak:51-3v3", false),
            ("swap:17-19", true),
            ("swap:17-15", false),
            ("swap:44-46", false),
            ("esd:67", false),
            ("leak:67-gnd", false),
            ("modem-dead", false),
        ] {
            assert_eq!(harmless(&fault.parse().unwrap(), &dut).is_some(), expected, "{fault}");
        }
        let boron = testing::dut("boron");
        assert_eq!(harmless(&"cold:26".parse().unwrap(), &boron), None, "it may open later");
        for (fault, expected) in [("cold:26", true), ("cold:26@5000", false), ("cold:27", false), ("open:26", false)] {
            assert_eq!(undetectable(&fault.parse().unwrap(), &boron, &fixture).is_some(), expected, "{fault}");
        }
    }
}
