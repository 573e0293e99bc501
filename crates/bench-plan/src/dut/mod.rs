//! A module family: contacts, pins, ports, functions, limits. From `fixtures/duts/*.toml`.
//!
//! The text is first read as typed (`file`), then checked (`check`). After the check every name is resolved, no port is
//! used twice, and every statement of the spec that contradicts the file has a `doubt`.
//! `docs/reference/module-format.md` describes the text.

mod check;
mod electrical;
mod file;
mod memory;
mod modem;
mod places;
mod spec;

pub use electrical::*;
pub use memory::*;
pub use modem::*;
pub use spec::{SpecFact, SpecValue};

use crate::Fixture;
use bench_run::Contact;
use dut_protocol::Port;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Modules that share contacts and ports.
#[derive(Debug, Clone, PartialEq)]
pub struct DutFamily {
    /// "b4xx", "b5xx", "boron".
    pub name: String,
    /// For people: "Particle B402, B404 and B404X".
    pub title: String,
    /// Connector that the contacts belong to: the M.2 edge, the headers.
    pub connector: String,
    pub layout: Layout,
    pub platform: Platform,
    pub models: Vec<Model>,
    /// Ascending by contact.
    pub contacts: Vec<ContactInfo>,
    /// Contacts that a reduced fixture does not reach ([`DutFamily::reached_by`]); a pin selection skips them.
    pub unreached: Vec<ContactInfo>,
    /// Numbers within the connector that have no contact (the notch of the M.2 edge).
    pub absent: Vec<AbsentContacts>,
    /// Ports that lead to parts inside the module, not to a contact.
    pub internal_ports: Vec<InternalPort>,
    pub modem: Option<ModemWiring>,
    /// Types of modem that modules of this family carry.
    pub modem_parts: Vec<ModemPart>,
    pub sim: Option<SimFacts>,
    /// Test pads that are not contacts of the connector.
    pub pads: Vec<Pad>,
    pub rf_connectors: Vec<RfConnector>,
    pub pwm_groups: Vec<PwmGroup>,
    pub buses: Vec<Bus>,
    /// Pins with several users in the module's own software.
    pub shared: Vec<SharedPins>,
    pub supplies: Vec<Supply>,
    pub currents: Vec<SupplyCurrent>,
    pub gpio: GpioLimits,
    pub adc: AdcLimits,
    pub pwm: PwmLimits,
    pub interrupts: InterruptLimits,
    pub environment: Environment,
    pub memory: Memory,
    pub otp: OtpLayout,
    pub notes: Option<String>,
    /// Short key -> full name of the source.
    pub sources: BTreeMap<String, String>,
}

/// Arrangement of the contacts, which determines neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "shape", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Layout {
    /// Odd numbers on one face of a card, even ones on the other.
    CardEdge,
    /// Two rows of pins: the numbers ascend along the first row and return along the second.
    Headers {
        /// Number of the last contact of the first row.
        first_row_ends: u8,
        /// Number of the contact in the first row that is opposite the last contact of the second.
        second_row_ends_at: u8,
    },
}

/// A Particle platform: the models of a family run the same Device OS binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// 13 Boron, 23 B4xx, 25 B5xx.
    pub id: u32,
    /// "boron", "bsom", "b5som".
    pub name: String,
    pub usb_vendor: u16,
    /// Product id of the running application's serial port.
    pub usb_product_serial: u16,
    /// Product id of the bootloader in DFU mode.
    pub usb_product_dfu: u16,
    pub usb_name: String,
    /// Keys into [`DutFamily::sources`].
    pub source: Vec<String>,
}

/// One product: "b404x".
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub name: String,
    /// Particle's platform id (13 Boron, 23 B4xx, 25 B5xx).
    pub platform_id: u32,
    pub modem: String,
    pub modem_maker: String,
    /// Names among [`DutFamily::modem_parts`]; the first is the default.
    pub modem_parts: Vec<String>,
    /// Prefixes of the ICCID of its SIM; empty when unknown, or when `ethersim` lists them.
    pub iccid_prefixes: Vec<String>,
    /// Ids that the one-time-programmable memory may name for the modem (NCP id), empty when unknown.
    pub ncp_ids: Vec<u8>,
    /// First four characters of this model's serial numbers, as far as known.
    pub serial_prefixes: Vec<String>,
    /// Statements of the datasheets; `doubt` explains where the spec differs.
    pub technologies: Vec<String>,
    pub region: String,
    /// `None`: differs between the products that share this model.
    pub ethersim: Option<bool>,
    pub skus: Vec<String>,
    /// The model that Particle recommends instead.
    pub replacement: Option<String>,
    /// Size of the external flash in bytes.
    pub external_flash_bytes: u32,
    pub external_flash_parts: Vec<String>,
    /// JEDEC ids (manufacturer, type, capacity) that the external flash may report.
    pub external_flash_ids: Vec<[u8; 3]>,
    pub adc_reference: AdcReference,
    /// Device OS that the factory installs, as far as known.
    pub factory_device_os: Option<String>,
    pub min_device_os: Option<String>,
    pub notes: Option<String>,
    pub doubt: Option<String>,
    /// In full, joined by "; ".
    pub source: String,
}

