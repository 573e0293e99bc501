//! What is on a module that somebody used before: an image of which only the first words are a program.

use crate::bench::VirtualBench;
use crate::random::{Purpose, Random};
use virtual_nrf52840::FLASH_SIZE;

/// Flash and UICR of the module's MCU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McuMemory {
    pub flash: Vec<u8>,
    /// By word.
    pub uicr: Vec<u32>,
}

const PAGE: usize = 4096;
/// Stack, reset vector.
const VECTORS: [u32; 2] = [0x2004_0000, CODE + 1];
const CODE: u32 = 0x100;
/// `wfe`, and a branch back to it.
const SLEEP: [u8; 4] = [0x20, 0xBF, 0xFD, 0xE7];
/// Pages of system and application, then those of the bootloader; what is between them is blank, as on real modules.
const SYSTEM_PAGES: std::ops::Range<usize> = 0..0x60;
const BOOTLOADER_PAGES: std::ops::Range<usize> = 0xF4..0x100;
/// One page in so many was never written.
const BLANK_EVERY: usize = 7;
/// Offsets and values of UICR: bootloader's address, voltage of REG0. The reset pin is not set, which the test firmware
/// does: to bring these back, UICR must be erased.
const UICR: [(u32, u32); 2] = [(0x14, 0x000F_4000), (0x304, 0xFFFF_FFFD)];
/// Words of UICR that have a meaning.
const UICR_WORDS: u32 = 0x308 / 4;

impl VirtualBench {
    /// Fills the MCU's flash and UICR as a system of its own would. Call it before anything is powered.
    pub fn ship_with_system(&self, seed: u64) {
        let mut random = Random::new(seed, Purpose::Shipped);
        let mut world = self.world.borrow_mut();
        for page in SYSTEM_PAGES.chain(BOOTLOADER_PAGES).filter(|page| page % BLANK_EVERY != BLANK_EVERY - 1) {
            let mut bytes: Vec<u8> = (0..PAGE / 8).flat_map(|_| random.bits().to_le_bytes()).collect();
            if page == 0 {
                let vectors: Vec<u8> = VECTORS.iter().flat_map(|word| word.to_le_bytes()).collect();
                bytes[..vectors.len()].copy_from_slice(&vectors);
                bytes[CODE as usize..CODE as usize + SLEEP.len()].copy_from_slice(&SLEEP);
            }
            // Every page is in the flash.
            let _ = world.chip.write_flash((page * PAGE) as u32, &bytes);
        }
        for (offset, value) in UICR {
            let _ = world.chip.write_uicr(offset, value);
        }
    }

    /// What a programmer would read from the MCU now.
    pub fn mcu_memory(&self) -> McuMemory {
        let world = self.world.borrow();
        let mut flash = vec![0; FLASH_SIZE as usize];
        let _ = world.chip.read_flash(0, &mut flash);
        McuMemory { flash, uicr: (0..UICR_WORDS).map(|word| world.chip.read_uicr(4 * word)).collect() }
    }
}
