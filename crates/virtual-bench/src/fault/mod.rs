//! Faults to order: what is wrong with the module on the nest, or with the bench itself.
//!
//! A fault changes the circuit or the module and nothing else; the bench finds out by measuring, or not at all.

mod list;
#[cfg(test)]
mod tests;
mod text;

pub use list::{all_faults, neighbours};

use bench_plan::{DutFamily, Fixture, NailWiring};
use bench_run::Contact;
use thiserror::Error;

/// One end of a short circuit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Terminal {
    Contact(Contact),
    /// Name of a rail of the fixture, in lower case.
    Rail(String),
    Ground,
}

/// A defect.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The nail does not reach the contact.
    Open(Contact),
    /// Two places are joined; 0 ohms is a solder bridge (20 milliohms).
    Short { a: Terminal, b: Terminal, ohms: f64 },
    /// The port's high-side driver conducts whenever the module is powered.
    StuckHigh(Contact),
    /// The port's low-side driver conducts whenever the module is powered.
    StuckLow(Contact),
    /// Neither of the port's pull resistors works.
    LostPull(Contact),
    /// Something on the module draws this current when the rail is up; without a number three times what the supply
    /// can deliver.
    Overload { rail: String, amps: Option<f64> },
    /// The bench's own cable: the controller's TX and RX are cut before the relay.
    DeadLink,
    /// The microcontroller never starts.
    DeadMcu,
    /// No module on the nest.
    EmptyNest,
    /// The ADC reads all inputs too high (positive) or too low, by so many percent.
    AdcGain(f64),
    /// The ADC adds so many millivolts to all inputs, as seen at a contact in the 3.6 V range.
    AdcOffset(f64),
    /// Another model than the plan expects lies on the nest.
    WrongModel(String),
}

/// A fault that this fixture or module cannot have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FaultError {
    #[error("`{text}` is no fault: {reason}")]
    Syntax { text: String, reason: String },
    #[error("the fault `{fault}` names contact {contact}, which family {family} does not have")]
    NoSuchContact { fault: String, contact: Contact, family: String },
    #[error("the fault `{fault}` names rail `{rail}`; this fixture has {known}")]
    NoSuchRail { fault: String, rail: String, known: String },
    #[error(
        "the fault `{fault}` needs a contact that leads to a port of the microcontroller; contact {label} does not"
    )]
    NoPort { fault: String, label: String },
    #[error("the fault `{fault}` names a model that family {family} does not have; it has {known}")]
    NoSuchModel { fault: String, family: String, known: String },
    #[error("the fault `{fault}` joins something to itself")]
    JoinedToItself { fault: String },
    #[error("the fault `{fault}` asks for rail `{rail}`, but no nail of this fixture carries it to the module")]
    RailNotOnModule { fault: String, rail: String },
}

/// Ohms of a short circuit that is ordered as 0 ohms: copper and solder are no superconductors.
pub(crate) const SOLDER_BRIDGE_OHMS: f64 = 0.02;

impl Fault {
    /// Whether this module in this fixture can have the fault; `dut` is the module that really lies on the nest.
    ///
    /// # Errors
    /// Names what is unknown.
    pub fn check(&self, dut: &DutFamily, fixture: &Fixture) -> Result<(), FaultError> {
        let known_contact = |contact: Contact| match dut.contact(contact) {
            Some(info) => Ok(info),
            None => Err(FaultError::NoSuchContact { fault: self.to_string(), contact, family: dut.name.clone() }),
        };
        let known_rail = |rail: &str| {
            let index = rail_index(fixture, rail).ok_or_else(|| FaultError::NoSuchRail {
                fault: self.to_string(),
                rail: rail.to_owned(),
                known: fixture.rails.iter().map(|rail| rail.name.as_str()).collect::<Vec<_>>().join(", "),
            })?;
            match rail_contact(fixture, dut, index) {
                Some(_) => Ok(()),
                None => Err(FaultError::RailNotOnModule { fault: self.to_string(), rail: rail.to_owned() }),
            }
        };
        match self {
            Fault::Open(contact) => known_contact(*contact).map(drop),
            Fault::Short { a, b, .. } => {
                if a == b {
                    return Err(FaultError::JoinedToItself { fault: self.to_string() });
                }
                for terminal in [a, b] {
                    match terminal {
                        Terminal::Contact(contact) => known_contact(*contact).map(drop)?,
                        Terminal::Rail(rail) => known_rail(rail)?,
                        Terminal::Ground => {}
                    }
                }
                Ok(())
            }
            Fault::StuckHigh(contact) | Fault::StuckLow(contact) | Fault::LostPull(contact) => {
                match known_contact(*contact)?.port {
                    Some(_) => Ok(()),
                    None => Err(FaultError::NoPort { fault: self.to_string(), label: dut.label(*contact) }),
                }
            }
            Fault::Overload { rail, .. } => known_rail(rail),
            Fault::WrongModel(model) => match dut.model(model) {
                Some(_) => Ok(()),
                None => Err(FaultError::NoSuchModel {
                    fault: self.to_string(),
                    family: dut.name.clone(),
                    known: dut.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", "),
                }),
            },
            Fault::DeadLink | Fault::DeadMcu | Fault::EmptyNest | Fault::AdcGain(_) | Fault::AdcOffset(_) => Ok(()),
        }
    }
}

/// The rail of that name, in whatever case.
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
