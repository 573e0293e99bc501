//! NFCT: a reader's view of firmware actions, frame by frame.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::{Lab, MICROSECOND, MILLISECOND, SLEEP_FOREVER};
use virtual_nrf52840::{Chip, ChipIdentity, NfcFrame, Tolerances};

const NFCT: u32 = 0x4000_5000;
const BUFFER: u32 = 0x2000_1000;
const ANSWER: u32 = 0x2000_2000;

const ACTIVATE: u32 = 0x000;
const DISABLE: u32 = 0x004;
const SENSE: u32 = 0x008;
const STARTTX: u32 = 0x00C;
const ENABLERXDATA: u32 = 0x01C;
const GOSLEEP: u32 = 0x028;
const READY: u32 = 0x100;
const FIELDDETECTED: u32 = 0x104;
const FIELDLOST: u32 = 0x108;
const TXFRAMEEND: u32 = 0x110;
const RXFRAMEEND: u32 = 0x118;
const ERROR: u32 = 0x11C;
const RXERROR: u32 = 0x128;
const SELECTED: u32 = 0x14C;

/// Periods of the carrier in nanoseconds.
fn periods(count: u64) -> u64 {
    count * 1_000_000_000 / 13_560_000
}

fn task(lab: &mut Lab, offset: u32) {
    lab.write(NFCT + offset, 1);
}

/// Whether an event came; clears it.
fn came(lab: &mut Lab, offset: u32) -> bool {
    let was = lab.read(NFCT + offset) == 1;
    lab.write(NFCT + offset, 0);
    was
}

/// The reader sends; returns the tag's answer within 5 ms and its delay.
fn say(lab: &mut Lab, frame: &NfcFrame) -> Option<(NfcFrame, u64)> {
    let sent_at = lab.chip.now_ns();
    lab.bench.tag_frames.clear();
    lab.chip.nfc_frame(frame);
    lab.run(5 * MILLISECOND);
    let (answer, ended) = lab.bench.tag_frames.pop()?;
    let begun = ended - sent_at - answer.airtime_ns();
    Some((answer, begun))
}

fn answer(lab: &mut Lab, frame: &NfcFrame) -> Option<NfcFrame> {
    say(lab, frame).map(|(answer, _)| answer)
}

const WAKE_IDLE: u8 = 0x26;
const WAKE_ALL: u8 = 0x52;

/// A tag with the identifier 01 to 07, in the field and ready to be found.
fn awake_with(tolerances: Tolerances) -> Lab {
    let mut lab = Lab::with_identity(ChipIdentity { tolerances, ..ChipIdentity::from_seed(7) });
    lab.write(NFCT + 0x590, 0x0405_0607);
    lab.write(NFCT + 0x594, 0x0001_0203);
    lab.write(NFCT + 0x5A0, 1 << 6 | 4);
    lab.write(NFCT + 0x5A4, 0x20);
    task(&mut lab, SENSE);
    assert!(!came(&mut lab, FIELDDETECTED));
    lab.chip.nfc_field(true);
    assert!(came(&mut lab, FIELDDETECTED));
    assert_eq!(lab.read(NFCT + 0x43C), 3, "FIELDPRESENT");
    task(&mut lab, ACTIVATE);
    lab.run(MILLISECOND);
    assert!(came(&mut lab, READY));
    lab
}

fn awake() -> Lab {
    awake_with(Tolerances::default())
}

fn select(lab: &mut Lab) {
    assert_eq!(answer(lab, &NfcFrame::short(WAKE_ALL)), Some(NfcFrame::plain(&[0x44, 0x00])));
    for (command, part, last) in [(0x93, [0x88, 1, 2, 3], false), (0x95, [4, 5, 6, 7], true)] {
        let check = part.iter().fold(0, |sum, byte| sum ^ byte);
        let whole = [&part[..], &[check]].concat();
        assert_eq!(answer(lab, &NfcFrame::plain(&[command, 0x20])), Some(NfcFrame::plain(&whole)));
        let frame = NfcFrame::with_crc(&[&[command, 0x70], &whole[..]].concat());
        assert!(!came(lab, SELECTED));
        assert_eq!(answer(lab, &frame), Some(NfcFrame::with_crc(&[if last { 0x20 } else { 0x24 }])));
        assert_eq!(came(lab, SELECTED), last);
    }
}

