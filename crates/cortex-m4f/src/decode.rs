//! Decodes halfwords to [`Instruction`]s (chapter A5, with the encodings of A7.7).
//!
//! An UNPREDICTABLE encoding decodes according to its fields, where that is harmless.

use crate::instruction::{
    Alu, Carry, DualMultiply, Extend, Fp, FpData, FpUnary, HalfMultiply, Hint, Index, Instruction, Lanes, Parallel,
    Reverse, Shift, Width,
};

/// Whether an instruction that begins with this halfword has a second one.
pub(crate) fn is_wide(first: u16) -> bool {
    first >= 0xE800
}

/// Decodes the instruction at `pc`; `second` counts only if [`is_wide`].
pub(crate) fn decode(pc: u32, first: u16, second: u16) -> Instruction {
    if is_wide(first) { wide(pc, first.into(), second.into()) } else { narrow(pc, first.into()) }
}

/// `count` bits of `word` from bit `low`, as a register number or another small one.
fn field(word: u32, low: u32, count: u32) -> u8 {
    (word >> low & ((1 << count) - 1)) as u8
}

fn bit(word: u32, number: u32) -> bool {
    word >> number & 1 != 0
}

fn sign_extend(value: u32, bits: u32) -> u32 {
    ((value << (32 - bits)) as i32 >> (32 - bits)) as u32
}

/// A shift by an immediate, with the meanings of 0 (DecodeImmShift, A7.4.2).
fn shift_by(kind: u8, amount: u8) -> (Shift, u8) {
    match (kind, amount) {
        (0, n) => (Shift::Lsl, n),
        (1, 0) => (Shift::Lsr, 32),
        (1, n) => (Shift::Lsr, n),
        (2, 0) => (Shift::Asr, 32),
        (2, n) => (Shift::Asr, n),
        (_, 0) => (Shift::Rrx, 1),
        (_, n) => (Shift::Ror, n),
    }
}

fn narrow(pc: u32, word: u32) -> Instruction {
    let (low, middle) = (field(word, 0, 3), field(word, 3, 3));
    match word >> 11 {
        0b00000 if field(word, 6, 5) == 0 => Instruction::MovReg { s: true, d: low, m: middle },
        kind @ 0b00000..=0b00010 => {
            let (shift, amount) = shift_by(kind as u8, field(word, 6, 5));
            Instruction::AluReg { op: Alu::Mov, s: true, d: low, n: 0, m: middle, shift, amount }
        }
        0b00011 => {
            let third = field(word, 6, 3);
            match word >> 9 & 3 {
                0 => Instruction::AddReg { s: true, d: low, n: middle, m: third },
                1 => Instruction::SubReg { s: true, d: low, n: middle, m: third },
                2 => Instruction::AddImm { s: true, d: low, n: middle, imm: third.into() },
                _ => Instruction::SubImm { s: true, d: low, n: middle, imm: third.into() },
            }
        }
        kind @ 0b00100..=0b00111 => {
            let (d, imm) = (field(word, 8, 3), word & 0xFF);
            match kind & 3 {
                0 => Instruction::MovImm { s: true, d, carry: Carry::Keep, imm },
                1 => Instruction::CmpImm { n: d, imm },
                2 => Instruction::AddImm { s: true, d, n: d, imm },
                _ => Instruction::SubImm { s: true, d, n: d, imm },
            }
        }
        0b01000 if !bit(word, 10) => narrow_alu(word, low, middle),
        0b01000 => narrow_high(word),
        0b01001 => Instruction::LoadLiteral {
            width: Width::Word,
            t: field(word, 8, 3),
            address: (pc.wrapping_add(4) & !3).wrapping_add((word & 0xFF) * 4),
        },
        0b01010 | 0b01011 => {
            let (t, n, m) = (low, middle, field(word, 6, 3));
            let load = |width| Instruction::LoadReg { width, t, n, m, amount: 0 };
            let store = |width| Instruction::StoreReg { width, t, n, m, amount: 0 };
            match word >> 9 & 7 {
                0 => store(Width::Word),
                1 => store(Width::Half),
                2 => store(Width::Byte),
                3 => load(Width::SignedByte),
                4 => load(Width::Word),
                5 => load(Width::Half),
                6 => load(Width::Byte),
                _ => load(Width::SignedHalf),
            }
        }
        kind @ 0b01100..=0b10001 => {
            let (t, n, offset) = (low, middle, u32::from(field(word, 6, 5)));
            match kind {
                0b01100 => Instruction::StoreWord { t, n, offset: offset * 4 },
                0b01101 => Instruction::LoadWord { t, n, offset: offset * 4 },
                0b01110 => Instruction::StoreByte { t, n, offset },
                0b01111 => Instruction::LoadByte { t, n, offset },
                0b10000 => Instruction::StoreHalf { t, n, offset: offset * 2 },
                _ => Instruction::LoadHalf { t, n, offset: offset * 2 },
            }
        }
        0b10010 => Instruction::StoreWord { t: field(word, 8, 3), n: 13, offset: (word & 0xFF) * 4 },
        0b10011 => Instruction::LoadWord { t: field(word, 8, 3), n: 13, offset: (word & 0xFF) * 4 },
        0b10100 => Instruction::MovImm {
            s: false,
            d: field(word, 8, 3),
            carry: Carry::Keep,
            imm: (pc.wrapping_add(4) & !3).wrapping_add((word & 0xFF) * 4),
        },
        0b10101 => Instruction::AddImm { s: false, d: field(word, 8, 3), n: 13, imm: (word & 0xFF) * 4 },
        0b10110 | 0b10111 => narrow_misc(pc, word),
        0b11000 => {
            Instruction::StoreMany { n: field(word, 8, 3), down: false, writeback: true, list: word as u16 & 0xFF }
        }
        0b11001 => {
            let (n, list) = (field(word, 8, 3), word as u16 & 0xFF);
            Instruction::LoadMany { n, down: false, writeback: list & 1 << n == 0, list }
        }
        0b11010 | 0b11011 => match field(word, 8, 4) {
            14 => Instruction::Undefined,
            15 => Instruction::Svc,
            condition => {
                let target = pc.wrapping_add(4).wrapping_add(sign_extend(word & 0xFF, 8) << 1);
                Instruction::BranchIf { condition, target }
            }
        },
        _ => Instruction::Branch { target: pc.wrapping_add(4).wrapping_add(sign_extend(word & 0x7FF, 11) << 1) },
    }
}

