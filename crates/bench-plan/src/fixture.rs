//! A bed of nails, as built. From `fixtures/*.toml`: the bench drives it, and the virtual fixture is built from it.

use crate::Board;
use bench_run::Contact;
use std::collections::BTreeMap;
use std::time::Duration;

/// Position of a chip in [`Fixture::chips`].
pub type ChipIndex = usize;

#[derive(Debug, Clone, PartialEq)]
pub struct Fixture {
    /// Name in plans, and of the file.
    pub name: String,
    /// The fixture that this one is based on, with other parts plugged onto its instruments.
    pub base: Option<String>,
    /// What the operator must plug and set by hand, beyond what the board's own tables say.
    pub instructions: Option<String>,
    /// The board that carries the module, where that is one.
    pub board: Option<Board>,
    /// Title; the name when the file gives none.
    pub title: String,
    pub revision: String,
    /// Families whose modules fit into the nest.
    pub families: Vec<String>,
    /// The instruments of a bed of nails; `None` on a desk, where there are none.
    pub bed: Option<Bed>,
    /// What is done by hand on a desk; `None` for a bed of nails.
    pub desk: Option<Desk>,
    pub probe: Option<Probe>,
    pub chips: Vec<Chip>,
    pub link: LinkWiring,
    pub usb: Option<UsbWiring>,
    pub ble: Option<BleRadio>,
    /// Supply of the nail expanders: the high level of a driven nail, volts.
    pub nail_volts: f64,
    /// In the order in which they are switched on.
    pub rails: Vec<Rail>,
    pub nails: BTreeMap<Contact, Nail>,
    /// Nails that a wire joins, for tests in which one contact of the module drives another.
    pub pairs: Vec<(Contact, Contact)>,
    /// Contacts without a nail, with the reason.
    pub unwired: BTreeMap<Contact, String>,
    /// Contacts without a nail that a board joins to a contact with one: what that nail does, it does to them too.
    pub joined: BTreeMap<Contact, Contact>,
    /// Parts that the module itself communicates with.
    pub peers: Vec<Peer>,
    pub nfc: Option<NfcWiring>,
}

/// What drives a bed of nails, besides its chips, rails and nails.
#[derive(Debug, Clone, PartialEq)]
pub struct Bed {
    pub i2c_hz: u32,
    pub controller: Controller,
    pub safety: Safety,
    pub measure_bus: MeasureBus,
    /// High: the relay joins the controller's TX and RX to the nails. Low, as at power-up: it disconnects them and
    /// joins them to each other, so that an idle TX does not power a module through its RX.
    pub link_relay: IoBit,
}

/// A board on a desk. It feeds the module, and a person switches it: the bench can neither switch nor measure its
/// supplies.
#[derive(Debug, Clone, PartialEq)]
pub struct Desk {
    /// What a person switches: "the evaluation board".
    pub board: String,
    /// How the person switches it on.
    pub switch_on: String,
    pub supplies: Vec<HandSupply>,
    /// The connector that leads to the module's USB, where there is one.
    pub usb: Option<String>,
    /// Where a telephone with NFC is held, where the board has an antenna.
    pub phone: Option<String>,
    /// Contacts on which parts of the board hang, with the reason: the module's own drivers and pulls say nothing there.
    pub loaded: BTreeMap<Contact, String>,
}

/// What switches a supply of a desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HandSwitch {
    /// The board's own supply.
    #[default]
    Board,
    /// The cable between the computer and the module's USB connector.
    Usb,
}

/// A supply that a board makes.
#[derive(Debug, Clone, PartialEq)]
pub struct HandSupply {
    pub name: String,
    pub volts: f64,
    /// The module's contacts that it feeds.
    pub contacts: Vec<Contact>,
    /// The most that it delivers, amperes.
    pub current_limit_amps: f64,
    pub with: HandSwitch,
}

/// The controller that drives the fixture, and what is wired to its own pins. GPIO numbers are those of its
/// documentation (BCM numbers on a Raspberry Pi).
#[derive(Debug, Clone, PartialEq)]
pub struct Controller {
    /// Title: "Raspberry Pi 4 Model B".
    pub board: String,
    /// `/dev/i2c-<bus>`.
    pub i2c_bus: u8,
    pub i2c_sda: u8,
    pub i2c_scl: u8,
    pub link_tx: u8,
    pub link_rx: u8,
    /// Active when the lid is closed.
    pub lid: Option<GpioLine>,
    /// Active while the button is pressed.
    pub start: Option<GpioLine>,
    /// Active while the emergency stop is pressed.
    pub emergency: Option<GpioLine>,
    /// "pass", "fail", "busy", "error" and any other of the fixture; active when lit.
    pub lamps: BTreeMap<String, GpioLine>,
}

