//! Faults that can be ordered, of the module in the nest or of the bench itself.
//!
//! A fault changes only the circuit or the module; the bench detects it by measuring, or not at all. Everything
//! specific to a kind of fault is in its entry in [`KINDS`].

mod defects;
mod docs;
mod kinds;
mod list;
mod location;
mod syntax;
#[cfg(test)]
mod tests;

pub(crate) use defects::{Defects, Joint, Load, ModemDefects, ProbeDefects, damage};
pub use docs::{fault_help, fault_schema, fault_table, fault_usages, habit_names, habit_table};
pub use kinds::{FaultKind, KINDS};
pub use list::{all_faults, neighbours};
pub use location::{FaultLocation, Net, harmless, undetectable};

use bench_plan::{ContactInfo, DutFamily, Fixture, NailWiring, nearest_help};
use bench_run::Contact;
use kinds::{Class, Defective, Need};
use std::fmt;
use syntax::Syntax;
use thiserror::Error;

/// One end of a short circuit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Terminal {
    Contact(Contact),
    /// Name of a rail of the fixture, in lower case.
    Rail(String),
    Ground,
}

/// A defect: a kind of fault and its target. Parsed from the text that `bench faults` prints.
#[derive(Clone)]
pub struct Fault {
    kind: &'static FaultKind,
    subject: Subject,
    /// Ohms, amperes, percent, as the kind's syntax says.
    amount: Option<f64>,
}

/// Target of a fault.
#[derive(Debug, Clone, PartialEq)]
enum Subject {
    Nothing,
    Contact(Contact),
    Pair(Contact, Contact),
    Ends(Terminal, Terminal),
    Rail(String),
    Index(u8),
    Word(String),
}

impl PartialEq for Fault {
    fn eq(&self, other: &Self) -> bool {
        self.kind.name == other.kind.name && self.subject == other.subject && self.amount == other.amount
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault({self})")
    }
}

/// A fault that this fixture or module cannot have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FaultError {
    #[error("`{text}` is no fault: {reason}")]
    Syntax { text: String, reason: String },
    #[error("the fault `{fault}` names contact {contact}, which family {family} does not have")]
    NoSuchContact { fault: String, contact: Contact, family: String },
    #[error("the fault `{fault}` names rail `{rail}`, which this fixture does not have: {known}")]
    NoSuchRail { fault: String, rail: String, known: String },
    #[error(
        "the fault `{fault}` needs a contact that leads to a port of the microcontroller; contact {label} does not"
    )]
    NoPort { fault: String, label: String },
    #[error("the fault `{fault}` needs a contact with {needed}; contact {label} has none")]
    NotThere { fault: String, needed: &'static str, label: String },
    #[error("the fault `{fault}` names a model that family {family} does not have: {known}")]
    NoSuchModel { fault: String, family: String, known: String },
    #[error("the fault `{fault}` needs a modem; the file of family {family} lists none")]
    NoModem { fault: String, family: String },
    #[error("the fault `{fault}` names a modem that this bench cannot simulate: {known}")]
    NoSuchModem { fault: String, known: String },
    #[error("the fault `{fault}` names a habit that modems of this bench do not have: {known}")]
    NoSuchHabit { fault: String, known: String },
    #[error("the fault `{fault}` needs a debug probe; the file of fixture {fixture} lists none")]
    NoProbe { fault: String, fixture: String },
    #[error("the fault `{fault}` joins something to itself")]
    JoinedToItself { fault: String },
    #[error("the fault `{fault}` names rail `{rail}`, but no nail of this fixture connects it to the module")]
    RailNotOnModule { fault: String, rail: String },
}

/// Ohms of a short circuit that is ordered as 0 ohms: copper and solder have a resistance.
pub(crate) const SOLDER_BRIDGE_OHMS: f64 = 0.02;

