//! A hash chain: each line confirms itself and every line before it.
//!
//! A line ends with `,"chain":"<sha256>"}`. The hash covers the chain value of the previous line (its 64 characters;
//! none for the first line) and the bytes of this line up to the comma before `"chain"`. The value of the last line is
//! the seal of the whole journal: a copy kept elsewhere proves later that nothing was changed, not even with recomputed
//! hashes.

use sha2::{Digest, Sha256};

const BEFORE: &[u8] = b",\"chain\":\"";
const BEHIND: &[u8] = b"\"}\n";
const HEX: usize = 64;

/// The chain up to the last line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    last: Option<[u8; HEX]>,
}

impl Chain {
    /// Makes a complete line of a JSON object, with its chain value and a line end.
    pub(crate) fn forge(&mut self, object: &mut Vec<u8>) {
        // The object's closing brace is added again after the value.
        object.pop();
        let value = self.next(object);
        object.extend_from_slice(BEFORE);
        object.extend_from_slice(&value);
        object.extend_from_slice(BEHIND);
        self.last = Some(value);
    }

    /// Whether a complete line, its line end included, is the next link. A line that is not breaks the chain
    /// permanently.
    pub(crate) fn accept(&mut self, line: &[u8]) -> bool {
        let Some(object) = line.strip_suffix(BEHIND) else { return false };
        let Some((object, value)) = object.split_last_chunk::<HEX>() else { return false };
        let Some(object) = object.strip_suffix(BEFORE) else { return false };
        let expected = self.next(object);
        self.last = Some(expected);
        *value == expected
    }

    /// Chain value of the last line, in hexadecimal.
    pub(crate) fn value(&self) -> Option<String> {
        self.last.map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    fn next(&self, object: &[u8]) -> [u8; HEX] {
        let mut hash = Sha256::new();
        if let Some(last) = self.last {
            hash.update(last);
        }
        hash.update(object);
        let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
        let mut hex = [0; HEX];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(hash.finalize()) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte)]);
        }
        hex
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_matches_the_documentation() {
        let mut chain = Chain::default();
        let mut first = b"{\"v\":2}".to_vec();
        chain.forge(&mut first);
        let mut second = b"{\"v\":2,\"seq\":1}".to_vec();
        chain.forge(&mut second);
        // printf '{"v":2' | sha256sum; printf '%s{"v":2,"seq":1' "$FIRST" | sha256sum
        let of_first = "d1d97ca534f4da443f7c1f0ec4025916cfaaf5662a7af63caaabe7a78f38d7ae";
        let of_second = "0aaa2d2c5ac9be77db1d7e75aa36fa4c78548ced1c2bc1deea0bb1a14f860509";
        assert_eq!(String::from_utf8_lossy(&first), format!("{{\"v\":2,\"chain\":\"{of_first}\"}}\n"));
        assert_eq!(String::from_utf8_lossy(&second), format!("{{\"v\":2,\"seq\":1,\"chain\":\"{of_second}\"}}\n"));
        let mut reader = Chain::default();
        assert!(reader.accept(&first) && reader.accept(&second));
        assert_eq!(reader.value().as_deref(), Some(of_second));
        assert!(!Chain::default().accept(&second), "the first line is missing");
        for line in [&b""[..], b"\n", b"{}\n", b",\"chain\":\"\"}\n"] {
            assert!(!Chain::default().accept(line));
        }
    }
}
