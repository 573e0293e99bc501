//! The instruments of a nest, in terms of contacts and rails.
//!
//! All methods take `&self`: a nest is shared by steps that overlap, and each driver locks what must not be shared.

use crate::{ContactSet, DutError};
use async_trait::async_trait;
use bench_run::{BenchTime, Contact};
use dut_protocol::{JobResult, Reply, Request};
use std::rc::Rc;
use thiserror::Error;

/// An instrument did not do what it was asked. Always the bench's fault, never the DUT's.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum InstrumentError {
    /// A chip of the fixture did not answer.
    #[error("{chip} does not answer on the I2C bus ({detail}): check the fixture's cable and its 3.3 V supply")]
    Chip { chip: String, detail: String },
    /// A chip of the fixture answers, but what it says cannot be.
    #[error("{chip} answers on the I2C bus, but {detail}: check the fixture")]
    Implausible { chip: String, detail: String },
    #[error("contact {0} has no nail of that kind on this fixture")]
    NotWired(Contact),
    /// A resistance cannot be measured: something else than the bench's source holds the contact away from 0 V.
    #[error("contact {contact} carries {volts:.3} V: a resistance can only be measured without power and charge")]
    Energized { contact: Contact, volts: f64 },
    #[error("the fixture has no rail {0}")]
    NoSuchRail(String),
    #[error("the fixture has no part {0} for the module to talk to")]
    NoSuchPeer(String),
    #[error("the link to the controller's UART failed: {0}")]
    Link(String),
    #[error("the controller's own pins failed: {0}")]
    Gpio(String),
    #[error("the controller's USB host failed: {0}")]
    Usb(String),
    #[error("the controller's Bluetooth failed: {0}")]
    Ble(String),
    /// Somebody cut the power, so nothing is switched any more.
    #[error("refused: {0}")]
    PowerCut(String),
    /// The driver refuses to do something dangerous.
    #[error("refused: {0}")]
    Unsafe(String),
    #[error("this fixture cannot time edges: its file names no `edges` in [measure_bus]")]
    NoEdgeLine,
    #[error("this fixture has no NFC reader: its file names none in [nfc]")]
    NoNfcReader,
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
    /// Released nails go first, so that no two nails fight while the vector changes.
    ///
    /// # Errors
    /// [`InstrumentError::NotWired`] for a contact without a nail, [`InstrumentError::Unsafe`] for driving a supply or
    /// ground contact or for a contact in two sets; then nothing was changed.
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
    /// The same in the finest range, for less than 0.25 V: microvolts count. What is beyond is clipped.
    async fn fine_volts(&self, contact: Contact) -> Result<f64, InstrumentError>;
    /// Voltage at a contact while the source pushes `source_volts` into it through its series resistor: tells a driven
    /// contact from a pulled and from an open one.
    ///
    /// # Errors
    /// [`InstrumentError::Unsafe`] for a voltage that the source does not have, or one that would feed a module without
    /// power through its pins.
    async fn loaded_volts(&self, contact: Contact, source_volts: f64) -> Result<f64, InstrumentError>;
    /// Resistance between a contact and whatever holds it at 0 V, ohms; infinite is reported as [`OPEN_OHMS`]. The
    /// test voltage stays below 0.25 V, so that no diode of an unpowered module conducts.
    ///
    /// # Errors
    /// [`InstrumentError::Energized`] if the contact is not near 0 V before the source is joined to it.
    async fn ohms(&self, contact: Contact) -> Result<f64, InstrumentError>;
    /// Like [`MeasureBus::loaded_volts`], but leaves source and contact joined until [`MeasureBus::release`] or the next
    /// measurement: the contact is held at about this voltage while somebody else looks at it.
    async fn hold(&self, contact: Contact, source_volts: f64) -> Result<f64, InstrumentError>;
    /// Pushes a current into a contact of a module without power, through a protection diode of it, for as long as it
    /// takes to measure. Comes as near to `amps` as the source can; what really flowed is in the answer, next to nothing
    /// into an open contact.
    ///
    /// A diode's current goes into the supply behind it. That stays at 0 V as long as every rail is discharged, so the
    /// module is not fed. A ground contact may also be lifted while rails float: nothing then flows but through what is
    /// held at 0 V.
    ///
    /// # Errors
    /// [`InstrumentError::Unsafe`] for more than [`MOST_INJECTED_AMPS`], while a rail is on, or into a contact other than
    /// ground while a rail is not discharged.
    async fn inject(&self, contact: Contact, amps: f64) -> Result<Injected, InstrumentError>;
    /// Series resistance of the source in ohms, to judge [`MeasureBus::loaded_volts`].
    fn source_ohms(&self) -> f64;
    /// Source off, all channels open.
    async fn release(&self) -> Result<(), InstrumentError>;
}

