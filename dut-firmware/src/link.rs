//! Bytes to and from the bench over UARTE0: TX P0.06, RX P0.08, 8N1, with flow control only while a test requests it.

use crate::clock::Alarm;
use crate::memory::Buffer;
use crate::ports::{self, Saved};
use crate::uart::{self, FlowPorts, Lines, baud_rate};
use dut_protocol::{FLOW_BUFFER_BYTES, Port, PortSet};
use embassy_nrf::Peri;
use embassy_nrf::buffered_uarte::BufferedUarte;
use embassy_nrf::pac::{self, gpio::vals::Pull};
use embassy_nrf::peripherals::{PPI_CH0, PPI_CH1, PPI_GROUP0, TIMER0, UARTE0};

/// Holds what arrives during the longest exchange that does not yield, 3 ms of software SPI: 300 bytes at 1 Mbaud.
const RECEIVE_BUFFER: usize = 1024;
const SEND_BUFFER: usize = 256;

/// P0.06 and P0.08, the same on every module.
const TX: Port = port(0, 6);
const RX: Port = port(0, 8);

const fn port(bank: u8, pin: u8) -> Port {
    match Port::from_bank(bank, pin) {
        Some(port) => port,
        None => panic!("no port of the chip"), // fails at compile time
    }
}

/// The wire to the bench.
pub struct Link {
    /// `None` only while it is reopened.
    uarte: Option<BufferedUarte<'static>>,
    parts: Parts,
    baud: u32,
    /// Ports as they were before flow control took them.
    taken: Option<[Saved; 2]>,
}

type Parts = uart::Parts<UARTE0, TIMER0, PPI_CH0, PPI_CH1, PPI_GROUP0>;

/// Bytes were lost: more arrived than the buffer holds.
pub struct Overrun;

static RECEIVED: Buffer<RECEIVE_BUFFER> = Buffer::new();
static TO_SEND: Buffer<SEND_BUFFER> = Buffer::new();

impl Link {
    /// Listens at [`dut_protocol::INITIAL_BAUD`].
    pub fn new(
        uarte: Peri<'static, UARTE0>,
        byte_counter: Peri<'static, TIMER0>,
        count_channel: Peri<'static, PPI_CH0>,
        restart_channel: Peri<'static, PPI_CH1>,
        group: Peri<'static, PPI_GROUP0>,
    ) -> Self {
        let parts = Parts { uarte, byte_counter, count_channel, restart_channel, group };
        let mut link = Self { uarte: None, parts, baud: dut_protocol::INITIAL_BAUD, taken: None };
        link.make(None);
        link
    }

    /// Waits for bytes. Dropping the future loses none.
    pub async fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], Overrun> {
        let Some(uarte) = &mut self.uarte else { return Err(Overrun) };
        // The driver's own `read` may take bytes and lose them when it is dropped; this one has a single waiting point.
        let length = {
            let arrived = uarte.fill_buf().await.map_err(|_| Overrun)?;
            let length = arrived.len().min(buffer.len());
            buffer[..length].copy_from_slice(&arrived[..length]);
            length
        };
        uarte.consume(length);
        Ok(&buffer[..length])
    }

    /// Passes `bytes` to the transmitter.
    pub async fn send(&mut self, bytes: &[u8]) {
        let flow_control = self.taken.is_some();
        let Some(uarte) = &mut self.uarte else { return };
        let mut rest = bytes;
        while !rest.is_empty() {
            let sent = match flow_control {
                // A high CTS must not block the program: bytes that do not fit are lost.
                true => uarte.try_write(rest),
                false => uarte.write(rest).await,
            };
            // The driver's error is an overrun of the receiver and never comes from here.
            match sent {
                Ok(sent) if sent > 0 => rest = &rest[sent..],
                _ => return,
            }
        }
    }

    /// Waits until the last bit is on the wire.
    pub async fn drain(&mut self, alarm: &mut Alarm) {
        if let Some(uarte) = &mut self.uarte {
            let _ = uarte.flush().await;
        }
        // The transfer has ended; its last byte may still be in the shift register.
        alarm.wait_us(2 * 10 * 1_000_000 / self.baud).await;
    }

    /// Changes the rate to `baud`, one of [`dut_protocol::SUPPORTED_BAUDS`]. No transfer may be in progress.
    pub fn set_baud(&mut self, baud: u32) {
        if let Some(uarte) = &mut self.uarte {
            uarte.set_baudrate(baud_rate(baud));
        }
        self.baud = baud;
    }

    /// The current rate.
    pub fn baud(&self) -> u32 {
        self.baud
    }

    /// Switches flow control on these ports on, or off. Bytes in the buffers are lost.
    pub fn flow_control(&mut self, flow: Option<FlowPorts>) {
        self.uarte = None;
        if let Some(taken) = self.taken.take() {
            taken.iter().for_each(Saved::restore);
        }
        self.taken = flow.map(|FlowPorts { rts, cts }| [Saved::of(rts), Saved::of(cts)]);
        self.make(flow);
    }

    /// Excludes ports that are being released from the restore at the end of the flow control.
    pub fn forget(&mut self, ports: PortSet) {
        for saved in self.taken.iter_mut().flatten() {
            saved.forget(ports);
        }
    }

    /// Creates the driver; none may exist.
    fn make(&mut self, flow: Option<FlowPorts>) {
        let lines = Lines { tx: TX, rx: RX, flow };
        // SAFETY: there is no other driver that could use the memory or the parts: `self.uarte` is `None` here. No
        // other code uses the ports of the link; those of the flow control were checked and are restored afterwards.
        self.uarte = Some(unsafe {
            let received = RECEIVED.take();
            let received = if flow.is_some() { &mut received[..FLOW_BUFFER_BYTES] } else { &mut received[..] };
            self.parts.open(lines, self.baud, received, TO_SEND.take())
        });
        // The driver has just configured the port without pull, and does not touch it again. The pull-up keeps an open
        // RX from producing bytes, and makes the chip detectable at the nail on this contact.
        pac::P0.pin_cnf(8).modify(|port| port.set_pull(Pull::Pullup));
        // An open CTS must not block the module forever; the bench detects it as a CTS that never stops the module.
        if let Some(FlowPorts { cts, .. }) = flow {
            ports::configuration(cts).modify(|port| port.set_pull(Pull::Pulldown));
        }
    }
}
