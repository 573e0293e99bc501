//! The whole virtual bench with the real firmware, driven by hand.

// A failed unwrap fails the test that called it; one task holds the link at a time.
#![allow(clippy::unwrap_used, clippy::await_holding_refcell_ref)]

mod ble;
mod buses;
mod drivers;
mod edges;
mod firmware;
mod flash;
mod functions;
mod hands;
mod link;
mod nfc;
mod panel;
mod silence;
mod time;
mod usb;
