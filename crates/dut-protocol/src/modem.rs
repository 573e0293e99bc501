//! The modem's UART, tunnelled: the bench speaks AT, the firmware carries bytes.

use crate::Port;
use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Most bytes that one request sends to the modem, or one reply returns from it.
pub const MODEM_MAX_BYTES: usize = 64;
/// Bytes from the modem that the firmware buffers until the bench asks. With flow control nothing beyond it is lost.
pub const MODEM_BUFFER_BYTES: usize = 2048;

/// Opens UARTE1 on these ports, 8N1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ModemUart {
    /// Output of the microcontroller.
    pub tx: Port,
    /// Input of the microcontroller.
    pub rx: Port,
    /// `None`: no flow control.
    pub flow: Option<ModemFlow>,
    /// One of [`crate::MODEM_BAUDS`].
    pub baud: u32,
}

/// Lines of the flow control, seen from the microcontroller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ModemFlow {
    /// Output: low while the microcontroller can receive.
    pub rts: Port,
    /// Input: low while the microcontroller may send.
    pub cts: Port,
}

/// Bytes received from the modem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ModemBytes {
    /// In the order received.
    pub bytes: Vec<u8, MODEM_MAX_BYTES>,
    /// The buffer holds more: ask again.
    pub more: bool,
    /// Bytes were lost or garbled on the line since the last reply.
    pub lost: bool,
}
