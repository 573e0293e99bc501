//! Small programs on the CPU: resets, faults, interrupts, snapshots, images.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::thumb::{self, HANG, INCREMENT_R1, LOAD_R1, RETURN, STORE_R1, WFI};
use common::{Bench, CODE, Lab, MICROSECOND, MILLISECOND, program};
use proptest::prelude::*;
use virtual_nrf52840::{Chip, ChipIdentity, ImageError};

const RESETREAS: u32 = 0x4000_0400;
const AIRCR: u32 = 0xE000_ED0C;
const PSELRESET: u32 = 0x1000_1200;
const COUNTER: u32 = 0x2000_1000;

/// Selects the reset pin in UICR and resets the chip, unless that was done before; then sleeps.
fn select_reset_pin() -> Vec<u16> {
    let program = [
        thumb::store(0x4001_E504, 1),
        thumb::store(PSELRESET, 18),
        thumb::store(PSELRESET + 4, 18),
        thumb::store(0x4001_E504, 0),
        thumb::store(AIRCR, 0x05FA_0004),
        vec![HANG],
    ]
    .concat();
    let skip = program.len() as u16;
    // ldr r1, [r0]; cmp r1, #18; beq to the sleep behind `program`.
    let begin = [thumb::load(0, PSELRESET), vec![LOAD_R1, 0x2912, 0xD000 | (skip - 1)]].concat();
    [begin, program, vec![WFI, 0xE7FD]].concat()
}

#[test]
fn an_erased_uicr_is_written_once_and_stays() {
    let mut lab = Lab::running(ChipIdentity::from_seed(1), &select_reset_pin());
    let mut before = [0; 64];
    lab.chip.read_ram(0x2003_0000, &mut before).unwrap();
    lab.run(MILLISECOND);
    assert_eq!(lab.chip.stats().resets, 1);
    assert_eq!(lab.read(RESETREAS), 1 << 2, "software reset");
    assert_eq!(lab.chip.read_uicr(0x200), 18);
    let mut after = [0; 64];
    lab.chip.read_ram(0x2003_0000, &mut after).unwrap();
    assert_eq!(before, after, "RAM survives a software reset");

    lab.chip.set_power(false);
    lab.chip.set_power(true);
    lab.run(MILLISECOND);
    assert_eq!(lab.chip.stats().resets, 1, "UICR is not written again");
    lab.chip.read_ram(0x2003_0000, &mut after).unwrap();
    assert_ne!(before, after, "RAM does not survive power-off");

    lab.write(0x4000_051C, 9);
    lab.chip.set_reset_pin(true);
    let instructions = lab.chip.stats().instructions;
    lab.run(MILLISECOND);
    assert_eq!(lab.chip.stats().instructions, instructions, "held in reset");
    lab.chip.set_reset_pin(false);
    lab.run(MILLISECOND);
    assert!(lab.chip.stats().instructions > instructions);
    assert_eq!([lab.read(RESETREAS), lab.read(0x4000_051C)], [1, 0]);
    lab.assert_quiet();
}

#[test]
fn the_reset_pin_needs_uicr() {
    let mut lab = Lab::new();
    lab.chip.set_reset_pin(true);
    lab.run(MILLISECOND);
    assert_eq!(lab.chip.stats().resets, 0);
}

#[test]
fn retained_ram_may_be_lost() {
    for (lost, kept) in [(None, [true; 3]), (Some(0x2000_4000..0x2000_8000), [true, false, true])] {
        let mut identity = ChipIdentity::from_seed(1);
        identity.tolerances.retained_ram_lost = lost;
        // Resets itself when COUNTER becomes 1.
        let code = [
            thumb::store(COUNTER, 0),
            thumb::load(0, COUNTER),
            vec![LOAD_R1, 0x2901, 0xD1FC], // ldr r1, [r0]; cmp r1, #1; bne back
            thumb::store(AIRCR, 0x05FA_0004),
            vec![HANG],
        ]
        .concat();
        let mut lab = Lab::running(identity, &code);
        let addresses = [0x2000_3FFC, 0x2000_4000, 0x2000_8000];
        for address in addresses {
            lab.write(address, 0x5AFE);
        }
        lab.write(COUNTER, 1);
        lab.run(MILLISECOND);
        assert_eq!(lab.read(RESETREAS), 1 << 2);
        assert_eq!(addresses.map(|address| lab.read(address) == 0x5AFE), kept);
    }
}

