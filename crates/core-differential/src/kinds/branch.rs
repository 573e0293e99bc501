//! Branches: ahead over instructions that must not run, and back by a detour.

use super::{Build, Table};
use crate::asm::{branch, branch_with_link};

pub(super) fn add(table: &mut Table) {
    table.group = "branch";
    table.alone(
        "b-conditional",
        |b, _| {
            let c = b.rng.below(14);
            over(b, Some(c), false)
        },
        0,
    );
    table.alone(
        "b-conditional-wide",
        |b, _| {
            let c = b.rng.below(14);
            over(b, Some(c), true)
        },
        0,
    );
    table.alone("b", |b, _| over(b, None, false), 0);
    table.alone("b-wide", |b, _| over(b, None, true), 0);
    for (name, o) in
        [("b-back", 0), ("b-wide-back", 1), ("b-conditional-back", 2), ("b-conditional-wide-back", 3), ("bl-back", 4)]
    {
        table.alone(name, back, o);
    }
    table.alone(
        "bl",
        |b, _| {
            let skipped = skipped(b);
            let [first, second] = branch_with_link(2 * skipped.len() as u32);
            b.wide(first, second);
            b.body.extend(skipped);
        },
        0,
    );
    for (name, o) in [("cbz", 0xB100), ("cbnz", 0xB900)] {
        table.alone(
            name,
            |b, o| {
                let n = b.low();
                if b.rng.bit() == 0 {
                    b.set(n, 0);
                }
                let skipped = skipped(b);
                // The offset counts from the instruction's address + 4.
                let offset = skipped.len() as u32 - 1;
                b.narrow(o | offset >> 5 << 9 | (offset & 31) << 3 | n);
                b.body.extend(skipped);
            },
            o,
        );
    }
    for (name, o) in [("bx", 0x4700), ("blx", 0x4780)] {
        table.alone(
            name,
            |b, o| {
                let m = b.reg();
                let skipped = skipped(b);
                // ADR is 4 bytes; BX at 4 is 2.
                address_of(b, m, 6 + 2 * skipped.len() as u32);
                b.narrow(o | m << 3);
                b.body.extend(skipped);
            },
            o,
        );
    }
    table.alone(
        "mov-to-pc",
        |b, _| {
            let m = b.reg();
            let skipped = skipped(b);
            address_of(b, m, 6 + 2 * skipped.len() as u32);
            b.narrow(0x4687 | m << 3);
            b.body.extend(skipped);
        },
        0,
    );
    table.alone(
        "add-to-pc",
        |b, _| {
            let m = b.reg();
            let skipped = skipped(b);
            // Bit 0 of the sum is ignored.
            let odd = b.rng.bit();
            b.set(m, 2 * skipped.len() as u32 - 2 + odd);
            b.narrow(0x4487 | m << 3);
            b.body.extend(skipped);
        },
        0,
    );
    table.alone(
        "pop-pc",
        |b, _| {
            let low = b.low();
            let skipped = skipped(b);
            address_of(b, low, 8 + 2 * skipped.len() as u32);
            b.narrow(0xB400 | 1 << low);
            b.narrow(0xBD00);
            b.body.extend(skipped);
        },
        0,
    );
    table.alone(
        "pop-registers-pc",
        |b, _| {
            // lr is pushed last, so it is popped as pc.
            let mut list = 0u32;
            let mut up = 0u32;
            while list.count_ones() < 3 {
                list |= 1 << b.low();
            }
            while up.count_ones() < 3 {
                up |= 1 << b.low();
            }
            let skipped = skipped(b);
            address_of(b, 14, 8 + 2 * skipped.len() as u32);
            b.narrow(0xB500 | list);
            b.narrow(0xBD00 | up);
            b.body.extend(skipped);
        },
        0,
    );
    table.alone(
        "ldm-pc",
        |b, _| {
            let mut list = 0u32;
            let mut up = 0u32;
            while list.count_ones() < 4 {
                list |= 1 << b.rng.below(13);
            }
            while up.count_ones() < 4 {
                up |= 1 << b.rng.below(13);
            }
            let skipped = skipped(b);
            address_of(b, 14, 12 + 2 * skipped.len() as u32);
            b.wide(0xE92D, 0x4000 | list);
            b.wide(0xE8BD, 0x8000 | up);
            b.body.extend(skipped);
        },
        0,
    );
    table.alone(
        "ldr-pc",
        |b, _| {
            let n = b.reg();
            let m = b.other(&[n]);
            let place = b.address(4, 4);
            let skipped = skipped(b);
            b.set(n, place);
            // ADR, STR.W, LDR.W.
            address_of(b, m, 12 + 2 * skipped.len() as u32);
            b.wide(0xF8C0 | n, m << 12);
            b.wide(0xF8D0 | n, 0xF000);
            b.body.extend(skipped);
        },
        0,
    );
    table.alone(
        "tbb",
        |b, _| {
            let entries = b.rng.range(2, 5);
            let index = b.rng.below(entries);
            let m = b.reg();
            b.set(m, index);
            // The table follows; each entry is the distance from there in halfwords.
            b.wide(0xE8DF, 0xF000 | m);
            let table = entries.div_ceil(2);
            let bytes: Vec<u32> = (0..2 * table).map(|entry| table + entry.min(entries - 1)).collect();
            for pair in bytes.chunks_exact(2) {
                b.narrow(pair[1] << 8 | pair[0]);
            }
            targets(b, entries);
        },
        0,
    );
    table.alone(
        "tbh",
        |b, _| {
            let entries = b.rng.range(2, 5);
            let index = b.rng.below(entries);
            let m = b.reg();
            b.set(m, index);
            b.wide(0xE8DF, 0xF010 | m);
            for entry in 0..entries {
                b.narrow(entries + entry);
            }
            targets(b, entries);
        },
        0,
    );
    table.alone("tbb-based", table_by_register, 0);
    table.alone(
        "it-branch",
        |b, _| {
            // A branch as the last instruction of a block.
            let (condition, others) = (b.rng.below(14), b.rng.below(3));
            let mut mask = 1 << (3 - others);
            for place in 0..others {
                mask |= (condition & 1 ^ b.rng.bit()) << (3 - place);
            }
            b.narrow(0xBF00 | condition << 4 | mask);
            for _ in 0..others {
                b.emit_plain();
            }
            let skipped = skipped(b);
            if b.rng.bit() == 0 {
                b.narrow(0xE000 | (skipped.len() as u32 - 1));
            } else {
                let [first, second] = branch(None, 2 * skipped.len() as u32);
                b.wide(first, second);
            }
            b.body.extend(skipped);
        },
        0,
    );
}

