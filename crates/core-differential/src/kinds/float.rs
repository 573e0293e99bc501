//! The single-precision FPU: arithmetic, conversions, moves, loads and stores.

use super::{Build, Table};
use crate::layout::DATA_BYTES;

pub(super) fn add(table: &mut Table) {
    table.group = "float";
    // Opcode without D, and bit 6.
    const THREE: [(&str, u32, u32); 13] = [
        ("vmla", 0x00, 0),
        ("vmls", 0x00, 1),
        ("vnmls", 0x10, 0),
        ("vnmla", 0x10, 1),
        ("vmul", 0x20, 0),
        ("vnmul", 0x20, 1),
        ("vadd", 0x30, 0),
        ("vsub", 0x30, 1),
        ("vdiv", 0x80, 0),
        ("vfnms", 0x90, 0),
        ("vfnma", 0x90, 1),
        ("vfma", 0xA0, 0),
        ("vfms", 0xA0, 1),
    ];
    for (name, opcode, six) in THREE {
        table.plain(
            name,
            |b, o| {
                let (d, n, m) = (b.single(), b.single(), b.single());
                b.operand(n);
                b.operand(m);
                b.float(0xEE00 | o >> 8 | n >> 1, d, (n & 1) << 7 | (o & 1) << 6, m);
            },
            opcode << 8 | six,
        );
    }
    const TWO: [(&str, u32); 14] = [
        ("vmov", 0x0_40),
        ("vabs", 0x0_C0),
        ("vneg", 0x1_40),
        ("vsqrt", 0x1_C0),
        ("vcvtb-from-half", 0x2_40),
        ("vcvtt-from-half", 0x2_C0),
        ("vcvtb-to-half", 0x3_40),
        ("vcvtt-to-half", 0x3_C0),
        ("vcmp", 0x4_40),
        ("vcmpe", 0x4_C0),
        ("vcvt-from-unsigned", 0x8_40),
        ("vcvt-from-signed", 0x8_C0),
        ("vcvtr-to-unsigned", 0xC_40),
        ("vcvt-to-unsigned", 0xC_C0),
    ];
    for (name, o) in TWO.into_iter().chain([("vcvtr-to-signed", 0xD_40), ("vcvt-to-signed", 0xD_C0)]) {
        table.plain(
            name,
            |b, o| {
                let (d, m) = (b.single(), b.single());
                b.operand(m);
                b.float(0xEEB0 | o >> 8, d, o & 0xFF, m);
            },
            o,
        );
    }
    for (name, o) in [("vcmp-zero", 0x40), ("vcmpe-zero", 0xC0)] {
        table.plain(
            name,
            |b, o| {
                let d = b.single();
                b.operand(d);
                b.float(0xEEB5, d, o, 0)
            },
            o,
        );
    }
    // The operation, and whether the number has 32 bits.
    const FIXED: [(&str, u32); 8] = [
        ("vcvt-from-s16", 0xA_40),
        ("vcvt-from-s32", 0xA_C0),
        ("vcvt-from-u16", 0xB_40),
        ("vcvt-from-u32", 0xB_C0),
        ("vcvt-to-s16", 0xE_40),
        ("vcvt-to-s32", 0xE_C0),
        ("vcvt-to-u16", 0xF_40),
        ("vcvt-to-u32", 0xF_C0),
    ];
    for (name, o) in FIXED {
        table.plain(
            name,
            |b, o| {
                let d = b.single();
                // Of 16 bits, at most 16 are fraction.
                let left = if o & 0x80 == 0 { b.rng.below(17) } else { b.rng.below(32) };
                b.operand(d);
                // The lowest bit of this field is where M of other instructions is.
                b.float(0xEEB0 | o >> 8, d, o & 0xFF, (left >> 1) << 1 | left & 1);
            },
            o,
        );
    }
    table.plain(
        "vmov-immediate",
        |b, _| {
            let (d, value) = (b.single(), b.rng.below(256));
            b.float(0xEEB0 | value >> 4, d, 0, (value & 15) << 1);
        },
        0,
    );
    for (name, o) in [("vmov-from-core", 0xEE00), ("vmov-to-core", 0xEE10)] {
        table.plain(
            name,
            |b, o| {
                let (t, n) = (b.reg(), b.single());
                b.wide(o | n >> 1, t << 12 | 0xA10 | (n & 1) << 7);
            },
            o,
        );
    }
    for (name, o) in [("vmov-two-from-core", 0xEC40), ("vmov-two-to-core", 0xEC50)] {
        table.plain(
            name,
            |b, o| {
                let t = b.reg();
                let (second, m) = (b.other(&[t]), b.rng.below(31));
                b.wide(o | second, t << 12 | 0xA10 | (m & 1) << 5 | m >> 1);
            },
            o,
        );
    }
    for (name, o) in [("vmov-double-from-core", 0xEC40), ("vmov-double-to-core", 0xEC50)] {
        table.plain(
            name,
            |b, o| {
                let t = b.reg();
                let (second, m) = (b.other(&[t]), b.rng.below(16));
                b.wide(o | second, t << 12 | 0xB10 | m);
            },
            o,
        );
    }
    for (name, o) in [("vmov-word-from-core", 0xEE00), ("vmov-word-to-core", 0xEE10)] {
        table.plain(
            name,
            |b, o| {
                let (t, half, n) = (b.reg(), b.rng.bit(), b.rng.below(16));
                b.wide(o | half << 5 | n, t << 12 | 0xB10);
            },
            o,
        );
    }
    table.plain(
        "vmrs",
        |b, _| {
            let t = b.reg();
            b.wide(0xEEF1, t << 12 | 0xA10)
        },
        0,
    );
    table.plain("vmrs-apsr", |b, _| b.wide(0xEEF1, 0xFA10), 0);
    table.plain(
        "vmsr",
        |b, _| {
            let t = b.reg();
            let value = b.rng.fpscr();
            b.set(t, value);
            b.wide(0xEEE1, t << 12 | 0xA10);
        },
        0,
    );

    table.group = "float-memory";
    for (name, o) in [("vldr", 0x10), ("vstr", 0x00), ("vldr-double", 0x110), ("vstr-double", 0x100)] {
        table.plain(name, single_access, o);
    }
    table.alone("vldr-literal", literal, 0);
    for (name, o) in [("vldm", 0x10), ("vstm", 0x00), ("vldm-double", 0x110), ("vstm-double", 0x100)] {
        table.plain(name, multiple, o);
    }
    for (name, o) in [("vpush-vpop", 0), ("vpush-vpop-double", 0x100)] {
        table.alone(name, push_pop, o);
    }
}

