//! The steps in which the module talks to the fixture's memories, and to the bench at several rates, against doubles.

use crate::bed::{Answers, Setup, To, Wiring, silent};
use crate::plans::World;
use crate::steps::{step, story};
use bench_instruments::DutError;
use dut_protocol::{I2cMasterRequest, I2cOutcome, Refusal, Reply, Request, SpiMasterRequest};
use std::cell::RefCell;
use std::collections::BTreeMap;

pub const SPI: &str = "kind = 'spi-memory'\npeer = 'fram-spi'\nfrequencies = ['1 MHz', '16 MHz']\nsupply = '3V3'";
pub const I2C: &str = "kind = 'i2c-memory'\npeer = 'eeprom-i2c'\nfrequencies = ['100 kHz', '400 kHz']\nsupply = '3V3'\n\
    pull_up = { min = '4.4 kohm', max = '5 kohm' }";
pub const UART: &str = "kind = 'uart-flow'\nbauds = [115200, 1000000]\nsupply = '3V3'";

const ID: [u8; 9] = [0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0xC2, 0x22, 0x08];

thread_local! {
    /// Content by address; every memory returns what was written.
    static MEMORY: RefCell<BTreeMap<u16, u8>> = RefCell::default();
}

/// Returns what a part receives that samples at the edge at which the master changes its data.
fn a_bit_late(sent: &[u8]) -> Vec<u8> {
    let before = [&0].into_iter().chain(sent);
    sent.iter().zip(before).map(|(byte, before)| byte >> 1 | before << 7).collect()
}

fn written(place: &[u8], bytes: &[u8]) {
    let first = u16::from_be_bytes([place[0], place[1]]);
    MEMORY.with_borrow_mut(|memory| memory.extend((first..).zip(bytes.iter().copied())));
}

fn read(place: &[u8], count: u8) -> Vec<u8> {
    let first = u16::from_be_bytes([place[0], place[1]]);
    let at = |n: u8| first + u16::from(n);
    MEMORY.with_borrow(|memory| (0..count).map(|n| memory.get(&at(n)).copied().unwrap_or(0xA5)).collect())
}

fn bytes(bytes: Vec<u8>) -> Result<Reply, DutError> {
    Ok(Reply::Bytes(bytes.into_iter().collect()))
}

fn fram(request: &SpiMasterRequest) -> Vec<u8> {
    let heard = if request.mode == 1 { a_bit_late(&request.write) } else { request.write.to_vec() };
    match heard.as_slice() {
        [0x9F] => ID.to_vec(),
        [0x03, high, low] => read(&[*high, *low], request.read),
        [0x02, high, low, data @ ..] => {
            written(&[*high, *low], data);
            Vec::new()
        }
        _ => vec![0; request.read.into()],
    }
}

fn eeprom(request: &I2cMasterRequest) -> I2cOutcome {
    match request.write.as_slice() {
        place @ [_, _] => I2cOutcome::Done(read(place, request.read).into_iter().collect()),
        [high, low, data @ ..] => {
            written(&[*high, *low], data);
            I2cOutcome::Done(Default::default())
        }
        _ => I2cOutcome::AddressNack,
    }
}

fn good(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::SpiMaster(spi) => bytes(fram(spi)),
        Request::I2cMaster(i2c) => Ok(Reply::I2c(eeprom(i2c))),
        Request::Echo { bytes: sent } => bytes(sent.to_vec()),
        Request::ApplyVector(vector) => Ok(Reply::Levels(vector.high)),
        Request::ReadPorts => Ok(Reply::Levels(Default::default())),
        _ => Ok(Reply::Done),
    }
}

/// Does not clock.
fn dead(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::SpiMaster(_) => Err(DutError::Refused(Refusal::NotRunning)),
        other => good(other),
    }
}

fn without_memory(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::SpiMaster(spi) => bytes(vec![0; spi.read.into()]),
        Request::I2cMaster(_) => Ok(Reply::I2c(I2cOutcome::AddressNack)),
        other => good(other),
    }
}

/// What is written in one mode is received as in another.
fn no_polarity(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::SpiMaster(spi) => bytes(fram(&SpiMasterRequest { mode: spi.mode & 1, ..spi.clone() })),
        other => good(other),
    }
}

fn slow(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::SpiMaster(spi) if spi.kilohertz > 8_000 => bytes(fram(spi).iter().map(|byte| byte << 1).collect()),
        Request::I2cMaster(i2c) if i2c.kilohertz > 100 && i2c.read > 0 => {
            Ok(Reply::I2c(I2cOutcome::Done([0xFF; 32].into_iter().collect())))
        }
        Request::Echo { bytes: sent } => bytes(sent.iter().map(|byte| byte & 0xFE).collect()),
        other => good(other),
    }
}

fn lost(_: &Request) -> Result<Reply, DutError> {
    Err(silent())
}

