//! The flash chip on the module, through the QSPI peripheral.
//!
//! The driver exists for the length of one request, so that its ports are free for software SPI before and after. It
//! has no time-outs, and waits for ever for a chip that is missing or busy (activation reads the status register until
//! the chip is idle). So every wait of unknown length is done here, over software SPI, before and after the driver
//! works; what the driver then waits for are transfers of known length.

use crate::clock::Alarm;
use crate::ports::Saved;
use crate::{Irqs, spi};
use dut_protocol::{FLASH_MAX_BYTES, FlashRequest, Port, Refusal, Reply, SpiRequest};
use embassy_nrf::Peri;
use embassy_nrf::peripherals::{P0_17, P0_19, P0_20, P0_21, P0_22, P0_23, QSPI};
use embassy_nrf::qspi::{Config, Frequency, Qspi, ReadOpcode, WriteOpcode};
use heapless::Vec;

/// Ports of the flash on every family (Device OS, platform_config.h).
const SCK: u8 = 19;
const CHIP_SELECT: u8 = 17;
const IO0: u8 = 20;
const IO1: u8 = 21;
const PORTS: [u8; 6] = [SCK, CHIP_SELECT, IO0, IO1, 22, 23];

const WRITE_STATUS: u8 = 0x01;
const READ_STATUS: u8 = 0x05;
const WRITE_ENABLE: u8 = 0x06;
const WRITE_STATUS_2: u8 = 0x31;
const READ_STATUS_2: u8 = 0x35;
const READ_ID: u8 = 0x9F;
const WRITE_IN_PROGRESS: u8 = 1;
const GIGADEVICE: u8 = 0xC8;
/// Where the makers have the bit that turns WP and HOLD into data lines: Macronix in the status register, GigaDevice in
/// status register 2.
const QUAD_ENABLE: u8 = 1 << 6;
const QUAD_ENABLE_2: u8 = 1 << 1;

/// More than any of the parts takes to erase a sector (240 ms) or to write its status register.
const BUSY_LIMIT_US: u32 = 500_000;
const POLL_US: u32 = 200;
/// Largest size with 24-bit addresses; the bench knows the real one.
const CAPACITY: u32 = 1 << 24;
const CHECKSUM_CHUNK: usize = 512;

/// EasyDMA moves words.
#[repr(align(4))]
struct Words<const N: usize>([u8; N]);

/// Maker's byte of the JEDEC id, as far as it matters.
#[derive(Clone, Copy, PartialEq)]
enum Maker {
    GigaDevice,
    Other,
}

pub struct Flash {
    qspi: Peri<'static, QSPI>,
    select: Peri<'static, P0_17>,
    clock: Peri<'static, P0_19>,
    io0: Peri<'static, P0_20>,
    io1: Peri<'static, P0_21>,
    io2: Peri<'static, P0_22>,
    io3: Peri<'static, P0_23>,
}

impl Flash {
    pub fn new(
        qspi: Peri<'static, QSPI>,
        select: Peri<'static, P0_17>,
        clock: Peri<'static, P0_19>,
        io0: Peri<'static, P0_20>,
        io1: Peri<'static, P0_21>,
        io2: Peri<'static, P0_22>,
        io3: Peri<'static, P0_23>,
    ) -> Self {
        Self { qspi, select, clock, io0, io1, io2, io3 }
    }

    /// Executes a checked request. [`Refusal::NotRunning`]: no chip answers, or it stays busy, or it cannot be brought
    /// to use four lines.
    pub async fn execute(&mut self, request: &FlashRequest, alarm: &mut Alarm) -> Result<Reply, Refusal> {
        let maker = find()?;
        wait_idle(alarm).await?;
        if !matches!(request, FlashRequest::Identify | FlashRequest::EraseSector { .. }) {
            enable_quad(maker, alarm).await?;
        }
        let saved = PORTS.map(|port| Port::new(port).map(Saved::of));
        let reply = self.transfer(request, maker).await;
        saved.iter().flatten().for_each(Saved::restore);
        if matches!(request, FlashRequest::EraseSector { .. } | FlashRequest::Write { .. }) {
            wait_idle(alarm).await?;
        }
        reply
    }

