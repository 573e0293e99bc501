//! A fingerprint of the message table.

use crate::check::{
    ACQUISITION_TIMES_US, I2C_ADDRESSES, LINK_PORTS, MAX_BUSY_MS, MAX_FLOW_MS, MAX_FLOW_PAUSE_MS, MAX_JOB_MS,
    MAX_PRESS_MS, MAX_SETTLE_US, NFC_PORTS, PWM_HZ, RESERVED_PORTS, SPI_KILOHERTZ,
};
use crate::{
    ADC_MAX_SAMPLES, BAUD_TRIAL_MS, BLE_CHANNEL_MHZ, BLE_CHANNELS, BLE_COMPANY, BLE_POWERS_DBM, BLE_TEST_BYTES,
    BUS_MAX_BYTES, CRYSTAL_LED_HZ, CRYSTAL_START_MS, DEFAULT_LINK_TIMEOUT_MS, EDGE_CHANNELS, FLASH_MAX_BYTES,
    FLOW_BUFFER_BYTES, INITIAL_BAUD, MAX_CRYSTAL_PERIODS, MAX_FRAME, MAX_PAYLOAD, MODEM_BAUDS, MODEM_BUFFER_BYTES,
    MODEM_MAX_BYTES, PROTOCOL_VERSION, PWM_OUTPUTS, PWM_UNITS, RETAINED_BYTES, RX_DRIVEN_AFTER_MS, RX_DRIVEN_MS, Reply,
    Request, SPI_MAX_BYTES, SUPPORTED_BAUDS, TAG_BYTES, TAG_DATA, TAG_ID_BYTES, TAG_READ, TAG_READ_BYTES, TAG_TEXT,
    TX_LENT_MS, UNASKED, WATCHDOG_MS,
};
use postcard_schema::key::hash::fnv1a64::hash_ty_path;

/// Fingerprint of the protocol. The compiler computes it from the types of requests and replies and from every constant
/// on which bench and firmware must agree.
///
/// Firmware and bench compare it in [`Request::Hello`]: the first exchange detects different protocols, before a
/// message could be misread as another. Names of variants and fields, their order and their types count; names of types
/// do not.
pub const fn schema_hash() -> u64 {
    SCHEMA_HASH
}

const SCHEMA_HASH: u64 = {
    let types = u64::from_le_bytes(hash_ty_path::<(Request, Reply)>("dut-protocol"));
    // The type hash covers neither the capacity of a list nor the meaning of a number.
    let mut hash = types;
    let mut constant = 0;
    while constant < CONSTANTS.len() {
        let (name, values) = CONSTANTS[constant];
        hash = with_bytes(hash, name.as_bytes());
        let mut value = 0;
        while value < values.len() {
            hash = with_bytes(hash, &values[value].to_le_bytes());
            value += 1;
        }
        constant += 1;
    }
    hash
};

/// 64-bit FNV-1a.
const fn with_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut n = 0;
    while n < bytes.len() {
        hash = (hash ^ bytes[n] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        n += 1;
    }
    hash
}

/// Names and values of constants: single numbers, then lists.
macro_rules! constants {
    ($($number:ident),*; $($list:ident),*) => {
        &[
            $((stringify!($number), &[$number as i64]),)*
            $((stringify!($list), &{
                let mut values = [0; $list.len()];
                let mut n = 0;
                while n < values.len() {
                    values[n] = $list[n] as i64;
                    n += 1;
                }
                values
            }),)*
        ]
    };
}

const PORTS: [u64; 3] = [LINK_PORTS.0, RESERVED_PORTS.0, NFC_PORTS.0];
const PWM_HZ_ENDS: [u32; 2] = [*PWM_HZ.start(), *PWM_HZ.end()];
const I2C_ADDRESS_ENDS: [u8; 2] = [*I2C_ADDRESSES.start(), *I2C_ADDRESSES.end()];
const TAG_TEXT_BYTES: &[u8] = TAG_TEXT.as_bytes();

