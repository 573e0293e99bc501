//! ARM's floating-point arithmetic (A2.5): rounding modes, flush-to-zero, default NaN, alternative half precision, and
//! the cumulative flags. Values are bit patterns.

/// Cumulative flags of FPSCR.
pub(crate) const INVALID: u32 = 1;
pub(crate) const DIVISION_BY_ZERO: u32 = 1 << 1;
pub(crate) const OVERFLOW: u32 = 1 << 2;
pub(crate) const UNDERFLOW: u32 = 1 << 3;
pub(crate) const INEXACT: u32 = 1 << 4;
pub(crate) const INPUT_DENORMAL: u32 = 1 << 7;

const SIGN: u32 = 1 << 31;
const INFINITY: u32 = 0x7F80_0000;
const DEFAULT_NAN: u32 = 0x7FC0_0000;
const QUIET: u32 = 1 << 22;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    Nearest,
    Up,
    Down,
    TowardZero,
}

/// The modes of FPSCR, and the flags that operations set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FpuState {
    pub rounding: Rounding,
    pub flush: bool,
    pub default_nan: bool,
    pub alternative_half: bool,
    pub flags: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Zero,
    Finite,
    Infinite,
    QuietNan,
    SignallingNan,
}

/// A number: significand times 2 to the exponent.
#[derive(Debug, Clone, Copy)]
struct Number {
    class: Class,
    negative: bool,
    exponent: i32,
    significand: u64,
    bits: u32,
}

impl Number {
    fn is_nan(self) -> bool {
        matches!(self.class, Class::QuietNan | Class::SignallingNan)
    }

    fn is(self, class: Class) -> bool {
        self.class == class
    }
}

/// A binary format: bits of the fraction, least and greatest exponent.
#[derive(Clone, Copy)]
struct Format {
    fraction: u32,
    least: i32,
    greatest: i32,
}

const SINGLE: Format = Format { fraction: 23, least: -126, greatest: 127 };
const HALF: Format = Format { fraction: 10, least: -14, greatest: 15 };

fn signed(negative: bool, bits: u32) -> u32 {
    bits | if negative { SIGN } else { 0 }
}

/// Shifts right; lost bits set the lowest bit (sticky bit).
fn shift_sticky(value: u128, amount: u32) -> u128 {
    if amount >= 128 {
        return u128::from(value != 0);
    }
    value >> amount | u128::from(value & ((1 << amount) - 1) != 0)
}

/// Whether the remainder, compared with half of the last place, rounds a magnitude up.
fn rounds_up(rounding: Rounding, negative: bool, is_odd: bool, rest: u128, half: u128) -> bool {
    match rounding {
        Rounding::Nearest => rest > half || rest == half && is_odd,
        Rounding::Up => rest != 0 && !negative,
        Rounding::Down => rest != 0 && negative,
        Rounding::TowardZero => false,
    }
}

impl FpuState {
    fn unpack(&mut self, bits: u32) -> Number {
        let (negative, field, fraction) = (bits & SIGN != 0, (bits >> 23 & 0xFF) as i32, bits & 0x7F_FFFF);
        let number = |class, exponent, significand: u32| Number {
            class,
            negative,
            exponent,
            significand: significand.into(),
            bits,
        };
        match (field, fraction) {
            (0, 0) => number(Class::Zero, 0, 0),
            (0, _) if self.flush => {
                self.flags |= INPUT_DENORMAL;
                number(Class::Zero, 0, 0)
            }
            (0, fraction) => number(Class::Finite, -149, fraction),
            (0xFF, 0) => number(Class::Infinite, 0, 0),
            (0xFF, fraction) if fraction & QUIET != 0 => number(Class::QuietNan, 0, 0),
            (0xFF, _) => number(Class::SignallingNan, 0, 0),
            _ => number(Class::Finite, field - 150, fraction | 1 << 23),
        }
    }

    fn invalid(&mut self) -> u32 {
        self.flags |= INVALID;
        DEFAULT_NAN
    }

    fn nan(&mut self, number: Number) -> u32 {
        if number.is(Class::SignallingNan) {
            self.flags |= INVALID;
        }
        if self.default_nan { DEFAULT_NAN } else { number.bits | QUIET }
    }

