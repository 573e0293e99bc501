//! Packets on an advertising channel, by Bluetooth's link layer specification: access address, header, payload, CRC,
//! whitening. Written for the controller's adapter and not shared with the chip's RADIO, so that the two
//! implementations verify each other.

/// Access address of all advertising.
pub const ACCESS_ADDRESS: [u8; 4] = 0x8E89_BED6_u32.to_le_bytes();
pub const CHANNELS: [u8; 3] = [37, 38, 39];
pub const CHANNEL_HZ: [f64; 3] = [2_402e6, 2_426e6, 2_480e6];
/// Preamble of one byte at 1 Mbit/s.
const PREAMBLE_BYTES: u64 = 1;
const NS_PER_BYTE: u64 = 8_000;
const CRC_BYTES: usize = 3;
/// The polynomial and the initial value in reversed bit order: the first bit is the lowest.
const CRC_POLYNOMIAL: u32 = 0xDA_6000;
const CRC_FIRST: u32 = 0xAA_AAAA;
/// Kinds of advertisement that carry data: ADV_IND, ADV_NONCONN_IND, SCAN_RSP, ADV_SCAN_IND.
const WITH_DATA: [u8; 4] = [0, 2, 4, 6];
const ADV_NONCONN_IND: u8 = 2;
const RANDOM_SENDER: u8 = 0x40;
pub const MANUFACTURER_DATA: u8 = 0xFF;

fn crc(pdu: &[u8]) -> [u8; CRC_BYTES] {
    let mut state = CRC_FIRST;
    for byte in pdu {
        state ^= u32::from(*byte);
        for _ in 0..8 {
            state = state >> 1 ^ if state & 1 == 1 { CRC_POLYNOMIAL } else { 0 };
        }
    }
    let [a, b, c, _] = state.to_le_bytes();
    [a, b, c]
}

/// Applies or removes whitening: a register of seven bits, of which the first is set and the others are the channel.
fn whiten(bytes: &mut [u8], channel: u8) {
    let mut places: [u8; 7] = std::array::from_fn(|n| if n == 0 { 1 } else { channel >> (6 - n) & 1 });
    for byte in bytes {
        for bit in 0..8 {
            let out = places[6];
            *byte ^= out << bit;
            places.rotate_right(1);
            places[4] ^= out;
        }
    }
}

/// An advertisement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    /// Lowest byte first, as on the air.
    pub sender: [u8; 6],
    /// Elements of length, type and content.
    pub data: Vec<u8>,
}

impl Advertisement {
    /// Returns the bits on this channel after the preamble, as a non-connectable advertisement.
    pub fn encode(&self, channel: u8) -> Vec<u8> {
        let length = (self.sender.len() + self.data.len()) as u8;
        let mut pdu = [&[ADV_NONCONN_IND | RANDOM_SENDER, length][..], &self.sender, &self.data].concat();
        pdu.extend(crc(&pdu));
        whiten(&mut pdu, channel);
        [&ACCESS_ADDRESS[..], &pdu].concat()
    }

    /// Parses an advertisement; `None` if it is damaged or carries no data.
    pub fn decode(on_air: &[u8], channel: u8) -> Option<Self> {
        let mut rest = on_air.strip_prefix(&ACCESS_ADDRESS)?.to_vec();
        whiten(&mut rest, channel);
        let [kind, length, ..] = *rest.as_slice() else { return None };
        let end = 2 + usize::from(length);
        let (pdu, after) = rest.split_at_checked(end)?;
        if !after.starts_with(&crc(pdu)) || !WITH_DATA.contains(&(kind & 0x0F)) {
            return None;
        }
        let (sender, data) = pdu.get(2..)?.split_first_chunk()?;
        Some(Self { sender: *sender, data: data.to_vec() })
    }

    /// Company and content of each element of manufacturer data.
    pub fn manufacturer_data(&self) -> Vec<(u16, Vec<u8>)> {
        let mut entries = Vec::new();
        let mut elements = self.data.as_slice();
        while let [length, rest @ ..] = elements
            && let Some((element, others)) = rest.split_at_checked(usize::from(*length))
        {
            if let [MANUFACTURER_DATA, low, high, content @ ..] = element {
                entries.push((u16::from_le_bytes([*low, *high]), content.to_vec()));
            }
            elements = others;
        }
        entries
    }
}

/// Air time of a packet with this many bytes after the preamble.
pub fn on_air_ns(bytes: usize) -> u64 {
    (PREAMBLE_BYTES + bytes as u64) * NS_PER_BYTE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_on_each_channel_and_on_no_other() {
        let advertisement = Advertisement { sender: [1, 2, 3, 4, 5, 0xC6], data: vec![4, 0xFF, 0x34, 0x12, 9] };
        assert_eq!(advertisement.manufacturer_data(), [(0x1234, vec![9])]);
        for sent in CHANNELS {
            let on_air = advertisement.encode(sent);
            for heard in CHANNELS {
                let expected = (sent == heard).then(|| advertisement.clone());
                assert_eq!(Advertisement::decode(&on_air, heard), expected, "{sent} on {heard}");
            }
            for place in 0..on_air.len() * 8 {
                let mut broken = on_air.clone();
                broken[place / 8] ^= 1 << (place % 8);
                assert_eq!(Advertisement::decode(&broken, sent), None, "bit {place}");
            }
        }
    }
}
