//! The instruments of a nest, in terms of contacts and rails.
//!
//! All methods take `&self`: a nest is shared by steps that overlap, and each driver locks what must not be shared.

use crate::{ContactSet, DutError};
use async_trait::async_trait;
use bench_run::{BenchTime, Contact};
use dut_protocol::{JobResult, Reply, Request};
use std::rc::Rc;
use thiserror::Error;

/// An instrument failed. Always the bench's fault, never the DUT's.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum InstrumentError {
    /// A chip of the fixture did not answer.
    #[error("{chip} does not answer on the I2C bus ({detail}): check the fixture's cable and its 3.3 V supply")]
    Chip { chip: String, detail: String },
    /// A chip of the fixture answers, but with impossible values.
    #[error("{chip} answers on the I2C bus, but {detail}: check the fixture")]
    Implausible { chip: String, detail: String },
    /// The fixture's file describes a desk.
    #[error("the fixture {0} has no instruments: nothing can be driven or measured at the module's contacts")]
    NoInstruments(String),
    #[error("contact {0} has no nail of that kind on this fixture")]
    NotWired(Contact),
    /// A resistance cannot be measured: something other than the bench's source drives the contact away from 0 V.
    #[error("contact {contact} carries {volts:.3} V: a resistance can only be measured without power and charge")]
    Energized { contact: Contact, volts: f64 },
    #[error("the fixture has no rail {0}")]
    NoSuchRail(String),
    #[error("the fixture has no part {0} for the module to talk to")]
    NoSuchPeer(String),
    #[error("the link to the controller's UART failed: {0}")]
    Link(String),
    #[error("a person is needed, and nobody is at a terminal: {0}")]
    Nobody(String),
    #[error("the person at the bench says: not possible ({0})")]
    NotDone(String),
    #[error("the person at the bench cannot say: {0}")]
    CannotSay(String),
    #[error("the controller's own pins failed: {0}")]
    Gpio(String),
    #[error("the controller's USB host failed: {0}")]
    Usb(String),
    #[error("the controller's Bluetooth failed: {0}")]
    Ble(String),
    /// The power was cut, so nothing is switched any more.
    #[error("refused: {0}")]
    PowerCut(String),
    /// The driver refuses to do something dangerous.
    #[error("refused: {0}")]
    Unsafe(String),
    #[error("this fixture cannot time edges: its file names no `edges` in [measure_bus]")]
    NoEdgeLine,
    #[error("this fixture has no NFC reader: its file names none in [nfc]")]
    NoNfcReader,
    /// A program of the plan, or what starts it.
    #[error("{0}")]
    Program(String),
    /// Only in the replay of a recorded run.
    #[error("not in the recording: {0}")]
    NotRecorded(String),
}

/// New states of nails behind an expander bit. Nails that are in no set keep their state.
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
    /// Releases nails first, so that no two nails oppose each other while the vector changes.
    ///
    /// # Errors
    /// [`InstrumentError::NotWired`] for a contact without a nail, [`InstrumentError::Unsafe`] for driving a supply or
    /// ground contact or for a contact in two sets; then nothing was changed.
    async fn set(&self, vector: NailVector) -> Result<(), InstrumentError>;
    /// Returns the contacts that read high.
    async fn read(&self) -> Result<ContactSet, InstrumentError>;
    /// Releases all nails, with pull-ups off.
    async fn release_all(&self) -> Result<(), InstrumentError>;
}