fn powered(answers: Answers, wiring: Wiring) -> Setup {
    Setup { powered: true, answers, wiring, ..Setup::default() }
}

#[test]
fn defects_of_buses_and_memories_are_diagnosed() {
    let world = World::new();
    let nothing = Wiring::default;
    let pulled_up = || Wiring { loaded_volts: vec![(20, 3.3), (22, 3.3)], ..Wiring::default() };
    let held = || Wiring { joints: vec![(22, To::Ground, 0.0)], loaded_volts: vec![(20, 3.3)], ..Wiring::default() };
    let rows: [(&str, Answers, Wiring, &str); 13] = [
        (SPI, good, nothing(), "ok"),
        (SPI, dead, nothing(), "dut: SPIM3 of the MCU, the master of SPI, does not clock"),
        (SPI, without_memory, nothing(), "contact 54 (SCK): open or held low, the level of port P1.15 does not reach"),
        (SPI, no_polarity, nothing(), "SPI (SPIM3): bits are wrong in mode 3, although"),
        (SPI, slow, nothing(), "SPI (SPIM3): bits are wrong at 16.00 MHz, although"),
        (SPI, lost, nothing(), "dut: the module does not answer"),
        (I2C, good, nothing(), "bench: eeprom-i2c holds SDA and SCL low, or its pull-up is missing"),
        (I2C, good, held(), "dut: contact 22 (D0), SDA of Wire: held low, 0.00 V: the bus is stuck"),
        (I2C, good, pulled_up(), "ok\ncontact 22 (D0), SDA of Wire: pulled up through 0"),
        (I2C, slow, pulled_up(), "Wire (TWIM0): bits are wrong at 400 kHz, although the memory acknowledges"),
        (I2C, without_memory, pulled_up(), "contact 20 (D1), SCL of Wire: open or held low"),
        (UART, good, nothing(), "ok\ncontact 42 (D2), RTS of Serial1: RTS stays low although"),
        (UART, slow, nothing(), "bits came back wrong at 1000000 baud"),
    ];
    for (text, answers, wiring, expected) in rows {
        MEMORY.take();
        let ran = step(&world, text, powered(answers, wiring));
        let report = story(&ran);
        assert!(
            if expected == "ok" { report == "ok" } else { report.contains(expected) },
            "{text}\n{expected}\n{report}"
        );
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{text}: {report}");
        let kept = MEMORY.take();
        let restored = kept.values().all(|byte| *byte == 0xA5);
        assert!(text != SPI || expected != "ok" || restored && !kept.is_empty(), "what the F-RAM held is back");
    }
}

#[test]
fn a_failing_instrument_leaves_nothing_joined() {
    let world = World::new();
    let wiring = || Wiring { loaded_volts: vec![(20, 3.3), (22, 3.3)], ..Wiring::default() };
    for (text, answers) in
        [(SPI, good as Answers), (SPI, without_memory), (I2C, good), (I2C, without_memory), (UART, good)]
    {
        let calls = step(&world, text, powered(answers, wiring())).bed.calls();
        assert!(calls > 5, "{text}");
        for failing in 0..calls {
            let ran = step(&world, text, Setup { failing_call: Some(failing), ..powered(answers, wiring()) });
            let report = story(&ran);
            assert!(report.starts_with("bench: io0 does not answer"), "{text}\ncall {failing} of {calls}: {report}");
            assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{text}\ncall {failing}");
        }
    }
}

#[test]
fn buses_that_are_not_there_are_refused() {
    let world = World::new();
    let rows = [
        (SPI.replace("fram-spi", "flash"), "the fixture has no part `flash` for the module to talk to"),
        (SPI.replace("fram-spi", "eeprom-i2c"), "`eeprom-i2c` is no SPI memory"),
        (I2C.replace("eeprom-i2c", "fram-spi1"), "`fram-spi1` is no I2C memory"),
        (SPI.replace("16 MHz", "5 MHz"), "SPIM3 has no clock of 5.000 MHz"),
        (SPI.replace("fram-spi", "fram-spi1"), "SPIM2 has no clock of 16.00 MHz"),
        (format!("{SPI}\nmodes = [0, 4]"), "4 is not an SPI mode"),
        (format!("{SPI}\nmodes = [0, 0]"), "is listed twice"),
        (I2C.replace("400 kHz", "1 MHz"), "TWIM0 has no clock of"),
        (UART.replace("115200", "9600"), "9600 baud is not a rate of the firmware"),
        (SPI.replace("3V3", "VCC"), "the rail VCC carries 3.8 V"),
    ];
    for (text, expected) in rows {
        let problem = world.check(&text).err().unwrap_or_else(|| panic!("{text} was accepted")).to_string();
        assert!(problem.contains(expected), "{text}\n{problem}");
    }
}
