//! A bed of nails, as built. From `fixtures/*.toml`: the bench drives it, and the virtual fixture is built from it.

use bench_run::Contact;
use std::collections::BTreeMap;
use std::time::Duration;

/// Position of a chip in [`Fixture::chips`].
pub type ChipIndex = usize;

#[derive(Debug, Clone, PartialEq)]
pub struct Fixture {
    pub name: String,
    pub revision: String,
    /// Families whose modules fit into the nest.
    pub families: Vec<String>,
    pub i2c_hz: u32,
    pub chips: Vec<Chip>,
    pub link: LinkWiring,
    pub measure_bus: MeasureBus,
    /// Supply of the nail expanders: the high level of a driven nail, volts.
    pub nail_volts: f64,
    /// In the order in which they are switched on.
    pub rails: Vec<Rail>,
    pub nails: BTreeMap<Contact, Nail>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Chip {
    pub id: String,
    pub kind: ChipKind,
    /// Seven-bit I2C address.
    pub address: u8,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ChipKind {
    /// 16-bit port expander.
    Mcp23017,
    /// 16-bit ADC, four inputs; its supply in volts bounds the inputs.
    Ads1115,
    /// 12-bit DAC, four outputs, with the reference that the fixture selects (its supply), volts.
    Mcp4728 { reference_volts: f64 },
    /// Power monitor with its shunt, ohms.
    Ina226 { shunt_ohms: f64 },
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

/// The controller's UART on its way to the DUT.
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
    /// High: the relay takes the controller's TX and RX off the nails and joins them to each other.
    pub loopback: IoBit,
}

/// One line that can be switched to any nail: a source behind a resistor pushes into it, the ADC looks at it.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasureBus {
    /// ADC input on the bus.
    pub sense: AnalogChannel,
    /// ADC input on the source, before its series resistor.
    pub source_sense: AnalogChannel,
    pub source: AnalogChannel,
    pub source_series_ohms: f64,
    /// High: the source reaches the bus.
    pub source_enable: IoBit,
    /// On-resistance of a closed multiplexer channel, ohms.
    pub mux_ohms: f64,
    /// Channel address, least significant bit first; shared by all banks.
    pub address: [IoBit; 4],
    /// Enable of each bank, high = one of its 16 channels is closed. At most one may be high.
    pub banks: Vec<IoBit>,
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
    /// A rail that the bench only powers where a plan says so (VUSB, modem VBUS).
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
    /// A rail behind a switch of its own (high = closed), so that parallel contacts can be told apart.
    Rail { rail: usize, feed: IoBit, feed_ohms: f64 },
    /// Ground behind a switch of its own (high = closed).
    Ground { feed: IoBit, feed_ohms: f64 },
}

impl Fixture {
    pub fn rail(&self, name: &str) -> Option<&Rail> {
        self.rails.iter().find(|rail| rail.name == name)
    }
    pub fn nail(&self, contact: Contact) -> Option<&Nail> {
        self.nails.get(&contact)
    }
}
