//! QSPI: commands to the flash for each task, time of READY, refused operations.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::{Lab, MICROSECOND, MILLISECOND};

const QSPI: u32 = 0x4002_9000;
const ACTIVATE: u32 = QSPI;
const READSTART: u32 = QSPI + 0x004;
const WRITESTART: u32 = QSPI + 0x008;
const ERASESTART: u32 = QSPI + 0x00C;
const DEACTIVATE: u32 = QSPI + 0x010;
const READY: u32 = QSPI + 0x100;
const ENABLE: u32 = QSPI + 0x500;
const STATUS: u32 = QSPI + 0x604;
const CUSTOM: u32 = QSPI + 0x634;
const BUFFER: u32 = 0x2000_1000;

/// Ports 19, 17, 20 to 23, 8 MHz, read and write on four lines.
fn enabled() -> Lab {
    let mut lab = Lab::new();
    for (offset, value) in [
        (0x524, 19),
        (0x528, 17),
        (0x530, 20),
        (0x534, 21),
        (0x538, 22),
        (0x53C, 23),
        (0x544, 4 | 3 << 3),
        (0x600, 3 << 28 | 1),
        (0x500, 1),
    ] {
        lab.write(QSPI + offset, value);
    }
    lab
}

fn active() -> Lab {
    let mut lab = enabled();
    assert!(run(&mut lab, ACTIVATE).is_some());
    lab.bench.flash_commands.clear();
    lab
}

/// Triggers a task; nanoseconds until READY.
fn run(lab: &mut Lab, task: u32) -> Option<u64> {
    lab.write(READY, 0);
    lab.write(task, 1);
    lab.wait_for(READY, MILLISECOND)
}

fn set(lab: &mut Lab, rows: &[(u32, u32)]) {
    rows.iter().for_each(|&(offset, value)| lab.write(QSPI + offset, value));
}

#[test]
fn activation_waits_for_an_idle_flash() {
    // (answers of the flash, whether READY comes)
    for (answers, comes) in [(vec![], true), (vec![1, 1, 0x41, 0x40], true), (vec![0xFF; 500], false)] {
        let mut lab = enabled();
        let polls = answers.len().max(1);
        lab.bench.flash_status.extend(answers.iter());
        assert_eq!(run(&mut lab, ACTIVATE).is_some(), comes, "{answers:?}");
        if comes {
            assert_eq!(lab.bench.flash_commands, vec![(0x05, None, 1, 1, vec![]); polls]);
            let last = answers.last().copied().unwrap_or(0);
            assert_eq!(lab.read(STATUS), u32::from(last) << 24 | 8, "the status register was kept");
        } else {
            assert_eq!(lab.read(STATUS) & 8, 0, "stays busy");
        }
        lab.assert_quiet();
    }
}

#[test]
fn select_and_clock_are_held_only_while_enabled() {
    let mut lab = enabled();
    let driven = |lab: &Lab, port: usize| lab.chip.ports().states[port].driven.map(|driven| driven.level);
    assert_eq!([17, 19, 20, 21].map(|port| driven(&lab, port)), [Some(true), Some(false), None, None]);
    lab.write(ENABLE, 0);
    assert_eq!([17, 19].map(|port| driven(&lab, port)), [None, None]);
}

#[test]
fn reading_fills_ram_in_the_time_of_its_bits() {
    // IFCONFIG0.READOC, opcode, lines, clocks for opcode, address and dummies
    for (code, opcode, address_lines, data_lines, clocks) in
        [(0, 0x0B, 1, 1, 40), (1, 0x3B, 1, 2, 40), (2, 0xBB, 2, 2, 24), (3, 0x6B, 1, 4, 40), (4, 0xEB, 4, 4, 20)]
    {
        let mut lab = active();
        set(&mut lab, &[(0x544, code), (0x504, 0x12_3400), (0x508, BUFFER), (0x50C, 64)]);
        let took = run(&mut lab, READSTART).unwrap();
        let expected = [(0x05, None, 1, 1, vec![]), (opcode, Some(0x12_3400), address_lines, data_lines, vec![])];
        assert_eq!(lab.bench.flash_commands, expected);
        let mut bytes = [0; 68];
        lab.chip.read_ram(BUFFER, &mut bytes).unwrap();
        let wanted: Vec<u8> = (0..64).map(|n| 0xA0 + n).collect();
        assert_eq!(bytes[..64], wanted[..]);
        // 8 MHz; the poll before is 16 clocks, and each command pauses for 62.5 ns.
        let ns = 125 * (16 + clocks + 64 * 8 / u64::from(data_lines)) + 125;
        assert!(took.abs_diff(ns) <= 200, "{opcode:#x}: {took} ns, not {ns}");
        lab.assert_quiet();
    }
}

