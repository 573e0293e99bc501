//! CLOCK, RTC, TIMER, PPI and WDT: what happens when.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::{Lab, MICROSECOND, MILLISECOND};
use virtual_nrf52840::{ChipIdentity, Stop};

const RTC1: u32 = 0x4001_1000;
const TIMER1: u32 = 0x4000_9000;
const TIMER2: u32 = 0x4000_A000;
const PPI: u32 = 0x4001_F000;
const EGU0: u32 = 0x4001_4000;
const WDT: u32 = 0x4001_0000;
const RESETREAS: u32 = 0x4000_0400;

/// Starts the 32.768 kHz clock from the RC oscillator and waits until it runs.
fn start_lfclk(lab: &mut Lab) {
    lab.write(0x4000_0008, 1);
    lab.run(MILLISECOND);
    assert_eq!(lab.read(0x4000_0104), 1);
}

#[test]
fn oscillators_take_their_time() {
    // task, event, source, expected microseconds
    let rows = [
        (0x000, 0x100, 0, Some(360)),
        (0x008, 0x104, 0, Some(600)),
        (0x008, 0x104, 1, Some(250_000)),
        (0x010, 0x10C, 0, Some(16_000)),
    ];
    for (task, event, source, expected) in rows {
        let mut lab = Lab::new();
        lab.write(0x4000_0518, source);
        lab.write(0x4000_0000 + task, 1);
        if source == 1 {
            // The RC oscillator bridges the start-up of the crystal.
            assert_eq!(lab.read(0x4000_0418), 1 << 16);
        }
        let took = lab.wait_for(0x4000_0000 + event, 300 * MILLISECOND).map(|ns| ns / 1000);
        assert_eq!(took, expected, "task {task:#x}");
    }
    let mut identity = ChipIdentity::from_seed(1);
    identity.tolerances.lfxo_dead = true;
    let mut lab = Lab::with_identity(identity);
    lab.write(0x4000_0518, 1);
    lab.write(0x4000_0008, 1);
    lab.run(2_000 * MILLISECOND);
    assert_eq!(lab.read(0x4000_0104), 0);
}

#[test]
fn rtc_counts_and_compares() {
    // prescaler, compare, milliseconds until the event (rounded down)
    for (prescaler, compare, expected_ms) in [(0u32, 32u32, 0), (0, 32_768, 1000), (32, 993, 1000), (4095, 8, 1000)] {
        let mut lab = Lab::new();
        start_lfclk(&mut lab);
        lab.write(RTC1 + 0x508, prescaler);
        lab.write(RTC1 + 0x544, compare);
        lab.write(RTC1 + 0x344, 1 << 17);
        lab.write(RTC1, 1);
        let start = lab.chip.now_ns();
        let expected_ns = u64::from(compare) * u64::from(prescaler + 1) * 1_000_000_000 / 32_768;
        lab.run(expected_ns - 2 * 30_518);
        assert_eq!(lab.read(RTC1 + 0x144), 0);
        lab.run(2 * 30_518);
        assert_eq!(lab.read(RTC1 + 0x144), 1, "prescaler {prescaler}");
        assert_eq!(lab.read(RTC1 + 0x504), compare);
        assert_eq!((lab.chip.now_ns() - start) / MILLISECOND, expected_ms);
    }
}

#[test]
fn rtc_without_enabled_event_raises_none_and_wraps() {
    let mut lab = Lab::new();
    start_lfclk(&mut lab);
    lab.write(RTC1 + 0x00C, 1); // TRIGOVRFLW: 16 ticks before the wrap
    lab.write(RTC1, 1);
    // At most one tick early: START comes between two ticks.
    lab.run(16 * 30_518);
    assert_eq!(lab.read(RTC1 + 0x504), 0);
    assert_eq!(lab.read(RTC1 + 0x104), 0);
    lab.write(RTC1 + 0x304, 1 << 1);
    lab.write(RTC1 + 0x00C, 1);
    lab.run(17 * 30_518);
    assert_eq!(lab.read(RTC1 + 0x104), 1);
}

#[test]
fn a_slow_crystal_shows_in_the_rtc() {
    let mut identity = ChipIdentity::from_seed(1);
    identity.tolerances.lfxo_ppm = -500.0;
    let mut lab = Lab::with_identity(identity);
    lab.write(0x4000_0518, 1);
    lab.write(0x4000_0008, 1);
    lab.run(300 * MILLISECOND);
    lab.write(RTC1, 1);
    lab.run(100_000 * MILLISECOND);
    // 100 s of 32768 Hz less 500 ppm.
    let count = lab.read(RTC1 + 0x504);
    assert!((3_276_800 - 1_639..=3_276_800 - 1_637).contains(&count), "{count}");
}

