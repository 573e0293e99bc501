//! Faults of the bench that can be ordered: worn nails, chips that do not answer, instruments that are off, a noisy
//! link, a busy controller, people.
//!
//! A fault changes the circuit, a chip, the link, the probe, the air or the controller. No step and no driver can ask
//! whether one is set. Everything specific to a kind is in its entry in [`BENCH_KINDS`].

mod damage;
mod docs;
mod happenings;
mod kinds;
mod list;
#[cfg(test)]
mod tests;

pub(crate) use damage::{AirDamage, BenchDamage, BitDamage, ProbeDamage};
pub use damage::{ControllerDamage, DiskDamage};
pub use docs::{bench_fault_table, bench_fault_usages};
pub(crate) use happenings::Happening;
pub use kinds::{BENCH_KINDS, BenchFaultKind, Group};
pub use list::all_bench_faults;

use bench_plan::{DutFamily, Fixture, IoBit, nearest, nearest_help};
use bench_run::Contact;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A defect of the bench: its kind and its target. Parsed from the text that `bench faults --bench` prints.
#[derive(Clone)]
pub struct BenchFault {
    kind: &'static BenchFaultKind,
    target: Target,
    /// In the unit that the kind gives.
    amount: Option<f64>,
}

/// What a fault of the bench is at.
#[derive(Debug, Clone, PartialEq)]
enum Target {
    Nothing,
    Nail(Contact),
    Nails(Contact, Contact),
    /// The id of a chip, or the name of a rail, as the fixture's file writes it.
    Named(String),
    /// An output of a port expander: "io5.GPB1".
    Output(String),
    Bank(u8),
}

/// What the text of a kind names after the colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    Nothing,
    Nail,
    Nails,
    Chip,
    Output,
    Rail,
    Bank,
}

/// A number after `@`.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    pub placeholder: &'static str,
    /// In words, for errors.
    pub unit: &'static str,
    /// Value of an order without it.
    pub usual: f64,
    pub least: f64,
    pub most: f64,
}

/// Why a run cannot tell a fault of the bench from one of the module, and what can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indistinguishable {
    pub because: String,
    /// The other means that finds it.
    pub found_by: &'static str,
}

/// A fault that this bench cannot have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BenchFaultError {
    #[error("`{text}` is no fault of a bench: {reason}")]
    Syntax { text: String, reason: String },
    #[error("the fault `{fault}` names {what} that fixture {fixture} does not have: {known}")]
    NotThere { fault: String, what: &'static str, fixture: String, known: String },
    #[error("the fault `{fault}` needs {what}; the file of fixture {fixture} lists none")]
    Lacks { fault: String, what: &'static str, fixture: String },
}

impl PartialEq for BenchFault {
    fn eq(&self, other: &Self) -> bool {
        self.kind.name == other.kind.name && self.target == other.target && self.amount == other.amount
    }
}

impl fmt::Debug for BenchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BenchFault({self})")
    }
}

