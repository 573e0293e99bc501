//! PWM: edges at the ports, and their times.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::{Lab, MICROSECOND, MILLISECOND, thumb};
use virtual_nrf52840::{Chip, ChipIdentity};

const PWMS: [u32; 4] = [0x4001_C000, 0x4002_1000, 0x4002_2000, 0x4002_D000];
const RAM: u32 = 0x2000_1000;
const STOPPED: u32 = 0x104;
const SEQSTARTED0: u32 = 0x108;
const SEQEND0: u32 = 0x110;
const SEQEND1: u32 = 0x114;
const PERIODEND: u32 = 0x118;
const LOOPSDONE: u32 = 0x11C;
/// First edge of a period falls.
const INVERTED: u16 = 0x8000;

/// A PWM whose channels are on ports 13 to 16, 1 count a microsecond (prescaler 4), 100 to a period.
fn pwm(lab: &mut Lab, base: u32, registers: &[(u32, u32)]) {
    let defaults = [(0x500, 1), (0x508, 100), (0x50C, 4), (0x528, 0), (0x548, 0), (0x520, RAM), (0x540, RAM + 0x100)];
    for (offset, value) in defaults {
        lab.write(base + offset, value);
    }
    for channel in 0..4 {
        lab.write(0x5000_0700 + 4 * (13 + channel), 1);
        lab.write(base + 0x560 + 4 * channel, 13 + channel);
    }
    for (offset, value) in registers {
        lab.write(base + offset, *value);
    }
    lab.bench.port_changes.clear();
}

fn values(lab: &mut Lab, address: u32, values: &[u16]) {
    for (n, pair) in values.chunks(2).enumerate() {
        let word = u32::from(pair[0]) | u32::from(*pair.get(1).unwrap_or(&0)) << 16;
        lab.write(address + 4 * n as u32, word);
    }
}

/// The changes at one port since `start`: microseconds and level.
fn edges(lab: &Lab, port: u32, start: u64) -> Vec<(u64, u8)> {
    let mut level = None;
    let mut edges = Vec::new();
    for (at, levels) in &lab.bench.port_changes {
        let now = (levels >> port & 1) as u8;
        if level.replace(now) != Some(now) {
            edges.push(((at - start) / MICROSECOND, now));
        }
    }
    edges
}

