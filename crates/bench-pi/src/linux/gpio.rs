//! The Pi's pins.

use super::PiEdgeLine;
use bench_instruments::{InputLine, InstrumentError, OutputLine, how_to_be_allowed};
use bench_plan::GpioLine;
use rppal::gpio::{Error, Gpio, InputPin, Level, OutputPin};
use std::cell::RefCell;

/// All pins of the Pi. Each can be taken once.
pub struct PiGpio {
    gpio: Gpio,
}

impl PiGpio {
    /// # Errors
    /// [`InstrumentError::Gpio`]: this is not a Pi, or access to its pins is denied. The message says what to do.
    pub fn open() -> Result<Self, InstrumentError> {
        let gpio = Gpio::new().map_err(|error| match &error {
            Error::UnknownModel => InstrumentError::Gpio(
                "this computer is not a Raspberry Pi that the bench supports: run it on the controller".into(),
            ),
            Error::PermissionDenied(device) => {
                InstrumentError::Gpio(format!("{device}: not allowed; {}", how_to_be_allowed(device)))
            }
            _ => InstrumentError::Gpio(format!(
                "they cannot be opened ({error}): the bench needs /dev/gpiomem and /dev/gpiochip0 of Raspberry Pi OS"
            )),
        })?;
        Ok(Self { gpio })
    }

    /// Takes an input. An active-low line gets the Pi's pull-up, an active-high line its pull-down, so that an
    /// unplugged cable reads as inactive.
    ///
    /// # Errors
    /// [`InstrumentError::Gpio`] for a pin that does not exist or is taken.
    pub fn input(&self, line: GpioLine) -> Result<PiInput, InstrumentError> {
        let pin = self.take(line.gpio)?;
        let pin = if line.active_low { pin.into_input_pullup() } else { pin.into_input_pulldown() };
        Ok(PiInput { pin, active_low: line.active_low })
    }

    /// Takes an output, inactive at first.
    ///
    /// # Errors
    /// As [`PiGpio::input`].
    pub fn output(&self, line: GpioLine) -> Result<PiOutput, InstrumentError> {
        let pin = self.take(line.gpio)?;
        // Sets the level before the pin becomes an output, so that no lamp flashes.
        let pin = if line.active_low { pin.into_output_high() } else { pin.into_output_low() };
        Ok(PiOutput { pin: RefCell::new(pin), active_low: line.active_low })
    }

    /// Takes the input behind the Schmitt buffer of the measure bus.
    ///
    /// # Errors
    /// As [`PiGpio::input`].
    pub fn edge_line(&self, gpio: u8) -> Result<PiEdgeLine, InstrumentError> {
        Ok(PiEdgeLine::new(self.take(gpio)?.into_input(), gpio))
    }

    fn take(&self, gpio: u8) -> Result<rppal::gpio::Pin, InstrumentError> {
        self.gpio.get(gpio).map_err(|error| {
            let why = match error {
                Error::PinUsed(_) => "it is used twice: check the fixture and station files".to_owned(),
                Error::PinNotAvailable(_) => "this controller has no such pin".to_owned(),
                other => other.to_string(),
            };
            InstrumentError::Gpio(format!("GPIO {gpio}: {why}"))
        })
    }
}

/// An input with its active level.
pub struct PiInput {
    pin: InputPin,
    active_low: bool,
}

impl InputLine for PiInput {
    fn is_active(&self) -> Result<bool, InstrumentError> {
        Ok((self.pin.read() == Level::Low) == self.active_low)
    }
}

/// An output with its active level. Dropped, it becomes an input again.
pub struct PiOutput {
    pin: RefCell<OutputPin>,
    active_low: bool,
}

impl OutputLine for PiOutput {
    fn set(&self, active: bool) -> Result<(), InstrumentError> {
        let level = if active == self.active_low { Level::Low } else { Level::High };
        self.pin.borrow_mut().write(level);
        Ok(())
    }
}
