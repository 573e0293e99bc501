//! Compares the fault that was ordered with what the bench reported.

use super::rates::Rates;
use super::run::RunFindings;
use bench_plan::{DutFamily, Fixture};
use bench_run::{Contact, Verdict};
use serde::Serialize;
use std::collections::BTreeSet;
use virtual_bench::{Fault, FaultLocation, Net};

/// How well a run named the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// Detected, and the named contacts are those of the fault.
    Named,
    /// Detected, but other contacts were named, or too many, or none; or the verdict is not the right one.
    Misnamed,
    /// The module passed.
    Missed,
}

#[derive(Debug, Clone, Serialize)]
pub struct FaultResult {
    pub fault: String,
    pub naming: Naming,
    /// Why it counts as misnamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objection: Option<String>,
    /// Contacts of the fault.
    pub contacts: Vec<Contact>,
    /// Whether the bench itself is at fault, so that the right verdict is `error`.
    pub of_bench: bool,
    /// Why no bench of this kind can detect it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undetectable: Option<String>,
    /// Why a module that is shipped with it harms nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub harmless: Option<String>,
    /// Class of defects that gives its rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// How many of a million modules have this fault.
    pub per_million: f64,
    #[serde(flatten)]
    pub run: RunFindings,
}

impl FaultResult {
    /// The module passed, and its defect may harm somebody.
    pub fn escapes_with_harm(&self) -> bool {
        self.naming == Naming::Missed && self.harmless.is_none()
    }

    /// The module passed, and its defect harms nobody.
    pub fn escapes_harmlessly(&self) -> bool {
        self.naming == Naming::Missed && self.harmless.is_some()
    }
}

pub fn judge(fault: &Fault, run: RunFindings, dut: &DutFamily, fixture: &Fixture, rates: &Rates) -> FaultResult {
    let (naming, objection) = name(fault, &run, dut, fixture);
    let text = fault.to_string();
    let class = rates.of(fault);
    FaultResult {
        class: class.map(|class| class.name.clone()),
        per_million: class.map_or(0.0, |class| class.per_million),
        fault: text,
        naming,
        objection,
        contacts: fault.contacts(dut, fixture),
        of_bench: fault.is_of_bench(),
        undetectable: virtual_bench::undetectable(fault, dut, fixture),
        harmless: virtual_bench::harmless(fault, dut),
        run,
    }
}

/// How well the run named the fault, and what contradicts it.
pub fn name(fault: &Fault, run: &RunFindings, dut: &DutFamily, fixture: &Fixture) -> (Naming, Option<String>) {
    if !run.is_detected() {
        return (Naming::Missed, None);
    }
    match objection(&fault.location(dut, fixture), fault.is_of_bench(), run) {
        None => (Naming::Named, None),
        Some(why) => (Naming::Misnamed, Some(why)),
    }
}

/// Returns why a fault does not count as named. A named fault has the right verdict, and the diagnoses name exactly its
/// contacts. For a supply or ground, they name one of its contacts or the supply itself; for a fault at no contact, they
/// mention its subject. `docs/explanation/coverage.md` has the full rule.
fn objection(location: &FaultLocation, of_bench: bool, run: &RunFindings) -> Option<String> {
    let due = if of_bench { Verdict::Error } else { Verdict::Fail };
    if run.verdict != due {
        return Some(format!("the verdict is {} and not {due}", run.verdict));
    }
    let named: BTreeSet<Contact> = run.diagnoses.iter().flat_map(|said| said.contacts.iter().copied()).collect();
    let of_nets = |contact: &Contact| location.nets.iter().any(|net| net.contacts.contains(contact));
    let list = |contacts: &[Contact]| contacts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let blamed: Vec<Contact> =
        named.iter().copied().filter(|contact| !location.contacts.contains(contact) && !of_nets(contact)).collect();
    if !blamed.is_empty() {
        return Some(format!("blames {} wrongly", list(&blamed)));
    }
    let unnamed: Vec<Contact> = location.contacts.iter().copied().filter(|contact| !named.contains(contact)).collect();
    if !unnamed.is_empty() {
        return Some(format!("does not name {}", list(&unnamed)));
    }
    let text = run.said().to_lowercase();
    let is_named = |net: &&Net| net.contacts.iter().any(|contact| named.contains(contact)) || text.contains(&net.name);
    if let Some(net) = location.nets.iter().find(|net| !is_named(net)) {
        return Some(format!("does not name {}", net.name));
    }
    let nowhere = location.contacts.is_empty() && location.nets.is_empty();
    if nowhere && !location.words.iter().any(|word| text.contains(word)) {
        return Some(format!("says nothing of \"{}\"", location.words.join("\" or \"")));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Said;
    use bench_run::Defect;

    fn run(verdict: Verdict, contacts: &[u8], text: &str) -> RunFindings {
        let contacts = contacts.iter().copied().map(Contact).collect();
        let diagnoses = vec![Said { defect: Defect::Other, contacts, text: text.to_owned() }];
        RunFindings { verdict, diagnoses, ..RunFindings::broken(String::new()) }
    }

    #[test]
    fn the_rule() {
        let net = |name: &str, contacts: &[u8]| Net {
            name: name.to_owned(),
            contacts: contacts.iter().copied().map(Contact).collect(),
        };
        let place = |contacts: &[u8], nets: Vec<Net>, words: &[&'static str]| FaultLocation {
            contacts: contacts.iter().copied().map(Contact).collect(),
            nets,
            words: words.to_vec(),
        };
        let (fail, error) = (Verdict::Fail, Verdict::Error);
        let pair = place(&[36, 38], Vec::new(), &[]);
        let to_rail = place(&[23], vec![net("3v3", &[10, 12])], &[]);
        let rails = place(&[], vec![net("vcc", &[2, 4]), net("3v3", &[10, 12])], &[]);
        let words = place(&[], Vec::new(), &["adc"]);
        let rows = [
            (&pair, fail, &[36, 38][..], "", None),
            (&pair, fail, &[36], "", Some("does not name 38")),
            (&pair, fail, &[36, 38, 40], "", Some("blames 40 wrongly")),
            (&pair, error, &[36, 38], "", Some("the verdict is error and not fail")),
            (&to_rail, fail, &[23], "contact 23: shorted to 3V3", None),
            (&to_rail, fail, &[12, 23], "shorted", None),
            (&to_rail, fail, &[23], "contact 23: open", Some("does not name 3v3")),
            (&to_rail, fail, &[10, 12], "rail 3V3", Some("does not name 23")),
            (&rails, fail, &[10, 12], "rail 3V3: shorted to rail VCC", None),
            (&rails, fail, &[10, 12], "rail 3V3: shorted", Some("does not name vcc")),
            (&words, fail, &[], "the MCU's ADC is off", None),
            (&words, fail, &[], "contact 23: open", Some("says nothing of \"adc\"")),
            (&words, fail, &[23], "the ADC", Some("blames 23 wrongly")),
        ];
        for (place, verdict, contacts, text, expected) in rows {
            let got = objection(place, false, &run(verdict, contacts, text));
            assert_eq!(got.as_deref(), expected, "{contacts:?} {text}");
        }
        assert_eq!(objection(&words, true, &run(error, &[], "adc")), None);
        assert!(objection(&words, true, &run(fail, &[], "adc")).is_some());
    }
}
