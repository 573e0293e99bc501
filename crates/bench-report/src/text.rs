//! Makes text from outside safe for reports.

use bench_run::Contact;

/// Characters of a name in a table for people. A longer name is no name but an accident, and formatting panics at widths
/// above 65,535.
pub(crate) const LONGEST_NAME: usize = 80;

/// Whether a character acts on the text around it instead of being read: control characters, line separators, and the
/// overrides of the direction of writing, which can make one serial number look like another.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Removes control characters, line ends and overrides of direction: text of a module or a file must not control the
/// operator's terminal, nor look like another text.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if acts(c) { ' ' } else { c }).collect()
}

/// As [`one_line`], but keeps line ends: for a whole page.
pub(crate) fn lines(text: &str) -> String {
    text.chars().map(|c| if acts(c) && c != '\n' { ' ' } else { c }).collect()
}

/// A name in a table for people: in one line, and cut with an ellipsis when it is too long.
pub(crate) fn name(text: &str) -> String {
    match text.char_indices().nth(LONGEST_NAME) {
        None => one_line(text),
        Some(_) => one_line(&text.chars().take(LONGEST_NAME - 1).collect::<String>()) + "…",
    }
}

/// Removes characters that XML 1.0 does not allow (section 2.2, `Char`).
pub(crate) fn xml_text(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, '\t' | '\n' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..))
        .collect()
}

/// "1 step", "3 steps".
pub(crate) fn counted(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// "23,36,38".
pub(crate) fn contact_list(contacts: &[Contact], between: &str) -> String {
    contacts.iter().map(Contact::to_string).collect::<Vec<_>>().join(between)
}
