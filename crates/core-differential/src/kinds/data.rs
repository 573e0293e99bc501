//! 32-bit data processing, bit fields, and shifts by a register.

use super::{Build, Table};

/// Those with two operands, and their opcode.
const TWO: [(&str, &str, u32); 10] = [
    ("and-immediate", "and-shifted", 0),
    ("bic-immediate", "bic-shifted", 1),
    ("orr-immediate", "orr-shifted", 2),
    ("orn-immediate", "orn-shifted", 3),
    ("eor-immediate", "eor-shifted", 4),
    ("add-immediate", "add-shifted", 8),
    ("adc-immediate", "adc-shifted", 10),
    ("sbc-immediate", "sbc-shifted", 11),
    ("sub-immediate", "sub-shifted", 13),
    ("rsb-immediate", "rsb-shifted", 14),
];
const COMPARE: [(&str, &str, u32); 4] = [
    ("tst-immediate", "tst-shifted", 0),
    ("teq-immediate", "teq-shifted", 4),
    ("cmn-immediate", "cmn-shifted", 8),
    ("cmp-immediate", "cmp-shifted", 13),
];
const MOVE: [(&str, &str, u32); 2] = [("mov-immediate", "mov-shifted", 2), ("mvn-immediate", "mvn-shifted", 3)];

pub(super) fn add(table: &mut Table) {
    table.group = "wide-data";
    for (immediate, shifted, opcode) in TWO {
        table.plain(
            immediate,
            |b, o| {
                let (s, n, d) = (b.rng.bit(), b.reg(), b.reg());
                modified(b, o << 5 | s << 4 | n, d)
            },
            opcode,
        );
        table.plain(
            shifted,
            |b, o| {
                let (s, n, d) = (b.rng.bit(), b.reg(), b.reg());
                shifted_register(b, o << 5 | s << 4 | n, d)
            },
            opcode,
        );
    }
    for (immediate, shifted, opcode) in COMPARE {
        table.plain(
            immediate,
            |b, o| {
                let n = b.reg();
                modified(b, o << 5 | 0x10 | n, 15)
            },
            opcode,
        );
        table.plain(
            shifted,
            |b, o| {
                let n = b.reg();
                shifted_register(b, o << 5 | 0x10 | n, 15)
            },
            opcode,
        );
    }
    for (immediate, shifted, opcode) in MOVE {
        table.plain(
            immediate,
            |b, o| {
                let (s, d) = (b.rng.bit(), b.reg());
                modified(b, o << 5 | s << 4 | 15, d)
            },
            opcode,
        );
        table.plain(
            shifted,
            |b, o| {
                let (s, d) = (b.rng.bit(), b.reg());
                shifted_register(b, o << 5 | s << 4 | 15, d)
            },
            opcode,
        );
    }
    table.plain(
        "rrx",
        |b, _| {
            let (s, d, m) = (b.rng.bit(), b.reg(), b.reg());
            b.wide(0xEA4F | s << 4, d << 8 | 0x30 | m);
        },
        0,
    );
    table.plain(
        "add-sp-wide",
        |b, _| {
            let (s, d) = (b.rng.bit(), b.reg());
            modified(b, 8 << 5 | s << 4 | 13, d)
        },
        0,
    );
    table.plain(
        "sub-sp-wide",
        |b, _| {
            let (s, d) = (b.rng.bit(), b.reg());
            modified(b, 13 << 5 | s << 4 | 13, d)
        },
        0,
    );
    table.plain("cmp-sp-wide", |b, _| modified(b, 13 << 5 | 0x1D, 15), 0);
    for (name, opcode) in [("movw", 0xF240), ("movt", 0xF2C0)] {
        table.plain(
            name,
            |b, opcode| {
                let n = b.rng.below(16);
                plain_immediate(b, opcode | n)
            },
            opcode,
        );
    }
    for (name, opcode) in [("addw", 0xF200), ("subw", 0xF2A0)] {
        table.plain(
            name,
            |b, opcode| {
                let n = if b.rng.chance(20) { 13 } else { b.reg() };
                plain_immediate(b, opcode | n)
            },
            opcode,
        );
    }
    for (name, opcode) in [("adr-forward", 0xF20F), ("adr-backward", 0xF2AF)] {
        table.plain(name, plain_immediate, opcode);
    }

    table.group = "bit-field";
    for (name, opcode) in [("sbfx", 0xF340), ("ubfx", 0xF3C0)] {
        table.plain(
            name,
            |b, opcode| {
                let (n, d, lsb) = (b.reg(), b.reg(), b.rng.below(32));
                let width = b.rng.below(32 - lsb);
                b.wide(opcode | n, lsb >> 2 << 12 | d << 8 | (lsb & 3) << 6 | width);
            },
            opcode,
        );
    }
    for (name, clears) in [("bfi", 0), ("bfc", 1)] {
        table.plain(
            name,
            |b, clears| {
                let (n, d, lsb) = (b.reg(), b.reg(), b.rng.below(32));
                let msb = b.rng.range(lsb, 31);
                let n = if clears == 1 { 15 } else { n };
                b.wide(0xF360 | n, lsb >> 2 << 12 | d << 8 | (lsb & 3) << 6 | msb);
            },
            clears,
        );
    }

    table.group = "shift-by-register";
    for (name, opcode) in [("lsl-register", 0), ("lsr-register", 1), ("asr-register", 2), ("ror-register", 3)] {
        table.plain(name, shift, opcode);
    }
}

/// `opcode` has S and Rn in it.
fn modified(b: &mut Build, opcode: u32, d: u32) {
    // Patterns of a zero byte are UNPREDICTABLE.
    let value = loop {
        let value = if b.rng.bit() == 0 { b.rng.below(0x400) } else { b.rng.below(0x1000) };
        if !(0x100..0x400).contains(&value) || value & 0xFF != 0 {
            break value;
        }
    };
    b.wide(0xF000 | (value >> 11) << 10 | opcode, (value >> 8 & 7) << 12 | d << 8 | value & 0xFF);
}

fn shifted_register(b: &mut Build, opcode: u32, d: u32) {
    let (kind, m) = (b.rng.below(4), b.reg());
    let amount = if b.rng.chance(30) { 0 } else { b.rng.below(32) };
    b.wide(0xEA00 | opcode, amount >> 2 << 12 | d << 8 | (amount & 3) << 6 | kind << 4 | m);
}

fn plain_immediate(b: &mut Build, opcode: u32) {
    let (i, rest, d) = (b.rng.bit(), b.rng.next_u32(), b.reg());
    b.wide(opcode | i << 10, rest & 0x70FF | d << 8);
}

/// The amount is the lowest byte of a register; what is above it must not matter.
fn shift(b: &mut Build, opcode: u32) {
    let (s, d, n) = (b.rng.bit(), b.reg(), b.reg());
    let m = b.reg();
    if b.rng.chance(70) {
        let amount = if b.rng.bit() == 0 { b.rng.below(34) } else { b.rng.below(256) };
        let above = if b.rng.bit() == 0 { 0 } else { b.rng.next_u32() & !0xFF };
        b.set(m, above | amount);
    }
    b.wide(0xFA00 | opcode << 5 | s << 4 | n, 0xF000 | d << 8 | m);
}
