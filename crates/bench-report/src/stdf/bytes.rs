//! Fields and records as bytes, little end first (`CPU_TYPE` 2).

use std::io::{self, Write};

/// Records one after the other.
pub(super) struct File<W> {
    pub to: W,
}

/// The fields of one record.
#[derive(Default)]
pub(super) struct Payload(Vec<u8>);

impl<W: Write> File<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to }
    }

    /// A record's length is a 16-bit number, and the writers keep their fields far below. A longer one would make the rest
    /// of the file unreadable, so it is an error.
    pub(super) fn push(&mut self, kind: u8, sub: u8, payload: Payload) -> io::Result<()> {
        let length = u16::try_from(payload.0.len()).map_err(|_| io::Error::other("an STDF record is too long"))?;
        self.to.write_all(&length.to_le_bytes())?;
        self.to.write_all(&[kind, sub])?;
        self.to.write_all(&payload.0)
    }
}

impl Payload {
    pub(super) fn u1(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }
    pub(super) fn u2(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    pub(super) fn u4(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    pub(super) fn i2(mut self, value: i16) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    pub(super) fn i4(mut self, value: i32) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    /// The format has 32 bits for a real number, about seven digits.
    pub(super) fn r4(mut self, value: f64) -> Self {
        self.0.extend_from_slice(&(value as f32).to_le_bytes());
        self
    }
    /// A length byte and up to 255 bytes. The format allows only printable ASCII.
    pub(super) fn text(mut self, text: &str) -> Self {
        let plain = text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c as u8 } else { b'?' });
        let plain: Vec<u8> = plain.take(255).collect();
        self.0.push(plain.len() as u8);
        self.0.extend_from_slice(&plain);
        self
    }
    /// This many empty texts.
    pub(super) fn empty(mut self, count: usize) -> Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }
    /// A bit field: its length in bits, then bytes with the lowest bit first.
    pub(super) fn bits(mut self, set: &[u16]) -> Self {
        let length = set.iter().max().map_or(0, |most| most + 1);
        let mut bytes = vec![0_u8; usize::from(length).div_ceil(8)];
        set.iter().for_each(|bit| bytes[usize::from(bit / 8)] |= 1 << (bit % 8));
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(&bytes);
        self
    }
}
