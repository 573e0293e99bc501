//! Pages and words of the microcontroller, over a session.

use crate::cancel::Cancel;
use crate::failure;
use bench_instruments::{Image, ProgramError};
use probe_rs::{Core, MemoryInterface};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Smallest unit of erasing.
pub(crate) const PAGE: u32 = 4096;
const WORDS: usize = PAGE as usize / 4;
pub(crate) const UICR: u32 = 0x1000_1000;

/// Non-volatile memory controller of the nRF52840.
const NVMC: u64 = 0x4001_E000;
const READY: u64 = NVMC + 0x400;
const CONFIG: u64 = NVMC + 0x504;
const ERASE_ALL: u64 = NVMC + 0x50C;
const ERASE_UICR: u64 = NVMC + 0x514;
const READ_ONLY: u32 = 0;
const WRITE: u32 = 1;
const ERASE: u32 = 2;
/// Timeout of one of its operations; the longest in the data sheet is 169 ms.
const NVMC_WITHIN: Duration = Duration::from_secs(2);

/// Target contents of a page, and which bytes an image defines.
#[derive(Clone)]
pub(crate) struct Page {
    bytes: Vec<Option<u8>>,
}

impl Page {
    /// Number of defined bytes.
    pub fn wanted(&self) -> u64 {
        self.bytes.iter().flatten().count() as u64
    }

    pub fn is_in(&self, contents: &[u8]) -> bool {
        self.bytes.iter().zip(contents).all(|(wanted, byte)| wanted.is_none_or(|wanted| wanted == *byte))
    }

    /// Returns the first wrong word: offset, target, actual value. Undefined bytes are ignored.
    pub fn difference(&self, contents: &[u8]) -> Option<(u32, u32, u32)> {
        self.bytes.chunks(4).zip(contents.chunks(4)).enumerate().find_map(|(n, (wanted, word))| {
            let mut expected: [u8; 4] = word.try_into().ok()?;
            let read = expected;
            for (byte, wanted) in expected.iter_mut().zip(wanted) {
                *byte = wanted.unwrap_or(*byte);
            }
            let word = u32::from_le_bytes;
            (expected != read).then(|| (4 * n as u32, word(expected), word(read)))
        })
    }

    /// Runs of defined bytes: offset and bytes.
    pub fn runs(&self) -> Vec<(u32, Vec<u8>)> {
        let mut runs: Vec<(u32, Vec<u8>)> = Vec::new();
        let mut last = None;
        for (n, byte) in self.bytes.iter().enumerate() {
            if let Some(byte) = byte {
                match runs.last_mut() {
                    Some((_, run)) if last == Some(n) => run.push(*byte),
                    _ => runs.push((n as u32, vec![*byte])),
                }
                last = Some(n + 1);
            }
        }
        runs
    }
}

/// Pages of all images, by address.
///
/// # Errors
/// [`ProgramError::Image`] for two images that define the same bytes.
pub(crate) fn pages(images: &[Image]) -> Result<BTreeMap<u32, Page>, ProgramError> {
    let mut pages: BTreeMap<u32, Page> = BTreeMap::new();
    for image in images {
        for (begin, bytes) in &image.segments {
            for (address, byte) in (*begin..).zip(bytes.iter()) {
                let page =
                    pages.entry(address & !(PAGE - 1)).or_insert_with(|| Page { bytes: vec![None; PAGE as usize] });
                let place = page.bytes.get_mut((address & (PAGE - 1)) as usize);
                if place.is_none_or(|place| place.replace(*byte).is_some()) {
                    let why = format!("another image also has bytes at {address:#010x}");
                    return Err(ProgramError::Image { name: image.name.clone(), why });
                }
            }
        }
    }
    Ok(pages)
}

/// The microcontroller's memories over a session; the core is halted.
pub(crate) struct Memory<'s> {
    core: Core<'s>,
    during: &'static str,
    cancel: Cancel,
}

