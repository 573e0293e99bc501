//! Through a third-party driver, against a minimal tag.

use super::Pn532;
use crate::chips::testing::OneChip;
use embedded_hal::i2c::I2c;
use pn532::i2c::I2CInterface;
use pn532::requests::{BorrowedRequest, Command, SAMMode};
use pn532::{CountDown, Error, Request, nb};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use virtual_nrf52840::NfcFrame;

const ADDRESS: u8 = 0x24;
const ID: [u8; 7] = [0x5F, 1, 2, 3, 4, 5, 6];

/// Answer of a tag to a frame of the reader.
fn tag(frame: &NfcFrame) -> Option<NfcFrame> {
    let part = |bytes: [u8; 4]| {
        let check = bytes.iter().fold(0, |sum, byte| sum ^ byte);
        NfcFrame::plain(&[&bytes[..], &[check]].concat())
    };
    match frame.bytes.as_slice() {
        [0x26] => Some(NfcFrame::plain(&[0x44, 0x00])),
        [0x93, 0x20] => Some(part([0x88, ID[0], ID[1], ID[2]])),
        [0x95, 0x20] => Some(part([ID[3], ID[4], ID[5], ID[6]])),
        [0x93, 0x70, ..] => Some(NfcFrame::with_crc(&[0x04])),
        [0x95, 0x70, ..] => Some(NfcFrame::with_crc(&[0x00])),
        [0x30, block, ..] => Some(NfcFrame::with_crc(&[*block; 16])),
        [0x60, ..] => Some(NfcFrame::plain(&[0xAB; 16])),
        _ => None,
    }
}

/// Lets a millisecond pass per poll, with or without a tag in the field.
struct Clock {
    chip: Rc<RefCell<Pn532>>,
    now_ns: Rc<Cell<u64>>,
    ends_ns: u64,
    has_tag: bool,
}

impl Clock {
    fn pass(&mut self, until_ns: u64) {
        let mut chip = self.chip.borrow_mut();
        while let Some(at) = chip.next_event_ns().filter(|at| *at <= until_ns) {
            let sent = chip.act(at);
            // An answer takes half a millisecond.
            if let Some(answer) = sent.filter(|_| self.has_tag).as_ref().and_then(tag) {
                chip.hear(&answer, at + 500_000);
            }
        }
        self.now_ns.set(until_ns);
    }
}

impl CountDown for Clock {
    type Time = u64;
    fn start<T: Into<u64>>(&mut self, ms: T) {
        self.ends_ns = self.now_ns.get() + ms.into() * 1_000_000;
    }
    fn wait(&mut self) -> nb::Result<(), Infallible> {
        self.pass(self.now_ns.get() + 1_000_000);
        if self.now_ns.get() >= self.ends_ns { Ok(()) } else { Err(nb::Error::WouldBlock) }
    }
}

type Driver = pn532::Pn532<I2CInterface<OneChip<Pn532>>, Clock, 64>;

fn driver(has_tag: bool) -> Driver {
    let bus = OneChip::new(ADDRESS, Pn532::default());
    let clock = Clock { chip: Rc::clone(&bus.device), now_ns: Rc::clone(&bus.now_ns), ends_ns: 0, has_tag };
    pn532::Pn532::new(I2CInterface { i2c: bus }, clock)
}

fn ask(driver: &mut Driver, command: Command, data: &[u8]) -> Result<Vec<u8>, Error<embedded_hal::i2c::ErrorKind>> {
    driver.process(BorrowedRequest::new(command, data), 32, 300_u64).map(<[u8]>::to_vec)
}

fn awake(has_tag: bool) -> Driver {
    let mut driver = driver(has_tag);
    assert_eq!(driver.process(&Request::GET_FIRMWARE_VERSION, 4, 50_u64), Ok(&[0x32, 1, 6, 7][..]));
    assert_eq!(driver.process(&Request::sam_configuration(SAMMode::Normal, false), 0, 50_u64), Ok(&[][..]));
    assert_eq!(ask(&mut driver, Command::RFConfiguration, &[5, 0, 0, 1]), Ok(Vec::new()));
    driver
}

#[test]
fn a_tag_is_found_read_and_released() {
    let mut driver = awake(true);
    let found = ask(&mut driver, Command::InListPassiveTarget, &[1, 0]).unwrap();
    assert_eq!(found, [&[1, 1, 0x00, 0x44, 0x00, 7][..], &ID].concat());
    let read = ask(&mut driver, Command::InDataExchange, &[1, 0x30, 4]).unwrap();
    assert_eq!(read, [&[0][..], &[4; 16]].concat());
    let rows: [(&[u8], &[u8]); 3] = [(&[1, 0x31], &[1]), (&[1, 0x60], &[2]), (&[2, 0x30, 4], &[0x27])];
    for (data, answer) in rows {
        assert_eq!(ask(&mut driver, Command::InDataExchange, data).unwrap(), answer, "{data:02x?}");
    }
    assert_eq!(ask(&mut driver, Command::InCommunicateThru, &[0x30, 9]).unwrap(), [&[0][..], &[9; 16]].concat());
    assert_eq!(ask(&mut driver, Command::InRelease, &[0]).unwrap(), [0]);
    assert_eq!(ask(&mut driver, Command::InDataExchange, &[1, 0x30, 4]).unwrap(), [0x27], "released");
}

