//! A module family: contacts, pins, ports, functions. From `fixtures/duts/*.toml`.

use bench_run::Contact;
use dut_protocol::Port;
use std::collections::BTreeSet;

/// Modules that share contacts and ports.
#[derive(Debug, Clone, PartialEq)]
pub struct DutFamily {
    /// "b4xx", "b5xx", "boron".
    pub name: String,
    pub models: Vec<Model>,
    /// Ascending by contact.
    pub contacts: Vec<ContactInfo>,
    /// Ports that lead to parts inside the module, not to a contact.
    pub internal_ports: Vec<InternalPort>,
}

/// One product: "b404x".
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub name: String,
    /// What Particle calls the platform id (13 Boron, 23 B4xx, 25 B5xx).
    pub platform_id: u32,
    pub modem: String,
    /// Ids that the one-time-programmable memory may name for the modem (NCP id), empty when unknown.
    pub ncp_ids: Vec<u8>,
    /// First four characters of the serial numbers of this model, as far as they are known.
    pub serial_prefixes: Vec<String>,
    /// Size of the external flash in bytes.
    pub external_flash_bytes: u32,
    /// JEDEC ids (manufacturer, type, capacity) that the external flash may answer.
    pub external_flash_ids: Vec<[u8; 3]>,
}

/// What a contact can do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
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
}

#[derive(Debug, Clone, PartialEq)]
pub struct ContactInfo {
    pub contact: Contact,
    /// The pin's name: "A0", "TX", "GND".
    pub pin: String,
    pub alternate_names: Vec<String>,
    pub functions: BTreeSet<Function>,
    /// The nRF52840 port that the contact leads to.
    pub port: Option<Port>,
    /// SAADC input, 0..=7.
    pub adc_input: Option<u8>,
    pub pwm_group: Option<String>,
    /// Highest normal voltage, volts.
    pub max_volts: Option<f64>,
    pub five_volt_tolerant: bool,
    /// What the sources say about it beyond the fields, and where they disagree.
    pub notes: Option<String>,
    pub doubt: Option<String>,
    pub source: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct InternalPort {
    pub name: String,
    pub port: Port,
    pub usage: String,
}

impl DutFamily {
    pub fn contact(&self, contact: Contact) -> Option<&ContactInfo> {
        self.contacts.iter().find(|info| info.contact == contact)
    }
    /// By pin name or alternate name ("A0", "D19").
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
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }
    /// "23 (A0)".
    pub fn label(&self, contact: Contact) -> String {
        match self.contact(contact) {
            Some(info) => format!("{contact} ({})", info.pin),
            None => contact.to_string(),
        }
    }
}