#[test]
fn activity_adds_up() {
    let mut chip = ticking_chip();
    let mut bench = Bench::default();
    chip.run_until(500 * MILLISECOND, &mut bench);
    let before = chip.activity();
    assert_eq!(before.run_ns + before.sleep_ns, 500 * MILLISECOND + chip.now_ns() % MILLISECOND);
    assert!(before.asleep && before.lfclk_running && !before.hfxo_running && !before.lfxo_running);
    chip.run_until(1_500 * MILLISECOND, &mut bench);
    let after = chip.activity();
    // 4096 interrupts of some 40 instructions each.
    let share = (after.run_ns - before.run_ns) as f64 / 1e9;
    assert!((0.002..0.01).contains(&share), "{share}");
    // An erased page halts the CPU; System OFF ends its time.
    for (address, value) in [(0x4001_E504, 2), (0x4001_E508, 0x8_0000)] {
        chip.bus_write(address, value, &mut bench).unwrap();
    }
    chip.run_until(2_000 * MILLISECOND, &mut bench);
    assert_eq!((chip.activity().halted_ns - after.halted_ns) / MILLISECOND, 85);
    chip.bus_write(0x4000_0000, 1, &mut bench).unwrap();
    chip.run_until(2_001 * MILLISECOND, &mut bench);
    assert!(chip.activity().hfxo_running);
    chip.bus_write(0x4000_0500, 1, &mut bench).unwrap();
    chip.run_until(2_101 * MILLISECOND, &mut bench);
    let off = chip.activity();
    assert_eq!(off.off_ns / MILLISECOND, 100);
    assert!(off.system_off && !off.asleep && !off.hfxo_running && !off.lfclk_running);
    assert_eq!(off.run_ns + off.sleep_ns + off.halted_ns + off.off_ns, chip.now_ns());
}

#[test]
fn a_program_lets_an_rtc_toggle_a_port() {
    const GPIOTE: u32 = 0x4000_6000;
    const PPI: u32 = 0x4001_F000;
    const RTC2: u32 = 0x4002_4000;
    let code = [
        thumb::store(0x4000_0518, 1),                        // the crystal
        thumb::store(0x4000_0008, 1),                        // LFCLKSTART
        thumb::store(GPIOTE + 0x510, 3 | 13 << 8 | 3 << 16), // toggles P0.13
        thumb::store(PPI + 0x510, RTC2 + 0x140),
        thumb::store(PPI + 0x514, GPIOTE),
        thumb::store(PPI + 0x910, RTC2 + 0x008), // and the counter starts over
        thumb::store(PPI + 0x504, 1),
        thumb::store(RTC2 + 0x540, 16),
        thumb::store(RTC2 + 0x344, 1 << 16),
        thumb::store(RTC2, 1),
        common::SLEEP_FOREVER.to_vec(),
    ]
    .concat();
    // The crystal's error in ppm, edges in ten seconds.
    for (ppm, expected) in [(0.0, 20_480u32), (500.0, 20_490), (-500.0, 20_470)] {
        let mut identity = ChipIdentity::from_seed(1);
        identity.tolerances.lfxo_ppm = ppm;
        let mut lab = Lab::running(identity, &code);
        lab.run(300 * MILLISECOND);
        lab.bench.port_changes.clear();
        let instructions = lab.chip.stats().instructions;
        lab.run(10_000 * MILLISECOND);
        let edges = lab.bench.port_changes.len() as u32;
        assert!(edges.abs_diff(expected) <= 1, "{edges} instead of {expected}");
        assert!(lab.bench.port_changes.windows(2).all(|pair| (pair[0].1 ^ pair[1].1) == 1 << 13));
        assert_eq!(lab.chip.stats().instructions, instructions, "the CPU sleeps");
        assert!(lab.chip.activity().lfxo_running);
        lab.assert_quiet();
    }
}

