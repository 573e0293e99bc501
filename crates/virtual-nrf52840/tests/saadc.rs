//! SAADC.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::{Lab, MICROSECOND, MILLISECOND};
use virtual_nrf52840::ChipIdentity;

const SAADC: u32 = 0x4000_7000;
const RAM: u32 = 0x2000_1000;

/// One conversion of AIN3 (channel 0) with this CONFIG and RESOLUTION.
fn convert(lab: &mut Lab, config: u32, resolution: u32) -> i16 {
    for (offset, value) in [
        (0x500, 1),
        (0x510, 4),
        (0x514, 5),
        (0x518, config),
        (0x5F0, resolution),
        (0x62C, RAM),
        (0x630, 1),
        (0x104, 0),
        (0x000, 1),
        (0x004, 1),
    ] {
        lab.write(SAADC + offset, value);
    }
    assert!(lab.wait_for(SAADC + 0x104, 100 * MICROSECOND).is_some());
    let mut bytes = [0; 2];
    lab.chip.read_ram(RAM, &mut bytes).unwrap();
    i16::from_le_bytes(bytes)
}

#[test]
fn a_dead_input_reads_as_if_nothing_were_there() {
    let mut identity = virtual_nrf52840::ChipIdentity::from_seed(1);
    identity.tolerances.saadc_dead_inputs = 1 << 2;
    let mut lab = Lab::with_identity(identity);
    lab.bench.volts = [1.0; 8];
    // Two channels, AIN2 and AIN3, gain 1/6, internal reference, 12 bit, eight scans.
    let rows = [(0x510, 3), (0x518, 0x2_0000), (0x520, 4), (0x528, 0x2_0000), (0x5F0, 2), (0x62C, 0x2000_1000)];
    for (offset, value) in rows.into_iter().chain([(0x630, 16), (0x500, 1), (0x000, 1)]) {
        lab.write(0x4000_7000 + offset, value);
    }
    for _ in 0..8 {
        lab.write(0x4000_7004, 1);
        lab.run(100_000);
    }
    let codes: Vec<i16> =
        lab.ram(0x2000_1000, 32).chunks(2).map(|code| i16::from_le_bytes([code[0], code[1]])).collect();
    let (dead, alive): (Vec<i16>, Vec<i16>) = codes.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
    // 1 V of 3.6 V; 5 mV is less than six steps.
    assert_eq!(alive, [1137; 8]);
    assert!(dead.iter().all(|code| (0..6).contains(code)) && dead.iter().any(|code| *code != dead[0]), "{dead:?}");
}

#[test]
fn codes() {
    const GAIN: u32 = 8;
    const REF_VDD4: u32 = 1 << 12;
    const DIFF: u32 = 1 << 20;
    #[rustfmt::skip]
    let rows = [
        // volts at AIN3, AIN4, CONFIG, RESOLUTION, code = V * gain / ref * 2^bits, rounded down
        (0.9, 0.0, 0, 1, 256),                       // 1/6, 0.6 V, 10 bit: 3.6 V full scale
        (0.9, 0.0, 0, 0, 64),
        (0.9, 0.0, 0, 2, 1024),
        (0.9, 0.0, 0, 3, 4096),
        (3.3, 0.0, 0, 2, 3754),
        (0.3, 0.0, 5 << GAIN, 2, 2048),              // gain 1
        (0.3, 0.0, 7 << GAIN, 2, 4095),              // gain 4: beyond full scale
        (1.65, 0.0, 2 << GAIN | REF_VDD4, 2, 2048),  // 1/4, VDD/4: ratiometric
        (0.9, 0.3, DIFF, 2, 341),                    // (0.6 / 6 / 0.6) * 2^11
        (0.3, 0.9, DIFF, 2, -342),
        (5.0, 0.0, 0, 2, 3754),                      // the protection diode clamps at VDD
    ];
    for (positive, negative, config, resolution, expected) in rows {
        let mut lab = Lab::new();
        // A hair more than the boundary, against rounding of the product.
        lab.bench.volts[3] = positive + 1e-9;
        lab.bench.volts[4] = negative;
        assert_eq!(convert(&mut lab, config, resolution), expected, "{positive} V, CONFIG {config:#x}");
    }
}

