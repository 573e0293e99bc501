//! Saturation, parallel arithmetic, extension, multiplication, division.

use super::{Build, Table};

pub(super) fn add(table: &mut Table) {
    table.group = "saturate";
    for (name, opcode) in [("ssat", 0xF300), ("usat", 0xF380)] {
        table.plain(name, saturate, opcode);
    }
    for (name, opcode) in [("ssat16", 0xF320), ("usat16", 0xF3A0)] {
        table.plain(
            name,
            |b, opcode| {
                let (n, d, to) = (b.reg(), b.reg(), b.rng.below(16));
                b.wide(opcode | n, d << 8 | to);
            },
            opcode,
        );
    }
    for (name, opcode) in [("qadd", 0x80), ("qdadd", 0x90), ("qsub", 0xA0), ("qdsub", 0xB0)] {
        table.plain(name, |b, opcode| three(b, 0xFA80, 0xF000 | opcode), opcode);
    }

    table.group = "parallel";
    const SHAPES: [u32; 6] = [1, 2, 6, 5, 0, 4];
    const NAMES: [[&str; 6]; 6] = [
        ["sadd16", "sasx", "ssax", "ssub16", "sadd8", "ssub8"],
        ["qadd16", "qasx", "qsax", "qsub16", "qadd8", "qsub8"],
        ["shadd16", "shasx", "shsax", "shsub16", "shadd8", "shsub8"],
        ["uadd16", "uasx", "usax", "usub16", "uadd8", "usub8"],
        ["uqadd16", "uqasx", "uqsax", "uqsub16", "uqadd8", "uqsub8"],
        ["uhadd16", "uhasx", "uhsax", "uhsub16", "uhadd8", "uhsub8"],
    ];
    for (row, prefix) in NAMES.into_iter().zip([0, 1, 2, 4, 5, 6]) {
        for (name, shape) in row.into_iter().zip(SHAPES) {
            table.plain(name, |b, o| three(b, 0xFA80 | (o >> 8) << 4, 0xF000 | (o & 0xFF) << 4), shape << 8 | prefix);
        }
    }
    table.plain("sel", |b, _| three(b, 0xFAA0, 0xF080), 0);
    table.plain("usad8", |b, _| three(b, 0xFB70, 0xF000), 0);
    table.plain("usada8", |b, _| accumulate(b, 0xFB70, 0), 0);
    for (name, top) in [("pkhbt", 0), ("pkhtb", 1)] {
        table.plain(
            name,
            |b, top| {
                let (n, d, m, amount) = (b.reg(), b.reg(), b.reg(), b.rng.below(32));
                b.wide(0xEAC0 | n, amount >> 2 << 12 | d << 8 | (amount & 3) << 6 | top << 5 | m);
            },
            top,
        );
    }

    table.group = "extend-reverse";
    const EXTEND: [(&str, &str); 6] = [
        ("sxth-wide", "sxtah"),
        ("uxth-wide", "uxtah"),
        ("sxtb16", "sxtab16"),
        ("uxtb16", "uxtab16"),
        ("sxtb-wide", "sxtab"),
        ("uxtb-wide", "uxtab"),
    ];
    for ((name, accumulates), opcode) in EXTEND.into_iter().zip(0..) {
        table.plain(name, |b, o| extend(b, o, 15), opcode);
        table.plain(
            accumulates,
            |b, o| {
                let n = b.reg();
                extend(b, o, n)
            },
            opcode,
        );
    }
    for (name, opcode) in
        [("rev-wide", 0x180), ("rev16-wide", 0x190), ("rbit", 0x1A0), ("revsh-wide", 0x1B0), ("clz", 0x380)]
    {
        table.plain(
            name,
            |b, o| {
                let (d, m) = (b.reg(), b.reg());
                b.wide(0xFA80 | (o >> 8) << 4 | m, 0xF000 | d << 8 | o & 0xFF | m);
            },
            opcode,
        );
    }

    table.group = "multiply";
    table.plain("mul-wide", |b, _| three(b, 0xFB00, 0xF000), 0);
    table.plain("mla", |b, _| accumulate(b, 0xFB00, 0), 0);
    table.plain("mls", |b, _| accumulate(b, 0xFB00, 0x10), 0);
    const HALVES: [(&str, &str); 4] =
        [("smulbb", "smlabb"), ("smulbt", "smlabt"), ("smultb", "smlatb"), ("smultt", "smlatt")];
    for ((name, accumulates), which) in HALVES.into_iter().zip(0..) {
        table.plain(name, |b, w| three(b, 0xFB10, 0xF000 | w << 4), which);
        table.plain(accumulates, |b, w| accumulate(b, 0xFB10, w << 4), which);
    }
    const DUAL: [(&str, &str, u32); 8] = [
        ("smuad", "smlad", 0x20_00),
        ("smuadx", "smladx", 0x20_10),
        ("smulwb", "smlawb", 0x30_00),
        ("smulwt", "smlawt", 0x30_10),
        ("smusd", "smlsd", 0x40_00),
        ("smusdx", "smlsdx", 0x40_10),
        ("smmul", "smmla", 0x50_00),
        ("smmulr", "smmlar", 0x50_10),
    ];
    for (name, accumulates, o) in DUAL {
        table.plain(name, |b, o| three(b, 0xFB00 | o >> 8, 0xF000 | o & 0xFF), o);
        table.plain(accumulates, |b, o| accumulate(b, 0xFB00 | o >> 8, o & 0xFF), o);
    }
    for (name, o) in [("smmls", 0), ("smmlsr", 0x10)] {
        table.plain(name, |b, o| accumulate(b, 0xFB60, o), o);
    }
    const LONG: [(&str, u32); 13] = [
        ("smull", 0x80_00),
        ("umull", 0xA0_00),
        ("smlal", 0xC0_00),
        ("umlal", 0xE0_00),
        ("umaal", 0xE0_60),
        ("smlalbb", 0xC0_80),
        ("smlalbt", 0xC0_90),
        ("smlaltb", 0xC0_A0),
        ("smlaltt", 0xC0_B0),
        ("smlald", 0xC0_C0),
        ("smlaldx", 0xC0_D0),
        ("smlsld", 0xD0_C0),
        ("smlsldx", 0xD0_D0),
    ];
    for (name, o) in LONG {
        table.plain(
            name,
            |b, o| {
                let low = b.reg();
                let (high, n, m) = (b.other(&[low]), b.reg(), b.reg());
                b.wide(0xFB00 | o >> 8 | n, low << 12 | high << 8 | o & 0xFF | m);
            },
            o,
        );
    }

    table.group = "divide";
    table.plain("sdiv", |b, _| divide(b, 0xFB90), 0);
    table.plain("udiv", |b, _| divide(b, 0xFBB0), 0);
}

