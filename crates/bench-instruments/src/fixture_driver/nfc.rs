//! PN532: the field, and tags of type A in it. The crate `pn532` builds and parses the frames; this module waits for
//! them, because other steps must run meanwhile.

use super::{Bus, FixtureDriver, bus_error, implausible};
use crate::{Clock, InstrumentError, NfcReader, NfcTarget};
use async_trait::async_trait;
use bench_plan::Chip;
use embedded_hal::i2c::I2c;
use embedded_hal_bus::i2c::RcDevice;
use pn532::i2c::I2CInterface;
use pn532::requests::{BorrowedRequest, Command};
use pn532::{Error, Interface, Pn532};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Longest data of a command and of an answer; the frame around them takes nine bytes.
const MOST_DATA: usize = 64;
const FRAME: usize = MOST_DATA + 9;
const LOOK: Duration = Duration::from_millis(1);
const ACK_WITHIN: Duration = Duration::from_millis(20);
/// A command that only changes settings.
const SET_WITHIN: Duration = Duration::from_millis(50);
/// With [`TRIES`] for a tag.
const FIND_WITHIN: Duration = Duration::from_millis(200);
const EXCHANGE_WITHIN: Duration = Duration::from_millis(150);
/// From the field to the first command: tags may take 5 ms to start (ISO/IEC 14443-3, 5.1), and the same again as
/// margin.
const FIELD_SETTLE: Duration = Duration::from_millis(10);

/// Mode normal, no time-out, interrupt line unused.
const NORMAL_MODE: [u8; 3] = [1, 0, 0];
/// Items of RFConfiguration (UM0701-02, 7.3.1).
const FIELD: u8 = 0x01;
const RETRIES: u8 = 0x05;
const ANALOG_A: u8 = 0x0A;
/// Retries of two peer requests, which are not used, and further tries to wake a tag.
const TRIES: [u8; 3] = [0, 0, 1];
/// The maker's settings for tags of type A; CIU_CWGsP, the conductance of the driver, is replaced.
const ANALOG_DEFAULTS: [u8; 11] = [0x59, 0xF4, STRONGEST, 0x11, 0x4D, 0x85, 0x61, 0x6F, 0x26, 0x62, 0x87];
const CWGSP: usize = 2;
const STRONGEST: u8 = 0x3F;
/// One target, 106 kbit/s type A.
const ONE_TYPE_A: [u8; 2] = [1, 0];
const FIRST_TARGET: u8 = 1;
/// Errors in the answer of InDataExchange: six bits, 0 for none.
const ERROR_MASK: u8 = 0x3F;

pub(super) struct Reader<I: I2c> {
    id: String,
    address: u8,
    chip: RefCell<Pn532<I2CInterface<RcDevice<I>>, (), FRAME>>,
    /// The chip is configured.
    ready: Cell<bool>,
    /// A command was sent and its answer was not read yet.
    busy: Cell<bool>,
}

impl<I: I2c> Reader<I> {
    /// # Errors
    /// [`InstrumentError::Chip`] if no chip answers at its address.
    pub fn start(bus: &Bus<I>, chip: &Chip) -> Result<Self, InstrumentError> {
        let reader = Self {
            id: chip.id.clone(),
            address: chip.address,
            chip: RefCell::new(Pn532::new_async(I2CInterface { i2c: RcDevice::new(Rc::clone(bus)) })),
            ready: Cell::new(false),
            busy: Cell::new(false),
        };
        reader.abort()?;
        Ok(reader)
    }

    fn failed(&self, what: &str, error: &Error<I::Error>) -> InstrumentError {
        match error {
            Error::InterfaceError(error) => bus_error(&self.id, self.address, error),
            Error::Syntax => implausible(&self.id, format!("it refuses {what}")),
            other => implausible(&self.id, format!("its answer to {what} is damaged ({other:?})")),
        }
    }

    fn abort(&self) -> Result<(), InstrumentError> {
        let aborted = self.chip.borrow_mut().abort();
        aborted.map_err(|error| self.failed("a stop", &error))
    }

    /// Commands the field off without waiting for the answer: for the safe state.
    pub fn order_off(&self) -> Result<(), InstrumentError> {
        if !self.ready.get() {
            return Ok(());
        }
        self.busy.set(true);
        let sent = self.chip.borrow_mut().send(BorrowedRequest::new(Command::RFConfiguration, &[FIELD, 0]));
        sent.map_err(|error| self.failed("its field off", &error))
    }

