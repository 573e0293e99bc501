//! Serial numbers of units: the one function that makes them from a text.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Serial number of a unit: 15 capital letters and digits, such as P042AN0000DEMO1.
///
/// Only [`SerialNumber::parse`] makes one, so that a unit has one name however its label was read or typed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialNumber(String);

/// What keeps a text from being a serial number.
///
/// Holds no part of the text but a character that neither a serial number nor a secret has: the text may be the mobile
/// secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SerialProblem {
    Empty,
    /// So many characters are missing.
    TooShort {
        missing: usize,
    },
    /// So many characters are too many.
    TooLong {
        extra: usize,
    },
    /// Neither an ASCII letter nor an ASCII digit; its place, from 1.
    Character {
        character: char,
        place: usize,
    },
    /// A serial number and something after it: the whole code of a label, with the mobile secret.
    MoreThanOnePart,
}

impl SerialNumber {
    /// Characters of a serial number.
    pub const LENGTH: usize = 15;
    /// Characters at its beginning that name the model.
    pub const PREFIX: usize = 4;

    /// Reads a serial number as it was typed or scanned. White space and control characters around it do not count, nor
    /// does the symbology that a scanner puts before it (`]d1`), nor the case of its letters.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, SerialProblem> {
        let text = without_symbology(text);
        let (first, rest) = text.split_once(is_gap).unwrap_or((text, ""));
        let length = first.chars().count();
        if let Some((at, character)) = first.chars().enumerate().find(|(_, c)| !c.is_ascii_alphanumeric()) {
            return Err(SerialProblem::Character { character, place: at + 1 });
        }
        match length {
            0 => Err(SerialProblem::Empty),
            1..Self::LENGTH => Err(SerialProblem::TooShort { missing: Self::LENGTH - length }),
            Self::LENGTH if rest.is_empty() => Ok(Self(first.to_ascii_uppercase())),
            Self::LENGTH => Err(SerialProblem::MoreThanOnePart),
            _ => Err(SerialProblem::TooLong { extra: length - Self::LENGTH }),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The characters that name the model.
    pub fn prefix(&self) -> &str {
        self.0.get(..Self::PREFIX).unwrap_or_default()
    }
}

/// The name of a unit in records: a serial number in capital letters, any other text as it is. Records from before
/// serial numbers were normalised may hold small letters.
pub fn unit_name(text: &str) -> Cow<'_, str> {
    match SerialNumber::parse(text) {
        Ok(serial) if serial.as_str() != text => Cow::Owned(serial.0),
        _ => Cow::Borrowed(text),
    }
}

/// The text without white space and control characters around it, and without the AIM identifier of the code's symbology
/// that many scanners put before it: `]`, a letter and a letter or digit.
pub fn without_symbology(text: &str) -> &str {
    let text = text.trim_matches(is_gap);
    let mut characters = text.chars();
    let starts = (characters.next(), characters.next(), characters.next());
    match starts {
        (Some(']'), Some(code), Some(modifier)) if code.is_ascii_alphabetic() && modifier.is_ascii_alphanumeric() => {
            characters.as_str().trim_start_matches(is_gap)
        }
        _ => text,
    }
}

fn is_gap(character: char) -> bool {
    character.is_whitespace() || character.is_control()
}

impl FromStr for SerialNumber {
    type Err = SerialProblem;
    fn from_str(text: &str) -> Result<Self, SerialProblem> {
        Self::parse(text)
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for SerialProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (length, plural) = (SerialNumber::LENGTH, |count: usize| if count == 1 { "" } else { "s" });
        write!(f, "a serial number has {length} letters and digits, such as P042AN0000DEMO1; ")?;
        match *self {
            Self::Empty => f.write_str("this one is empty"),
            Self::TooShort { missing } => write!(f, "this one is {missing} character{} too short", plural(missing)),
            Self::TooLong { extra } => write!(f, "this one is {extra} character{} too long", plural(extra)),
            Self::Character { character, place } => {
                write!(f, "character {place} of this one is {}", character_name(character))
            }
            Self::MoreThanOnePart => f.write_str("after this one comes more, which may be the mobile secret"),
        }
    }
}