#[test]
fn tolerances_show_and_calibration_removes_the_offset() {
    let mut identity = ChipIdentity::from_seed(1);
    identity.tolerances.saadc_gain_error = 0.01;
    identity.tolerances.saadc_offset_volts = 0.006;
    let mut lab = Lab::with_identity(identity);
    lab.bench.volts[3] = 1.8;
    assert_eq!(convert(&mut lab, 0, 2), 2109);
    lab.write(SAADC + 0x00C, 1);
    assert!(lab.wait_for(SAADC + 0x110, MILLISECOND).is_some());
    assert_eq!(convert(&mut lab, 0, 2), 2068);
}

#[test]
fn a_scan_takes_each_channel_in_turn() {
    let mut lab = Lab::new();
    lab.bench.volts = [0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1];
    for channel in 0..8u32 {
        lab.write(SAADC + 0x510 + 16 * channel, 8 - channel);
        lab.write(SAADC + 0x518 + 16 * channel, 5 << 16); // 40 us
    }
    for (offset, value) in [(0x500, 1), (0x5F0, 2), (0x62C, RAM), (0x630, 16), (0x000, 1), (0x004, 1)] {
        lab.write(SAADC + offset, value);
    }
    assert_eq!(lab.read(SAADC + 0x400), 1, "busy");
    lab.run(8 * 42 * MICROSECOND - 100);
    assert_eq!(lab.read(SAADC + 0x634), 7);
    lab.run(200);
    assert_eq!([lab.read(SAADC + 0x634), lab.read(SAADC + 0x104)], [8, 0], "buffer for two scans");
    lab.write(SAADC + 0x004, 1);
    lab.run(8 * 42 * MICROSECOND);
    assert_eq!([lab.read(SAADC + 0x634), lab.read(SAADC + 0x104)], [16, 1]);
    let mut bytes = [0; 32];
    lab.chip.read_ram(RAM, &mut bytes).unwrap();
    let codes: Vec<i16> = bytes.chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let expected: Vec<i16> = (0..8).rev().map(|n| (f64::from(n) * 0.3 / 3.6 * 4096.0) as i16).collect();
    assert_eq!(codes[..8], codes[8..]);
    for (code, expected) in codes.iter().zip(expected) {
        assert!((code - expected).abs() <= 1, "{codes:?}");
    }
}

#[test]
fn limits_raise_events() {
    // volts, LIMITH, LIMITL
    for (volts, high, low) in [(0.5, 0, 1), (1.0, 0, 0), (2.0, 1, 0)] {
        let mut lab = Lab::new();
        lab.bench.volts[3] = volts;
        lab.write(SAADC + 0x51C, 1500 << 16 | 900);
        convert(&mut lab, 0, 2);
        assert_eq!([lab.read(SAADC + 0x118), lab.read(SAADC + 0x11C)], [high, low], "{volts} V");
    }
}

#[test]
fn stop_and_supply_input() {
    let mut lab = Lab::new();
    lab.write(SAADC + 0x500, 1);
    lab.write(SAADC + 0x008, 1);
    assert_eq!(lab.read(SAADC + 0x114), 1);
    lab.write(SAADC + 0x510, 9);
    lab.bench.vdd = 3.0;
    lab.write(SAADC + 0x5F0, 2);
    for (offset, value) in [(0x62C, RAM), (0x630, 1), (0x000, 1), (0x004, 1)] {
        lab.write(SAADC + offset, value);
    }
    lab.run(MILLISECOND);
    let mut bytes = [0; 2];
    lab.chip.read_ram(RAM, &mut bytes).unwrap();
    assert_eq!(i16::from_le_bytes(bytes), 3413);
}
