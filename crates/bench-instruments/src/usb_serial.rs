//! The controller's own USB host, through the operating system's serial ports.

use crate::usb::{other_devices, port_of};
use crate::{Clock, InstrumentError, UsbEcho, UsbHost, UsbIds, UsbPort};
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

/// The system's serial ports.
pub trait SerialPorts {
    /// Those over USB.
    ///
    /// # Errors
    /// When the system does not list them.
    fn list(&self) -> std::io::Result<Vec<UsbPort>>;

    /// # Errors
    /// When it is gone, or may not be opened.
    fn open(&self, name: &str) -> std::io::Result<Box<dyn OpenPort>>;
}

/// An open serial port.
pub trait OpenPort: Read + Write {
    /// Bytes that can be read at once.
    ///
    /// # Errors
    /// When the device is gone.
    fn waiting(&self) -> std::io::Result<usize>;
}

/// Lists the serial ports of this computer that are over USB.
///
/// # Errors
/// When the system does not list them.
pub fn usb_serial_ports() -> std::io::Result<Vec<UsbPort>> {
    SystemPorts.list()
}

/// Opens a serial port and closes it again.
///
/// # Errors
/// When it is gone, or may not be opened.
pub fn can_be_opened(name: &str) -> std::io::Result<()> {
    SystemPorts.open(name).map(drop)
}

struct SystemPorts;

impl SerialPorts for SystemPorts {
    fn list(&self) -> std::io::Result<Vec<UsbPort>> {
        Ok(serialport::available_ports()?.into_iter().filter_map(usb_port).collect())
    }

    fn open(&self, name: &str) -> std::io::Result<Box<dyn OpenPort>> {
        Ok(Box::new(SystemPort(serialport::new(name, RATE).timeout(WRITE_TIMEOUT).open()?)))
    }
}

struct SystemPort(Box<dyn SerialPort>);

impl Read for SystemPort {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for SystemPort {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl OpenPort for SystemPort {
    fn waiting(&self) -> std::io::Result<usize> {
        Ok(self.0.bytes_to_read()? as usize)
    }
}

pub struct SerialUsbHost {
    clock: Rc<dyn Clock>,
    ports: Rc<dyn SerialPorts>,
}

impl SerialUsbHost {
    pub fn new(clock: Rc<dyn Clock>) -> Self {
        Self::with_ports(clock, Rc::new(SystemPorts))
    }

    /// Over other ports than the system's.
    pub fn with_ports(clock: Rc<dyn Clock>, ports: Rc<dyn SerialPorts>) -> Self {
        Self { clock, ports }
    }

    /// Opens the device's port once that is possible: right after it appears the system may not have set its
    /// permissions yet.
    async fn open(&self, ids: UsbIds, serial: &str, deadline: BenchTime) -> Result<Opened, InstrumentError> {
        loop {
            let ports = self.ports.list().map_err(|error| failed("list the serial ports", &error))?;
            let too_late = self.clock.now() >= deadline;
            match port_of(&ports, ids, serial) {
                Ok(Some(port)) => match self.ports.open(&port.name) {
                    Ok(port) => return Ok(Opened::Port(port)),
                    Err(error) if too_late => return Err(failed(&format!("open {}", port.name), &error)),
                    Err(_) => {}
                },
                Ok(None) if too_late => return Ok(Opened::Nothing { others: other_devices(&ports, ids) }),
                Err(ambiguous) if too_late => {
                    let text = format!(
                        "{} are devices {ids} that cannot be told from each other: unplug those that belong to no nest",
                        ambiguous.names.join(" and ")
                    );
                    return Err(InstrumentError::Usb(text));
                }
                // A port that has just appeared may not show its serial number yet.
                Ok(None) | Err(_) => {}
            }
            self.clock.sleep(LOOK).await;
        }
    }
}

enum Opened {
    Port(Box<dyn OpenPort>),
    Nothing { others: Vec<UsbIds> },
}

#[async_trait(?Send)]
impl UsbHost for SerialUsbHost {
    async fn echo(
        &self,
        ids: UsbIds,
        serial: &str,
        bytes: &[u8],
        within: Duration,
    ) -> Result<UsbEcho, InstrumentError> {
        let deadline = self.clock.now() + within;
        let mut port = match self.open(ids, serial, deadline).await? {
            Opened::Port(port) => port,
            Opened::Nothing { others } => return Ok(UsbEcho::NoDevice { others }),
        };
        let mut received = Vec::new();
        // From here on an error is the device's: it stalls, or is gone.
        if port.write_all(bytes).is_err() {
            return Ok(UsbEcho::Received(received));
        }
        while received.len() < bytes.len() && self.clock.now() < deadline {
            let mut piece = match port.waiting() {
                Ok(0) => {
                    self.clock.sleep(LOOK).await;
                    continue;
                }
                Ok(waiting) => vec![0; waiting],
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

fn failed(what: &str, error: &std::io::Error) -> InstrumentError {
    InstrumentError::Usb(format!("cannot {what}: {error}; is the user in the group that may use serial ports?"))
}

fn usb_port(port: SerialPortInfo) -> Option<UsbPort> {
    let SerialPortType::UsbPort(usb) = port.port_type else { return None };
    let serial = usb.serial_number.filter(|serial| !serial.is_empty());
    Some(UsbPort { name: port.port_name, ids: UsbIds { vendor: usb.vid, product: usb.pid }, serial })
}
