//! Encoding of the RADIO: framing, CRC and whitening according to its registers. Bits are sent least significant first,
//! the CRC most significant first.

/// Length in bytes, for CRCCNF.LEN and the address.
fn mask(bytes: u8) -> u32 {
    u32::MAX >> (32 - 8 * u32::from(bytes.clamp(1, 4)))
}

/// CRC of `data` over `bytes` bytes (1 to 3), from `init`, by the polynomial of CRCPOLY, whose lowest bit is
/// hard-wired.
pub(super) fn crc(data: &[u8], bytes: u8, poly: u32, init: u32) -> u32 {
    let (mask, top) = (mask(bytes), 8 * u32::from(bytes.clamp(1, 4)) - 1);
    let poly = (poly | 1) & mask;
    data.iter().flat_map(|byte| (0..8).map(move |bit| u32::from(byte >> bit & 1))).fold(init & mask, |crc, bit| {
        let feedback = crc >> top & 1 ^ bit;
        (crc << 1 & mask) ^ if feedback == 1 { poly } else { 0 }
    })
}

/// The bytes that carry a CRC: its highest bit is the first on the air.
pub(super) fn crc_bytes(crc: u32, bytes: u8) -> Vec<u8> {
    (0..bytes).rev().map(|n| ((crc >> (8 * n)) as u8).reverse_bits()).collect()
}

/// Applies or removes whitening. Bit 6 of `initial` is hard-wired to 1.
pub(super) fn whiten(data: &mut [u8], initial: u32) {
    let mut state = (initial as u8 & 0x3F) | 0x40;
    for byte in data {
        for bit in 0..8 {
            let out = state & 1;
            *byte ^= out << bit;
            // x^7 + x^4 + 1: the output bit feeds back into the first and the fourth place.
            state = state >> 1 ^ if out == 1 { 0x44 } else { 0 };
        }
    }
}

/// The parts of PCNF0, PCNF1 and CRCCNF that are modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// Bytes of S0 (0 or 1) before the length.
    pub s0: u8,
    pub most: u8,
    pub more: u8,
    /// Bytes of base address and prefix together.
    pub address: u8,
    pub whitened: bool,
    /// 0: none.
    pub crc: u8,
    pub skips_address: bool,
}

impl Format {
    /// `Err`: the setting that is not modelled.
    pub fn of(pcnf0: u32, pcnf1: u32, crccnf: u32) -> Result<Format, &'static str> {
        let field = |value: u32, low: u32, bits: u32| value >> low & ((1 << bits) - 1);
        if field(pcnf0, 0, 4) != 8 || field(pcnf0, 16, 5) != 0 || field(pcnf0, 22, 10) != 0 {
            return Err("a packet without eight bits of length, or with S1, coding or a long preamble");
        }
        if field(pcnf1, 24, 1) != 0 {
            return Err("big endian packets");
        }
        let base = field(pcnf1, 16, 3) as u8;
        if !(2..=4).contains(&base) || field(crccnf, 8, 2) > 1 {
            return Err("this address or CRC");
        }
        Ok(Format {
            s0: field(pcnf0, 8, 1) as u8,
            most: field(pcnf1, 0, 8) as u8,
            more: field(pcnf1, 8, 8) as u8,
            address: base + 1,
            whitened: field(pcnf1, 25, 1) != 0,
            crc: field(crccnf, 0, 2) as u8,
            skips_address: field(crccnf, 8, 2) == 1,
        })
    }

    /// Bytes of S0 and length.
    pub fn header(&self) -> usize {
        usize::from(self.s0) + 1
    }

    /// Payload bytes of a packet whose length field says `length`.
    pub fn payload(&self, length: u8) -> usize {
        usize::from(length.saturating_add(self.more).min(self.most))
    }

    /// Bytes of base address and prefix in the order of transmission. A shorter base omits its lower bytes.
    pub fn address(&self, base: u32, prefix: u8) -> Vec<u8> {
        let skipped = usize::from(5 - self.address.clamp(3, 5));
        base.to_le_bytes().into_iter().skip(skipped).chain([prefix]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first bits of the sequence for channel 37, computed by hand from figure 3.4 of Bluetooth's link layer
    /// specification: positions 0 to 6 start as 1, 1 0 0 1 0 1.
    #[test]
    fn whitening_of_channel_37() {
        let mut zeros = [0; 2];
        whiten(&mut zeros, 37);
        assert_eq!(zeros, [0x8D, 0xD2]);
        whiten(&mut zeros, 37);
        assert_eq!(zeros, [0, 0], "twice is nothing");
    }

    #[test]
    fn a_crc_over_its_own_bytes_leaves_nothing() {
        for (bytes, poly, init) in [(3, 0x65B, 0x55_5555), (2, 0x1021, 0xFFFF), (1, 0x07, 0xFF)] {
            let mut data = b"sixteen bytes..!".to_vec();
            let sum = crc(&data, bytes, poly, init);
            data.extend(crc_bytes(sum, bytes));
            assert_eq!(crc(&data, bytes, poly, init), 0, "{bytes}");
            data[3] ^= 0x10;
            assert_ne!(crc(&data, bytes, poly, init), 0, "{bytes}");
        }
    }

    #[test]
    fn addresses_of_every_length() {
        let address = |base: u32| Format::of(8, base << 16, 3).unwrap().address(0x89BE_D600, 0x8E);
        assert_eq!(address(3), [0xD6, 0xBE, 0x89, 0x8E]);
        assert_eq!(address(2), [0xBE, 0x89, 0x8E]);
        assert_eq!(address(4), [0x00, 0xD6, 0xBE, 0x89, 0x8E]);
        for (pcnf0, pcnf1, crccnf) in [(6, 3 << 16, 3), (8, 7 << 16, 3), (8, 3 << 16 | 1 << 24, 3), (8, 3 << 16, 0x203)]
        {
            assert!(Format::of(pcnf0, pcnf1, crccnf).is_err(), "{pcnf0:#x} {pcnf1:#x} {crccnf:#x}");
        }
    }
}
