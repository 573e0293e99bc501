//! The arithmetic of the DSP extension, as functions of values.

use crate::instruction::{DualMultiply, Extend, Lanes, Parallel, Reverse};

/// SignedSatQ or UnsignedSatQ (A2.2.1): the value in `bits` bits, and whether it had to be changed.
pub(crate) fn saturate(value: i64, bits: u8, signed: bool) -> (u32, bool) {
    let (low, high) =
        if signed { (-(1i64 << (bits.max(1) - 1)), (1i64 << (bits.max(1) - 1)) - 1) } else { (0, (1i64 << bits) - 1) };
    let kept = value.clamp(low, high);
    (kept as u32, kept != value)
}

fn lane(word: u32, shift: u32, bits: u32, signed: bool) -> i32 {
    let unsigned = word >> shift & ((1 << bits) - 1);
    if signed { ((unsigned << (32 - bits)) as i32) >> (32 - bits) } else { unsigned as i32 }
}

/// The result, and GE for the forms that set it.
pub(crate) fn parallel(lanes: Lanes, op: Parallel, n: u32, m: u32) -> (u32, Option<u8>) {
    let signed = matches!(lanes, Lanes::Signed | Lanes::Saturating | Lanes::SignedHalving);
    let (bits, count) = if matches!(op, Parallel::Add8 | Parallel::Sub8) { (8, 4) } else { (16, 2) };
    let (mut result, mut ge) = (0, 0);
    for place in 0..count {
        let shift = place * bits;
        // The exchanging forms combine each half of the first operand with the other half of the second.
        let exchanges = matches!(op, Parallel::Asx | Parallel::Sax);
        let a = lane(n, shift, bits, signed);
        let b = lane(m, if exchanges { 16 - shift } else { shift }, bits, signed);
        let subtracts = match op {
            Parallel::Add16 | Parallel::Add8 => false,
            Parallel::Sub16 | Parallel::Sub8 => true,
            Parallel::Asx => place == 0,
            Parallel::Sax => place == 1,
        };
        let exact = if subtracts { a - b } else { a + b };
        let kept = match lanes {
            Lanes::Signed | Lanes::Unsigned => exact as u32,
            Lanes::SignedHalving | Lanes::UnsignedHalving => (exact >> 1) as u32,
            Lanes::Saturating | Lanes::UnsignedSaturating => saturate(exact.into(), bits as u8, signed).0,
        };
        result |= (kept & ((1 << bits) - 1)) << shift;
        let is_greater = match (lanes, subtracts) {
            (Lanes::Unsigned, false) => exact >= 1 << bits,
            _ => exact >= 0,
        };
        if is_greater {
            ge |= if bits == 8 { 1 << place } else { 3 << (2 * place) };
        }
    }
    (result, matches!(lanes, Lanes::Signed | Lanes::Unsigned).then_some(ge))
}

pub(crate) fn select(ge: u8, n: u32, m: u32) -> u32 {
    let mask = (0..4).fold(0, |mask, place| mask | if ge >> place & 1 != 0 { 0xFFu32 << (8 * place) } else { 0 });
    n & mask | m & !mask
}

pub(crate) fn absolute_differences(n: u32, m: u32) -> u32 {
    n.to_le_bytes().into_iter().zip(m.to_le_bytes()).map(|(a, b)| u32::from(a.abs_diff(b))).sum()
}

/// The extended value, added to the halves or the whole of `n`.
pub(crate) fn extend(op: Extend, n: u32, rotated: u32) -> u32 {
    let halves = |low: u32, high: u32| n.wrapping_add(low) & 0xFFFF | (n >> 16).wrapping_add(high) << 16;
    match op {
        Extend::Sxtb => n.wrapping_add(rotated as i8 as u32),
        Extend::Sxth => n.wrapping_add(rotated as i16 as u32),
        Extend::Uxtb => n.wrapping_add(rotated & 0xFF),
        Extend::Uxth => n.wrapping_add(rotated & 0xFFFF),
        Extend::Sxtb16 => halves(rotated as i8 as u32, (rotated >> 16) as i8 as u32),
        Extend::Uxtb16 => halves(rotated & 0xFF, rotated >> 16 & 0xFF),
    }
}

pub(crate) fn reverse(op: Reverse, value: u32) -> u32 {
    match op {
        Reverse::Rev => value.swap_bytes(),
        Reverse::Rev16 => value.swap_bytes().rotate_right(16),
        Reverse::Revsh => (value as u16).swap_bytes() as i16 as u32,
        Reverse::Rbit => value.reverse_bits(),
        Reverse::Clz => value.leading_zeros(),
    }
}

/// The upper or lower half as a signed number.
pub(crate) fn half(value: u32, top: bool) -> i64 {
    i64::from(if top { (value >> 16) as i16 } else { value as i16 })
}

/// Of the forms with a result of one word: the result, and whether Q is set. `a`: the accumulator.
pub(crate) fn dual_multiply(op: DualMultiply, n: u32, m: u32, a: u32, x: bool) -> (u32, bool) {
    let whole = i64::from(n as i32) * i64::from(m as i32);
    let rounding = if x { 0x8000_0000 } else { 0 };
    let upper = i64::from(a as i32) << 32;
    let exact = match op {
        DualMultiply::Smmul => return (((whole + rounding) >> 32) as u32, false),
        DualMultiply::Smmla => return ((upper.wrapping_add(whole).wrapping_add(rounding) >> 32) as u32, false),
        DualMultiply::Smmls => return ((upper.wrapping_sub(whole).wrapping_add(rounding) >> 32) as u32, false),
        DualMultiply::Smuad | DualMultiply::Smusd => products(op, n, m, x),
        _ => products(op, n, m, x) + i64::from(a as i32),
    };
    (exact as u32, exact != i64::from(exact as i32))
}

/// The sum or difference of the two products of halves.
pub(crate) fn products(op: DualMultiply, n: u32, m: u32, x: bool) -> i64 {
    let m = if x { m.rotate_right(16) } else { m };
    let (low, high) = (half(n, false) * half(m, false), half(n, true) * half(m, true));
    if matches!(op, DualMultiply::Smusd | DualMultiply::Smlsd | DualMultiply::Smlsld) { low - high } else { low + high }
}
