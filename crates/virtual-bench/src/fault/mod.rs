//! Faults to order: what is wrong with the module on the nest, or with the bench itself.
//!
//! A fault changes the circuit or the module and nothing else; the bench finds out by measuring, or not at all.

mod list;
mod location;
mod modem;
#[cfg(test)]
mod tests;
mod text;

pub use list::{all_faults, neighbours};
pub use location::{FaultLocation, Net, undetectable};
pub use modem::ModemFault;

use crate::circuit;
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
    /// The bench's own cable carries 115200 baud and nothing faster.
    SlowLink,
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
    /// The port's pull resistors have twice their resistance.
    WeakPull(Contact),
    /// The port's drivers have five times their resistance: a damaged output stage.
    WeakDriver(Contact),
    /// So much resistance in series between nail and contact: a cold solder joint, dirt.
    Cold { contact: Contact, ohms: f64 },
    /// The pad was damaged by a discharge: a path to ground on the chip's side.
    Esd { contact: Contact, ohms: f64 },
    /// A weak path to a supply or to ground: flux, moisture.
    Leak { contact: Contact, to: Terminal, ohms: f64 },
    /// Two neighbouring contacts lead to each other's place on the module.
    Swap(Contact, Contact),
    /// The module draws so many milliamperes more on 3V3 in every state.
    SleepCurrent(f64),
    /// The chip does not see the voltage at its USB supply pin.
    VusbDetectLost,
    /// The analog input behind the contact reads 0 V; the port works.
    AdcDead(Contact),
    /// The retained memory does not keep what is written to it over a reset.
    RetainedLost,
    /// The external flash is not there.
    FlashAbsent,
    /// A sector of the external flash cannot be erased.
    FlashBadBlock,
    /// IO2 or IO3 between chip and external flash is open.
    FlashLineOpen(u8),
    /// Error of the 32.768 kHz crystal in parts per million.
    Crystal(f64),
    /// The 32.768 kHz crystal does not start.
    CrystalDead,
    /// No output of this PWM unit reaches its port.
    PwmDead(u8),
    /// The USB device attaches but never answers.
    UsbDead,
    /// This SPI master of the chip never clocks.
    SpimDead(u8),
    /// This I2C master of the chip never clocks.
    TwimDead(u8),
    /// No SPI or I2C master of the chip reaches the port behind the contact; as a port it works.
    BusLineDead(Contact),
    /// The link's UART does not heed CTS, or does not drive RTS.
    FlowDead(FlowLine),
    /// Two contacts of one PWM unit carry each other's signal.
    PwmWrong(Contact, Contact),
    /// An interrupt channel (GPIOTE) of the chip never sees an edge.
    InterruptDead(u8),
    /// Of the modem, its SIM, its antenna, its lines.
    Modem(ModemFault),
    /// The Bluetooth antenna is missing, or the way to it is open.
    BleAntenna,
    /// So many decibels are lost between radio and antenna, in both directions.
    BleWeak(f64),
    /// The radio neither sends nor hears.
    BleDead,
    /// Error of the 32 MHz crystal in parts per million: radio, timers and UART go by it.
    BleCrystal(f64),
    /// The NFC tag senses a field but takes no notice of a reader.
    NfcDead,
    /// The tuning capacitors of the NFC antenna, or its connector, have no contact.
    NfcAntenna,
    /// A tuning capacitor of the NFC antenna has a wrong value.
    NfcDetuned,
    /// UICR gives the NFC pads to GPIO: an earlier program wrote it, and only an erased chip has it back.
    NfcAsPorts,
    /// No debug probe is plugged in.
    ProbeAbsent,
    /// The pogo pin of SWDIO does not reach its pad.
    SwdioOpen,
    /// The pogo pin of SWDCLK does not reach its pad.
    SwclkOpen,
    /// After so many transfers the debug probe's lines carry nothing any more.
    ProbeLost(u64),
    /// Somebody has locked the microcontroller's access port.
    Locked,
    /// Silicon of a later revision, which comes out of every hard reset with its access port locked.
    SelfLocking,
    /// Another microcontroller was fitted.
    WrongMcu,
    /// A page of the microcontroller's flash stays erased.
    McuFlashPage,
}

/// Lines of the UART's flow control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowLine {
    Rts,
    Cts,
}

