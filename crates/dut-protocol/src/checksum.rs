//! A checksum that detects changes of the external flash and is cheap enough for the module's processor.

/// Odd, so that the multiplication is reversible (the golden ratio's fraction, as in Knuth's multiplicative hashing).
const MULTIPLIER: u32 = 0x9E37_79B1;
const ROTATION: u32 = 5;

/// A 32-bit sum over words, little endian: `sum = ((sum <<< 5) ^ word) * 0x9E3779B1`, from 0.
///
/// Every step is reversible, so contents that differ in a single word always have different sums; other differences are
/// detected with probability 1 - 2^-32. It takes a tenth of the instructions of a table-driven CRC. It does not protect
/// against deliberate changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checksum(u32);

impl Checksum {
    /// The sum of no bytes.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds bytes. Pads an incomplete last word with zeros, so every piece except the last must be a multiple of four.
    pub fn update(&mut self, bytes: &[u8]) {
        for word in bytes.chunks(4) {
            let mut whole = [0; 4];
            for (place, byte) in whole.iter_mut().zip(word) {
                *place = *byte;
            }
            self.0 = (self.0.rotate_left(ROTATION) ^ u32::from_le_bytes(whole)).wrapping_mul(MULTIPLIER);
        }
    }

    /// The sum so far.
    pub const fn sum(self) -> u32 {
        self.0
    }

    /// The sum of `bytes`.
    pub fn of(bytes: &[u8]) -> u32 {
        let mut sum = Self::new();
        sum.update(bytes);
        sum.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn sums_computed_by_hand() {
        assert_eq!(Checksum::of(&[]), 0);
        assert_eq!(Checksum::of(&[1, 0, 0, 0]), MULTIPLIER);
        assert_eq!(Checksum::of(&[1]), MULTIPLIER);
        // The first word leaves -MULTIPLIER.
        let second = !MULTIPLIER.wrapping_neg().rotate_left(ROTATION);
        assert_eq!(Checksum::of(&[0xFF; 8]), second.wrapping_mul(MULTIPLIER));
    }

    proptest! {
        #[test]
        fn a_changed_word_changes_the_sum(bytes in prop::collection::vec(any::<u8>(), 4..200), at: prop::sample::Index, flip in 1..=u8::MAX) {
            let mut changed: Vec<u8> = bytes.clone();
            changed[at.index(bytes.len())] ^= flip;
            prop_assert_ne!(Checksum::of(&bytes), Checksum::of(&changed));
        }
        #[test]
        fn pieces_give_the_sum_of_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..200), words in 0..50usize) {
            let (first, rest) = bytes.split_at((4 * words).min(bytes.len() / 4 * 4));
            let mut sum = Checksum::new();
            sum.update(first);
            sum.update(rest);
            prop_assert_eq!(sum.sum(), Checksum::of(&bytes));
        }
    }
}