/// Parameters of an order. The kind's syntax determines which of them an order has; the others are empty, 0 and ground.
impl Fault {
    fn contact(&self) -> Contact {
        match self.subject {
            Subject::Contact(contact) => contact,
            _ => Contact(0),
        }
    }
    fn pair(&self) -> (Contact, Contact) {
        match self.subject {
            Subject::Pair(a, b) => (a, b),
            _ => (Contact(0), Contact(0)),
        }
    }
    fn ends(&self) -> (Terminal, Terminal) {
        match &self.subject {
            Subject::Ends(a, b) => (a.clone(), b.clone()),
            _ => (Terminal::Ground, Terminal::Ground),
        }
    }
    fn rail(&self) -> String {
        match &self.subject {
            Subject::Rail(rail) => rail.clone(),
            _ => String::new(),
        }
    }
    fn index(&self) -> u8 {
        match self.subject {
            Subject::Index(index) => index,
            _ => 0,
        }
    }
    fn word(&self) -> &str {
        match &self.subject {
            Subject::Word(word) => word,
            _ => "",
        }
    }
    fn amount(&self) -> f64 {
        self.amount.unwrap_or_default()
    }
}

impl Fault {
    /// Its name before the colon: `open`, `flash-line-open`.
    pub fn kind(&self) -> &'static str {
        self.kind.name
    }

    /// Class of defects that occur equally often, as `fixtures/defect-rates.toml` names it.
    pub fn class(&self) -> &'static str {
        match self.kind.class {
            Class::One(class) => class,
            Class::Pick(_, pick) => pick(self),
        }
    }

    /// The model in the nest, if the fault is a wrong model.
    pub fn other_model(&self) -> Option<String> {
        Defects::of(std::slice::from_ref(self)).model
    }

    /// Whether the bench is defective, not the module: the expected verdict is `error`, not `fail`.
    pub fn is_of_bench(&self) -> bool {
        matches!(self.kind.defective, Defective::Bench | Defective::BenchWhileProgramming)
    }

    /// Checks that this module in this fixture can have the fault; `dut` is the module that is really in the nest.
    ///
    /// # Errors
    /// Names the missing part or contact.
    pub fn check(&self, dut: &DutFamily, fixture: &Fixture) -> Result<(), FaultError> {
        self.check_subject(dut, fixture)?;
        self.check_need(dut, fixture)
    }

    /// Checks that contacts and rails exist and that nothing is joined to itself.
    fn check_subject(&self, dut: &DutFamily, fixture: &Fixture) -> Result<(), FaultError> {
        let terminal = |terminal: &Terminal| match terminal {
            Terminal::Contact(contact) => self.info_of(*contact, dut).map(drop),
            Terminal::Rail(rail) => self.check_rail(rail, dut, fixture),
            Terminal::Ground => Ok(()),
        };
        match &self.subject {
            Subject::Nothing | Subject::Index(_) | Subject::Word(_) => Ok(()),
            Subject::Contact(contact) => self.info_of(*contact, dut).map(drop),
            Subject::Pair(a, b) if a == b => Err(FaultError::JoinedToItself { fault: self.to_string() }),
            Subject::Pair(a, b) => self.info_of(*a, dut).and(self.info_of(*b, dut)).map(drop),
            Subject::Ends(a, b) if a == b => Err(FaultError::JoinedToItself { fault: self.to_string() }),
            Subject::Ends(a, b) => terminal(a).and(terminal(b)),
            Subject::Rail(rail) => self.check_rail(rail, dut, fixture),
        }
    }

    fn info_of<'d>(&self, contact: Contact, dut: &'d DutFamily) -> Result<&'d ContactInfo, FaultError> {
        let missing = || FaultError::NoSuchContact { fault: self.to_string(), contact, family: dut.name.clone() };
        dut.contact(contact).ok_or_else(missing)
    }

    fn check_rail(&self, rail: &str, dut: &DutFamily, fixture: &Fixture) -> Result<(), FaultError> {
        let missing = || FaultError::NoSuchRail {
            fault: self.to_string(),
            rail: rail.to_owned(),
            known: nearest_help(rail, fixture.rails.iter().map(|rail| rail.name.as_str()), "rails"),
        };
        let index = rail_index(fixture, rail).ok_or_else(missing)?;
        match rail_contact(fixture, dut, index) {
            Some(_) => Ok(()),
            None => Err(FaultError::RailNotOnModule { fault: self.to_string(), rail: rail.to_owned() }),
        }
    }

    fn check_need(&self, dut: &DutFamily, fixture: &Fixture) -> Result<(), FaultError> {
        let fault = || self.to_string();
        let lacks =
            |contact: Contact, needed| Err(FaultError::NotThere { fault: fault(), needed, label: dut.label(contact) });
        let no_modem = || Err(FaultError::NoModem { fault: fault(), family: dut.name.clone() });
        match &self.kind.needs {
            Need::Nothing => Ok(()),
            Need::Port if self.info_of(self.contact(), dut)?.port.is_some() => Ok(()),
            Need::Port => Err(FaultError::NoPort { fault: fault(), label: dut.label(self.contact()) }),
            Need::Contact(_, has) if has(self.info_of(self.contact(), dut)?) => Ok(()),
            Need::Contact(needed, _) => lacks(self.contact(), needed),
            Need::SamePwmUnit => {
                let (a, b) = self.pair();
                match (self.info_of(a, dut)?.pwm_channel, self.info_of(b, dut)?.pwm_channel) {
                    (None, _) => lacks(a, "PWM"),
                    (Some(first), Some(second)) if first.instance == second.instance => Ok(()),
                    _ => lacks(b, "PWM of the same unit"),
                }
            }
            Need::Model if dut.model(self.word()).is_some() => Ok(()),
            Need::Model => Err(FaultError::NoSuchModel {
                fault: fault(),
                family: dut.name.clone(),
                known: nearest_help(self.word(), dut.models.iter().map(|model| model.name.as_str()), "models"),
            }),
            Need::Modem | Need::KnownModem | Need::KnownHabit if dut.modem.is_none() => no_modem(),
            Need::Modem => Ok(()),
            Need::KnownModem => {
                let known: Vec<&str> = crate::modem::TYPES.iter().map(|modem| modem.name()).collect();
                match known.contains(&self.word()) {
                    true => Ok(()),
                    false => {
                        let known = nearest_help(self.word(), known.into_iter(), "modems");
                        Err(FaultError::NoSuchModem { fault: fault(), known })
                    }
                }
            }
            Need::KnownHabit if crate::modem::Habits::is_known(self.word()) => Ok(()),
            Need::KnownHabit => {
                let known = nearest_help(self.word(), crate::modem::Habits::known().map(|(name, _)| name), "habits");
                Err(FaultError::NoSuchHabit { fault: fault(), known })
            }
            Need::Probe if fixture.probe.is_some() => Ok(()),
            Need::Probe => Err(FaultError::NoProbe { fault: fault(), fixture: fixture.name.clone() }),
        }
    }
}

