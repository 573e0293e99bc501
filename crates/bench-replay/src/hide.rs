//! Hides the numbers of modem and card, and a unit's serial number, so that a run may leave its site.
//!
//! A number becomes another one of the same length. The same number always becomes the same, so that comparisons in a
//! step give what they gave, and a right check digit stays right. The country, issuer or type of a number stays.

use crate::instruments::PROGRAMS;
use crate::tape::{Line, Tape};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// Fewer digits in a row are no such number.
const SHORTEST: usize = 8;
/// Digits of an IMEI or IMSI without its last one. Only from here on, a number has a check digit.
const LONG: usize = 14;
/// Digits of an ICCID without its check digit.
const CARD: usize = 18;
const LONGEST_CARD: usize = 22;
/// What an ICCID begins with: its industry, and the same in the card's file, which exchanges the digits of each byte.
const TELECOM: &[u8] = b"89";
const TELECOM_EXCHANGED: &[u8] = b"98";
/// Kept of an ICCID: industry, country and issuer, which plans compare.
const CARD_KEPT: usize = 7;
/// Kept of an IMEI (most of its type) and of an IMSI (country and network).
const LONG_KEPT: usize = 6;
const OTHER_KEPT: usize = 3;
/// Kept of a serial number: the product.
const SERIAL_KEPT: usize = 4;

/// Numbers as they are hidden in one archive.
pub struct Hider {
    key: [u8; 32],
    serial: Option<String>,
    /// Numbers of nobody: blank modems share them, and a step must still recognise them.
    keep: fn(&str) -> bool,
}

impl Hider {
    /// Makes a hider with a key that nobody knows, also not afterwards. Hides this serial number, too, where one is
    /// given. Numbers that `keep` accepts stay as they are.
    pub fn new(serial: Option<&str>, keep: fn(&str) -> bool) -> Self {
        let mut hash = Sha256::new();
        for _ in 0..4 {
            // The system's random numbers are the keys of this.
            hash.update(RandomState::new().build_hasher().finish().to_le_bytes());
        }
        Self { key: hash.finalize().into(), serial: serial.map(str::to_owned), keep }
    }

    /// The serial number as it is written.
    pub fn serial(&self) -> Option<String> {
        let serial = self.serial.as_deref()?;
        let hidden = serial.char_indices().map(|(at, letter)| {
            let pick =
                |first: u8, count: u64| char::from(first + (self.random(&serial.as_bytes()[..at]) % count) as u8);
            match letter {
                _ if at < SERIAL_KEPT => letter,
                '0'..='9' => pick(b'0', 10),
                'a'..='z' | 'A'..='Z' => pick(b'A', 26),
                other => other,
            }
        });
        Some(hidden.collect())
    }

    /// A text with its numbers hidden, and the serial number, if that is to be hidden.
    pub fn text(&self, text: &str) -> String {
        let Some((serial, hidden)) = self.serial.as_deref().zip(self.serial()) else {
            return self.numbers(text);
        };
        text.split(serial).map(|part| self.numbers(part)).collect::<Vec<_>>().join(&hidden)
    }

    /// A text with only the serial number hidden, if that is to be hidden.
    pub fn without_serial(&self, text: &str) -> String {
        match self.serial.as_deref().zip(self.serial()) {
            Some((serial, hidden)) => text.replace(serial, &hidden),
            None => text.to_owned(),
        }
    }

    fn numbers(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        self.bytes(&mut bytes);
        // Digits became digits.
        String::from_utf8(bytes).unwrap_or_default()
    }

