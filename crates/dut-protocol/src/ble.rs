//! Bluetooth Low Energy requests to the module's radio, and the contents of the advertisements of module and bench.

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Bluetooth's company identifier for internal tests; it is assigned to no company.
pub const BLE_COMPANY: u16 = 0xFFFF;
/// The three channels of legacy advertising.
pub const BLE_CHANNELS: [u8; 3] = [37, 38, 39];
/// Frequencies of [`BLE_CHANNELS`] in MHz.
pub const BLE_CHANNEL_MHZ: [u16; 3] = [2402, 2426, 2480];
/// Distinguishes the advertisements of this run from all others.
pub type BleNonce = [u8; 8];

/// An operation of the radio, which runs in parallel with the link.
///
/// `Advertise`, `Listen` and `Carrier` start one, and [`BleRequest::Report`] reads its progress. A new operation
/// replaces the one before. Needs the 32 MHz crystal; refused with [`crate::Refusal::NotRunning`] if the crystal does
/// not run. Ends by itself when the link falls silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum BleRequest {
    /// Sends non-connectable advertisements on all three channels, one after the other, from the chip's own random
    /// static address, with a [`BleTag`] in each. Two rounds are `interval_ms` plus a pseudo-random delay of up to 10
    /// ms apart, as the specification requires.
    Advertise {
        /// Marks the advertisements of this run.
        nonce: BleNonce,
        /// Rounds, 1..=1000.
        count: u16,
        /// 20..=1000.
        interval_ms: u16,
        /// See [`BLE_POWERS_DBM`].
        dbm: i8,
    },
    /// Counts the packets received on one channel.
    Listen {
        /// 37, 38 or 39.
        channel: u8,
        /// 1..=5000.
        window_ms: u16,
        /// Nonce of the advertisements that count as heard.
        nonce: BleNonce,
    },
    /// Sends a carrier until stopped, to set up a bench with a power meter. With modulation, sends the packets of the
    /// direct test mode instead: 37 bytes of the PRBS9 sequence every 625 us.
    Carrier {
        /// 2402..=2480.
        mhz: u16,
        /// Sends modulated packets.
        modulated: bool,
        /// See [`BLE_POWERS_DBM`].
        dbm: i8,
    },
    /// Switches the radio off.
    Stop,
    /// Asks for the progress. Answered by [`crate::Reply::Ble`].
    Report,
}

/// Powers that RADIO.TXPOWER supports, in dBm.
pub const BLE_POWERS_DBM: [i8; 14] = [8, 7, 6, 5, 4, 3, 2, 0, -4, -8, -12, -16, -20, -40];

/// Results of the last operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct BleReport {
    /// The operation has not ended.
    pub busy: bool,
    /// Packets sent, by channel.
    pub sent: [u16; 3],
    /// Packets with the right nonce.
    pub heard: u16,
    /// Intact packets of other senders.
    pub others: u16,
    /// Packets with a wrong checksum, from any sender.
    pub broken: u16,
    /// Signal strength of the packets with the right nonce; `None` without any.
    pub rssi: Option<BleRssi>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
/// Received signal strength (RADIO.RSSISAMPLE).
pub struct BleRssi {
    /// Mean, in tenths of a dBm.
    pub mean_tenths_dbm: i16,
    /// Weakest packet.
    pub min_dbm: i8,
    /// Strongest packet.
    pub max_dbm: i8,
}

/// Manufacturer data in the advertisements of module and bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BleTag {
    /// Marks the advertisements of this run.
    pub nonce: BleNonce,
    /// Channel of the transmission; 0 if the sender does not know it.
    pub channel: u8,
    /// Number of the round, from 0, wrapping around, so that two successive advertisements differ.
    pub round: u8,
}

impl BleTag {
    /// Length of the manufacturer data after the company identifier.
    pub const BYTES: usize = 10;

    /// Returns the manufacturer data after the company identifier.
    pub fn bytes(&self) -> [u8; Self::BYTES] {
        let [a, b, c, d, e, f, g, h] = self.nonce;
        [a, b, c, d, e, f, g, h, self.channel, self.round]
    }

    /// Parses manufacturer data; `None` for the data of other senders.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let (nonce, rest) = data.split_first_chunk()?;
        let &[channel, round] = rest else { return None };
        Some(Self { nonce: *nonce, channel, round })
    }

    /// Returns the tag as an element of advertising data: length, type, company, tag.
    pub fn element(&self) -> [u8; Self::BYTES + 4] {
        let [low, high] = BLE_COMPANY.to_le_bytes();
        let mut element = [0; Self::BYTES + 4];
        let (head, tag) = element.split_at_mut(4);
        head.copy_from_slice(&[Self::BYTES as u8 + 3, MANUFACTURER_DATA, low, high]);
        tag.copy_from_slice(&self.bytes());
        element
    }

    /// Finds the tag among the elements of advertising data.
    pub fn find(mut elements: &[u8]) -> Option<Self> {
        let company = BLE_COMPANY.to_le_bytes();
        while let [length, rest @ ..] = elements {
            let (element, others) = rest.split_at_checked(usize::from(*length))?;
            if let [MANUFACTURER_DATA, low, high, data @ ..] = element
                && [*low, *high] == company
                && let Some(tag) = Self::parse(data)
            {
                return Some(tag);
            }
            elements = others;
        }
        None
    }
}

/// Length of the direct test mode's packets.
pub const BLE_TEST_BYTES: usize = 37;

/// Returns the first bytes of the PRBS9 sequence (x^9 + x^5 + 1, starting from nine ones), lowest bit first.
pub fn ble_test_payload() -> [u8; BLE_TEST_BYTES] {
    // The newest nine bits, the oldest lowest.
    let mut bits = 0x1FF_u16;
    core::array::from_fn(|_| {
        (0..8).fold(0, |byte, place| {
            let out = bits & 1;
            let next = out ^ bits >> 4 & 1;
            bits = bits >> 1 | next << 8;
            byte | (out as u8) << place
        })
    })
}

/// "Manufacturer specific data" in Bluetooth's list of data types.
const MANUFACTURER_DATA: u8 = 0xFF;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const TAG: BleTag = BleTag { nonce: *b"n0nce-42", channel: 38, round: 7 };

    #[test]
    fn the_payload_is_the_sequence_of_the_direct_test_mode() {
        let begin = [0xFF, 0xC1, 0xFB, 0xE8, 0x4C, 0x90, 0x72, 0x8B, 0xE7, 0xB3, 0x51, 0x89];
        assert_eq!(ble_test_payload().first_chunk(), Some(&begin));
        assert_eq!(ble_test_payload().last(), Some(&0xFD));
    }

    #[test]
    fn a_tag_is_found_among_other_elements() {
        let flags = [2, 0x01, 0x04];
        let name = [4, 0x09, b'a', b'b', b'c'];
        let other_company = [4, 0xFF, 0x4C, 0x00, 0x02];
        let rows: [(&[&[u8]], bool); 6] = [
            (&[&TAG.element()], true),
            (&[&flags, &other_company, &TAG.element(), &name], true),
            (&[&flags, &name], false),
            (&[&TAG.element()[..13]], false),
            (&[], false),
            (&[&[0], &TAG.element()], true),
        ];
        for (elements, found) in rows {
            let data: Vec<u8> = elements.concat();
            assert_eq!(BleTag::find(&data), found.then_some(TAG), "{data:?}");
        }
        assert_eq!(BleTag::parse(&TAG.bytes()), Some(TAG));
        assert_eq!(BleTag::parse(&[TAG.bytes().as_slice(), &[0]].concat()), None);
    }
}
