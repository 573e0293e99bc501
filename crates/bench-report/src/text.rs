//! Makes text from outside safe for reports.

use bench_run::Contact;

/// Removes control characters and line ends: text of a module or a file must not control the operator's terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
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
