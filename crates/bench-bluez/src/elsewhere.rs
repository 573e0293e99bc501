//! Stub for systems without BlueZ: no adapter opens, so the type is empty and its methods are never called.

use async_trait::async_trait;
use bench_instruments::{Advert, BleAir, Clock, InstrumentError, Sender};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

pub struct BluezAir(Infallible);

impl BluezAir {
    /// # Errors
    /// Always.
    pub async fn open(_name: &str, _clock: Rc<dyn Clock>) -> Result<Self, InstrumentError> {
        Err(InstrumentError::Ble(
            "the bench uses the Bluetooth of a controller with Linux, not of this computer".into(),
        ))
    }
}

#[async_trait(?Send)]
impl BleAir for BluezAir {
    fn adapter(&self) -> String {
        match self.0 {}
    }
    async fn senders(&self, _span: Duration) -> Result<Vec<Sender>, InstrumentError> {
        match self.0 {}
    }
    async fn scan(&self, _span: Duration) -> Result<Vec<Advert>, InstrumentError> {
        match self.0 {}
    }
    async fn advertise(&self, _company: u16, _data: &[u8], _interval: Duration) -> Result<(), InstrumentError> {
        match self.0 {}
    }
    async fn stop(&self) -> Result<(), InstrumentError> {
        match self.0 {}
    }
}