fn narrow_alu(word: u32, d: u8, m: u8) -> Instruction {
    let alu = |op| Instruction::AluReg { op, s: true, d, n: d, m, shift: Shift::Lsl, amount: 0 };
    let shift = |shift| Instruction::ShiftReg { shift, s: true, d, n: d, m };
    match word >> 6 & 15 {
        0 => alu(Alu::And),
        1 => alu(Alu::Eor),
        2 => shift(Shift::Lsl),
        3 => shift(Shift::Lsr),
        4 => shift(Shift::Asr),
        5 => alu(Alu::Adc),
        6 => alu(Alu::Sbc),
        7 => shift(Shift::Ror),
        8 => alu(Alu::Tst),
        9 => Instruction::AluImm { op: Alu::Rsb, s: true, d, n: m, carry: Carry::Keep, imm: 0 },
        10 => Instruction::CmpReg { n: d, m },
        11 => alu(Alu::Cmn),
        12 => alu(Alu::Orr),
        13 => Instruction::Mul { s: true, d, n: m, m: d },
        14 => alu(Alu::Bic),
        _ => alu(Alu::Mvn),
    }
}

fn narrow_high(word: u32) -> Instruction {
    let (d, m) = (field(word, 0, 3) | field(word, 7, 1) << 3, field(word, 3, 4));
    match word >> 8 & 3 {
        0 if d == 15 => Instruction::AddPc { m },
        0 => Instruction::AddReg { s: false, d, n: d, m },
        1 => Instruction::CmpReg { n: d, m },
        2 if d == 15 => Instruction::MovPc { m },
        2 => Instruction::MovReg { s: false, d, m },
        _ if bit(word, 7) => Instruction::Blx { m },
        _ => Instruction::Bx { m },
    }
}

fn narrow_misc(pc: u32, word: u32) -> Instruction {
    let (d, m) = (field(word, 0, 3), field(word, 3, 3));
    match word >> 8 & 15 {
        0b0000 => {
            let imm = (word & 0x7F) * 4;
            if bit(word, 7) {
                Instruction::SubImm { s: false, d: 13, n: 13, imm }
            } else {
                Instruction::AddImm { s: false, d: 13, n: 13, imm }
            }
        }
        0b0001 | 0b0011 | 0b1001 | 0b1011 => {
            let offset = u32::from(field(word, 3, 5)) << 1 | u32::from(bit(word, 9)) << 6;
            Instruction::BranchZero { n: d, zero: !bit(word, 11), target: pc.wrapping_add(4).wrapping_add(offset) }
        }
        0b0010 => {
            let op = [Extend::Sxth, Extend::Sxtb, Extend::Uxth, Extend::Uxtb][usize::from(field(word, 6, 2))];
            Instruction::Extend { op, d, n: 15, m, rotate: 0 }
        }
        0b0100 | 0b0101 => {
            let list = word as u16 & 0xFF | u16::from(bit(word, 8)) << 14;
            Instruction::StoreMany { n: 13, down: true, writeback: true, list }
        }
        0b1100 | 0b1101 => {
            let list = word as u16 & 0xFF | u16::from(bit(word, 8)) << 15;
            Instruction::LoadMany { n: 13, down: false, writeback: true, list }
        }
        0b0110 if word & 0xE8 == 0x60 => {
            Instruction::Cps { disable: bit(word, 4), primask: bit(word, 1), faultmask: bit(word, 0) }
        }
        0b1010 => match word >> 6 & 3 {
            0 => Instruction::Reverse { op: Reverse::Rev, d, m },
            1 => Instruction::Reverse { op: Reverse::Rev16, d, m },
            3 => Instruction::Reverse { op: Reverse::Revsh, d, m },
            _ => Instruction::Undefined,
        },
        0b1110 => Instruction::Breakpoint,
        0b1111 if word & 15 != 0 => Instruction::It { state: word as u8 },
        0b1111 => hint(word >> 4 & 15),
        _ => Instruction::Undefined,
    }
}

