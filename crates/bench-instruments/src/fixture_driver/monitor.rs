//! The power monitor INA226 of a rail.

use super::{chip_error, implausible};
use crate::{Clock, InstrumentError, RailReading};
use bench_plan::{Chip, Correction};
use embedded_hal::i2c::I2c;
use embedded_hal_bus::i2c::RcDevice;
use ina226::{AVG, Config, INA226, MODE, MaskEnableFlags, VBUSCT, VSHCT};
use std::cell::Cell;
use std::time::Duration;
use tokio::sync::Mutex;

/// "TI" (INA226 data sheet SBOS547, section 7.6.11).
const MANUFACTURER_TI: u16 = 0x5449;

/// Four samples of both voltages, 588 us each, and the 10 % that the conversion times may be longer (section 6.5).
const CONVERSION: Duration = Duration::from_micros(4 * (588 + 588) * 11 / 10);
const LOOK_AGAIN: Duration = Duration::from_micros(300);
/// Conversions of one fine measurement, and the time of each with some margin.
const FINE_SAMPLES: u32 = 400;
const FINE_CONVERSION: Duration = Duration::from_micros(230);
const LOOKS: u32 = 20;

pub struct Monitor<I> {
    /// Held during a conversion: a second one would restart the first.
    chip: Mutex<INA226<RcDevice<I>>>,
    /// When its continuous conversion started, for [`Monitor::glance`].
    continuous: Cell<bool>,
    wiring: Chip,
    shunt_ohms: f64,
    correction: Correction,
}

impl<I: I2c> Monitor<I> {
    /// Checks that the chip answers and is an INA226.
    pub fn start(bus: RcDevice<I>, wiring: &Chip, shunt_ohms: f64) -> Result<Self, InstrumentError> {
        let mut chip = INA226::new(bus, wiring.address);
        match chip.manufacturer_id().map_err(|error| chip_error(wiring, &error))? {
            MANUFACTURER_TI => Ok(Self {
                chip: Mutex::new(chip),
                continuous: Cell::new(false),
                wiring: wiring.clone(),
                shunt_ohms,
                correction: Correction::NONE,
            }),
            other => {
                Err(implausible(&wiring.id, format!("its manufacturer id is {other:#06x}, not that of an INA226")))
            }
        }
    }

    /// Corrects every current from now on, according to its calibration.
    pub fn correct(&mut self, correction: Correction) {
        self.correction = correction;
    }

    /// One averaged conversion. The current is computed from the shunt voltage, whose step is the same as that of the
    /// chip's own current register (2.5 uV / shunt) and needs no calibration register that a brown-out could clear.
    pub async fn measure(&self, clock: &dyn Clock) -> Result<RailReading, InstrumentError> {
        let fault = |error| chip_error(&self.wiring, &error);
        let mut chip = self.chip.lock().await;
        self.continuous.set(false);
        chip.set_configuration(&Config {
            avg: AVG::_4,
            vbusct: VBUSCT::_588us,
            vshct: VSHCT::_588us,
            mode: MODE::ShuntBusVoltageTriggered,
        })
        .map_err(fault)?;
        clock.sleep(CONVERSION).await;
        for _ in 0..LOOKS {
            if chip.mask_enable().map_err(fault)?.contains(MaskEnableFlags::CVRF) {
                let volts = chip.bus_voltage_millivolts().map_err(fault)? / 1e3;
                let amps = chip.shunt_voltage_microvolts().map_err(fault)? / 1e6 / self.shunt_ohms;
                return Ok(RailReading { volts, amps: self.correction.apply(amps) });
            }
            clock.sleep(LOOK_AGAIN).await;
        }
        Err(implausible(&self.wiring.id, "a conversion does not end".to_owned()))
    }

    /// The mean of many short conversions of the shunt alone. One step of the chip is 2.5 uV; its noise is about as large,
    /// so that the mean of many resolves a tenth of it.
    pub async fn fine_amps(&self, clock: &dyn Clock) -> Result<f64, InstrumentError> {
        let fault = |error| chip_error(&self.wiring, &error);
        let mut chip = self.chip.lock().await;
        self.continuous.set(false);
        chip.set_configuration(&Config {
            avg: AVG::_1,
            vbusct: VBUSCT::_140us,
            vshct: VSHCT::_204us,
            mode: MODE::ShuntVoltageContinuous,
        })
        .map_err(fault)?;
        let mut microvolts = 0.0;
        for _ in 0..FINE_SAMPLES {
            clock.sleep(FINE_CONVERSION).await;
            microvolts += chip.shunt_voltage_microvolts().map_err(fault)?;
        }
        Ok(self.correction.apply(microvolts / f64::from(FINE_SAMPLES) / 1e6 / self.shunt_ohms))
    }

    /// Returns the newest conversion of a continuous series, without waiting. `None` while a measurement runs, and at
    /// the first call after one, which starts the series.
    pub fn glance(&self) -> Result<Option<RailReading>, InstrumentError> {
        let fault = |error| chip_error(&self.wiring, &error);
        let Ok(mut chip) = self.chip.try_lock() else { return Ok(None) };
        if !self.continuous.replace(true) {
            let config = Config {
                avg: AVG::_4,
                vbusct: VBUSCT::_588us,
                vshct: VSHCT::_588us,
                mode: MODE::ShuntBusVoltageContinuous,
            };
            chip.set_configuration(&config).map_err(fault)?;
            return Ok(None);
        }
        let volts = chip.bus_voltage_millivolts().map_err(fault)? / 1e3;
        let amps = chip.shunt_voltage_microvolts().map_err(fault)? / 1e6 / self.shunt_ohms;
        Ok(Some(RailReading { volts, amps: self.correction.apply(amps) }))
    }
}
