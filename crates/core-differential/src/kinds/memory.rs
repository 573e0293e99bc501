//! Loads and stores of core registers.

use super::{Build, Table};
use crate::layout::STACK_ABOVE;

/// Size in powers of two, and bits of an access.
const LOAD: u32 = 0x10;
const SIGNED: u32 = 0x20;

pub(super) fn add(table: &mut Table) {
    table.group = "memory";
    const REGISTER: [(&str, u32); 8] = [
        ("str-register", 2),
        ("strh-register", 1),
        ("strb-register", 0),
        ("ldrsb-register", 0),
        ("ldr-register", 2),
        ("ldrh-register", 1),
        ("ldrb-register", 0),
        ("ldrsh-register", 1),
    ];
    for ((name, size), opcode) in REGISTER.into_iter().zip(0..) {
        table.plain(
            name,
            |b, o| {
                let n = b.low();
                let (m, t) = (b.other_low(&[n]), b.low());
                let address = target(b, o & 0xF);
                let offset = b.rng.integer();
                b.set(n, address.wrapping_sub(offset));
                b.set(m, offset);
                b.narrow(0x5000 | (o >> 8) << 9 | m << 6 | n << 3 | t);
            },
            opcode << 8 | size,
        );
    }
    const IMMEDIATE: [(&str, u32); 6] = [
        ("str-5", 0x6002),
        ("ldr-5", 0x6802),
        ("strb-5", 0x7000),
        ("ldrb-5", 0x7800),
        ("strh-5", 0x8001),
        ("ldrh-5", 0x8801),
    ];
    for (name, o) in IMMEDIATE {
        table.plain(
            name,
            |b, o| {
                let (n, t, offset, address) = (b.low(), b.low(), b.rng.below(32), target(b, o & 0xF));
                b.set(n, address.wrapping_sub(offset << (o & 0xF)));
                b.narrow(o & !0xF | offset << 6 | n << 3 | t);
            },
            o,
        );
    }
    for (name, o) in [("str-sp", 0x9000), ("ldr-sp", 0x9800)] {
        table.plain(
            name,
            |b, o| {
                let (t, offset) = (b.low(), b.rng.below(STACK_ABOVE / 4));
                b.narrow(o | t << 8 | offset);
            },
            o,
        );
    }
    table.alone("ldr-literal", literal, 0);
    table.alone("ldm", multiple_narrow, 1);
    table.alone("stm", multiple_narrow, 0);
    table.alone("push-pop", push_pop, 0);

    const WIDE: [(&str, [&str; 5], u32); 8] = [
        ("str-12", ["str-negative", "str-indexed", "str-shifted", "strt", ""], 2),
        ("strh-12", ["strh-negative", "strh-indexed", "strh-shifted", "strht", ""], 1),
        ("strb-12", ["strb-negative", "strb-indexed", "strb-shifted", "strbt", ""], 0),
        ("ldr-12", ["ldr-negative", "ldr-indexed", "ldr-shifted", "ldrt", "ldr-literal-wide"], LOAD | 2),
        ("ldrh-12", ["ldrh-negative", "ldrh-indexed", "ldrh-shifted", "ldrht", "ldrh-literal"], LOAD | 1),
        ("ldrb-12", ["ldrb-negative", "ldrb-indexed", "ldrb-shifted", "ldrbt", "ldrb-literal"], LOAD),
        (
            "ldrsh-12",
            ["ldrsh-negative", "ldrsh-indexed", "ldrsh-shifted", "ldrsht", "ldrsh-literal"],
            SIGNED | LOAD | 1,
        ),
        ("ldrsb-12", ["ldrsb-negative", "ldrsb-indexed", "ldrsb-shifted", "ldrsbt", "ldrsb-literal"], SIGNED | LOAD),
    ];
    for (positive, [negative, indexed, shifted, unprivileged, literal], o) in WIDE {
        table.plain(
            positive,
            |b, o| {
                let offset = if b.rng.bit() == 0 { b.rng.below(256) } else { b.rng.below(4096) };
                let (n, t) = based(b, o, offset);
                b.wide(first(o) | 0x80 | n, t << 12 | offset);
            },
            o,
        );
        table.plain(
            negative,
            |b, o| {
                let offset = b.rng.below(256);
                let (n, t) = based(b, o, offset.wrapping_neg());
                b.wide(first(o) | n, t << 12 | 0xC00 | offset);
            },
            o,
        );
        table.plain(
            indexed,
            |b, o| {
                let (offset, up, before) = (b.rng.below(256), b.rng.bit(), b.rng.bit());
                let moved = if up == 1 { offset } else { offset.wrapping_neg() };
                let (n, _) = based(b, o, if before == 1 { moved } else { 0 });
                let t = b.other(&[n]);
                b.wide(first(o) | n, t << 12 | 0x900 | before << 10 | up << 9 | offset);
            },
            o,
        );
        table.plain(
            shifted,
            |b, o| {
                let n = b.reg();
                let (m, t, shift, offset, address) =
                    (b.other(&[n]), b.reg(), b.rng.below(4), b.rng.integer(), target(b, o & 0xF));
                b.set(n, address.wrapping_sub(offset << shift));
                b.set(m, offset);
                b.wide(first(o) | n, t << 12 | shift << 4 | m);
            },
            o,
        );
        table.plain(
            unprivileged,
            |b, o| {
                let offset = b.rng.below(256);
                let (n, t) = based(b, o, offset);
                b.wide(first(o) | n, t << 12 | 0xE00 | offset);
            },
            o,
        );
        if !literal.is_empty() {
            table.alone(literal, literal_wide, o);
        }
    }
    table.plain(
        "pld",
        |b, _| {
            let (n, offset) = (b.reg(), b.rng.below(256));
            b.set(n, crate::layout::DATA);
            b.wide(0xF890 | n, 0xF000 | offset);
        },
        0,
    );
    for (name, first) in [("pld-register", 0xF810), ("pli-register", 0xF910)] {
        table.plain(
            name,
            |b, first| {
                let (n, m, shift) = (b.reg(), b.reg(), b.rng.below(4));
                b.wide(first | n, 0xF000 | shift << 4 | m);
            },
            first,
        );
    }
    for (name, load) in [("ldrd", 1), ("strd", 0)] {
        table.plain(name, dual, load);
    }
    table.alone("ldrd-literal", dual_literal, 0);
    for (name, o) in [("ldm-wide", 0xE890), ("stm-wide", 0xE880), ("ldmdb", 0xE910), ("stmdb", 0xE900)] {
        table.plain(name, multiple_wide, o);
    }
    table.alone("push-pop-wide", push_pop_wide, 0);
    for (name, size) in [("ldrex-strex", 2), ("ldrexh-strexh", 1), ("ldrexb-strexb", 0)] {
        table.alone(name, exclusive, size);
    }
    table.alone(
        "strex-after-clrex",
        |b, _| {
            let address = b.address(4, 4);
            let n = b.reg();
            let (t, d) = (b.other(&[n]), b.other(&[n]));
            let d = if d == t { b.other(&[n, t]) } else { d };
            b.set(n, address);
            b.wide(0xE850 | n, t << 12 | 0xF00);
            b.wide(0xF3BF, 0x8F2F);
            b.wide(0xE840 | n, t << 12 | d << 8);
        },
        0,
    );
}