#[test]
fn edges_come_at_their_time() {
    // MODE, prescaler, value, edges of the first 350 counts
    type Row = (u32, u32, u16, &'static [(u64, u8)]);
    let rows: [Row; 9] = [
        (0, 4, 30 | INVERTED, &[(0, 1), (30, 0), (100, 1), (130, 0), (200, 1), (230, 0), (300, 1), (330, 0)]),
        (0, 4, 30, &[(30, 1), (100, 0), (130, 1), (200, 0), (230, 1), (300, 0), (330, 1)]),
        (0, 7, 99 | INVERTED, &[(0, 1), (792, 0), (800, 1), (1592, 0), (1600, 1), (2392, 0), (2400, 1)]),
        (0, 4, 0, &[(0, 1)]),
        (0, 4, INVERTED, &[]),
        (0, 4, 100, &[]),
        (0, 4, 200 | INVERTED, &[(0, 1)]),
        (1, 4, 30 | INVERTED, &[(0, 1), (30, 0), (170, 1), (230, 0)]),
        (1, 4, 30, &[(30, 1), (170, 0), (230, 1)]),
    ];
    for base in PWMS {
        for (mode, prescaler, value, expected) in rows {
            let mut lab = Lab::new();
            values(&mut lab, RAM, &[0, value]);
            // Grouped: the second half-word is for channels 2 and 3.
            pwm(&mut lab, base, &[(0x504, mode), (0x50C, prescaler), (0x510, 1), (0x524, 2)]);
            let start = lab.chip.now_ns();
            lab.write(base + 0x008, 1);
            lab.run((350 << (prescaler - 4)) * MICROSECOND);
            let mut seen = edges(&lab, 15, start);
            if seen.first() == Some(&(0, 0)) {
                seen.remove(0);
            }
            assert_eq!(seen, expected, "{base:#x} mode {mode} prescaler {prescaler} value {value:#x}");
            assert_eq!(edges(&lab, 13, start), [(0, 1)], "the other group is always high");
            lab.assert_quiet();
        }
    }
}

#[test]
fn a_steady_output_costs_nothing_and_is_released_when_stopped() {
    let mut lab = Lab::new();
    values(&mut lab, RAM, &[25 | INVERTED, INVERTED, 0, 7 | INVERTED]);
    pwm(&mut lab, PWMS[0], &[(0x510, 2), (0x524, 4), (0x56C, u32::MAX)]);
    lab.write(PWMS[0] + 0x008, 1);
    lab.run(1_000 * MILLISECOND);
    // Two edges of channel 0 each 100 us, and the start; channel 3 has no port.
    let changes = lab.bench.port_changes.len();
    assert!((19_999..=20_001).contains(&changes), "{changes}");
    assert_eq!([lab.read(PWMS[0] + PERIODEND), lab.read(PWMS[0] + SEQEND0)], [1, 1]);
    let level = |lab: &Lab| lab.chip.ports().states[15].driven.map(|driven| driven.level);
    assert_eq!(level(&lab), Some(true));
    lab.write(PWMS[0] + 0x004, 1);
    assert_eq!(lab.read(PWMS[0] + STOPPED), 0, "the period is finished first");
    lab.run(101 * MICROSECOND);
    assert_eq!(lab.read(PWMS[0] + STOPPED), 1);
    assert_eq!(level(&lab), Some(false), "OUT decides again");
}

#[test]
fn a_new_duty_cycle_begins_with_the_next_period() {
    // What SimplePwm does: individual load of four values, started again while running.
    let mut lab = Lab::new();
    values(&mut lab, RAM, &[20 | INVERTED; 4]);
    pwm(&mut lab, PWMS[0], &[(0x510, 2), (0x524, 4)]);
    let start = lab.chip.now_ns();
    lab.write(PWMS[0] + 0x008, 1);
    assert_eq!([lab.read(PWMS[0] + SEQSTARTED0), lab.read(PWMS[0] + SEQEND0)], [1, 1]);
    lab.run(110 * MICROSECOND);
    values(&mut lab, RAM, &[60 | INVERTED; 4]);
    lab.write(PWMS[0] + SEQEND0, 0);
    lab.write(PWMS[0] + 0x008, 1);
    lab.write(PWMS[0] + 0x508, 80);
    assert_eq!(lab.read(PWMS[0] + SEQEND0), 0);
    lab.run(95 * MICROSECOND);
    assert_eq!(lab.read(PWMS[0] + SEQEND0), 1);
    lab.run(100 * MICROSECOND);
    assert_eq!(edges(&lab, 13, start), [(0, 1), (20, 0), (100, 1), (120, 0), (200, 1), (260, 0), (280, 1)]);
}

#[test]
fn sequences_repeat_refresh_and_end() {
    // registers, START task, microseconds of the falling edges, then [SEQEND0, SEQEND1, LOOPSDONE, STOPPED]
    type Row = (&'static [(u32, u32)], u32, &'static [u64], [u32; 4]);
    let rows: [Row; 7] = [
        // Once: the last value stays.
        (&[], 0x008, &[10, 120, 220, 320, 420], [1, 0, 0, 0]),
        (&[(0x200, 1)], 0x008, &[10, 120], [1, 0, 0, 1]),
        (&[(0x528, 1)], 0x008, &[10, 110, 220, 320, 420], [1, 0, 0, 0]),
        // Both sequences once; ENDDELAY holds the last value.
        (&[(0x514, 1), (0x200, 1 << 4)], 0x008, &[10, 120, 230], [1, 1, 1, 1]),
        (&[(0x514, 1), (0x52C, 1), (0x200, 1 << 4)], 0x008, &[10, 120, 220, 330], [1, 1, 1, 1]),
        // From sequence 1, which ends the only loop; then all over.
        (&[(0x514, 1), (0x200, 1 << 4)], 0x00C, &[30], [0, 1, 1, 1]),
        (&[(0x514, 1), (0x200, 1 << 2)], 0x008, &[10, 120, 230, 310, 420], [1, 1, 1, 0]),
    ];
    for (registers, task, expected, events) in rows {
        let mut lab = Lab::new();
        values(&mut lab, RAM, &[10 | INVERTED, 20 | INVERTED]);
        values(&mut lab, RAM + 0x100, &[30 | INVERTED]);
        pwm(&mut lab, PWMS[1], &[(0x524, 2), (0x544, 1)]);
        for (offset, value) in registers {
            lab.write(PWMS[1] + offset, *value);
        }
        let start = lab.chip.now_ns();
        lab.write(PWMS[1] + task, 1);
        lab.run(450 * MICROSECOND);
        let stopped = events[3] == 1;
        let falling: Vec<u64> =
            edges(&lab, 13, start).iter().filter(|(_, level)| *level == 0).map(|edge| edge.0).collect();
        assert_eq!(falling, expected, "{registers:x?}");
        let seen = [SEQEND0, SEQEND1, LOOPSDONE, STOPPED].map(|event| lab.read(PWMS[1] + event));
        assert_eq!(seen, events, "{registers:x?}");
        assert_eq!(lab.chip.ports().states[13].taken_by_peripheral, !stopped);
    }
}

#[test]
fn steps_by_task_and_waveforms() {
    let mut lab = Lab::new();
    values(&mut lab, RAM, &[10 | INVERTED, 0, 0, 40, 20 | INVERTED, 0, 0, 80]);
    pwm(&mut lab, PWMS[3], &[(0x510, 3 | 1 << 8), (0x524, 8)]);
    let start = lab.chip.now_ns();
    lab.write(PWMS[3] + 0x008, 1);
    lab.run(50 * MICROSECOND);
    lab.write(PWMS[3] + 0x010, 1); // NEXTSTEP
    lab.run(150 * MICROSECOND);
    assert_eq!(edges(&lab, 13, start), [(0, 1), (10, 0), (40, 1), (50, 0), (80, 1), (100, 0), (160, 1), (180, 0)]);
}

#[test]
fn the_period_end_reaches_the_ppi() {
    let mut lab = Lab::new();
    // PWMPERIODEND counts in TIMER2.
    for (address, value) in [(0x4000_A504, 1), (0x4000_A508, 3), (0x4000_A000, 1)] {
        lab.write(address, value);
    }
    for (address, value) in [(0x4001_F510, PWMS[0] + PERIODEND), (0x4001_F514, 0x4000_A008), (0x4001_F504, 1)] {
        lab.write(address, value);
    }
    values(&mut lab, RAM, &[0]);
    pwm(&mut lab, PWMS[0], &[(0x524, 1)]);
    lab.write(PWMS[0] + 0x008, 1);
    lab.run(1_050 * MICROSECOND);
    lab.write(0x4000_A040, 1);
    assert_eq!(lab.read(0x4000_A540), 10);
}

#[test]
fn what_goes_wrong() {
    let mut lab = Lab::new();
    pwm(&mut lab, PWMS[0], &[(0x520, 0x1000), (0x524, 1)]);
    lab.write(PWMS[0] + 0x008, 1);
    pwm(&mut lab, PWMS[1], &[]);
    lab.write(PWMS[1] + 0x008, 1);
    let texts: Vec<String> = lab.chip.diagnostics().iter().map(ToString::to_string).collect();
    assert!(texts[0].starts_with("PWM0: DMA of 1 bytes at 0x00001000 is outside RAM"), "{texts:#?}");
    assert!(texts.last().unwrap().starts_with("PWM1: starting a sequence without values"), "{texts:#?}");

    let mut identity = ChipIdentity::from_seed(1);
    identity.tolerances.pwm_dead[0] = true;
    let mut lab = Lab::with_identity(identity);
    values(&mut lab, RAM, &[50; 4]);
    pwm(&mut lab, PWMS[0], &[(0x510, 2), (0x524, 4)]);
    lab.write(PWMS[0] + 0x008, 1);
    lab.run(MILLISECOND);
    assert_eq!([lab.read(PWMS[0] + SEQEND0), lab.bench.port_changes.len() as u32], [1, 0]);
}

#[test]
fn exchanged_ports_get_each_others_signal() {
    let of_ports = |swapped: Vec<(u8, u8)>| {
        let mut identity = ChipIdentity::from_seed(1);
        identity.tolerances.pwm_swapped = swapped;
        let mut lab = Lab::with_identity(identity);
        values(&mut lab, RAM, &[20, 40, 60, 80]);
        pwm(&mut lab, PWMS[0], &[(0x510, 2), (0x524, 4)]);
        lab.write(PWMS[0] + 0x008, 1);
        let start = lab.chip.now_ns();
        lab.run(350 * MICROSECOND);
        [13, 14, 15, 16].map(|port| edges(&lab, port, start))
    };
    let [a, b, c, d] = of_ports(Vec::new());
    assert!(a.len() > 5 && a != b, "{a:?}");
    assert_eq!(of_ports(vec![(13, 14)]), [b, a, c, d]);
}

#[test]
fn a_program_plays_on_and_a_snapshot_too() {
    let code = [
        thumb::store(0x5000_0734, 1),
        thumb::store(PWMS[2] + 0x560, 13),
        thumb::store(PWMS[2] + 0x500, 1),
        thumb::store(PWMS[2] + 0x508, 333),
        thumb::store(RAM, 0x8064_80C8),
        thumb::store(PWMS[2] + 0x520, RAM),
        thumb::store(PWMS[2] + 0x524, 2),
        thumb::store(PWMS[2] + 0x540, RAM),
        thumb::store(PWMS[2] + 0x544, 2),
        thumb::store(PWMS[2] + 0x514, 1),
        thumb::store(PWMS[2] + 0x200, 1 << 2),
        thumb::store(PWMS[2] + 0x008, 1),
        common::SLEEP_FOREVER.to_vec(),
    ]
    .concat();
    let mut lab = Lab::running(ChipIdentity::from_seed(1), &code);
    lab.run(12_345);
    let snapshot = lab.chip.snapshot();
    lab.bench.port_changes.clear();
    lab.run(MILLISECOND);
    let whole = std::mem::take(&mut lab.bench.port_changes);
    assert!(whole.len() > 90, "{}", whole.len());
    let mut other = Lab { chip: Chip::new(ChipIdentity::from_seed(2)), bench: common::Bench::default() };
    other.chip.restore(&snapshot);
    other.run(MILLISECOND);
    assert_eq!(other.bench.port_changes, whole);
    lab.assert_quiet();
}
