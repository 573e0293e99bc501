//! Which of a modem's numbers a record may contain.

use sha2::{Digest, Sha256};

/// How ICCID, IMSI and IMEI are recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Privacy {
    Full,
    /// The first ten bytes of the SHA-256, to recognise a known number. A search of all numbers reveals it.
    Hashed,
    #[default]
    LastFour,
}

/// ICCID, IMSI and IMEI have at least this many digits; nothing else in a modem's answers does.
const LONG: usize = 14;

impl Privacy {
    /// Returns the text with its long numbers written as the setting says.
    pub fn apply(self, text: &str) -> String {
        if self == Privacy::Full {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, from) = rest.split_at(start);
            let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
            let (digits, after) = from.split_at(end);
            out.push_str(before);
            out.push_str(&if digits.len() >= LONG { self.hide(digits) } else { digits.to_owned() });
            rest = after;
        }
        out + rest
    }

    fn hide(self, digits: &str) -> String {
        match self {
            Privacy::Full => digits.to_owned(),
            Privacy::Hashed => {
                let hash = Sha256::digest(digits.as_bytes());
                let hex: String = hash.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
                format!("sha256:{hex}")
            }
            Privacy::LastFour => format!("...{}", &digits[digits.len().saturating_sub(4)..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_hidden() {
        let rows = [
            (Privacy::Full, "+CCID: 8988323012345678901", "+CCID: 8988323012345678901"),
            (Privacy::LastFour, "+CCID: 8988323012345678901", "+CCID: ...8901"),
            (Privacy::LastFour, "+RSRP: 162,5110,\"-085.10\",", "+RSRP: 162,5110,\"-085.10\","),
            (Privacy::LastFour, "490154203237518", "...7518"),
            (Privacy::Hashed, "x 490154203237518 y", "x sha256:0ba18a6bb9a6d83c3e2f y"),
        ];
        for (privacy, text, expected) in rows {
            if privacy == Privacy::Hashed {
                let hidden = privacy.apply(text);
                assert!(hidden.starts_with("x sha256:") && hidden.ends_with(" y") && hidden.len() == 31, "{hidden}");
                continue;
            }
            assert_eq!(privacy.apply(text), expected);
        }
    }
}
