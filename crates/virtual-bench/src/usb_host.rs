//! The controller's USB host: waits for a pull-up on D+, resets the bus, enumerates, and talks to a serial port
//! (CDC-ACM). Transactions reach the chip only while the circuit lets both lines through.

use crate::ends::{SharedWorld, VirtualClock};
use async_trait::async_trait;
use bench_instruments::{Clock, InstrumentError, UsbEcho, UsbHost, UsbIds, UsbPort, other_devices, port_of};
use bench_run::BenchTime;
use std::rc::Rc;
use std::time::Duration;
use virtual_nrf52840::UsbAnswer;

/// A new device must be attached for this long before it counts (USB 2.0, 7.1.7.3).
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Both lines low, and rest afterwards (7.1.7.5).
const RESET: Duration = Duration::from_millis(10);
/// After SET_ADDRESS (9.2.6.3).
const ADDRESS_RECOVERY: Duration = Duration::from_millis(2);
/// Pause before a refused transaction is retried.
const RETRY: Duration = Duration::from_micros(100);
/// How often a transaction may stay unanswered.
const SILENT_RETRIES: u32 = 3;
/// Longest time that a device may delay a request (9.2.6.4).
const PATIENCE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(1);

const ADDRESS: u8 = 1;
const DEVICE: u8 = 1;
const CONFIGURATION: u8 = 2;
const STRING: u8 = 3;
/// English, the only language of most devices.
const LANGUAGE: u16 = 0x0409;
const OWN: &str = "own";
/// Serial number of the neighbouring nest's module.
const NEIGHBOUR: &str = "8000000000000000";
const ENDPOINT: u8 = 5;
const BULK: u8 = 2;
const TO_HOST: u8 = 0x80;
/// Data terminal ready, request to send.
const LINE_STATE: u16 = 0b11;
/// 115200 baud, 8 data bits, no parity, 1 stop bit.
const LINE_CODING: [u8; 7] = [0x00, 0xC2, 0x01, 0x00, 0, 0, 8];
const PACKET: usize = 64;

/// The host's side; all clones share the port.
pub struct VirtualUsbHost(pub(crate) SharedWorld);

/// The device does not continue: it is silent, stalls, or is late.
struct Failed;

/// Result of the enumeration.
struct Device {
    ids: UsbIds,
    serial: Option<String>,
    configuration: u8,
    bulk_in: u8,
    bulk_out: u8,
}

#[async_trait(?Send)]
impl UsbHost for VirtualUsbHost {
    async fn echo(
        &self,
        ids: UsbIds,
        serial: &str,
        bytes: &[u8],
        within: Duration,
    ) -> Result<UsbEcho, InstrumentError> {
        let clock = VirtualClock(Rc::clone(&self.0));
        let deadline = clock.now() + within;
        let mut bus = Bus { host: self, clock, address: 0 };
        while bus.clock.now() < deadline {
            if !self.0.borrow_mut().usb_is_attached() {
                bus.clock.sleep(LOOK).await;
                continue;
            }
            match bus.enumerate().await {
                Ok(device) => {
                    // A neighbouring nest's module is on the same controller, and its port is listed before or after.
                    let own = UsbPort { name: OWN.to_owned(), ids: device.ids, serial: device.serial.clone() };
                    let neighbour = UsbPort { name: "neighbour".to_owned(), ids, serial: Some(NEIGHBOUR.to_owned()) };
                    let ports =
                        if own.serial.as_deref() < Some(NEIGHBOUR) { [own, neighbour] } else { [neighbour, own] };
                    return match port_of(&ports, ids, serial) {
                        Ok(Some(port)) if port.name == OWN => {
                            Ok(UsbEcho::Received(bus.talk(&device, bytes, deadline).await))
                        }
                        // It echoes whatever it receives, as every good module does.
                        Ok(Some(_)) => Ok(UsbEcho::Received(bytes.to_vec())),
                        Ok(None) => Ok(UsbEcho::NoDevice { others: other_devices(&ports, ids) }),
                        Err(_) => Err(InstrumentError::Usb("two modules cannot be told from each other".to_owned())),
                    };
                }
                // Restarts from the beginning, like operating systems.
                Err(Failed) => bus.clock.sleep(DEBOUNCE).await,
            }
        }
        Ok(UsbEcho::NoDevice { others: Vec::new() })
    }
}

struct Bus<'a> {
    host: &'a VirtualUsbHost,
    clock: VirtualClock,
    address: u8,
}

