//! RAM and flash.

use std::sync::atomic::{AtomicU32, Ordering};

/// An access reaches beyond the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outside;

/// Bytes.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    bytes: Box<[u8]>,
    generation: u32,
}

/// Every change of any memory gets a unique number, so equal numbers mean equal contents.
static GENERATIONS: AtomicU32 = AtomicU32::new(1);

impl Memory {
    pub fn new(length: u32) -> Memory {
        Memory { bytes: vec![0; length as usize].into(), generation: 0 }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Mutable bytes.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Changes with each change by the methods below.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    fn changed(&mut self) {
        self.generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
    }

    pub fn read_at(&self, offset: u32, bytes: &mut [u8]) -> Result<(), Outside> {
        let end = offset as usize + bytes.len();
        bytes.copy_from_slice(self.bytes.get(offset as usize..end).ok_or(Outside)?);
        Ok(())
    }

    pub fn write_at(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Outside> {
        let end = offset as usize + bytes.len();
        self.bytes_mut().get_mut(offset as usize..end).ok_or(Outside)?.copy_from_slice(bytes);
        self.changed();
        Ok(())
    }

    pub fn fill(&mut self, offset: u32, length: u32, byte: u8) -> Result<(), Outside> {
        let end = offset as usize + length as usize;
        self.bytes_mut().get_mut(offset as usize..end).ok_or(Outside)?.fill(byte);
        self.changed();
        Ok(())
    }
}