impl FaultKind {
    /// All classes of this kind of fault.
    pub fn classes(&self) -> &[&'static str] {
        match &self.class {
            Class::One(class) => std::slice::from_ref(class),
            Class::Pick(classes, _) => classes,
        }
    }

    /// Value of an order without a number.
    fn usual(&self) -> Option<f64> {
        match &self.syntax {
            Syntax::Contact(Some(amount)) | Syntax::Ends(amount) => amount.usual,
            Syntax::ContactAndEnd(amount) | Syntax::Rail(amount) => amount.usual,
            Syntax::Number { usual, .. } => *usual,
            _ => None,
        }
    }
}

/// The rail with this name, in any case.
pub(crate) fn rail_index(fixture: &Fixture, name: &str) -> Option<usize> {
    fixture.rails.iter().position(|rail| rail.name.eq_ignore_ascii_case(name))
}

/// The first contact of the module that a rail's nails reach.
pub(crate) fn rail_contact(fixture: &Fixture, dut: &DutFamily, rail: usize) -> Option<Contact> {
    fixture
        .nails
        .values()
        .filter(|nail| matches!(nail.wiring, NailWiring::Rail { rail: of, .. } if of == rail))
        .map(|nail| nail.contact)
        .find(|contact| dut.contact(*contact).is_some())
}