impl Bus<'_> {
    async fn enumerate(&mut self) -> Result<Device, Failed> {
        self.clock.sleep(DEBOUNCE).await;
        self.clock.sleep(RESET).await;
        self.host.0.borrow_mut().usb_reset();
        self.clock.sleep(RESET).await;
        self.address = 0;
        self.descriptor(DEVICE, 0, 8).await?;
        self.control([0, 5, ADDRESS, 0, 0, 0, 0, 0], &[]).await?;
        self.address = ADDRESS;
        self.clock.sleep(ADDRESS_RECOVERY).await;
        let device = self.descriptor(DEVICE, 0, 18).await?;
        let word = |bytes: &[u8], at: usize| Some(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let ids = UsbIds { vendor: word(&device, 8).ok_or(Failed)?, product: word(&device, 10).ok_or(Failed)? };
        let serial = match device.get(16).copied() {
            None | Some(0) => None,
            Some(index) => Some(self.text(index).await?),
        };
        let head = self.descriptor(CONFIGURATION, 0, 9).await?;
        let whole = self.descriptor(CONFIGURATION, 0, word(&head, 2).ok_or(Failed)?).await?;
        let configuration = *whole.get(5).ok_or(Failed)?;
        let (mut bulk_in, mut bulk_out) = (None, None);
        let mut rest = whole.as_slice();
        while let [length, kind, ..] = *rest {
            if let (ENDPOINT, &[_, _, address, attributes, ..]) = (kind, rest)
                && attributes & 3 == BULK
            {
                *(if address & TO_HOST != 0 { &mut bulk_in } else { &mut bulk_out }) = Some(address & 0x0F);
            }
            rest = rest.get(usize::from(length.max(1))..).unwrap_or_default();
        }
        match (bulk_in, bulk_out) {
            (Some(bulk_in), Some(bulk_out)) => Ok(Device { ids, serial, configuration, bulk_in, bulk_out }),
            _ => Err(Failed),
        }
    }

    /// Opens the port, sends, and collects received bytes until `deadline`.
    async fn talk(&mut self, device: &Device, bytes: &[u8], deadline: BenchTime) -> Vec<u8> {
        let mut received = Vec::new();
        // Errors are ignored: the received bytes are the result.
        let _ = self.exchange(device, bytes, deadline, &mut received).await;
        received
    }

    async fn exchange(
        &mut self,
        device: &Device,
        bytes: &[u8],
        deadline: BenchTime,
        received: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        self.control([0, 9, device.configuration, 0, 0, 0, 0, 0], &[]).await?;
        self.control([0x21, 0x20, 0, 0, 0, 0, LINE_CODING.len() as u8, 0], &LINE_CODING).await?;
        self.control([0x21, 0x22, LINE_STATE as u8, 0, 0, 0, 0, 0], &[]).await?;
        for packet in bytes.chunks(PACKET) {
            self.patiently(deadline, |bus| bus.out(device.bulk_out, packet)).await?;
            let mut expected = packet.len();
            while expected > 0 {
                let UsbAnswer::Data(data) = self.patiently(deadline, |bus| bus.input(device.bulk_in)).await? else {
                    return Err(Failed);
                };
                expected = expected.saturating_sub(data.len());
                received.extend(data);
            }
        }
        Ok(())
    }

    /// A string descriptor's text: two bytes of head, then UTF-16.
    async fn text(&mut self, index: u8) -> Result<String, Failed> {
        let descriptor = self.descriptor(STRING, index, 255).await?;
        let units: Vec<u16> = descriptor
            .get(2..)
            .ok_or(Failed)?
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        Ok(String::from_utf16_lossy(&units))
    }

    async fn descriptor(&mut self, kind: u8, index: u8, length: u16) -> Result<Vec<u8>, Failed> {
        let [low, high] = length.to_le_bytes();
        let [language_low, language_high] = if kind == STRING { LANGUAGE.to_le_bytes() } else { [0, 0] };
        self.setup([TO_HOST, 6, index, kind, language_low, language_high, low, high]).await?;
        let mut all = Vec::new();
        while all.len() < usize::from(length) {
            let deadline = self.clock.now() + PATIENCE;
            let UsbAnswer::Data(data) = self.patiently(deadline, |bus| bus.input(0)).await? else {
                return Err(Failed);
            };
            all.extend_from_slice(&data);
            if data.len() < PACKET {
                break;
            }
        }
        // Status stage.
        let deadline = self.clock.now() + PATIENCE;
        self.patiently(deadline, |bus| bus.out(0, &[])).await?;
        Ok(all)
    }

    /// Sends a request whose data, if any, goes to the device.
    async fn control(&mut self, request: [u8; 8], data: &[u8]) -> Result<(), Failed> {
        self.setup(request).await?;
        let deadline = self.clock.now() + PATIENCE;
        for packet in data.chunks(PACKET) {
            self.patiently(deadline, |bus| bus.out(0, packet)).await?;
        }
        self.patiently(deadline, |bus| bus.input(0)).await.map(drop)
    }

    async fn setup(&mut self, request: [u8; 8]) -> Result<(), Failed> {
        let deadline = self.clock.now() + PATIENCE;
        self.patiently(deadline, |bus| {
            let address = bus.address;
            bus.host.0.borrow_mut().usb(|chip| chip.usb_setup(address, request))
        })
        .await
        .map(drop)
    }

    fn input(&self, endpoint: u8) -> UsbAnswer {
        self.host.0.borrow_mut().usb(|chip| chip.usb_in(self.address, endpoint))
    }

    fn out(&self, endpoint: u8, packet: &[u8]) -> UsbAnswer {
        self.host.0.borrow_mut().usb(|chip| chip.usb_out(self.address, endpoint, packet))
    }

    /// Repeats a transaction while the device answers NAK. The chip runs in between.
    async fn patiently(
        &self,
        deadline: BenchTime,
        transaction: impl Fn(&Self) -> UsbAnswer,
    ) -> Result<UsbAnswer, Failed> {
        let mut silent = 0;
        loop {
            match transaction(self) {
                answer @ (UsbAnswer::Data(_) | UsbAnswer::Ack) => {
                    self.clock.sleep(RETRY).await;
                    return Ok(answer);
                }
                UsbAnswer::Nak if self.clock.now() < deadline => {}
                UsbAnswer::Silent if silent < SILENT_RETRIES => silent += 1,
                UsbAnswer::Nak | UsbAnswer::Silent | UsbAnswer::Stall => return Err(Failed),
            }
            self.clock.sleep(RETRY).await;
        }
    }
}