#[test]
fn found_and_selected_without_software() {
    let mut lab = awake();
    select(&mut lab);
    lab.assert_quiet();
}

#[test]
fn answers_begin_when_the_standard_says() {
    let mut lab = awake();
    let (_, begun) = say(&mut lab, &NfcFrame::short(WAKE_IDLE)).unwrap();
    assert!(begun.abs_diff(periods(1172)) < 100, "{begun} ns");
}

#[test]
fn selection_goes_wrong() {
    let part = [0x88, 1, 2, 3, 0x88 ^ 1 ^ 2 ^ 3];
    let frame = |bytes: &[&[u8]]| NfcFrame::with_crc(&bytes.concat());
    let mut damaged = frame(&[&[0x93, 0x70], &part]);
    damaged.bytes[8] ^= 1;
    let rows = [
        (NfcFrame::plain(&[0x95, 0x20]), "a level too far"),
        (frame(&[&[0x93, 0x70], &[0x88, 9, 2, 3, 0x88 ^ 9 ^ 2 ^ 3]]), "another tag is selected"),
        (damaged, "its checksum is wrong"),
        (frame(&[&[0x30, 4]]), "a command before the end"),
    ];
    for (wrong, why) in rows {
        let mut lab = awake();
        assert!(answer(&mut lab, &NfcFrame::short(WAKE_IDLE)).is_some());
        assert_eq!(answer(&mut lab, &wrong), None, "{why}");
        assert_eq!(answer(&mut lab, &NfcFrame::plain(&[0x93, 0x20])), None, "{why}: it waits to be woken again");
        select(&mut lab);
    }
}

#[test]
fn frames_that_get_no_answer() {
    let mut asleep = awake();
    task(&mut asleep, GOSLEEP);
    assert_eq!(answer(&mut asleep, &NfcFrame::short(WAKE_IDLE)), None, "asleep");
    select(&mut asleep);

    let mut deaf = awake_with(Tolerances { nfc_deaf: true, ..Tolerances::default() });
    assert_eq!(answer(&mut deaf, &NfcFrame::short(WAKE_ALL)), None, "deaf");

    let mut disabled = awake();
    task(&mut disabled, DISABLE);
    assert_eq!(answer(&mut disabled, &NfcFrame::short(WAKE_ALL)), None, "disabled");

    // Pads that are ports feel no field.
    let mut chip = Chip::new(ChipIdentity::from_seed(1));
    chip.write_flash(0, &common::program(&SLEEP_FOREVER)).unwrap();
    chip.write_uicr(0x20C, 0xFFFF_FFFE).unwrap();
    chip.set_power(true);
    let mut lab = Lab { chip, bench: common::Bench::default() };
    lab.chip.nfc_field(true);
    task(&mut lab, SENSE);
    assert!(!came(&mut lab, FIELDDETECTED));
}

#[test]
fn a_field_that_goes_takes_the_selection_along() {
    let mut lab = awake();
    select(&mut lab);
    lab.chip.nfc_field(false);
    assert!(came(&mut lab, FIELDLOST));
    lab.chip.nfc_field(true);
    task(&mut lab, SENSE);
    assert!(came(&mut lab, FIELDDETECTED), "the field is already present");
    task(&mut lab, ACTIVATE);
    lab.run(MILLISECOND);
    select(&mut lab);
}

/// Ready for a frame of the reader, as the software of a selected tag is.
fn listen(lab: &mut Lab) {
    lab.write(NFCT + 0x59C, 3);
    lab.write(NFCT + 0x510, BUFFER);
    lab.write(NFCT + 0x514, 64);
    lab.write(NFCT + 0x520, 0x15);
    task(lab, ENABLERXDATA);
}