    /// Hides every number in what a modem said, in its place.
    fn bytes(&self, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let (places, end) = card(bytes, at).or_else(|| groups(bytes, at)).unwrap_or_else(|| digits(bytes, at));
            if places.len() >= SHORTEST {
                let digits: Vec<u8> = places.iter().map(|place| bytes[*place]).collect();
                places.iter().zip(self.number(&digits)).for_each(|(place, digit)| bytes[*place] = digit);
            }
            at = end.max(at + 1);
        }
    }

    fn number(&self, digits: &[u8]) -> Vec<u8> {
        if str::from_utf8(digits).is_ok_and(self.keep) {
            return digits.to_vec();
        }
        let kept = match digits.len() {
            CARD.. if digits.starts_with(TELECOM) => CARD_KEPT,
            LONG.. => LONG_KEPT,
            _ => OTHER_KEPT,
        };
        let shifted = |(at, digit): (usize, &u8)| {
            // Never by nothing: no piece of the number stays.
            let shift = if at < kept { 0 } else { 1 + self.random(&digits[..at]) % 9 };
            b'0' + ((u64::from(digit - b'0') + shift) % 10) as u8
        };
        let mut hidden: Vec<u8> = digits.iter().enumerate().map(shifted).collect();
        let right = luhn_is_right(digits);
        if digits.len() >= LONG
            && let Some(last) = hidden.len().checked_sub(1)
        {
            for _ in 0..10 {
                if luhn_is_right(&hidden) == right {
                    break;
                }
                hidden[last] = b'0' + (hidden[last] - b'0' + 1) % 10;
            }
        }
        hidden
    }

    fn random(&self, of: &[u8]) -> u64 {
        let hash = Sha256::new().chain_update(self.key).chain_update(of).finalize();
        hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Hides everything in a recording. Bytes of the modem are hidden as the one dialogue that they are: an answer may
    /// end in the middle of a number.
    pub fn tape(&self, tape: &mut Tape) {
        tape.head.imei = tape.head.imei.take().map(|imei| self.text(&imei));
        tape.lines.sort_by_key(|line| match line {
            Line::Exchange(exchange) => exchange.seq,
            _ => 0,
        });
        for name in [SAID, WRITTEN] {
            let mut said = Vec::new();
            each_bytes(tape, name, &mut |bytes| said.extend(bytes.iter().map(byte)));
            self.bytes(&mut said);
            let mut hidden = said.into_iter();
            each_bytes(tape, name, &mut |bytes| {
                bytes.iter_mut().for_each(|byte| *byte = hidden.next().map_or(Value::Null, Value::from));
            });
        }
        for line in &mut tape.lines {
            if let Line::Exchange(exchange) = line
                && exchange.instrument == PROGRAMS
                && let Some(answer) = &mut exchange.answer
            {
                self.said_by_program(answer);
            }
        }
        if let Some((serial, hidden)) = self.serial.as_deref().zip(self.serial()) {
            let (from, to) = (serial.as_bytes(), hidden.as_bytes());
            each_value(tape, &mut |value| replace(value, (serial, &hidden), (from, to)));
        }
    }
}

