//! The module's USB, from the host's side.

use crate::InstrumentError;
use async_trait::async_trait;
use std::fmt;
use std::time::Duration;

/// Vendor and product of a USB device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsbIds {
    pub vendor: u16,
    pub product: u16,
}

impl fmt::Display for UsbIds {
    /// "2b04:c017".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.product)
    }
}

/// Result of [`UsbHost::echo`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsbEcho {
    /// No serial port of that device appeared. `others`: devices that the host detected instead, as far as it reports
    /// them.
    NoDevice { others: Vec<UsbIds> },
    /// The port appeared and these bytes came back; nothing or too little if time ran out.
    Received(Vec<u8>),
}

/// The switch between the module's D+ and D- and the host.
#[async_trait(?Send)]
pub trait UsbSwitch {
    /// # Errors
    /// [`InstrumentError::Usb`] for a fixture without such a switch.
    async fn join(&self, on: bool) -> Result<(), InstrumentError>;
}

/// The controller's USB host.
#[async_trait(?Send)]
pub trait UsbHost {
    /// Waits for the serial port (CDC-ACM) of the device with these ids, sends `bytes` and collects what comes back,
    /// for at most `within` in total. Closes the port at the end.
    ///
    /// # Errors
    /// [`InstrumentError::Usb`] when the host itself fails; a failure of the device is part of the result.
    async fn echo(&self, ids: UsbIds, bytes: &[u8], within: Duration) -> Result<UsbEcho, InstrumentError>;
}
