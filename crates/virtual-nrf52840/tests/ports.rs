//! GPIO and GPIOTE.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::{Lab, MILLISECOND, SLEEP_FOREVER};
use virtual_nrf52840::{BareBoard, Chip, ChipIdentity, Driven, Pull, Strength};

const P0: u32 = 0x5000_0000;
const P1: u32 = 0x5000_0300;
const GPIOTE: u32 = 0x4000_6000;

fn pin_cnf(port: usize) -> u32 {
    if port < 32 { P0 + 0x700 + 4 * port as u32 } else { P1 + 0x700 + 4 * (port as u32 - 32) }
}

#[test]
fn drive_modes() {
    use Strength::{High, Standard};
    let on = |level, strength| Some(Driven { level, strength });
    // PIN_CNF.DRIVE, port when low, port when high
    let rows = [
        (0, on(false, Standard), on(true, Standard)),
        (1, on(false, High), on(true, Standard)),
        (2, on(false, Standard), on(true, High)),
        (3, on(false, High), on(true, High)),
        (4, None, on(true, Standard)),
        (5, None, on(true, High)),
        (6, on(false, Standard), None),
        (7, on(false, High), None),
    ];
    for port in [3usize, 31, 32, 47] {
        let bank = if port < 32 { P0 } else { P1 };
        let bit = 1 << (port % 32);
        for (drive, low, high) in rows {
            let mut lab = Lab::new();
            lab.write(pin_cnf(port), 1 | drive << 8);
            assert_eq!(lab.chip.ports().states[port].driven, low, "port {port} drive {drive}");
            lab.write(bank + 0x508, bit);
            assert_eq!(lab.chip.ports().states[port].driven, high, "port {port} drive {drive}");
            lab.write(bank + 0x51C, bit);
            assert_eq!(lab.chip.ports().states[port].driven, None, "DIRCLR makes it an input");
        }
    }
}

#[test]
fn pulls_and_inputs() {
    // PIN_CNF, pull, connected, IN with nothing outside
    let rows = [
        (0x0, Pull::None, true, 0),
        (0x2, Pull::None, false, 0),
        (0x4, Pull::Down, true, 0),
        (0xC, Pull::Up, true, 1),
        (0xE, Pull::Up, false, 0),
    ];
    for (cnf, pull, connected, level) in rows {
        let mut lab = Lab::new();
        lab.write(pin_cnf(5), cnf);
        let state = lab.chip.ports().states[5];
        assert_eq!((state.pull, state.input_connected), (pull, connected));
        assert_eq!(lab.read(P0 + 0x510) >> 5 & 1, level, "PIN_CNF {cnf:#x}");
    }
}

#[test]
fn input_reads_what_the_board_says() {
    let mut lab = Lab::new();
    lab.write(pin_cnf(5), 0xC);
    lab.write(pin_cnf(40), 0x0);
    lab.bench.forced_low = 1 << 5;
    lab.bench.forced_high = 1 << 40 | 1 << 6;
    assert_eq!(lab.read(P0 + 0x510), 0, "port 6 is high but its input is not connected");
    assert_eq!(lab.read(P1 + 0x510), 1 << 8);
}

#[test]
fn the_board_hears_of_each_change_once() {
    let mut lab = Lab::new();
    lab.bench.port_changes.clear();
    lab.write(pin_cnf(5), 0x1);
    lab.write(P0 + 0x508, 1 << 5);
    lab.write(P0 + 0x508, 1 << 5);
    lab.write(P0 + 0x508, 1 << 6); // port 6 is an input: nothing changes outside
    assert_eq!(lab.bench.port_changes.iter().map(|(_, levels)| *levels).collect::<Vec<_>>(), [0, 1 << 5]);
}

