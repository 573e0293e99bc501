//! Bytes as hexadecimal digits.

/// Returns two lower-case digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the bytes of exactly `2 * N` digits; `None` for any other text.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_are_read_back() {
        assert_eq!(unhex::<2>(&hex(&[0, 0xAF])), Some([0, 0xAF]));
        for wrong in ["", "00a", "00aff0", "+0af", "00ag", "\u{e9}a0"] {
            assert_eq!(unhex::<2>(wrong), None, "{wrong}");
        }
    }
}
