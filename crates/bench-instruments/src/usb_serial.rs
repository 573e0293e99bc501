//! The controller's own USB host, through the operating system's serial ports.

use crate::{Clock, InstrumentError, UsbEcho, UsbHost, UsbIds};
use async_trait::async_trait;
use bench_run::BenchTime;
use serialport::{SerialPort, SerialPortInfo, SerialPortType};
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

/// A serial port over USB ignores the rate, but the call needs one.
const RATE: u32 = 115_200;
/// Longest time that one write may block the whole program; enough to detect a module that accepts nothing.
const WRITE_TIMEOUT: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_millis(20);

pub struct SerialUsbHost {
    clock: Rc<dyn Clock>,
}

impl SerialUsbHost {
    pub fn new(clock: Rc<dyn Clock>) -> Self {
        Self { clock }
    }

    /// Returns the name of the device's port once it can be opened: right after it appears the system may not have set
    /// its permissions yet.
    async fn open(&self, ids: UsbIds, deadline: BenchTime) -> Result<Opened, InstrumentError> {
        loop {
            let ports = serialport::available_ports().map_err(|error| failed("list the serial ports", &error))?;
            let too_late = self.clock.now() >= deadline;
            match port_of(&ports, ids) {
                Some(name) => match serialport::new(name, RATE).timeout(WRITE_TIMEOUT).open() {
                    Ok(port) => return Ok(Opened::Port(port)),
                    Err(error) if too_late => return Err(failed(&format!("open {name}"), &error)),
                    Err(_) => {}
                },
                None if too_late => return Ok(Opened::Nothing { others: usb_devices(&ports) }),
                None => {}
            }
            self.clock.sleep(LOOK).await;
        }
    }
}

enum Opened {
    Port(Box<dyn SerialPort>),
    Nothing { others: Vec<UsbIds> },
}

#[async_trait(?Send)]
impl UsbHost for SerialUsbHost {
    async fn echo(&self, ids: UsbIds, bytes: &[u8], within: Duration) -> Result<UsbEcho, InstrumentError> {
        let deadline = self.clock.now() + within;
        let mut port = match self.open(ids, deadline).await? {
            Opened::Port(port) => port,
            Opened::Nothing { others } => return Ok(UsbEcho::NoDevice { others }),
        };
        let mut received = Vec::new();
        // From here on an error is the device's: it stalls, or is gone.
        if port.write_all(bytes).is_err() {
            return Ok(UsbEcho::Received(received));
        }
        while received.len() < bytes.len() && self.clock.now() < deadline {
            let mut piece = match port.bytes_to_read() {
                Ok(0) => {
                    self.clock.sleep(LOOK).await;
                    continue;
                }
                Ok(waiting) => vec![0; waiting as usize],
                Err(_) => break,
            };
            match port.read(&mut piece) {
                Ok(length) => received.extend_from_slice(piece.get(..length).unwrap_or_default()),
                Err(_) => break,
            }
        }
        Ok(UsbEcho::Received(received))
    }
}

fn failed(what: &str, error: &serialport::Error) -> InstrumentError {
    InstrumentError::Usb(format!("cannot {what}: {error}; is the user in the group that may use serial ports?"))
}

fn ids_of(port: &SerialPortInfo) -> Option<UsbIds> {
    match &port.port_type {
        SerialPortType::UsbPort(usb) => Some(UsbIds { vendor: usb.vid, product: usb.pid }),
        _ => None,
    }
}

fn port_of(ports: &[SerialPortInfo], ids: UsbIds) -> Option<&str> {
    ports.iter().find(|port| ids_of(port) == Some(ids)).map(|port| port.port_name.as_str())
}

fn usb_devices(ports: &[SerialPortInfo]) -> Vec<UsbIds> {
    let mut devices: Vec<UsbIds> = ports.iter().filter_map(ids_of).collect();
    devices.sort_unstable();
    devices.dedup();
    devices
}

#[cfg(test)]
mod tests {
    use super::*;
    use serialport::UsbPortInfo;

    fn usb(name: &str, vendor: u16, product: u16) -> SerialPortInfo {
        let info = UsbPortInfo {
            vid: vendor,
            pid: product,
            serial_number: None,
            manufacturer: None,
            product: None,
            interface: None,
        };
        SerialPortInfo { port_name: name.to_owned(), port_type: SerialPortType::UsbPort(info) }
    }

    #[test]
    fn a_device_is_found_by_both_ids() {
        let plain = SerialPortInfo { port_name: "/dev/ttyAMA0".into(), port_type: SerialPortType::Unknown };
        let ports = [plain, usb("/dev/ttyACM0", 0x2B04, 0xC019), usb("/dev/ttyACM1", 0x2B04, 0xC017)];
        for (vendor, product, expected) in
            [(0x2B04, 0xC017, Some("/dev/ttyACM1")), (0x2B04, 0xC00D, None), (0xC017, 0x2B04, None)]
        {
            assert_eq!(port_of(&ports, UsbIds { vendor, product }), expected);
        }
        let others: Vec<String> = usb_devices(&ports).iter().map(ToString::to_string).collect();
        assert_eq!(others, ["2b04:c017", "2b04:c019"]);
    }
}
