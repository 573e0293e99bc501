//! Ports of the nRF52840 and sets of them.

use core::fmt;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// One GPIO of the nRF52840: 0..=31 is P0.00..P0.31, 32..=47 is P1.00..P1.15.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Schema)]
#[serde(try_from = "u8")] // a byte from the wire must not become a port that does not exist
pub struct Port(u8);

impl TryFrom<u8> for Port {
    type Error = NotAPort;

    fn try_from(index: u8) -> Result<Self, NotAPort> {
        Self::new(index).ok_or(NotAPort)
    }
}

impl Port {
    /// How many ports the nRF52840 has.
    pub const COUNT: u8 = 48;

    /// The port with this index, if there is one.
    pub const fn new(index: u8) -> Option<Self> {
        if index < Self::COUNT { Some(Self(index)) } else { None }
    }

    /// P`bank`.`pin`, for example (1, 15) for P1.15.
    pub const fn from_bank(bank: u8, pin: u8) -> Option<Self> {
        match (bank, pin) {
            (0, 0..=31) => Some(Self(pin)),
            (1, 0..=15) => Some(Self(32 + pin)),
            _ => None,
        }
    }

    /// Index, 0..=47.
    pub const fn index(self) -> u8 {
        self.0
    }
    /// Number of the GPIO bank, 0 or 1.
    pub const fn bank(self) -> u8 {
        self.0 / 32
    }
    /// Number within the bank, 0..=31.
    pub const fn pin(self) -> u8 {
        self.0 % 32
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{}.{:02}", self.bank(), self.pin())
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text or number is no port. Ports are written `P0.03` and numbered 0..=47.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAPort;

impl fmt::Display for NotAPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a port of the nRF52840; expected P0.00 to P0.31 or P1.00 to P1.15")
    }
}

impl core::error::Error for NotAPort {}

impl core::str::FromStr for Port {
    type Err = NotAPort;

    fn from_str(text: &str) -> Result<Self, NotAPort> {
        let (bank, pin) = text.strip_prefix('P').and_then(|rest| rest.split_once('.')).ok_or(NotAPort)?;
        // `parse` alone would accept "+3".
        let digits_only = bank.bytes().chain(pin.bytes()).all(|byte| byte.is_ascii_digit());
        if pin.len() != 2 || bank.len() != 1 || !digits_only {
            return Err(NotAPort);
        }
        let number = |digits: &str| digits.parse::<u8>().map_err(|_| NotAPort);
        Port::from_bank(number(bank)?, number(pin)?).ok_or(NotAPort)
    }
}

/// A set of ports, one bit each; bit n is the port with index n.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize, Schema)]
pub struct PortSet(pub u64);

impl PortSet {
    /// No ports.
    pub const EMPTY: Self = Self(0);
    /// All ports of the chip.
    pub const ALL: Self = Self((1 << Port::COUNT) - 1);

    /// Whether `port` is in the set.
    pub const fn contains(self, port: Port) -> bool {
        self.0 >> port.0 & 1 == 1
    }
    /// The set and `port`.
    pub const fn with(self, port: Port) -> Self {
        Self(self.0 | 1 << port.0)
    }
    /// The set without `port`.
    pub const fn without(self, port: Port) -> Self {
        Self(self.0 & !(1 << port.0))
    }
    /// The ports in either set.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// The ports in both sets.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    /// The ports of this set that are not in `other`.
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    /// Whether the set has no ports.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Number of ports.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }
    /// The lowest port of the set.
    pub fn first(self) -> Option<Port> {
        self.iter().next()
    }
    /// The lowest set bit that is not a port of the chip.
    pub const fn beyond_last_port(self) -> Option<u8> {
        let beyond = self.minus(Self::ALL).0;
        if beyond == 0 { None } else { Some(beyond.trailing_zeros() as u8) }
    }
    /// Iterates over the ports in ascending order. Skips bits beyond the last port.
    pub fn iter(self) -> impl Iterator<Item = Port> {
        let mut rest = self.intersection(Self::ALL).0;
        core::iter::from_fn(move || {
            let port = Port::new(rest.trailing_zeros() as u8)?;
            rest &= rest - 1; // the lowest bit is done
            Some(port)
        })
    }
}

impl FromIterator<Port> for PortSet {
    fn from_iter<I: IntoIterator<Item = Port>>(ports: I) -> Self {
        ports.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