fn hint(number: u32) -> Instruction {
    let op = match number {
        2 => Hint::Wfe,
        3 => Hint::Wfi,
        4 => Hint::Sev,
        _ => Hint::Nop,
    };
    Instruction::Hint { op }
}

fn wide(pc: u32, first: u32, second: u32) -> Instruction {
    let opcode = first >> 4 & 0x7F;
    match first >> 11 & 3 {
        1 if opcode & 0x64 == 0 => many(first, second),
        1 if opcode & 0x64 == 4 => dual_or_exclusive(pc, first, second),
        1 if opcode & 0x60 == 0x20 => alu_shifted(first, second),
        2 if !bit(second, 15) && opcode & 0x20 == 0 => alu_immediate(first, second),
        2 if !bit(second, 15) => plain_immediate(pc, first, second),
        2 => branch_or_control(pc, first, second),
        3 if opcode & 0x71 == 0 => store(first, second),
        3 if opcode & 0x61 == 1 => load(pc, first, second),
        3 if opcode & 0x70 == 0x20 => alu_register(first, second),
        3 if opcode & 0x78 == 0x30 => multiply(first, second),
        3 if opcode & 0x78 == 0x38 => multiply_long(first, second),
        1 | 3 if opcode & 0x40 != 0 => coprocessor(first, second),
        _ => Instruction::Undefined,
    }
}

fn many(first: u32, second: u32) -> Instruction {
    let (n, list) = (field(first, 0, 4), second as u16);
    let (down, writeback) = match first >> 7 & 3 {
        1 => (false, bit(first, 5)),
        2 => (true, bit(first, 5)),
        _ => return Instruction::Undefined,
    };
    if bit(first, 4) {
        Instruction::LoadMany { n, down, writeback, list: list & !(1 << 13) }
    } else {
        Instruction::StoreMany { n, down, writeback, list: list & !(1 << 13 | 1 << 15) }
    }
}

fn dual_or_exclusive(pc: u32, first: u32, second: u32) -> Instruction {
    let (n, t, t2) = (field(first, 0, 4), field(second, 12, 4), field(second, 8, 4));
    let (pre, up, writeback, is_load) = (bit(first, 8), bit(first, 7), bit(first, 5), bit(first, 4));
    let imm = (second & 0xFF) * 4;
    if pre || writeback {
        let offset = if up { imm as i32 } else { -(imm as i32) };
        let index = match (pre, writeback) {
            (true, false) => Index::Offset,
            (true, true) => Index::Pre,
            _ => Index::Post,
        };
        return match is_load {
            true => Instruction::LoadDual { index, t, t2, n, offset },
            false => Instruction::StoreDual { index, t, t2, n, offset },
        };
    }
    let _ = pc;
    let (m, kind) = (field(second, 0, 4), second >> 4 & 15);
    match (up, is_load, kind) {
        (false, false, _) => Instruction::StoreExclusive { width: Width::Word, d: t2, t, n, offset: imm },
        (false, true, _) => Instruction::LoadExclusive { width: Width::Word, t, n, offset: imm },
        (true, false, 4) => Instruction::StoreExclusive { width: Width::Byte, d: m, t, n, offset: 0 },
        (true, false, 5) => Instruction::StoreExclusive { width: Width::Half, d: m, t, n, offset: 0 },
        (true, true, 0) => Instruction::TableBranch { n, m, half: false },
        (true, true, 1) => Instruction::TableBranch { n, m, half: true },
        (true, true, 4) => Instruction::LoadExclusive { width: Width::Byte, t, n, offset: 0 },
        (true, true, 5) => Instruction::LoadExclusive { width: Width::Half, t, n, offset: 0 },
        _ => Instruction::Undefined,
    }
}

