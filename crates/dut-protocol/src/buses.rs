//! Requests to the chip's own bus masters and to the flow control of the link.

use crate::Port;
use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Most bytes that one bus transfer writes, and most that it reads.
pub const BUS_MAX_BYTES: usize = 64;

/// One full-duplex exchange by a SPIM: chip select low, `write` out, then `read` bytes in while 0x00 goes out, chip
/// select high. Most significant bit first. Answered by [`crate::Reply::Bytes`] with the bytes read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SpiMasterRequest {
    /// Number of the SPIM, 0..=3.
    pub unit: u8,
    /// Clock.
    pub sck: Port,
    /// Data to the device.
    pub mosi: Port,
    /// Data from the device.
    pub miso: Port,
    /// Driven as a plain port.
    pub chip_select: Port,
    /// 0..=3: CPOL is bit 1, CPHA is bit 0.
    pub mode: u8,
    /// 125, 250, 500, 1000, 2000, 4000 or 8000; SPIM3 also 16000 and 32000.
    pub kilohertz: u16,
    /// `write` and `read` together at least one byte.
    pub write: Vec<u8, BUS_MAX_BYTES>,
    /// Number of bytes to read, 0..=[`BUS_MAX_BYTES`].
    pub read: u8,
}

/// One transfer by a TWIM: START, address, `write`; then, if `read` is not 0, a repeated START, address, `read` bytes;
/// STOP. Answered by [`crate::Reply::I2c`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct I2cMasterRequest {
    /// Number of the TWIM, 0 or 1.
    pub unit: u8,
    /// Data.
    pub sda: Port,
    /// Clock.
    pub scl: Port,
    /// 100 or 400. The chip violates the timing of 400 kHz (erratum 219), so 400 means 390.
    pub kilohertz: u16,
    /// Seven bits, 0x08..=0x77.
    pub address: u8,
    /// `write` and `read` together at least one byte.
    pub write: Vec<u8, BUS_MAX_BYTES>,
    /// Number of bytes to read, 0..=[`BUS_MAX_BYTES`].
    pub read: u8,
}

/// How an I2C transfer ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum I2cOutcome {
    /// Everything was acknowledged; carries the bytes read.
    Done(Vec<u8, BUS_MAX_BYTES>),
    /// No device acknowledged the address: none has it, or it is busy.
    AddressNack,
    /// The device did not acknowledge a written byte.
    DataNack,
    /// The transfer did not complete. Carries the levels of the lines after the TWIM released them; if both are high,
    /// the TWIM does not work.
    Stuck {
        /// Level of SDA.
        sda_high: bool,
        /// Level of SCL.
        scl_high: bool,
    },
}

/// Hardware flow control of the link for a limited time.
///
/// The reply still comes without it. Then, for `pause_ms`, the firmware takes nothing from its receive buffer of
/// [`FLOW_BUFFER_BYTES`], so RTS goes high when the bench sends more. The firmware returns to no flow control by itself
/// `for_ms` after the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct FlowControlRequest {
    /// Output of the firmware: low while it can receive.
    pub rts: Port,
    /// Input of the firmware: low while it may send.
    pub cts: Port,
    /// 0..=500, less than `for_ms`.
    pub pause_ms: u16,
    /// 1..=1000.
    pub for_ms: u16,
}

/// Bytes of the receive buffer while flow control is on.
pub const FLOW_BUFFER_BYTES: usize = 64;
