//! A fixture as typed. The doc comments become the descriptions in its JSON Schema.

use crate::{Amps, Hertz, Number, Ohms, Seconds, Volts};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// A bed of nails as built.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFixture {
    /// Version of the fixture format: 1.
    #[schemars(with = "u32", range(min = 1, max = 1))]
    pub format: Spanned<u32>,
    /// Name in plans, and of the file.
    pub name: String,
    /// Title for people.
    #[serde(default)]
    pub title: Option<String>,
    /// Must change with every change of the wiring.
    pub revision: String,
    /// Module families whose modules fit into the nest.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub families: Spanned<Vec<Spanned<String>>>,
    /// Every chip on the I2C bus.
    pub chips: Vec<RawChip>,
    pub controller: RawController,
    pub safety: RawSafety,
    pub link: RawLink,
    /// Present when the controller's USB host can be joined to the module.
    #[serde(default)]
    pub usb: Option<RawUsb>,
    /// Present when the controller's Bluetooth can receive the module.
    #[serde(default)]
    pub ble: Option<RawBle>,
    pub measure_bus: RawMeasureBus,
    /// In the order in which they are switched on.
    #[schemars(length(min = 1))]
    pub rail: Vec<RawRail>,
    pub bed: RawBed,
    /// Parts that the module itself communicates with.
    #[serde(default)]
    pub peer: Vec<RawPeer>,
    /// Present when an NFC reader's field reaches the module.
    #[serde(default)]
    pub nfc: Option<RawNfc>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawChip {
    /// Name in the rest of the file.
    #[schemars(with = "String")]
    pub id: Spanned<String>,
    #[serde(rename = "type")]
    #[schemars(with = "RawChipType")]
    pub chip_type: Spanned<RawChipType>,
    /// Seven-bit I2C address.
    #[schemars(with = "u8", range(max = 127))]
    pub address: Spanned<u8>,
    /// MCP4728 only: its supply, which is its reference.
    #[serde(default)]
    #[schemars(with = "Option<Volts>")]
    pub reference: Option<Spanned<Volts>>,
    /// INA226 only: the resistor that the current flows through.
    #[serde(default)]
    #[schemars(with = "Option<Ohms>")]
    pub shunt: Option<Spanned<Ohms>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawChipType {
    /// 16-bit port expander, 0x20 to 0x27.
    Mcp23017,
    /// 16-bit ADC with four inputs, 0x48 to 0x4B.
    Ads1115,
    /// 12-bit DAC with four outputs, 0x60 to 0x67.
    Mcp4728,
    /// Power monitor, 0x40 to 0x4F.
    Ina226,
    /// NFC reader, 0x24.
    Pn532,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawController {
    pub board: String,
    pub i2c_bus: u8,
    #[schemars(with = "u8")]
    pub i2c_sda: Spanned<u8>,
    #[schemars(with = "u8")]
    pub i2c_scl: Spanned<u8>,
    #[schemars(with = "Hertz")]
    pub i2c_speed: Spanned<Hertz>,
    #[schemars(with = "u8")]
    pub link_tx: Spanned<u8>,
    #[schemars(with = "u8")]
    pub link_rx: Spanned<u8>,
    /// Active when the lid is closed.
    #[serde(default)]
    pub lid: Option<RawLine>,
    /// Active while the start button is pressed.
    #[serde(default)]
    pub start: Option<RawLine>,
    /// Active while the emergency stop is pressed.
    #[serde(default)]
    pub emergency: Option<RawLine>,
    /// By name: pass, fail, busy, error.
    #[serde(default)]
    pub lamps: BTreeMap<String, RawLine>,
    #[serde(default)]
    pub probe: Option<RawProbe>,
}

/// One GPIO of the controller.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLine {
    #[schemars(with = "u8")]
    pub gpio: Spanned<u8>,
    pub active: RawLevel,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawLevel {
    High,
    Low,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawProbe {
    pub adapter: String,
    /// USB vendor and product, if only this one may be used: "2e8a:000c".
    #[serde(default)]
    pub usb: Option<String>,
    /// Pads of the module that the probe's nails touch.
    pub pads: Vec<String>,
    /// Contact that the probe can pull low to reset the module.
    #[serde(default)]
    #[schemars(with = "Option<u8>")]
    pub reset: Option<Spanned<u8>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSafety {
    /// Holds each switch input low while it is not driven.
    #[schemars(with = "Ohms")]
    pub pull_down: Spanned<Ohms>,
    pub watchdog: RawWatchdog,
    /// Longest time from the controller's death to all rails off.
    #[schemars(with = "Seconds")]
    pub off_within: Spanned<Seconds>,
    /// Whether an open lid switches the rails off in hardware.
    #[schemars(with = "bool")]
    pub lid_cuts_rails: Spanned<bool>,
    /// Description of the chain.
    pub notes: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWatchdog {
    /// GPIO of the controller; every edge is a kick.
    #[schemars(with = "u8")]
    pub kick: Spanned<u8>,
    #[schemars(with = "Seconds")]
    pub timeout: Spanned<Seconds>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLink {
    /// The controller's UART: "/dev/ttyAMA0".
    pub device: String,
    /// Contact of the module's RX, which the controller's TX reaches.
    #[schemars(with = "u8")]
    pub dut_rx: Spanned<u8>,
    /// Contact of the module's TX, which reaches the controller's RX.
    #[schemars(with = "u8")]
    pub dut_tx: Spanned<u8>,
    /// In series with each line.
    pub series: Ohms,
    /// Expander bit of the relay that joins the link to the nails; released, it loops the link back.
    #[schemars(with = "String")]
    pub connect: Spanned<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawUsb {
    /// Expander bit of the switch between the module's D+ and D- and the controller's USB host.
    #[schemars(with = "String")]
    pub switch: Spanned<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawBle {
    /// Name in the operating system: "hci0".
    #[schemars(with = "String")]
    pub adapter: Spanned<String>,
    /// Transmit power at its antenna, dBm.
    #[schemars(with = "Number")]
    pub power_dbm: Spanned<Number>,
    /// Loss from its antenna to that of a good module, decibels.
    #[schemars(with = "Number")]
    pub path_loss_db: Spanned<Number>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMeasureBus {
    /// ADC input on the bus: "adc.AIN0".
    #[schemars(with = "String")]
    pub sense: Spanned<String>,
    /// ADC input on the source, before its series resistor.
    #[schemars(with = "String")]
    pub source_sense: Spanned<String>,
    /// DAC output: "dac.VOUTA".
    #[schemars(with = "String")]
    pub source: Spanned<String>,
    #[schemars(with = "Ohms")]
    pub source_series: Spanned<Ohms>,
    /// Upper limit of the source while the module is unpowered.
    #[schemars(with = "Volts")]
    pub unpowered_limit: Spanned<Volts>,
    #[schemars(with = "String")]
    pub source_enable: Spanned<String>,
    /// On-resistance of a closed channel.
    pub mux_resistance: Ohms,
    /// Channel address, least significant bit first.
    #[schemars(with = "[String; 4]")]
    pub address: Spanned<Vec<Spanned<String>>>,
    /// Enable of each bank of 16 channels; the first is bank 0.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub banks: Spanned<Vec<Spanned<String>>>,
    /// Input of the controller that times edges on the bus.
    #[serde(default)]
    pub edges: Option<RawEdges>,
}

/// A GPIO of the controller behind a Schmitt buffer on the measure bus.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEdges {
    #[schemars(with = "u8")]
    pub gpio: Spanned<u8>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRail {
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// Name of the module's pins that it feeds; the rail's name when not given.
    #[serde(default)]
    pub pin: Option<String>,
    #[schemars(with = "Volts")]
    pub voltage: Spanned<Volts>,
    #[schemars(with = "String")]
    pub enable: Spanned<String>,
    #[schemars(with = "String")]
    pub discharge: Spanned<String>,
    #[schemars(with = "Ohms")]
    pub discharge_resistance: Spanned<Ohms>,
    /// The INA226 in this rail.
    #[schemars(with = "String")]
    pub monitor: Spanned<String>,
    /// The supply folds back at this current.
    #[schemars(with = "Amps")]
    pub current_limit: Spanned<Amps>,
    pub rise_time: Seconds,
    /// Output resistance of supply, switch and wiring.
    pub series: Ohms,
    /// For a rail that the module makes itself: the load that the switch joins to it, instead of a supply.
    #[serde(default)]
    #[schemars(with = "Option<Ohms>")]
    pub load: Option<Spanned<Ohms>>,
    /// Powered only where a plan says so.
    #[serde(default)]
    pub optional: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawBed {
    /// Supply of the nail expanders: the high level of a driven nail.
    #[schemars(with = "Volts")]
    pub nail_supply: Spanned<Volts>,
    /// Resistance between an expander bit and its nail; a nail may override it.
    #[schemars(with = "Ohms")]
    pub io_series: Spanned<Ohms>,
    /// Resistance of a closed feed switch with wiring and nail; a nail may override it.
    #[schemars(with = "Ohms")]
    pub feed_resistance: Spanned<Ohms>,
    #[schemars(with = "Vec<RawNail>")]
    pub nails: Vec<Spanned<RawNail>>,
    /// Contacts without a nail.
    #[serde(default)]
    pub unwired: Vec<RawUnwired>,
}

/// Exactly one of `io`, `rail` (with `feed`) and `ground`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNail {
    #[schemars(with = "u8")]
    pub contact: Spanned<u8>,
    /// The pin's name, checked against the families.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub pin: Option<Spanned<String>>,
    /// Expander bit behind a resistor: "io0.GPA3".
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub io: Option<Spanned<String>>,
    /// Only with `io`.
    #[serde(default)]
    #[schemars(with = "Option<Ohms>")]
    pub series: Option<Spanned<Ohms>>,
    /// Name of the rail that it carries.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub rail: Option<Spanned<String>>,
    /// With `rail`: expander bit of its switch.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub feed: Option<Spanned<String>>,
    /// Expander bit of its switch to ground.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub ground: Option<Spanned<String>>,
    /// With `rail` or `ground`.
    #[serde(default)]
    #[schemars(with = "Option<Ohms>")]
    pub resistance: Option<Spanned<Ohms>>,
    /// Bank and channel that join it to the measure bus.
    #[serde(default)]
    #[schemars(with = "Option<[u8; 2]>")]
    pub mux: Option<Spanned<Vec<u8>>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawUnwired {
    #[schemars(with = "u8")]
    pub contact: Spanned<u8>,
    #[schemars(with = "String")]
    pub reason: Spanned<String>,
}

/// A memory of the fixture on one of the module's buses.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPeer {
    /// Name in steps.
    #[schemars(with = "String")]
    pub id: Spanned<String>,
    #[serde(rename = "type")]
    #[schemars(with = "RawPeerType")]
    pub peer_type: Spanned<RawPeerType>,
    /// Expander bit of the switches that join its lines to the nails.
    #[schemars(with = "String")]
    pub select: Spanned<String>,
    /// Resistance of one closed switch.
    pub resistance: Ohms,
    /// I2C only: its seven-bit address.
    #[serde(default)]
    #[schemars(with = "Option<u8>", range(max = 127))]
    pub address: Option<Spanned<u8>>,
    /// I2C only: resistance from each of its lines to the nails' supply.
    #[serde(default)]
    #[schemars(with = "Option<Ohms>")]
    pub pull_up: Option<Spanned<Ohms>>,
    /// The contact of each line.
    #[schemars(with = "RawPeerLines")]
    pub lines: Spanned<RawPeerLines>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawPeerType {
    /// SPI F-RAM of 32 KiB.
    Fm25v02a,
    /// I2C EEPROM of 32 KiB, 0x50 to 0x57.
    #[serde(rename = "24lc256")]
    Eeprom24lc256,
}

/// `sck`, `mosi`, `miso` and `ss`, or `sda` and `scl`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPeerLines {
    #[serde(default)]
    #[schemars(with = "Option<u8>")]
    pub sck: Option<Spanned<u8>>,
    #[serde(default)]
    #[schemars(with = "Option<u8>")]
    pub mosi: Option<Spanned<u8>>,
    #[serde(default)]
    #[schemars(with = "Option<u8>")]
    pub miso: Option<Spanned<u8>>,
    #[serde(default)]
    #[schemars(with = "Option<u8>")]
    pub ss: Option<Spanned<u8>>,
    #[serde(default)]
    #[schemars(with = "Option<u8>")]
    pub sda: Option<Spanned<u8>>,
    #[serde(default)]
    #[schemars(with = "Option<u8>")]
    pub scl: Option<Spanned<u8>>,
}

/// A reader at the module's NFC antenna.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNfc {
    /// The PN532.
    #[schemars(with = "String")]
    pub reader: Spanned<String>,
    /// The antenna that switches join to contacts; without it, the antenna is plugged into a connector of the module.
    #[serde(default)]
    pub coil: Option<RawNfcCoil>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNfcCoil {
    /// The two NFC contacts.
    #[schemars(with = "[u8; 2]")]
    pub contacts: Spanned<Vec<Spanned<u8>>>,
    /// Expander bit of both switches.
    #[schemars(with = "String")]
    pub switch: Spanned<String>,
    /// Resistance of one closed switch.
    #[schemars(with = "Ohms")]
    pub resistance: Spanned<Ohms>,
}