/// Every public constant of the protocol. A test detects missing ones.
const CONSTANTS: &[(&str, &[i64])] = constants![
    PROTOCOL_VERSION, INITIAL_BAUD, MAX_PAYLOAD, MAX_FRAME, UNASKED, SPI_MAX_BYTES, ADC_MAX_SAMPLES, FLASH_MAX_BYTES,
    BUS_MAX_BYTES, FLOW_BUFFER_BYTES, MODEM_MAX_BYTES, MODEM_BUFFER_BYTES, EDGE_CHANNELS, PWM_UNITS, PWM_OUTPUTS,
    CRYSTAL_LED_HZ, CRYSTAL_START_MS, MAX_CRYSTAL_PERIODS, WATCHDOG_MS, RETAINED_BYTES, TX_LENT_MS, RX_DRIVEN_AFTER_MS, RX_DRIVEN_MS, BAUD_TRIAL_MS,
    DEFAULT_LINK_TIMEOUT_MS, MAX_SETTLE_US, MAX_JOB_MS, MAX_BUSY_MS, MAX_PRESS_MS, MAX_FLOW_PAUSE_MS, MAX_FLOW_MS,
    BLE_COMPANY, BLE_TEST_BYTES, TAG_ID_BYTES, TAG_BYTES, TAG_READ_BYTES, TAG_READ, TAG_DATA;
    SUPPORTED_BAUDS, MODEM_BAUDS, ACQUISITION_TIMES_US, SPI_KILOHERTZ, BLE_CHANNELS, BLE_CHANNEL_MHZ, BLE_POWERS_DBM, PORTS,
    PWM_HZ_ENDS, I2C_ADDRESS_ENDS, TAG_TEXT_BYTES
];

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
        let original = hash(hash_ty_path::<Settle>("x"));
        assert_ne!(original, hash(hash_ty_path::<Renamed>("x")));
        assert_ne!(original, hash(hash_ty_path::<Widened>("x")));
        assert_ne!(hash(hash_ty_path::<(Request, Reply)>("x")), hash(hash_ty_path::<(Reply, Request)>("x")));
    }

    /// Constants with a different name in the table.
    const OTHER_NAMES: [(&str, &str); 6] = [
        ("PWM_HZ", "PWM_HZ_ENDS"),
        ("I2C_ADDRESSES", "I2C_ADDRESS_ENDS"),
        ("LINK_PORTS", "PORTS"),
        ("RESERVED_PORTS", "PORTS"),
        ("NFC_PORTS", "PORTS"),
        ("TAG_TEXT", "TAG_TEXT_BYTES"),
    ];

    #[test]
    fn every_public_constant_is_in_the_hash() {
        let sources = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
        let mut names = std::vec::Vec::new();
        for source in sources {
            let text = std::fs::read_to_string(source.unwrap().path()).unwrap();
            // Constants of an `impl` are indented and do not count: they follow from the types.
            let constants = text.lines().filter_map(|line| line.strip_prefix("pub const "));
            let constants = constants.filter_map(|rest| rest.split_once(':')).filter(|(name, _)| !name.contains('('));
            names.extend(constants.map(|(name, _)| std::string::String::from(name)));
        }
        assert!(names.len() > 40, "{names:?}");
        for name in names {
            let entry = OTHER_NAMES.iter().find(|(constant, _)| *constant == name).map_or(name.as_str(), |row| row.1);
            assert!(CONSTANTS.iter().any(|(constant, _)| *constant == entry), "{name} is not in the hash");
        }
    }

    /// A failure is a reminder: the protocol changed, so firmware and bench must be released together.
    #[test]
    fn this_version_has_this_hash() {
        assert_eq!(PROTOCOL_VERSION, 4);
        assert_eq!(schema_hash(), 0xedc0_c26e_2b4a_0133);
    }
}
