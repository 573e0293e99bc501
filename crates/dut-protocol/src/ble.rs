//! Requests to the module's radio as Bluetooth Low Energy, and what is in the advertisements of module and bench.

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Bluetooth's company identifier for tests of this kind: it belongs to nobody.
pub const BLE_COMPANY: u16 = 0xFFFF;
/// The three channels of legacy advertising.
pub const BLE_CHANNELS: [u8; 3] = [37, 38, 39];
/// Their frequencies.
pub const BLE_CHANNEL_MHZ: [u16; 3] = [2402, 2426, 2480];
/// Tells the advertisements of this run from those of others.
pub type BleNonce = [u8; 8];

/// Works beside the link: `Advertise`, `Listen` and `Carrier` begin, [`BleRequest::Report`] says how far it is. A new
/// order takes the place of the one before. Needs the 32 MHz crystal; refused with [`crate::Refusal::NotRunning`] if that
/// does not run. Ends by itself when the link falls silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum BleRequest {
    /// Non-connectable advertisements on all three channels, one after the other, from the chip's own random static
    /// address, with a [`BleTag`] in each. Between two rounds `interval_ms` and a pseudo-random delay of up to 10 ms, as
    /// the specification wants it.
    Advertise {
        nonce: BleNonce,
        /// Rounds, 1..=1000.
        count: u16,
        /// 20..=1000.
        interval_ms: u16,
        /// See [`BLE_POWERS_DBM`].
        dbm: i8,
    },
    /// Counts what is heard on one channel.
    Listen {
        /// 37, 38 or 39.
        channel: u8,
        /// 1..=5000.
        window_ms: u16,
        /// Of the advertisements that count as heard.
        nonce: BleNonce,
    },
    /// A carrier, for setting up a bench with a power meter. Without modulation for as long as it is not stopped;
    /// modulated as the direct test mode does it: packets of 37 bytes of the PRBS9 sequence, 625 us apart.
    Carrier {
        /// 2402..=2480.
        mhz: u16,
        modulated: bool,
        /// See [`BLE_POWERS_DBM`].
        dbm: i8,
    },
    /// Radio off.
    Stop,
    /// How far it is. Answered by [`crate::Reply::Ble`].
    Report,
}

/// What RADIO.TXPOWER can do.
pub const BLE_POWERS_DBM: [i8; 14] = [8, 7, 6, 5, 4, 3, 2, 0, -4, -8, -12, -16, -20, -40];

/// Since the newest order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct BleReport {
    /// It is not yet at its end.
    pub busy: bool,
    /// Packets sent, by channel.
    pub sent: [u16; 3],
    /// Packets with the right nonce.
    pub heard: u16,
    /// Good packets of others.
    pub others: u16,
    /// Packets whose checksum was wrong, whoever sent them.
    pub broken: u16,
    /// Of the packets with the right nonce; `None` without any.
    pub rssi: Option<BleRssi>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct BleRssi {
    /// Mean, in tenths of a dBm.
    pub mean_tenths_dbm: i16,
    pub min_dbm: i8,
    pub max_dbm: i8,
}

/// What module and bench put into the manufacturer data of their advertisements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BleTag {
    pub nonce: BleNonce,
    /// The channel that it was sent on; 0: unknown to the sender.
    pub channel: u8,
    /// Of the round, from 0, wrapping around: no two advertisements in a row are the same.
    pub round: u8,
}

impl BleTag {
    pub const BYTES: usize = 10;

    /// The manufacturer data behind the company identifier.
    pub fn bytes(&self) -> [u8; Self::BYTES] {
        let [a, b, c, d, e, f, g, h] = self.nonce;
        [a, b, c, d, e, f, g, h, self.channel, self.round]
    }

    /// `None` for the data of others.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let (nonce, rest) = data.split_first_chunk()?;
        let &[channel, round] = rest else { return None };
        Some(Self { nonce: *nonce, channel, round })
    }

    /// As an element of advertising data: length, type, company, tag.
    pub fn element(&self) -> [u8; Self::BYTES + 4] {
        let [low, high] = BLE_COMPANY.to_le_bytes();
        let mut element = [0; Self::BYTES + 4];
        let (head, tag) = element.split_at_mut(4);
        head.copy_from_slice(&[Self::BYTES as u8 + 3, MANUFACTURER_DATA, low, high]);
        tag.copy_from_slice(&self.bytes());
        element
    }

    /// The tag among the elements of advertising data.
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

/// Length of the direct test mode's packets here.
pub const BLE_TEST_BYTES: usize = 37;

/// The first bytes of the PRBS9 sequence (x^9 + x^5 + 1, begun with nine ones), lowest bit first.
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

    /// As every direct test mode sends it.
    #[test]
    fn the_test_sequence() {
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