impl std::error::Error for SerialProblem {}

/// A character for people: as it is if it can be seen, else by its number.
pub fn character_name(character: char) -> String {
    let seen = character.is_alphanumeric() || character.is_ascii_punctuation();
    if seen { format!("`{character}`") } else { format!("U+{:04X}", u32::from(character)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "P042AN0000DEMO1";

    #[test]
    fn texts_and_what_they_are() {
        use SerialProblem::{Character, Empty, MoreThanOnePart, TooLong, TooShort};
        let rows = [
            (GOOD, Ok(GOOD)),
            ("p042an0000demo1", Ok(GOOD)),
            ("P042aN0000DeMO1", Ok(GOOD)),
            (" \tP042AN0000DEMO1\r\n", Ok(GOOD)),
            ("\u{2}P042AN0000DEMO1\u{3}\0", Ok(GOOD)),
            ("]d1P042AN0000DEMO1", Ok(GOOD)),
            ("]C1\u{1d}p042an0000demo1", Ok(GOOD)),
            ("]D1P042AN0000DEMO1", Ok(GOOD)),
            ("X999AN0000DEMO1", Ok("X999AN0000DEMO1")),
            ("", Err(Empty)),
            (" \u{1d} ", Err(Empty)),
            ("]d1", Err(Empty)),
            ("P042AN0000DEMO", Err(TooShort { missing: 1 })),
            ("x", Err(TooShort { missing: 14 })),
            ("P042AN0000DEMO12", Err(TooLong { extra: 1 })),
            ("P042AN0000DEM-1", Err(Character { character: '-', place: 14 })),
            ("P042AN0000DEMÖ1", Err(Character { character: 'Ö', place: 14 })),
            ("]d1]d1P042AN0000DEMO1", Err(Character { character: ']', place: 1 })),
            // A letter that becomes an ASCII one in capitals, and a digit of another script.
            ("P042AN0000DEMOı", Err(Character { character: 'ı', place: 15 })),
            ("P042AN0000DEMO١", Err(Character { character: '١', place: 15 })),
            ("P042AN0000DEMO1 SECRET", Err(MoreThanOnePart)),
            ("P042AN0000DEMO1\u{1d}SECRET", Err(MoreThanOnePart)),
        ];
        for (text, expected) in rows {
            let parsed = SerialNumber::parse(text);
            assert_eq!(parsed.as_ref().map(SerialNumber::as_str).map_err(|problem| *problem), expected, "{text:?}");
        }
    }

    #[test]
    fn a_unit_has_one_name_and_other_texts_stay() {
        for (text, name) in [
            ("p042an0000demo1", GOOD),
            (GOOD, GOOD),
            ("golden", "golden"),
            ("", ""),
            ("p042an0000demo", "p042an0000demo"),
        ] {
            assert_eq!(unit_name(text), name);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_serial_number_or_says_why_without_its_words(text in any::<String>()) {
            match SerialNumber::parse(&text) {
                Ok(serial) => {
                    prop_assert_eq!(serial.as_str().len(), SerialNumber::LENGTH);
                    prop_assert_eq!(SerialNumber::parse(serial.as_str()), Ok(serial));
                }
                Err(problem) => prop_assert!(!problem.to_string().contains('\n')),
            }
        }

        #[test]
        fn no_problem_shows_letters_or_digits_of_the_text(secret in "[A-Z0-9]{6,40}", gap in "[ \t,-]") {
            for text in [secret.clone(), format!("{secret}{gap}{GOOD}"), format!("{GOOD}{gap}{secret}")] {
                if let Err(problem) = SerialNumber::parse(&text) {
                    let said = format!("{problem} {problem:?}");
                    prop_assert!(!said.contains(&secret), "{said}");
                }
            }
        }
    }
}