impl fmt::Display for BenchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name)?;
        match &self.target {
            Target::Nothing => {}
            Target::Nail(contact) => write!(f, ":{contact}")?,
            Target::Nails(a, b) => write!(f, ":{a}-{b}")?,
            Target::Named(name) | Target::Output(name) => write!(f, ":{name}")?,
            Target::Bank(number) => write!(f, ":{number}")?,
        }
        match (self.amount, self.kind.amount) {
            (Some(amount), Some(usual)) if amount != usual.usual => write!(f, "@{amount}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for BenchFault {
    type Err = BenchFaultError;

    fn from_str(text: &str) -> Result<Self, BenchFaultError> {
        let wrong = |reason: String| BenchFaultError::Syntax { text: text.to_owned(), reason };
        let (order, amount) = match text.trim().split_once('@') {
            Some((order, amount)) => (order, Some(amount)),
            None => (text.trim(), None),
        };
        let (name, target) = match order.split_once(':') {
            Some((name, target)) => (name, Some(target)),
            None => (order, None),
        };
        let Some(kind) = BENCH_KINDS.iter().find(|kind| kind.name == name) else {
            return Err(wrong(match nearest(name, BENCH_KINDS.iter().map(|kind| kind.name)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "no kind has a name like it; `bench faults PLAN --bench` lists them".to_owned(),
            }));
        };
        let target = kind.parse_target(target).map_err(wrong)?;
        let amount = kind.parse_amount(amount).map_err(wrong)?;
        Ok(Self { kind, target, amount })
    }
}

impl BenchFaultKind {
    /// Its syntax: `nail-worn:CONTACT[@OHMS]`.
    pub fn usage(&self) -> String {
        let target = match self.target {
            TargetKind::Nothing => "",
            TargetKind::Nail => ":CONTACT",
            TargetKind::Nails => ":A-B",
            TargetKind::Chip => ":CHIP",
            TargetKind::Output => ":CHIP.PIN",
            TargetKind::Rail => ":RAIL",
            TargetKind::Bank => ":BANK",
        };
        let amount = self.amount.map(|amount| format!("[@{}]", amount.placeholder)).unwrap_or_default();
        format!("{}{target}{amount}", self.name)
    }

    fn parse_target(&self, text: Option<&str>) -> Result<Target, String> {
        let missing = || format!("write its target: `{}`", self.usage());
        let number = |text: &str| match text.parse() {
            Ok(number) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Contact(number)),
            _ => Err(format!("expected the number of a contact, found `{text}`")),
        };
        if self.target == TargetKind::Nothing {
            return match text {
                None => Ok(Target::Nothing),
                Some(_) => Err(format!("`{}` takes no target: `{}`", self.name, self.usage())),
            };
        }
        let text = text.filter(|text| !text.is_empty()).ok_or_else(missing)?;
        Ok(match self.target {
            TargetKind::Nothing => Target::Nothing,
            TargetKind::Nail => Target::Nail(number(text)?),
            TargetKind::Nails => {
                let (a, b) = text.split_once('-').ok_or_else(missing)?;
                Target::Nails(number(a)?, number(b)?)
            }
            TargetKind::Chip | TargetKind::Rail => Target::Named(text.to_owned()),
            TargetKind::Output => Target::Output(text.to_owned()),
            TargetKind::Bank => {
                Target::Bank(text.parse().map_err(|_| format!("expected the number of a bank, found `{text}`"))?)
            }
        })
    }

    fn parse_amount(&self, text: Option<&str>) -> Result<Option<f64>, String> {
        match (self.amount, text) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(format!("`{}` takes no number: `{}`", self.name, self.usage())),
            (Some(amount), None) => Ok(Some(amount.usual)),
            (Some(amount), Some(text)) => match text.parse::<f64>() {
                Ok(number) if (amount.least..=amount.most).contains(&number) => Ok(Some(number)),
                _ => Err(format!("expected {} to {} {}, found `{text}`", amount.least, amount.most, amount.unit)),
            },
        }
    }
}