#[test]
fn gpregret_survives_a_software_reset() {
    let code = [thumb::store(0x4000_051C, 0x57), thumb::store(AIRCR, 0x05FA_0004), vec![HANG]].concat();
    let mut lab = Lab::running(ChipIdentity::from_seed(1), &code);
    lab.run(10 * MICROSECOND);
    assert!(lab.chip.stats().resets > 0);
    assert_eq!(lab.read(0x4000_051C), 0x57);
}

#[test]
fn faults_are_reported_with_their_instruction() {
    let udf = vec![0xDE00];
    let far = [thumb::load(0, 0x6000_0000), vec![LOAD_R1]].concat();
    let flash = thumb::store(0x100, 0);
    let byte_write = [thumb::load(0, 0x4000_8504), vec![0x7001]].concat(); // strb r1, [r0]
    let rows = [
        (udf, "HardFault (CFSR 0x00010000, HFSR 0x40000000) at PC 0x00000200"),
        (far, "HardFault (CFSR 0x00008200, HFSR 0x40000000, fault address 0x60000000) at PC 0x00000208"),
        (flash, "HardFault (CFSR 0x00008200, HFSR 0x40000000, fault address 0x00000100) at PC 0x00000210"),
        (byte_write, "HardFault (CFSR 0x00008200, HFSR 0x40000000, fault address 0x40008504) at PC 0x00000208"),
    ];
    for (code, expected) in rows {
        let lab = Lab::running(ChipIdentity::from_seed(1), &code);
        let texts: Vec<String> = lab.chip.diagnostics().iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 1, "{texts:#?}");
        assert!(texts[0].starts_with(expected), "{texts:#?}");
    }
}

#[test]
fn an_unmodelled_register_is_reported_with_its_instruction() {
    // The second is one of the core's own, which the bus does not see.
    let rows = [(0x4002_5504, "I2S: write of 0x5 to 0x40025504"), (0xE000_0E00, "ITM: write of 0x5 to 0xe0000e00")];
    for (address, expected) in rows {
        let code = [thumb::store(address, 5), thumb::load(0, 0x4000_051C), vec![LOAD_R1, HANG]].concat();
        let lab = Lab::running(ChipIdentity::from_seed(1), &code);
        let text = lab.chip.diagnostics()[0].to_string();
        assert!(text.starts_with(&format!("{expected} is not modelled, PC 0x00000210, at ")), "{text}");
    }
}

/// An empty chip cannot but lock up, again and again: nothing to report. A program that does is broken.
#[test]
fn a_chip_without_a_sound_program_locks_up() {
    let starts_nowhere = [0x2000_1000_u32, 0x6000_0001].map(u32::to_le_bytes).concat();
    for (flash, reported) in [(&[][..], false), (&starts_nowhere, true)] {
        let mut chip = Chip::new(ChipIdentity::from_seed(1));
        chip.write_flash(0, flash).unwrap();
        chip.set_power(true);
        let mut bench = Bench::default();
        chip.run_until(100 * MILLISECOND, &mut bench);
        let said: Vec<String> = chip.diagnostics().iter().map(ToString::to_string).collect();
        assert_eq!(said.iter().any(|text| text.starts_with("CPU lockup, the chip resets")), reported, "{said:?}");
        assert_eq!(chip.bus_read(RESETREAS, &mut bench), Some(1 << 3));
    }
}