impl Build<'_> {
    /// s0 to s31.
    fn single(&mut self) -> u32 {
        self.rng.below(32)
    }

    /// Sometimes gives a register another value first. The program's own get worn out by results.
    fn operand(&mut self, register: u32) {
        if self.rng.chance(30) {
            let value = if self.rng.chance(20) { self.rng.integer() } else { self.rng.single() };
            let core = self.reg();
            self.set(core, value);
            let [first, second] = [0xEE00 | register >> 1, core << 12 | 0xA10 | (register & 1) << 7];
            self.setup.extend([first as u16, second as u16]);
        }
    }

    /// An instruction with Sd and Sm; all else is in `first` and `second`.
    fn float(&mut self, first: u32, d: u32, second: u32, m: u32) {
        self.wide(first | (d & 1) << 6, (d >> 1) << 12 | 0xA00 | second | (m & 1) << 5 | m >> 1);
    }
}

/// The fields that name a register: D of the first halfword, Vd of the second, and the width.
fn named(register: u32, double: bool) -> (u32, u32) {
    if double { (0, register << 12 | 0xB00) } else { ((register & 1) << 6, (register >> 1) << 12 | 0xA00) }
}

fn single_access(b: &mut Build, o: u32) {
    let double = o & 0x100 != 0;
    let register = b.rng.below(if double { 16 } else { 32 });
    let (n, offset, up) = (b.reg(), b.rng.below(256), b.rng.bit());
    let address = b.address(8, 4);
    b.set(n, if up == 1 { address.wrapping_sub(4 * offset) } else { address.wrapping_add(4 * offset) });
    let (first, second) = named(register, double);
    b.wide(0xED00 | up << 7 | o & 0x10 | first | n, second | offset);
}

fn literal(b: &mut Build, _: u32) {
    b.align = Some(2);
    let double = b.rng.bit() == 1;
    let (first, second) = named(b.rng.below(16), double);
    // At 2; its base is Align(6, 4) = 4, B is at 6, literals are at 8.
    b.wide(0xED9F | first, second | 1);
    b.narrow(0xE000 | 3);
    for _ in 0..2 {
        let value = b.rng.single();
        b.wide(value & 0xFFFF, value >> 16);
    }
}

/// A first register and how many, in words.
fn range(b: &mut Build, double: bool) -> (u32, u32) {
    let all = if double { 16 } else { 32 };
    let register = b.rng.below(all);
    let most = (all - register).min(if b.rng.bit() == 0 { 4 } else { 32 });
    let count = b.rng.range(1, most);
    (register, if double { 2 * count } else { count })
}

fn multiple(b: &mut Build, o: u32) {
    let double = o & 0x100 != 0;
    let (register, words) = range(b, double);
    let n = b.reg();
    debug_assert!(4 * words <= DATA_BYTES);
    let address = b.address(4 * words, 4);
    // Increment after, the same with write-back, decrement before.
    let mode = b.rng.pick(&[0x080, 0x0A0, 0x120]);
    b.set(n, if mode == 0x120 { address + 4 * words } else { address });
    let (first, second) = named(register, double);
    b.wide(0xEC00 | mode | o & 0x10 | first | n, second | words);
}

fn push_pop(b: &mut Build, o: u32) {
    let double = o & 0x100 != 0;
    let (register, words) = range(b, double);
    let (first, second) = named(register, double);
    b.wide(0xED2D | first, second | words);
    let all = 32 - words;
    let back = if double { 2 * b.rng.below(all / 2 + 1) } else { b.rng.below(all + 1) };
    let (first, second) = named(if double { back / 2 } else { back }, double);
    b.wide(0xECBD | first, second | words);
}
