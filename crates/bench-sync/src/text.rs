//! Texts as PostgreSQL takes them: any, but none with a NUL.

use std::borrow::Cow;

/// Replaces each NUL by the sign for what cannot be shown.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Does the same inside the strings of a JSON text, where a NUL is written `\u0000`.
pub(crate) fn plain_json(json: &str) -> Cow<'_, str> {
    const NUL: &str = "\\u0000";
    if !json.contains(NUL) {
        return Cow::Borrowed(json);
    }
    let mut made = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        made.push_str(&rest[..at]);
        if let Some(after) = rest[at..].strip_prefix(NUL) {
            made.push('\u{fffd}');
            rest = after;
            continue;
        }
        // An escape is at least two characters: `\\u0000` is a backslash and letters.
        let length = rest[at..].chars().take(2).map(char::len_utf8).sum::<usize>();
        made.push_str(&rest[at..at + length]);
        rest = &rest[at + length..];
    }
    made.push_str(rest);
    Cow::Owned(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nul_is_replaced() {
        for (text, expected) in
            [("", ""), ("a\\u0000", "a\u{fffd}"), ("\\\\u0000", "\\\\u0000"), ("\\\\\\u0000\\", "\\\\\u{fffd}\\")]
        {
            assert_eq!(plain_json(text), expected, "{text}");
        }
        assert_eq!(plain("a\0b"), "a\u{fffd}b");
    }
}