    async fn transfer(&mut self, request: &FlashRequest, maker: Maker) -> Result<Reply, Refusal> {
        let mut qspi = self.driver(maker);
        match request {
            FlashRequest::Identify => {
                let mut id = [0; 3];
                qspi.custom_instruction(READ_ID, &[], &mut id).await.map_err(|_| Refusal::NotRunning)?;
                Ok(Reply::Bytes(id.into_iter().collect()))
            }
            FlashRequest::EraseSector { address } => {
                qspi.erase(*address).await.map_err(|_| Refusal::OutOfRange)?;
                Ok(Reply::Done)
            }
            FlashRequest::Write { address, bytes } => {
                let mut words = Words([0; FLASH_MAX_BYTES]);
                let target = words.0.get_mut(..bytes.len()).ok_or(Refusal::OutOfRange)?;
                target.copy_from_slice(bytes);
                qspi.write(*address, target).await.map_err(|_| Refusal::OutOfRange)?;
                Ok(Reply::Done)
            }
            FlashRequest::Read { address, length } => {
                let mut words = Words([0; FLASH_MAX_BYTES]);
                let target = words.0.get_mut(..usize::from(*length)).ok_or(Refusal::OutOfRange)?;
                qspi.read(*address, target).await.map_err(|_| Refusal::OutOfRange)?;
                Ok(Reply::Bytes(target.iter().copied().collect()))
            }
            FlashRequest::Checksum { address, length } => {
                const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
                let mut words = Words([0; CHECKSUM_CHUNK]);
                let mut digest = CRC.digest();
                let (mut at, end) = (*address, address.saturating_add(*length));
                while at < end {
                    let chunk = words.0.len().min((end - at) as usize);
                    let target = words.0.get_mut(..chunk).ok_or(Refusal::OutOfRange)?;
                    qspi.read(at, target).await.map_err(|_| Refusal::OutOfRange)?;
                    digest.update(target);
                    at += chunk as u32;
                }
                Ok(Reply::Checksum { crc32: digest.finalize() })
            }
        }
    }

    /// The address of a read goes over one line, so that a broken IO2 or IO3 spoils the data and not the place.
    fn driver(&mut self, maker: Maker) -> Qspi<'_> {
        let mut config = Config::default();
        config.read_opcode = ReadOpcode::Read4o;
        config.write_opcode = if maker == Maker::GigaDevice { WriteOpcode::Pp4o } else { WriteOpcode::Pp4io };
        config.frequency = Frequency::M8;
        config.sck_delay = 4; // chip select stays high for 250 ns; the parts ask for 100
        config.capacity = CAPACITY;
        Qspi::new(
            self.qspi.reborrow(),
            Irqs,
            self.clock.reborrow(),
            self.select.reborrow(),
            self.io0.reborrow(),
            self.io1.reborrow(),
            self.io2.reborrow(),
            self.io3.reborrow(),
            config,
        )
    }
}

/// One exchange over software SPI.
fn exchange(write: &[u8], read: u8) -> Result<Vec<u8, 4>, Refusal> {
    let port = |index: u8| Port::new(index).ok_or(Refusal::OutOfRange);
    let (sck, chip_select) = (port(SCK)?, port(CHIP_SELECT)?);
    let (mosi, miso) = (port(IO0)?, port(IO1)?);
    let write = write.iter().copied().collect();
    Ok(spi::transfer(&SpiRequest { sck, mosi, miso, chip_select, write, read }))
}

fn read_byte(opcode: u8) -> Result<u8, Refusal> {
    exchange(&[opcode], 1)?.first().copied().ok_or(Refusal::NotRunning)
}

/// Whether a chip is there: lines that nobody drives read all zeros or all ones.
fn find() -> Result<Maker, Refusal> {
    // A chip in the middle of an erase does not tell its id, but is there: its status is not all ones.
    let status = read_byte(READ_STATUS)?;
    let id = exchange(&[READ_ID], 3)?;
    match id.as_slice() {
        [0x00, 0x00, 0x00] => Err(Refusal::NotRunning),
        [0xFF, 0xFF, 0xFF] if status == 0xFF || status & WRITE_IN_PROGRESS == 0 => Err(Refusal::NotRunning),
        [GIGADEVICE, ..] => Ok(Maker::GigaDevice),
        _ => Ok(Maker::Other),
    }
}

async fn wait_idle(alarm: &mut Alarm) -> Result<(), Refusal> {
    for _ in 0..BUSY_LIMIT_US / POLL_US {
        if read_byte(READ_STATUS)? & WRITE_IN_PROGRESS == 0 {
            return Ok(());
        }
        alarm.wait_us(POLL_US).await;
    }
    Err(Refusal::NotRunning)
}

/// Sets the bit that lets the chip use four lines, as Device OS does, if it is not set yet. It is not volatile.
async fn enable_quad(maker: Maker, alarm: &mut Alarm) -> Result<(), Refusal> {
    let (read, write, bit) = match maker {
        Maker::GigaDevice => (READ_STATUS_2, WRITE_STATUS_2, QUAD_ENABLE_2),
        Maker::Other => (READ_STATUS, WRITE_STATUS, QUAD_ENABLE),
    };
    let status = read_byte(read)?;
    if status & bit != 0 {
        return Ok(());
    }
    exchange(&[WRITE_ENABLE], 0)?;
    exchange(&[write, status | bit], 0)?;
    wait_idle(alarm).await?;
    if read_byte(read)? & bit != 0 { Ok(()) } else { Err(Refusal::NotRunning) }
}