    async fn wait(&self, clock: &dyn Clock, what: &str, within: Duration) -> Result<(), InstrumentError> {
        let deadline = clock.now() + within;
        loop {
            let ready = self.chip.borrow_mut().interface.wait_ready();
            match ready {
                Poll::Ready(Ok(())) => return Ok(()),
                Poll::Ready(Err(error)) => return Err(bus_error(&self.id, self.address, &error)),
                Poll::Pending if clock.now() >= deadline => {
                    let detail = format!("no answer to {what} within {} ms", within.as_millis());
                    return Err(InstrumentError::Chip { chip: self.id.clone(), detail });
                }
                Poll::Pending => clock.sleep(LOOK).await,
            }
        }
    }

    async fn ask(
        &self,
        clock: &dyn Clock,
        command: Command,
        data: &[u8],
        within: Duration,
    ) -> Result<Vec<u8>, InstrumentError> {
        let what = format!("{command:?}");
        if data.len() > MOST_DATA {
            return Err(InstrumentError::Unsafe(format!("{} bytes with {what} are too many", data.len())));
        }
        // A cancelled step may have left an unread answer.
        if self.busy.replace(true) {
            self.abort()?;
        }
        let failed = |error: Error<I::Error>| self.failed(&what, &error);
        self.chip.borrow_mut().send(BorrowedRequest::new(command, data)).map_err(failed)?;
        self.wait(clock, &what, ACK_WITHIN).await?;
        self.chip.borrow_mut().receive_ack().map_err(failed)?;
        self.wait(clock, &what, within).await?;
        let answer = self.chip.borrow_mut().receive_response(command, MOST_DATA).map(<[u8]>::to_vec);
        let answer = answer.map_err(failed)?;
        self.busy.set(false);
        Ok(answer)
    }

    async fn get_ready(&self, clock: &dyn Clock) -> Result<(), InstrumentError> {
        if self.ready.get() {
            return Ok(());
        }
        self.ask(clock, Command::SAMConfiguration, &NORMAL_MODE, SET_WITHIN).await?;
        let [a, b, c] = TRIES;
        self.ask(clock, Command::RFConfiguration, &[RETRIES, a, b, c], SET_WITHIN).await?;
        self.ready.set(true);
        Ok(())
    }

    async fn set_field(&self, clock: &dyn Clock, strength: u8) -> Result<(), InstrumentError> {
        self.get_ready(clock).await?;
        self.ask(clock, Command::RFConfiguration, &[FIELD, 0], SET_WITHIN).await?;
        if strength > 0 {
            let mut settings = [0; 1 + ANALOG_DEFAULTS.len()];
            settings[0] = ANALOG_A;
            settings[1..].copy_from_slice(&ANALOG_DEFAULTS);
            settings[1 + CWGSP] = strength.min(STRONGEST);
            self.ask(clock, Command::RFConfiguration, &settings, SET_WITHIN).await?;
            self.ask(clock, Command::RFConfiguration, &[FIELD, 1], SET_WITHIN).await?;
            clock.sleep(FIELD_SETTLE).await;
        }
        Ok(())
    }

    async fn find(&self, clock: &dyn Clock) -> Result<Option<NfcTarget>, InstrumentError> {
        let answer = self.ask(clock, Command::InListPassiveTarget, &ONE_TYPE_A, FIND_WITHIN).await?;
        match answer.as_slice() {
            [0, ..] => Ok(None),
            // Number of tags, number of the first, two bytes of its answer to the wake-up.
            [1, FIRST_TARGET, _, _, select_answer, length, rest @ ..] if rest.len() >= usize::from(*length) => {
                Ok(Some(NfcTarget { id: rest[..usize::from(*length)].to_vec(), select_answer: *select_answer }))
            }
            other => Err(implausible(&self.id, format!("it lists tags as {other:02x?}"))),
        }
    }

