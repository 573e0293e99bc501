//! A family file as typed. Keys and meaning: `docs/reference/module-format.md`.

use super::{
    AbsentContacts, AdcLimits, AdcReference, Bus, Direction, Environment, Function, GpioLimits, InterruptLimits,
    Layout, Memory, ModemPart, OtpLayout, Pad, Platform, PwmGroup, PwmLimits, RfConnector, SharedPins, SimFacts,
    SpecFact, SpecValue, Supply, SupplyCurrent,
};
use dut_protocol::Port;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FamilyFile {
    pub family: String,
    pub title: String,
    pub connector: String,
    /// Expected number of `[[contact]]` tables, to detect a missing one.
    pub contact_count: usize,
    pub layout: Layout,
    pub notes: Option<String>,
    pub sources: BTreeMap<String, String>,
    pub platform: Platform,
    #[serde(default)]
    pub absent: Vec<AbsentContacts>,
    #[serde(rename = "model")]
    pub models: Vec<ModelFile>,
    #[serde(rename = "contact")]
    pub contacts: Vec<ContactFile>,
    #[serde(rename = "internal", default)]
    pub internal_ports: Vec<InternalPortFile>,
    pub modem: Option<ModemFile>,
    pub sim: Option<SimFacts>,
    #[serde(rename = "pad", default)]
    pub pads: Vec<Pad>,
    #[serde(rename = "rf", default)]
    pub rf_connectors: Vec<RfConnector>,
    #[serde(rename = "pwm_group", default)]
    pub pwm_groups: Vec<PwmGroup>,
    #[serde(rename = "bus", default)]
    pub buses: Vec<Bus>,
    #[serde(default)]
    pub shared: Vec<SharedPins>,
    #[serde(rename = "supply")]
    pub supplies: Vec<Supply>,
    #[serde(rename = "current", default)]
    pub currents: Vec<SupplyCurrent>,
    pub gpio: GpioLimits,
    pub adc: AdcLimits,
    pub pwm: PwmLimits,
    pub interrupts: InterruptLimits,
    pub environment: Environment,
    pub memory: Memory,
    pub otp: OtpLayout,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelFile {
    pub name: String,
    pub modem: String,
    pub modem_maker: String,
    /// Names of `[[modem.part]]`; the first is the default of a plan that names none.
    #[serde(default)]
    pub modem_parts: Vec<String>,
    /// Prefixes of the ICCID of its SIM; for an EtherSIM, `[sim]` lists them.
    #[serde(default)]
    pub iccid_prefixes: Vec<String>,
    #[serde(default)]
    pub ncp_ids: Vec<u8>,
    #[serde(default)]
    pub serial_prefixes: Vec<String>,
    pub technologies: Vec<String>,
    pub region: String,
    pub ethersim: Option<bool>,
    pub skus: Vec<String>,
    pub replacement: Option<String>,
    pub external_flash_bytes: u32,
    pub external_flash_parts: Vec<String>,
    pub external_flash_ids: Vec<[u8; 3]>,
    pub adc_reference: AdcReference,
    pub factory_device_os: Option<String>,
    pub min_device_os: Option<String>,
    pub notes: Option<String>,
    pub doubt: Option<String>,
    pub source: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContactFile {
    pub number: u8,
    pub pin: String,
    #[serde(default)]
    pub alternate_names: Vec<String>,
    pub generic_name: Option<String>,
    pub functions: Vec<Function>,
    pub direction: Direction,
    #[serde(default, deserialize_with = "optional_port")]
    #[schemars(with = "Option<String>")]
    pub port: Option<Port>,
    pub hal_pin: Option<u8>,
    pub adc_input: Option<u8>,
    pub pwm: Option<PwmFile>,
    #[serde(default)]
    pub roles: BTreeMap<Function, String>,
    pub min_volts: Option<f64>,
    pub max_volts: Option<f64>,
    pub abs_max_volts: Option<f64>,
    pub pull_up_ohms: Option<f64>,
    #[serde(default)]
    pub five_volt_tolerant: bool,
    pub notes: Option<String>,
    pub doubt: Option<String>,
    pub source: Vec<String>,
    #[serde(default)]
    pub spec: BTreeMap<SpecFact, SpecValue>,
    #[serde(default)]
    pub spec_doubt: BTreeMap<SpecFact, String>,
}

/// A pin's position among the PWM outputs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PwmFile {
    /// Name of a `[[pwm_group]]`.
    pub group: String,
    pub instance: u8,
    pub channel: u8,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InternalPortFile {
    pub name: String,
    #[serde(deserialize_with = "port")]
    #[schemars(with = "String")]
    pub port: Port,
    pub hal_pin: Option<u8>,
    pub usage: String,
    pub source: Vec<String>,
}

/// How the microcontroller reaches the modem: names of `[[internal]]` ports.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ModemFile {
    pub tx: String,
    pub rx: String,
    pub cts: String,
    pub rts: String,
    pub power: ModemLineFile,
    pub reset: ModemLineFile,
    pub buffer: Option<ModemLineFile>,
    pub sense: ModemLineFile,
    #[serde(default)]
    pub sense_pull_up: bool,
    pub dtr: Option<String>,
    pub notes: Option<String>,
    pub doubt: Option<String>,
    pub source: Vec<String>,
    #[serde(rename = "part")]
    pub parts: Vec<ModemPart>,
}

/// A line and its active level, seen at the microcontroller.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ModemLineFile {
    pub port: String,
    pub active: ActiveLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ActiveLevel {
    Low,
    High,
}

fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Port, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|error| serde::de::Error::custom(format_args!("\"{text}\" is {error}")))
}

fn optional_port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Port>, D::Error> {
    port(deserializer).map(Some)
}