/// The operation of a wide data-processing instruction, with the forms that lack a destination or an operand.
fn alu_operation(first: u32, d: u8, n: u8) -> Option<Alu> {
    let s = bit(first, 4);
    let tests = s && d == 15;
    Some(match first >> 5 & 15 {
        0 if tests => Alu::Tst,
        0 => Alu::And,
        1 => Alu::Bic,
        2 if n == 15 => Alu::Mov,
        2 => Alu::Orr,
        3 if n == 15 => Alu::Mvn,
        3 => Alu::Orn,
        4 if tests => Alu::Teq,
        4 => Alu::Eor,
        8 if tests => Alu::Cmn,
        8 => Alu::Add,
        10 => Alu::Adc,
        11 => Alu::Sbc,
        13 if tests => Alu::Cmp,
        13 => Alu::Sub,
        14 => Alu::Rsb,
        _ => return None,
    })
}

fn alu_shifted(first: u32, second: u32) -> Instruction {
    let (n, d, m, s) = (field(first, 0, 4), field(second, 8, 4), field(second, 0, 4), bit(first, 4));
    let raw_amount = field(second, 12, 3) << 2 | field(second, 6, 2);
    let (shift, amount) = shift_by(field(second, 4, 2), raw_amount);
    if first >> 5 & 15 == 6 {
        let top = bit(second, 5);
        return Instruction::Pack { top, d, n, m, amount };
    }
    let plain = (shift, amount) == (Shift::Lsl, 0);
    match alu_operation(first, d, n) {
        Some(Alu::Mov) if plain => Instruction::MovReg { s, d, m },
        Some(Alu::Add) if plain => Instruction::AddReg { s, d, n, m },
        Some(Alu::Sub) if plain => Instruction::SubReg { s, d, n, m },
        Some(Alu::Cmp) if plain => Instruction::CmpReg { n, m },
        Some(op) => Instruction::AluReg { op, s, d, n, m, shift, amount },
        None => Instruction::Undefined,
    }
}

/// ThumbExpandImm_C (A5.3.2).
fn expand_immediate(first: u32, second: u32) -> (u32, Carry) {
    let (low, top) = (second & 0xFF, second >> 12 & 7 | u32::from(bit(first, 10)) << 3);
    match top {
        0 => (low, Carry::Keep),
        1 => (low << 16 | low, Carry::Keep),
        2 => (low << 24 | low << 8, Carry::Keep),
        3 => (low << 24 | low << 16 | low << 8 | low, Carry::Keep),
        _ => {
            let value = (0x80 | low & 0x7F).rotate_right(top << 1 | low >> 7);
            (value, if bit(value, 31) { Carry::Set } else { Carry::Clear })
        }
    }
}

fn alu_immediate(first: u32, second: u32) -> Instruction {
    let (n, d, s) = (field(first, 0, 4), field(second, 8, 4), bit(first, 4));
    let (imm, carry) = expand_immediate(first, second);
    match alu_operation(first, d, n) {
        Some(Alu::Mov) => Instruction::MovImm { s, d, carry, imm },
        Some(Alu::Add) => Instruction::AddImm { s, d, n, imm },
        Some(Alu::Sub) => Instruction::SubImm { s, d, n, imm },
        Some(Alu::Cmp) => Instruction::CmpImm { n, imm },
        Some(op) => Instruction::AluImm { op, s, d, n, carry, imm },
        None => Instruction::Undefined,
    }
}

fn plain_immediate(pc: u32, first: u32, second: u32) -> Instruction {
    let (n, d) = (field(first, 0, 4), field(second, 8, 4));
    let imm12 = u32::from(bit(first, 10)) << 11 | (second >> 12 & 7) << 8 | second & 0xFF;
    let imm16 = (first & 15) << 12 | imm12;
    let (lsb, msb) = (field(second, 12, 3) << 2 | field(second, 6, 2), field(second, 0, 5));
    let base = pc.wrapping_add(4) & !3;
    let literal = |imm| Instruction::MovImm { s: false, d, carry: Carry::Keep, imm };
    match first >> 4 & 31 {
        0b00000 if n == 15 => literal(base.wrapping_add(imm12)),
        0b00000 => Instruction::AddImm { s: false, d, n, imm: imm12 },
        0b01010 if n == 15 => literal(base.wrapping_sub(imm12)),
        0b01010 => Instruction::SubImm { s: false, d, n, imm: imm12 },
        0b00100 => literal(imm16),
        0b01100 => Instruction::Movt { d, imm: imm16 as u16 },
        0b10010 if lsb == 0 => Instruction::Saturate16 { signed: true, d, n, bits: (msb & 15) + 1 },
        0b11010 if lsb == 0 => Instruction::Saturate16 { signed: false, d, n, bits: msb & 15 },
        kind @ (0b10000 | 0b10010 | 0b11000 | 0b11010) => {
            let (shift, amount) = shift_by(kind as u8 & 2, lsb);
            let signed = kind & 8 == 0;
            Instruction::Saturate { signed, d, n, bits: msb + u8::from(signed), shift, amount }
        }
        0b10100 => Instruction::Sbfx { d, n, lsb, width: msb + 1 },
        0b11100 => Instruction::Ubfx { d, n, lsb, width: msb + 1 },
        0b10110 => {
            let width = (msb + 1).saturating_sub(lsb);
            if n == 15 { Instruction::Bfc { d, lsb, width } } else { Instruction::Bfi { d, n, lsb, width } }
        }
        _ => Instruction::Undefined,
    }
}