    /// The NaN that results from these operands: the first signalling one, else the first quiet one.
    fn nan_of(&mut self, numbers: &[Number]) -> Option<u32> {
        let signalling = numbers.iter().find(|number| number.is(Class::SignallingNan));
        let chosen = signalling.or_else(|| numbers.iter().find(|number| number.is_nan()))?;
        Some(self.nan(*chosen))
    }

    /// Rounds a magnitude that is not zero; the lowest bit of the significand may be a sticky bit.
    fn round(&mut self, negative: bool, exponent: i32, significand: u128) -> u32 {
        let bits = self.round_to(SINGLE, negative, exponent, significand);
        signed(negative, bits)
    }

    /// The same for any format, without the sign.
    fn round_to(&mut self, format: Format, negative: bool, exponent: i32, significand: u128) -> u32 {
        let zeros = significand.leading_zeros();
        let (significand, top) = (significand << zeros, exponent - zeros as i32 + 127);
        let is_half = format.fraction == HALF.fraction;
        let is_tiny = top < format.least;
        if is_tiny && self.flush && !is_half {
            self.flags |= UNDERFLOW;
            return 0;
        }
        let below = if is_tiny { (format.least - top).min(60) as u32 } else { 0 };
        // Room for the places that a denormal number lacks.
        let significand = shift_sticky(significand, 60);
        let shift = 67 - format.fraction + below;
        let (kept, rest) = (significand >> shift, significand & ((1 << shift) - 1));
        let up = rounds_up(self.rounding, negative, kept & 1 != 0, rest, 1 << (shift - 1));
        let kept = kept as u32 + u32::from(up);
        let biased = kept + if is_tiny { 0 } else { ((top - format.least) as u32) << format.fraction };
        if is_half && self.alternative_half {
            if biased > 0x7FFF {
                self.flags |= INVALID;
                return 0x7FFF;
            }
        } else {
            let infinity = ((format.greatest - format.least + 2) as u32) << format.fraction;
            if biased >= infinity {
                self.flags |= OVERFLOW | INEXACT;
                let to_infinity = match self.rounding {
                    Rounding::Nearest => true,
                    Rounding::Up => !negative,
                    Rounding::Down => negative,
                    Rounding::TowardZero => false,
                };
                return if to_infinity { infinity } else { infinity - 1 };
            }
        }
        if rest != 0 {
            self.flags |= INEXACT | if is_tiny { UNDERFLOW } else { 0 };
        }
        biased
    }

    pub fn add(&mut self, a: u32, b: u32) -> u32 {
        let (a, b) = (self.unpack(a), self.unpack(b));
        if let Some(nan) = self.nan_of(&[a, b]) {
            return nan;
        }
        self.sum(a, b)
    }

    pub fn subtract(&mut self, a: u32, b: u32) -> u32 {
        let (a, mut b) = (self.unpack(a), self.unpack(b));
        if let Some(nan) = self.nan_of(&[a, b]) {
            return nan;
        }
        b.negative = !b.negative;
        self.sum(a, b)
    }

    /// The sum of two numbers that are not NaNs.
    fn sum(&mut self, a: Number, b: Number) -> u32 {
        match (a.class, b.class) {
            (Class::Infinite, Class::Infinite) if a.negative != b.negative => self.invalid(),
            (Class::Infinite, _) => signed(a.negative, INFINITY),
            (_, Class::Infinite) => signed(b.negative, INFINITY),
            (Class::Zero, Class::Zero) if a.negative == b.negative => signed(a.negative, 0),
            (Class::Zero, Class::Zero) => self.exact_zero(),
            _ => self.finite_sum(a, b),
        }
    }

    /// The sign of zero as a difference of equals.
    fn exact_zero(&self) -> u32 {
        signed(self.rounding == Rounding::Down, 0)
    }

