//! Cache of decoded instructions.

use crate::bus::Bus;
use crate::decode::{decode, is_wide};
use crate::instruction::Instruction;

/// First address of RAM.
pub(crate) const RAM_BASE: u32 = 0x2000_0000;

/// Halfwords in a page of decoded code.
const PAGE: usize = 1024;
/// Cache entries for code outside of the code memory.
const ELSEWHERE: usize = 2048;

/// An instruction and its length in bytes; 0: not decoded yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub instruction: Instruction,
    pub size: u32,
}

const EMPTY: Entry = Entry { instruction: Instruction::Undefined, size: 0 };

/// Code in RAM: valid while its address holds these bytes.
#[derive(Debug, Clone, Copy)]
struct Loose {
    pc: u32,
    bytes: u32,
    entry: Entry,
}

#[derive(Debug, Default)]
pub(crate) struct Cache {
    pages: Vec<Option<Box<[Entry; PAGE]>>>,
    generation: u32,
    loose: Vec<Loose>,
}

impl Cache {
    /// Forgets the code memory's instructions if that has changed.
    pub fn refresh(&mut self, generation: u32) {
        if self.generation != generation {
            self.generation = generation;
            self.pages.clear();
        }
    }

    /// The instruction at `pc`; `None` without code.
    #[inline(always)]
    pub fn fetch<B: Bus>(&mut self, bus: &B, pc: u32) -> Option<Entry> {
        let half = pc as usize / 2;
        if let Some(Some(page)) = self.pages.get(half / PAGE) {
            let entry = page[half % PAGE];
            if entry.size != 0 {
                return Some(entry);
            }
        }
        self.fetch_anew(bus, pc)
    }

    #[inline(never)]
    fn fetch_anew<B: Bus>(&mut self, bus: &B, pc: u32) -> Option<Entry> {
        let code = bus.code();
        if (pc as usize) < code.len() {
            let entry = decoded(pc, word_at(code, pc)?)?;
            let half = pc as usize / 2;
            if self.pages.is_empty() {
                self.pages.resize_with(code.len().div_ceil(2 * PAGE), || None);
            }
            let page = self.pages.get_mut(half / PAGE)?.get_or_insert_with(|| Box::new([EMPTY; PAGE]));
            page[half % PAGE] = entry;
            return Some(entry);
        }
        let bytes = match pc.checked_sub(RAM_BASE).and_then(|offset| word_at(bus.ram(), offset)) {
            Some(bytes) => bytes,
            None => bus.fetch(pc)?,
        };
        if self.loose.is_empty() {
            self.loose.resize(ELSEWHERE, Loose { pc: 1, bytes: 0, entry: EMPTY });
        }
        let place = &mut self.loose[pc as usize / 2 % ELSEWHERE];
        if (place.pc, place.bytes) != (pc, bytes) {
            *place = Loose { pc, bytes, entry: decoded(pc, bytes)? };
        }
        Some(place.entry)
    }
}

fn decoded(pc: u32, bytes: u32) -> Option<Entry> {
    let (first, second) = (bytes as u16, (bytes >> 16) as u16);
    Some(Entry { instruction: decode(pc, first, second), size: if is_wide(first) { 4 } else { 2 } })
}

/// The halfword at `offset` and the one after it; at the end of memory zeros follow.
fn word_at(memory: &[u8], offset: u32) -> Option<u32> {
    let rest = memory.get(offset as usize..)?;
    let mut bytes = [0; 4];
    let length = rest.len().min(4);
    if length < 2 {
        return None;
    }
    bytes[..length].copy_from_slice(&rest[..length]);
    Some(u32::from_le_bytes(bytes))
}