fn branch_or_control(pc: u32, first: u32, second: u32) -> Instruction {
    let after = pc.wrapping_add(4);
    let (s, j1, j2) = (first >> 10 & 1, second >> 13 & 1, second >> 11 & 1);
    if bit(second, 12) || bit(second, 14) {
        let (i1, i2) = (!(j1 ^ s) & 1, !(j2 ^ s) & 1);
        let offset = s << 24 | i1 << 23 | i2 << 22 | (first & 0x3FF) << 12 | (second & 0x7FF) << 1;
        let target = after.wrapping_add(sign_extend(offset, 25));
        return match (bit(second, 14), bit(second, 12)) {
            (false, _) => Instruction::Branch { target },
            (true, true) => Instruction::BranchLink { target },
            // BLX would switch to ARM state.
            (true, false) => Instruction::Undefined,
        };
    }
    if first >> 7 & 7 != 7 {
        let offset = s << 20 | j2 << 19 | j1 << 18 | (first & 0x3F) << 12 | (second & 0x7FF) << 1;
        return Instruction::BranchIf {
            condition: field(first, 6, 4),
            target: after.wrapping_add(sign_extend(offset, 21)),
        };
    }
    if bit(second, 13) {
        return Instruction::Undefined;
    }
    match first >> 4 & 0x7F {
        0b0111000 | 0b0111001 => {
            Instruction::Msr { n: field(first, 0, 4), special: second as u8, mask: field(second, 10, 2) }
        }
        0b0111010 if second >> 8 & 7 == 0 => hint(second & 0xFF),
        0b0111011 => match second >> 4 & 15 {
            2 => Instruction::ClearExclusive,
            4..=6 => Instruction::Hint { op: Hint::Nop },
            _ => Instruction::Undefined,
        },
        0b0111110 | 0b0111111 => Instruction::Mrs { d: field(second, 8, 4), special: second as u8 },
        _ => Instruction::Undefined,
    }
}

/// Index and offset of the forms with eight bits of offset; `None`: the unprivileged forms.
fn small_offset(second: u32) -> Option<(Index, i32)> {
    let imm = (second & 0xFF) as i32;
    let offset = if bit(second, 9) { imm } else { -imm };
    match (bit(second, 10), bit(second, 8)) {
        (true, false) if bit(second, 9) => None,
        (true, false) => Some((Index::Offset, offset)),
        (true, true) => Some((Index::Pre, offset)),
        _ => Some((Index::Post, offset)),
    }
}

fn store(first: u32, second: u32) -> Instruction {
    let (n, t) = (field(first, 0, 4), field(second, 12, 4));
    let width = match first >> 5 & 3 {
        0 => Width::Byte,
        1 => Width::Half,
        2 => Width::Word,
        _ => return Instruction::Undefined,
    };
    if n == 15 {
        return Instruction::Undefined;
    }
    if bit(first, 7) {
        let offset = second & 0xFFF;
        return match width {
            Width::Byte => Instruction::StoreByte { t, n, offset },
            Width::Half => Instruction::StoreHalf { t, n, offset },
            _ => Instruction::StoreWord { t, n, offset },
        };
    }
    if bit(second, 11) {
        if !bit(second, 10) && !bit(second, 8) {
            return Instruction::Undefined;
        }
        return match small_offset(second) {
            Some((index, offset)) => Instruction::StoreImm { width, index, t, n, offset },
            None => Instruction::StoreUser { width, t, n, offset: second & 0xFF },
        };
    }
    if second & 0x7C0 != 0 {
        return Instruction::Undefined;
    }
    Instruction::StoreReg { width, t, n, m: field(second, 0, 4), amount: field(second, 4, 2) }
}