#[test]
fn gpiote_events_on_edges() {
    // polarity, events after: high->low, low->high
    for (polarity, falling, rising) in [(1, 0, 1), (2, 1, 0), (3, 1, 1), (0, 0, 0)] {
        let mut lab = Lab::new();
        lab.write(pin_cnf(33), 0xC);
        lab.write(GPIOTE + 0x510 + 4 * 2, 1 | 33 << 8 | polarity << 16);
        for (low, expected) in [(1 << 33, falling), (0, rising)] {
            lab.force(low, 0);
            assert_eq!(lab.read(GPIOTE + 0x108), expected, "polarity {polarity}");
            lab.write(GPIOTE + 0x108, 0);
        }
    }
}

#[test]
fn gpiote_has_eight_inputs_with_interrupts() {
    let code = [common::thumb::store(0xE000_E100, 1 << 6), SLEEP_FOREVER.to_vec()].concat();
    let mut lab = Lab::running(ChipIdentity::from_seed(1), &code);
    for n in 0..8 {
        lab.write(pin_cnf(20 + n as usize), 0xC);
        lab.write(GPIOTE + 0x510 + 4 * n, 1 | (20 + n) << 8 | 2 << 16);
        lab.write(GPIOTE + 0x304, 1 << n);
    }
    let instructions = lab.chip.stats().instructions;
    for n in 0..8 {
        lab.force(1 << (20 + n), 0);
        let events = (0..8).map(|n| lab.read(GPIOTE + 0x100 + 4 * n)).collect::<Vec<_>>();
        assert_eq!(events, (0..8).map(|other| u32::from(other == n)).collect::<Vec<_>>());
        lab.write(GPIOTE + 0x100 + 4 * n, 0);
        lab.force(0, 0);
    }
    assert_eq!(lab.chip.stats().instructions, instructions);
    lab.force(1 << 20, 0);
    lab.run(MILLISECOND);
    assert!(lab.chip.stats().instructions > instructions + 1_000, "the CPU is in its handler");
}

#[test]
fn gpiote_tasks_drive() {
    let mut lab = Lab::new();
    // Channel 1, port 7, toggle, initially high; PIN_CNF stays an input.
    lab.write(GPIOTE + 0x514, 3 | 7 << 8 | 3 << 16 | 1 << 20);
    let level = |lab: &Lab| lab.chip.ports().states[7].driven.map(|driven| driven.level);
    assert_eq!(level(&lab), Some(true));
    for (task, expected) in [(0x004, false), (0x004, true), (0x064, false), (0x034, true)] {
        lab.write(GPIOTE + task, 1);
        assert_eq!(level(&lab), Some(expected), "task {task:#x}");
    }
    assert!(lab.chip.ports().states[7].taken_by_peripheral);
    lab.write(P0 + 0x50C, 1 << 7);
    assert_eq!(level(&lab), Some(true), "OUT does not reach a port of GPIOTE");
    lab.write(GPIOTE + 0x514, 0);
    assert_eq!(level(&lab), None);
}

#[test]
fn sense_latch_and_port_event() {
    for latched in [0, 1] {
        let mut lab = Lab::new();
        lab.write(P0 + 0x524, latched);
        lab.write(pin_cnf(4), 0x3_000C); // pull up, sense low
        lab.write(pin_cnf(5), 0x3_000C);
        assert_eq!(lab.read(GPIOTE + 0x17C), 0);
        lab.force(1 << 4, 0);
        assert_eq!(lab.read(GPIOTE + 0x17C), 1);
        assert_eq!(lab.read(P0 + 0x520), 1 << 4);
        lab.write(GPIOTE + 0x17C, 0);
        lab.force(1 << 4 | 1 << 5, 0);
        assert_eq!(lab.read(GPIOTE + 0x17C), 0, "DETECT is high already");
        lab.force(0, 0);
        assert_eq!(lab.read(P0 + 0x520), 3 << 4, "the latch stays");
        lab.write(P0 + 0x520, 1 << 4);
        assert_eq!(lab.read(P0 + 0x520), 1 << 5);
        assert_eq!(lab.read(GPIOTE + 0x17C), latched, "with LDETECT, what is left makes a new edge");
    }
}