/// The one line that can be joined to any contact.
#[async_trait(?Send)]
pub trait MeasureBus {
    /// Measures the voltage at a contact against ground, volts, without a load.
    async fn volts(&self, contact: Contact) -> Result<f64, InstrumentError>;
    /// Like [`MeasureBus::volts`] in the finest range, for less than 0.25 V with a resolution of microvolts. Larger
    /// voltages are clipped.
    async fn fine_volts(&self, contact: Contact) -> Result<f64, InstrumentError>;
    /// Measures the voltage at a contact while the source drives it with `source_volts` through its series resistor.
    /// This distinguishes a driven contact from a pulled and from an open one.
    ///
    /// # Errors
    /// [`InstrumentError::Unsafe`] for a voltage that the source does not have, or one that would power a module
    /// through its pins.
    async fn loaded_volts(&self, contact: Contact, source_volts: f64) -> Result<f64, InstrumentError>;
    /// Measures the resistance between a contact and what holds it at 0 V, ohms; infinite is returned as [`OPEN_OHMS`].
    /// The test voltage stays below 0.25 V, so that no diode of an unpowered module conducts.
    ///
    /// # Errors
    /// [`InstrumentError::Energized`] if the contact is not near 0 V before the source is joined to it.
    async fn ohms(&self, contact: Contact) -> Result<f64, InstrumentError>;
    /// Like [`MeasureBus::loaded_volts`], but leaves source and contact joined until [`MeasureBus::release`] or the
    /// next measurement: the contact is held at about this voltage during other measurements.
    async fn hold(&self, contact: Contact, source_volts: f64) -> Result<f64, InstrumentError>;
    /// Drives a current into a contact of an unpowered module, through one of its protection diodes, for as long as a
    /// measurement takes. Comes as near to `amps` as the source can; returns the real current, which is next to nothing
    /// into an open contact.
    ///
    /// A diode's current flows into the supply behind it. That stays at 0 V as long as every rail is discharged, so the
    /// module is not powered. A ground contact may also be lifted while rails float: current then flows only through
    /// what is held at 0 V.
    ///
    /// # Errors
    /// [`InstrumentError::Unsafe`] for more than [`MOST_INJECTED_AMPS`], while a rail is on, or into a contact other than
    /// ground while a rail is not discharged.
    async fn inject(&self, contact: Contact, amps: f64) -> Result<Injected, InstrumentError>;
    /// Reads the source and the line with no contact joined: nothing but the instruments themselves. The multiplexers
    /// get the address of `address_of`, and none is enabled.
    ///
    /// # Errors
    /// [`InstrumentError::Unsafe`] for a voltage that the source does not have.
    async fn unjoined(&self, _address_of: Option<Contact>, _source_volts: f64) -> Result<Unjoined, InstrumentError> {
        Err(InstrumentError::NoInstruments("this bench".to_owned()))
    }
    /// Returns the series resistance of the source in ohms, to interpret [`MeasureBus::loaded_volts`].
    fn source_ohms(&self) -> f64;
    /// Source off, all channels open.
    async fn release(&self) -> Result<(), InstrumentError>;
}

/// Largest current into one contact, amperes: safe for anything that the contact may be joined to, and less than the 5
/// mA to 10 mA that CMOS inputs are commonly tested with for latch-up.
pub const MOST_INJECTED_AMPS: f64 = 3e-3;

/// Result of [`MeasureBus::inject`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Injected {
    /// At the contact, against the fixture's ground.
    pub volts: f64,
    pub amps: f64,
}

/// Result of [`MeasureBus::unjoined`], volts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unjoined {
    /// Before the series resistor.
    pub source: f64,
    /// On the line. Without a load, both are the same.
    pub line: f64,
}

/// Above this the ohmmeter reads an open circuit.
pub const OPEN_OHMS: f64 = 1e6;

/// Reading of a rail's monitor.
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

/// Receives each switching of a rail, right after it was done.
pub type RailObserver = Rc<dyn Fn(RailEvent)>;

/// Supplies, and the switch of each supply and ground nail.
#[async_trait(?Send)]
pub trait Rails {
    /// In the order in which they are switched on.
    fn names(&self) -> Vec<String>;
    /// Returns the contacts of the rail's nails, ascending; none for a rail that the fixture does not have.
    fn contacts(&self, rail: &str) -> Vec<Contact>;
    /// Registers that the resistance from this rail to ground was measured and judged, `ohms`. Required before
    /// [`Rails::on`]; [`Rails::all_off`] revokes it, because the next unit may differ.
    ///
    /// # Errors
    /// [`InstrumentError::Unsafe`] if the supply would fold back at that resistance, or if it is not a number.
    fn clear_for_power(&self, rail: &str, ohms: f64) -> Result<(), InstrumentError>;
    /// Switches a rail on (its discharge off first, all its feeds closed first) and waits for its rise time.
    ///
    /// # Errors
    /// [`InstrumentError::Unsafe`] without [`Rails::clear_for_power`] since the last [`Rails::all_off`].
    async fn on(&self, rail: &str) -> Result<(), InstrumentError>;
    /// Switches a rail off and discharges it.
    async fn off(&self, rail: &str) -> Result<(), InstrumentError>;
    /// Discharges a rail that is off through its discharge resistor, or lets it float.
    ///
    /// # Errors
    /// [`InstrumentError::Unsafe`] for discharging a rail that is on.
    async fn discharge(&self, rail: &str, on: bool) -> Result<(), InstrumentError>;
    /// Returns the resistance of the discharge resistor, ohms.
    fn discharge_ohms(&self, rail: &str) -> Result<f64, InstrumentError>;
    async fn measure(&self, rail: &str) -> Result<RailReading, InstrumentError>;
    /// Measures a small current of the rail, amperes: averages many conversions, whose noise resolves less than a step of
    /// the monitor. Its offset remains.
    async fn fine_amps(&self, rail: &str) -> Result<f64, InstrumentError> {
        Ok(self.measure(rail).await?.amps)
    }
    /// Switches a rail on by itself, with all its feeds open, so that nothing of it reaches the module; waits for its
    /// rise time. Or switches it off again, discharges it and closes its feeds.
    ///
    /// # Errors
    /// [`InstrumentError::Unsafe`] while the rail feeds the module.
    async fn alone(&self, rail: &str, _on: bool) -> Result<(), InstrumentError> {
        Err(InstrumentError::NoSuchRail(rail.to_owned()))
    }
    /// Loads a rail that is on by itself with its discharge resistor, for as long as a measurement takes.
    ///
    /// # Errors
    /// [`InstrumentError::Unsafe`] for a rail that is not on by [`Rails::alone`].
    async fn load(&self, rail: &str, _on: bool) -> Result<(), InstrumentError> {
        Err(InstrumentError::NoSuchRail(rail.to_owned()))
    }
    /// Closes or opens the switch of one supply or ground nail. All are closed in the safe state.
    async fn feed(&self, contact: Contact, closed: bool) -> Result<(), InstrumentError>;
    /// Enters the safe state: every rail off and discharged, source off, nails released, relay at rest, feeds closed.
    /// Continues after errors and returns the first one at the end. Revokes every clearance for power.
    async fn all_off(&self) -> Result<(), InstrumentError>;
}