/// Counts RTC1 ticks in RAM and on P0.13 from an interrupt, sleeping in between.
fn ticking() -> Vec<u8> {
    let main = [
        thumb::store(0x4000_0008, 1),       // LFCLKSTART
        thumb::store(0x5000_0734, 1),       // P0.13 output
        thumb::store(0x4001_1508, 7),       // 4096 Hz
        thumb::store(0x4001_1304, 1),       // interrupt on TICK
        thumb::store(0xE000_E100, 1 << 17), // NVIC
        thumb::store(COUNTER, 0),
        thumb::store(0x4000_D000, 1), // random numbers, to have something that must repeat
        thumb::store(0x4001_1000, 1),
        vec![WFI, 0xE7FD],
    ]
    .concat();
    let handler = [
        thumb::store(0x4001_1100, 0),
        thumb::load(0, COUNTER),
        vec![LOAD_R1, INCREMENT_R1, STORE_R1],
        vec![0x0349], // lsls r1, r1, #13
        thumb::load(0, 0x5000_0504),
        vec![STORE_R1],
        thumb::load(0, 0x4000_D508),
        vec![LOAD_R1],
        thumb::load(0, COUNTER + 4),
        vec![STORE_R1, RETURN],
    ]
    .concat();
    let mut image = program(&main);
    let handler_address = image.len() as u32;
    image.extend(handler.iter().flat_map(|half| half.to_le_bytes()));
    let vector = (16 + 17) * 4;
    image[vector..vector + 4].copy_from_slice(&(handler_address | 1).to_le_bytes());
    image
}

fn ticking_chip() -> Chip {
    let mut chip = Chip::new(ChipIdentity::from_seed(3));
    chip.write_flash(0, &ticking()).unwrap();
    chip.set_power(true);
    chip
}

#[test]
fn an_interrupt_wakes_the_cpu_each_tick() {
    let mut chip = ticking_chip();
    let mut bench = Bench::default();
    chip.run_until(1_001 * MILLISECOND, &mut bench);
    let mut count = [0; 4];
    chip.read_ram(COUNTER, &mut count).unwrap();
    let count = u32::from_le_bytes(count);
    assert!((4096 - 1..=4096 + 5).contains(&count), "{count}");
    // Power, the output, and then one change each tick.
    assert_eq!(bench.port_changes.len() as u32, count + 2);
    let stats = chip.stats();
    assert!(stats.instructions < 300_000 && stats.slept_ns > 900_000_000, "{stats:?}");
}

/// All observable results of a run.
fn outcome(chip: &Chip) -> (u64, [u32; 17], Vec<u8>, virtual_nrf52840::Stats) {
    let mut ram = vec![0; 0x2000];
    chip.read_ram(0x2000_0000, &mut ram).unwrap();
    (chip.now_ns(), chip.cpu_registers(), ram, chip.stats())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_divided_run_and_a_restored_one_equal_the_whole(
        mut cuts in proptest::collection::vec(0u64..20_000_000, 1..5),
        snapshot_at in 0u64..20_000_000,
    ) {
        const END: u64 = 20_000_000;
        let mut whole = ticking_chip();
        let mut whole_bench = Bench::default();
        whole.run_until(END, &mut whole_bench);

        cuts.sort_unstable();
        let mut divided = ticking_chip();
        let mut divided_bench = Bench::default();
        for cut in cuts {
            divided.run_until(cut, &mut divided_bench);
        }
        divided.run_until(END, &mut divided_bench);
        prop_assert_eq!(outcome(&divided), outcome(&whole));
        prop_assert_eq!(&divided_bench.port_changes, &whole_bench.port_changes);

        let mut first = ticking_chip();
        let mut bench = Bench::default();
        first.run_until(snapshot_at, &mut bench);
        let snapshot = first.snapshot();
        let seen = bench.port_changes.len();
        // The original chip runs on before it returns to the snapshot; another chip starts from it.
        first.run_until(END + MILLISECOND, &mut bench);
        let mut other = Chip::new(ChipIdentity::from_seed(99));
        for chip in [&mut first, &mut other] {
            chip.restore(&snapshot);
            bench.port_changes.truncate(seen);
            chip.run_until(END, &mut bench);
            prop_assert_eq!(outcome(chip), outcome(&whole));
            prop_assert_eq!(&bench.port_changes, &whole_bench.port_changes);
        }
    }
}

/// An ELF file with one loadable segment.
fn elf(machine: u16, address: u32, bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0x7F, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let halves = |file: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    let words = |file: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    halves(&mut file, &[2, machine]);
    words(&mut file, &[1, 0x201, 52, 0, 0]);
    halves(&mut file, &[52, 32, 1, 40, 0, 0]);
    words(&mut file, &[1, 84, address, address, bytes.len() as u32, bytes.len() as u32, 5, 4]);
    file.extend(bytes);
    file
}