impl<'s> Memory<'s> {
    pub fn new(core: Core<'s>, during: &'static str, cancel: Cancel) -> Memory<'s> {
        Memory { core, during, cancel }
    }

    pub fn word(&mut self, address: u64) -> Result<u32, ProgramError> {
        self.cancel.check()?;
        self.core.read_word_32(address).map_err(|error| failure::in_session(&error, self.during))
    }

    fn set(&mut self, address: u64, value: u32) -> Result<(), ProgramError> {
        self.cancel.check()?;
        self.core.write_word_32(address, value).map_err(|error| failure::in_session(&error, self.during))
    }

    /// A whole page, or UICR.
    pub fn page(&mut self, address: u32) -> Result<Vec<u8>, ProgramError> {
        self.cancel.check()?;
        let mut words = [0; WORDS];
        let read = self.core.read_32(u64::from(address), &mut words);
        read.map_err(|error| failure::in_session(&error, self.during))?;
        Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    /// Erases flash and UICR.
    pub fn erase_all(&mut self) -> Result<(), ProgramError> {
        self.job(ERASE, |memory| memory.set(ERASE_ALL, 1))
    }

    pub fn erase_uicr(&mut self) -> Result<(), ProgramError> {
        self.job(ERASE, |memory| memory.set(ERASE_UICR, 1))
    }

    /// Writes a word of UICR, whose bits can only become 0.
    pub fn write_uicr(&mut self, offset: u16, value: u32) -> Result<(), ProgramError> {
        self.job(WRITE, |memory| memory.set(u64::from(UICR) + u64::from(offset), value))
    }

    /// Runs one operation of the controller and waits for its end; then disables writing.
    fn job(
        &mut self,
        mode: u32,
        order: impl FnOnce(&mut Self) -> Result<(), ProgramError>,
    ) -> Result<(), ProgramError> {
        self.set(CONFIG, mode)?;
        order(self)?;
        let began = Instant::now();
        while self.word(READY)? & 1 == 0 {
            if began.elapsed() > NVMC_WITHIN {
                return Err(ProgramError::Core(format!("its flash controller stays busy ({})", self.during)));
            }
        }
        self.set(CONFIG, READ_ONLY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn image(segments: &[(u32, &[u8])]) -> Image {
        let segments = segments.iter().map(|(address, bytes)| (*address, Arc::from(*bytes))).collect();
        Image { name: "x".to_owned(), segments }
    }

    #[test]
    fn images_become_pages() {
        let pages = pages(&[image(&[(0xFFE, &[1, 2, 3])]), image(&[(0x1004, &[9])])]).unwrap();
        assert_eq!(pages.keys().copied().collect::<Vec<_>>(), [0, 0x1000]);
        assert_eq!(pages[&0].runs(), [(0xFFE, vec![1, 2])]);
        assert_eq!(pages[&0x1000].runs(), [(0, vec![3]), (4, vec![9])]);
        assert_eq!(pages.values().map(Page::wanted).collect::<Vec<_>>(), [2, 2]);
    }

    #[test]
    fn two_images_may_share_a_page_but_no_byte() {
        let error = pages(&[image(&[(0x100, &[1, 2])]), image(&[(0x101, &[1])])]).err();
        assert!(matches!(error, Some(ProgramError::Image { why, .. }) if why.contains("0x00000101")));
    }

    #[test]
    fn a_difference_is_reported_by_its_word() {
        let pages = pages(&[image(&[(2, &[7, 8, 9])])]).unwrap();
        let mut contents = vec![0xFF; PAGE as usize];
        assert_eq!(pages[&0].difference(&contents), Some((0, 0x0807_FFFF, 0xFFFF_FFFF)));
        contents[2..4].copy_from_slice(&[7, 8]);
        assert_eq!(pages[&0].difference(&contents), Some((4, 0xFFFF_FF09, 0xFFFF_FFFF)));
        contents[4] = 9;
        assert_eq!((pages[&0].difference(&contents), pages[&0].is_in(&contents)), (None, true));
    }
}
