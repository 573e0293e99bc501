//! The numbers of modem and card, as modems write them.

/// Digits of an IMEI with its check digit (3GPP TS 23.003, 6.2.1).
const IMEI_DIGITS: usize = 15;
/// Digits of an ICCID. ITU-T E.118 allows 19 with the check digit; GSM cards have 20, and some issuers leave the check
/// digit out.
const ICCID_DIGITS: std::ops::RangeInclusive<usize> = 18..=20;
/// The industry that an ICCID begins with: telecommunications (ITU-T E.118).
const TELECOM: &str = "89";
/// The same in the card's file, which holds the digits of each byte exchanged.
const TELECOM_EXCHANGED: &str = "98";

/// Returns the card's number without quotes, blanks and padding, in capitals. Some issuers use the digits A to F.
/// `None` when the text is no ICCID. The check digit is not tested: many cards have none.
pub fn iccid(text: &str) -> Option<String> {
    let bare: String = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '"' | '-')).collect();
    let mut digits = bare.to_ascii_uppercase();
    if digits.starts_with(TELECOM_EXCHANGED) && digits.len().is_multiple_of(2) && digits.is_ascii() {
        digits = exchanged(&digits);
    }
    let digits = digits.trim_end_matches('F');
    let good = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (good && ICCID_DIGITS.contains(&digits.len()) && digits.starts_with(TELECOM)).then(|| digits.to_owned())
}

/// Exchanges the digits of each byte.
fn exchanged(digits: &str) -> String {
    digits.as_bytes().chunks(2).flat_map(|pair| pair.iter().rev()).map(|byte| char::from(*byte)).collect()
}

/// Returns the subscriber's number, 6 to 15 digits (3GPP TS 23.003, 2.2).
pub fn imsi(text: &str) -> Option<&str> {
    let digits = text.trim().trim_matches('"');
    let good = (6..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    good.then_some(digits)
}

/// Returns the text of an IMEI without quotes; the caller judges it.
pub fn imei(text: &str) -> &str {
    text.trim().trim_matches('"')
}

/// Whether a text is an IMEI: 15 digits with a right check digit.
pub fn is_imei(text: &str) -> bool {
    text.len() == IMEI_DIGITS && luhn_is_right(text)
}

/// Whether the check digit of ISO/IEC 7812 at the end of a number is right.
pub fn luhn_is_right(digits: &str) -> bool {
    let mut sum = 0;
    for (n, digit) in digits.chars().rev().enumerate() {
        let Some(digit) = digit.to_digit(10) else { return false };
        let digit = if n % 2 == 1 { digit * 2 } else { digit };
        sum += digit / 10 + digit % 10;
    }
    !digits.is_empty() && sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn card_numbers() {
        for (text, expected) in [
            ("8988323000000000016", Some("8988323000000000016")),
            ("89883230000000000168", Some("89883230000000000168")),
            ("8988323000000000016F", Some("8988323000000000016")),
            ("8988323000000000016f", Some("8988323000000000016")),
            ("\"8988323000000000016\"", Some("8988323000000000016")),
            ("898600D0012345678901", Some("898600D0012345678901")),
            ("898600d0012345678901", Some("898600D0012345678901")),
            ("898832300000000001", Some("898832300000000001")),
            // As the card's file holds it.
            ("988823030000000010F6", Some("8988323000000000016")),
            ("8988 3230 0000 0000 016", Some("8988323000000000016")),
            ("898832300000", None),
            ("490154203237518", None),
            ("8988323000000000016ÿ", None),
            ("", None),
        ] {
            assert_eq!(iccid(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn subscriber_numbers() {
        for (text, expected) in [
            ("310170123456789", Some("310170123456789")),
            ("\"310170123456789\"", Some("310170123456789")),
            ("3101701234567890", None),
            ("31017", None),
            ("31017A123456789", None),
        ] {
            assert_eq!(imsi(text), expected, "{text}");
        }
    }

    #[test]
    fn check_digits() {
        // The first two are the examples of 3GPP TS 23.003 and of ISO/IEC 7812.
        for (digits, right) in
            [("490154203237518", true), ("79927398713", true), ("79927398710", false), ("", false), ("12a", false)]
        {
            assert_eq!(luhn_is_right(digits), right, "{digits}");
        }
        assert!(is_imei("490154203237518") && !is_imei("49015420323751"));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,40}") {
            let _ = (iccid(&text), imsi(&text), is_imei(imei(&text)));
        }
    }
}
