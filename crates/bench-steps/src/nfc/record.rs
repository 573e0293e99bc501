//! The text record in the data of a Type 2 tag (NFC Forum: Type 2 Tag, NDEF, Text Record Type Definition).

/// Blocks of the tag's memory.
const FILLER: u8 = 0x00;
const MESSAGE: u8 = 0x03;
const TERMINATOR: u8 = 0xFE;
/// Announces a length of two bytes, which no message of this size needs.
const LONG: u8 = 0xFF;

/// Flags of a record: its length has one byte; it has an identifier; the kind of its type.
const SHORT: u8 = 0x10;
const HAS_ID: u8 = 0x08;
const KIND: u8 = 0x07;
const WELL_KNOWN: u8 = 1;
const TEXT: &[u8] = b"T";
/// Flags of a text: UTF-16; how long the language code is.
const UTF_16: u8 = 0x80;
const LANGUAGE_LENGTH: u8 = 0x3F;

/// Returns the text of the first record of the first message; `None` if there is none, or if it is not text in UTF-8.
pub(super) fn text_in(mut data: &[u8]) -> Option<String> {
    loop {
        data = match *data {
            [FILLER, ref rest @ ..] => rest,
            [TERMINATOR, ..] | [_, LONG, ..] | [_] | [] => return None,
            [MESSAGE, length, ref rest @ ..] => return text_of(rest.get(..usize::from(length))?),
            [_, length, ref rest @ ..] => rest.get(usize::from(length)..)?,
        };
    }
}

fn text_of(message: &[u8]) -> Option<String> {
    let [flags, type_length, payload_length, rest @ ..] = message else { return None };
    if flags & (SHORT | HAS_ID | KIND) != SHORT | WELL_KNOWN {
        return None;
    }
    let (kind, rest) = rest.split_at_checked(usize::from(*type_length))?;
    let (status, rest) = rest.get(..usize::from(*payload_length))?.split_first()?;
    if kind != TEXT || status & UTF_16 != 0 {
        return None;
    }
    let text = rest.get(usize::from(status & LANGUAGE_LENGTH)..)?;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_invalid_records() {
        let good = [0x03, 9, 0xD1, 1, 5, b'T', 2, b'e', b'n', b'h', b'i', 0xFE];
        let with = |place: usize, byte: u8| {
            let mut data = good;
            data[place] = byte;
            text_in(&data)
        };
        assert_eq!(text_in(&good).as_deref(), Some("hi"));
        assert_eq!(text_in(&[&[0, 0, 0x01, 3, 1, 2, 3], &good[..]].concat()).as_deref(), Some("hi"), "after others");
        assert_eq!(with(6, 0).as_deref(), Some("enhi"), "no language");
        // Other kinds of block, record, type and text; lengths beyond the end; invalid UTF-8.
        for (place, byte) in [
            (0, 0xFE),
            (1, 60),
            (1, 0xFF),
            (1, 2),
            (2, 0xD2),
            (2, 0xC1),
            (2, 0xD9),
            (3, 9),
            (4, 6),
            (5, b'U'),
            (6, 0x82),
            (6, 9),
            (9, 0xFF),
        ] {
            assert_eq!(with(place, byte), None, "byte {place} is {byte:#04x}");
        }
        for length in 0..good.len() - 1 {
            assert_eq!(text_in(&good[..length]), None, "{length} bytes");
        }
    }
}
