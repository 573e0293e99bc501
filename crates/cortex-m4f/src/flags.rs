//! The condition flags, and operations that set them.

use crate::instruction::Shift;

/// APSR's N, Z, C, V, Q and GE. N and Z are stored as values with these properties, so that setting them needs no
/// branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags {
    /// Bit 31 is N.
    n: u32,
    /// Z is set when this is zero.
    not_z: u32,
    pub c: bool,
    pub v: bool,
    pub q: bool,
    /// The four GE bits.
    pub ge: u8,
}

impl Default for Flags {
    /// All clear, as after a reset.
    fn default() -> Flags {
        Flags { n: 0, not_z: 1, c: false, v: false, q: false, ge: 0 }
    }
}

/// For each condition the values of NZCV, as bits 0 to 15, that it passes with (A7.3).
const PASSES: [u16; 16] = passes();

const fn passes() -> [u16; 16] {
    let mut table = [0; 16];
    let mut flags = 0;
    while flags < 16 {
        let (n, z, c, v) = (flags & 8 != 0, flags & 4 != 0, flags & 2 != 0, flags & 1 != 0);
        let even = [z, c, n, v, c && !z, n == v, n == v && !z, true];
        let mut condition = 0;
        while condition < 16 {
            let is_odd = condition & 1 != 0 && condition != 15;
            if even[condition / 2] != is_odd {
                table[condition] |= 1 << flags;
            }
            condition += 1;
        }
        flags += 1;
    }
    table
}

impl Flags {
    #[inline(always)]
    pub fn set_nz(&mut self, value: u32) {
        (self.n, self.not_z) = (value, value);
    }

    /// N, Z, C, V as bits 3 to 0.
    #[inline(always)]
    pub fn nzcv(self) -> u32 {
        self.n >> 31 << 3 | u32::from(self.not_z == 0) << 2 | u32::from(self.c) << 1 | u32::from(self.v)
    }

    pub fn set_nzcv(&mut self, bits: u32) {
        (self.n, self.not_z) = (bits << 28, !bits & 4);
        (self.c, self.v) = (bits & 2 != 0, bits & 1 != 0);
    }

    /// Whether an instruction with this condition is executed.
    #[inline(always)]
    pub fn pass(self, condition: u8) -> bool {
        PASSES[usize::from(condition & 15)] >> self.nzcv() & 1 != 0
    }

    /// As in APSR.
    pub fn apsr(self) -> u32 {
        self.nzcv() << 28 | u32::from(self.q) << 27 | u32::from(self.ge) << 16
    }

    pub fn set_apsr(&mut self, apsr: u32) {
        self.set_nzcv(apsr >> 28);
        self.q = apsr >> 27 & 1 != 0;
        self.ge = (apsr >> 16 & 15) as u8;
    }

    /// a + b, with all four flags.
    #[inline(always)]
    pub fn add(&mut self, a: u32, b: u32) -> u32 {
        let (sum, carry) = a.overflowing_add(b);
        self.set_nz(sum);
        self.c = carry;
        self.v = (a ^ sum) & (b ^ sum) & 1 << 31 != 0;
        sum
    }

    /// a - b, with all four flags; C is "no borrow".
    #[inline(always)]
    pub fn subtract(&mut self, a: u32, b: u32) -> u32 {
        let difference = a.wrapping_sub(b);
        self.set_nz(difference);
        self.c = a >= b;
        self.v = (a ^ b) & (a ^ difference) & 1 << 31 != 0;
        difference
    }
}

/// AddWithCarry (A2.2.1): the sum, its carry and its overflow.
#[inline(always)]
pub(crate) fn add_with_carry(a: u32, b: u32, carry: bool) -> (u32, bool, bool) {
    let wide = u64::from(a) + u64::from(b) + u64::from(carry);
    let sum = wide as u32;
    (sum, wide >> 32 != 0, (a ^ sum) & (b ^ sum) & 1 << 31 != 0)
}

/// Shift_C (A2.2.1) by 0 to 255.
#[inline(always)]
pub(crate) fn shift_with_carry(value: u32, shift: Shift, amount: u32, carry: bool) -> (u32, bool) {
    if amount == 0 {
        return (value, carry);
    }
    match shift {
        Shift::Lsl if amount < 32 => (value << amount, value >> (32 - amount) & 1 != 0),
        Shift::Lsl => (0, amount == 32 && value & 1 != 0),
        Shift::Lsr if amount < 32 => (value >> amount, value >> (amount - 1) & 1 != 0),
        Shift::Lsr => (0, amount == 32 && value >> 31 != 0),
        Shift::Asr if amount < 32 => ((value as i32 >> amount) as u32, value >> (amount - 1) & 1 != 0),
        Shift::Asr => ((value as i32 >> 31) as u32, value >> 31 != 0),
        Shift::Ror => {
            let rotated = value.rotate_right(amount & 31);
            (rotated, rotated >> 31 != 0)
        }
        Shift::Rrx => (value >> 1 | u32::from(carry) << 31, value & 1 != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_pass_as_named() {
        let pass = |nzcv: u32, condition: u8| {
            let mut flags = Flags::default();
            flags.set_nzcv(nzcv);
            assert_eq!(flags.nzcv(), nzcv);
            flags.pass(condition)
        };
        for nzcv in 0..16 {
            let (n, z, c, v) = (nzcv & 8 != 0, nzcv & 4 != 0, nzcv & 2 != 0, nzcv & 1 != 0);
            let expected =
                [z, !z, c, !c, n, !n, v, !v, c && !z, !c || z, n == v, n != v, !z && n == v, z || n != v, true, true];
            for (condition, expected) in expected.iter().enumerate() {
                assert_eq!(pass(nzcv, condition as u8), *expected, "{nzcv:04b} condition {condition}");
            }
        }
    }
}
