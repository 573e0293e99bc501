//! What steps occupy while they run; a plan may add names of its own.
//!
//! A step *uses* what it has for itself and *shares* what others may need at the same time: the firmware serves one
//! request after the other whoever sends it, but it cannot be restarted below a step that talks to it.

/// The module with its firmware and the link to it. Shared by who only sends requests; used by who restarts the chip,
/// opens the conversation, takes the link off the nails, cuts the power, or needs a module at which nothing happens.
pub const DUT: &str = "dut";
/// The module's ports behind contacts, and the functions that a release of all ports ends (PWM, interrupt channels, the
/// crystal's way out).
pub const PORTS: &str = "ports";
/// The module's external flash.
pub const QSPI: &str = "qspi";
/// The modem, and the ports inside the module that lead to it.
pub const MODEM: &str = "modem";
/// The nails that drive and read.
pub const NAILS: &str = "nails";
/// The line that measures, loads, and times edges. Releasing the nails lets it go too.
pub const MEASURE_BUS: &str = "measure-bus";
/// Parts of the fixture that the module talks to.
pub const PEERS: &str = "peers";
/// Supplies and the switches of their nails. Reading a rail's monitor needs nothing.
pub const RAILS: &str = "rails";
pub const USB_HOST: &str = "usb-host";
/// The module's radio, and the controller's Bluetooth.
pub const RADIO: &str = "radio";
/// The NFC reader, and the module as a tag.
pub const NFC: &str = "nfc";

pub(crate) fn list(resources: &[&str]) -> Vec<String> {
    resources.iter().map(|&name| name.to_owned()).collect()
}
