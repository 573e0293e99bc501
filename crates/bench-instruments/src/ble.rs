//! The controller's Bluetooth Low Energy: hears advertisements, and sends its own.

use crate::InstrumentError;
use async_trait::async_trait;
use bench_run::BenchTime;
use std::time::Duration;

/// An advertisement with manufacturer data, each time it was heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Advert {
    /// Of the sender, as people write it: the highest byte first.
    pub address: [u8; 6],
    pub company: u16,
    /// Behind the company identifier.
    pub data: Vec<u8>,
    /// As the receiver measures it.
    pub rssi_dbm: f64,
    pub at: BenchTime,
    /// How far the carrier was beside the channel by the receiver's own clock, hertz; `None` where the receiver does
    /// not tell, as most do not.
    pub carrier_offset_hz: Option<f64>,
}

#[async_trait(?Send)]
pub trait BleAir {
    /// Listens to the three advertising channels in turn for so long. In the order of coming, the same sender as often as
    /// it was heard.
    ///
    /// # Errors
    /// [`InstrumentError::Ble`], which says what to do about it.
    async fn scan(&self, span: Duration) -> Result<Vec<Advert>, InstrumentError>;
    /// Advertises on all three channels, so that nobody can connect, until [`BleAir::stop`] or the next such call.
    /// `data` is at most 24 bytes; `interval` is at least 20 ms, and up to 10 ms of delay come on top each time.
    ///
    /// # Errors
    /// [`InstrumentError::Ble`].
    async fn advertise(&self, company: u16, data: &[u8], interval: Duration) -> Result<(), InstrumentError>;
    /// Ends advertising.
    async fn stop(&self) -> Result<(), InstrumentError>;
}

/// The most bytes behind a company identifier in an advertisement of 31 bytes beside its flags.
pub const MOST_ADVERT_BYTES: usize = 24;

/// What stands in for the Bluetooth that a fixture does not have.
pub struct NoBle;

#[async_trait(?Send)]
impl BleAir for NoBle {
    async fn scan(&self, _: Duration) -> Result<Vec<Advert>, InstrumentError> {
        Err(none())
    }
    async fn advertise(&self, _: u16, _: &[u8], _: Duration) -> Result<(), InstrumentError> {
        Err(none())
    }
    async fn stop(&self) -> Result<(), InstrumentError> {
        Ok(())
    }
}

fn none() -> InstrumentError {
    InstrumentError::Ble("this fixture's file has no [ble] section".to_owned())
}
