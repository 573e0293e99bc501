//! Every kind of step against doubles: what it measures and names, whose fault it says it is, and what it leaves behind.
#![allow(clippy::unwrap_used)] // what cannot go on in a test has failed it

mod bed;
mod ble;
mod buses;
mod contacts;
mod edges;
mod external_flash;
mod interrupts;
mod modem;
mod nfc;
mod overlap;
mod pair_test;
mod plans;
mod power;
mod steps;
mod usb;
