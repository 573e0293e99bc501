//! Frames between an NFC reader and a tag of type A (ISO/IEC 14443-3).

/// Carrier frequency of NFC in hertz.
pub const NFC_CARRIER_HZ: u64 = 13_560_000;
/// Periods of the carrier in a bit at 106 kbit/s.
const BIT_PERIODS: u64 = 128;
/// Start of CRC_A.
const CRC_PRESET: u16 = 0x6363;

/// A frame on the air, without start, parity bits and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NfcFrame {
    /// Contents, CRC included if there is one.
    pub bytes: Vec<u8>,
    /// Bits of the last byte that are sent: 8, or 7 in the short frames that wake tags.
    pub last_bits: u8,
}

impl NfcFrame {
    /// Creates a short frame of seven bits.
    pub fn short(code: u8) -> Self {
        Self { bytes: vec![code], last_bits: 7 }
    }

    /// Creates a frame of whole bytes without a checksum.
    pub fn plain(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), last_bits: 8 }
    }

    /// Creates a frame of whole bytes and their CRC_A.
    pub fn with_crc(bytes: &[u8]) -> Self {
        let mut bytes = bytes.to_vec();
        let crc = crc_a(&bytes);
        bytes.extend(crc);
        Self { bytes, last_bits: 8 }
    }

    /// Returns the bytes before the CRC_A; `None` if the CRC_A is wrong or missing.
    pub fn checked(&self) -> Option<&[u8]> {
        let (data, crc) = self.bytes.split_last_chunk::<2>()?;
        (self.last_bits == 8 && crc_a(data) == *crc).then_some(data)
    }

    /// Duration of the frame in periods of the carrier, with start, parity bits and end.
    pub fn periods(&self) -> u64 {
        let bytes = self.bytes.len() as u64;
        let bits = match self.last_bits {
            8 => 9 * bytes,
            rest => 9 * bytes.saturating_sub(1) + u64::from(rest),
        };
        (bits + 2) * BIT_PERIODS
    }

    /// Duration of the frame in nanoseconds.
    pub fn airtime_ns(&self) -> u64 {
        self.periods() * 1_000_000_000 / NFC_CARRIER_HZ
    }
}

/// CRC_A as sent, low byte first.
fn crc_a(bytes: &[u8]) -> [u8; 2] {
    let crc = bytes.iter().fold(CRC_PRESET, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x8408 } else { crc >> 1 })
    });
    crc.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of ISO/IEC 14443-3, annex B.
    #[test]
    fn checksums() {
        for (data, crc) in [(&[0x00, 0x00][..], [0xA0, 0x1E]), (&[0x12, 0x34], [0x26, 0xCF])] {
            let frame = NfcFrame::with_crc(data);
            assert_eq!(frame.bytes[2..], crc);
            assert_eq!(frame.checked(), Some(data));
            let mut damaged = frame.clone();
            damaged.bytes[0] ^= 0x10;
            assert_eq!(damaged.checked(), None);
        }
        assert_eq!(NfcFrame::short(0x26).checked(), None);
        assert_eq!(NfcFrame::plain(&[1]).checked(), None);
    }

    #[test]
    fn times() {
        // 106 kbit/s: a bit takes 9.44 us.
        assert_eq!(NfcFrame::short(0x26).airtime_ns(), 9 * 128 * 1_000_000_000 / 13_560_000);
        assert_eq!(NfcFrame::plain(&[0x44, 0]).airtime_ns(), 20 * 128 * 1_000_000_000 / 13_560_000);
    }
}
