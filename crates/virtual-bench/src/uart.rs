//! Reception of a byte that was sent at another rate than the receiver's.

/// A byte as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    pub byte: u8,
    /// The stop bit was missing.
    pub framing_error: bool,
}

/// Start bit, eight data bits, stop bit.
pub const BITS_PER_BYTE: u64 = 10;

/// Time that a byte takes on the wire.
pub fn byte_ns(baud: u32) -> u64 {
    (BITS_PER_BYTE * 1_000_000_000).div_ceil(u64::from(baud.max(1)))
}

/// Samples the sender's bits in the middle of the receiver's bit times. The line is idle (high) before and after; bytes
/// that a much faster receiver would see after it are dropped.
pub fn receive(byte: u8, sender_baud: u32, receiver_baud: u32) -> Received {
    let ratio = f64::from(sender_baud) / f64::from(receiver_baud.max(1));
    let level_at = |receiver_bit: u32| match ((f64::from(receiver_bit) + 0.5) * ratio) as u32 {
        0 => false,
        bit @ 1..=8 => byte >> (bit - 1) & 1 == 1,
        _ => true,
    };
    let byte = (0..8).fold(0, |byte, bit| byte | u8::from(level_at(bit + 1)) << bit);
    Received { byte, framing_error: !level_at(9) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates() {
        let garbage = |byte, framing_error| Received { byte, framing_error };
        for (sender, receiver, byte, expected) in [
            (115_200, 115_200, 0x55, garbage(0x55, false)),
            (1_000_000, 1_000_000, 0x00, garbage(0x00, false)),
            // Twice as fast: every second bit.
            (230_400, 115_200, 0b0101_0011, garbage(0b1111_1110, false)),
            // Half as fast: every bit twice, and the start bit stretches into the data.
            (115_200, 230_400, 0x00, garbage(0x00, true)),
            (115_200, 230_400, 0xFF, garbage(0xFE, false)),
        ] {
            assert_eq!(receive(byte, sender, receiver), expected, "{byte:#04x} at {sender}, heard at {receiver}");
        }
        assert_eq!((byte_ns(1_000_000), byte_ns(115_200)), (10_000, 86_806));
    }

    proptest! {
        #[test]
        fn three_percent_do_no_harm(byte: u8, off in -30i64..=30) {
            let receiver = (1_000_000 + off * 1000) as u32;
            prop_assert_eq!(receive(byte, 1_000_000, receiver), Received { byte, framing_error: false });
        }
        #[test]
        fn ten_percent_show(off in prop_oneof![-300i64..=-100, 100i64..=300]) {
            // Bits that all differ from their neighbours.
            let receiver = (1_000_000 + off * 1000) as u32;
            let heard = receive(0x55, 1_000_000, receiver);
            prop_assert!(heard.byte != 0x55 || heard.framing_error);
        }
    }
}