/// Most that may ever be pushed into one contact, amperes: whatever the contact is joined to, and less than the 5 mA to
/// 10 mA that inputs of CMOS chips are commonly tested with for latch-up.
pub const MOST_INJECTED_AMPS: f64 = 3e-3;

/// What [`MeasureBus::inject`] came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Injected {
    /// At the contact, against the fixture's ground.
    pub volts: f64,
    pub amps: f64,
}

/// Above this the ohm-meter sees nothing: an open circuit.
pub const OPEN_OHMS: f64 = 1e6;

/// What [`Rails`] read back from a rail's monitor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RailReading {
    pub volts: f64,
    pub amps: f64,
}

/// A rail was switched. The run writes it into the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RailEvent {
    pub rail: String,
    pub on: bool,
}

/// Is told each switching of a rail, right after it was done.
pub type RailObserver = Rc<dyn Fn(RailEvent)>;

/// Supplies, and the switch of each supply and ground nail.
#[async_trait(?Send)]
pub trait Rails {
    /// In the order in which they are switched on.
    fn names(&self) -> Vec<String>;
    /// Contacts that the rail's nails reach, ascending; none for a rail that the fixture does not have.
    fn contacts(&self, rail: &str) -> Vec<Contact>;
    /// Tells that the resistance from this rail to ground was measured and judged, `ohms`. Needed before [`Rails::on`];
    /// [`Rails::all_off`] takes it back, because the next unit is another one.
    ///
    /// # Errors
    /// [`InstrumentError::Unsafe`] if at that resistance the supply would fold back, or if it is no number.
    fn clear_for_power(&self, rail: &str, ohms: f64) -> Result<(), InstrumentError>;
    /// Switches a rail on (its discharge off first, all its feeds closed first) and waits for its rise time.
    ///
    /// # Errors
    /// [`InstrumentError::Unsafe`] without [`Rails::clear_for_power`] since the last [`Rails::all_off`].
    async fn on(&self, rail: &str) -> Result<(), InstrumentError>;
    /// Switches a rail off and discharges it.
    async fn off(&self, rail: &str) -> Result<(), InstrumentError>;
    /// Joins a rail that is off to ground through its discharge resistor, or lets it float.
    ///
    /// # Errors
    /// [`InstrumentError::Unsafe`] for discharging a rail that is on.
    async fn discharge(&self, rail: &str, on: bool) -> Result<(), InstrumentError>;
    /// Resistance of the discharge resistor, ohms.
    fn discharge_ohms(&self, rail: &str) -> Result<f64, InstrumentError>;
    async fn measure(&self, rail: &str) -> Result<RailReading, InstrumentError>;
    /// Closes or opens the switch of one supply or ground nail. All are closed in the safe state.
    async fn feed(&self, contact: Contact, closed: bool) -> Result<(), InstrumentError>;
    /// The safe state: every rail off and discharged, source off, nails released, relay at rest, feeds closed. Goes on
    /// whatever fails; the first error is returned at the end. Takes back every clearance for power.
    async fn all_off(&self) -> Result<(), InstrumentError>;
}

