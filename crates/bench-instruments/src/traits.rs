//! The instruments of a nest, in terms of contacts and rails.
//!
//! All methods take `&self`: a nest is shared by steps that overlap, and each driver locks what must not be shared.

use crate::{ContactSet, DutError};
use async_trait::async_trait;
use bench_run::Contact;
use dut_protocol::{Reply, Request};
use thiserror::Error;

/// An instrument did not do what it was asked. Always the bench's fault, never the DUT's.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum InstrumentError {
    /// A chip of the fixture did not answer, or answered nonsense.
    #[error("{chip} does not answer on the I2C bus ({detail}): check the fixture's cable and its 3.3 V supply")]
    Chip { chip: String, detail: String },
    #[error("contact {0} has no nail of that kind on this fixture")]
    NotWired(Contact),
    #[error("the fixture has no rail {0}")]
    NoSuchRail(String),
    #[error("the link to the controller's UART failed: {0}")]
    Link(String),
    /// The driver refuses to do something dangerous.
    #[error("refused: {0}")]
    Unsafe(String),
}

/// New states of nails behind an expander bit. Nails that stand in no set keep their state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NailVector {
    /// Driven high through the nail's series resistor.
    pub high: ContactSet,
    /// Driven low through the nail's series resistor.
    pub low: ContactSet,
    /// Released, with the expander's weak pull-up (100 kohm).
    pub pull_up: ContactSet,
    /// Released.
    pub float: ContactSet,
}

/// The nails that can drive and read.
#[async_trait(?Send)]
pub trait Nails {
    /// Contacts that have such a nail.
    fn wired(&self) -> ContactSet;
    async fn set(&self, vector: NailVector) -> Result<(), InstrumentError>;
    /// The contacts that read high.
    async fn read(&self) -> Result<ContactSet, InstrumentError>;
    /// All nails released, pull-ups off.
    async fn release_all(&self) -> Result<(), InstrumentError>;
}

/// The one line that can be joined to any contact.
#[async_trait(?Send)]
pub trait MeasureBus {
    /// Voltage at a contact against ground, volts, without loading it.
    async fn volts(&self, contact: Contact) -> Result<f64, InstrumentError>;
    /// Voltage at a contact while the source pushes `source_volts` into it through its series resistor: tells a driven
    /// contact from a pulled and from an open one.
    async fn loaded_volts(&self, contact: Contact, source_volts: f64) -> Result<f64, InstrumentError>;
    /// Resistance between a contact and whatever holds it at 0 V, ohms; infinite is reported as [`OPEN_OHMS`]. The
    /// test voltage stays below 0.25 V, so that no diode of an unpowered module conducts.
    async fn ohms(&self, contact: Contact) -> Result<f64, InstrumentError>;
    /// Series resistance of the source in ohms, to judge [`MeasureBus::loaded_volts`].
    fn source_ohms(&self) -> f64;
    /// Source off, all channels open.
    async fn release(&self) -> Result<(), InstrumentError>;
}

/// Above this the ohm-meter sees nothing: an open circuit.
pub const OPEN_OHMS: f64 = 1e6;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RailReading {
    pub volts: f64,
    pub amps: f64,
}

/// Supplies, and the switch of each supply and ground nail.
#[async_trait(?Send)]
pub trait Rails {
    /// In the order in which they are switched on.
    fn names(&self) -> Vec<String>;
    /// Switches a rail on (its discharge off first, all its feeds closed first).
    async fn on(&self, rail: &str) -> Result<(), InstrumentError>;
    /// Switches a rail off and discharges it.
    async fn off(&self, rail: &str) -> Result<(), InstrumentError>;
    /// Joins a rail that is off to ground through its discharge resistor, or lets it float.
    async fn discharge(&self, rail: &str, on: bool) -> Result<(), InstrumentError>;
    /// Resistance of the discharge resistor, ohms.
    fn discharge_ohms(&self, rail: &str) -> Result<f64, InstrumentError>;
    async fn measure(&self, rail: &str) -> Result<RailReading, InstrumentError>;
    /// Closes or opens the switch of one supply or ground nail. All are closed in the safe state.
    async fn feed(&self, contact: Contact, closed: bool) -> Result<(), InstrumentError>;
    /// Every rail off, whatever else fails; the first error is returned at the end.
    async fn all_off(&self) -> Result<(), InstrumentError>;
}

/// The relay that takes the link off the nails.
#[async_trait(?Send)]
pub trait LinkRelay {
    /// `true`: the controller's TX and RX are joined to each other and off the nails.
    async fn set_loopback(&self, on: bool) -> Result<(), InstrumentError>;
}

/// Bytes to and from the DUT.
#[async_trait(?Send)]
pub trait Link {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), InstrumentError>;
    /// Waits for at least one byte and appends what has arrived.
    async fn receive(&mut self, into: &mut Vec<u8>) -> Result<(), InstrumentError>;
    /// Changes the rate; bytes not yet sent go out at the old one first.
    async fn set_baud(&mut self, baud: u32) -> Result<(), InstrumentError>;
    /// Throws away what has arrived.
    fn discard_input(&mut self);
}

/// The firmware on the module.
#[async_trait(?Send)]
pub trait Dut {
    /// Opens the conversation at the initial rate ([`Request::Hello`]), then raises the rate.
    async fn connect(&self, baud: u32) -> Result<(), DutError>;
    /// One request with its reply; repeated after a loss where that does no harm.
    async fn request(&self, request: Request) -> Result<Reply, DutError>;
    /// Sends bytes and returns what comes back within the time they need plus a margin: for the loop-back check.
    async fn echo(&self, bytes: &[u8]) -> Result<Vec<u8>, InstrumentError>;
    /// Back to the initial rate, nothing in flight. For a DUT that was restarted or powered again.
    async fn disconnect(&self);
}