fn three(b: &mut Build, first: u32, second: u32) {
    let (n, d, m) = (b.reg(), b.reg(), b.reg());
    b.wide(first | n, second | d << 8 | m);
}

fn accumulate(b: &mut Build, first: u32, second: u32) {
    let (n, d, m, a) = (b.reg(), b.reg(), b.reg(), b.reg());
    b.wide(first | n, second | a << 12 | d << 8 | m);
}

/// ASR by nothing is the encoding of SSAT16 and USAT16.
fn saturate(b: &mut Build, opcode: u32) {
    let (n, d, right, to) = (b.reg(), b.reg(), b.rng.bit(), b.rng.below(32));
    let amount = if right == 1 {
        b.rng.range(1, 31)
    } else if b.rng.bit() == 0 {
        0
    } else {
        b.rng.below(32)
    };
    b.wide(opcode | right << 5 | n, amount >> 2 << 12 | d << 8 | (amount & 3) << 6 | to);
}

fn extend(b: &mut Build, opcode: u32, n: u32) {
    let (d, m, turn) = (b.reg(), b.reg(), b.rng.below(4));
    b.wide(0xFA00 | opcode << 4 | n, 0xF080 | d << 8 | turn << 4 | m);
}

/// Random registers rarely divide by zero or overflow, and large divisors give the same small results.
fn divide(b: &mut Build, opcode: u32) {
    let n = b.reg();
    let (d, m) = (b.reg(), b.other(&[n]));
    match b.rng.below(8) {
        0 => b.set(m, 0),
        1 => {
            b.set(n, 0x8000_0000);
            b.set(m, 0xFFFF_FFFF);
        }
        2..=4 => {
            let small = b.rng.below(1 << 12);
            b.set(m, small);
        }
        _ => {}
    }
    b.wide(opcode | n, 0xF0F0 | d << 8 | m);
}