/// One GPIO of the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpioLine {
    pub gpio: u8,
    pub active_low: bool,
}

/// The debug probe on the module's SWD pads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Product to buy: "Raspberry Pi Debug Probe".
    pub adapter: String,
    /// USB vendor and product, if only this one may be used: "2e8a:000c".
    pub usb: Option<String>,
    /// Pads of the module that its nails touch.
    pub pads: Vec<String>,
    /// Contact that the probe can pull low to reset the module.
    pub reset: Option<Contact>,
}

/// How hardware, not software, switches the rails off when the controller dies.
#[derive(Debug, Clone, PartialEq)]
pub struct Safety {
    /// Holds each switch input low while it is not driven, ohms.
    pub pull_down_ohms: f64,
    pub watchdog: Watchdog,
    /// Longest time from the controller's death to all rails off.
    pub off_within: Duration,
    /// An open lid switches the rails off in hardware, whatever the controller does.
    pub lid_cuts_rails: bool,
    /// Description of the chain.
    pub notes: String,
}

/// A hardware timer that switches the rails off unless the controller keeps kicking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watchdog {
    /// GPIO of the controller; every edge is a kick.
    pub kick: u8,
    /// Without an edge for this long, the rails are cut.
    pub timeout: Duration,
}

/// The module's D+ and D- on the controller's USB host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsbWiring {
    /// High: joins both lines to the host. Otherwise they are ordinary nails.
    pub switch: IoBit,
}

/// The controller's Bluetooth, and its expected signal strength from a good module.
#[derive(Debug, Clone, PartialEq)]
pub struct BleRadio {
    /// Name in the operating system: "hci0".
    pub adapter: String,
    /// Transmit power at its antenna, dBm.
    pub power_dbm: f64,
    /// Loss from its antenna to that of a good module, antennas included, decibels.
    pub path_loss_db: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Chip {
    pub id: String,
    pub kind: ChipKind,
    /// Seven-bit I2C address.
    pub address: u8,
}

impl Chip {
    /// One bit of a port expander as the file writes it: "io0.GPA3".
    pub fn bit_label(&self, bit: u8) -> String {
        format!("{}.GP{}{}", self.id, if bit < 8 { 'A' } else { 'B' }, bit % 8)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ChipKind {
    /// 16-bit port expander.
    Mcp23017,
    /// 16-bit ADC, four inputs; its supply in volts limits the inputs.
    Ads1115,
    /// 12-bit DAC, four outputs, with the reference that the fixture selects (its supply), volts.
    Mcp4728 { reference_volts: f64 },
    /// Power monitor with its shunt, ohms.
    Ina226 { shunt_ohms: f64 },
    /// NFC reader.
    Pn532,
}

/// One bit of a port expander: 0..=7 is GPA0..GPA7, 8..=15 is GPB0..GPB7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IoBit {
    pub chip: ChipIndex,
    pub bit: u8,
}

/// One of the four inputs of an ADC or outputs of a DAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnalogChannel {
    pub chip: ChipIndex,
    pub channel: u8,
}

/// The controller's UART and its connection to the DUT.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkWiring {
    /// For example `/dev/ttyAMA0`; the virtual bench needs none.
    pub device: String,
    /// Contact that the controller's TX reaches (the DUT's RX).
    pub dut_rx: Contact,
    /// Contact that reaches the controller's RX (the DUT's TX).
    pub dut_tx: Contact,
    /// In series with the controller's TX and RX, ohms each.
    pub series_ohms: f64,
}

