//! The tag from a reader's side; a third-party parser reads its message.

use dut_protocol::{TAG_BYTES, TAG_DATA, TAG_READ, Tag, TagAnswer};
use ndef_rs::{NdefMessage, TNF};

const ID: [u8; 7] = [0x5F, 1, 2, 3, 4, 5, 6];

fn read(tag: &Tag, block: u8) -> [u8; 16] {
    match tag.answer(&[TAG_READ, block]) {
        TagAnswer::Bytes(bytes) => bytes,
        other => panic!("block {block}: {other:?}"),
    }
}

#[test]
fn the_message_is_a_text_with_the_number() {
    for (nonce, text) in [
        (0, "dut 0000000000000000"),
        (0x0123_4567_89AB_CDEF, "dut 0123456789abcdef"),
        (u64::MAX, "dut ffffffffffffffff"),
    ] {
        let tag = Tag::new(ID, nonce);
        let memory: Vec<u8> = (0..TAG_BYTES as u8 / 4).step_by(4).flat_map(|block| read(&tag, block)).collect();
        let [0x03, length, rest @ ..] = &memory[TAG_DATA..] else { panic!("{memory:02x?}") };
        let (message, after) = rest.split_at(usize::from(*length));
        assert_eq!(after[0], 0xFE, "terminator");
        let message = NdefMessage::decode(message).unwrap();
        let [record] = message.records() else { panic!("{message:?}") };
        assert_eq!((record.tnf(), record.record_type()), (TNF::WellKnown, &b"T"[..]));
        // A text record begins with the length of its language code (NFC Forum, Text Record Type Definition).
        assert_eq!(record.payload(), [b"\x02en", text.as_bytes()].concat());
    }
}

#[test]
fn identifier_locks_and_capabilities() {
    let head = read(&Tag::new(ID, 1), 0);
    assert_eq!(head[..4], [0x5F, 1, 2, 0x88 ^ 0x5F ^ 1 ^ 2]);
    assert_eq!(head[4..9], [3, 4, 5, 6, 3 ^ 4 ^ 5 ^ 6]);
    assert_eq!(head[10..], [0xFF, 0xFF, 0xE1, 0x10, 4, 0x0F]);
}

#[test]
fn commands() {
    let tag = Tag::new(ID, 1);
    let (first, last) = (read(&tag, 0), read(&tag, 11));
    assert_eq!(last[4..], first[..12], "continues at the beginning");
    let rows: [(&[u8], TagAnswer); 6] = [
        (&[0x50, 0x00], TagAnswer::Halt),
        (&[TAG_READ, 12], TagAnswer::Silence),
        (&[TAG_READ], TagAnswer::Silence),
        (&[0x60], TagAnswer::Silence),
        (&[0xA2, 4, 1, 2, 3, 4], TagAnswer::Silence),
        (&[], TagAnswer::Silence),
    ];
    for (command, answer) in rows {
        assert_eq!(tag.answer(command), answer, "{command:02x?}");
    }
}