/// Reference of a model's SAADC under Device OS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdcReference {
    /// VDD/4 with gain 1/4: full scale is the 3V3 rail.
    QuarterSupply,
    /// 0.6 V with gain 1/6: full scale is 3.6 V whatever the rail.
    Internal,
}

/// Function of a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    Gpio,
    Adc,
    Pwm,
    Spi,
    Spi1,
    Uart,
    I2c,
    I2c1,
    Interrupt,
    Nfc,
    Usb,
    ModemUsb,
    ModemRi,
    Sim,
    Power,
    Ground,
    Rgb,
    Mode,
    Reset,
    Swd,
    Nc,
    Ethernet,
    /// Switches the supply of the module on.
    Enable,
}

impl Function {
    /// As written in the files: "modem-usb".
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gpio => "gpio",
            Self::Adc => "adc",
            Self::Pwm => "pwm",
            Self::Spi => "spi",
            Self::Spi1 => "spi1",
            Self::Uart => "uart",
            Self::I2c => "i2c",
            Self::I2c1 => "i2c1",
            Self::Interrupt => "interrupt",
            Self::Nfc => "nfc",
            Self::Usb => "usb",
            Self::ModemUsb => "modem-usb",
            Self::ModemRi => "modem-ri",
            Self::Sim => "sim",
            Self::Power => "power",
            Self::Ground => "ground",
            Self::Rgb => "rgb",
            Self::Mode => "mode",
            Self::Reset => "reset",
            Self::Swd => "swd",
            Self::Nc => "nc",
            Self::Ethernet => "ethernet",
            Self::Enable => "enable",
        }
    }
    /// Functions whose lines have their own names (SCK, TX), so that a contact must name its line.
    pub const fn has_roles(self) -> bool {
        matches!(self, Self::Spi | Self::Spi1 | Self::Uart | Self::I2c | Self::I2c1 | Self::Ethernet | Self::Sim)
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Direction of a contact in normal use, seen from the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    In,
    Out,
    Bidir,
    PowerIn,
    PowerOut,
    /// Ground, and contacts without a connection.
    Passive,
}

/// Position of a pin in the PWM hardware: pins of one instance share one frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PwmChannel {
    /// 0..=3.
    pub instance: u8,
    /// 0..=3.
    pub channel: u8,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ContactInfo {
    pub contact: Contact,
    /// The pin's name: "A0", "TX", "GND".
    pub pin: String,
    pub alternate_names: Vec<String>,
    /// Name in the pin scheme common to Particle's M.2 modules: "ADC0".
    pub generic_name: Option<String>,
    pub functions: BTreeSet<Function>,
    pub direction: Direction,
    /// The nRF52840 port that the contact leads to.
    pub port: Option<Port>,
    /// Index of the pin in Device OS.
    pub hal_pin: Option<u8>,
    /// SAADC input, 0..=7.
    pub adc_input: Option<u8>,
    /// Group of pins with a common PWM frequency, according to the spec.
    pub pwm_group: Option<String>,
    /// From Device OS' pin table; where it contradicts `pwm_group`, a doubt explains it.
    pub pwm_channel: Option<PwmChannel>,
    /// The contact's line of a bus: `Uart` -> "TX".
    pub roles: BTreeMap<Function, String>,
    /// Lowest normal voltage, volts.
    pub min_volts: Option<f64>,
    /// Highest normal voltage, volts.
    pub max_volts: Option<f64>,
    /// Absolute maximum, volts.
    pub abs_max_volts: Option<f64>,
    /// Pull-up on the module, ohms.
    pub pull_up_ohms: Option<f64>,
    pub five_volt_tolerant: bool,
    /// Further remarks of the sources.
    pub notes: Option<String>,
    /// Contradictions between the sources about the fields above.
    pub doubt: Option<String>,
    /// In full, joined by "; ".
    pub source: String,
    /// What the spec's "Full module pin comparison" states about this pin; it has no entry for repeated contacts.
    pub spec: BTreeMap<SpecFact, SpecValue>,
    /// Contradictions between other sources and the spec.
    pub spec_doubt: BTreeMap<SpecFact, String>,
}

impl ContactInfo {
    pub fn has(&self, function: Function) -> bool {
        self.functions.contains(&function)
    }
    /// All doubts about this contact: first about the file's own fields, then about the spec's statements.
    pub fn doubts(&self) -> Vec<String> {
        let about_spec = self.spec_doubt.iter().map(|(fact, doubt)| format!("spec, {}: {doubt}", fact.title()));
        self.doubt.iter().cloned().chain(about_spec).collect()
    }
}

/// Numbers of the connector without a contact, first and last included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AbsentContacts {
    pub first: u8,
    pub last: u8,
    pub reason: String,
    pub source: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct InternalPort {
    pub name: String,
    pub port: Port,
    pub hal_pin: Option<u8>,
    pub usage: String,
    /// In full, joined by "; ".
    pub source: String,
}

