//! 16-bit instructions that compute.

use super::{Build, Table};

pub(super) fn add(table: &mut Table) {
    table.group = "narrow";
    for (name, opcode) in [("lsls-immediate", 0x0000), ("lsrs-immediate", 0x0800), ("asrs-immediate", 0x1000)] {
        table.plain(name, shift_immediate, opcode);
    }
    table.alone(
        "movs-register",
        |b, _| {
            let v = b.low() << 3 | b.low();
            b.narrow(v)
        },
        0,
    );
    for (name, opcode) in [("adds-register", 0x1800), ("subs-register", 0x1A00), ("adds-3", 0x1C00), ("subs-3", 0x1E00)]
    {
        table.plain(
            name,
            |b, opcode| {
                let v = opcode | b.rng.below(0x200);
                b.narrow(v)
            },
            opcode,
        );
    }
    for (name, opcode) in [("movs-8", 0x2000), ("cmp-8", 0x2800), ("adds-8", 0x3000), ("subs-8", 0x3800)] {
        table.plain(
            name,
            |b, opcode| {
                let v = opcode | b.rng.below(0x800);
                b.narrow(v)
            },
            opcode,
        );
    }
    const REGISTER: [&str; 16] = [
        "ands", "eors", "lsls", "lsrs", "asrs", "adcs", "sbcs", "rors", "tst", "rsbs", "cmp", "cmn", "orrs", "muls",
        "bics", "mvns",
    ];
    for (name, opcode) in REGISTER.into_iter().zip(0..) {
        table.plain(
            name,
            |b, opcode| {
                let v = 0x4000 | opcode << 6 | b.rng.below(64);
                b.narrow(v)
            },
            opcode,
        );
    }
    table.plain(
        "add-high",
        |b, _| {
            let (d, m) = (b.reg(), b.reg());
            b.narrow(high(0x4400, d, m))
        },
        0,
    );
    table.plain(
        "add-sp-to-register",
        |b, _| {
            let d = b.reg();
            b.narrow(high(0x4400, d, 13))
        },
        0,
    );
    table.plain(
        "mov-high",
        |b, _| {
            let (d, m) = (b.reg(), b.reg());
            b.narrow(high(0x4600, d, m))
        },
        0,
    );
    table.plain(
        "mov-from-sp",
        |b, _| {
            let d = b.reg();
            b.narrow(high(0x4600, d, 13))
        },
        0,
    );
    table.plain(
        "mov-from-pc",
        |b, _| {
            let d = b.reg();
            b.narrow(high(0x4600, d, 15))
        },
        0,
    );
    table.plain("cmp-high", compare_high, 0);
    table.plain(
        "adr",
        |b, _| {
            let v = 0xA000 | b.rng.below(0x800);
            b.narrow(v)
        },
        0,
    );
    table.plain(
        "add-sp-immediate",
        |b, _| {
            let v = 0xA800 | b.rng.below(0x800);
            b.narrow(v)
        },
        0,
    );
    table.alone("sp-wide-and-back", move_stack_wide, 0);
    table.alone("sp-down-and-up", move_stack, 0);
    for (name, opcode) in [("sxth", 0xB200), ("sxtb", 0xB240), ("uxth", 0xB280), ("uxtb", 0xB2C0)] {
        table.plain(
            name,
            |b, opcode| {
                let v = opcode | b.rng.below(64);
                b.narrow(v)
            },
            opcode,
        );
    }
    for (name, opcode) in [("rev", 0xBA00), ("rev16", 0xBA40), ("revsh", 0xBAC0)] {
        table.plain(
            name,
            |b, opcode| {
                let v = opcode | b.rng.below(64);
                b.narrow(v)
            },
            opcode,
        );
    }
    for (name, opcode) in [("nop", 0xBF00), ("yield", 0xBF10), ("sev", 0xBF40)] {
        table.plain(name, |b, opcode| b.narrow(opcode), opcode);
    }
}

/// LSL by 0 is MOVS, which may not be in an IT block.
fn shift_immediate(b: &mut Build, opcode: u32) {
    let amount = if opcode == 0 { b.rng.range(1, 31) } else { b.rng.below(32) };
    let registers = b.rng.below(64);
    b.narrow(opcode | amount << 6 | registers);
}

fn high(opcode: u32, d: u32, m: u32) -> u32 {
    opcode | d >> 3 << 7 | m << 3 | d & 7
}

/// Not with two low registers: that is another encoding.
fn compare_high(b: &mut Build, _: u32) {
    let n = b.reg();
    let m = if n < 8 { b.rng.pick(&[8, 9, 10, 11, 12, 13, 14]) } else { b.reg() };
    b.narrow(high(0x4500, n, m));
}

fn move_stack(b: &mut Build, _: u32) {
    let words = b.rng.below(33);
    let (first, second) = if b.rng.bit() == 0 || words > 14 { (0xB080, 0xB000) } else { (0xB000, 0xB080) };
    b.narrow(first | words);
    let d = b.reg();
    b.narrow(high(0x4600, d, 13));
    b.narrow(second | words);
}

/// The stack pointer as an operand of wide instructions and as a base, and three ways to put it back.
fn move_stack_wide(b: &mut Build, _: u32) {
    let bytes = 4 * b.rng.range(2, 31);
    let kept = b.reg();
    let (stored, loaded) = (b.reg(), b.other(&[kept]));
    let added = b.other(&[kept, loaded]);
    let offset = 4 * b.rng.below(2);
    b.set(added, bytes);
    b.narrow(high(0x4600, kept, 13));
    b.wide(0xF1AD, 0x0D00 | bytes);
    b.wide(0xF8CD, stored << 12 | offset);
    b.wide(0xF8DD, loaded << 12 | offset);
    match b.rng.below(3) {
        0 => b.wide(0xF20D, 0x0D00 | bytes),
        1 => b.narrow(high(0x4600, 13, kept)),
        _ => b.narrow(high(0x4400, 13, added)),
    }
}
