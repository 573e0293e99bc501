//! Loading firmware, as a programmer would.

use object::elf::{FileHeader32, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, elf};

use crate::chip::Chip;
use crate::diagnostic::Problem;
use crate::fabric::{FLASH_SIZE, RAM_BASE, RAM_SIZE};
use crate::soc::Soc;

/// UICR in the address map.
const UICR_BASE: u32 = 0x1000_1000;
const UICR_SIZE: u32 = 0x1000;
/// The lowest bits of VTOR are always 0.
const TABLE_ALIGNMENT: u32 = 0x80;

/// The file cannot be loaded into this chip.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file is not an ELF file.
    #[error("not a readable 32-bit ELF file: {0}")]
    Elf(#[from] object::Error),
    /// The file is for another machine (`e_machine`).
    #[error("the ELF file is for another machine (e_machine {0}, expected 40 for ARM)")]
    Machine(u16),
    /// A segment is in neither flash nor UICR.
    #[error("the ELF file has {length} bytes for address {address:#010x}, which is neither flash nor UICR")]
    Outside {
        /// First address of the segment.
        address: u32,
        /// Bytes of the segment.
        length: usize,
    },
    /// No segment is in flash.
    #[error("the ELF file has nothing to load into flash")]
    Empty,
}

impl Chip {
    /// Loads the segments of an ELF file into flash and UICR; other flash contents stay. Writes nothing if the file
    /// does not fit.
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
        let in_flash = segments.iter().filter(|(address, _)| *address < FLASH_SIZE);
        let begin = in_flash.clone().map(|(address, _)| *address).min().unwrap_or_default();
        let end = in_flash.map(|(address, bytes)| address + bytes.len() as u32).max().unwrap_or_default();
        // A linker may place the file's own header before the contents of the flash.
        let first = first_section(header, endian, file).filter(|first| (begin..end).contains(first));
        self.soc.image = first.unwrap_or(begin)..end;
        for (address, bytes) in segments {
            if address < FLASH_SIZE {
                // Cannot fail: checked above.
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

/// The lowest address in flash with contents from a section of the file; `None` if the file has no sections.
fn first_section(header: &FileHeader32<Endianness>, endian: Endianness, file: &[u8]) -> Option<u32> {
    let sections = header.section_headers(endian, file).ok()?;
    let in_flash = sections.iter().filter(|section| {
        let has_bytes = section.sh_type(endian) == elf::SHT_PROGBITS && section.sh_size(endian) > 0;
        has_bytes && section.sh_flags(endian).0 & elf::SHF_ALLOC.0 != 0
    });
    in_flash.map(|section| section.sh_addr(endian)).filter(|address| *address < FLASH_SIZE).min()
}

/// Where the core starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// At the vector table at 0, as silicon does.
    AtZero,
    /// The flash is empty.
    Nowhere,
    /// Address 0 is empty; here is the vector table of an image that a bootloader would start.
    AtImage(u32),
    /// Address 0 is empty, and the image that begins here does not begin with a vector table.
    NoVectors(u32),
}

impl Soc {
    pub fn start(&self) -> Start {
        let begin = self.image.start;
        let (stack, entry) = (self.read_flash(begin), self.read_flash(begin.saturating_add(4)));
        match (stack, entry) {
            _ if !self.nvmc.is_blank() => Start::AtZero,
            // No image, or an erased one.
            (u32::MAX, u32::MAX) => Start::Nowhere,
            _ if self.image.is_empty() => Start::Nowhere,
            _ => {
                let in_ram = stack > RAM_BASE && stack <= RAM_BASE + RAM_SIZE && stack.is_multiple_of(4);
                let in_image = entry & 1 != 0 && self.image.contains(&(entry & !1));
                let is_table = in_ram && in_image && begin.is_multiple_of(TABLE_ALIGNMENT);
                if is_table { Start::AtImage(begin) } else { Start::NoVectors(begin) }
            }
        }
    }

    /// Returns the vector table from which the core starts after a reset, if it is not at 0.
    pub fn vectors(&mut self) -> Option<u32> {
        if !self.powered {
            return None;
        }
        match self.start() {
            Start::AtZero | Start::Nowhere => None,
            Start::AtImage(address) => {
                self.fabric.report(Problem::StartedImage { address });
                Some(address)
            }
            Start::NoVectors(address) => {
                self.fabric.report(Problem::NoVectors { address });
                None
            }
        }
    }

    /// Whether the CPU has nothing to execute. It then locks up after each reset, like silicon.
    pub fn has_nothing_to_execute(&self) -> bool {
        matches!(self.start(), Start::Nowhere | Start::NoVectors(_))
    }
}

fn fits(address: u32, length: usize, base: u32, size: u32) -> bool {
    let end = u64::from(address) + length as u64;
    address >= base && end <= u64::from(base) + u64::from(size)
}