    /// One of them may be zero, not both.
    fn finite_sum(&mut self, a: Number, b: Number) -> u32 {
        let normal = |number: Number| {
            let shift = number.significand.leading_zeros() + 61;
            (u128::from(number.significand) << shift, number.exponent - shift as i32)
        };
        if a.is(Class::Zero) || b.is(Class::Zero) {
            let other = if a.is(Class::Zero) { b } else { a };
            return self.round(other.negative, other.exponent, other.significand.into());
        }
        let ((mut x, ex), (mut y, ey)) = (normal(a), normal(b));
        let exponent = ex.max(ey);
        x = shift_sticky(x, (exponent - ex) as u32);
        y = shift_sticky(y, (exponent - ey) as u32);
        if a.negative == b.negative {
            return self.round(a.negative, exponent, x + y);
        }
        match x.cmp(&y) {
            std::cmp::Ordering::Equal => self.exact_zero(),
            std::cmp::Ordering::Greater => self.round(a.negative, exponent, x - y),
            std::cmp::Ordering::Less => self.round(b.negative, exponent, y - x),
        }
    }

    pub fn multiply(&mut self, a: u32, b: u32) -> u32 {
        let (a, b) = (self.unpack(a), self.unpack(b));
        if let Some(nan) = self.nan_of(&[a, b]) {
            return nan;
        }
        let product = product(a, b);
        match product.class {
            Class::QuietNan => self.invalid(),
            Class::Infinite => signed(product.negative, INFINITY),
            Class::Zero => signed(product.negative, 0),
            _ => self.round(product.negative, product.exponent, product.significand.into()),
        }
    }

    /// a + n * m, rounded once.
    pub fn multiply_add(&mut self, a: u32, n: u32, m: u32) -> u32 {
        let (a, n, m) = (self.unpack(a), self.unpack(n), self.unpack(m));
        let product = product(n, m);
        let nan = self.nan_of(&[a, n, m]);
        // An undefined product is an invalid operation even next to a quiet NaN.
        if product.is(Class::QuietNan) && !n.is_nan() && !m.is_nan() && !a.is(Class::SignallingNan) {
            return self.invalid();
        }
        match nan {
            Some(nan) => nan,
            None => self.sum(a, product),
        }
    }

    pub fn divide(&mut self, a: u32, b: u32) -> u32 {
        let (a, b) = (self.unpack(a), self.unpack(b));
        if let Some(nan) = self.nan_of(&[a, b]) {
            return nan;
        }
        let negative = a.negative != b.negative;
        match (a.class, b.class) {
            (Class::Infinite, Class::Infinite) | (Class::Zero, Class::Zero) => self.invalid(),
            (Class::Infinite, _) => signed(negative, INFINITY),
            (_, Class::Infinite) | (Class::Zero, _) => signed(negative, 0),
            (_, Class::Zero) => {
                self.flags |= DIVISION_BY_ZERO;
                signed(negative, INFINITY)
            }
            _ => {
                // Enough bits of quotient for any lengths of the significands.
                let (dividend, divisor) = (u128::from(a.significand) << 64, u128::from(b.significand));
                let quotient = (dividend / divisor) << 1 | u128::from(dividend % divisor != 0);
                self.round(negative, a.exponent - b.exponent - 65, quotient)
            }
        }
    }

    pub fn square_root(&mut self, a: u32) -> u32 {
        let a = self.unpack(a);
        if let Some(nan) = self.nan_of(&[a]) {
            return nan;
        }
        match a.class {
            Class::Zero => signed(a.negative, 0),
            _ if a.negative => self.invalid(),
            Class::Infinite => INFINITY,
            _ => {
                let shift = 80 + (a.exponent & 1) as u32;
                let square = u128::from(a.significand) << shift;
                let root = square.isqrt();
                let significand = root << 1 | u128::from(root * root != square);
                self.round(false, (a.exponent - shift as i32) / 2 - 1, significand)
            }
        }
    }

