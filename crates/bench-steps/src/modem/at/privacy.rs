//! Which of a modem's numbers a record may contain.

use super::{Answer, unsolicited};
use sha2::{Digest, Sha256};

/// How ICCID, IMSI, IMEI and telephone numbers are recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Privacy {
    Full,
    /// The first ten bytes of the SHA-256, to recognise a known number. A search of all numbers reveals it.
    Hashed,
    #[default]
    LastFour,
}

/// Commands and unsolicited results whose values are such numbers, whatever they look like.
const NUMBERS: [&str; 10] =
    ["+CGSN", "+GSN", "+CIMI", "+CCID", "+QCCID", "+ICCID", "+CRSM", "+CNUM", "+CLIP", "+UUICCID"];

/// In any other line, a word of so many hexadecimal digits, most of them decimal, is such a number.
const LONG: usize = 14;
const DECIMAL: usize = 10;

impl Privacy {
    /// Returns the lines of an answer, with the numbers written as the setting says.
    pub(super) fn lines(self, command: &str, answer: &Answer) -> Vec<String> {
        let is_number = NUMBERS.contains(&unsolicited::name_of(command));
        // A number that an unsolicited line tore is in several lines: none of them is shown.
        let whole = answer.lines.len() == 1;
        answer.lines.iter().map(|line| if is_number { self.field(line, whole) } else { self.line(line) }).collect()
    }

    /// Returns an unsolicited line, or part of a message, in the same way.
    pub fn line(self, line: &str) -> String {
        match unsolicited::named(line) {
            Some((name, _)) if NUMBERS.contains(&name) => self.field(line, true),
            _ => self.long_words(line),
        }
    }

    /// A line whose value is a number: "+CCID: 8988..." or the digits alone.
    fn field(self, line: &str, whole: bool) -> String {
        if self == Privacy::Full {
            return line.to_owned();
        }
        let (name, value) = unsolicited::named(line).unwrap_or(("", line));
        let hidden = if whole { self.hide(value) } else { "...".to_owned() };
        if name.is_empty() { hidden } else { format!("{name}: {hidden}") }
    }

    fn long_words(self, text: &str) -> String {
        if self == Privacy::Full {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let is_long = word.len() >= LONG
                && word.bytes().all(|byte| byte.is_ascii_hexdigit())
                && word.bytes().filter(u8::is_ascii_digit).count() >= DECIMAL;
            out.push_str(&if is_long { self.hide(word) } else { word.to_owned() });
            let next = after.find(|c: char| c.is_ascii_alphanumeric()).unwrap_or(after.len());
            out.push_str(&after[..next]);
            rest = &after[next..];
        }
        out
    }

    fn hide(self, value: &str) -> String {
        let bare: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
        let number = super::iccid(&bare).unwrap_or(bare);
        match self {
            Privacy::Full => value.to_owned(),
            Privacy::Hashed => {
                let hash = Sha256::digest(number.as_bytes());
                let hex: String = hash.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
                format!("sha256:{hex}")
            }
            Privacy::LastFour => format!("...{}", &number[number.len().saturating_sub(4)..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ended, Listener};
    use super::*;
    use proptest::prelude::*;

    fn shown(privacy: Privacy, command: &str, said: &str) -> String {
        let answer = Listener::new(command).take(&mut said.bytes().collect()).unwrap();
        assert_eq!(answer.ended, Ended::Ok);
        let unsolicited = answer.unsolicited.iter().map(|line| privacy.line(line));
        privacy.lines(command, &answer).into_iter().chain(unsolicited).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn numbers_are_hidden_by_field() {
        let rows = [
            (Privacy::Full, "AT+CCID", "+CCID: 8988323012345678901\r\nOK\r\n", "+CCID: 8988323012345678901"),
            (Privacy::LastFour, "AT+CCID", "+CCID: 8988323012345678901\r\nOK\r\n", "+CCID: ...8901"),
            (Privacy::LastFour, "AT+CCID", "+CCID: 898600D001234567890F\r\nOK\r\n", "+CCID: ...7890"),
            (Privacy::LastFour, "AT+CCID", "+CCID: \"ABCDEF12\"\r\nOK\r\n", "+CCID: ...EF12"),
            (Privacy::LastFour, "AT+CCID", "8988323012\r\n+CREG: 1\r\n345678901\r\nOK\r\n", "... | ... | +CREG: 1"),
            (Privacy::LastFour, "AT+CGSN", "490154203237518\r\nOK\r\n", "...7518"),
            (Privacy::LastFour, "AT+CIMI", "310170123456789\r\nOK\r\n", "...6789"),
            (Privacy::LastFour, "AT", "+QCCID: 898600D001234567890F\r\nOK\r\n", "+QCCID: ...7890"),
            (Privacy::LastFour, "AT", "^SIM: 898600D001234567890F,1\r\nOK\r\n", "^SIM: ...7890,1"),
            (Privacy::LastFour, "AT+UCGED?", "+RSRP: 162,5110,\"-085.10\",\r\nOK\r\n", "+RSRP: 162,5110,\"-085.10\","),
            (Privacy::LastFour, "AT+CGMR", "EG91EFBR06A08M4G\r\nOK\r\n", "EG91EFBR06A08M4G"),
            // A late answer, where no number is expected.
            (Privacy::LastFour, "AT+CGMM", "490154203237518\r\nOK\r\n", "...7518"),
        ];
        for (privacy, command, said, expected) in rows {
            assert_eq!(shown(privacy, command, said), expected, "{command} {said:?}");
        }
        let hashed = |said: &str| shown(Privacy::Hashed, "AT+CCID", said);
        // Padding and quotes do not change which number it is.
        assert_eq!(hashed("+CCID: 8988323012345678901\r\nOK\r\n"), hashed("+CCID: \"8988323012345678901F\"\r\nOK\r\n"));
        assert!(hashed("+CCID: 8988323012345678901\r\nOK\r\n").starts_with("+CCID: sha256:"));
    }

    proptest! {
        /// Whatever form a number has, no more than its last four digits is recorded.
        #[test]
        fn no_number_is_shown(number in "89[0-9A-Fa-f]{16,18}", pad in "[Ff\" ]{0,2}", name in "(\\+CCID: |\\+QCCID: )?") {
            let said = format!("\r\n{name}{number}{pad}\r\n\r\nOK\r\n");
            let shown = shown(Privacy::LastFour, "AT+CCID", &said);
            prop_assert!(!shown.to_ascii_uppercase().contains(&number[..6].to_ascii_uppercase()), "{shown}");
            prop_assert!(shown.len() <= "+QCCID: ...".len() + 4, "{shown}");
        }
    }
}