/// The relay that disconnects the link from the nails.
#[async_trait(?Send)]
pub trait LinkRelay {
    /// Whether the controller's TX and RX can be joined, so that the bench can check its own half of the link.
    fn can_loop_back(&self) -> bool {
        true
    }
    /// `true`: the controller's TX and RX are joined to each other and disconnected from the nails.
    async fn set_loopback(&self, on: bool) -> Result<(), InstrumentError>;
}

/// Parts of the fixture that the module communicates with over its own buses, each behind switches.
#[async_trait(?Send)]
pub trait Peers {
    /// Disconnects all parts, then joins this one.
    ///
    /// # Errors
    /// [`InstrumentError::NoSuchPeer`]; [`InstrumentError::Unsafe`] while no rail is on: the part would power the
    /// module through its pins.
    async fn connect(&self, id: &str) -> Result<(), InstrumentError>;
    /// Disconnects all parts, as in the safe state.
    async fn disconnect_all(&self) -> Result<(), InstrumentError>;
}

/// Bytes to and from the DUT.
#[async_trait(?Send)]
pub trait Link {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), InstrumentError>;
    /// Waits for at least one byte and appends what has arrived. Dropping the future may lose bytes of the DUT but must
    /// leave the link usable, because time-outs drop it.
    async fn receive(&mut self, into: &mut Vec<u8>) -> Result<(), InstrumentError>;
    /// Changes the rate; bytes not yet sent go out at the old one first.
    async fn set_baud(&mut self, baud: u32) -> Result<(), InstrumentError>;
    /// Discards what has arrived.
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
/// Every future of it may be dropped at any time (when a step times out); the next request works normally.
#[async_trait(?Send)]
pub trait Dut {
    /// Opens the conversation at the initial rate ([`Request::Hello`]), then raises the rate to `baud`. Returns the
    /// rate in use: the initial one if the link does not work at the higher.
    ///
    /// # Errors
    /// [`DutError::Silent`], or [`DutError::OtherProtocol`] if firmware and bench do not match.
    async fn connect(&self, baud: u32) -> Result<u32, DutError>;
    /// Sends a request and returns its reply; repeats it after a loss where that is harmless. A refusal is an error.
    async fn request(&self, request: Request) -> Result<Reply, DutError>;
    /// Waits for the end of an accepted job ([`Reply::JobAccepted`]). Other requests may run meanwhile.
    ///
    /// # Errors
    /// [`DutError::JobLate`] at `deadline`, [`DutError::JobLost`] if the firmware does not know the job.
    async fn job_done(&self, job: u8, deadline: BenchTime) -> Result<JobResult, DutError>;
    /// Sends bytes and returns what comes back within their own time plus a margin, for the loop-back check. Uses the
    /// present rate, or another one for the duration of the call.
    async fn echo(&self, bytes: &[u8], baud: Option<u32>) -> Result<Vec<u8>, InstrumentError>;
    /// Returns to the initial rate, with nothing in flight, for a DUT that was restarted or powered again.
    async fn disconnect(&self);
    /// Returns the counters of the link since the client was created.
    fn statistics(&self) -> LinkStatistics;
}

/// Counters of the conversation with the firmware.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStatistics {
    /// Frames sent, repetitions included.
    pub sent: u64,
    /// Complete frames received.
    pub received: u64,
    /// Frames sent again because no answer arrived in time.
    pub repeated: u64,
    /// Pieces of input that were not a frame.
    pub garbled: u64,
    /// Answers to requests that are no longer waited for.
    pub late: u64,
}