impl BenchFault {
    /// Its name before the colon: `nail-worn`.
    pub fn kind(&self) -> &'static str {
        self.kind.name
    }

    pub fn group(&self) -> Group {
        self.kind.group
    }

    fn amount(&self) -> f64 {
        self.amount.unwrap_or_default()
    }

    /// The nails that it is at.
    pub fn nails(&self) -> Vec<Contact> {
        match self.target {
            Target::Nail(contact) => vec![contact],
            Target::Nails(a, b) => vec![a, b],
            _ => Vec::new(),
        }
    }

    /// The rail that it is at.
    pub fn rail<'f>(&self, fixture: &'f Fixture) -> Option<&'f str> {
        let index = self.rail_index(fixture)?;
        fixture.rails.get(index).map(|rail| rail.name.as_str())
    }

    /// Words of which an error must contain one, in lower case, to name the right part of the bench.
    pub fn words(&self, fixture: &Fixture) -> Vec<String> {
        (self.kind.words)(self, fixture)
    }

    /// Why a run cannot tell it from a fault of the module; `None` if it can.
    pub fn indistinguishable(&self, dut: &DutFamily, fixture: &Fixture) -> Option<Indistinguishable> {
        (self.kind.indistinguishable)(self, dut, fixture)
    }

    /// What it does outside of the fixture: to the controller's disk, clock and files.
    pub fn of_controller(&self, fixture: &Fixture) -> ControllerDamage {
        BenchDamage::of(std::slice::from_ref(self), fixture).controller
    }

    fn chip_index(&self, fixture: &Fixture) -> Option<usize> {
        let Target::Named(name) = &self.target else { return None };
        fixture.chips.iter().position(|chip| chip.id.eq_ignore_ascii_case(name))
    }

    fn rail_index(&self, fixture: &Fixture) -> Option<usize> {
        let Target::Named(name) = &self.target else { return None };
        crate::fault::rail_index(fixture, name)
    }

    fn output(&self, fixture: &Fixture) -> Option<IoBit> {
        let Target::Output(text) = &self.target else { return None };
        parse_output(text, fixture)
    }

    /// Checks that this fixture can have the fault.
    ///
    /// # Errors
    /// Names the missing part.
    pub fn check(&self, fixture: &Fixture) -> Result<(), BenchFaultError> {
        let missing = |what, known| {
            Err(BenchFaultError::NotThere { fault: self.to_string(), what, fixture: fixture.name.clone(), known })
        };
        let nail = |contact: &Contact| fixture.nails.contains_key(contact);
        let chips = || fixture.chips.iter().map(|chip| chip.id.as_str());
        match &self.target {
            Target::Nothing => {}
            Target::Nail(contact) if nail(contact) => {}
            Target::Nails(a, b) if nail(a) && nail(b) && a != b => {}
            Target::Nail(_) | Target::Nails(..) => return missing("a nail", "one nail per contact".to_owned()),
            Target::Named(name) if self.kind.target == TargetKind::Rail => {
                if self.rail_index(fixture).is_none() {
                    let rails = fixture.rails.iter().map(|rail| rail.name.as_str());
                    return missing("a rail", nearest_help(name, rails, "rails"));
                }
            }
            Target::Named(name) => {
                if self.chip_index(fixture).is_none() {
                    return missing("a chip", nearest_help(name, chips(), "chips"));
                }
            }
            Target::Output(text) => {
                if self.output(fixture).is_none() {
                    return missing(
                        "an output",
                        format!("write a port expander and its pin, as in `io0.GPA3`, not `{text}`"),
                    );
                }
            }
            Target::Bank(number) => {
                let banks = fixture.bed.as_ref().map_or(0, |bed| bed.measure_bus.banks.len());
                if usize::from(*number) >= banks {
                    return missing("a bank", format!("it has {banks} banks, numbered from 0"));
                }
            }
        }
        match (self.kind.needs)(self, fixture) {
            Ok(()) => Ok(()),
            Err(what) => Err(BenchFaultError::Lacks { fault: self.to_string(), what, fixture: fixture.name.clone() }),
        }
    }
}

/// "io5.GPB1" as a pin of a port expander of this fixture.
fn parse_output(text: &str, fixture: &Fixture) -> Option<IoBit> {
    let (id, pin) = text.split_once('.')?;
    let is_expander = |kind: bench_plan::ChipKind| kind == bench_plan::ChipKind::Mcp23017;
    let chip = fixture.chips.iter().position(|chip| chip.id.eq_ignore_ascii_case(id) && is_expander(chip.kind))?;
    let pin = pin.to_ascii_uppercase();
    let (port, number) = match pin.strip_prefix("GPA") {
        Some(number) => (0, number),
        None => (8, pin.strip_prefix("GPB")?),
    };
    let number: u8 = number.parse().ok().filter(|number| *number < 8)?;
    Some(IoBit { chip, bit: port + number })
}

/// "io5.GPB1".
fn show_output(bit: IoBit, fixture: &Fixture) -> Option<String> {
    let chip = fixture.chips.get(bit.chip)?;
    let port = if bit.bit < 8 { 'A' } else { 'B' };
    Some(format!("{}.GP{port}{}", chip.id, bit.bit % 8))
}
