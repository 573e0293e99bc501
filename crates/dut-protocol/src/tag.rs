//! The NFC tag that the firmware emulates: Type 2, read-only, one NDEF text record with the run's number.

/// Bytes of an NFC identifier of double size.
pub const TAG_ID_BYTES: usize = 7;
/// Bytes of the tag's memory; a block has four.
pub const TAG_BYTES: usize = 48;
/// Bytes that one READ returns.
pub const TAG_READ_BYTES: usize = 16;
/// Code of the command READ; the number of a block follows it.
pub const TAG_READ: u8 = 0x30;
/// Offset of the user's data, after identifier, lock bytes and capability container.
pub const TAG_DATA: usize = 16;
/// Text of the record before the number, which has 16 hexadecimal digits.
pub const TAG_TEXT: &str = "dut ";

const BLOCK: usize = 4;
const HALT: [u8; 2] = [0x50, 0x00];
/// First byte of an identifier part that is followed by another part; included in the check byte of its part.
const CASCADE_TAG: u8 = 0x88;
/// Version 1.0 of the mapping, size in units of eight bytes, read-only.
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

/// How the tag reacts to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagAnswer {
    /// Sends these bytes.
    Bytes([u8; TAG_READ_BYTES]),
    /// Falls silent until the reader wakes it again.
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
    /// Creates a tag with this identifier whose record carries `nonce`.
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

    /// Answers a command of the reader, given without its checksum.
    pub fn answer(&self, command: &[u8]) -> TagAnswer {
        match command {
            [TAG_READ, block] if usize::from(*block) < TAG_BYTES / BLOCK => {
                // A read past the end continues at the beginning.
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
