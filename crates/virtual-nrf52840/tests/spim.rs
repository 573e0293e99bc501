//! SPIM, with a shift register at its lines.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::{Device, Lab, MICROSECOND, MILLISECOND, thumb};
use virtual_nrf52840::{Chip, ChipIdentity};

const SPIMS: [u32; 4] = [0x4000_3000, 0x4000_4000, 0x4002_3000, 0x4002_F000];
const TX: u32 = 0x2000_1000;
const RX: u32 = 0x2000_2000;
const SCK: u32 = 13;
const MOSI: u32 = 14;
const MISO: u32 = 15;
const STOPPED: u32 = 0x104;
const ENDRX: u32 = 0x110;
const END: u32 = 0x118;
const ENDTX: u32 = 0x120;
const STARTED: u32 = 0x14C;
const M1: u32 = 0x1000_0000;

/// Answers each bit with the one eight clocks ago.
struct ShiftRegister {
    cpol: bool,
    cpha: bool,
    bits: u8,
    input: bool,
    output: bool,
    clock: bool,
}

impl Device for ShiftRegister {
    fn levels(&mut self, levels: u64, _at_ns: u64) -> u64 {
        let active = (levels >> SCK & 1 == 1) != self.cpol;
        let mosi = levels >> MOSI & 1 == 1;
        if std::mem::replace(&mut self.clock, active) != active {
            if active != self.cpha {
                self.input = mosi;
            } else if !self.cpha {
                self.bits = self.bits << 1 | u8::from(self.input);
            }
            if self.cpha && active {
                self.output = self.bits & 0x80 != 0;
            } else if self.cpha {
                self.bits = self.bits << 1 | u8::from(mosi);
            }
        }
        if !self.cpha {
            self.output = self.bits & 0x80 != 0;
        }
        levels & !(1 << MISO) | u64::from(self.output) << MISO
    }
}

fn spim(lab: &mut Lab, base: u32, config: u32, registers: &[(u32, u32)]) {
    let (cpol, cpha) = (config & 4 != 0, config & 2 != 0);
    for (port, cnf) in [(SCK, 1), (MOSI, 1), (MISO, 0)] {
        lab.write(0x5000_0700 + 4 * port, cnf);
    }
    lab.write(0x5000_0508, u32::from(cpol) << SCK);
    let defaults = [(0x508, SCK), (0x50C, MOSI), (0x510, MISO), (0x524, M1), (0x534, RX), (0x544, TX), (0x554, config)];
    for (offset, value) in defaults.iter().chain(registers).chain(&[(0x500, 7)]) {
        lab.write(base + offset, *value);
    }
    // Only now, as a part that is selected last.
    lab.bench.device =
        Some(Box::new(ShiftRegister { cpol, cpha, bits: 0xA5, input: false, output: false, clock: false }));
    lab.bench.port_changes.clear();
}

fn events(lab: &mut Lab, base: u32) -> [u32; 5] {
    [STARTED, ENDTX, ENDRX, END, STOPPED].map(|event| lab.read(base + event))
}

#[test]
fn every_mode_and_order_echoes() {
    for base in SPIMS {
        for config in 0..8 {
            let mut lab = Lab::new();
            lab.fill(TX, &[0x12, 0xF0, 0x3C, 0x81]);
            spim(&mut lab, base, config, &[(0x548, 4), (0x538, 5), (0x5C0, 0x77)]);
            lab.write(base + 0x010, 1);
            lab.run(41 * MICROSECOND);
            let first = if config & 1 == 0 { 0xA5u8 } else { 0xA5u8.reverse_bits() };
            assert_eq!(lab.ram(RX, 5), [first, 0x12, 0xF0, 0x3C, 0x81], "{base:#x} CONFIG {config}");
            assert_eq!(events(&mut lab, base), [1, 1, 1, 1, 0]);
            assert_eq!([lab.read(base + 0x54C), lab.read(base + 0x53C)], [4, 5]);
            lab.assert_quiet();
        }
    }
}

