//! Random numbers that are the same on every machine for the same seed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

#[derive(Debug, Clone)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The numbers of one run of one seed.
    pub fn new(seed: u64, run: u64) -> Self {
        let mut numbers = ChaCha8Rng::seed_from_u64(seed);
        numbers.set_stream(run);
        Self(numbers)
    }

    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len() as u64) as usize)
    }

    /// One of `rows`, each as often as its weight says.
    pub fn weighted<T: Copy>(&mut self, rows: &[(u64, T)]) -> Option<T> {
        let mut left = self.below(rows.iter().map(|(weight, _)| weight).sum());
        rows.iter().find_map(|(weight, value)| {
            if left < *weight {
                return Some(*value);
            }
            left -= weight;
            None
        })
    }

    /// From `least` to `most`, as many small ones as large ones. In integers: logarithms differ between machines.
    pub fn logarithmic(&mut self, least: u64, most: u64) -> u64 {
        let octaves = (most / least.max(1)).checked_ilog2().unwrap_or(0);
        let low = least << self.below(u64::from(octaves) + 1);
        low + self.below((2 * low).min(most).saturating_sub(low) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_repeat_with_the_seed_and_stay_in_their_range() {
        let numbers = |seed, run| -> Vec<u64> {
            let mut random = Random::new(seed, run);
            (0..50).map(|_| random.below(10)).collect()
        };
        assert_eq!(numbers(1, 2), numbers(1, 2));
        assert_ne!(numbers(1, 2), numbers(2, 1));
        assert!(numbers(1, 2).iter().all(|number| *number < 10));
        let mut random = Random::new(1, 1);
        assert!((0..100).all(|_| (5..=500).contains(&random.logarithmic(5, 500))));
        assert_eq!((0..100).filter(|_| random.weighted(&[(0, 'a'), (1, 'b')]) == Some('b')).count(), 100);
        assert_eq!((random.below(0), random.pick::<u8>(&[]), random.weighted::<u8>(&[])), (0, None, None));
    }
}
