//! The chips of a fixture file, each with the deviations of one piece from the data sheet's typical values.

use super::{Ads1115, I2cDevice, Ina226, Mcp4728, Mcp23017, Pn532};
use crate::circuit::FixtureTolerances;
use bench_plan::{ChipKind, Fixture};

/// Separates the chips' deviations from the wiring's.
const CHIPS: u64 = 0xC41F5;

/// A chip of the fixture with its deviations from the ideal one.
pub struct FittedChip {
    pub address: u8,
    pub model: ChipModel,
}

pub enum ChipModel {
    Expander(Mcp23017),
    Adc { chip: Ads1115, gain: f64, offset_volts: f64 },
    Dac { chip: Mcp4728, gain: f64, offset_volts: f64 },
    Monitor { chip: Ina226, rail: Option<usize>, shunt_ohms: f64, offset_volts: f64, bus_gain: f64 },
    Nfc(Pn532),
}

impl ChipModel {
    pub fn device(&mut self) -> &mut dyn I2cDevice {
        match self {
            ChipModel::Expander(chip) => chip,
            ChipModel::Adc { chip, .. } => chip,
            ChipModel::Dac { chip, .. } => chip,
            ChipModel::Monitor { chip, .. } => chip,
            ChipModel::Nfc(chip) => chip,
        }
    }
}

impl FittedChip {
    /// In the order of the file.
    pub fn all(fixture: &Fixture, seed: u64) -> Vec<Self> {
        let mut tolerances = FixtureTolerances::new(seed ^ CHIPS);
        let chips = fixture.chips.iter().enumerate();
        chips
            .map(|(index, chip)| FittedChip {
                address: chip.address,
                model: match chip.kind {
                    ChipKind::Mcp23017 => ChipModel::Expander(Mcp23017::default()),
                    ChipKind::Ads1115 => ChipModel::Adc {
                        chip: Ads1115::new(tolerances.rate()),
                        gain: tolerances.gain(0.0005),
                        offset_volts: tolerances.offset(100e-6),
                    },
                    ChipKind::Mcp4728 { reference_volts } => ChipModel::Dac {
                        chip: Mcp4728::new(reference_volts),
                        gain: tolerances.gain(0.002),
                        offset_volts: tolerances.offset(2e-3),
                    },
                    ChipKind::Ina226 { shunt_ohms } => ChipModel::Monitor {
                        chip: Ina226::default(),
                        rail: fixture.rails.iter().position(|rail| rail.monitor == index),
                        shunt_ohms: tolerances.resistor(shunt_ohms),
                        offset_volts: tolerances.offset(2.5e-6),
                        bus_gain: tolerances.gain(0.0005),
                    },
                    ChipKind::Pn532 => ChipModel::Nfc(Pn532::default()),
                },
            })
            .collect()
    }
}