#[test]
fn writing_is_cut_at_pages_and_waits_between_them() {
    let mut lab = active();
    lab.bench.flash_status.extend([0, 1, 1, 1]);
    for word in 0..80 {
        lab.write(BUFFER + 4 * word, word);
    }
    set(&mut lab, &[(0x510, 0x1080), (0x514, BUFFER), (0x518, 0x140)]);
    run(&mut lab, WRITESTART).unwrap();
    let seen: Vec<_> =
        lab.bench.flash_commands.iter().map(|(op, at, _, lines, bytes)| (*op, *at, *lines, bytes.len())).collect();
    let poll = (0x05, None, 1, 0);
    let enable = (0x06, None, 1, 0);
    let expected =
        [poll, enable, (0x38, Some(0x1080), 4, 128), poll, poll, poll, poll, enable, (0x38, Some(0x1100), 4, 192)];
    assert_eq!(seen, expected);
    let (.., second) = lab.bench.flash_commands.last().unwrap();
    assert_eq!(second[..4], 32u32.to_le_bytes());
    lab.assert_quiet();
}

#[test]
fn erasing_is_ready_when_it_has_begun() {
    for (length, opcode, address) in [(0, 0x20, Some(0x3F_F000)), (1, 0xD8, Some(0x3F_F000)), (2, 0xC7, None)] {
        let mut lab = active();
        set(&mut lab, &[(0x51C, 0x3F_F000), (0x520, length)]);
        assert!(run(&mut lab, ERASESTART).unwrap() < 20 * MICROSECOND);
        let opcodes: Vec<_> = lab.bench.flash_commands.iter().map(|command| (command.0, command.1)).collect();
        assert_eq!(opcodes, [(0x05, None), (0x06, None), (opcode, address)]);
    }
}

#[test]
fn custom_instructions_exchange_data() {
    // CINSTRCONF, opcodes seen, bytes written with the last one, CINSTRDAT0 afterwards
    #[rustfmt::skip]
    let rows = [
        (0x9F | 4 << 8 | 3 << 12, vec![0x9F], 3, 0x44A2_A1A0),
        (0x01 | 2 << 8 | 3 << 12 | 1 << 15, vec![0x06, 0x01], 1, 0x4433_22A0),
        (0xB1 | 1 << 8 | 3 << 12 | 1 << 14, vec![0x05, 0xB1], 0, 0x4433_2211),
    ];
    for (config, opcodes, bytes, data) in rows {
        let mut lab = active();
        lab.write(QSPI + 0x638, 0x4433_2211);
        lab.write(READY, 0);
        lab.write(CUSTOM, config);
        lab.wait_for(READY, MILLISECOND).unwrap();
        assert_eq!(lab.bench.flash_commands.iter().map(|command| command.0).collect::<Vec<_>>(), opcodes);
        let written = &lab.bench.flash_commands.last().unwrap().4;
        assert_eq!(written[..], [0x11, 0x22, 0x33][..bytes], "{config:#x}");
        assert_eq!(lab.read(QSPI + 0x638), data, "{config:#x}");
        lab.assert_quiet();
    }
}

#[test]
fn what_model_or_silicon_cannot_do_is_reported() {
    type Poke = fn(&mut Lab);
    let rows: [(&str, Poke); 6] = [
        ("a task or custom instruction before ACTIVATE", |lab| {
            lab.write(DEACTIVATE, 1);
            lab.write(READSTART, 1);
        }),
        ("a task or custom instruction while another runs", |lab| {
            lab.write(ERASESTART, 1);
            lab.write(READSTART, 1);
        }),
        ("not multiples of four", |lab| {
            set(lab, &[(0x504, 2), (0x508, BUFFER), (0x50C, 4)]);
            lab.write(READSTART, 1);
        }),
        ("outside RAM", |lab| {
            set(lab, &[(0x504, 0), (0x508, 0x1000), (0x50C, 4)]);
            run(lab, READSTART).unwrap();
        }),
        ("deep power-down", |lab| lab.write(QSPI + 0x600, 1 << 24)),
        ("long frame mode", |lab| lab.write(CUSTOM, 1 << 16 | 1 << 8)),
    ];
    for (text, poke) in rows {
        let mut lab = active();
        poke(&mut lab);
        lab.run(100 * MICROSECOND);
        let texts: Vec<String> = lab.chip.diagnostics().iter().map(ToString::to_string).collect();
        assert!(texts.len() == 1 && texts[0].contains(text), "{text}: {texts:?}");
    }
}
