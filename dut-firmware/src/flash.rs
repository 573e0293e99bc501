//! The flash chip on the module, through the QSPI peripheral.
//!
//! The driver exists only during one request, so that its ports are free for software SPI before and after. It has no
//! timeouts and waits forever for a chip that is missing or busy (activation reads the status register until the chip
//! is idle). So this module does every wait of unknown length over software SPI, before and after the driver works; the
//! driver only waits for transfers of known length.

use crate::clock::Alarm;
use crate::ports::Saved;
use crate::{Irqs, spi};
use dut_protocol::{Checksum, FLASH_MAX_BYTES, FlashRequest, Port, Refusal, Reply, SpiRequest};
use embassy_nrf::Peri;
use embassy_nrf::peripherals::{P0_17, P0_19, P0_20, P0_21, P0_22, P0_23, QSPI};
use embassy_nrf::qspi::{Config, Frequency, Qspi, ReadOpcode, WriteOpcode};
use heapless::Vec;
use static_cell::ConstStaticCell;

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
/// Position of the bit that turns WP and HOLD into data lines: Macronix in the status register, GigaDevice in status
/// register 2.
const QUAD_ENABLE: u8 = 1 << 6;
const QUAD_ENABLE_2: u8 = 1 << 1;

/// More than any of the parts takes to erase a sector (240 ms) or to write its status register.
const BUSY_LIMIT_US: u32 = 500_000;
const POLL_US: u32 = 200;
/// Largest size with 24-bit addresses; the bench knows the real one.
const CAPACITY: u32 = 1 << 24;
const CHECKSUM_CHUNK: usize = 512;
const SECTOR: usize = 4096;
const PAGE: usize = 256;
/// Writing a page takes at most 10 ms, usually 1 ms.
const PAGE_POLL_US: u32 = 500;

/// EasyDMA transfers words.
#[repr(align(4))]
struct Words<const N: usize>([u8; N]);

/// Maker's byte of the JEDEC id, where makers differ.
#[derive(Clone, Copy, PartialEq)]
enum Maker {
    GigaDevice,
    Other,
}

/// Use of the data lines.
#[derive(Clone, Copy, PartialEq)]
enum Lines {
    One,
    Four,
}

static KEPT: ConstStaticCell<Words<SECTOR>> = ConstStaticCell::new(Words([0; SECTOR]));

/// The peripheral and its ports.
struct Wires {
    qspi: Peri<'static, QSPI>,
    select: Peri<'static, P0_17>,
    clock: Peri<'static, P0_19>,
    io0: Peri<'static, P0_20>,
    io1: Peri<'static, P0_21>,
    io2: Peri<'static, P0_22>,
    io3: Peri<'static, P0_23>,
}

pub struct Flash {
    wires: Wires,
    /// A sector's content, and its address if there is any.
    kept: &'static mut Words<SECTOR>,
    kept_of: Option<u32>,
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
        let wires = Wires { qspi, select, clock, io0, io1, io2, io3 };
        Self { wires, kept: KEPT.take(), kept_of: None }
    }

    /// Executes a checked request. [`Refusal::NotRunning`]: no chip answers, it stays busy, or it does not switch to
    /// four lines.
    pub async fn execute(&mut self, request: &FlashRequest, alarm: &mut Alarm) -> Result<Reply, Refusal> {
        let maker = find()?;
        wait_idle(alarm, POLL_US).await?;
        if !matches!(request, FlashRequest::Identify | FlashRequest::EraseSector { .. }) {
            enable_quad(maker, alarm).await?;
        }
        match request {
            FlashRequest::KeepSector { address } => self.keep(*address, maker).await,
            FlashRequest::PutBackSector => self.put_back(maker, alarm).await,
            request => {
                let saved = SavedPorts::save();
                let reply = self.wires.transfer(request, maker).await;
                drop(saved);
                if matches!(request, FlashRequest::EraseSector { .. } | FlashRequest::Write { .. }) {
                    wait_idle(alarm, POLL_US).await?;
                }
                reply
            }
        }
    }

    async fn keep(&mut self, address: u32, maker: Maker) -> Result<Reply, Refusal> {
        self.kept_of = None;
        self.wires.read_sector(maker, address, &mut self.kept.0).await?;
        self.kept_of = Some(address);
        Ok(Reply::Checksum { sum: Checksum::of(&self.kept.0) })
    }

    /// The kept sector stays, so that a failed attempt can be repeated.
    async fn put_back(&mut self, maker: Maker, alarm: &mut Alarm) -> Result<Reply, Refusal> {
        let address = self.kept_of.ok_or(Refusal::OutOfRange)?;
        {
            let _saved = SavedPorts::save();
            self.wires.driver(maker, Lines::One).erase(address).await.map_err(|_| Refusal::OutOfRange)?;
        }
        wait_idle(alarm, POLL_US).await?;
        for (page, at) in self.kept.0.chunks(PAGE).zip((address..).step_by(PAGE)) {
            {
                let _saved = SavedPorts::save();
                self.wires.driver(maker, Lines::One).write(at, page).await.map_err(|_| Refusal::OutOfRange)?;
            }
            wait_idle(alarm, PAGE_POLL_US).await?;
        }
        let mut sum = Checksum::new();
        let mut words = Words([0; CHECKSUM_CHUNK]);
        let _saved = SavedPorts::save();
        let mut qspi = self.wires.driver(maker, Lines::One);
        for at in (address..).step_by(CHECKSUM_CHUNK).take(SECTOR / CHECKSUM_CHUNK) {
            qspi.read(at, &mut words.0).await.map_err(|_| Refusal::OutOfRange)?;
            sum.update(&words.0);
        }
        Ok(Reply::Checksum { sum: sum.sum() })
    }
}

