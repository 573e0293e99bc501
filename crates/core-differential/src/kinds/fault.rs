//! Instructions that take an exception. The handler records it and continues after the instruction.

use super::{Build, Table};
use crate::layout::NOWHERE;

const CCR: u32 = 0xE000_ED14;
const SHCSR: u32 = 0xE000_ED24;
const STKALIGN: u32 = 1 << 9;
const DIV_0_TRP: u32 = 1 << 4;
const UNALIGN_TRP: u32 = 1 << 3;

pub(super) fn add(table: &mut Table) {
    table.group = "fault";
    for (name, lowest) in [("svc", 0), ("svc-with-lazy-stacking", 1)] {
        // The handler of an odd number uses the FPU.
        table.plain(
            name,
            |b, lowest| {
                let number = b.rng.below(128) << 1 | lowest;
                b.fault();
                b.narrow(0xDF00 | number);
            },
            lowest,
        );
    }
    table.alone(
        "udf",
        |b, _| {
            let n = b.rng.below(256);
            b.may_escalate();
            b.narrow(0xDE00 | n)
        },
        0,
    );
    table.alone(
        "udf-wide",
        |b, _| {
            let n = b.rng.below(16);
            b.may_escalate();
            b.wide(0xF7F0 | n, 0xA000)
        },
        0,
    );
    // A missing coprocessor: MCR, MRC, LDC, CDP.
    for (name, first, second) in
        [("mcr", 0xEE00, 0x0010), ("mrc", 0xEE10, 0x0010), ("ldc", 0xED90, 0x0000), ("cdp", 0xEE00, 0x0000)]
    {
        table.alone(
            name,
            |b, o| {
                let (t, coprocessor, n) = (b.rng.below(13), b.rng.below(8), b.rng.below(13));
                b.may_escalate();
                b.wide(o >> 16 | n, t << 12 | coprocessor << 8 | o & 0xFFFF);
            },
            first << 16 | second,
        );
    }
    for (name, opcode) in [("sdiv-by-zero", 0xFB90), ("udiv-by-zero", 0xFBB0)] {
        table.alone(
            name,
            |b, opcode| {
                let n = b.reg();
                let m = b.other(&[n]);
                let d = b.reg();
                b.fault();
                store(b, CCR, STKALIGN | DIV_0_TRP);
                b.set(m, 0);
                // ISB ends QEMU's translation block: when the division traps, QEMU 7.2 loses earlier register writes of
                // the same block.
                b.wide(0xF3BF, 0x8F6F);
                b.wide(opcode | n, 0xF0F0 | d << 8 | m);
                control_back(b);
            },
            opcode,
        );
    }
    // These need aligned addresses regardless of CCR.
    const ALIGNED: [(&str, u32, u32); 9] = [
        ("ldm-unaligned", 0xE890, 0x0006),
        ("stm-unaligned", 0xE880, 0x0006),
        ("ldrd-unaligned", 0xE9D0, 0x1200),
        ("strd-unaligned", 0xE9C0, 0x1200),
        ("ldrex-unaligned", 0xE850, 0x1F00),
        ("ldrexh-unaligned", 0xE8D0, 0x1F5F),
        ("vldr-unaligned", 0xED90, 0x0A00),
        ("vstr-unaligned", 0xED80, 0x0A00),
        ("vldm-unaligned", 0xEC90, 0x0A02),
    ];
    for (name, first, second) in ALIGNED {
        table.plain(
            name,
            |b, o| {
                let n = b.other(&[1, 2]);
                // One more byte is wrong for a halfword too.
                let address = b.address(16, 4) + b.rng.pick(&[1, 3]);
                b.may_escalate();
                b.set(n, address);
                b.wide(o >> 16 | n, o & 0xFFFF);
            },
            first << 16 | second,
        );
    }
    for (name, first) in [("ldr-trapped", 0xF8D0), ("ldrh-trapped", 0xF8B0), ("str-trapped", 0xF8C0)] {
        table.alone(
            name,
            |b, first| {
                let n = b.reg();
                let t = b.other(&[n]);
                let address = b.address(16, 4) + b.rng.pick(&[0, 1, 3]);
                b.fault();
                store(b, CCR, STKALIGN | UNALIGN_TRP);
                b.set(n, address);
                b.wide(first | n, t << 12);
                control_back(b);
            },
            first,
        );
    }
    table.plain(
        "ldr-nowhere",
        |b, _| {
            let n = b.reg();
            let (t, address) = (b.reg(), NOWHERE + b.rng.below(0x1000) * 4);
            b.may_escalate();
            b.set(n, address);
            b.wide(0xF8D0 | n, t << 12);
        },
        0,
    );
    // These cannot be continued: they end the program.
    for (name, opcode) in [("bx-to-arm", 0x4700), ("blx-to-arm", 0x4780)] {
        table.alone(
            name,
            |b, opcode| {
                let m = b.reg();
                b.may_escalate();
                b.set(m, crate::layout::DATA);
                b.narrow(opcode | m << 3);
            },
            opcode,
        );
    }
}

impl Build<'_> {
    fn fault(&mut self) {
        self.faults = true;
    }

    /// Like [`Build::fault`], and sometimes the fault's own handler is switched off, so that it becomes a hard fault.
    fn may_escalate(&mut self) {
        self.fault();
        if self.rng.chance(25) {
            store(self, SHCSR, 0);
        }
    }
}

/// Writes a system register before the instruction. The runtime puts it back at the program's end at the latest.
fn store(b: &mut Build, address: u32, value: u32) {
    let n = b.reg();
    let t = b.other(&[n]);
    b.set(n, address);
    b.set(t, value);
    let halves = [0xF8C0 | n, t << 12, 0xF3BF, 0x8F4F, 0xF3BF, 0x8F6F];
    b.setup.extend(halves.map(|half| half as u16));
}

/// Lets the next unit divide by zero and be unaligned again.
fn control_back(b: &mut Build) {
    let body = std::mem::take(&mut b.body);
    let setup = std::mem::take(&mut b.setup);
    store(b, CCR, STKALIGN);
    let after = std::mem::replace(&mut b.setup, setup);
    b.body = body;
    b.body.extend(after);
}