/// An address for an access of this size: words and halfwords need not be aligned.
fn target(b: &mut Build, size: u32) -> u32 {
    let bytes = 1 << size;
    let align = if b.rng.bit() == 0 { 1 } else { bytes };
    b.address(bytes, align)
}

/// The first halfword of a wide access.
fn first(o: u32) -> u32 {
    0xF800 | (o & SIGNED) << 3 | (o & 3) << 5 | o & LOAD
}

/// Rn, which is `offset` away from the target, and Rt.
fn based(b: &mut Build, o: u32, offset: u32) -> (u32, u32) {
    let (n, t, address) = (b.reg(), b.reg(), target(b, o & 3));
    b.set(n, address.wrapping_sub(offset));
    (n, t)
}

/// The load, a branch over the literals, the literals.
fn literal(b: &mut Build, _: u32) {
    let align = b.rng.bit() * 2;
    b.align = Some(align);
    let t = b.low();
    let words = b.rng.range(1, 3);
    let which = b.rng.below(words);
    // At 0: LDR, B, literals at 4. At 2: LDR, B, NOP, literals at 8; the base is Align(2 + 4, 4) = 4.
    if align == 0 {
        b.narrow(0x4800 | t << 8 | which);
        b.narrow(0xE000 | (2 * words - 1));
    } else {
        b.narrow(0x4800 | t << 8 | (which + 1));
        b.narrow(0xE000 | (2 * words));
        b.narrow(0xBF00);
    }
    literals(b, words);
}

fn literals(b: &mut Build, words: u32) {
    for _ in 0..words {
        let value = b.rng.integer();
        b.wide(value & 0xFFFF, value >> 16);
    }
}

fn literal_wide(b: &mut Build, o: u32) {
    let align = b.rng.bit() * 2;
    b.align = Some(align);
    let t = b.reg();
    let within = if b.rng.bit() == 0 { b.rng.below(5) } else { b.rng.below(2) * 4 };
    let load = first(o) & 0xFF7F | 0xF;
    if b.rng.bit() == 0 {
        // Ahead: LDR (4 bytes), B (2), literals at 6; the base is the aligned address of B.
        b.wide(load | 0x80, t << 12 | (2 + align + within));
        b.narrow(0xE000 | 3);
        literals(b, 2);
    } else {
        // Behind: B (2 bytes), literals at 2, LDR at 10; its base is the aligned address of 14.
        b.narrow(0xE000 | 3);
        literals(b, 2);
        b.wide(load, t << 12 | (10 + align - within.min(4)));
    }
}