    async fn exchange(&self, clock: &dyn Clock, command: &[u8]) -> Result<Option<Vec<u8>>, InstrumentError> {
        let data = [&[FIRST_TARGET], command].concat();
        let answer = self.ask(clock, Command::InDataExchange, &data, EXCHANGE_WITHIN).await?;
        match answer.split_first() {
            Some((status, bytes)) if status & ERROR_MASK == 0 => Ok(Some(bytes.to_vec())),
            Some(_) => Ok(None),
            None => Err(implausible(&self.id, "its answer to an exchange is empty".to_owned())),
        }
    }
}

/// A reader that belongs to no fixture, on a bus of its own.
pub struct Pn532Reader<I: I2c> {
    reader: Reader<I>,
    clock: Rc<dyn Clock>,
}

impl<I: I2c> Pn532Reader<I> {
    /// # Errors
    /// [`InstrumentError::Chip`] if no chip answers at this address.
    pub fn start(bus: Rc<RefCell<I>>, address: u8, clock: Rc<dyn Clock>) -> Result<Self, InstrumentError> {
        let chip = Chip { id: "PN532".to_owned(), kind: bench_plan::ChipKind::Pn532, address };
        Ok(Self { reader: Reader::start(&bus, &chip)?, clock })
    }
}

#[async_trait(?Send)]
impl<I: I2c> NfcReader for Pn532Reader<I> {
    fn strongest(&self) -> u8 {
        STRONGEST
    }
    /// Its antenna is where it is held.
    async fn join(&self, _: bool) -> Result<(), InstrumentError> {
        Ok(())
    }
    async fn set_field(&self, strength: u8) -> Result<(), InstrumentError> {
        self.reader.set_field(&*self.clock, strength).await
    }
    async fn find(&self) -> Result<Option<NfcTarget>, InstrumentError> {
        self.reader.find(&*self.clock).await
    }
    async fn exchange(&self, command: &[u8]) -> Result<Option<Vec<u8>>, InstrumentError> {
        self.reader.exchange(&*self.clock, command).await
    }
}

impl<I: I2c> FixtureDriver<I> {
    fn reader(&self) -> Result<&Reader<I>, InstrumentError> {
        self.nfc.as_ref().ok_or(InstrumentError::NoNfcReader)
    }
}

#[async_trait(?Send)]
impl<I: I2c> NfcReader for FixtureDriver<I> {
    fn strongest(&self) -> u8 {
        STRONGEST
    }

    async fn join(&self, on: bool) -> Result<(), InstrumentError> {
        self.reader()?;
        match self.fixture.nfc.and_then(|nfc| nfc.coil) {
            Some(coil) => self.ports.borrow_mut().set_outputs(&[(coil.switch, on)]),
            None => Ok(()),
        }
    }

    async fn set_field(&self, strength: u8) -> Result<(), InstrumentError> {
        self.reader()?.set_field(&*self.clock, strength).await
    }

    async fn find(&self) -> Result<Option<NfcTarget>, InstrumentError> {
        self.reader()?.find(&*self.clock).await
    }