#[test]
fn nfc_pins_and_power_off() {
    let mut lab = Lab::new();
    lab.write(pin_cnf(9), 0x1);
    lab.write(pin_cnf(11), 0x1);
    assert_eq!(lab.chip.ports().states[9].driven, None, "erased UICR: the port is an antenna pin");
    assert!(lab.chip.ports().states[11].driven.is_some());
    lab.chip.set_power(false);
    assert!(!lab.chip.ports().powered);
    assert_eq!(lab.chip.ports().states[11].driven, None);

    let mut chip = Chip::new(ChipIdentity::from_seed(1));
    chip.write_flash(0, &common::program(&SLEEP_FOREVER)).unwrap();
    chip.write_uicr(0x20C, 0xFFFF_FFFE).unwrap();
    chip.set_power(true);
    chip.bus_write(pin_cnf(9), 0x1, &mut BareBoard).unwrap();
    assert!(chip.ports().states[9].driven.is_some());
}

#[test]
fn the_reset_pin_ends_system_off() {
    let mut chip = Chip::new(ChipIdentity::from_seed(1));
    chip.write_flash(0, &common::program(&SLEEP_FOREVER)).unwrap();
    for offset in [0x200, 0x204] {
        chip.write_uicr(offset, 18).unwrap();
    }
    chip.set_power(true);
    let mut lab = Lab { chip, bench: common::Bench::default() };
    lab.write(0x4000_0500, 1);
    lab.run(MILLISECOND);
    assert!(lab.chip.activity().system_off);
    lab.chip.set_reset_pin(true);
    lab.run(MILLISECOND);
    lab.chip.set_reset_pin(false);
    lab.run(MILLISECOND);
    assert!(!lab.chip.activity().system_off);
    assert_eq!(lab.read(0x4000_0400), 1 << 0);
}

#[test]
fn system_off_keeps_what_ram_power_says() {
    // register RAM[n].POWER, value, addresses that keep, addresses that lose their contents
    type Row = (u32, u32, &'static [u32], &'static [u32]);
    let rows: [Row; 4] = [
        (0x900, 0xFFFF, &[], &[0x2000_0000, 0x2000_8000, 0x2003_FFFC]),
        (0x910, 1 << 16 | 0xFFFF, &[0x2000_2000, 0x2000_2FFC], &[0x2000_0000, 0x2000_3000, 0x2000_4000]),
        (0x970, 2 << 16 | 0xFFFF, &[0x2000_F000], &[0x2000_E000, 0x2001_0000]),
        (
            0x980,
            0x21 << 16 | 0xFFFF,
            &[0x2001_0000, 0x2003_8000, 0x2003_FFFC],
            &[0x2000_F000, 0x2001_8000, 0x2003_0000],
        ),
    ];
    for (register, value, kept, lost) in rows {
        let mut lab = Lab::new();
        lab.write(pin_cnf(4), 0x3_000C);
        for address in kept.iter().chain(lost) {
            lab.write(*address, 0x1234_5678);
        }
        lab.write(0x4000_0000 + register, value);
        lab.write(0x4000_0500, 1);
        lab.run(MILLISECOND);
        lab.force(1 << 4, 0);
        lab.run(MILLISECOND);
        for address in kept {
            assert_eq!(lab.read(*address), 0x1234_5678, "{address:#x}");
        }
        for address in lost {
            assert_ne!(lab.read(*address), 0x1234_5678, "{address:#x}");
        }
    }
}

#[test]
fn system_off_ends_with_a_sensed_level() {
    let mut lab = Lab::new();
    lab.write(pin_cnf(4), 0x3_000C);
    lab.write(pin_cnf(6), 0x1);
    lab.write(0x4000_0500, 1);
    lab.run(MILLISECOND);
    assert_eq!(lab.chip.stats().resets, 0);
    assert!(lab.chip.ports().states[6].driven.is_some(), "ports keep what they do");
    lab.force(1 << 4, 0);
    lab.run(MILLISECOND);
    assert_eq!(lab.chip.stats().resets, 1);
    assert_eq!(lab.read(0x4000_0400), 1 << 16);
}
