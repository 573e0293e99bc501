//! Error results (`+CME ERROR`), as numbers or in words: 3GPP TS 27.007, 9.2, and the makers' own.

/// Number and words. Modems write the words in any case.
const WORDS: &[(u16, &str)] = &[
    (0, "phone failure"),
    (1, "no connection to phone"),
    (2, "phone-adaptor link reserved"),
    (3, "operation not allowed"),
    (4, "operation not supported"),
    (5, "PH-SIM PIN required"),
    (6, "PH-FSIM PIN required"),
    (7, "PH-FSIM PUK required"),
    (NOT_INSERTED, "SIM not inserted"),
    (11, "SIM PIN required"),
    (12, "SIM PUK required"),
    (13, "SIM failure"),
    (14, "SIM busy"),
    (15, "SIM wrong"),
    (16, "incorrect password"),
    (17, "SIM PIN2 required"),
    (18, "SIM PUK2 required"),
    (20, "memory full"),
    (21, "invalid index"),
    (22, "not found"),
    (23, "memory failure"),
    (30, "no network service"),
    (31, "network timeout"),
    (32, "network not allowed - emergency calls only"),
    (100, "unknown"),
    (256, "operation temporary not allowed"),
    (515, "please wait, init or command processing in progress"),
];

pub const NOT_INSERTED: u16 = 10;
/// The card wants a PIN, or a password was wrong: waiting does not help.
const LOCKED: [u16; 8] = [5, 6, 7, 11, 12, 16, 17, 18];

/// Returns the number of an error, from what follows `+CME ERROR:`.
pub fn number(text: &str) -> Option<u16> {
    let text = text.trim().trim_matches('"');
    let in_words = || WORDS.iter().find(|(_, words)| words.eq_ignore_ascii_case(text)).map(|(number, _)| *number);
    text.parse().ok().or_else(in_words)
}

/// Whether the same command may be accepted later. Modems refuse nearly everything while they and their card start.
pub fn may_pass(error: Option<u16>) -> bool {
    error.is_none_or(|number| !LOCKED.contains(&number))
}

/// What an error means, for people.
pub fn meaning(error: u16) -> String {
    let words = WORDS.iter().find(|(number, _)| *number == error).map(|(_, words)| *words);
    match words {
        Some(words) => format!("+CME ERROR: {error}, {words}"),
        None => format!("+CME ERROR: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_known_by_number_and_in_words() {
        for (text, expected) in [
            (" 14", Some(14)),
            ("SIM busy", Some(14)),
            ("sim BUSY", Some(14)),
            ("\"SIM failure\"", Some(13)),
            ("515", Some(515)),
            ("something else", None),
            ("", None),
        ] {
            assert_eq!(number(text), expected, "{text:?}");
        }
        for (error, expected) in
            [(Some(14), true), (Some(10), true), (Some(515), true), (None, true), (Some(11), false)]
        {
            assert_eq!(may_pass(error), expected, "{error:?}");
        }
        assert_eq!(meaning(14), "+CME ERROR: 14, SIM busy");
        assert_eq!(meaning(999), "+CME ERROR: 999");
    }
}
