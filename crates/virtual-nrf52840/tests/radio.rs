//! RADIO at register level: contents and timing of transmissions, and conditions of reception.
#![allow(clippy::unwrap_used)] // what cannot go on in a test has failed it

mod common;

use common::{Lab, MICROSECOND, MILLISECOND};
use virtual_nrf52840::{ChipIdentity, RadioPacket, Tolerances};

const RADIO: u32 = 0x4000_1000;
const TXEN: u32 = RADIO;
const RXEN: u32 = RADIO + 0x004;
const START: u32 = RADIO + 0x008;
const STOP: u32 = RADIO + 0x00C;
const DISABLE: u32 = RADIO + 0x010;
const RSSISTART: u32 = RADIO + 0x014;
const READY: u32 = RADIO + 0x100;
const ADDRESS: u32 = RADIO + 0x104;
const PAYLOAD: u32 = RADIO + 0x108;
const END: u32 = RADIO + 0x10C;
const DISABLED: u32 = RADIO + 0x110;
const RSSIEND: u32 = RADIO + 0x11C;
const CRCOK: u32 = RADIO + 0x130;
const CRCERROR: u32 = RADIO + 0x134;
const SHORTS: u32 = RADIO + 0x200;
const CRCSTATUS: u32 = RADIO + 0x400;
const RSSISAMPLE: u32 = RADIO + 0x548;
const STATE: u32 = RADIO + 0x550;
const HFCLKSTART: u32 = 0x4000_0000;
const BUFFER: u32 = 0x2000_1000;

const READY_START: u32 = 1 << 0;
const END_DISABLE: u32 = 1 << 1;
const DISABLED_RXEN: u32 = 1 << 3;
const ADDRESS_RSSISTART: u32 = 1 << 4;
const END_START: u32 = 1 << 5;

const PDU: [u8; 9] = [0x42, 7, 1, 2, 3, 4, 5, 0xC6, 0xAA];

/// A powered chip on its crystal, its radio set up for advertising on a channel.
fn lab(identity: ChipIdentity, channel: u32) -> Lab {
    let mut lab = Lab::with_identity(identity);
    lab.write(HFCLKSTART, 1);
    lab.run(MILLISECOND);
    tune(&mut lab, channel);
    lab
}

fn tune(lab: &mut Lab, channel: u32) {
    let frequency = match channel {
        37 => 2,
        38 => 26,
        _ => 80,
    };
    for (offset, value) in [
        (0x504, BUFFER),
        (0x508, frequency),
        (0x50C, 0xF8), // -8 dBm
        (0x510, 3),
        (0x514, 8 | 1 << 8),
        (0x518, 37 | 3 << 16 | 1 << 25),
        (0x51C, 0x89BE_D600),
        (0x524, 0x8E),
        (0x530, 1),
        (0x534, 3 | 1 << 8),
        (0x538, 0x65B),
        (0x53C, 0x55_5555),
        (0x554, channel),
    ] {
        lab.write(RADIO + offset, value);
    }
}

fn chip(change: impl FnOnce(&mut Tolerances)) -> ChipIdentity {
    let mut identity = ChipIdentity::from_seed(7);
    change(&mut identity.tolerances);
    identity
}

fn good() -> ChipIdentity {
    chip(|_| {})
}

/// Address, data and CRC as Bluetooth's link layer specification has them, bit by bit and written the other way round
/// than the model: the shift register of the CRC is turned, the whitening keeps its places in a list.
fn on_air(pdu: &[u8], channel: u8) -> Vec<u8> {
    let mut crc = 0xAA_AAAAu32;
    for bit in pdu.iter().flat_map(|byte| (0..8).map(move |bit| u32::from(byte >> bit & 1))) {
        crc = crc >> 1 ^ if crc & 1 ^ bit == 1 { 0xDA_6000 } else { 0 };
    }
    let mut places =
        [1, channel >> 5 & 1, channel >> 4 & 1, channel >> 3 & 1, channel >> 2 & 1, channel >> 1 & 1, channel & 1];
    let mut white = || {
        let out = places[6];
        places.rotate_right(1);
        places[4] ^= out;
        out
    };
    let data = [pdu, &crc.to_le_bytes()[..3]].concat();
    let whitened = data.iter().map(|byte| (0..8).fold(0, |whole, bit| whole | (byte >> bit & 1 ^ white()) << bit));
    [0xD6, 0xBE, 0x89, 0x8E].into_iter().chain(whitened).collect()
}

fn heard(lab: &Lab, bytes: Vec<u8>, carrier_hz: f64) -> RadioPacket {
    let begin_ns = lab.chip.now_ns();
    let end_ns = begin_ns + 8 * MICROSECOND * (1 + bytes.len() as u64);
    RadioPacket { carrier_hz, dbm: -47.4, bytes, begin_ns, end_ns }
}

