//! Program files.

use bench_instruments::{Image, Segment};
use object::Endianness;
use object::elf::{EM_ARM, FileHeader32, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// Bytes of flash of the nRF52840.
const FLASH: std::ops::Range<u64> = 0..0x10_0000;

/// Format of a program file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFormat {
    Elf,
    /// Intel HEX.
    Hex,
    /// Plain binary, stored from this address on.
    Binary {
        base: u32,
    },
}

/// Why a file is not a program for this module.
#[derive(Debug, Error)]
pub enum ImageError {
    #[error("it is not a readable 32-bit ELF file: {0}")]
    Elf(#[from] object::Error),
    #[error("it is an ELF file for another machine (e_machine {0}, expected 40 for ARM)")]
    Machine(u16),
    #[error("it is no Intel HEX file: {0}")]
    Hex(String),
    #[error("{length} bytes at {address:#010x} are outside of the flash, which ends at {:#x}", FLASH.end)]
    Outside { address: u64, length: usize },
    #[error("the bytes at {0:#010x} appear twice")]
    Overlap(u64),
    #[error("it has no contents for the flash")]
    Empty,
}

/// Reads a program from a file's bytes.
///
/// # Errors
/// What is wrong with the file, and where.
pub fn parse_image(name: &str, file: &[u8], format: ImageFormat) -> Result<Image, ImageError> {
    let pieces = match format {
        ImageFormat::Elf => elf(file)?,
        ImageFormat::Hex => hex(file)?,
        ImageFormat::Binary { base } => vec![(u64::from(base), file.to_vec())],
    };
    Ok(Image { name: name.to_owned(), segments: joined(pieces)? })
}

/// The loaded segments at the addresses where they are stored.
fn elf(file: &[u8]) -> Result<Vec<(u64, Vec<u8>)>, ImageError> {
    let header = FileHeader32::<Endianness>::parse(file)?;
    let endian = header.endian()?;
    let machine = header.e_machine(endian);
    if machine != EM_ARM {
        return Err(ImageError::Machine(machine.0));
    }
    let mut pieces = Vec::new();
    for segment in header.program_headers(endian, file)? {
        let bytes = segment.data(endian, file).map_err(|()| ImageError::Empty)?;
        if segment.p_type(endian) == PT_LOAD && !bytes.is_empty() {
            pieces.push((u64::from(segment.p_paddr(endian)), bytes.to_vec()));
        }
    }
    Ok(pieces)
}

pub(crate) fn hex(file: &[u8]) -> Result<Vec<(u64, Vec<u8>)>, ImageError> {
    let text = std::str::from_utf8(file).map_err(|error| ImageError::Hex(error.to_string()))?;
    let (mut pieces, mut base) = (Vec::new(), 0_u64);
    for record in ihex::Reader::new(text) {
        match record.map_err(|error| ImageError::Hex(error.to_string()))? {
            ihex::Record::Data { offset, value } => pieces.push((base + u64::from(offset), value)),
            ihex::Record::ExtendedSegmentAddress(segment) => base = u64::from(segment) << 4,
            ihex::Record::ExtendedLinearAddress(upper) => base = u64::from(upper) << 16,
            ihex::Record::EndOfFile => break,
            // The entry point is not flash contents.
            ihex::Record::StartSegmentAddress { .. } | ihex::Record::StartLinearAddress(_) => {}
        }
    }
    Ok(pieces)
}

/// Ascending, adjacent pieces merged.
pub(crate) fn joined(pieces: Vec<(u64, Vec<u8>)>) -> Result<Vec<Segment>, ImageError> {
    let mut sorted: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for (address, bytes) in pieces {
        let end = address.saturating_add(bytes.len() as u64);
        if !FLASH.contains(&address) || end > FLASH.end {
            return Err(ImageError::Outside { address, length: bytes.len() });
        }
        if sorted.insert(address, bytes).is_some() {
            return Err(ImageError::Overlap(address));
        }
    }
    let mut joined: Vec<(u64, Vec<u8>)> = Vec::new();
    for (address, bytes) in sorted {
        match joined.last_mut() {
            Some((begin, last)) if *begin + last.len() as u64 == address => last.extend(bytes),
            Some((begin, last)) if *begin + last.len() as u64 > address => return Err(ImageError::Overlap(address)),
            _ => joined.push((address, bytes)),
        }
    }
    if joined.is_empty() {
        return Err(ImageError::Empty);
    }
    // All pieces are inside the flash.
    Ok(joined.into_iter().map(|(address, bytes)| (address as u32, Arc::from(bytes))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segments(image: &Image) -> Vec<(u32, Vec<u8>)> {
        image.segments.iter().map(|(address, bytes)| (*address, bytes.to_vec())).collect()
    }

    #[test]
    fn hex_files() {
        let good = ":020000040001F9\n:0400100001020304E2\n:0400140005060708CE\n:00000001FF\n";
        let image = parse_image("x", good.as_bytes(), ImageFormat::Hex).unwrap();
        assert_eq!(segments(&image), [(0x1_0010, vec![1, 2, 3, 4, 5, 6, 7, 8])]);
        for (text, said) in [
            (":0400100001020304E3\n", "no Intel HEX"),
            (":00000001FF\n", "no contents for the flash"),
            (":020000041000EA\n:0400100001020304E2\n:00000001FF\n", "outside of the flash"),
            (":0400100001020304E2\n:0400120005060708D0\n:00000001FF\n", "twice"),
            (":0400100001020304E2\n:0400100001020304E2\n:00000001FF\n", "twice"),
        ] {
            let error = parse_image("x", text.as_bytes(), ImageFormat::Hex).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn plain_files() {
        let image = |base, length: usize| parse_image("x", &vec![7; length], ImageFormat::Binary { base });
        assert_eq!(segments(&image(0xF_FFFC, 4).unwrap()), [(0xF_FFFC, vec![7; 4])]);
        assert!(matches!(image(0xF_FFFC, 5), Err(ImageError::Outside { address: 0xF_FFFC, length: 5 })));
        assert!(matches!(image(u32::MAX, 5), Err(ImageError::Outside { .. })));
    }

    proptest! {
        #[test]
        fn no_file_panics(file: Vec<u8>, base: u32) {
            for format in [ImageFormat::Elf, ImageFormat::Hex, ImageFormat::Binary { base }] {
                let _ = parse_image("x", &file, format);
            }
        }
        #[test]
        fn no_hex_line_panics(lines in "(:[0-9A-F]{8,20}\n){0,5}") {
            let _ = parse_image("x", lines.as_bytes(), ImageFormat::Hex);
        }
    }
}