impl Hider {
    /// Hides numbers in the texts of a program's lines. Its readings are numbers of JSON, and stay.
    fn said_by_program(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                *text = match serde_json::from_str::<Value>(text) {
                    Ok(mut line @ Value::Object(_)) => {
                        self.said_by_program(&mut line);
                        line.to_string()
                    }
                    _ => self.text(text),
                };
            }
            Value::Object(fields) => fields.values_mut().for_each(|value| self.said_by_program(value)),
            Value::Array(values) => values.iter_mut().for_each(|value| self.said_by_program(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Bytes from the modem, and to it.
const SAID: &str = "Modem";
const WRITTEN: &str = "WriteModem";

fn byte(value: &Value) -> u8 {
    value.as_u64().and_then(|byte| u8::try_from(byte).ok()).unwrap_or_default()
}

fn each_value(tape: &mut Tape, visit: &mut dyn FnMut(&mut Value)) {
    for line in &mut tape.lines {
        match line {
            Line::Exchange(exchange) => {
                exchange.arguments.iter_mut().for_each(&mut *visit);
                exchange.answer.iter_mut().for_each(&mut *visit);
            }
            Line::State(state) => visit(&mut state.value),
            Line::Head(_) | Line::Late { .. } | Line::End { .. } => {}
        }
    }
}

/// Visits the bytes of every message of this name, in the order of the calls.
fn each_bytes(tape: &mut Tape, name: &str, visit: &mut dyn FnMut(&mut Vec<Value>)) {
    fn within(value: &mut Value, name: &str, visit: &mut dyn FnMut(&mut Vec<Value>)) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match value.get_mut("bytes") {
                        Some(Value::Array(bytes)) if key == name => visit(bytes),
                        _ => within(value, name, visit),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| within(value, name, visit)),
            _ => {}
        }
    }
    each_value(tape, &mut |value| within(value, name, visit));
}

/// Replaces a text in all texts, and the same bytes in all lists of bytes.
fn replace(value: &mut Value, texts: (&str, &str), bytes: (&[u8], &[u8])) {
    match value {
        Value::String(text) => *text = text.replace(texts.0, texts.1),
        Value::Object(fields) => fields.values_mut().for_each(|value| replace(value, texts, bytes)),
        Value::Array(values) => {
            let plain: Vec<u8> = values.iter().map(byte).collect();
            let found = plain.windows(bytes.0.len()).enumerate().filter(|(_, window)| *window == bytes.0);
            for at in found.map(|(at, _)| at) {
                values.iter_mut().skip(at).zip(bytes.1).for_each(|(value, byte)| *value = Value::from(*byte));
            }
            values.iter_mut().for_each(|value| replace(value, texts, bytes));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Places of digits, in the order of the number, and the end of what was looked at.
type Places = (Vec<usize>, usize);

/// A card's number at `at`. Some issuers use the digits A to F; with F, it is filled up.
fn card(bytes: &[u8], at: usize) -> Option<Places> {
    let end = at + bytes[at..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let mut places: Vec<usize> = (at..end).collect();
    let exchanged = bytes[at..].starts_with(TELECOM_EXCHANGED);
    if !(CARD..=LONGEST_CARD).contains(&places.len()) || !(exchanged || bytes[at..].starts_with(TELECOM)) {
        return None;
    }
    if exchanged {
        places.chunks_exact_mut(2).for_each(<[usize]>::reverse);
    }
    places.retain(|place| bytes[*place].is_ascii_digit());
    (places.len() >= SHORTEST).then_some((places, end))
}

/// A number in groups at `at`, such as "8988 3230 ...", and not one number next to another.
fn groups(bytes: &[u8], at: usize) -> Option<Places> {
    let is_digit = |place: usize| bytes.get(place).is_some_and(u8::is_ascii_digit);
    let mut end = at;
    while is_digit(end) || (end > at && matches!(bytes.get(end), Some(b' ' | b'-')) && is_digit(end + 1)) {
        end += 1;
    }
    let short = bytes[at..end].split(|byte| !byte.is_ascii_digit()).all(|group| group.len() < SHORTEST);
    let places: Vec<usize> = (at..end).filter(|place| is_digit(*place)).collect();
    (short && places.len() >= LONG).then_some((places, end))
}

fn digits(bytes: &[u8], at: usize) -> Places {
    let end = at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    ((at..end).collect(), end)
}

/// Whether the check digit of ISO/IEC 7812 at the end of a number is right.
fn luhn_is_right(digits: &[u8]) -> bool {
    let weighed = digits.iter().rev().enumerate().map(|(n, digit)| {
        let digit = u32::from(digit - b'0') * if n % 2 == 1 { 2 } else { 1 };
        digit / 10 + digit % 10
    });
    weighed.sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hider() -> Hider {
        Hider::new(None, |number| number == "004999010640000")
    }

    #[test]
    fn numbers_keep_their_form() {
        let hider = hider();
        // What is said, what stays at its begin, and what must not remain.
        let rows = [
            ("+CCID: 8988323012345678901\r\n", "+CCID: 8988323", "012345678901"),
            ("+QCCID: 89883230123456789019F\r\n", "+QCCID: 8988323", "0123456789019"),
            ("\r\n490154203237518\r\n", "\r\n490154", "203237518"),
            ("310170123456789", "310170", "123456789"),
            ("8988 3230 1234 5678 901", "8988 323", "1234"),
            ("+CCID: 8988323390D69436558\r\n", "+CCID: 8988323", "69436558"),
            // As the card's file holds it: 8988323012345678901, and a filling digit.
            ("+CRSM: 144,0,\"988823032143658709F1\"", "+CRSM: 144,0,\"988823", "2143658709"),
            ("490154203237518 1", "490154", "203237518"),
            ("+CNUM: ,\"+491701234567\",145", "+CNUM: ,\"+491", "1701234567"),
        ];
        for (said, kept, gone) in rows {
            let hidden = hider.text(said);
            assert!(hidden.starts_with(kept) && !hidden.contains(gone), "{said}: {hidden}");
            assert_eq!(hidden.len(), said.len());
            assert_eq!(hidden, hider.text(said), "the same again");
            assert_ne!(hidden, self::hider().text(said), "another archive has another key");
        }
        for said in ["004999010640000", "AT+IPR=115200", "31.12.2026 10:11:12", "EG91EFBR06A08M4G", "2026-11-29 13:05"]
        {
            assert_eq!(hider.text(said), said);
        }
    }

    #[test]
    fn a_program_s_readings_stay() {
        let line = r#"{"id":1,"measured":"ratio","value":0.07109138972809667}"#;
        let mut answer = serde_json::json!({ "Ok": { "line": line } });
        hider().said_by_program(&mut answer);
        let said: Value = serde_json::from_str(answer["Ok"]["line"].as_str().unwrap()).unwrap();
        assert_eq!(said, serde_json::from_str::<Value>(line).unwrap());
        let mut answer = serde_json::json!({ "Ok": { "line": r#"{"id":1,"note":"card 8988323012345678901"}"# } });
        hider().said_by_program(&mut answer);
        assert!(!answer.to_string().contains("012345678901"), "{answer}");
    }

    #[test]
    fn a_serial_number_keeps_its_product() {
        let hider = Hider::new(Some("P042AN0000DEMO1"), |_| false);
        let hidden = hider.serial().unwrap();
        assert!(hidden.starts_with("P042") && hidden != "P042AN0000DEMO1" && hidden.len() == 15, "{hidden}");
        assert_eq!(hider.text("of P042AN0000DEMO1, again"), format!("of {hidden}, again"));
    }

    proptest! {
        #[test]
        fn no_piece_of_a_number_stays(number in "89[0-9]{16,18}|[0-9]{14,17}|[0-9]{8,13}") {
            let hidden = hider().text(&number);
            prop_assert_eq!(hidden.len(), number.len());
            let (number, hidden) = (number.as_bytes(), hidden.as_bytes());
            if number.len() >= LONG {
                prop_assert_eq!(luhn_is_right(number), luhn_is_right(hidden));
            }
            let same = |at: usize| number[at..at + SHORTEST] == hidden[at..at + SHORTEST];
            prop_assert!(!(0..=number.len() - SHORTEST).any(same));
        }
    }
}
