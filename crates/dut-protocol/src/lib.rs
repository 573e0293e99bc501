//! What the bench and the firmware on the DUT say to each other.
//!
//! The firmware knows **ports** only (P0.03, P1.15): contacts, pins and models are the bench's business.
//! One request is one frame, one frame gets one reply with the same sequence number; a long job is accepted at once
//! and its result comes later as a frame of its own ([`Reply::JobDone`] with the job's number).
//!
//! | module | what it decides |
//! |---|---|
//! | [`frame`] | how a message becomes bytes on the wire, and which bytes are a message |
//! | [`check`] | which requests the firmware refuses before it touches anything |
//! | [`dedupe`] | that a repeated frame is answered again but not executed again |
//! | [`Checksum`] | whether a piece of the external flash changed |
//! | [`jobs`] | which job has which number and result |
//! | [`Tag`] | what an NFC reader finds |
//!
//! All of it is free of hardware and time, so that it is tested on the host although it runs on the DUT.
#![no_std]

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

/// Raised whenever the meaning of a message changes; the first exchange compares it.
pub const PROTOCOL_VERSION: u16 = 2;

/// Baud rate at which a freshly started firmware listens.
pub const INITIAL_BAUD: u32 = 115_200;

/// Rates that [`Request::SetBaud`] accepts: those that UARTE.BAUDRATE has a documented value for, from the initial one
/// up (nRF52840 Product Specification, UARTE, BAUDRATE).
pub const SUPPORTED_BAUDS: [u32; 6] = [INITIAL_BAUD, 230_400, 250_000, 460_800, 921_600, 1_000_000];