#[test]
fn images() {
    let mut chip = Chip::new(ChipIdentity::from_seed(1));
    let image = program(&[HANG]);
    chip.load_elf(&elf(40, 0, &image)).unwrap();
    let mut bytes = vec![0; image.len()];
    chip.read_flash(0, &mut bytes).unwrap();
    assert_eq!(bytes, image);
    assert_eq!(bytes[CODE as usize..][..2], HANG.to_le_bytes());

    assert!(matches!(chip.load_elf(b"not an ELF"), Err(ImageError::Elf(_))));
    assert!(matches!(chip.load_elf(&elf(243, 0, &image)), Err(ImageError::Machine(243))));
    assert!(matches!(
        chip.load_elf(&elf(40, 0xF_FF00, &image)),
        Err(ImageError::Outside { address: 0xF_FF00, length: _ })
    ));
    assert!(matches!(chip.load_elf(&elf(40, 0x1000_1200, &[18, 0, 0, 0])), Err(ImageError::Empty)));
    assert_eq!(chip.read_uicr(0x200), u32::MAX, "nothing is written if the file does not fit");
}

#[test]
fn the_watchdog_runs_on_through_a_software_reset() {
    // Starts a watchdog of 100 ms and resets, if this is the first boot; else only sleeps.
    let first_boot =
        [thumb::store(0x4001_0504, 3_276), thumb::store(0x4001_0000, 1), thumb::store(AIRCR, 0x05FA_0004), vec![HANG]]
            .concat();
    let skip = first_boot.len() as u16;
    // ldr r1, [r0]; cmp r1, #0; bne to the sleep behind `first_boot`.
    let begin = [thumb::load(0, RESETREAS), vec![LOAD_R1, 0x2900, 0xD100 | (skip - 1)]].concat();
    let mut lab = Lab::running(ChipIdentity::from_seed(1), &[begin, first_boot, vec![WFI, 0xE7FD]].concat());
    lab.run(90 * MILLISECOND);
    assert_eq!(lab.chip.stats().resets, 1);
    assert_eq!([lab.read(RESETREAS), lab.read(0x4001_0400)], [1 << 2, 1], "software reset, watchdog runs");
    lab.run(20 * MILLISECOND);
    assert_eq!(lab.chip.stats().resets, 2);
    assert_eq!([lab.read(RESETREAS), lab.read(0x4001_0400)], [1 << 2 | 1 << 1, 0], "reasons accumulate");
}

#[test]
fn an_interrupt_that_the_nvic_does_not_let_through_costs_nothing() {
    let mut lab = Lab::new();
    lab.write(0x4001_4304, 1);
    lab.write(0x4001_4000, 1); // EGU0: line high, NVIC shut
    let before = lab.chip.stats().instructions;
    for _ in 0..1_000 {
        lab.run(10 * MICROSECOND);
    }
    assert!(lab.chip.stats().instructions <= before + 1, "{:?}", lab.chip.stats());
}

#[test]
fn an_exception_inside_an_if_then_block_returns_into_it() {
    const ICSR: u32 = 0xE000_ED04;
    const PENDSV: u32 = 1 << 28;
    let code = [
        thumb::load(0, ICSR),
        thumb::load(1, PENDSV),
        // movs r2, #0; cmp r2, #0; itte eq; streq r1, [r0]; moveq r3, #1; movne r3, #9; wfi; again
        vec![0x2200, 0x2A00, 0xBF06, STORE_R1, 0x2301, 0x2309, WFI, 0xE7FD],
    ]
    .concat();
    let mut image = program(&code);
    let handler = image.len() as u32;
    image.extend(RETURN.to_le_bytes());
    image[14 * 4..14 * 4 + 4].copy_from_slice(&(handler | 1).to_le_bytes());
    let mut chip = Chip::new(ChipIdentity::from_seed(1));
    chip.write_flash(0, &image).unwrap();
    chip.set_power(true);
    chip.run_until(MILLISECOND, &mut Bench::default());
    assert_eq!(chip.cpu_registers()[3], 1);
    assert!(chip.diagnostics().is_empty());
}
