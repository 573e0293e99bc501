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

/// A serial port over USB, as the controller lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsbPort {
    /// What opens it: "/dev/ttyACM0".
    pub name: String,
    pub ids: UsbIds,
    /// Where the device has one, and the system reports it.
    pub serial: Option<String>,
}

/// Several devices have these ids, and none can be told from the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ambiguous {
    pub names: Vec<String>,
}

/// Chooses the port of the device with these ids and this serial number. A neighbouring nest's module has the same ids.
/// A device that reports no serial number is the one, if it alone has the ids.
///
/// # Errors
/// When several could be meant.
pub fn port_of<'p>(ports: &'p [UsbPort], ids: UsbIds, serial: &str) -> Result<Option<&'p UsbPort>, Ambiguous> {
    let with_ids = || ports.iter().filter(|port| port.ids == ids);
    let is_its = |port: &&UsbPort| port.serial.as_ref().is_some_and(|has| has.eq_ignore_ascii_case(serial));
    let mut meant: Vec<&UsbPort> = with_ids().filter(is_its).collect();
    if meant.is_empty() {
        meant = with_ids().filter(|port| port.serial.is_none()).collect();
    }
    match meant.as_slice() {
        [] => Ok(None),
        [port] => Ok(Some(port)),
        several => Err(Ambiguous { names: several.iter().map(|port| port.name.clone()).collect() }),
    }
}

/// Devices with other ids, each kind once.
pub fn other_devices(ports: &[UsbPort], ids: UsbIds) -> Vec<UsbIds> {
    let mut devices: Vec<UsbIds> = ports.iter().map(|port| port.ids).filter(|other| *other != ids).collect();
    devices.sort_unstable();
    devices.dedup();
    devices
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
    /// Waits for the serial port (CDC-ACM) of the device with these ids and this serial number, sends `bytes` and
    /// collects what comes back, for at most `within` in total. Closes the port at the end.
    ///
    /// # Errors
    /// [`InstrumentError::Usb`] when the host itself fails, or cannot tell two devices from each other; a failure of the
    /// device is part of the result.
    async fn echo(&self, ids: UsbIds, serial: &str, bytes: &[u8], within: Duration)
    -> Result<UsbEcho, InstrumentError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: UsbIds = UsbIds { vendor: 0x2B04, product: 0xC017 };

    fn port(name: &str, product: u16, serial: Option<&str>) -> UsbPort {
        UsbPort { name: name.to_owned(), ids: UsbIds { product, ..IDS }, serial: serial.map(str::to_owned) }
    }

    #[test]
    fn a_module_is_found_among_its_neighbours() {
        let own = || port("own", IDS.product, Some("00ab"));
        let neighbour = || port("neighbour", IDS.product, Some("00cd"));
        let other = || port("other", 0xC019, Some("00ab"));
        let unnamed = |name| port(name, IDS.product, None);
        let rows = [
            (vec![own(), neighbour(), other()], Ok(Some("own"))),
            (vec![neighbour(), own(), other()], Ok(Some("own"))),
            (vec![port("own", IDS.product, Some("00AB"))], Ok(Some("own"))),
            (vec![neighbour(), other()], Ok(None)),
            (vec![other()], Ok(None)),
            (vec![], Ok(None)),
            (vec![unnamed("a"), neighbour()], Ok(Some("a"))),
            (vec![unnamed("a"), own()], Ok(Some("own"))),
            (vec![unnamed("a"), unnamed("b")], Err(vec!["a".to_owned(), "b".to_owned()])),
            (vec![own(), own()], Err(vec!["own".to_owned(), "own".to_owned()])),
        ];
        for (ports, expected) in rows {
            let chosen = port_of(&ports, IDS, "00ab");
            let names = chosen.map(|port| port.map(|port| port.name.as_str())).map_err(|ambiguous| ambiguous.names);
            assert_eq!(names, expected, "{ports:?}");
        }
        let others: Vec<String> =
            other_devices(&[own(), other(), other()], IDS).iter().map(ToString::to_string).collect();
        assert_eq!(others, ["2b04:c019"]);
    }
}