#[test]
fn a_packet_goes_out_as_bluetooth_has_it_and_in_its_time() {
    for (channel, mhz) in [(37u8, 2402.0), (38, 2426.0), (39, 2480.0)] {
        let mut lab = lab(chip(|tolerances| tolerances.hfxo_ppm = 25.0), channel.into());
        lab.fill(BUFFER, &PDU);
        lab.write(SHORTS, READY_START | END_DISABLE);
        let begin = lab.chip.now_ns();
        lab.write(TXEN, 1);
        assert_eq!(lab.read(STATE), 9);
        let after = |event, lab: &mut Lab| {
            lab.wait_for(event, MILLISECOND).unwrap();
            (lab.chip.now_ns() - begin) as f64 / 1e3
        };
        // Preamble, address, header with payload, CRC.
        let (data, crc) = (8.0 * PDU.len() as f64, 24.0);
        for (event, us) in [
            (READY, 140.0),
            (ADDRESS, 140.0 + 40.0),
            (PAYLOAD, 180.0 + data),
            (END, 180.0 + data + crc),
            (DISABLED, 180.0 + data + crc + 6.0),
        ] {
            let at = after(event, &mut lab);
            assert!((us..us + 0.3).contains(&at), "{event:#x} at {at} us, not {us}");
        }
        assert_eq!(lab.read(STATE), 0);
        let [packet] = lab.bench.packets.as_slice() else { panic!("{:?}", lab.bench.packets) };
        assert_eq!(packet.bytes, on_air(&PDU, channel));
        assert!((packet.carrier_hz - mhz * 1e6 * (1.0 + 25e-6)).abs() < 1.0, "{}", packet.carrier_hz);
        assert_eq!((packet.dbm, packet.end_ns - packet.begin_ns), (-8.0, (104 + 40) * MICROSECOND - 8 * MICROSECOND));
        lab.assert_quiet();
    }
}

#[test]
fn what_is_received_and_what_is_not() {
    let good_air = on_air(&PDU, 38);
    let mut spoilt = good_air.clone();
    spoilt[8] ^= 4;
    let other_address = [vec![0xD6, 0xBE, 0x89, 0x8F], good_air[4..].to_vec()].concat();
    let cut = good_air[..10].to_vec();
    // (what is on the air, its carrier, what the radio says of its CRC)
    let rows = [
        ("good", good_air.clone(), 2426e6, Some(true)),
        ("200 kHz off", good_air.clone(), 2426.2e6, Some(true)),
        ("300 kHz off", good_air.clone(), 2426.3e6, None),
        ("another channel", good_air.clone(), 2402e6, None),
        ("whitened for another channel", on_air(&PDU, 37), 2426e6, Some(false)),
        ("a bit is wrong", spoilt, 2426e6, Some(false)),
        ("another address", other_address, 2426e6, None),
        ("it ends early", cut, 2426e6, Some(false)),
    ];
    for (what, bytes, carrier_hz, expected) in rows {
        let mut lab = lab(good(), 38);
        lab.write(SHORTS, READY_START | END_DISABLE | ADDRESS_RSSISTART);
        lab.write(RXEN, 1);
        assert_eq!(lab.read(STATE), 1);
        lab.run(200 * MICROSECOND);
        assert_eq!(lab.read(STATE), 3);
        let packet = heard(&lab, bytes, carrier_hz);
        lab.chip.radio_hears(&packet);
        lab.run(MILLISECOND);
        let crc = match (lab.read(CRCOK), lab.read(CRCERROR)) {
            (1, 0) => Some(true),
            (0, 1) => Some(false),
            (0, 0) => None,
            both => panic!("{what}: {both:?}"),
        };
        assert_eq!(crc, expected, "{what}");
        assert_eq!(lab.read(CRCSTATUS), u32::from(expected == Some(true)), "{what}");
        assert_eq!((lab.read(DISABLED), lab.read(END)), (u32::from(expected.is_some()), u32::from(expected.is_some())));
        if expected == Some(true) {
            assert_eq!(lab.ram(BUFFER, PDU.len()), PDU, "{what}");
            assert_eq!((lab.read(RSSIEND), lab.read(RSSISAMPLE)), (1, 47), "{what}");
        }
        lab.assert_quiet();
    }
}