/// A few instructions that a branch jumps over, two halfwords at least.
fn skipped(b: &mut Build) -> Vec<u16> {
    let before = std::mem::take(&mut b.body);
    let count = b.rng.range(2, 4);
    for _ in 0..count {
        b.emit_plain();
    }
    std::mem::replace(&mut b.body, before)
}

fn over(b: &mut Build, condition: Option<u32>, wide: bool) {
    let skipped = skipped(b);
    let halves = skipped.len() as u32;
    match (condition, wide) {
        (_, true) => {
            let [first, second] = branch(condition, 2 * halves);
            b.wide(first, second);
        }
        (Some(condition), false) => b.narrow(0xD000 | condition << 8 | (halves - 1)),
        (None, false) => b.narrow(0xE000 | (halves - 1)),
    }
    b.body.extend(skipped);
}

/// To the end, then back to the middle, then to the end again. A conditional branch that is not taken continues to the
/// end.
fn back(b: &mut Build, o: u32) {
    let middle = skipped(b);
    let halves = middle.len() as u32;
    // B over the middle and the branch behind it.
    b.narrow(0xE000 | halves);
    b.body.extend(middle);
    // Over the branch back.
    let wide = matches!(o, 1 | 3 | 4);
    b.narrow(0xE000 | u32::from(wide));
    let offset = (2 * (halves + 1) + 4).wrapping_neg();
    let condition = b.rng.below(14);
    match o {
        0 => b.narrow(0xE000 | offset >> 1 & 0x7FF),
        1 => {
            let [first, second] = branch(None, offset);
            b.wide(first, second);
        }
        2 => b.narrow(0xD000 | condition << 8 | offset >> 1 & 0xFF),
        3 => {
            let [first, second] = branch(Some(condition), offset);
            b.wide(first, second);
        }
        _ => {
            let [first, second] = branch_with_link(offset);
            b.wide(first, second);
        }
    }
}

/// ADR of what is this far from the ADR, as an address of Thumb code.
fn address_of(b: &mut Build, register: u32, distance: u32) {
    // What sets up operands comes before and is a multiple of four long, so the ADR is at a multiple of four.
    b.align = Some(0);
    b.wide(0xF20F, register << 8 | (distance - 4 + 1));
}

/// Where the entries of a table lead: each adds another number to a register. The first leads through all of them.
fn targets(b: &mut Build, entries: u32) {
    let register = b.low();
    for entry in 0..entries {
        b.narrow(0x3000 | register << 8 | 1 << entry);
    }
}

/// A table in the data area, with any register as its base.
fn table_by_register(b: &mut Build, _: u32) {
    let wide = b.rng.bit();
    let n = b.reg();
    let (m, entry) = (b.other(&[n]), b.rng.below(4));
    let value = b.other(&[n, m]);
    let index = b.rng.below(8);
    let table = b.address(16, 2);
    b.set(n, table);
    b.set(m, index);
    // STRB or STRH (register) puts the entry there first.
    b.set(value, entry);
    b.wide(0xF800 | wide << 5 | n, value << 12 | wide << 4 | m);
    b.wide(0xE8D0 | n, 0xF000 | wide << 4 | m);
    targets(b, 4);
}