#[test]
fn without_a_tag_or_without_a_field() {
    let mut driver = awake(false);
    assert_eq!(ask(&mut driver, Command::InListPassiveTarget, &[1, 0]).unwrap(), [0]);
    assert_eq!(ask(&mut driver, Command::InCommunicateThru, &[0x30, 4]).unwrap(), [1], "no answer");
    assert_eq!(ask(&mut driver, Command::RFConfiguration, &[1, 0]), Ok(Vec::new()));
    assert_eq!(ask(&mut driver, Command::InCommunicateThru, &[0x30, 4]).unwrap(), [1], "no field");
}

#[test]
fn the_field_follows_the_drivers_conductance() {
    let mut driver = awake(false);
    let chip = Rc::clone(&driver.timer.chip);
    let mut last = 1.0;
    for steps in [63, 20, 5, 0] {
        let settings = [0x59, 0xF4, steps, 0x11, 0x4D, 0x85, 0x61, 0x6F, 0x26, 0x62, 0x87];
        assert_eq!(ask(&mut driver, Command::RFConfiguration, &[&[0x0A][..], &settings].concat()), Ok(Vec::new()));
        ask(&mut driver, Command::RFConfiguration, &[1, 1]).unwrap();
        let field = chip.borrow().field();
        assert!(field < last, "{steps}: {field}");
        last = field;
        ask(&mut driver, Command::RFConfiguration, &[1, 0]).unwrap();
        assert_eq!(chip.borrow().field(), 0.0);
    }
    assert_eq!(last, 0.0);
    assert_eq!(ask(&mut driver, Command::WriteRegister, &[0x63, 0x18, 20, 0x63, 0x01, 7]), Ok(Vec::new()));
    assert_eq!(ask(&mut driver, Command::ReadRegister, &[0x63, 0x18, 0x63, 0x01]).unwrap(), [20, 7]);
}

#[test]
fn commands_that_it_does_not_know_and_damaged_frames() {
    let mut driver = driver(true);
    // In low-battery mode, before SAMConfiguration.
    assert_eq!(ask(&mut driver, Command::InListPassiveTarget, &[1, 0]), Err(Error::Syntax));
    let mut driver = awake(true);
    for (command, data) in
        [(Command::TgInitAsTarget, &[][..]), (Command::RFConfiguration, &[0x0A, 1]), (Command::WriteRegister, &[1])]
    {
        assert_eq!(ask(&mut driver, command, data), Err(Error::Syntax), "{command:?}");
    }
    // Each damaged in one place, none is acknowledged.
    let good = [0x00, 0x00, 0xFF, 0x02, 0xFE, 0xD4, 0x02, 0x2A, 0x00];
    for place in [1, 3, 4, 5, 6, 7] {
        let mut frame = good;
        frame[place] ^= 0x01;
        driver.interface.i2c.write(ADDRESS, &frame).unwrap();
        driver.timer.pass(driver.timer.now_ns.get() + 100_000_000);
        let mut status = [0xEE];
        driver.interface.i2c.read(ADDRESS, &mut status).unwrap();
        assert_eq!(status, [0], "byte {place}");
    }
    driver.interface.i2c.write(ADDRESS, &good).unwrap();
    driver.timer.pass(driver.timer.now_ns.get() + 1_000_000);
    let mut bytes = [0; 7];
    driver.interface.i2c.read(ADDRESS, &mut bytes).unwrap();
    assert_eq!(bytes, [1, 0, 0, 0xFF, 0, 0xFF, 0], "acknowledge");
    let mut answer = [0; 14];
    driver.interface.i2c.read(ADDRESS, &mut answer).unwrap();
    assert_eq!(answer[..8], [1, 0, 0, 0xFF, 6, 0xFA, 0xD5, 3]);
    // Repeated for a host that did not understand.
    driver.interface.i2c.write(ADDRESS, &[0x00, 0x00, 0xFF, 0xFF, 0x00, 0x00]).unwrap();
    let mut again = [0; 14];
    driver.interface.i2c.read(ADDRESS, &mut again).unwrap();
    assert_eq!(again, answer);
}

#[test]
fn a_command_can_be_given_up() {
    let mut driver = driver(false);
    ask(&mut driver, Command::SAMConfiguration, &[1, 0, 0]).unwrap();
    // Searches for tags forever.
    assert_eq!(ask(&mut driver, Command::InListPassiveTarget, &[1, 0]), Err(Error::TimeoutResponse));
    driver.abort().unwrap();
    driver.timer.pass(driver.timer.now_ns.get() + 100_000_000);
    assert_eq!(driver.timer.chip.borrow().next_event_ns(), None);
    assert_eq!(driver.process(&Request::GET_FIRMWARE_VERSION, 4, 50_u64), Ok(&[0x32, 1, 6, 7][..]));
}