#[test]
fn a_radio_that_does_not_listen_receives_nothing() {
    let packet = on_air(&PDU, 37);
    type Prepare = fn(&mut Lab);
    let rows: [(&str, bool, Prepare); 5] = [
        ("listens", true, |lab| {
            lab.write(SHORTS, READY_START);
            lab.write(RXEN, 1);
        }),
        ("was not started", false, |lab| lab.write(RXEN, 1)),
        ("is off", false, |_| {}),
        ("was stopped", false, |lab| {
            lab.write(SHORTS, READY_START);
            lab.write(RXEN, 1);
            lab.run(200 * MICROSECOND);
            lab.write(STOP, 1);
        }),
        ("sends", false, |lab| {
            lab.write(TXEN, 1);
        }),
    ];
    for (what, hears, prepare) in rows {
        let mut lab = lab(good(), 37);
        prepare(&mut lab);
        lab.run(200 * MICROSECOND);
        let packet = heard(&lab, packet.clone(), 2402e6);
        lab.chip.radio_hears(&packet);
        lab.run(MILLISECOND);
        assert_eq!(lab.read(CRCOK) == 1, hears, "{what}");
    }
    let mut dead = lab(chip(|tolerances| tolerances.radio_dead = true), 37);
    dead.fill(BUFFER, &PDU);
    dead.write(SHORTS, READY_START | END_DISABLE | DISABLED_RXEN);
    dead.write(TXEN, 1);
    dead.run(MILLISECOND);
    assert_eq!(
        (dead.read(END), dead.bench.packets.len(), dead.read(STATE)),
        (1, 0, 3),
        "it only believes that it sent"
    );
    let packet = heard(&dead, packet, 2402e6);
    dead.chip.radio_hears(&packet);
    dead.run(MILLISECOND);
    assert_eq!(dead.read(CRCOK), 0);
}

#[test]
fn a_receiver_that_starts_again_by_itself_takes_packet_after_packet() {
    let mut lab = lab(good(), 39);
    lab.write(SHORTS, READY_START | END_START);
    lab.write(RXEN, 1);
    lab.run(200 * MICROSECOND);
    for n in 0..3u8 {
        let pdu = [0x42, 2, n, n];
        let packet = heard(&lab, on_air(&pdu, 39), 2480e6);
        lab.chip.radio_hears(&packet);
        lab.run(500 * MICROSECOND);
        assert_eq!((lab.read(CRCOK), lab.ram(BUFFER, 4)), (1, pdu.to_vec()));
        lab.write(CRCOK, 0);
    }
    // Only noise now.
    lab.write(RSSISTART, 1);
    lab.run(MICROSECOND);
    assert_eq!(lab.read(RSSISAMPLE), 100);
    lab.write(DISABLE, 1);
    assert_eq!((lab.read(STATE), lab.read(DISABLED)), (0, 1));
    lab.assert_quiet();
}

#[test]
fn carriers() {
    let mut lab = lab(good(), 38);
    assert_eq!(lab.chip.radio_emission(), None);
    lab.write(TXEN, 1);
    assert_eq!(lab.chip.radio_emission(), None, "while it ramps up");
    lab.run(150 * MICROSECOND);
    let bare = lab.chip.radio_emission().unwrap();
    assert_eq!((bare.carrier_hz, bare.dbm, bare.modulated), (2426e6, -8.0, false));
    lab.fill(BUFFER, &PDU);
    lab.write(SHORTS, END_START);
    lab.write(START, 1);
    lab.run(MILLISECOND);
    assert!(lab.chip.radio_emission().unwrap().modulated);
    assert!(lab.bench.packets.len() > 5, "back to back");
    lab.write(DISABLE, 1);
    lab.run(10 * MICROSECOND);
    assert_eq!(lab.chip.radio_emission(), None);
    lab.assert_quiet();

    // The internal oscillator is no clock for a radio.
    let mut lab = Lab::with_identity(chip(|tolerances| tolerances.hfint_ppm = 15_000.0));
    tune(&mut lab, 37);
    lab.write(TXEN, 1);
    lab.run(150 * MICROSECOND);
    assert!(lab.chip.radio_emission().unwrap().carrier_hz > 2430e6);
}

#[test]
fn what_is_not_modelled_is_reported() {
    for (offset, value, report) in [
        (0x510, 0, "any mode but Bluetooth's 1 Mbit/s is not modelled"),
        (0x514, 6 | 1 << 8, "without eight bits of length"),
        (0x518, 37 | 3 << 16 | 1 << 24, "big endian"),
        (0x50C, 0x11, "this TXPOWER"),
    ] {
        let mut lab = lab(good(), 37);
        lab.write(RADIO + offset, value);
        lab.write(SHORTS, READY_START | END_DISABLE);
        lab.write(TXEN, 1);
        lab.run(MILLISECOND);
        let texts: Vec<String> = lab.chip.diagnostics().iter().map(ToString::to_string).collect();
        assert!(texts.iter().any(|text| text.contains(report)), "{report}: {texts:?}");
    }
}
