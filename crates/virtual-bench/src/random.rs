//! Seeded randomness: production tolerances and noise. The same seed gives the same bench, bit for bit.

use crate::real_functions::{cos, ln};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Purpose of a random number. Each purpose has its own stream, so that another resistor in the fixture does not change
/// the noise of the ADC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Fixture = 1,
    Module = 2,
    Contacts = 3,
    Noise = 4,
    Memory = 5,
    Chip = 6,
    Diodes = 7,
    Edges = 21,
    Regulator = 8,
    Modem = 9,
    ModemHabits = 10,
    Air = 31,
    Packets = 32,
    MainCrystal = 33,
    Antenna = 34,
    Neighbours = 35,
    Shipped = 36,
    BenchFaults = 51,
    ProbeLines = 52,
}

#[derive(Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose as u64);
        Self(rng)
    }
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }
    /// Uniform from 0 to 1, excluding 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }
    /// A value with a uniform tolerance: `within(1000.0, 0.01)` is 990 to 1010.
    pub fn within(&mut self, nominal: f64, tolerance: f64) -> f64 {
        nominal * self.between(1.0 - tolerance, 1.0 + tolerance)
    }
    /// Normal distribution around 0, by Box and Muller.
    pub fn gauss(&mut self, sigma: f64) -> f64 {
        let radius = (-2.0 * ln(1.0 - self.unit())).sqrt();
        sigma * radius * cos(std::f64::consts::TAU * self.unit())
    }
    pub fn digit(&mut self) -> char {
        char::from(b'0' + (self.bits() % 10) as u8)
    }
}
