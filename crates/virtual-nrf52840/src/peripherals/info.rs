//! FICR: what the factory wrote into the chip.

use crate::identity::ChipIdentity;
use crate::random::mix;

/// Reads a word of FICR (offset from 0x1000_0000); words that are not used read as erased.
/// `None`: the model does not know the register.
pub(crate) fn read_ficr(identity: &ChipIdentity, offset: u32) -> Option<u32> {
    let root = |n: u64| mix(identity.seed ^ 0xF1C2 ^ n << 32) as u32;
    let value = match offset {
        0x010 => 4096,
        0x014 => 256,
        0x060 => identity.device_id as u32,
        0x064 => (identity.device_id >> 32) as u32,
        0x080..=0x08C | 0x090..=0x09C => root(u64::from(offset)),
        // Random static address.
        0x0A0 => 0xFFFF_FFFF,
        0x0A4 => identity.device_address as u32,
        0x0A8 => (identity.device_address >> 32) as u32 | 0xFFFF_0000,
        0x100 => identity.part,
        0x104 => u32::from_be_bytes(identity.variant),
        // QIAA package (aQFN73).
        0x108 => 0x2004,
        0x10C => 256,
        0x110 => 1024,
        // Part and revision, undocumented, read by the vendor's errata checks.
        0x130 => 0x08,
        0x134 => match identity.variant[2] {
            b'C' => 1,
            b'D' => 2,
            _ => 3,
        },
        // PRODTEST[0..2]: tested.
        0x350 => 0xBB42_319F,
        0x354 | 0x358 => 0xBB42_319F,
        // TEMP trim: A0-5, B0-5, T0-4 as on a typical piece.
        0x404..=0x444 if offset.is_multiple_of(4) => {
            const TRIM: [u32; 17] = [
                0x326, 0x348, 0x3AA, 0x40E, 0x4BD, 0x5A3, 0x3FEF, 0x3FBE, 0x3FBE, 0x0012, 0x0124, 0x027C, 0xE2, 0x00,
                0x19, 0x3C, 0x50,
            ];
            TRIM[(offset as usize - 0x404) / 4]
        }
        // NFC tag header.
        0x450 => 0xFFFF_FF5F,
        0x454 | 0x458 | 0x45C => root(u64::from(offset)),
        _ => return None,
    };
    Some(value)
}
