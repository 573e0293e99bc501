//! Electrical state of the 48 GPIO ports.

/// Number of GPIO ports: P0.00 to P0.31 are 0 to 31, P1.00 to P1.15 are 32 to 47.
pub const PORT_COUNT: usize = 48;

/// Every port, as a mask.
pub(crate) const ALL_PORTS: u64 = (1 << PORT_COUNT) - 1;

/// How strongly an output drives (PIN_CNF.DRIVE).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// Standard drive (S0, S1).
    Standard,
    /// High drive (H0, H1).
    High,
}

/// A level that the port drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Driven {
    /// High or low.
    pub level: bool,
    /// Drive strength.
    pub strength: Strength,
}

/// The port's own pull resistor (about 13 kOhm).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pull {
    /// No pull.
    #[default]
    None,
    /// Pull-up.
    Up,
    /// Pull-down.
    Down,
}

/// State of one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PortState {
    /// Level that the port drives, or `None`: an input, an open-drain output in its open state, or no power. The TXD of
    /// a switched-on UARTE counts as driven (idle high).
    pub driven: Option<Driven>,
    /// The pull resistor.
    pub pull: Pull,
    /// Whether the digital input buffer is connected (PIN_CNF.INPUT).
    pub input_connected: bool,
    /// Whether a peripheral (UARTE, SPIM, TWIM, PWM, GPIOTE task, ...) and not the GPIO OUT register decides the level.
    pub taken_by_peripheral: bool,
}

/// State of all ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// By port number.
    pub states: [PortState; PORT_COUNT],
    /// Whether the chip has power. Without power, only the protection diodes of the ports conduct.
    pub powered: bool,
}

impl Default for Ports {
    fn default() -> Self {
        Ports { states: [PortState::default(); PORT_COUNT], powered: false }
    }
}

impl Ports {
    /// Levels without any external connection: the driven level, else the pull, else low. Bit n is port n.
    pub fn levels_unconnected(&self) -> u64 {
        self.states.iter().enumerate().fold(0, |levels, (n, port)| {
            let high = match (port.driven, port.pull) {
                (Some(driven), _) => driven.level,
                (None, pull) => pull == Pull::Up,
            };
            levels | u64::from(high) << n
        })
    }
}
