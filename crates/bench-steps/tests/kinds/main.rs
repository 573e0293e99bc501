//! Every kind of step against doubles: its measurements and diagnoses, whose fault it reports, and what it leaves
//! behind.
#![allow(clippy::unwrap_used)] // a helper that fails has failed the test

mod bed;
mod ble;
mod buses;
mod contacts;
mod dialogues;
mod edges;
mod external_flash;
mod interrupts;
mod modem;
mod nfc;
mod overlap;
mod own_tests;
mod pair_test;
mod plans;
mod power;
mod prompt;
mod steps;
mod usb;