/// One line that can be connected to any nail: a source behind a resistor drives it, the ADC reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasureBus {
    /// ADC input on the bus.
    pub sense: AnalogChannel,
    /// ADC input on the source, before its series resistor.
    pub source_sense: AnalogChannel,
    pub source: AnalogChannel,
    pub source_series_ohms: f64,
    /// Upper limit of the source while the module is unpowered, volts: less than the drop of a protection diode, so
    /// that measuring does not power the module through its pins.
    pub unpowered_volts: f64,
    /// High: the source is connected to the bus.
    pub source_enable: IoBit,
    /// On-resistance of a closed multiplexer channel, ohms.
    pub mux_ohms: f64,
    /// Channel address, least significant bit first; shared by all banks.
    pub address: [IoBit; 4],
    /// Enable of each bank, high = one of its 16 channels is closed. At most one may be high.
    pub banks: Vec<IoBit>,
    /// GPIO of the controller that reads the bus behind a Schmitt buffer; without it no edges can be timed.
    pub edges_gpio: Option<u8>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rail {
    pub name: String,
    pub volts: f64,
    /// High: on.
    pub enable: IoBit,
    /// High: the rail is pulled to ground through `discharge_ohms`.
    pub discharge: IoBit,
    pub discharge_ohms: f64,
    pub monitor: ChipIndex,
    /// The supply folds back at this current, amperes.
    pub current_limit_amps: f64,
    pub rise_time: Duration,
    /// Output resistance of supply, switch and wiring, ohms.
    pub series_ohms: f64,
    /// Name of the module's pins that it feeds.
    pub pin: String,
    /// For a rail that the module makes itself: the switch joins it to this load instead of a supply, ohms. `volts` is
    /// its expected voltage, `current_limit_amps` its largest current.
    pub load_ohms: Option<f64>,
    /// A rail that the bench powers only where a plan says so (VUSB, modem VBUS).
    pub optional: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Nail {
    pub contact: Contact,
    pub wiring: NailWiring,
    /// Multiplexer bank and channel that joins the nail to the measure bus.
    pub mux: Option<(u8, u8)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum NailWiring {
    /// An expander bit behind a resistor: drives, or reads (its own pull-up is 100 kohm).
    Io { io: IoBit, series_ohms: f64 },
    /// A rail behind its own switch (high = closed), so that parallel contacts can be distinguished.
    Rail { rail: usize, feed: IoBit, feed_ohms: f64 },
    /// Ground behind its own switch (high = closed).
    Ground { feed: IoBit, feed_ohms: f64 },
}

/// A part of the fixture that the module communicates with over a bus, behind analog switches.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    pub id: String,
    pub part: PeerPart,
    /// High: the switches join its lines to the nails. Low, as at power-up: it is disconnected.
    pub select: IoBit,
    /// Resistance of one closed switch, ohms.
    pub switch_ohms: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PeerPart {
    /// FM25V02A: SPI F-RAM of 32 KiB, modes 0 and 3, up to 40 MHz.
    SpiFram { lines: SpiLines },
    /// 24LC256: I2C EEPROM of 32 KiB, up to 400 kHz, with a pull-up at each line on its side of the switch.
    I2cEeprom { address: u8, pull_up_ohms: f64, lines: I2cLines },
}

/// The contacts of an SPI part's lines, from the part's view: MOSI is its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpiLines {
    pub sck: Contact,
    pub mosi: Contact,
    pub miso: Contact,
    /// Chip select, active low.
    pub ss: Contact,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct I2cLines {
    pub sda: Contact,
    pub scl: Contact,
}

/// A reader whose field reaches the module's NFC antenna.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NfcWiring {
    /// The PN532.
    pub reader: ChipIndex,
    /// `None`: the antenna is always plugged into a connector of the module.
    pub coil: Option<NfcCoil>,
}

/// An antenna of the fixture that switches join to contacts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NfcCoil {
    pub contacts: [Contact; 2],
    /// High: joined. Low, as at power-up: both contacts are ordinary nails.
    pub switch: IoBit,
    /// Resistance of one closed switch, ohms.
    pub switch_ohms: f64,
}

impl Peer {
    /// The contacts of its lines: SCK, MOSI, MISO, SS, or SDA, SCL.
    pub fn contacts(&self) -> Vec<Contact> {
        match self.part {
            PeerPart::SpiFram { lines: SpiLines { sck, mosi, miso, ss } } => vec![sck, mosi, miso, ss],
            PeerPart::I2cEeprom { lines: I2cLines { sda, scl }, .. } => vec![sda, scl],
        }
    }
}

impl Fixture {
    pub fn peer(&self, id: &str) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.id == id)
    }
    pub fn rail(&self, name: &str) -> Option<&Rail> {
        self.rails.iter().find(|rail| rail.name == name)
    }
    pub fn nail(&self, contact: Contact) -> Option<&Nail> {
        self.nails.get(&contact)
    }
    /// The nail of the contact, or that of the contact to which a board joins it.
    pub fn nail_that_reaches(&self, contact: Contact) -> Option<&Nail> {
        self.nail(contact).or_else(|| self.nail(*self.joined.get(&contact)?))
    }
    /// The contacts without a nail that a board joins to this one, ascending.
    pub fn joined_to(&self, contact: Contact) -> impl Iterator<Item = Contact> {
        self.joined.iter().filter(move |(_, to)| **to == contact).map(|(joined, _)| *joined)
    }
}
