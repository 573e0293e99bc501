//! The protocol between the bench and the firmware on the DUT.
//!
//! The firmware knows only **ports** (P0.03, P1.15); the bench handles contacts, pins and models. One request is one
//! frame and gets one reply with the same sequence number. A long job is accepted at once; its result comes later in a
//! separate frame ([`Reply::JobDone`] with the job's number).
//!
//! | module | contents |
//! |---|---|
//! | [`frame`] | conversion between messages and bytes on the wire |
//! | [`check`] | requests that the firmware refuses before it touches anything |
//! | [`dedupe`] | recognition of repeated frames, which are answered again but not executed again |
//! | [`Checksum`] | detection of changes in the external flash |
//! | [`jobs`] | numbers and results of jobs |
//! | [`Tag`] | contents of the NFC tag |
//!
//! The crate uses neither hardware nor time, so the host can test the code that runs on the DUT.
#![no_std]
#![warn(missing_docs)]

#[cfg(test)]
extern crate std;

mod ble;
mod buses;
pub mod check;
mod checksum;
pub mod dedupe;
pub mod frame;
pub mod jobs;
mod message;
mod modem;
mod port;
mod schema;
mod tag;

pub use ble::*;
pub use buses::*;
pub use checksum::Checksum;
pub use frame::{MAX_FRAME, MAX_PAYLOAD, UNASKED};
pub use message::*;
pub use modem::*;
pub use port::*;
pub use schema::schema_hash;
pub use tag::*;

/// Version of the protocol, raised when the meaning of a message changes. The first exchange compares it.
pub const PROTOCOL_VERSION: u16 = 4;

/// Baud rate of the link after a restart of the firmware.
pub const INITIAL_BAUD: u32 = 115_200;

/// Rates that [`Request::SetBaud`] accepts: all from the initial one up that have a documented value of UARTE.BAUDRATE
/// (nRF52840 Product Specification, UARTE, BAUDRATE).
pub const SUPPORTED_BAUDS: [u32; 6] = [INITIAL_BAUD, 230_400, 250_000, 460_800, 921_600, 1_000_000];

/// Rates of the modem's UART: those, and slower ones that an earlier user may have stored in a modem.
pub const MODEM_BAUDS: [u32; 10] =
    [9_600, 19_200, 38_400, 57_600, INITIAL_BAUD, 230_400, 250_000, 460_800, 921_600, 1_000_000];