fn load(pc: u32, first: u32, second: u32) -> Instruction {
    let (n, t) = (field(first, 0, 4), field(second, 12, 4));
    let width = match (first >> 5 & 3, bit(first, 8)) {
        (0, false) => Width::Byte,
        (0, true) => Width::SignedByte,
        (1, false) => Width::Half,
        (1, true) => Width::SignedHalf,
        (2, false) => Width::Word,
        _ => return Instruction::Undefined,
    };
    // PLD, PLI and the encodings set aside for more such hints.
    let hints = t == 15 && width != Width::Word;
    if n == 15 {
        if hints {
            return Instruction::Hint { op: Hint::Nop };
        }
        let (base, offset) = (pc.wrapping_add(4) & !3, second & 0xFFF);
        let address = if bit(first, 7) { base.wrapping_add(offset) } else { base.wrapping_sub(offset) };
        return Instruction::LoadLiteral { width, t, address };
    }
    if bit(first, 7) {
        let offset = second & 0xFFF;
        return match width {
            _ if hints => Instruction::Hint { op: Hint::Nop },
            Width::Word => Instruction::LoadWord { t, n, offset },
            Width::Half => Instruction::LoadHalf { t, n, offset },
            Width::Byte => Instruction::LoadByte { t, n, offset },
            _ => Instruction::LoadImm { width, index: Index::Offset, t, n, offset: offset as i32 },
        };
    }
    if bit(second, 11) {
        if !bit(second, 10) && !bit(second, 8) {
            return Instruction::Undefined;
        }
        return match small_offset(second) {
            Some((Index::Offset, _)) if hints => Instruction::Hint { op: Hint::Nop },
            Some((index, offset)) => Instruction::LoadImm { width, index, t, n, offset },
            None => Instruction::LoadUser { width, t, n, offset: second & 0xFF },
        };
    }
    if second & 0x7C0 != 0 {
        return Instruction::Undefined;
    }
    if hints {
        return Instruction::Hint { op: Hint::Nop };
    }
    Instruction::LoadReg { width, t, n, m: field(second, 0, 4), amount: field(second, 4, 2) }
}

fn alu_register(first: u32, second: u32) -> Instruction {
    if second >> 12 != 15 {
        return Instruction::Undefined;
    }
    let (n, d, m) = (field(first, 0, 4), field(second, 8, 4), field(second, 0, 4));
    let (op1, op2) = (first >> 4 & 15, second >> 4 & 15);
    match (op1, op2) {
        (0..=7, 0) => {
            let shift = [Shift::Lsl, Shift::Lsr, Shift::Asr, Shift::Ror][op1 as usize >> 1];
            Instruction::ShiftReg { shift, s: op1 & 1 != 0, d, n, m }
        }
        (0..=5, 8..) => {
            let op = [Extend::Sxth, Extend::Uxth, Extend::Sxtb16, Extend::Uxtb16, Extend::Sxtb, Extend::Uxtb];
            Instruction::Extend { op: op[op1 as usize], d, n, m, rotate: field(second, 4, 2) * 8 }
        }
        (8.., 0..=7) => {
            let lanes = match op2 {
                0 => Lanes::Signed,
                1 => Lanes::Saturating,
                2 => Lanes::SignedHalving,
                4 => Lanes::Unsigned,
                5 => Lanes::UnsignedSaturating,
                6 => Lanes::UnsignedHalving,
                _ => return Instruction::Undefined,
            };
            let op = match op1 & 7 {
                0 => Parallel::Add8,
                1 => Parallel::Add16,
                2 => Parallel::Asx,
                4 => Parallel::Sub8,
                5 => Parallel::Sub16,
                6 => Parallel::Sax,
                _ => return Instruction::Undefined,
            };
            Instruction::Parallel { lanes, op, d, n, m }
        }
        (8, 8..=11) => Instruction::SaturatingAdd { subtract: op2 & 2 != 0, double: op2 & 1 != 0, d, n, m },
        (9, 8..=11) => {
            let op = [Reverse::Rev, Reverse::Rev16, Reverse::Rbit, Reverse::Revsh][op2 as usize & 3];
            Instruction::Reverse { op, d, m }
        }
        (10, 8) => Instruction::Select { d, n, m },
        (11, 8) => Instruction::Reverse { op: Reverse::Clz, d, m },
        _ => Instruction::Undefined,
    }
}

fn multiply(first: u32, second: u32) -> Instruction {
    let (n, a, d, m) = (field(first, 0, 4), field(second, 12, 4), field(second, 8, 4), field(second, 0, 4));
    if second & 0xC0 != 0 {
        return Instruction::Undefined;
    }
    let (n_top, m_top, x, alone) = (bit(second, 5), bit(second, 4), bit(second, 4), a == 15);
    let half = |op, n_top| Instruction::HalfMultiply { op, d, n, m, a, n_top, m_top };
    let dual = |op| match n_top {
        false => Instruction::DualMultiply { op, d, n, m, a, x },
        true => Instruction::Undefined,
    };
    match (first >> 4 & 7, second >> 4 & 3) {
        (0, 0) if alone => Instruction::Mul { s: false, d, n, m },
        (0, 0) => Instruction::Mla { d, n, m, a },
        (0, 1) => Instruction::Mls { d, n, m, a },
        (1, _) => half(if alone { HalfMultiply::Smul } else { HalfMultiply::Smla }, n_top),
        (2, _) => dual(if alone { DualMultiply::Smuad } else { DualMultiply::Smlad }),
        (3, 0 | 1) => half(if alone { HalfMultiply::Smulw } else { HalfMultiply::Smlaw }, false),
        (4, _) => dual(if alone { DualMultiply::Smusd } else { DualMultiply::Smlsd }),
        (5, _) => dual(if alone { DualMultiply::Smmul } else { DualMultiply::Smmla }),
        (6, _) => dual(DualMultiply::Smmls),
        (7, 0) => Instruction::AbsoluteDifferences { d, n, m, a },
        _ => Instruction::Undefined,
    }
}

