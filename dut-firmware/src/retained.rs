//! Retained memory: RAM that only a loss of power clears and that the start-up code does not touch.

use dut_protocol::RETAINED_BYTES;

/// Same address as in Device OS (its linker file, platform_ram.ld); `memory.x` reserves it.
const BASE: usize = 0x2003_F400;
const WORDS: usize = RETAINED_BYTES as usize / 4;

/// The words of a seed (xorshift32, of which 0 has no sequence).
fn pattern(seed: u32, inverse: bool) -> impl Iterator<Item = u32> {
    let mut state = if seed == 0 { 0x9E37_79B9 } else { seed };
    core::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        if inverse { !state } else { state }
    })
}

fn address(index: usize) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut(BASE + 4 * index)
}

pub fn fill(seed: u32, inverse: bool) {
    for (index, word) in pattern(seed, inverse).take(WORDS).enumerate() {
        // SAFETY: reserved RAM, see BASE; every value of a word is valid.
        unsafe { address(index).write_volatile(word) };
    }
}

/// Counts the bits that differ from what [`fill`] would have written.
pub fn wrong_bits(seed: u32, inverse: bool) -> u32 {
    let differing = |(index, word): (usize, u32)| {
        // SAFETY: as in `fill`.
        match unsafe { address(index).read_volatile() } ^ word {
            0 => 0, // counting takes this processor a dozen instructions
            wrong => wrong.count_ones(),
        }
    };
    pattern(seed, inverse).take(WORDS).enumerate().map(differing).sum()
}