#[test]
fn the_crystal_takes_over_from_the_internal_oscillator() {
    let mut identity = ChipIdentity::from_seed(1);
    identity.tolerances.hfint_ppm = 15_000.0;
    identity.tolerances.hfxo_ppm = -40.0;
    let mut lab = Lab::with_identity(identity);
    for (offset, value) in [(0x508, 3), (0x510, 0), (0x000, 1)] {
        lab.write(TIMER1 + offset, value);
    }
    let count_of_100_ms = |lab: &mut Lab| {
        lab.write(TIMER1 + 0x00C, 1);
        lab.run(100 * MILLISECOND);
        lab.write(TIMER1 + 0x040, 1);
        lab.read(TIMER1 + 0x540)
    };
    assert_eq!(count_of_100_ms(&mut lab), 1_624_000);
    lab.write(0x4000_0000, 1);
    lab.run(MILLISECOND);
    assert_eq!(count_of_100_ms(&mut lab), 1_599_936);
    lab.write(0x4000_0004, 1);
    assert_eq!(count_of_100_ms(&mut lab), 1_624_000);
}

#[test]
fn timer_modes_widths_and_shortcuts() {
    // prescaler, bit mode, compare, shorts, count after 1 ms
    let rows = [
        (0, 3, 0xFFFF_FFFF, 0, 16_000),
        (4, 0, 0xFFFF, 0, 1_000),
        (4, 1, 0, 0, 1_000 % 256),
        (9, 3, 0xFFFF_FFFF, 0, 31),
        (4, 0, 300, 1, 1_000 % 300), // COMPARE0_CLEAR
        (4, 0, 300, 1 << 8, 300),    // COMPARE0_STOP
        (4, 0, 300, 1 | 1 << 8, 0),
    ];
    for (prescaler, bit_mode, compare, shorts, expected) in rows {
        let mut lab = Lab::new();
        for (offset, value) in [(0x510, prescaler), (0x508, bit_mode), (0x540, compare), (0x200, shorts), (0, 1)] {
            lab.write(TIMER1 + offset, value);
        }
        lab.run(MILLISECOND);
        lab.write(TIMER1 + 0x44, 1); // CAPTURE[1]
        assert_eq!(lab.read(TIMER1 + 0x544), expected, "prescaler {prescaler}, compare {compare}, shorts {shorts:#x}");
    }
}

#[test]
fn ppi_connects_without_the_cpu() {
    // TIMER1 compares every 100 us; channel 3 counts that in TIMER2, its fork triggers EGU0[5].
    let mut lab = Lab::new();
    let rows = [
        (TIMER1 + 0x540, 100),
        (TIMER1 + 0x200, 1),
        (TIMER2 + 0x504, 1),
        (TIMER2 + 0x540, 7),
        (TIMER2, 1),
        (PPI + 0x510 + 8 * 3, TIMER1 + 0x140),
        (PPI + 0x514 + 8 * 3, TIMER2 + 0x008),
        (PPI + 0x910 + 4 * 3, EGU0 + 4 * 5),
        (PPI + 0x504, 1 << 3),
        (TIMER1, 1),
    ];
    for (address, value) in rows {
        lab.write(address, value);
    }
    lab.run(650 * MICROSECOND);
    lab.write(TIMER2 + 0x44, 1);
    assert_eq!(lab.read(TIMER2 + 0x544), 6);
    assert_eq!(lab.read(TIMER2 + 0x140), 0);
    assert_eq!(lab.read(EGU0 + 0x114), 1);
    lab.run(100 * MICROSECOND);
    assert_eq!(lab.read(TIMER2 + 0x140), 1, "the counter compares too");

    // A group task through another channel switches the channel off.
    lab.write(PPI + 0x800, 1 << 3);
    lab.write(PPI + 0x510, EGU0 + 0x100);
    lab.write(PPI + 0x514, PPI + 0x004);
    lab.write(PPI + 0x504, 1);
    lab.write(EGU0, 1);
    assert_eq!(lab.read(PPI + 0x500), 1);
}

