//! Stub for systems that do not run on a controller: nothing opens, so the types are empty and their methods are never
//! called.

use bench_instruments::{EdgeLine, EdgeTrace, InputLine, InstrumentError, OutputLine};
use bench_plan::GpioLine;
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, Operation};
use std::convert::Infallible;

const NO_CONTROLLER: &str = "a fixture is driven by a Raspberry Pi with Linux, not by this computer";

/// Checks whether this program can drive a fixture at all.
///
/// # Errors
/// Always, with the reason.
pub fn supported() -> Result<(), &'static str> {
    Err(NO_CONTROLLER)
}

fn refused() -> InstrumentError {
    InstrumentError::Gpio(NO_CONTROLLER.to_owned())
}

pub struct PiGpio(Infallible);

impl PiGpio {
    /// # Errors
    /// Always.
    pub fn open() -> Result<Self, InstrumentError> {
        Err(refused())
    }

    /// # Errors
    /// Never reached.
    pub fn input(&self, _line: GpioLine) -> Result<PiInput, InstrumentError> {
        match self.0 {}
    }

    /// # Errors
    /// Never reached.
    pub fn output(&self, _line: GpioLine) -> Result<PiOutput, InstrumentError> {
        match self.0 {}
    }

    /// # Errors
    /// Never reached.
    pub fn edge_line(&self, _gpio: u8) -> Result<PiEdgeLine, InstrumentError> {
        match self.0 {}
    }
}

pub struct PiInput(Infallible);

impl InputLine for PiInput {
    fn is_active(&self) -> Result<bool, InstrumentError> {
        match self.0 {}
    }
}

pub struct PiOutput(Infallible);

impl OutputLine for PiOutput {
    fn set(&self, _active: bool) -> Result<(), InstrumentError> {
        match self.0 {}
    }
}

pub struct PiEdgeLine(Infallible);

impl EdgeLine for PiEdgeLine {
    fn begin(&self) -> Result<(), InstrumentError> {
        match self.0 {}
    }
    fn end(&self) -> Result<EdgeTrace, InstrumentError> {
        match self.0 {}
    }
}

pub struct PiI2c(Infallible);

impl PiI2c {
    /// # Errors
    /// Always.
    pub fn open(_number: u8) -> Result<Self, InstrumentError> {
        Err(refused())
    }
}

impl ErrorType for PiI2c {
    type Error = ErrorKind;
}

impl I2c for PiI2c {
    fn transaction(&mut self, _address: u8, _operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        match self.0 {}
    }
}