/// A pad on the module's underside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    pub name: String,
    pub functions: BTreeSet<Function>,
    pub direction: Direction,
    pub max_volts: f64,
    pub notes: Option<String>,
    pub doubt: Option<String>,
    pub source: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RfConnector {
    /// As printed on the module: "CELL", "BT".
    pub name: String,
    pub usage: String,
    pub notes: Option<String>,
    pub source: Vec<String>,
}

/// Pins with a common PWM frequency, according to the spec. The members are the contacts that name the group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PwmGroup {
    pub name: String,
    /// The PWM instance of the group in Device OS.
    pub instance: u8,
    pub rule: String,
    pub doubt: Option<String>,
    pub source: Vec<String>,
}

/// A serial bus. Its contacts are those with a role in `function`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bus {
    /// Name in Device OS: "Wire", "SPI1".
    pub name: String,
    /// `None`: inside the module, on no contact.
    pub function: Option<Function>,
    /// Peripheral of the nRF52840 that Device OS uses.
    pub peripheral: String,
    /// Highest clock or baud rate.
    pub max_hz: Option<u32>,
    pub notes: Option<String>,
    pub source: Vec<String>,
}

/// Pins with more than one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SharedPins {
    pub pins: Vec<String>,
    pub users: Vec<String>,
    pub reason: String,
    pub source: Vec<String>,
}

impl DutFamily {
    /// Returns the family as seen by a fixture that does not reach every contact.
    #[must_use]
    pub fn reached_by(&self, fixture: &Fixture) -> Self {
        let mut reached = self.clone();
        (reached.contacts, reached.unreached) =
            reached.contacts.into_iter().partition(|info| fixture.nail(info.contact).is_some());
        reached
    }

    pub fn contact(&self, contact: Contact) -> Option<&ContactInfo> {
        self.contacts.iter().find(|info| info.contact == contact)
    }
    /// Finds contacts by pin name or alternate name ("A0", "D19").
    pub fn pin(&self, name: &str) -> Option<&ContactInfo> {
        let named = |info: &&ContactInfo| info.pin == name;
        let also = |info: &&ContactInfo| info.alternate_names.iter().any(|alternate| alternate == name);
        self.contacts.iter().find(named).or_else(|| self.contacts.iter().find(also))
    }
    pub fn by_port(&self, port: Port) -> Option<&ContactInfo> {
        self.contacts.iter().find(|info| info.port == Some(port))
    }
    pub fn internal(&self, name: &str) -> Option<Port> {
        self.internal_ports.iter().find(|internal| internal.name == name).map(|internal| internal.port)
    }
    pub fn modem_part(&self, name: &str) -> Option<&ModemPart> {
        self.modem_parts.iter().find(|part| part.name == name)
    }
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }
    /// Returns the contact with this role in a bus: (`Uart`, "TX").
    pub fn by_role(&self, function: Function, role: &str) -> Option<&ContactInfo> {
        self.contacts.iter().find(|info| info.roles.get(&function).is_some_and(|own| own == role))
    }
    pub fn with_function(&self, function: Function) -> impl Iterator<Item = &ContactInfo> {
        self.contacts.iter().filter(move |info| info.has(function))
    }
    pub fn supply(&self, rail: &str) -> Option<&Supply> {
        self.supplies.iter().find(|supply| supply.rail == rail)
    }
    pub fn supply_of(&self, role: SupplyRole) -> Option<&Supply> {
        self.supplies.iter().find(|supply| supply.role == Some(role))
    }
    /// Returns the first contact of the rail with this role that the fixture reaches.
    pub fn supply_contact(&self, role: SupplyRole) -> Option<&ContactInfo> {
        self.supply_of(role)?.contacts.iter().find_map(|contact| self.contact(*contact))
    }
    /// Returns pairs of neighbouring contacts, ascending.
    pub fn neighbours(&self) -> impl Iterator<Item = (Contact, Contact)> {
        let (step, gap) = match self.layout {
            Layout::CardEdge => (2, None),
            Layout::Headers { first_row_ends, .. } => (1, Some(Contact(first_row_ends))),
        };
        let next = move |info: &ContactInfo| (info.contact, Contact(info.contact.0.saturating_add(step)));
        let pairs = self.contacts.iter().map(next);
        pairs.filter(move |(a, b)| a != b && Some(*a) != gap && self.contact(*b).is_some())
    }
    /// "23 (A0)".
    pub fn label(&self, contact: Contact) -> String {
        match self.contact(contact) {
            Some(info) => format!("{contact} ({})", info.pin),
            None => contact.to_string(),
        }
    }
    /// JSON Schema of the family files, for editors that complete and check TOML.
    pub fn file_schema() -> schemars::Schema {
        crate::schema::shaped(schemars::schema_for!(file::FamilyFile), &crate::SchemaNames::default())
    }
}