#[test]
fn clocks_at_its_rate() {
    // FREQUENCY, nanoseconds of a bit, only SPIM3
    let rows = [
        (0x0200_0000u32, 8000.0, false),
        (0x0400_0000, 4000.0, false),
        (0x0800_0000, 2000.0, false),
        (M1, 1000.0, false),
        (0x2000_0000, 500.0, false),
        (0x4000_0000, 250.0, false),
        (0x8000_0000, 125.0, false),
        (0x0A00_0000, 62.5, true),
        (0x1400_0000, 31.25, true),
    ];
    for base in [SPIMS[2], SPIMS[3]] {
        for (frequency, bit, fast) in rows {
            let mut lab = Lab::new();
            spim(&mut lab, base, 0, &[(0x524, frequency), (0x548, 100)]);
            lab.fill(TX, &[0x55; 100]);
            assert_eq!(lab.chip.diagnostics().is_empty(), !fast || base == SPIMS[3], "{frequency:#x}");
            let start = lab.chip.now_ns();
            lab.write(base + 0x010, 1);
            if fast && base != SPIMS[3] {
                continue;
            }
            lab.run((800.0 * bit) as u64 + 10);
            assert_eq!(lab.read(base + END), 1);
            // Each change with the clock high is a rising edge: MOSI changes with the falling ones, or at the start.
            let changes = &lab.bench.port_changes;
            let clock: Vec<u64> = changes.iter().filter(|(_, levels)| levels >> SCK & 1 == 1).map(|c| c.0).collect();
            assert_eq!(clock.len(), 800);
            let (first, last) = (clock[0] - start, clock[799] - start);
            assert!((first as f64 - bit / 2.0).abs() <= 1.0, "{frequency:#x}: {first}");
            assert!((last as f64 - 799.5 * bit).abs() <= 1.0, "{frequency:#x}: {last}");
        }
    }
}

#[test]
fn an_open_or_swapped_line_shows() {
    // SCK, MOSI, MISO as the firmware has them, what is received
    let rows = [
        ([SCK, MOSI, MISO], [0xA5, 0x12]),
        ([SCK, MOSI, 20], [0x00, 0x00]),
        ([SCK, MOSI, u32::MAX], [0x00, 0x00]),
        ([SCK, 20, MISO], [0xA5, 0x00]),
        ([20, MOSI, MISO], [0xFF, 0xFF]),
        ([SCK, MISO, MOSI], [0x00, 0x00]),
    ];
    for (ports, expected) in rows {
        let mut lab = Lab::new();
        lab.fill(TX, &[0x12, 0xF0]);
        lab.fill(RX, &[0xEE; 2]);
        let [sck, mosi, miso] = ports;
        spim(&mut lab, SPIMS[0], 0, &[(0x508, sck), (0x50C, mosi), (0x510, miso), (0x548, 2), (0x538, 2)]);
        lab.write(SPIMS[0] + 0x010, 1);
        lab.run(20 * MICROSECOND);
        assert_eq!(lab.ram(RX, 2), expected, "{ports:?}");
    }
    let mut lab = Lab::new();
    spim(&mut lab, SPIMS[0], 0, &[(0x538, 1)]);
    lab.write(0x5000_0700 + 4 * MISO, 2);
    lab.write(SPIMS[0] + 0x010, 1);
    lab.run(20 * MICROSECOND);
    assert_eq!(lab.ram(RX, 1), [0], "the input buffer is disconnected");
}

#[test]
fn stops_suspends_and_repeats() {
    let base = SPIMS[1];
    let mut lab = Lab::new();
    spim(&mut lab, base, 0, &[(0x548, 4), (0x538, 4)]);
    lab.write(base + 0x010, 1);
    lab.run(10 * MICROSECOND);
    lab.write(base + 0x01C, 1);
    lab.run(100 * MICROSECOND);
    assert_eq!([lab.read(base + 0x53C), lab.read(base + END)], [2, 0], "suspended after the second byte");
    lab.write(base + 0x020, 1);
    lab.run(4 * MICROSECOND);
    lab.write(base + 0x014, 1);
    assert_eq!(lab.read(base + STOPPED), 0, "the byte is finished first");
    lab.run(5 * MICROSECOND);
    assert_eq!([lab.read(base + 0x53C), lab.read(base + 0x54C)], [3, 3]);
    assert_eq!(events(&mut lab, base), [1, 1, 1, 1, 1]);

    // END_START: 1 byte, again and again; counted by TIMER2 through the PPI.
    for (address, value) in [(0x4000_A504, 1), (0x4000_A508, 3), (0x4000_A000, 1)] {
        lab.write(address, value);
    }
    for (address, value) in [(0x4001_F510, base + END), (0x4001_F514, 0x4000_A008), (0x4001_F504, 1)] {
        lab.write(address, value);
    }
    for (offset, value) in [(0x548, 1), (0x538, 0), (0x200, 1 << 17), (0x010, 1)] {
        lab.write(base + offset, value);
    }
    lab.run(84 * MICROSECOND);
    lab.write(0x4000_A040, 1);
    assert_eq!(lab.read(0x4000_A540), 10);
    lab.write(base + 0x500, 0);
    assert!(!lab.chip.ports().states[SCK as usize].taken_by_peripheral);
    lab.assert_quiet();
}