#[test]
fn frames_for_the_software() {
    let good = NfcFrame::with_crc(&[0x30, 4]);
    let mut damaged = good.clone();
    damaged.bytes[2] ^= 1;
    let long = NfcFrame::with_crc(&[0; 70]);
    for (frame, status) in [(good, 0), (damaged, 1), (NfcFrame::short(WAKE_IDLE), 1), (long, 8)] {
        let mut lab = awake();
        select(&mut lab);
        listen(&mut lab);
        assert_eq!(answer(&mut lab, &frame), None);
        assert!(came(&mut lab, RXFRAMEEND), "{frame:?}");
        assert_eq!(came(&mut lab, RXERROR), status != 0, "{frame:?}");
        assert_eq!(lab.read(NFCT + 0x40C), status, "{frame:?}");
        let kept = frame.bytes.len().min(64);
        assert_eq!(lab.ram(BUFFER, kept), frame.bytes[..kept], "{frame:?}");
        let amount = if frame.last_bits == 8 { (frame.bytes.len() as u32) << 3 } else { 7 };
        assert_eq!(lab.read(NFCT + 0x524), amount, "{frame:?}");
        // One is taken for each ENABLERXDATA.
        assert_eq!(answer(&mut lab, &NfcFrame::with_crc(&[1])), None);
        assert!(!came(&mut lab, RXFRAMEEND));
        lab.assert_quiet();
    }
}

#[test]
fn answers_of_the_software() {
    // Frame delay mode, least and most periods, when STARTTX comes, when the answer begins.
    let grid = |steps: u64| periods(1152 + 128 * steps);
    let rows = [
        (3, 0, Some(grid(0))),
        (3, 100 * MICROSECOND, Some(grid(2))),
        (3, 320 * MICROSECOND, None),
        (1, 0, Some(periods(1152))),
        (1, 100 * MICROSECOND, Some(100 * MICROSECOND)),
        (1, 320 * MICROSECOND, None),
        (2, 0, Some(periods(4096))),
        (0, 320 * MICROSECOND, Some(320 * MICROSECOND)),
    ];
    for (mode, after, expected) in rows {
        let mut lab = awake();
        select(&mut lab);
        listen(&mut lab);
        lab.fill(ANSWER, &[0xA5, 0x5A, 0x11]);
        lab.write(NFCT + 0x504, 1152);
        lab.write(NFCT + 0x508, 4096);
        lab.write(NFCT + 0x50C, mode);
        let sent_at = lab.chip.now_ns();
        lab.bench.tag_frames.clear();
        lab.chip.nfc_frame(&NfcFrame::with_crc(&[0x30, 4]));
        lab.run(after);
        lab.write(NFCT + 0x510, ANSWER);
        lab.write(NFCT + 0x514, 3);
        lab.write(NFCT + 0x51C, 3 << 3);
        task(&mut lab, STARTTX);
        lab.run(2 * MILLISECOND);
        assert_eq!(came(&mut lab, TXFRAMEEND), expected.is_some(), "mode {mode}, after {after} ns");
        assert_eq!(came(&mut lab, ERROR), expected.is_none(), "mode {mode}, after {after} ns");
        assert_eq!(lab.read(NFCT + 0x404), u32::from(expected.is_none()), "FRAMEDELAYTIMEOUT");
        match (lab.bench.tag_frames.pop(), expected) {
            (Some((frame, ended)), Some(expected)) => {
                assert_eq!(frame, NfcFrame::with_crc(&[0xA5, 0x5A, 0x11]));
                let begun = ended - sent_at - frame.airtime_ns();
                assert!(begun.abs_diff(expected) < 300, "mode {mode}: {begun} ns, expected {expected}");
            }
            (None, None) => {}
            other => panic!("mode {mode}: {other:?}"),
        }
        lab.assert_quiet();
    }
}

#[test]
fn shortcuts_power_and_snapshot() {
    let mut lab = awake();
    lab.write(NFCT + 0x200, 0x23);
    lab.chip.nfc_field(false);
    lab.chip.nfc_field(true);
    lab.run(MILLISECOND);
    assert!(came(&mut lab, READY), "field lost, sense, field detected, activate");
    // In the middle of a selection.
    assert!(answer(&mut lab, &NfcFrame::short(WAKE_IDLE)).is_some());
    let snapshot = lab.chip.snapshot();
    let next = NfcFrame::plain(&[0x93, 0x20]);
    let first = answer(&mut lab, &next);
    assert!(first.is_some());
    lab.chip.restore(&snapshot);
    assert_eq!(answer(&mut lab, &next), first);
    lab.write(NFCT + 0xFFC, 0);
    lab.write(NFCT + 0xFFC, 1);
    assert_eq!(lab.read(NFCT + 0x594), 0, "reset");
    lab.assert_quiet();
}
