//! The modem's UART, tunnelled: the bench speaks AT, the firmware carries bytes.

use crate::Port;
use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Most bytes that one request hands to the modem, or one reply brings from it.
pub const MODEM_MAX_BYTES: usize = 64;
/// What the firmware keeps of what the modem says until the bench asks. With flow control nothing is lost beyond it.
pub const MODEM_BUFFER_BYTES: usize = 2048;

/// Opens UARTE1 on these ports, 8N1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ModemUart {
    pub tx: Port,
    pub rx: Port,
    /// `None`: no flow control.
    pub flow: Option<ModemFlow>,
    /// One of [`crate::SUPPORTED_BAUDS`].
    pub baud: u32,
}

/// Lines of the flow control, seen from the microcontroller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ModemFlow {
    pub rts: Port,
    pub cts: Port,
}

/// What the modem said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ModemBytes {
    pub bytes: Vec<u8, MODEM_MAX_BYTES>,
    /// There is more: ask again.
    pub more: bool,
    /// Bytes were lost, or garbled on the line, since the last time.
    pub lost: bool,
}