impl FlowLine {
    /// As in the data of families and in faults.
    pub(crate) fn names(self) -> (&'static str, &'static str) {
        match self {
            FlowLine::Rts => ("RTS", "rts"),
            FlowLine::Cts => ("CTS", "cts"),
        }
    }
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
    #[error("the fault `{fault}` needs a contact with {needed}; contact {label} has none")]
    NotThere { fault: String, needed: &'static str, label: String },
    #[error("the fault `{fault}` names a model that family {family} does not have; it has {known}")]
    NoSuchModel { fault: String, family: String, known: String },
    #[error("the fault `{fault}` needs a modem, of which the file of family {family} says nothing")]
    NoModem { fault: String, family: String },
    #[error("the fault `{fault}` names a modem that this bench cannot play; it can {known}")]
    NoSuchModem { fault: String, known: String },
    #[error("the fault `{fault}` needs a debug probe, of which the file of fixture {fixture} says nothing")]
    NoProbe { fault: String, fixture: String },
    #[error("the fault `{fault}` joins something to itself")]
    JoinedToItself { fault: String },
    #[error("the fault `{fault}` asks for rail `{rail}`, but no nail of this fixture carries it to the module")]
    RailNotOnModule { fault: String, rail: String },
}

/// What a fault has when its order gives no number.
pub(crate) const COLD_OHMS: f64 = 200.0;
pub(crate) const ESD_OHMS: f64 = 2e3;
pub(crate) const LEAK_OHMS: f64 = 100e3;
pub(crate) const SLEEP_MILLIAMPS: f64 = 1.0;
pub(crate) const CRYSTAL_PPM: f64 = 100.0;
pub(crate) const BLE_WEAK_DB: f64 = 20.0;
pub(crate) const BLE_CRYSTAL_PPM: f64 = 60.0;
/// In the middle of writing the test firmware.
pub(crate) const LOST_AFTER: u64 = 30_000;

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
        let known_terminal = |terminal: &Terminal| match terminal {
            Terminal::Contact(contact) => known_contact(*contact).map(drop),
            Terminal::Rail(rail) => known_rail(rail),
            Terminal::Ground => Ok(()),
        };
        let not_there = |contact: Contact, needed| FaultError::NotThere {
            fault: self.to_string(),
            needed,
            label: dut.label(contact),
        };
        match self {
            Fault::Open(contact) | Fault::Cold { contact, .. } => known_contact(*contact).map(drop),
            Fault::Esd { contact, .. } => match circuit::is_protected(known_contact(*contact)?) {
                true => Ok(()),
                false => Err(not_there(*contact, "silicon that a discharge can damage")),
            },
            Fault::AdcDead(contact) => match known_contact(*contact)?.adc_input {
                Some(_) => Ok(()),
                None => Err(not_there(*contact, "an analog input")),
            },
            Fault::BusLineDead(contact) => match list::is_bus_line(known_contact(*contact)?) {
                true => Ok(()),
                false => Err(not_there(*contact, "a line of SPI or I2C")),
            },
            Fault::Leak { contact, to, .. } => {
                known_contact(*contact)?;
                known_terminal(to)
            }
            Fault::Swap(a, b) if a == b => Err(FaultError::JoinedToItself { fault: self.to_string() }),
            Fault::Swap(a, b) => known_contact(*a).and(known_contact(*b)).map(drop),
            Fault::Short { a, b, .. } => {
                if a == b {
                    return Err(FaultError::JoinedToItself { fault: self.to_string() });
                }
                known_terminal(a).and(known_terminal(b))
            }
            Fault::StuckHigh(contact)
            | Fault::StuckLow(contact)
            | Fault::LostPull(contact)
            | Fault::WeakPull(contact)
            | Fault::WeakDriver(contact) => match known_contact(*contact)?.port {
                Some(_) => Ok(()),
                None => Err(FaultError::NoPort { fault: self.to_string(), label: dut.label(*contact) }),
            },
            Fault::Overload { rail, .. } => known_rail(rail),
            Fault::WrongModel(model) => match dut.model(model) {
                Some(_) => Ok(()),
                None => Err(FaultError::NoSuchModel {
                    fault: self.to_string(),
                    family: dut.name.clone(),
                    known: dut.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", "),
                }),
            },
            Fault::DeadLink
            | Fault::SlowLink
            | Fault::DeadMcu
            | Fault::EmptyNest
            | Fault::AdcGain(_)
            | Fault::AdcOffset(_) => Ok(()),
            Fault::SleepCurrent(_) | Fault::VusbDetectLost | Fault::UsbDead => Ok(()),
            Fault::FlashAbsent | Fault::FlashBadBlock | Fault::FlashLineOpen(_) => Ok(()),
            Fault::Crystal(_) | Fault::CrystalDead | Fault::PwmDead(_) | Fault::RetainedLost => Ok(()),
            Fault::SpimDead(_) | Fault::TwimDead(_) | Fault::FlowDead(_) => Ok(()),
            Fault::PwmWrong(a, b) if a == b => Err(FaultError::JoinedToItself { fault: self.to_string() }),
            Fault::PwmWrong(a, b) => match (known_contact(*a)?.pwm_channel, known_contact(*b)?.pwm_channel) {
                (None, _) => Err(not_there(*a, "PWM")),
                (Some(first), Some(second)) if first.instance == second.instance => Ok(()),
                _ => Err(not_there(*b, "PWM of the same unit")),
            },
            Fault::InterruptDead(_) => Ok(()),
            Fault::BleAntenna | Fault::BleWeak(_) | Fault::BleDead | Fault::BleCrystal(_) => Ok(()),
            Fault::Modem(_) if dut.modem.is_none() => {
                Err(FaultError::NoModem { fault: self.to_string(), family: dut.name.clone() })
            }
            Fault::Modem(ModemFault::Wrong(part)) if !crate::modem::TYPES.iter().any(|known| known.name() == part) => {
                let known: Vec<&str> = crate::modem::TYPES.iter().map(|known| known.name()).collect();
                Err(FaultError::NoSuchModem { fault: self.to_string(), known: known.join(", ") })
            }
            Fault::Modem(_) => Ok(()),
            Fault::NfcDead | Fault::NfcAntenna | Fault::NfcDetuned | Fault::NfcAsPorts => Ok(()),
            Fault::ProbeAbsent | Fault::SwdioOpen | Fault::SwclkOpen | Fault::ProbeLost(_) => {
                match fixture.controller.probe {
                    Some(_) => Ok(()),
                    None => Err(FaultError::NoProbe { fault: self.to_string(), fixture: fixture.name.clone() }),
                }
            }
            Fault::Locked | Fault::SelfLocking | Fault::WrongMcu | Fault::McuFlashPage => Ok(()),
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
