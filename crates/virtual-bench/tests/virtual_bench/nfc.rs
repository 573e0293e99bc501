//! The firmware's NFC tag through the driver of the fixture's reader.

use crate::hands::{run, setup};
use bench_instruments::{FixtureDriver, LinkRelay, NfcReader, Rails};
use dut_protocol::{NfcStatus, Refusal, Reply, Request, TAG_DATA, TAG_READ};
use ndef_rs::{NdefMessage, TNF};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const NONCE: u64 = 0x0123_4567_89AB_CDEF;
const START: Request = Request::StartNfc { nonce: NONCE };

/// Contents of the tag, if the reader finds one.
async fn read(reader: &impl NfcReader) -> Option<Vec<u8>> {
    let tag = reader.find().await.unwrap()?;
    assert_eq!((tag.id.len(), tag.id[0], tag.select_answer), (7, 0x5F, 0x00), "{tag:?}");
    let mut memory = Vec::new();
    for block in [0, 4, 8] {
        memory.extend(reader.exchange(&[TAG_READ, block]).await.unwrap()?);
    }
    Some(memory)
}

/// Contents of the only record of a tag's message, by a third-party parser.
fn payload(data: &[u8]) -> Vec<u8> {
    let [0x03, length, rest @ ..] = data else { panic!("no message: {data:02x?}") };
    let message = NdefMessage::decode(&rest[..usize::from(*length)]).unwrap();
    let [record] = message.records() else { panic!("{message:?}") };
    assert_eq!((record.tnf(), record.record_type()), (TNF::WellKnown, &b"T"[..]));
    record.payload().to_vec()
}

#[test]
fn a_reader_finds_the_tag_and_reads_the_number() {
    // (faults, joined, found, what the firmware has seen)
    let seen = |field, selected, commands| NfcStatus { field, selected, commands };
    let rows: [(&[&str], bool, bool, NfcStatus); 7] = [
        (&[], true, true, seen(true, 1, 3)),
        (&[], false, false, seen(false, 0, 0)),
        (&["swap:17-19"], true, true, seen(true, 1, 3)),
        (&["open:17"], true, false, seen(false, 0, 0)),
        (&["short:17-19"], true, false, seen(false, 0, 0)),
        (&["nfc-antenna"], true, false, seen(false, 0, 0)),
        (&["nfc-dead"], true, false, seen(true, 0, 0)),
    ];
    for (faults, joined, found, status) in rows {
        let setup = setup("b404x", faults, 1);
        let bus = Rc::new(RefCell::new(setup.bench.i2c()));
        let clock = setup.bench.clock();
        let driver = FixtureDriver::start(&setup.hands.fixture, bus, Rc::clone(&clock), Rc::new(|_| ())).unwrap();
        let mut hands = setup.hands.clone();
        run(&setup, async {
            for rail in ["3V3", "VCC"] {
                driver.clear_for_power(rail, 1e3).unwrap();
                driver.on(rail).await.unwrap();
            }
            clock.sleep(Duration::from_millis(20)).await;
            driver.set_loopback(false).await.unwrap();
            clock.sleep(Duration::from_millis(20)).await;
            hands.hello().await.unwrap();
            assert_eq!(hands.ask(10, &START).await, Some(Reply::Done));
            driver.join(joined).await.unwrap();
            driver.set_field(driver.strongest()).await.unwrap();
            let memory = read(&driver).await;
            assert_eq!(memory.is_some(), found, "{faults:?}, joined {joined}");
            if let Some(memory) = memory {
                assert_eq!(payload(&memory[TAG_DATA..]), b"\x02endut 0123456789abcdef");
            }
            assert_eq!(hands.ask(11, &Request::ReadNfc).await, Some(Reply::Nfc(status)), "{faults:?}, joined {joined}");
            // Unknown commands are not answered, and the tag continues to work.
            if found {
                assert_eq!(driver.exchange(&[0x60]).await.unwrap(), None);
                assert!(driver.exchange(&[TAG_READ, 0]).await.unwrap().is_some(), "{faults:?}");
            }
            // Another number without a stop, and after the stop nothing.
            assert_eq!(hands.ask(12, &Request::StartNfc { nonce: 7 }).await, Some(Reply::Done));
            driver.set_field(driver.strongest()).await.unwrap();
            assert_eq!(read(&driver).await.is_some(), found, "{faults:?}");
            assert_eq!(hands.ask(13, &Request::StopNfc).await, Some(Reply::Done));
            driver.set_field(driver.strongest()).await.unwrap();
            assert_eq!(driver.find().await.unwrap(), None, "{faults:?}: stopped");
            // The safe state takes the field and the antenna off.
            driver.all_off().await.unwrap();
        });
        assert_eq!(setup.bench.diagnostics(), Vec::<String>::new(), "{faults:?}");
    }
}

#[test]
fn pads_that_are_ports_are_refused() {
    let setup = setup("b404x", &["nfc-as-ports"], 1);
    let mut hands = setup.hands.clone();
    run(&setup, async {
        hands.power_up().await;
        hands.hello().await.unwrap();
        assert_eq!(hands.ask(10, &START).await, Some(Reply::Refused(Refusal::NfcPadsArePorts)));
        assert_eq!(hands.ask(11, &Request::ReadNfc).await, Some(Reply::Nfc(NfcStatus::default())));
    });
}

#[test]
fn a_fixture_without_a_reader_is_an_error() {
    let setup = setup("b404x", &[], 1);
    let fixture = bench_plan::Fixture { nfc: None, ..(*setup.hands.fixture).clone() };
    let bus = Rc::new(RefCell::new(setup.bench.i2c()));
    let driver = FixtureDriver::start(&fixture, bus, setup.bench.clock(), Rc::new(|_| ())).unwrap();
    run(&setup, async {
        let error = driver.find().await.unwrap_err();
        assert_eq!(error, bench_instruments::InstrumentError::NoNfcReader);
    });
}
