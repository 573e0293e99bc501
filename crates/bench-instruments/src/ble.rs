//! The controller's Bluetooth Low Energy: receives advertisements, and sends its own.

use crate::InstrumentError;
use async_trait::async_trait;
use bench_run::BenchTime;
use std::time::Duration;

/// An advertisement with manufacturer data, one for each reception.
#[derive(Debug, Clone, PartialEq)]
pub struct Advert {
    /// Address of the sender, the highest byte first.
    pub address: [u8; 6],
    pub company: u16,
    /// The data after the company identifier.
    pub data: Vec<u8>,
    /// Signal strength as the receiver measures it.
    pub rssi_dbm: f64,
    pub at: BenchTime,
    /// Offset of the carrier from the channel by the receiver's own clock, hertz; `None` where the receiver does not
    /// report it, as most do not.
    pub carrier_offset_hz: Option<f64>,
}

/// A device that was received, whatever it sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sender {
    /// The highest byte first.
    pub address: [u8; 6],
    /// Signal strength of its strongest packet.
    pub rssi_dbm: f64,
}

#[async_trait(?Send)]
pub trait BleAir {
    /// The adapter's name and address, for messages: "hci0 (C0:00:00:00:00:01)".
    fn adapter(&self) -> String;
    /// Listens for this long. Returns every device that was received, also those that send no manufacturer data.
    ///
    /// # Errors
    /// As [`BleAir::scan`].
    async fn senders(&self, span: Duration) -> Result<Vec<Sender>, InstrumentError>;
    /// Listens to the three advertising channels in turn for this long. Returns all receptions in order, also repeated
    /// ones of one sender.
    ///
    /// # Errors
    /// [`InstrumentError::Ble`], with what to do about it.
    async fn scan(&self, span: Duration) -> Result<Vec<Advert>, InstrumentError>;
    /// Advertises on all three channels, not connectable, until [`BleAir::stop`] or the next such call. `data` is at
    /// most 24 bytes; `interval` is at least 20 ms, plus a random delay of up to 10 ms each time.
    ///
    /// # Errors
    /// [`InstrumentError::Ble`].
    async fn advertise(&self, company: u16, data: &[u8], interval: Duration) -> Result<(), InstrumentError>;
    /// Ends advertising.
    async fn stop(&self) -> Result<(), InstrumentError>;
}

/// Largest data after a company identifier in an advertisement of 31 bytes, besides its flags.
pub const MOST_ADVERT_BYTES: usize = 24;

/// Placeholder for the Bluetooth that a fixture does not have.
pub struct NoBle;

#[async_trait(?Send)]
impl BleAir for NoBle {
    fn adapter(&self) -> String {
        "none".to_owned()
    }
    async fn senders(&self, _: Duration) -> Result<Vec<Sender>, InstrumentError> {
        Err(none())
    }
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