    /// N, Z, C, V as bits 3 to 0. `signal_quiet`: a quiet NaN is an invalid operation, too.
    pub fn compare(&mut self, a: u32, b: u32, signal_quiet: bool) -> u32 {
        let (a, b) = (self.unpack(a), self.unpack(b));
        if a.is_nan() || b.is_nan() {
            if signal_quiet || a.is(Class::SignallingNan) || b.is(Class::SignallingNan) {
                self.flags |= INVALID;
            }
            return 0b0011;
        }
        // Patterns of the same sign compare as integers; flushed numbers count as zero.
        let key = |number: Number| match number.class {
            Class::Zero => 0,
            _ => {
                let magnitude = i64::from(number.bits & !SIGN);
                if number.negative { -magnitude } else { magnitude }
            }
        };
        match key(a).cmp(&key(b)) {
            std::cmp::Ordering::Equal => 0b0110,
            std::cmp::Ordering::Less => 0b1000,
            std::cmp::Ordering::Greater => 0b0010,
        }
    }

    /// To an integer of `bits` bits with `fraction` of them behind the point; out of range it saturates.
    pub fn fixed_of(&mut self, a: u32, bits: u8, fraction: u8, is_signed: bool, rounding: Rounding) -> u32 {
        let a = self.unpack(a);
        let (low, high) =
            if is_signed { (-(1i128 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1i128 << bits) - 1) };
        match a.class {
            Class::QuietNan | Class::SignallingNan => {
                self.flags |= INVALID;
                return 0;
            }
            Class::Zero => return 0,
            Class::Infinite => {
                self.flags |= INVALID;
                return if a.negative { low } else { high } as u32;
            }
            Class::Finite => {}
        }
        let exponent = a.exponent + i32::from(fraction);
        let (magnitude, inexact) = if exponent >= 0 {
            (u128::from(a.significand) << exponent.min(80), false)
        } else {
            let shift = (-exponent).min(100) as u32;
            let value = u128::from(a.significand);
            let (kept, rest) = (value >> shift, value & ((1 << shift) - 1));
            let up = rounds_up(rounding, a.negative, kept & 1 != 0, rest, 1 << (shift - 1));
            (kept + u128::from(up), rest != 0)
        };
        let value = if a.negative { -(magnitude as i128) } else { magnitude as i128 };
        if value < low || value > high {
            self.flags |= INVALID;
            return value.clamp(low, high) as u32;
        }
        if inexact {
            self.flags |= INEXACT;
        }
        value as u32
    }

    /// From an integer of `bits` bits with `fraction` of them behind the point.
    pub fn float_of_fixed(&mut self, value: u32, bits: u8, fraction: u8, is_signed: bool) -> u32 {
        let unused = 32 - u32::from(bits);
        let value = match is_signed {
            true => i64::from((value << unused) as i32 >> unused),
            false => i64::from(value << unused >> unused),
        };
        if value == 0 {
            return 0;
        }
        self.round(value < 0, -i32::from(fraction), value.unsigned_abs().into())
    }

    pub fn half_of(&mut self, a: u32) -> u16 {
        let a = self.unpack(a);
        let sign = if a.negative { 0x8000 } else { 0 };
        match a.class {
            Class::QuietNan | Class::SignallingNan => {
                if a.is(Class::SignallingNan) || self.alternative_half {
                    self.flags |= INVALID;
                }
                match (self.alternative_half, self.default_nan) {
                    (true, _) => sign,
                    (false, true) => 0x7E00,
                    _ => sign | 0x7E00 | (a.bits >> 13 & 0x1FF) as u16,
                }
            }
            Class::Infinite if self.alternative_half => {
                self.flags |= INVALID;
                sign | 0x7FFF
            }
            Class::Infinite => sign | 0x7C00,
            Class::Zero => sign,
            Class::Finite => sign | self.round_to(HALF, a.negative, a.exponent, a.significand.into()) as u16,
        }
    }

    pub fn float_of_half(&mut self, half: u16) -> u32 {
        let (negative, field, fraction) = (half & 0x8000 != 0, half >> 10 & 0x1F, u32::from(half & 0x3FF));
        match (field, fraction) {
            (0, 0) => signed(negative, 0),
            (0x1F, 0) if !self.alternative_half => signed(negative, INFINITY),
            (0x1F, _) if !self.alternative_half => {
                if fraction & 0x200 == 0 {
                    self.flags |= INVALID;
                }
                if self.default_nan { DEFAULT_NAN } else { signed(negative, INFINITY | QUIET | fraction << 13) }
            }
            // Every finite half is a single, and none of them a denormal one.
            (0, _) => {
                let shift = fraction.leading_zeros() - 21;
                signed(negative, (113 - shift) << 23 | (fraction << shift & 0x3FF) << 13)
            }
            _ => signed(negative, (u32::from(field) + 112) << 23 | fraction << 13),
        }
    }
}

