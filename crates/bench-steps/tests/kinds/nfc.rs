//! `nfc` against doubles of reader and tag.

use crate::bed::{Setup, TagDouble};
use crate::plans::World;
use crate::steps::{good, refusing, step, story};
use bench_instruments::DutError;
use dut_protocol::{NfcStatus, Refusal, Reply, Request};

pub const NFC: &str = "kind = 'nfc'\ndrive = { max = '27 %' }";

fn seen(field: bool, selected: u16) -> Result<Reply, DutError> {
    Ok(Reply::Nfc(NfcStatus { field, selected, commands: 0 }))
}

fn without_field(request: &Request) -> Result<Reply, DutError> {
    if *request == Request::ReadNfc { seen(false, 0) } else { good(request) }
}

fn deaf(request: &Request) -> Result<Reply, DutError> {
    if *request == Request::ReadNfc { seen(true, 0) } else { good(request) }
}

fn dumb(request: &Request) -> Result<Reply, DutError> {
    if *request == Request::ReadNfc { seen(true, 2) } else { good(request) }
}

fn with_ports(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::StartNfc { .. } => Err(DutError::Refused(Refusal::NfcPadsArePorts)),
        other => good(other),
    }
}

pub fn tagged(tag: TagDouble) -> Setup {
    Setup { powered: true, answers: good, tag, ..Setup::default() }
}

#[test]
fn nfc_defects_are_diagnosed() {
    let world = World::new();
    let near = TagDouble { weakest: 9, ..TagDouble::default() };
    let gone = TagDouble { weakest: u8::MAX, ..near };
    let rows = [
        (tagged(near), "ok"),
        (tagged(TagDouble { weakest: 17, ..near }), "ok"),
        (
            tagged(TagDouble { weakest: 18, ..near }),
            "ok\nNFC: the tag answers only from 28.571 % of the reader's drive on",
        ),
        (
            tagged(TagDouble { wrong_bits: 1, ..near }),
            "dut: NFC: the reader finds the tag 5f:01:02:03:04:05:06, but reads \"dut ",
        ),
        (
            tagged(TagDouble { silent: true, ..near }),
            "dut: NFC: the reader finds the tag 5f:01:02:03:04:05:06, but reads nothing",
        ),
        (
            Setup { answers: without_field, ..tagged(gone) },
            "dut: NFC antenna: no field reaches the MCU: check the lines from contacts 17 (NFC1) and 19 (NFC2)",
        ),
        (Setup { answers: deaf, ..tagged(gone) }, "dut: NFC: the MCU detects the reader's field but does not answer"),
        (Setup { answers: dumb, ..tagged(gone) }, "dut: NFC: the MCU receives the reader, but the reader does not"),
        (Setup { answers: with_ports, ..tagged(near) }, "dut: NFC: the MCU is set up to use its NFC pads as ports"),
        (Setup { answers: refusing, ..tagged(near) }, "bench: the firmware refused"),
    ];
    for (setup, expected) in rows {
        let ran = step(&world, NFC, setup);
        let report = story(&ran);
        assert!(if expected == "ok" { report == "ok" } else { report.starts_with(expected) }, "{expected}\n{report}");
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{report}");
    }
}

#[test]
fn the_weakest_drive_is_found_to_the_step() {
    let world = World::new();
    for weakest in 1..=63 {
        let ran = step(&world, NFC, tagged(TagDouble { weakest, ..TagDouble::default() }));
        let drive = ran.log.reading("nfc.drive").unwrap();
        assert!((drive - 100.0 * f64::from(weakest) / 63.0).abs() < 1e-9, "{weakest}: {drive}");
    }
}