    async fn exchange(&self, command: &[u8]) -> Result<Option<Vec<u8>>, InstrumentError> {
        self.reader()?.exchange(&*self.clock, command).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;
    use bench_plan::ChipKind;
    use embedded_hal::i2c::{ErrorKind, ErrorType, NoAcknowledgeSource, Operation};
    use std::collections::VecDeque;

    const ACK: [u8; 6] = [0, 0, 0xFF, 0, 0xFF, 0];

    /// Returns these frames one after the other, and records what is written.
    #[derive(Default)]
    struct Script {
        frames: VecDeque<Vec<u8>>,
        written: Vec<Vec<u8>>,
        /// No chip answers.
        gone: bool,
    }

    impl ErrorType for Script {
        type Error = ErrorKind;
    }

    impl I2c for Script {
        fn transaction(&mut self, _: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
            if self.gone {
                return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
            }
            match operations {
                [Operation::Write(bytes)] => self.written.push(bytes.to_vec()),
                [Operation::Read(status)] => status.fill(u8::from(!self.frames.is_empty())),
                [Operation::Read(status), Operation::Read(bytes)] => {
                    status.fill(1);
                    let frame = self.frames.pop_front().unwrap_or_default();
                    bytes.iter_mut().zip(frame).for_each(|(place, byte)| *place = byte);
                }
                _ => return Err(ErrorKind::Other),
            }
            Ok(())
        }
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        let length = body.len() as u8;
        [&[0, 0, 0xFF, length, length.wrapping_neg()], body, &[sum.wrapping_neg(), 0]].concat()
    }

    fn reader(frames: &[Vec<u8>]) -> (Reader<Script>, Bus<Script>) {
        let bus = Rc::new(RefCell::new(Script { frames: frames.iter().cloned().collect(), ..Script::default() }));
        let chip = Chip { id: "nfc".to_owned(), kind: ChipKind::Pn532, address: 0x24 };
        (Reader::start(&bus, &chip).unwrap(), bus)
    }

    #[test]
    fn answers_and_unsolicited_messages() {
        let mut damaged = framed(&[0xD5, 0x4B, 0]);
        damaged[6] ^= 1;
        let target = [0xD5, 0x4B, 1, 1, 0x00, 0x44, 0x00, 4, 1, 2, 3, 4];
        type Found = Result<Option<Vec<u8>>, &'static str>;
        let rows: [(&[Vec<u8>], Found); 7] = [
            (&[ACK.to_vec(), framed(&target)], Ok(Some(vec![1, 2, 3, 4]))),
            (&[ACK.to_vec(), framed(&[0xD5, 0x4B, 0])], Ok(None)),
            (&[ACK.to_vec(), framed(&target[..10])], Err("it lists tags as [01, 01, 00, 44, 00, 04, 01, 02]")),
            (&[ACK.to_vec(), damaged], Err("its answer to InListPassiveTarget is damaged")),
            (&[ACK.to_vec(), vec![0, 0, 0xFF, 1, 0xFF, 0x7F, 0x81, 0]], Err("it refuses InListPassiveTarget")),
            (&[ACK.to_vec()], Err("no answer to InListPassiveTarget within 200 ms")),
            (&[], Err("no answer to InListPassiveTarget within 20 ms")),
        ];
        for (frames, expected) in rows {
            let (reader, _) = reader(frames);
            let clock = ManualClock::new();
            let outcome = clock.run(reader.find(&clock)).map(|outcome| outcome.map(|target| target.id));
            match (outcome, expected) {
                (Ok(outcome), Ok(expected)) => assert_eq!(outcome, expected),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}\n{part}"),
                (outcome, expected) => panic!("{outcome:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn a_silent_tag_is_not_an_error_of_the_reader() {
        for (answer, expected) in
            [(&[0xD5, 0x41, 0, 7, 8][..], Some(vec![7, 8])), (&[0xD5, 0x41, 1], None), (&[0xD5, 0x41, 0x42], None)]
        {
            let (reader, bus) = reader(&[ACK.to_vec(), framed(answer)]);
            let clock = ManualClock::new();
            assert_eq!(clock.run(reader.exchange(&clock, &[0x30, 4])), Ok(expected));
            assert_eq!(bus.borrow().written.last(), Some(&framed(&[0xD4, 0x40, 1, 0x30, 4])));
        }
        let (reader, _) = reader(&[]);
        let clock = ManualClock::new();
        let error = clock.run(reader.exchange(&clock, &[0; 64])).unwrap_err();
        assert!(matches!(error, InstrumentError::Unsafe(_)), "{error}");
    }

    #[test]
    fn a_command_that_was_given_up_is_stopped_before_the_next() {
        let (reader, bus) = reader(&[]);
        let clock = ManualClock::new();
        clock.run(reader.find(&clock)).unwrap_err();
        bus.borrow_mut().frames.extend([ACK.to_vec(), framed(&[0xD5, 0x4B, 0])]);
        assert_eq!(clock.run(reader.find(&clock)), Ok(None));
        let list = framed(&[0xD4, 0x4A, 1, 0]);
        assert_eq!(bus.borrow().written, [ACK.to_vec(), list.clone(), ACK.to_vec(), list]);
    }

    #[test]
    fn a_reader_that_is_not_there_is_named() {
        let bus = Rc::new(RefCell::new(Script { gone: true, ..Script::default() }));
        let chip = Chip { id: "nfc".to_owned(), kind: ChipKind::Pn532, address: 0x24 };
        let Err(error) = Reader::start(&bus, &chip) else { panic!("an absent chip answered") };
        assert!(error.to_string().starts_with("nfc does not answer on the I2C bus (address 0x24"), "{error}");
    }
}