fn multiple_narrow(b: &mut Build, load: u32) {
    let n = b.low();
    let mut list = b.rng.range(1, 255);
    // A store of the base after its write-back is UNKNOWN: only the lowest register may be it.
    if load == 0 && list & ((1 << n) - 1) != 0 {
        list &= !(1 << n);
    }
    let address = b.address(4 * list.count_ones(), 4);
    b.set(n, address);
    b.narrow(0xC000 | load << 11 | n << 8 | list);
}

/// As many registers back as went down, but others.
fn push_pop(b: &mut Build, _: u32) {
    let list = b.rng.range(1, 511);
    let count = list.count_ones();
    let mut back = 0u32;
    while back.count_ones() < count.min(8) {
        back |= 1 << b.low();
    }
    b.narrow(0xB400 | list);
    if count == 9 {
        b.narrow(0xB001);
    }
    b.narrow(0xBC00 | back);
}

fn dual(b: &mut Build, load: u32) {
    let (n, t) = (b.reg(), b.reg());
    let mut second = if load == 1 { b.other(&[t]) } else { b.reg() };
    let (mode, up) = (b.rng.below(3), b.rng.bit());
    // Offset, post-indexed, pre-indexed.
    let (before, back) = [(1, 0), (0, 1), (1, 1)][mode as usize];
    let mut t = t;
    if back == 1 {
        t = b.other(&[n]);
        second = b.other(&[n, if load == 1 { t } else { n }]);
    }
    let (offset, address) = (b.rng.below(256), b.address(8, 4));
    let moved = if up == 1 { 4 * offset } else { (4 * offset).wrapping_neg() };
    b.set(n, if before == 1 { address.wrapping_sub(moved) } else { address });
    b.wide(0xE840 | before << 8 | up << 7 | back << 5 | load << 4 | n, t << 12 | second << 8 | offset);
}

fn dual_literal(b: &mut Build, _: u32) {
    b.align = Some(2);
    let t = b.reg();
    let second = b.other(&[t]);
    // At 2; its base is Align(6, 4) = 4, B is at 6, literals are at 8.
    let offset = b.rng.range(1, 2);
    b.wide(0xE9DF, t << 12 | second << 8 | offset);
    b.narrow(0xE000 | 5);
    literals(b, 3);
}

/// At least two of r0 to r12 and lr.
fn list(b: &mut Build, not: u32) -> u32 {
    loop {
        let few = if b.rng.bit() == 0 { b.rng.next_u32() } else { u32::MAX };
        let list = b.rng.next_u32() & few & 0x5FFF & !not;
        if list.count_ones() >= 2 {
            return list;
        }
    }
}

fn multiple_wide(b: &mut Build, opcode: u32) {
    let (n, back) = (b.reg(), b.rng.bit());
    let list = list(b, if back == 1 { 1 << n } else { 0 });
    let bytes = 4 * list.count_ones();
    let address = b.address(bytes, 4);
    let down = opcode & 0x100 != 0;
    b.set(n, if down { address + bytes } else { address });
    b.wide(opcode | back << 5 | n, list);
}

fn push_pop_wide(b: &mut Build, _: u32) {
    let down = list(b, 0);
    let mut up = 0u32;
    while up.count_ones() < down.count_ones() {
        up |= 1 << b.reg();
    }
    if b.rng.bit() == 0 {
        b.wide(0xE92D, down);
        b.wide(0xE8BD, up);
    } else {
        // One register alone has another encoding.
        let (t, back) = (b.reg(), b.reg());
        b.wide(0xF84D, t << 12 | 0xD04);
        b.wide(0xF85D, back << 12 | 0xB04);
    }
}

/// A pair for one address, with a second store that must fail now and then.
fn exclusive(b: &mut Build, size: u32) {
    let n = b.reg();
    let t = b.other(&[n]);
    let value = b.other(&[n]);
    let d = b.other(&[n, value]);
    let bytes = 1 << size;
    let address = b.address(bytes, bytes);
    let offset = if size == 2 { b.rng.below(256) } else { 0 };
    b.set(n, address.wrapping_sub(4 * offset));
    let store = |b: &mut Build, d: u32| match size {
        2 => b.wide(0xE840 | n, value << 12 | d << 8 | offset),
        1 => b.wide(0xE8C0 | n, value << 12 | 0xF50 | d),
        _ => b.wide(0xE8C0 | n, value << 12 | 0xF40 | d),
    };
    if b.rng.chance(10) {
        // A store without a load before it fails.
        b.wide(0xF3BF, 0x8F2F);
    } else {
        match size {
            2 => b.wide(0xE850 | n, t << 12 | 0xF00 | offset),
            1 => b.wide(0xE8D0 | n, t << 12 | 0xF5F),
            _ => b.wide(0xE8D0 | n, t << 12 | 0xF4F),
        }
    }
    store(b, d);
    if b.rng.chance(30) {
        let again = b.other(&[n, value]);
        store(b, again);
    }
}