/// Exact; a quiet NaN if it is not defined or an operand is one.
fn product(a: Number, b: Number) -> Number {
    let class = match (a.class, b.class) {
        _ if a.is_nan() || b.is_nan() => Class::QuietNan,
        (Class::Infinite, Class::Zero) | (Class::Zero, Class::Infinite) => Class::QuietNan,
        (Class::Infinite, _) | (_, Class::Infinite) => Class::Infinite,
        (Class::Zero, _) | (_, Class::Zero) => Class::Zero,
        _ => Class::Finite,
    };
    Number {
        class,
        negative: a.negative != b.negative,
        exponent: a.exponent + b.exponent,
        significand: a.significand * b.significand,
        bits: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: FpuState =
        FpuState { rounding: Rounding::Nearest, flush: false, default_nan: false, alternative_half: false, flags: 0 };

    fn patterns() -> Vec<u32> {
        let edges =
            [0, 1, 2, 0x7F_FFFF, 0x80_0000, 0x80_0001, 0x3F80_0000, 0x3F7F_FFFF, 0x3F80_0001, 0x7F7F_FFFF, INFINITY];
        let mut state = 0x1234_5678u32;
        let random = std::iter::repeat_with(move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state ^ state >> 15
        });
        let near_one = random.take(60).map(|word| word & 0x80FF_FFFF | 0x3F00_0000);
        edges.iter().flat_map(|edge| [*edge, edge | SIGN]).chain(random.take(120)).chain(near_one).collect()
    }

    /// The host rounds to nearest; only NaNs may differ.
    #[test]
    fn arithmetic_agrees_with_the_host() {
        let same = |ours: u32, host: f32, what: &str, a: u32, b: u32| {
            let equal = ours == host.to_bits() || f32::from_bits(ours).is_nan() && host.is_nan();
            assert!(equal, "{what} of {a:#010x} and {b:#010x}: {ours:#010x}, the host: {:#010x}", host.to_bits());
        };
        for a in patterns() {
            let x = f32::from_bits(a);
            same(UNIT.clone().square_root(a), x.sqrt(), "square root", a, 0);
            for b in patterns() {
                let y = f32::from_bits(b);
                same(UNIT.clone().add(a, b), x + y, "sum", a, b);
                same(UNIT.clone().subtract(a, b), x - y, "difference", a, b);
                same(UNIT.clone().multiply(a, b), x * y, "product", a, b);
                same(UNIT.clone().divide(a, b), x / y, "quotient", a, b);
                let c = a.rotate_left(7) ^ b;
                same(UNIT.clone().multiply_add(c, a, b), x.mul_add(y, f32::from_bits(c)), "fused", a, b);
            }
            same(UNIT.clone().float_of_fixed(a, 32, 0, true), a as i32 as f32, "from signed", a, 0);
            same(UNIT.clone().float_of_fixed(a, 32, 0, false), a as f32, "from unsigned", a, 0);
            assert_eq!(UNIT.clone().fixed_of(a, 32, 0, true, Rounding::TowardZero), x as i32 as u32, "{a:#010x}");
            assert_eq!(UNIT.clone().fixed_of(a, 32, 0, false, Rounding::TowardZero), x as u32, "{a:#010x}");
        }
    }

    #[test]
    fn every_half_survives_conversion_to_single_and_back() {
        for half in 0..=u16::MAX {
            let is_nan = half & 0x7C00 == 0x7C00 && half & 0x3FF != 0;
            let expected = if is_nan { half | 0x200 } else { half };
            let single = UNIT.clone().float_of_half(half);
            assert_eq!(UNIT.clone().half_of(single), expected, "{half:#06x} by {single:#010x}");
            let mut alternative = FpuState { alternative_half: true, ..UNIT };
            let single = alternative.float_of_half(half);
            assert_eq!((alternative.half_of(single), alternative.flags), (half, 0), "alternative {half:#06x}");
        }
    }
}
