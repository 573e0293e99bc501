//! What was ordered against what the bench said.

use super::Run;
use bench_plan::{DutFamily, Fixture, Function, NailWiring};
use bench_run::{Contact, Verdict};
use serde::Serialize;
use std::collections::BTreeSet;
use virtual_bench::{Fault, Terminal};

/// How well a run told the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Naming {
    /// Found, and the contacts named are those of the fault.
    Named,
    /// Found, but other contacts were named, or too many, or none.
    Misnamed,
    /// The module passed.
    Missed,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct FaultResult {
    pub fault: String,
    pub naming: Naming,
    /// Contacts of the fault.
    pub contacts: Vec<Contact>,
    /// Why no bench of this kind can see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undetectable: Option<&'static str>,
    #[serde(flatten)]
    pub run: Run,
}

pub(crate) fn judge(fault: &Fault, run: Run, dut: &DutFamily, fixture: &Fixture) -> FaultResult {
    let contacts = contacts(fault, dut, fixture);
    let told: BTreeSet<Contact> = run.diagnoses.iter().flat_map(|said| said.contacts.iter().copied()).collect();
    let naming = if run.verdict == Verdict::Pass {
        Naming::Missed
    } else if is_named(fault, &contacts, &told, dut) {
        Naming::Named
    } else {
        Naming::Misnamed
    };
    let undetectable = undetectable(fault, dut);
    FaultResult { fault: fault.to_string(), naming, contacts: contacts.into_iter().collect(), undetectable, run }
}

/// The rule: the same contacts. A contact of a supply or ground may be told as the net it belongs to, so it need not be
/// named as long as the other end is; of a rail any of its contacts will do. A fault without a contact is named when no
/// contact is blamed for it.
fn is_named(fault: &Fault, contacts: &BTreeSet<Contact>, told: &BTreeSet<Contact>, dut: &DutFamily) -> bool {
    if matches!(fault, Fault::Overload { .. }) || is_rail_short(fault) {
        return told.is_subset(contacts);
    }
    let is_net = |contact: &&Contact| {
        dut.contact(**contact)
            .is_some_and(|info| info.functions.contains(&Function::Ground) || info.functions.contains(&Function::Power))
    };
    let must: BTreeSet<Contact> = contacts.iter().filter(|contact| !is_net(contact)).copied().collect();
    told.is_subset(contacts) && must.is_subset(told) && (contacts.is_empty() || !told.is_empty())
}

fn is_rail_short(fault: &Fault) -> bool {
    let no_contact = |end: &Terminal| !matches!(end, Terminal::Contact(_));
    matches!(fault, Fault::Short { a, b, .. } if no_contact(a) && no_contact(b))
}

/// The contacts that a repair would look at.
fn contacts(fault: &Fault, dut: &DutFamily, fixture: &Fixture) -> BTreeSet<Contact> {
    let of_rail = |name: &str| -> Vec<Contact> {
        let index = fixture.rails.iter().position(|rail| rail.name.eq_ignore_ascii_case(name));
        let fed = |wiring: &NailWiring| matches!(wiring, NailWiring::Rail { rail, .. } if Some(*rail) == index);
        let nails = fixture.nails.values().filter(|nail| fed(&nail.wiring)).map(|nail| nail.contact);
        nails.filter(|contact| dut.contact(*contact).is_some()).collect()
    };
    match fault {
        Fault::Open(contact)
        | Fault::StuckHigh(contact)
        | Fault::StuckLow(contact)
        | Fault::LostPull(contact)
        | Fault::AdcDead(contact)
        | Fault::Cold { contact, .. }
        | Fault::Esd { contact, .. }
        | Fault::Leak { contact, .. } => [*contact].into(),
        Fault::Swap(a, b) => [*a, *b].into(),
        Fault::Short { a, b, .. } => {
            let own = [a, b].into_iter().filter_map(|end| match end {
                Terminal::Contact(contact) => Some(*contact),
                _ => None,
            });
            let own: BTreeSet<Contact> = own.collect();
            if !own.is_empty() {
                return own;
            }
            let rails = [a, b].into_iter().filter_map(|end| match end {
                Terminal::Rail(name) => Some(of_rail(name)),
                _ => None,
            });
            rails.flatten().collect()
        }
        Fault::Overload { rail, .. } => of_rail(rail).into_iter().collect(),
        // A bench without a module, a silent one and a dead link: nothing of the module is to blame, or all of it.
        _ => BTreeSet::new(),
    }
}

/// Faults without any effect that a nail could measure.
fn undetectable(fault: &Fault, dut: &DutFamily) -> Option<&'static str> {
    let leads_nowhere = |contact: &Contact| {
        dut.contact(*contact).is_some_and(|info| info.port.is_none() && info.functions.contains(&Function::Nc))
    };
    match fault {
        Fault::Open(contact) if leads_nowhere(contact) => Some("the contact leads nowhere: open or not is the same"),
        _ => None,
    }
}