/// The ports' states, restored on drop.
struct SavedPorts([Option<Saved>; PORTS.len()]);

impl SavedPorts {
    fn save() -> Self {
        Self(PORTS.map(|port| Port::new(port).map(Saved::of)))
    }
}

impl Drop for SavedPorts {
    fn drop(&mut self) {
        self.0.iter().flatten().for_each(Saved::restore);
    }
}

impl Wires {
    async fn read_sector(&mut self, maker: Maker, address: u32, into: &mut [u8]) -> Result<(), Refusal> {
        let _saved = SavedPorts::save();
        self.driver(maker, Lines::One).read(address, into).await.map_err(|_| Refusal::OutOfRange)
    }

    async fn transfer(&mut self, request: &FlashRequest, maker: Maker) -> Result<Reply, Refusal> {
        let mut qspi = self.driver(maker, Lines::Four);
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
                let mut words = Words([0; CHECKSUM_CHUNK]);
                let mut sum = Checksum::new();
                let (mut at, end) = (*address, address.saturating_add(*length));
                while at < end {
                    let chunk = words.0.len().min((end - at) as usize);
                    let target = words.0.get_mut(..chunk).ok_or(Refusal::OutOfRange)?;
                    qspi.read(at, target).await.map_err(|_| Refusal::OutOfRange)?;
                    sum.update(target);
                    at += chunk as u32;
                }
                Ok(Reply::Checksum { sum: sum.sum() })
            }
            // These take more than one transfer.
            FlashRequest::KeepSector { .. } | FlashRequest::PutBackSector => Err(Refusal::OutOfRange),
        }
    }

    /// The address of a read uses one line, so that a broken IO2 or IO3 corrupts the data and not the address.
    fn driver(&mut self, maker: Maker, lines: Lines) -> Qspi<'_> {
        let mut config = Config::default();
        (config.read_opcode, config.write_opcode) = match (lines, maker) {
            (Lines::One, _) => (ReadOpcode::Fastread, WriteOpcode::Pp),
            (Lines::Four, Maker::GigaDevice) => (ReadOpcode::Read4o, WriteOpcode::Pp4o),
            (Lines::Four, Maker::Other) => (ReadOpcode::Read4o, WriteOpcode::Pp4io),
        };
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

/// Whether a chip is present: undriven lines read all zeros or all ones.
fn find() -> Result<Maker, Refusal> {
    // A chip in the middle of an erase does not send its id, but is present: its status is not all ones.
    let status = read_byte(READ_STATUS)?;
    let id = exchange(&[READ_ID], 3)?;
    match id.as_slice() {
        [0x00, 0x00, 0x00] => Err(Refusal::NotRunning),
        [0xFF, 0xFF, 0xFF] if status == 0xFF || status & WRITE_IN_PROGRESS == 0 => Err(Refusal::NotRunning),
        [GIGADEVICE, ..] => Ok(Maker::GigaDevice),
        _ => Ok(Maker::Other),
    }
}

async fn wait_idle(alarm: &mut Alarm, poll_us: u32) -> Result<(), Refusal> {
    for _ in 0..BUSY_LIMIT_US / poll_us {
        if read_byte(READ_STATUS)? & WRITE_IN_PROGRESS == 0 {
            return Ok(());
        }
        alarm.wait_us(poll_us).await;
    }
    Err(Refusal::NotRunning)
}

/// Sets the non-volatile bit that enables four lines, as Device OS does, if it is not set.
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
    wait_idle(alarm, POLL_US).await?;
    if read_byte(read)? & bit != 0 { Ok(()) } else { Err(Refusal::NotRunning) }
}
