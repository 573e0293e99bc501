//! The modem's UART, over which the bench sends AT commands. Its driver receives bytes in the background, by
//! interrupts: unsolicited messages wait here until the bench reads them.

use crate::memory::Buffer;
use crate::uart::{self, FlowPorts, Lines};
use dut_protocol::{MODEM_BUFFER_BYTES, MODEM_MAX_BYTES, ModemBytes, ModemUart, Port, Refusal};
use embassy_futures::poll_once;
use embassy_nrf::buffered_uarte::BufferedUarte;
use embassy_nrf::peripherals::{PPI_CH4, PPI_CH5, PPI_GROUP1, TIMER4, UARTE1};

/// The longest command of a dialogue.
const SEND_BUFFER: usize = 256;

static RECEIVED: Buffer<MODEM_BUFFER_BYTES> = Buffer::new();
static TO_SEND: Buffer<SEND_BUFFER> = Buffer::new();

pub type Parts = uart::Parts<UARTE1, TIMER4, PPI_CH4, PPI_CH5, PPI_GROUP1>;

/// The wire to the modem.
pub struct Modem {
    parts: Parts,
    uarte: Option<BufferedUarte<'static>>,
    ports: [Option<Port>; 4],
}

impl Modem {
    pub fn new(parts: Parts) -> Self {
        Self { parts, uarte: None, ports: [None; 4] }
    }

    /// Opens or reopens the UART.
    pub fn open(&mut self, order: &ModemUart) {
        self.close();
        let ModemUart { tx, rx, flow, baud } = *order;
        self.ports = [Some(tx), Some(rx), flow.map(|flow| flow.rts), flow.map(|flow| flow.cts)];
        let flow = flow.map(|flow| FlowPorts { rts: flow.rts, cts: flow.cts });
        // SAFETY: there is no other driver that could use the memory or the parts: `self.uarte` is `None` here. The
        // ports were checked to be otherwise unused.
        let driver = unsafe { self.parts.open(Lines { tx, rx, flow }, baud, RECEIVED.take(), TO_SEND.take()) };
        self.uarte = Some(driver);
    }

    /// Closes the UART; its ports become inputs.
    pub fn close(&mut self) {
        if self.uarte.take().is_some() {
            let ports = self.ports.iter().flatten();
            crate::ports::release(ports.fold(dut_protocol::PortSet::EMPTY, |set, port| set.with(*port)));
        }
        self.ports = [None; 4];
    }

    /// Passes all of `bytes` to the transmitter, or none.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let uarte = self.uarte.as_mut().ok_or(Refusal::NotRunning)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            match uarte.try_write(rest) {
                Ok(sent) if sent > 0 => rest = rest.get(sent..).unwrap_or_default(),
                _ => return Err(Refusal::Busy),
            }
        }
        Ok(())
    }

    /// Received bytes, as many as fit into a reply.
    pub fn read(&mut self) -> Result<ModemBytes, Refusal> {
        let uarte = self.uarte.as_mut().ok_or(Refusal::NotRunning)?;
        let mut said = ModemBytes { bytes: heapless::Vec::new(), more: false, lost: false };
        // The received bytes may wrap around the end of the ring buffer: two reads get all of them.
        for _ in 0..2 {
            let room = MODEM_MAX_BYTES - said.bytes.len();
            let taken = match poll_once(uarte.fill_buf()) {
                core::task::Poll::Ready(Ok(arrived)) => {
                    let taken = arrived.len().min(room);
                    said.more = arrived.len() > taken;
                    // There is room for as many.
                    let _ = said.bytes.extend_from_slice(&arrived[..taken]);
                    taken
                }
                core::task::Poll::Ready(Err(_)) => {
                    said.lost = true;
                    continue;
                }
                core::task::Poll::Pending => break,
            };
            uarte.consume(taken);
            if said.more {
                break;
            }
        }
        // A full reply may hide further bytes.
        said.more |= said.bytes.is_full();
        Ok(said)
    }
}
