//! What steps occupy while they run. A plan may add its own names.
//!
//! A step *uses* what it needs exclusively and *shares* what others may use at the same time. The firmware serves
//! requests one after the other, from any step, but no step may restart it while another one talks to it.

/// The module with its firmware and the link to it. Shared by steps that only send requests. Held exclusively by steps
/// that restart the chip, open the conversation, disconnect the link, cut the power, or need an idle module.
pub const DUT: &str = "dut";
/// The module's ports behind contacts, and the functions that end when all ports are released (PWM, interrupt channels,
/// the crystal's output).
pub const PORTS: &str = "ports";
/// The module's external flash.
pub const QSPI: &str = "qspi";
/// The modem, and the ports inside the module that lead to it.
pub const MODEM: &str = "modem";
/// The nails that drive and read.
pub const NAILS: &str = "nails";
/// The bus that measures, loads, and times edges. Releasing the nails releases it too.
pub const MEASURE_BUS: &str = "measure-bus";
/// Parts of the fixture that the module communicates with.
pub const PEERS: &str = "peers";
/// Supplies and the switches of their nails. Reading a rail's monitor needs no resource.
pub const RAILS: &str = "rails";
pub const USB_HOST: &str = "usb-host";
/// The module's radio, and the controller's Bluetooth.
pub const RADIO: &str = "radio";
/// The NFC reader, and the module as a tag.
pub const NFC: &str = "nfc";
/// The person who answers questions: only one is open at a time.
pub const OPERATOR: &str = "operator";

pub(crate) fn list(resources: &[&str]) -> Vec<String> {
    resources.iter().map(|&name| name.to_owned()).collect()
}