/// The relay that takes the link off the nails.
#[async_trait(?Send)]
pub trait LinkRelay {
    /// `true`: the controller's TX and RX are joined to each other and off the nails.
    async fn set_loopback(&self, on: bool) -> Result<(), InstrumentError>;
}

/// Parts of the fixture that the module talks to over its own buses, each behind switches.
#[async_trait(?Send)]
pub trait Peers {
    /// Takes all parts off the nails, then joins this one.
    ///
    /// # Errors
    /// [`InstrumentError::NoSuchPeer`]; [`InstrumentError::Unsafe`] while no rail is on: the part would feed the module
    /// through its pins.
    async fn connect(&self, id: &str) -> Result<(), InstrumentError>;
    /// As in the safe state.
    async fn disconnect_all(&self) -> Result<(), InstrumentError>;
}

/// Bytes to and from the DUT.
#[async_trait(?Send)]
pub trait Link {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), InstrumentError>;
    /// Waits for at least one byte and appends what has arrived. Dropping the future loses at most bytes of the DUT,
    /// it must leave the link usable: time-outs are made that way.
    async fn receive(&mut self, into: &mut Vec<u8>) -> Result<(), InstrumentError>;
    /// Changes the rate; bytes not yet sent go out at the old one first.
    async fn set_baud(&mut self, baud: u32) -> Result<(), InstrumentError>;
    /// Throws away what has arrived.
    fn discard_input(&mut self);
}

#[async_trait(?Send)]
impl<L: Link + ?Sized> Link for Box<L> {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), InstrumentError> {
        (**self).send(bytes).await
    }
    async fn receive(&mut self, into: &mut Vec<u8>) -> Result<(), InstrumentError> {
        (**self).receive(into).await
    }
    async fn set_baud(&mut self, baud: u32) -> Result<(), InstrumentError> {
        (**self).set_baud(baud).await
    }
    fn discard_input(&mut self) {
        (**self).discard_input();
    }
}

/// The firmware on the module.
///
/// Every future of it may be dropped at any time (a step that timed out); the next request starts clean.
#[async_trait(?Send)]
pub trait Dut {
    /// Opens the conversation at the initial rate ([`Request::Hello`]), then raises the rate to `baud`. Returns the
    /// rate really in use: the initial one if the link does not work at the higher.
    ///
    /// # Errors
    /// [`DutError::Silent`], or [`DutError::OtherProtocol`] if firmware and bench do not belong together.
    async fn connect(&self, baud: u32) -> Result<u32, DutError>;
    /// One request with its reply; repeated after a loss where that does no harm. A refusal is an error.
    async fn request(&self, request: Request) -> Result<Reply, DutError>;
    /// Waits for the end of a job that was accepted ([`Reply::JobAccepted`]). Other requests go on meanwhile.
    ///
    /// # Errors
    /// [`DutError::JobLate`] at `deadline`, [`DutError::JobLost`] if the firmware does not know the job.
    async fn job_done(&self, job: u8, deadline: BenchTime) -> Result<JobResult, DutError>;
    /// Sends bytes and returns what comes back within the time they need plus a margin: for the loop-back check, at the
    /// rate in use or at another, which is put back.
    async fn echo(&self, bytes: &[u8], baud: Option<u32>) -> Result<Vec<u8>, InstrumentError>;
    /// Back to the initial rate, nothing in flight. For a DUT that was restarted or powered again.
    async fn disconnect(&self);
    /// What the link did since the client was made.
    fn statistics(&self) -> LinkStatistics;
}

/// Counts of the conversation with the firmware.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStatistics {
    /// Frames sent, repetitions included.
    pub sent: u64,
    /// Whole frames received.
    pub received: u64,
    /// Frames sent again because no answer came in time.
    pub repeated: u64,
    /// Pieces of input that were no frame.
    pub garbled: u64,
    /// Answers to requests that nobody waits for any more.
    pub late: u64,
}
