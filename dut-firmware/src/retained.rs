//! Retained memory: RAM that no reset but the loss of power clears, and that the start-up code leaves alone.

use dut_protocol::RETAINED_BYTES;

/// Where Device OS has it (its linker file, platform_ram.ld); `memory.x` keeps everything else away.
const BASE: usize = 0x2003_F400;
const BYTES: usize = RETAINED_BYTES as usize;

/// The bytes of a seed (xorshift32, of which 0 has no sequence).
fn pattern(seed: u32, inverse: bool) -> impl Iterator<Item = u8> {
    let mut state = if seed == 0 { 0x9E37_79B9 } else { seed };
    core::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        if inverse { !(state >> 24) as u8 } else { (state >> 24) as u8 }
    })
}

fn address(offset: usize) -> *mut u8 {
    core::ptr::with_exposed_provenance_mut(BASE + offset)
}

pub fn fill(seed: u32, inverse: bool) {
    for (offset, byte) in pattern(seed, inverse).take(BYTES).enumerate() {
        // SAFETY: RAM that belongs to nothing else, see BASE; a byte has any value.
        unsafe { address(offset).write_volatile(byte) };
    }
}

/// Bits that differ from what [`fill`] would have written.
pub fn wrong_bits(seed: u32, inverse: bool) -> u32 {
    let differing = |(offset, byte): (usize, u8)| {
        // SAFETY: as in `fill`.
        let found = unsafe { address(offset).read_volatile() };
        (found ^ byte).count_ones()
    };
    pattern(seed, inverse).take(BYTES).enumerate().map(differing).sum()
}