fn multiply_long(first: u32, second: u32) -> Instruction {
    let (n, low, high, m) = (field(first, 0, 4), field(second, 12, 4), field(second, 8, 4), field(second, 0, 4));
    let long = |signed, accumulate| Instruction::MulLong { signed, accumulate, low, high, n, m };
    let x = bit(second, 4);
    match (first >> 4 & 7, second >> 4 & 15) {
        (0, 0) => long(true, false),
        (1, 15) => Instruction::Divide { signed: true, d: high, n, m },
        (2, 0) => long(false, false),
        (3, 15) => Instruction::Divide { signed: false, d: high, n, m },
        (4, 0) => long(true, true),
        (4, 8..=11) => {
            let (n_top, m_top) = (bit(second, 5), bit(second, 4));
            Instruction::HalfMultiply { op: HalfMultiply::Smlal, d: high, n, m, a: low, n_top, m_top }
        }
        (4, 12 | 13) => Instruction::DualMultiply { op: DualMultiply::Smlald, d: high, n, m, a: low, x },
        (5, 12 | 13) => Instruction::DualMultiply { op: DualMultiply::Smlsld, d: high, n, m, a: low, x },
        (6, 0) => long(false, true),
        (6, 6) => Instruction::Umaal { low, high, n, m },
        _ => Instruction::Undefined,
    }
}

// ---- the floating-point unit ----

fn coprocessor(first: u32, second: u32) -> Instruction {
    let number = field(second, 8, 4);
    if number & 14 != 10 {
        return Instruction::Coprocessor { number };
    }
    // Encodings T2 of coprocessor instructions, and Advanced SIMD, which this unit lacks.
    let op = if bit(first, 12) { None } else { floating_point(first, second) };
    Instruction::Fp { op: op.unwrap_or(Fp::Undefined) }
}

fn floating_point(first: u32, second: u32) -> Option<Fp> {
    match (first >> 8 & 15, bit(second, 4)) {
        (14, false) => fp_data(first, second),
        (14, true) => fp_transfer(first, second),
        (12 | 13, _) => fp_memory(first, second),
        _ => None,
    }
}

/// A single-precision register: four bits and a lowest one.
fn single(word: u32, low: u32, lowest: u32) -> u8 {
    field(word, low, 4) << 1 | field(lowest, 0, 1)
}

fn fp_data(first: u32, second: u32) -> Option<Fp> {
    if bit(second, 8) {
        return None;
    }
    let (d, n, m) = (single(second, 12, first >> 6), single(first, 0, second >> 7), single(second, 0, second >> 5));
    let other = bit(second, 6);
    let data = |op| Some(Fp::Data { op, d, n, m });
    match (first >> 4 & 0b1011, other) {
        (0b0000, false) => data(FpData::Mla),
        (0b0000, true) => data(FpData::Mls),
        (0b0001, false) => data(FpData::Nmls),
        (0b0001, true) => data(FpData::Nmla),
        (0b0010, false) => data(FpData::Mul),
        (0b0010, true) => data(FpData::Nmul),
        (0b0011, false) => data(FpData::Add),
        (0b0011, true) => data(FpData::Sub),
        (0b1000, false) => data(FpData::Div),
        (0b1001, false) => data(FpData::Fnms),
        (0b1001, true) => data(FpData::Fnma),
        (0b1010, false) => data(FpData::Fma),
        (0b1010, true) => data(FpData::Fms),
        (0b1011, false) => Some(Fp::MovImm { d, imm: expand_float((first & 15) << 4 | second & 15) }),
        (0b1011, true) => fp_other(first, second, d, m),
        _ => None,
    }
}

/// VFPExpandImm for 32 bits (A6.4.1).
fn expand_float(imm: u32) -> u32 {
    let (sign, top, rest) = (imm >> 7 & 1, imm >> 6 & 1, imm & 0x3F);
    let exponent = if top != 0 { 0x1F << 25 } else { 1 << 30 };
    sign << 31 | exponent | rest << 19
}

