//! Requests to the chip's own bus masters, and to the flow control of the link.

use crate::Port;
use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Most bytes that one bus transfer writes, and most that it reads.
pub const BUS_MAX_BYTES: usize = 64;

/// One full-duplex exchange by a SPIM: chip select low, `write` out, then `read` bytes in (0x00 goes out meanwhile), chip
/// select high. Bits go most significant first. Answered by [`crate::Reply::Bytes`] with the bytes read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SpiMasterRequest {
    /// Number of the SPIM, 0..=3.
    pub unit: u8,
    pub sck: Port,
    pub mosi: Port,
    pub miso: Port,
    /// Driven as a plain port.
    pub chip_select: Port,
    /// 0..=3: CPOL is bit 1, CPHA is bit 0.
    pub mode: u8,
    /// 125, 250, 500, 1000, 2000, 4000 or 8000; SPIM3 also 16000 and 32000.
    pub kilohertz: u16,
    /// `write` and `read` together at least one byte.
    pub write: Vec<u8, BUS_MAX_BYTES>,
    pub read: u8,
}

/// One transfer by a TWIM: START, address, `write`, and if there is something to read a repeated START, address, and
/// `read` bytes; STOP. Answered by [`crate::Reply::I2c`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct I2cMasterRequest {
    /// Number of the TWIM, 0 or 1.
    pub unit: u8,
    pub sda: Port,
    pub scl: Port,
    /// 100 or 400. The chip cannot keep the times of 400 kHz (its erratum 219), so 400 means 390.
    pub kilohertz: u16,
    /// Seven bits, 0x08..=0x77.
    pub address: u8,
    /// `write` and `read` together at least one byte.
    pub write: Vec<u8, BUS_MAX_BYTES>,
    pub read: u8,
}

/// How an I2C transfer ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum I2cOutcome {
    /// All was acknowledged; the bytes read.
    Done(Vec<u8, BUS_MAX_BYTES>),
    /// Nobody has the address, or whoever has it is busy.
    AddressNack,
    /// A written byte was refused.
    DataNack,
    /// The transfer did not come to its end, and the lines read so after the TWIM let them go. With both high it is the
    /// TWIM that does not work.
    Stuck { sda_high: bool, scl_high: bool },
}

/// Hardware flow control of the link, for a while. The reply still comes without it. Then, for `pause_ms`, the firmware
/// takes nothing from its receive buffer of [`FLOW_BUFFER_BYTES`], so that a bench that sends more makes RTS go high. It
/// goes back to no flow control by itself `for_ms` after the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct FlowControlRequest {
    pub rts: Port,
    pub cts: Port,
    /// 0..=500, less than `for_ms`.
    pub pause_ms: u16,
    /// 1..=1000.
    pub for_ms: u16,
}

/// Size of the receive buffer while flow control is on.
pub const FLOW_BUFFER_BYTES: usize = 64;
