//! An I2C bus of the Pi.

use bench_instruments::{InstrumentError, how_to_be_allowed};
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use rppal::i2c::Error;

/// Linux error numbers of the bus driver (include/uapi/asm-generic/errno.h).
const EIO: i32 = 5;
const ENXIO: i32 = 6;
const EBUSY: i32 = 16;
const EREMOTEIO: i32 = 121;
const ETIMEDOUT: i32 = 110;
const EAGAIN: i32 = 11;

/// One bus, `/dev/i2c-<number>`.
///
/// Consecutive operations of one direction are one transfer, and a read after a write begins with a repeated start, as
/// `embedded-hal` requires. `rppal`'s own implementation of the trait makes one transfer per operation, which loses the
/// frame of a PN532: its status byte and frame must be read in one transfer.
pub struct PiI2c {
    bus: rppal::i2c::I2c,
}

impl PiI2c {
    /// # Errors
    /// [`InstrumentError::Gpio`]; the message says what to enable or which group to join.
    pub fn open(number: u8) -> Result<Self, InstrumentError> {
        let device = format!("/dev/i2c-{number}");
        let bus = rppal::i2c::I2c::with_bus(number).map_err(|error| {
            let help = match &error {
                Error::Io(io) if io.kind() == std::io::ErrorKind::NotFound => {
                    "switch it on: `dtparam=i2c_arm=on,i2c_arm_baudrate=400000` in config.txt, `i2c-dev` in /etc/modules, \
                     then restart"
                        .to_owned()
                }
                Error::Io(io) if io.kind() == std::io::ErrorKind::PermissionDenied => how_to_be_allowed(&device),
                _ => "is this a Raspberry Pi?".to_owned(),
            };
            InstrumentError::Gpio(format!("{device} cannot be opened ({error}): {help}"))
        })?;
        Ok(Self { bus })
    }
}

impl ErrorType for PiI2c {
    type Error = ErrorKind;
}

impl I2c for PiI2c {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        let kind = |error: Error| kind_of(&error);
        self.bus.set_slave_address(u16::from(address)).map_err(kind)?;
        let mut rest = operations;
        while !rest.is_empty() {
            let (written, behind) = take_writes(rest);
            let (mut into, behind) = take_reads(behind);
            rest = behind;
            let mut read = vec![0; into.iter().map(|buffer| buffer.len()).sum()];
            match (written.is_empty(), read.is_empty()) {
                (true, true) => {}
                (false, true) => whole(self.bus.write(&written).map_err(kind)?, written.len())?,
                (true, false) => whole(self.bus.read(&mut read).map_err(kind)?, read.len())?,
                (false, false) => self.bus.write_read(&written, &mut read).map_err(kind)?,
            }
            let mut left = read.as_slice();
            for buffer in &mut into {
                let (head, tail) = left.split_at(buffer.len());
                buffer.copy_from_slice(head);
                left = tail;
            }
        }
        Ok(())
    }
}

/// Joins the leading write operations into one transfer.
fn take_writes<'a, 'b>(mut rest: &'a mut [Operation<'b>]) -> (Vec<u8>, &'a mut [Operation<'b>]) {
    let mut bytes = Vec::new();
    while let [Operation::Write(piece), ..] = rest {
        bytes.extend_from_slice(piece);
        rest = rest.split_at_mut(1).1;
    }
    (bytes, rest)
}

/// The same for read operations.
fn take_reads<'a, 'b>(operations: &'a mut [Operation<'b>]) -> (Vec<&'a mut [u8]>, &'a mut [Operation<'b>]) {
    let reads = operations.iter().take_while(|operation| matches!(operation, Operation::Read(_))).count();
    let (reads, rest) = operations.split_at_mut(reads);
    let buffers = reads.iter_mut().filter_map(|operation| match operation {
        Operation::Read(buffer) => Some(&mut **buffer),
        Operation::Write(_) => None,
    });
    (buffers.collect(), rest)
}

/// The kernel may transfer less than requested.
fn whole(done: usize, asked: usize) -> Result<(), ErrorKind> {
    if done == asked { Ok(()) } else { Err(ErrorKind::Other) }
}

/// Translates the error number of the bus driver. A missing acknowledge is EREMOTEIO on the Pi, ENXIO or EIO on others;
/// a line held low is ETIMEDOUT or EBUSY.
fn kind_of(error: &Error) -> ErrorKind {
    let Error::Io(error) = error else { return ErrorKind::Other };
    match error.raw_os_error() {
        Some(EREMOTEIO | ENXIO | EIO) => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown),
        Some(ETIMEDOUT | EBUSY) => ErrorKind::Bus,
        Some(EAGAIN) => ErrorKind::ArbitrationLoss,
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn operations_of_one_direction_are_one_transfer() {
        let (mut a, mut b, mut c) = ([0; 2], [0; 3], [0; 1]);
        let mut operations = [
            Operation::Write(&[1, 2]),
            Operation::Write(&[3]),
            Operation::Read(&mut a),
            Operation::Read(&mut b),
            Operation::Write(&[4]),
            Operation::Read(&mut c),
        ];
        let (written, rest) = take_writes(&mut operations);
        assert_eq!(written, [1, 2, 3]);
        let (into, rest) = take_reads(rest);
        assert_eq!(into.iter().map(|buffer| buffer.len()).collect::<Vec<_>>(), [2, 3]);
        let (written, rest) = take_writes(rest);
        let (into, rest) = take_reads(rest);
        assert_eq!((written, into.len(), rest.len()), (vec![4], 1, 0));
    }

    #[test]
    fn the_drivers_error_numbers_are_distinguished() {
        let missing = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown);
        for (number, expected) in [
            (EREMOTEIO, missing),
            (ENXIO, missing),
            (EIO, missing),
            (ETIMEDOUT, ErrorKind::Bus),
            (EBUSY, ErrorKind::Bus),
            (EAGAIN, ErrorKind::ArbitrationLoss),
            (1, ErrorKind::Other),
        ] {
            assert_eq!(kind_of(&Error::Io(io::Error::from_raw_os_error(number))), expected, "{number}");
        }
        assert_eq!(kind_of(&Error::UnknownModel), ErrorKind::Other);
    }
}
