//! A fingerprint of the message table.

use crate::{ADC_MAX_SAMPLES, BUS_MAX_BYTES, MAX_PAYLOAD, PROTOCOL_VERSION, Reply, Request, SPI_MAX_BYTES};
use postcard_schema::key::hash::fnv1a64::hash_ty_path;

/// Fingerprint of the requests, the replies and the sizes they may have, computed from the types by the compiler.
///
/// Firmware and bench compare it in [`Request::Hello`]: a bench built from another table than the firmware is told so
/// in the first exchange instead of reading one message as another. Names of variants and fields, their order and
/// their types go in; names of types do not.
pub const fn schema_hash() -> u64 {
    SCHEMA_HASH
}

const SCHEMA_HASH: u64 = {
    let types = u64::from_le_bytes(hash_ty_path::<(Request, Reply)>("dut-protocol"));
    // The type hash knows that a list is a list, not how long it may get.
    let mut hash = types;
    let sizes = [
        PROTOCOL_VERSION as u64,
        SPI_MAX_BYTES as u64,
        ADC_MAX_SAMPLES as u64,
        MAX_PAYLOAD as u64,
        BUS_MAX_BYTES as u64,
    ];
    let mut n = 0;
    while n < sizes.len() {
        hash = (hash ^ sizes[n]).wrapping_mul(0x0000_0100_0000_01b3); // one step of 64-bit FNV-1a, a word at a time
        n += 1;
    }
    hash
};

#[cfg(test)]
mod tests {
    use super::*;
    use postcard_schema::Schema;

    #[derive(Schema)]
    #[allow(dead_code)]
    struct Settle {
        settle_us: u16,
    }
    #[derive(Schema)]
    #[allow(dead_code)]
    struct Renamed {
        settle_ms: u16,
    }
    #[derive(Schema)]
    #[allow(dead_code)]
    struct Widened {
        settle_us: u32,
    }

    #[test]
    fn another_table_has_another_hash() {
        let hash = |bytes: [u8; 8]| u64::from_le_bytes(bytes);
        let one = hash(hash_ty_path::<Settle>("x"));
        assert_ne!(one, hash(hash_ty_path::<Renamed>("x")));
        assert_ne!(one, hash(hash_ty_path::<Widened>("x")));
        assert_ne!(hash(hash_ty_path::<(Request, Reply)>("x")), hash(hash_ty_path::<(Reply, Request)>("x")));
    }

    /// A reminder, not a law: whoever changes a message sees here that firmware and bench must be released together.
    #[test]
    fn the_table_of_this_version() {
        assert_eq!(PROTOCOL_VERSION, 2);
        assert_eq!(schema_hash(), 0x0f05_23c4_a553_423b);
    }
}