#[test]
fn what_is_not_modelled_is_reported() {
    // instance, register, value, report
    let rows = [
        (2, 0x540, 1, Some("SPIM2: the array list of EasyDMA (LIST)")),
        (2, 0x500, 1, Some("SPIM2: ENABLE of anything but")),
        (0, 0x500, 9, Some("SPIM0/TWIM0: ENABLE of anything but")),
        (2, 0x524, 0x0A00_0000, Some("SPIM2: this FREQUENCY")),
        (2, 0x560, 2, Some("SPIM2: write of 0x2 to 0x40023560 is not modelled")),
        (3, 0x514, 5, Some("SPIM3: what CSN, DCX and IFTIMING do")),
        (3, 0x514, u32::MAX, None),
        (3, 0x56C, 5, Some("SPIM3: what CSN, DCX and IFTIMING do")),
        (3, 0x560, 0, Some("SPIM3: what CSN, DCX and IFTIMING do")),
        (3, 0x560, 2, None),
    ];
    for (instance, offset, value, expected) in rows {
        let mut lab = Lab::new();
        lab.write(SPIMS[instance] + offset, value);
        let text = lab.chip.diagnostics().first().map(ToString::to_string);
        assert_eq!(text.is_some(), expected.is_some(), "{text:?}");
        assert!(text.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{offset:#x}");
    }
    let mut lab = Lab::new();
    spim(&mut lab, SPIMS[3], 0, &[(0x544, 0x1000), (0x548, 1), (0x538, 1), (0x534, 0x2003_FFFF + 1)]);
    lab.write(SPIMS[3] + 0x010, 1);
    lab.run(10 * MICROSECOND);
    let texts: Vec<String> = lab.chip.diagnostics().iter().map(ToString::to_string).collect();
    assert!(texts[0].starts_with("SPIM3: DMA of 1 bytes at 0x00001000 is outside RAM"), "{texts:#?}");
    assert!(texts[1].starts_with("SPIM3: DMA of 1 bytes at 0x20040000 is outside RAM"), "{texts:#?}");
}

#[test]
fn a_program_waits_for_the_end_and_a_snapshot_goes_on() {
    let base = SPIMS[3];
    let mut code = Vec::new();
    let registers = [(0x508, SCK), (0x50C, MOSI), (0x510, MISO), (0x524, 0x0A00_0000), (0x544, TX), (0x548, 64)];
    for (offset, value) in registers.into_iter().chain([(0x534, RX), (0x538, 64), (0x500, 7), (0x010, 1)]) {
        code.extend(thumb::store(base + offset, value));
    }
    // ldr r1, [r0]; cmp r1, #0; beq back: until END. Then a mark in RAM.
    code.extend([thumb::load(0, base + END), vec![thumb::LOAD_R1, 0x2900, 0xD0FC]].concat());
    code.extend([thumb::store(TX - 4, 0x600D), common::SLEEP_FOREVER.to_vec()].concat());
    let mut lab = Lab::running(ChipIdentity::from_seed(1), &code);
    lab.bench.port_changes.clear();
    let snapshot = lab.chip.snapshot();
    lab.run(MILLISECOND);
    let whole = std::mem::take(&mut lab.bench.port_changes);
    assert_eq!(lab.ram(TX - 4, 2), [0x0D, 0x60]);
    assert!(whole.len() > 500);
    let mut other = Lab { chip: Chip::new(ChipIdentity::from_seed(2)), bench: common::Bench::default() };
    other.chip.restore(&snapshot);
    other.run(MILLISECOND);
    assert_eq!(other.bench.port_changes, whole);
    lab.assert_quiet();
}
