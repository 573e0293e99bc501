//! Loading firmware, as a programmer would.

use object::elf::{FileHeader32, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};

use crate::chip::Chip;
use crate::fabric::FLASH_SIZE;

/// UICR in the address map.
const UICR_BASE: u32 = 0x1000_1000;
const UICR_SIZE: u32 = 0x1000;

/// The file cannot be put into this chip.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("not a readable 32-bit ELF file: {0}")]
    Elf(#[from] object::Error),
    #[error("the ELF file is for another machine (e_machine {0}, expected 40 for ARM)")]
    Machine(u16),
    #[error("the ELF file has {length} bytes for address {address:#010x}, which is neither flash nor UICR")]
    Outside { address: u32, length: usize },
    #[error("the ELF file has nothing to load into flash")]
    Empty,
}

impl Chip {
    /// Puts the loadable segments of an ELF file into flash (and UICR), overwriting what was
    /// there; other flash contents stay. Nothing is written if the file does not fit.
    pub fn load_elf(&mut self, file: &[u8]) -> Result<(), ImageError> {
        let header = FileHeader32::<Endianness>::parse(file)?;
        let endian = header.endian()?;
        let machine = header.e_machine(endian);
        if machine != elf::EM_ARM {
            return Err(ImageError::Machine(machine.0));
        }
        let mut segments = Vec::new();
        for segment in header.program_headers(endian, file)? {
            let bytes = segment.data(endian, file).map_err(|()| ImageError::Empty)?;
            if segment.p_type(endian) != PT_LOAD || bytes.is_empty() {
                continue;
            }
            let address = segment.p_paddr(endian);
            if !fits(address, bytes.len(), 0, FLASH_SIZE) && !fits(address, bytes.len(), UICR_BASE, UICR_SIZE) {
                return Err(ImageError::Outside { address, length: bytes.len() });
            }
            segments.push((address, bytes));
        }
        if !segments.iter().any(|(address, _)| *address < FLASH_SIZE) {
            return Err(ImageError::Empty);
        }
        for (address, bytes) in segments {
            if address < FLASH_SIZE {
                // Checked above.
                let _ = self.write_flash(address, bytes);
            } else {
                for (n, word) in bytes.chunks(4).enumerate() {
                    let mut full = [0xFF; 4];
                    full[..word.len()].copy_from_slice(word);
                    let _ = self.write_uicr(address - UICR_BASE + 4 * n as u32, u32::from_le_bytes(full));
                }
            }
        }
        Ok(())
    }
}

fn fits(address: u32, length: usize, base: u32, size: u32) -> bool {
    let end = u64::from(address) + length as u64;
    address >= base && end <= u64::from(base) + u64::from(size)
}
