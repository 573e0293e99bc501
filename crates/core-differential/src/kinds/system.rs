//! Special registers, masks and barriers.

use super::{Build, Table};
use crate::asm::{mrs, msr};
use crate::layout::{DATA, DATA_BYTES};

pub(super) fn add(table: &mut Table) {
    table.group = "system";
    const READ: [(&str, u32); 13] = [
        ("mrs-apsr", 0),
        ("mrs-iapsr", 1),
        ("mrs-eapsr", 2),
        ("mrs-xpsr", 3),
        ("mrs-ipsr", 5),
        ("mrs-epsr", 6),
        ("mrs-iepsr", 7),
        ("mrs-msp", 8),
        ("mrs-psp", 9),
        ("mrs-primask", 16),
        ("mrs-basepri", 17),
        ("mrs-faultmask", 19),
        ("mrs-control", 20),
    ];
    for (name, special) in READ {
        table.plain(
            name,
            |b, special| {
                let d = b.reg();
                let [x, y] = mrs(d, special);
                b.wide(x, y)
            },
            special,
        );
    }
    for (name, mask) in [("msr-apsr-nzcvq", 2), ("msr-apsr-g", 1), ("msr-apsr-nzcvqg", 3)] {
        table.plain(
            name,
            |b, mask| {
                let n = b.reg();
                let [x, y] = msr(0, mask, n);
                b.wide(x, y)
            },
            mask,
        );
    }
    // Three bits of priority are on every machine.
    for (name, special) in [("msr-basepri", 17), ("msr-basepri-max", 18)] {
        table.alone(
            name,
            |b, special| {
                let n = b.reg();
                let (value, d) = (b.rng.below(8) << 5, b.reg());
                b.set(n, value);
                pair(b, msr(special, 2, n));
                pair(b, mrs(d, 17));
            },
            special,
        );
    }
    for (name, special) in [("msr-primask", 16), ("msr-faultmask", 19)] {
        table.alone(
            name,
            |b, special| {
                let n = b.reg();
                let (value, d) = (b.rng.integer(), b.reg());
                b.set(n, value);
                pair(b, msr(special, 2, n));
                pair(b, mrs(d, special));
                // CPSIE: what faults later must not lock up.
                b.narrow(0xB663);
            },
            special,
        );
    }
    table.alone(
        "msr-psp",
        |b, _| {
            let n = b.reg();
            let (value, d) = (b.rng.integer() & !3, b.reg());
            b.set(n, value);
            pair(b, msr(9, 2, n));
            pair(b, mrs(d, 9));
        },
        0,
    );
    table.alone("msr-control-spsel", process_stack, 0);
    for (name, flags) in [("cps-i", 2), ("cps-f", 1), ("cps-if", 3)] {
        table.alone(
            name,
            |b, flags| {
                let (d, e) = (b.reg(), b.reg());
                b.narrow(0xB670 | flags);
                pair(b, mrs(d, 16));
                pair(b, mrs(e, 19));
                b.narrow(0xB660 | flags);
            },
            flags,
        );
    }
    for (name, second) in [("dsb", 0x8F4F), ("dmb", 0x8F5F), ("isb", 0x8F6F)] {
        table.plain(name, |b, second| b.wide(0xF3BF, second), second);
    }
    table.plain("clrex", |b, _| b.wide(0xF3BF, 0x8F2F), 0);
    for (name, second) in [("nop-wide", 0x8000), ("yield-wide", 0x8001), ("sev-wide", 0x8004)] {
        table.plain(name, |b, second| b.wide(0xF3AF, second), second);
    }
}

fn pair(b: &mut Build, [first, second]: [u32; 2]) {
    b.wide(first, second);
}

/// Pushes and pops on the process stack, then returns to the main stack.
fn process_stack(b: &mut Build, _: u32) {
    let n = b.reg();
    let list = b.rng.range(1, 255);
    let (d, e) = (b.reg(), b.reg());
    b.set(n, DATA + DATA_BYTES);
    pair(b, msr(9, 2, n));
    // FPCA stays set, as the runtime has used the FPU.
    let use_stack = |b: &mut Build, control: u32| {
        b.wide(0xF04F, n << 8 | control);
        pair(b, msr(20, 2, n));
        b.wide(0xF3BF, 0x8F6F);
    };
    use_stack(b, 6);
    b.narrow(0xB400 | list);
    b.narrow(0x4600 | d >> 3 << 7 | 13 << 3 | d & 7);
    pair(b, mrs(e, 8));
    pair(b, mrs(e, 20));
    use_stack(b, 4);
    pair(b, mrs(n, 9));
}
