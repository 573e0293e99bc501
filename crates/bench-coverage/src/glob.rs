//! Patterns of faults.

use virtual_bench::Fault;

/// Whether `pattern` selects the fault, also under another spelling of the same order (`crystal:100` for `crystal`).
pub fn names(pattern: &str, fault: &Fault) -> bool {
    fits(pattern, &fault.to_string()) || pattern.parse().is_ok_and(|ordered: Fault| ordered == *fault)
}

/// Whether `pattern`, with `*` for any text and `?` for one character, fits all of `text`.
pub fn fits(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let tails = text.char_indices().map(|(at, _)| &text[at..]).chain([""]);
            tails.into_iter().any(|tail| fits(rest.as_str(), tail))
        }
        Some(wanted) => {
            let mut left = text.chars();
            left.next().is_some_and(|next| wanted == '?' || wanted == next) && fits(rest.as_str(), left.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn another_spelling_names_the_same_fault() {
        for (pattern, fault, names) in [
            ("crystal:100", "crystal", true),
            ("crystal:-100", "crystal", false),
            ("cold:23@200", "cold:23", true),
            ("cold:2?", "cold:23", true),
        ] {
            assert_eq!(super::names(pattern, &fault.parse().unwrap()), names, "{pattern} {fault}");
        }
    }

    #[test]
    fn globs() {
        for (pattern, text, fits) in [
            ("open:*", "open:23", true),
            ("open:2?", "open:23", true),
            ("open:2?", "open:2", false),
            ("*", "", true),
            ("*-38*", "short:36-38@100", true),
            ("short:*@100", "short:36-38", false),
            ("open", "open:1", false),
        ] {
            assert_eq!(super::fits(pattern, text), fits, "{pattern} {text}");
        }
    }
}
