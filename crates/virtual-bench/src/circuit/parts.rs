//! Parts of this module and this fixture, tolerances included. Resistances in ohms.

use super::current::ChipCurrents;
use crate::random::{Purpose, Random};
use virtual_nrf52840::PORT_COUNT;

/// Output stage, pulls and input of one port of the chip (nRF52840 product specification, GPIO).
#[derive(Debug, Clone, Copy)]
pub struct PortParts {
    /// Standard drive: 2 mA typical at 0.4 V or less.
    pub standard_ohms: f64,
    pub high_drive_ohms: f64,
    pub pull_up_ohms: f64,
    pub pull_down_ohms: f64,
    /// Level at which the input switches, as a share of VDD.
    pub threshold: f64,
    pub leakage_ohms: f64,
}

/// Parts of the module beyond the ports.
#[derive(Debug, Clone)]
pub struct ModuleParts {
    pub ports: Vec<PortParts>,
    pub chip: ChipCurrents,
    /// Other loads on 3V3: standby of the flash, level shifters, leakage.
    pub logic_load_ohms: f64,
    pub modem_load_ohms: f64,
    pub five_volt_load_ohms: f64,
    pub logic_farads: f64,
    pub modem_farads: f64,
    pub five_volt_farads: f64,
    pub sim_pull_ohms: f64,
    /// Contacts that lead to a high-impedance input of the modem or of the USB block.
    pub input_leakage_ohms: f64,
    /// Pull-up of the USB device on an idle bus: 900 to 1575 ohm (USB 2.0, and its ECN on pull-ups).
    pub usb_pull_up_ohms: f64,
}

impl ModuleParts {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, Purpose::Module);
        let ports = (0..PORT_COUNT)
            .map(|_| PortParts {
                standard_ohms: random.within(170.0, 0.15),
                high_drive_ohms: random.within(60.0, 0.15),
                pull_up_ohms: random.between(11.5e3, 15e3),
                pull_down_ohms: random.between(11.5e3, 15e3),
                threshold: random.between(0.42, 0.58),
                leakage_ohms: random.within(20e6, 0.5),
            })
            .collect();
        Self {
            ports,
            chip: ChipCurrents::new(&mut random),
            // 24 uA at 3.3 V.
            logic_load_ohms: random.within(137e3, 0.08),
            // A modem that is off: 6 uA (SARA-R4 data sheet).
            modem_load_ohms: random.within(600e3, 0.2),
            five_volt_load_ohms: random.within(100e3, 0.1),
            logic_farads: random.within(22e-6, 0.2),
            modem_farads: random.within(220e-6, 0.2),
            five_volt_farads: random.within(4.7e-6, 0.2),
            sim_pull_ohms: random.within(4.7e3, 0.03),
            input_leakage_ohms: random.within(20e6, 0.3),
            usb_pull_up_ohms: random.between(1e3, 1.5e3),
        }
    }
}

/// Deviations of the fixture's parts from its file, as factors around 1, drawn in the order of the file.
pub struct FixtureTolerances(Random);

impl FixtureTolerances {
    pub fn new(seed: u64) -> Self {
        Self(Random::new(seed, Purpose::Fixture))
    }
    /// A 0.5 % resistor.
    pub fn resistor(&mut self, ohms: f64) -> f64 {
        self.0.within(ohms, 0.005)
    }
    /// A switch: on-resistances scatter more.
    pub fn switch(&mut self, ohms: f64) -> f64 {
        self.0.within(ohms, 0.1)
    }
    pub fn supply(&mut self, volts: f64) -> f64 {
        self.0.within(volts, 0.005)
    }
    /// A small relative error, for gains.
    pub fn gain(&mut self, share: f64) -> f64 {
        self.0.between(1.0 - share, 1.0 + share)
    }
    /// A small absolute error, for offsets.
    pub fn offset(&mut self, span: f64) -> f64 {
        self.0.between(-span, span)
    }
    pub fn rate(&mut self) -> f64 {
        self.0.between(0.95, 1.05)
    }
}

/// Resistance from a nail to its contact: clean gold.
pub const CONTACT_OHMS: (f64, f64) = (0.03, 0.07);
/// Resistance of a nail that touches nothing.
pub const OPEN_OHMS: f64 = 1e12;
/// Joints inside the module: a plane, a wide trace.
pub const BOND_OHMS: f64 = 0.003;
/// Output resistance of an expander's pin.
pub const EXPANDER_OUTPUT_OHMS: f64 = 25.0;
pub const EXPANDER_PULL_UP_OHMS: f64 = 100e3;
/// Load of the ADC's inputs on the measure bus.
pub const ADC_INPUT_OHMS: f64 = 100e6;
/// A driver stage that a fault keeps conducting.
pub const STUCK_OHMS: f64 = 40.0;
/// The SIM supply of a modem that is off: held at 0 V.
pub const SIM_SUPPLY_OFF_OHMS: f64 = 10.0;
/// Voltages above which the chip runs and below which it stops.
pub const POWER_ON_VOLTS: f64 = 1.70;
pub const POWER_OFF_VOLTS: f64 = 1.65;
/// Voltage at which an overload starts to draw, so that the ohm-meter does not measure a short.
pub const OVERLOAD_KNEE_VOLTS: f64 = 0.6;
/// Current of a chip that hangs before its first instruction, amperes.
pub const DEAD_MCU_AMPS: f64 = 1.3e-3;
