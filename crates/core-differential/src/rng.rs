//! Random numbers that are the same on every machine for the same seed.

/// Xorshift with a multiplication (xorshift64*): small, fast, and good enough to choose instructions.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The numbers of one program of one seed. Neighbours must not look alike, so both numbers are mixed first.
    pub fn new(seed: u64, program: u64) -> Rng {
        let mixed = mix(seed ^ mix(program.wrapping_add(0x9E37_79B9_7F4A_7C15)));
        // Zero would stay zero forever.
        Rng(if mixed == 0 { 1 } else { mixed })
    }

    pub fn next_u32(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: u32) -> u32 {
        ((u64::from(self.next_u32()) * u64::from(end)) >> 32) as u32
    }

    /// A number from `first` to `last`, both included.
    pub fn range(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last - first + 1)
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    pub fn bit(&mut self) -> u32 {
        self.next_u32() >> 31
    }

    /// One of `from`, which is not empty.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }

    /// An integer, mostly one at which something changes.
    pub fn integer(&mut self) -> u32 {
        const CORNERS: [u32; 22] = [
            0,
            1,
            2,
            0xFFFF_FFFF,
            0xFFFF_FFFE,
            0x7FFF_FFFF,
            0x7FFF_FFFE,
            0x8000_0000,
            0x8000_0001,
            0x7F,
            0x80,
            0xFF,
            0x7FFF,
            0x8000,
            0xFFFF,
            0x1_0000,
            0x7F80_7F80,
            0x8080_8080,
            0x7FFF_8000,
            0x8000_7FFF,
            0x5555_5555,
            0xAAAA_AAAA,
        ];
        match self.below(8) {
            0..=2 => self.pick(&CORNERS),
            3 => self.below(64),
            4 => 1 << self.below(32),
            // Bytes that are corners of their own, for the parallel instructions.
            5 => u32::from_le_bytes(std::array::from_fn(|_| {
                let any = self.next_u32() as u8;
                self.pick(&[0, 1, 0x7F, 0x80, 0xFF, any])
            })),
            6 => self.single(),
            _ => self.next_u32(),
        }
    }

    /// The bits of a single-precision number, mostly one at which something changes.
    pub fn single(&mut self) -> u32 {
        const SIGN: u32 = 0x8000_0000;
        let sign = if self.bit() == 1 { SIGN } else { 0 };
        let fraction = self.next_u32() & 0x007F_FFFF;
        sign | match self.below(20) {
            0 => 0,
            1 => 0x7F80_0000,
            // Quiet and signalling NaNs.
            2 => 0x7FC0_0000 | fraction,
            3 => 0x7F80_0000 | (fraction & 0x003F_FFFF).max(1),
            // Denormals: the smallest, the largest, any.
            4 => self.pick(&[1, 2, 3, 0x007F_FFFF, 0x007F_FFFE, 0x0040_0000, fraction]),
            // The smallest normal numbers and the largest finite ones.
            5 => self.pick(&[0x0080_0000, 0x0080_0001, 0x00FF_FFFF, 0x0100_0000, 0x0080_0000 | fraction]),
            6 => self.pick(&[0x7F7F_FFFF, 0x7F7F_FFFE, 0x7F00_0000, 0x7F00_0000 | fraction]),
            // Small integers, with a half or a quarter now and then.
            7 => (self.below(16) as f32).to_bits(),
            8 => (self.below(64) as f32 / 4.0).to_bits(),
            // Round ways: one unit in the last place of a power of two.
            9 => {
                self.pick(&[0x3F80_0000, 0x3F80_0001, 0x3F7F_FFFF, 0x3400_0000, 0x3380_0000, 0x3380_0001, 0x3300_0000])
            }
            // The edges of conversions to 16 and 32 bits, and around them.
            10 => {
                let edge =
                    self.pick(&[0x4700_0000, 0x4780_0000, 0x4F00_0000, 0x4F80_0000, 0x4B00_0000, 0x4B80_0000u32]);
                edge.wrapping_add(self.below(7)).wrapping_sub(3)
            }
            // The edges of half precision: largest, smallest normal, denormal, half of that.
            11 => {
                let edge =
                    self.pick(&[0x477F_E000, 0x477F_F000, 0x3880_0000, 0x3380_0000, 0x3300_0000, 0x47FF_E000u32]);
                edge.wrapping_add(self.below(7)).wrapping_sub(3)
            }
            // Of half precision, with bits just below it.
            12 => {
                self.range(0x38, 0x47) << 24 | self.pick(&[0x1000, 0x2000, 0x3000, 0x0FFF, 0x1001]) | fraction & !0x3FFF
            }
            // Products and sums near underflow and overflow.
            13 => self.range(0x1F, 0x22) << 24 | fraction,
            14 => self.range(0x5E, 0x61) << 24 | fraction,
            // Few bits in the fraction, so that results are exact or half ways.
            15 => self.range(110, 145) << 23 | fraction & 0x0070_0000,
            16 => self.range(110, 145) << 23 | fraction & 0x0000_0FFF,
            // Near one.
            17 | 18 => self.range(120, 134) << 23 | fraction,
            _ => self.next_u32() & !SIGN,
        }
    }

    /// Modes and flags for FPSCR: the four rounding modes, flush to zero, default NaN, alternative half precision.
    pub fn fpscr(&mut self) -> u32 {
        let modes = self.below(4) << 22 | self.bit() << 24 | self.bit() << 25 | self.bit() << 26;
        // Half of the programs start from the usual modes.
        let modes = if self.bit() == 0 { modes } else { modes & 3 << 22 };
        let flags = self.below(16) << 28;
        let sticky = if self.chance(15) { self.next_u32() & 0x9F } else { 0 };
        modes | flags | sticky
    }
}

/// The finalizer of splitmix64.
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}
