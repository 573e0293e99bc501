//! Reads what a scanner sends: keeps the serial number and drops the mobile secret next to it at once.
//!
//! The label's code holds the serial number, a space and the mobile secret. The secret never leaves this module: texts
//! that may hold it are wiped when they are dropped, and nothing here shows or returns more than the first part.

use zeroize::Zeroizing;

/// Characters of a serial number.
pub const SERIAL_LENGTH: usize = 15;
/// More than any label holds. A longer text is refused as a whole.
const LONGEST_SCAN: usize = 128;

/// What was scanned is no serial number of a module for this plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanProblem {
    /// Neither length nor letters are those of a serial number.
    NoSerial,
    /// A serial number, of another model; its first four characters.
    OtherPrefix(String),
}

/// Reads a module's label. `prefixes` are those of the plan's model; without any, every prefix is good.
pub fn read_label(text: &str, prefixes: &[String]) -> Result<String, ScanProblem> {
    // A scanner that types with the shift lock on sends the letters in lower case.
    let serial = first_part(text).to_ascii_uppercase();
    if serial.len() != SERIAL_LENGTH || !serial.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(ScanProblem::NoSerial);
    }
    if !prefixes.is_empty() && !prefixes.iter().any(|prefix| serial.starts_with(prefix.as_str())) {
        return Err(ScanProblem::OtherPrefix(serial[..4].to_owned()));
    }
    Ok(serial)
}

/// Everything up to the first white space; what follows is secret.
pub fn first_part(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// Characters that were typed, or sent by a scanner that poses as a keyboard, up to the next Enter.
#[derive(Default)]
pub struct Typed {
    text: Zeroizing<String>,
    too_long: bool,
}

impl Typed {
    pub fn push(&mut self, character: char) {
        // Reserved at once: a text that grows leaves copies behind that are not wiped.
        if self.text.capacity() == 0 {
            self.text.reserve_exact(4 * LONGEST_SCAN);
        }
        if self.text.chars().count() >= LONGEST_SCAN {
            self.too_long = true;
        } else if !character.is_control() {
            self.text.push(character);
        }
    }

    pub fn pop(&mut self) {
        self.text.pop();
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What may be shown of it.
    pub fn shown(&self) -> &str {
        first_part(&self.text)
    }

    /// How many characters were typed, for text that must not be shown at all.
    pub fn count(&self) -> usize {
        self.text.chars().count()
    }

    /// The whole, once; `None` when it was longer than any label.
    pub fn take(&mut self) -> Option<Zeroizing<String>> {
        let Self { text, too_long } = std::mem::take(self);
        (!too_long).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        let prefixes = ["P042".to_owned(), "P043".to_owned()];
        let other = |prefix: &str| Err(ScanProblem::OtherPrefix(prefix.to_owned()));
        let rows = [
            ("P042AN0000DEMO1 TOPSECRETTOPSECRET", Ok("P042AN0000DEMO1".to_owned())),
            ("P042AN0000DEMO1", Ok("P042AN0000DEMO1".to_owned())),
            ("  p042an0000demo1\tsecret ", Ok("P042AN0000DEMO1".to_owned())),
            ("P043AN0000DEMO1 x", Ok("P043AN0000DEMO1".to_owned())),
            ("P006AN0000DEMO1 x", other("P006")),
            ("4006381333931", Err(ScanProblem::NoSerial)),
            ("", Err(ScanProblem::NoSerial)),
            (" ", Err(ScanProblem::NoSerial)),
            ("P042AN0000DEM-1", Err(ScanProblem::NoSerial)),
            ("P042AN0000DEMÖ1", Err(ScanProblem::NoSerial)),
            ("P042AN0000DEMÖ", Err(ScanProblem::NoSerial)),
            ("P042AN0000DEMO12", Err(ScanProblem::NoSerial)),
        ];
        for (text, expected) in rows {
            assert_eq!(read_label(text, &prefixes), expected, "{text:?}");
        }
        assert_eq!(read_label("X999AN0000DEMO1", &[]), Ok("X999AN0000DEMO1".to_owned()));
    }

    #[test]
    fn what_is_typed_shows_no_secret_and_has_an_end() {
        let mut typed = Typed::default();
        "P042AN0000DEMO1 SECRET".chars().for_each(|c| typed.push(c));
        assert_eq!(typed.shown(), "P042AN0000DEMO1");
        assert_eq!(typed.take().as_deref().map(String::as_str), Some("P042AN0000DEMO1 SECRET"));
        assert!(typed.is_empty());
        (0..10_000).for_each(|_| typed.push('x'));
        assert_eq!(typed.count(), LONGEST_SCAN);
        assert_eq!(typed.take(), None);
    }
}
