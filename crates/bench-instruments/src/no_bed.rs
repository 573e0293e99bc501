//! A desk: nothing that drives or measures the module's contacts. What releases or switches off succeeds, because there
//! is nothing to release; what would measure is refused.

use crate::{
    ContactSet, EdgeCapture, EdgeTrace, Injected, InstrumentError, LinkRelay, MeasureBus, NailVector, Nails, NfcReader,
    NfcTarget, Peers, RailReading, Rails, Switches, UsbSwitch,
};
use crate::{Disturbance, Supply};
use async_trait::async_trait;
use bench_run::Contact;
use std::time::Duration;

/// Stands for every instrument of a bed of nails.
pub struct NoBed {
    /// The fixture's name, for messages.
    pub fixture: String,
}

impl NoBed {
    fn refuse<T>(&self) -> Result<T, InstrumentError> {
        Err(InstrumentError::NoInstruments(self.fixture.clone()))
    }
}

#[async_trait(?Send)]
impl Nails for NoBed {
    fn wired(&self) -> ContactSet {
        ContactSet::default()
    }
    async fn set(&self, vector: NailVector) -> Result<(), InstrumentError> {
        if vector == NailVector::default() { Ok(()) } else { self.refuse() }
    }
    async fn read(&self) -> Result<ContactSet, InstrumentError> {
        self.refuse()
    }
    async fn release_all(&self) -> Result<(), InstrumentError> {
        Ok(())
    }
}

#[async_trait(?Send)]
impl MeasureBus for NoBed {
    async fn volts(&self, _: Contact) -> Result<f64, InstrumentError> {
        self.refuse()
    }
    async fn fine_volts(&self, _: Contact) -> Result<f64, InstrumentError> {
        self.refuse()
    }
    async fn loaded_volts(&self, _: Contact, _: f64) -> Result<f64, InstrumentError> {
        self.refuse()
    }
    async fn ohms(&self, _: Contact) -> Result<f64, InstrumentError> {
        self.refuse()
    }
    async fn hold(&self, _: Contact, _: f64) -> Result<f64, InstrumentError> {
        self.refuse()
    }
    async fn inject(&self, _: Contact, _: f64) -> Result<Injected, InstrumentError> {
        self.refuse()
    }
    fn source_ohms(&self) -> f64 {
        f64::NAN
    }
    async fn release(&self) -> Result<(), InstrumentError> {
        Ok(())
    }
}

#[async_trait(?Send)]
impl Rails for NoBed {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
    fn contacts(&self, _: &str) -> Vec<Contact> {
        Vec::new()
    }
    fn clear_for_power(&self, _: &str, _: f64) -> Result<(), InstrumentError> {
        self.refuse()
    }
    async fn on(&self, _: &str) -> Result<(), InstrumentError> {
        self.refuse()
    }
    async fn off(&self, _: &str) -> Result<(), InstrumentError> {
        self.refuse()
    }
    async fn discharge(&self, _: &str, _: bool) -> Result<(), InstrumentError> {
        self.refuse()
    }
    fn discharge_ohms(&self, _: &str) -> Result<f64, InstrumentError> {
        self.refuse()
    }
    async fn measure(&self, _: &str) -> Result<RailReading, InstrumentError> {
        self.refuse()
    }
    async fn feed(&self, _: Contact, _: bool) -> Result<(), InstrumentError> {
        self.refuse()
    }
    async fn all_off(&self) -> Result<(), InstrumentError> {
        Ok(())
    }
}

#[async_trait(?Send)]
impl LinkRelay for NoBed {
    fn can_loop_back(&self) -> bool {
        false
    }
    /// The wires are soldered or plugged.
    async fn set_loopback(&self, _: bool) -> Result<(), InstrumentError> {
        Ok(())
    }
}

#[async_trait(?Send)]
impl Peers for NoBed {
    async fn connect(&self, id: &str) -> Result<(), InstrumentError> {
        Err(InstrumentError::NoSuchPeer(id.to_owned()))
    }
    async fn disconnect_all(&self) -> Result<(), InstrumentError> {
        Ok(())
    }
}

#[async_trait(?Send)]
impl EdgeCapture for NoBed {
    async fn capture(&self, _: Contact, _: Duration) -> Result<EdgeTrace, InstrumentError> {
        self.refuse()
    }
}

#[async_trait(?Send)]
impl UsbSwitch for NoBed {
    async fn join(&self, _: bool) -> Result<(), InstrumentError> {
        self.refuse()
    }
}

#[async_trait(?Send)]
impl NfcReader for NoBed {
    fn strongest(&self) -> u8 {
        0
    }
    async fn join(&self, _: bool) -> Result<(), InstrumentError> {
        Err(InstrumentError::NoNfcReader)
    }
    async fn set_field(&self, _: u8) -> Result<(), InstrumentError> {
        Err(InstrumentError::NoNfcReader)
    }
    async fn find(&self) -> Result<Option<NfcTarget>, InstrumentError> {
        Err(InstrumentError::NoNfcReader)
    }
    async fn exchange(&self, _: &[u8]) -> Result<Option<Vec<u8>>, InstrumentError> {
        Err(InstrumentError::NoNfcReader)
    }
}

impl Switches for NoBed {
    fn parts(&self) -> usize {
        0
    }
    fn rail_parts(&self) -> Vec<usize> {
        Vec::new()
    }
    fn check(&self, _: usize) -> Result<(), Disturbance> {
        Ok(())
    }
    fn lock(&self, _: &str) {}
    fn watchdog_timeout(&self) -> Option<Duration> {
        None
    }
    fn supply(&self, _: &str) -> Option<Supply> {
        None
    }
    fn glance(&self, _: &str) -> Result<Option<RailReading>, InstrumentError> {
        Ok(None)
    }
}