fn fp_other(first: u32, second: u32, d: u8, m: u8) -> Option<Fp> {
    let (kind, upper) = (first & 15, bit(second, 7));
    Some(match (kind, upper) {
        (0, false) => Fp::Unary { op: FpUnary::Mov, d, m },
        (0, true) => Fp::Unary { op: FpUnary::Abs, d, m },
        (1, false) => Fp::Unary { op: FpUnary::Neg, d, m },
        (1, true) => Fp::Unary { op: FpUnary::Sqrt, d, m },
        (2, top) => Fp::FromHalf { d, m, top },
        (3, top) => Fp::ToHalf { d, m, top },
        (4, signal_quiet) => Fp::Compare { d, m, zero: false, signal_quiet },
        (5, signal_quiet) => Fp::Compare { d, m, zero: true, signal_quiet },
        (8, signed) => Fp::FromInt { d, m, signed },
        (12 | 13, toward_zero) => Fp::ToInt { d, m, signed: kind == 13, toward_zero },
        (10 | 11 | 14 | 15, wide) => {
            let bits: u8 = if wide { 32 } else { 16 };
            let fraction = bits.checked_sub(field(second, 0, 4) << 1 | field(second, 5, 1))?;
            let signed = kind & 1 == 0;
            match kind & 4 {
                0 => Fp::FromFixed { d, signed, bits, fraction },
                _ => Fp::ToFixed { d, signed, bits, fraction },
            }
        }
        _ => return None,
    })
}

fn fp_transfer(first: u32, second: u32) -> Option<Fp> {
    let (to_core, t, kind) = (bit(first, 4), field(second, 12, 4), first >> 5 & 7);
    let move_one = |n| Some(if to_core { Fp::ToCore { n, t } } else { Fp::FromCore { n, t } });
    match (kind, bit(second, 8)) {
        (0, false) => move_one(single(first, 0, second >> 7)),
        (7, false) if first & 15 == 1 => Some(if to_core { Fp::ReadStatus { t } } else { Fp::WriteStatus { t } }),
        // A half of a doubleword register, of which there are sixteen.
        (0 | 1, true) if !bit(second, 7) && second & 0x60 == 0 => move_one(field(first, 0, 4) << 1 | kind as u8),
        _ => None,
    }
}

fn fp_memory(first: u32, second: u32) -> Option<Fp> {
    let (n, imm, double) = (field(first, 0, 4), second & 0xFF, bit(second, 8));
    let (pre, up, writeback, is_load) = (bit(first, 8), bit(first, 7), bit(first, 5), bit(first, 4));
    if !pre && !up {
        if first & 0x1E0 != 0x40 || second & 0xD0 != 0x10 {
            return None;
        }
        let (t, t2) = (field(second, 12, 4), n);
        let m = if double && bit(second, 5) {
            return None;
        } else if double {
            field(second, 0, 4) << 1
        } else {
            single(second, 0, second >> 5)
        };
        return Some(if is_load { Fp::ToCore2 { m, t, t2 } } else { Fp::FromCore2 { m, t, t2 } });
    }
    let d = match double {
        true if bit(first, 6) => return None,
        true => field(second, 12, 4) << 1,
        false => single(second, 12, first >> 6),
    };
    if pre && !writeback {
        let offset = if up { imm as i32 * 4 } else { -(imm as i32 * 4) };
        let count = if double { 2 } else { 1 };
        return Some(if is_load { Fp::Load { d, n, count, offset } } else { Fp::Store { d, n, count, offset } });
    }
    if pre && up {
        return None;
    }
    // An odd count of doubleword registers is that of FLDMX, which skips a word.
    let count = imm.min(32 - u32::from(d)) as u8;
    let down = pre;
    Some(match is_load {
        true => Fp::LoadMany { d, n, count, down, writeback },
        false => Fp::StoreMany { d, n, count, down, writeback },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immediates_expand_as_the_manual_says() {
        let rows: [(u32, u32, u32, Carry); 6] = [
            (0x000, 0x0AB, 0xAB, Carry::Keep),
            (0x000, 0x10AB, 0x00AB_00AB, Carry::Keep),
            (0x000, 0x20AB, 0xAB00_AB00, Carry::Keep),
            (0x000, 0x30AB, 0xABAB_ABAB, Carry::Keep),
            (0x000, 0x4000, 0x8000_0000, Carry::Set),
            (0x400, 0x7080, 0x0000_0100, Carry::Clear),
        ];
        for (first, second, value, carry) in rows {
            assert_eq!(expand_immediate(first, second), (value, carry), "{first:#x} {second:#x}");
        }
    }

    #[test]
    fn an_instruction_stays_small() {
        assert!(size_of::<Instruction>() <= 12, "{}", size_of::<Instruction>());
    }

    #[test]
    fn every_pattern_decodes() {
        for first in 0..=u16::MAX {
            for second in [0, 0xFFFF, 0x1234, 0xF0F0, 0x8000, 0x0A10, 0x0B90] {
                let _ = decode(0x1000, first, second);
            }
        }
    }
}