#[test]
fn rtc_ticks_and_compares_toggle_a_port() {
    const GPIOTE: u32 = 0x4000_6000;
    const RTC2: u32 = 0x4002_4000;
    // RTC, event, prescaler, crystal's error in ppm, edges in ten seconds
    let rows = [
        (RTC2, 0x100, 15, 0.0, 20_480),
        (RTC1, 0x100, 31, 0.0, 10_240),
        (RTC2, 0x100, 15, 1_000.0, 20_500),
        (RTC2, 0x100, 15, -1_000.0, 20_459),
        (RTC1, 0x140, 0, 0.0, 10_240),
    ];
    for (rtc, event, prescaler, ppm, expected) in rows {
        let mut identity = ChipIdentity::from_seed(1);
        identity.tolerances.lfxo_ppm = ppm;
        let mut lab = Lab::with_identity(identity);
        lab.write(0x4000_0518, 1);
        lab.write(0x4000_0008, 1);
        lab.run(300 * MILLISECOND);
        let rows = [
            (GPIOTE + 0x510, 3 | 13 << 8 | 3 << 16),
            (PPI + 0x510, rtc + event),
            (PPI + 0x514, GPIOTE),
            // After a compare the counter starts over.
            (PPI + 0x910, if event == 0x140 { rtc + 0x008 } else { 0 }),
            (PPI + 0x504, 1),
            (rtc + 0x508, prescaler),
            (rtc + 0x540, 32),
            (rtc + 0x344, 1 << ((event - 0x100) / 4)),
            (rtc, 1),
        ];
        for (address, value) in rows {
            lab.write(address, value);
        }
        lab.bench.port_changes.clear();
        let instructions = lab.chip.stats().instructions;
        lab.run(10_000 * MILLISECOND);
        let edges = lab.bench.port_changes.len();
        assert!(edges.abs_diff(expected) <= 1, "{edges} instead of {expected}");
        assert_eq!(lab.chip.stats().instructions, instructions, "the CPU sleeps");
        let gaps: Vec<u64> = lab.bench.port_changes.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(gaps.iter().all(|gap| gap.abs_diff(gaps[0]) <= 1));
        lab.assert_quiet();
    }
}

#[test]
fn a_ring_of_events_is_reported() {
    let mut lab = Lab::new();
    lab.write(PPI + 0x510, EGU0 + 0x100);
    lab.write(PPI + 0x514, EGU0);
    lab.write(PPI + 0x504, 1);
    lab.write(EGU0, 1);
    let text = lab.chip.diagnostics()[0].to_string();
    assert!(text.starts_with("EGU0: events and tasks trigger each other without end"), "{text}");
}

#[test]
fn watchdog_resets_unless_fed() {
    let mut lab = Lab::new();
    lab.write(WDT + 0x504, 3_276); // 100 ms
    lab.write(WDT + 0x508, 0b101);
    lab.write(WDT, 1);
    assert_eq!(lab.read(WDT + 0x400), 1);
    lab.write(WDT + 0x504, 5);
    assert_eq!(lab.read(WDT + 0x504), 3_276, "configuration is locked while it runs");
    for _ in 0..5 {
        lab.run(90 * MILLISECOND);
        lab.write(WDT + 0x600, 0x6E52_4635);
        assert_eq!(lab.read(WDT + 0x404), 0b100);
        lab.write(WDT + 0x608, 0x6E52_4635);
        assert_eq!(lab.read(WDT + 0x404), 0b101);
    }
    assert_eq!(lab.chip.stats().resets, 0);
    lab.write(0x4000_051C, 0x42);
    lab.run(90 * MILLISECOND);
    lab.write(WDT + 0x600, 0x6E52_4635); // only one of two
    lab.run(20 * MILLISECOND);
    assert_eq!(lab.chip.stats().resets, 1);
    assert_eq!(lab.read(RESETREAS), 1 << 1);
    assert_eq!(lab.read(WDT + 0x400), 0);
    assert_eq!(lab.read(0x4000_051C), 0, "a watchdog reset clears GPREGRET");
    lab.write(RESETREAS, 1 << 1);
    assert_eq!(lab.read(RESETREAS), 0);
}

#[test]
fn random_bytes_come_in_time_and_repeat_with_the_seed() {
    let draw = |seed| {
        let mut lab = Lab::with_identity(ChipIdentity::from_seed(seed));
        lab.write(0x4000_D000, 1);
        (0..16)
            .map(|_| {
                assert!(lab.wait_for(0x4000_D100, 40 * MICROSECOND).is_some());
                lab.write(0x4000_D100, 0);
                lab.read(0x4000_D508)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn die_temperature() {
    let mut lab = Lab::new();
    lab.write(0x4000_C000, 1);
    assert!(lab.wait_for(0x4000_C100, 50 * MICROSECOND).is_some());
    assert_eq!(lab.read(0x4000_C508), 100, "quarter degrees");
}

#[test]
fn without_power_only_time_passes() {
    let mut lab = Lab::new();
    lab.write(TIMER1, 1);
    lab.chip.set_power(false);
    let until = lab.chip.now_ns() + 1_000 * MILLISECOND;
    assert_eq!(lab.chip.run_until(until, &mut lab.bench), Stop::Reached);
    assert_eq!(lab.chip.now_ns(), until);
    lab.chip.set_power(true);
    assert_eq!(lab.read(RESETREAS), 0);
    lab.write(TIMER1 + 0x40, 1);
    assert_eq!(lab.read(TIMER1 + 0x540), 0);
}

#[test]
fn time_ends_without_trouble() {
    let mut lab = Lab::new();
    assert_eq!(lab.chip.run_until(u64::MAX, &mut lab.bench), Stop::Reached);
    assert_eq!(lab.chip.run_until(u64::MAX, &mut lab.bench), Stop::Reached);
}
