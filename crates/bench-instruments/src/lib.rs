//! The instruments that a step may use, and their drivers.
//!
//! The traits refer to contacts and rails; the drivers know chips and channels from the fixture file. Nothing in this
//! crate depends on whether the bus and the link are real.

mod ble;
mod clock;
mod contacts;
mod controller;
mod device;
mod dut;
mod dut_client;
mod edges;
mod fixture_driver;
mod nfc;
mod no_bed;
mod panel;
mod person;
mod plausibility;
mod programmer;
mod programs;
mod scripted;
mod serial_link;
mod swd;
mod switches;
mod tokio_clock;
mod traits;
mod usb;
mod usb_serial;

pub use ble::*;
pub use clock::*;
pub use contacts::*;
pub use controller::*;
pub use device::how_to_be_allowed;
pub use dut::*;
pub use dut_client::*;
pub use edges::*;
pub use fixture_driver::{FixtureDriver, Pn532Reader, ask_chips, make_safe};
pub use nfc::*;
pub use no_bed::NoBed;
pub use panel::*;
pub use person::*;
pub use plausibility::Plausibility;
pub use programmer::*;
pub use programs::*;
pub use scripted::*;
pub use serial_link::SerialLink;
pub use swd::*;
pub use switches::*;
pub use tokio_clock::*;
pub use traits::*;
pub use usb::*;
pub use usb_serial::{OpenPort, SerialPorts, SerialUsbHost, can_be_opened, usb_serial_ports};
