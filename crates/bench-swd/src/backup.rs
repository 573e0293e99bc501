//! What was in a module, as an Intel HEX file that other programmers read, too.

use crate::image::{ImageError, joined};
use crate::memory::UICR;
use bench_instruments::{Backup, UicrWord};

/// Bytes of one line.
const LINE: usize = 32;
/// The last line.
const END_OF_FILE: &str = ":00000001FF";
/// Bytes of UICR.
const UICR_BYTES: u64 = 4096;

/// The text of the file.
///
/// # Errors
/// When a part has no place in 32 bits, which cannot be.
pub fn backup_to_hex(backup: &Backup) -> Result<String, ImageError> {
    let words: Vec<(u32, [u8; 4])> =
        backup.uicr.iter().map(|word| (UICR + u32::from(word.offset), word.value.to_le_bytes())).collect();
    let flash = backup.flash.iter().map(|(address, bytes)| (*address, &**bytes));
    let pieces = flash.chain(words.iter().map(|(address, bytes)| (*address, &bytes[..])));
    let mut records = Vec::new();
    let mut upper = None;
    for (begin, bytes) in pieces {
        // A line lies within 64 KiB, because pieces begin at pages or are words.
        for (address, line) in (begin..).step_by(LINE).zip(bytes.chunks(LINE)) {
            let high = (address >> 16) as u16;
            if upper.replace(high) != Some(high) {
                records.push(ihex::Record::ExtendedLinearAddress(high));
            }
            records.push(ihex::Record::Data { offset: address as u16, value: line.to_vec() });
        }
    }
    records.push(ihex::Record::EndOfFile);
    ihex::create_object_file_representation(&records).map_err(|error| ImageError::Hex(error.to_string()))
}

/// Reads such a file, of the module with this FICR.DEVICEID.
///
/// # Errors
/// What is wrong with it.
pub fn backup_of_hex(text: &str, device_id: u64) -> Result<Backup, ImageError> {
    if !text.contains(END_OF_FILE) {
        return Err(ImageError::Hex("it ends early".to_owned()));
    }
    let uicr = u64::from(UICR)..u64::from(UICR) + UICR_BYTES;
    let (words, flash): (Vec<_>, Vec<_>) =
        crate::image::hex(text.as_bytes())?.into_iter().partition(|(address, _)| uicr.contains(address));
    let mut backup = Backup { device_id, flash: joined(flash)?, uicr: Vec::new() };
    for (address, bytes) in words {
        for (offset, word) in (address - uicr.start..).step_by(4).zip(bytes.chunks(4)) {
            let outside = ImageError::Outside { address: uicr.start + offset, length: word.len() };
            let (Ok(word), Ok(offset)) = (word.try_into(), u16::try_from(offset)) else { return Err(outside) };
            backup.uicr.push(UicrWord { offset, value: u32::from_le_bytes(word) });
        }
    }
    Ok(backup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_backup_is_read_back_as_it_was() {
        let page = |seed: u8| (0..4096u32).map(|n| (n as u8).wrapping_mul(seed)).collect::<Vec<u8>>();
        let blank = vec![0xFF; 4096];
        let flash = vec![
            (0, Arc::from([page(3), page(7)].concat())),
            (0xF000, Arc::from([page(1), blank].concat())),
            (0xF_F000, Arc::from(page(5))),
        ];
        let uicr = vec![UicrWord { offset: 0x208, value: 0xFFFF_FF5A }, UicrWord { offset: 0x304, value: 0xFFFF_FFFD }];
        let backup = Backup { device_id: 7, flash, uicr };
        let text = backup_to_hex(&backup).unwrap();
        assert_eq!(backup_of_hex(&text, 7).unwrap(), backup);
        // A file that was cut, or whose byte changed, is refused.
        let cut: String = text.lines().skip(1).take(3).map(|line| format!("{}\n", &line[..line.len() - 1])).collect();
        assert!(backup_of_hex(&cut, 7).is_err());
        assert!(backup_of_hex(&text.replacen("0003", "0013", 1), 7).is_err());
    }
}
