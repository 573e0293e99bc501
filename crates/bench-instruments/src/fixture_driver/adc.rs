//! Conversions of an ADS1115 that wait by the bench's clock.

use super::{Bus, bus_error, implausible};
use crate::{Clock, InstrumentError};
use ads1x1x::{Ads1x1x, DataRate16Bit, Error, FullScaleRange, TargetAddr, channel, ic, mode};
use bench_plan::Correction;
use embedded_hal::i2c::I2c;
use embedded_hal_bus::i2c::RcDevice;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// One conversion at 860 samples per second: 1/860 s, 10 % slower at worst, and the wake-up time
/// (ADS1115 data sheet SBAS444, section 6.5).
const CONVERSION: Duration = Duration::from_micros(1_310);
/// Interval between checks of a conversion that is not ready in time.
const LOOK_AGAIN: Duration = Duration::from_micros(300);
const LOOKS: u32 = 20;

/// Input range of one conversion. 32768 codes in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// +-6.144 V: everything that the supply of the ADC allows.
    Volts,
    /// +-0.256 V: the ohmmeter.
    Ohms,
}

impl Range {
    pub const fn full_scale_volts(self) -> f64 {
        match self {
            Range::Volts => 6.144,
            Range::Ohms => 0.256,
        }
    }
}

type Chip<I> = Ads1x1x<RcDevice<I>, ic::Ads1115, ic::Resolution16Bit, mode::OneShot>;

pub struct Adc<I> {
    bus: Bus<I>,
    id: String,
    address: u8,
    target: TargetAddr,
    /// `None` before the first conversion, and after one whose future was dropped: the crate would return the old
    /// result for the next one, so it is created again.
    chip: RefCell<Option<(Chip<I>, Range)>>,
    correction: Correction,
}

impl<I: I2c> Adc<I> {
    pub fn new(bus: Bus<I>, id: &str, address: u8) -> Result<Self, InstrumentError> {
        let target = match address {
            0x48 => TargetAddr::Gnd,
            0x49 => TargetAddr::Vdd,
            0x4A => TargetAddr::Sda,
            0x4B => TargetAddr::Scl,
            _ => return Err(implausible(id, format!("an ADS1115 cannot have the address {address:#04x}"))),
        };
        Ok(Self { bus, id: id.to_owned(), address, target, chip: RefCell::new(None), correction: Correction::NONE })
    }

    /// Corrects every reading from now on, according to its calibration.
    pub fn correct(&mut self, correction: Correction) {
        self.correction = correction;
    }

    /// Whether it answers.
    pub fn probe(&self) -> Result<(), InstrumentError> {
        let mut chip: Chip<I> = Ads1x1x::new_ads1115(RcDevice::new(Rc::clone(&self.bus)), self.target);
        chip.is_measurement_in_progress().map(drop).map_err(|error| self.error(error))
    }

    /// Performs one conversion of an input against ground, volts. Only one at a time: the caller holds the lock of the
    /// bus.
    pub async fn convert(&self, clock: &dyn Clock, input: u8, range: Range) -> Result<f64, InstrumentError> {
        let taken = self.chip.borrow_mut().take();
        let (mut chip, configured) = match taken {
            Some((chip, configured)) => (chip, Some(configured)),
            None => {
                let mut chip = Ads1x1x::new_ads1115(RcDevice::new(Rc::clone(&self.bus)), self.target);
                chip.set_data_rate(DataRate16Bit::Sps860).map_err(|error| self.error(error))?;
                (chip, None)
            }
        };
        if configured != Some(range) {
            let full_scale = match range {
                Range::Volts => FullScaleRange::Within6_144V,
                Range::Ohms => FullScaleRange::Within0_256V,
            };
            chip.set_full_scale_range(full_scale).map_err(|error| self.error(error))?;
        }
        for look in 0..LOOKS {
            let code = match input {
                0 => chip.read(channel::SingleA0),
                1 => chip.read(channel::SingleA1),
                2 => chip.read(channel::SingleA2),
                3 => chip.read(channel::SingleA3),
                _ => return Err(implausible(&self.id, format!("an ADS1115 has no input {input}"))),
            };
            match code {
                Ok(code) => {
                    *self.chip.borrow_mut() = Some((chip, range));
                    let volts = f64::from(code) * range.full_scale_volts() / 32_768.0;
                    return Ok(self.correction.apply(volts));
                }
                Err(nb::Error::WouldBlock) if look < 2 => clock.sleep(CONVERSION).await,
                Err(nb::Error::WouldBlock) => clock.sleep(LOOK_AGAIN).await,
                Err(nb::Error::Other(error)) => return Err(self.error(error)),
            }
        }
        Err(implausible(&self.id, "a conversion does not end".to_owned()))
    }

    fn error(&self, error: Error<I::Error>) -> InstrumentError {
        match error {
            Error::I2C(error) => bus_error(&self.id, self.address, &error),
            Error::InvalidInputData => implausible(&self.id, "its driver refused a setting".to_owned()),
        }
    }
}
