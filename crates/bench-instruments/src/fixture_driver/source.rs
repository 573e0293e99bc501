//! The source of the measure bus: one output of an MCP4728.

use super::{Bus, chip_error, implausible, wrong_kind};
use crate::InstrumentError;
use bench_plan::{Bed, Chip, ChipKind, Fixture};
use embedded_hal::i2c::I2c;
use embedded_hal_bus::i2c::RcDevice;
use mcp4728::{Channel, ChannelState, Error, MCP4728, OutputEnableMode, VoltageReferenceMode};
use std::cell::RefCell;

/// 12 bits.
const CODES: f64 = 4096.0;

pub struct Source<I> {
    dac: RefCell<MCP4728<RcDevice<I>>>,
    chip: Chip,
    channel: Channel,
    reference_volts: f64,
}

impl<I: I2c> Source<I> {
    pub fn new(bus: Bus<I>, fixture: &Fixture, bed: &Bed) -> Result<Self, InstrumentError> {
        let wiring = bed.measure_bus.source;
        let (chip, reference_volts) = match fixture.chips.get(wiring.chip) {
            Some(chip @ Chip { kind: ChipKind::Mcp4728 { reference_volts }, .. }) => (chip.clone(), *reference_volts),
            _ => return Err(wrong_kind(fixture, wiring.chip, "a DAC")),
        };
        let channel = Channel::try_from(wiring.channel)
            .map_err(|_| implausible(&chip.id, format!("an MCP4728 has no output {}", wiring.channel)))?;
        let dac = RefCell::new(MCP4728::new(RcDevice::new(bus), chip.address));
        Ok(Self { dac, chip, channel, reference_volts })
    }

    /// Sets the output, volts. Takes effect at once; the chip's EEPROM is not written.
    pub fn set(&self, volts: f64) -> Result<(), InstrumentError> {
        if !(0.0..=self.reference_volts).contains(&volts) {
            let text = format!("the source can give 0 V to {} V, not {volts} V", self.reference_volts);
            return Err(InstrumentError::Unsafe(text));
        }
        let code = (volts / self.reference_volts * CODES).round().min(CODES - 1.0) as u16;
        let state = ChannelState::new().voltage_reference_mode(VoltageReferenceMode::External).value(code);
        self.dac
            .borrow_mut()
            .multi_write(&[(self.channel, OutputEnableMode::Update, state)])
            .map_err(|error| dac_error(&self.chip, error))
    }

    /// Returns the highest voltage that [`Source::set`] accepts.
    pub fn highest_volts(&self) -> f64 {
        self.reference_volts
    }

    pub fn id(&self) -> &str {
        &self.chip.id
    }
}

/// Whether the chip answers.
pub fn probe<B: I2c>(bus: B, chip: &Chip) -> Result<(), InstrumentError> {
    MCP4728::new(bus, chip.address).read().map(drop).map_err(|error| dac_error(chip, error))
}

fn dac_error<E: std::fmt::Debug>(chip: &Chip, error: Error<E>) -> InstrumentError {
    match error {
        Error::I2CError(error) => chip_error(chip, &error),
        Error::ValueOutOfBounds(_) | Error::WriteSizeExceeded | Error::StartingChannelMismatch => {
            implausible(&chip.id, "its driver refused a setting".to_owned())
        }
    }
}
