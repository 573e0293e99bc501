//! The NFC tag that the firmware is: Type 2, read-only, with one NDEF text record that carries the run's number.

/// Bytes of an NFC identifier of double size.
pub const TAG_ID_BYTES: usize = 7;
/// Memory of the tag; blocks have four bytes.
pub const TAG_BYTES: usize = 48;
/// Bytes that one READ returns.
pub const TAG_READ_BYTES: usize = 16;
/// Code of the command READ, which the number of a block follows.
pub const TAG_READ: u8 = 0x30;
/// Where the user's data begins: identifier, lock bytes and capability container stand before.
pub const TAG_DATA: usize = 16;
/// Text of the record before the number, which follows in 16 hexadecimal digits.
pub const TAG_TEXT: &str = "dut ";

const BLOCK: usize = 4;
const HALT: [u8; 2] = [0x50, 0x00];
/// First byte of an identifier part that another one follows; it is part of that part's check byte.
const CASCADE_TAG: u8 = 0x88;
/// Version 1.0 of the mapping, the size in units of eight bytes, no writing.
const CAPABILITIES: [u8; BLOCK] = [0xE1, 0x10, ((TAG_BYTES - TAG_DATA) / 8) as u8, 0x0F];
/// Type and terminator of the blocks in a tag's memory (Type 2 Tag, TLV blocks).
const NDEF_BLOCK: u8 = 0x03;
const TERMINATOR: u8 = 0xFE;
/// First and last record of its message, short, of a well-known type.
const RECORD_HEADER: u8 = 0xD1;
/// A text record in UTF-8 whose language code has two letters.
const TEXT: u8 = b'T';
const LANGUAGE: [u8; 3] = [2, b'e', b'n'];
const DIGITS: usize = 16;
const PAYLOAD: usize = LANGUAGE.len() + TAG_TEXT.len() + DIGITS;
const RECORD: [u8; 4] = [RECORD_HEADER, 1, PAYLOAD as u8, TEXT];

/// What the tag does with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagAnswer {
    Bytes([u8; TAG_READ_BYTES]),
    /// Leaves the conversation until it is woken anew.
    Halt,
    /// The tag does not know the command, or the block does not exist.
    Silence,
}

/// The memory of the tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    memory: [u8; TAG_BYTES],
}

impl Tag {
    pub fn new(id: [u8; TAG_ID_BYTES], nonce: u64) -> Self {
        let [a, b, c, rest @ ..] = id;
        let check = |bytes: &[u8], preset: u8| bytes.iter().fold(preset, |sum, byte| sum ^ byte);
        let digit = |place: usize| b"0123456789abcdef"[(nonce >> (4 * (DIGITS - 1 - place)) & 0xF) as usize];
        let bytes = [a, b, c, check(&[a, b, c], CASCADE_TAG)]
            .into_iter()
            .chain(rest)
            // Internal byte, and both lock bytes: nothing can be written.
            .chain([check(&rest, 0), 0x48, 0xFF, 0xFF])
            .chain(CAPABILITIES)
            .chain([NDEF_BLOCK, (RECORD.len() + PAYLOAD) as u8])
            .chain(RECORD)
            .chain(LANGUAGE)
            .chain(TAG_TEXT.bytes())
            .chain((0..DIGITS).map(digit))
            .chain([TERMINATOR]);
        let mut memory = [0; TAG_BYTES];
        memory.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
        Self { memory }
    }

    /// What answers a frame of the reader, without its checksum.
    pub fn answer(&self, command: &[u8]) -> TagAnswer {
        match command {
            [TAG_READ, block] if usize::from(*block) < TAG_BYTES / BLOCK => {
                // Reading goes on at the beginning when it comes to the end.
                let mut bytes = [0; TAG_READ_BYTES];
                let from = usize::from(*block) * BLOCK;
                let memory = self.memory.iter().cycle().skip(from);
                bytes.iter_mut().zip(memory).for_each(|(place, byte)| *place = *byte);
                TagAnswer::Bytes(bytes)
            }
            command if *command == HALT => TagAnswer::Halt,
            _ => TagAnswer::Silence,
        }
    }
}
