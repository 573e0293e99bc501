//! Bytes to and from the bench over UARTE0: TX P0.06, RX P0.08, 8N1, no flow control.

use crate::Irqs;
use crate::clock::Alarm;
use embassy_nrf::buffered_uarte::{Baudrate, BufferedUarte};
use embassy_nrf::pac::{self, gpio::vals::Pull};
use embassy_nrf::peripherals::{P0_06, P0_08, PPI_CH0, PPI_CH1, PPI_GROUP0, TIMER0, UARTE0};
use embassy_nrf::{Peri, uarte};
use static_cell::StaticCell;

/// Holds what arrives during the longest exchange that does not yield, 3 ms of software SPI: 300 bytes at 1 Mbaud.
const RECEIVE_BUFFER: usize = 1024;
const SEND_BUFFER: usize = 256;

/// The wire to the bench.
pub struct Link {
    uarte: BufferedUarte<'static>,
    baud: u32,
}

/// Bytes were lost: more arrived than the buffer holds.
pub struct Overrun;

impl Link {
    /// Listens at [`dut_protocol::INITIAL_BAUD`].
    pub fn new(
        uarte: Peri<'static, UARTE0>,
        byte_counter: Peri<'static, TIMER0>,
        count_channel: Peri<'static, PPI_CH0>,
        restart_channel: Peri<'static, PPI_CH1>,
        group: Peri<'static, PPI_GROUP0>,
        rx: Peri<'static, P0_08>,
        tx: Peri<'static, P0_06>,
    ) -> Self {
        static RECEIVED: StaticCell<[u8; RECEIVE_BUFFER]> = StaticCell::new();
        static TO_SEND: StaticCell<[u8; SEND_BUFFER]> = StaticCell::new();
        let mut config = uarte::Config::default();
        config.baudrate = Baudrate::Baud115200;
        let uarte = BufferedUarte::new(
            uarte,
            byte_counter,
            count_channel,
            restart_channel,
            group,
            rx,
            tx,
            Irqs,
            config,
            RECEIVED.init([0; RECEIVE_BUFFER]),
            TO_SEND.init([0; SEND_BUFFER]),
        );
        // The driver has just configured the port without pull, and does not touch it again. The pull-up keeps an open
        // RX from inventing bytes, and lets the nail on this contact feel that the chip is there.
        pac::P0.pin_cnf(8).modify(|port| port.set_pull(Pull::Pullup));
        Self { uarte, baud: dut_protocol::INITIAL_BAUD }
    }

    /// Waits for bytes. Dropping the future loses none.
    pub async fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], Overrun> {
        // The driver's own `read` may take bytes and lose them when it is dropped; this one has a single waiting point.
        let length = {
            let arrived = self.uarte.fill_buf().await.map_err(|_| Overrun)?;
            let length = arrived.len().min(buffer.len());
            buffer[..length].copy_from_slice(&arrived[..length]);
            length
        };
        self.uarte.consume(length);
        Ok(&buffer[..length])
    }

    /// Hands `bytes` to the transmitter.
    pub async fn send(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            // The driver's error is an overrun of the receiver and never comes from here.
            let Ok(sent) = self.uarte.write(rest).await else { return };
            rest = &rest[sent..];
        }
    }

    /// Waits until the last bit is on the wire.
    pub async fn drain(&mut self, alarm: &mut Alarm) {
        let _ = self.uarte.flush().await;
        // The transfer has ended; its last byte may still be in the shift register.
        alarm.wait_us(2 * 10 * 1_000_000 / self.baud).await;
    }

    /// Talks at `baud` from now on, one of [`dut_protocol::SUPPORTED_BAUDS`]. Nothing may be under way.
    pub fn set_baud(&mut self, baud: u32) {
        self.uarte.set_baudrate(match baud {
            230_400 => Baudrate::Baud230400,
            250_000 => Baudrate::Baud250000,
            460_800 => Baudrate::Baud460800,
            921_600 => Baudrate::Baud921600,
            1_000_000 => Baudrate::Baud1m,
            _ => Baudrate::Baud115200,
        });
        self.baud = baud;
    }

    /// The rate it talks at.
    pub fn baud(&self) -> u32 {
        self.baud
    }
}
