//! What a scanned text is: reads a module's label, and decides what of a text may be shown.

use crate::texts::{Key, Texts};
use bench_plan::DutFamily;
use bench_run::{SerialNumber, SerialProblem, character_name, without_symbology};

/// Stands for a character that may be part of a secret.
const HIDDEN: char = '•';

/// The beginnings of the serial numbers of this plan's model and of others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// Of the plan's model; without any, every serial number is good that is not known to be another model's.
    pub own: Vec<String>,
    /// Beginning, model.
    pub others: Vec<(String, String)>,
}

/// Why a scanned text is not the label of a module for this plan. It holds nothing that can be a part of the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanProblem {
    /// It begins like no serial number.
    NoLabel,
    /// A serial number of another model: its beginning, and the model.
    OtherModel { prefix: String, model: String },
    /// So many characters of the serial number are missing.
    TooShort(usize),
    /// So many characters too many, with nothing that separates them from the serial number.
    TooLong(usize),
    /// What no serial number holds.
    Character(char),
    /// So many characters come before the serial number.
    Before(usize),
    /// The serial number comes after something else, which may be the secret.
    SecretFirst,
    /// The serial number of a second unit follows, or a third part.
    TwoLabels,
}

impl ScanProblem {
    /// In words for the operator, on one line.
    pub fn say(&self, texts: &Texts, labels: &Labels, model: &str) -> String {
        let (own, model) = (labels.own.join(", "), model.to_uppercase());
        match self {
            Self::NoLabel if own.is_empty() => texts.say(Key::LabelUnknown),
            Self::NoLabel => texts.with(Key::LabelNone, &[("expected", own.into())]),
            Self::OtherModel { prefix, model: other } => {
                let other = other.to_uppercase();
                let values = [("prefix", prefix.as_str().into()), ("model", model.into()), ("other", other.into())];
                texts.with(Key::LabelOtherModel, &[&values[..], &[("expected", own.into())]].concat())
            }
            Self::TooShort(count) => texts.with(Key::LabelShort, &[("count", (*count).into())]),
            Self::TooLong(count) => texts.with(Key::LabelLong, &[("count", (*count).into())]),
            Self::Character(character) => {
                texts.with(Key::LabelCharacter, &[("character", character_name(*character).into())])
            }
            Self::Before(count) => texts.with(Key::LabelBefore, &[("count", (*count).into())]),
            Self::SecretFirst => texts.say(Key::LabelSecretFirst),
            Self::TwoLabels => texts.say(Key::LabelTwo),
        }
    }
}

impl Labels {
    /// Those of the plan's model; of every model when none is named.
    pub fn of<'a>(families: impl IntoIterator<Item = &'a DutFamily>, model: Option<&str>) -> Self {
        let mut labels = Self::default();
        for other in families.into_iter().flat_map(|family| &family.models) {
            let is_own = model.is_none_or(|model| model == other.name);
            for prefix in &other.serial_prefixes {
                if is_own {
                    labels.own.push(prefix.clone());
                } else {
                    labels.others.push((prefix.clone(), other.name.clone()));
                }
            }
        }
        labels
    }

    /// The model whose serial numbers begin so, if it is another one.
    pub fn other_model(&self, serial: &str) -> Option<&(String, String)> {
        let is_own = self.own.iter().any(|prefix| begins(serial, prefix));
        self.others.iter().find(|(prefix, _)| !is_own && begins(serial, prefix))
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        self.own.iter().chain(self.others.iter().map(|(prefix, _)| prefix)).map(String::as_str)
    }
}

/// Reads a module's label: the serial number, perhaps something that separates, and the mobile secret.
///
/// # Errors
/// When the text is anything else. A serial number is never searched for inside a text: what is around it may be half of
/// another label.
pub fn read_label(text: &str, labels: &Labels) -> Result<SerialNumber, ScanProblem> {
    let text = payload(once(text));
    let (first, rest) = text.split_once(is_separator).unwrap_or((text, ""));
    let rest = rest.trim_matches(is_separator);
    if let Some((prefix, model)) = labels.other_model(first) {
        return Err(ScanProblem::OtherModel { prefix: prefix.clone(), model: model.clone() });
    }
    let known = labels.own.iter().any(|prefix| begins(first, prefix) || (first.len() < 4 && begins(prefix, first)));
    if first.is_empty() || !known && !labels.own.is_empty() {
        return Err(not_at_the_beginning(first, rest, labels));
    }
    let serial = SerialNumber::parse(first).map_err(|problem| match problem {
        SerialProblem::Empty => ScanProblem::NoLabel,
        SerialProblem::TooShort { missing } => ScanProblem::TooShort(missing),
        SerialProblem::TooLong { .. }
            if first.char_indices().skip(1).any(|(at, _)| is_serial(&first[at..], labels)) =>
        {
            ScanProblem::TwoLabels
        }
        SerialProblem::TooLong { extra } => ScanProblem::TooLong(extra),
        SerialProblem::Character { character, .. } => ScanProblem::Character(character),
        SerialProblem::MoreThanOnePart => ScanProblem::TwoLabels,
    })?;
    // Two halves may be as long as a serial number. A whole label shows by its secret that it is none of them.
    let is_halves =
        rest.is_empty() && (1..serial.as_str().len()).any(|at| labels.all().any(|p| begins(&serial.as_str()[at..], p)));
    if is_halves || names_another_unit(rest, &serial, labels) { Err(ScanProblem::TwoLabels) } else { Ok(serial) }
}

fn not_at_the_beginning(first: &str, rest: &str, labels: &Labels) -> ScanProblem {
    let mut places = first.char_indices().enumerate().skip(1);
    if let Some((characters, _)) = places.find(|(_, (at, _))| is_serial(&first[*at..], labels)) {
        return ScanProblem::Before(characters);
    }
    if rest.split(is_separator).any(|part| is_serial(part, labels)) {
        return ScanProblem::SecretFirst;
    }
    ScanProblem::NoLabel
}

/// Whether this text begins with a serial number of a known model.
fn is_serial(text: &str, labels: &Labels) -> bool {
    let serial = text.get(..SerialNumber::LENGTH).unwrap_or_default();
    SerialNumber::parse(serial).is_ok() && labels.all().any(|prefix| begins(text, prefix))
}

/// Whether what follows a serial number holds another one, or two labels ran together in another way. A secret has one
/// part. That it looks like a serial number of a known model happens once in a million labels.
fn names_another_unit(rest: &str, serial: &SerialNumber, labels: &Labels) -> bool {
    let is_alike = |text: &str| {
        begins(text, serial.prefix())
            && text.get(..SerialNumber::LENGTH).is_some_and(|text| text.parse::<SerialNumber>().is_ok())
    };
    rest.contains(is_separator)
        || rest.char_indices().any(|(at, _)| is_serial(&rest[at..], labels) || is_alike(&rest[at..]))
}

/// A text that was sent twice, once.
fn once(text: &str) -> &str {
    match text.split_at_checked(text.len() / 2) {
        Some((one, other)) if one == other => one,
        _ => text,
    }
}

/// The text without what scanners and codes put around it: control characters, white space, the AIM identifier of the
/// symbology (`]d1`), the envelope of ISO 15434.
pub fn payload(text: &str) -> &str {
    let text = without_symbology(text);
    let Some(message) = text.strip_prefix("[)>") else { return text };
    let message = message.trim_start_matches(char::is_control);
    let message = message.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches(char::is_control);
    // The data identifier of a serial number.
    let serial = |field: &'_ str| field.strip_prefix(['S', 's']).is_some_and(|rest| SerialNumber::parse(rest).is_ok());
    match message.split(char::is_control).find(|field| serial(field)) {
        Some(field) => &field[1..],
        None => message,
    }
}

/// Everything up to the first white space or control character; what follows may be secret.
pub fn first_part(text: &str) -> &str {
    payload(text).split(|c: char| c.is_whitespace() || c.is_control()).next().unwrap_or_default()
}

/// Whether a character may be between serial number and secret: it is part of neither.
pub fn is_separator(character: char) -> bool {
    character.is_whitespace() || character.is_control() || matches!(character, ',' | ';' | '|')
}

/// What may be shown of a text: the beginning of its first part, as long as it can be the beginning of a serial number of
/// a known model or of one of these badges. `is_typed`: a person typed it, so without a known model it may be shown.
pub fn shown<'a>(text: &str, labels: &Labels, badges: impl Iterator<Item = &'a str>, is_typed: bool) -> String {
    let first = first_part(text).split(is_separator).next().unwrap_or_default();
    let length = first.chars().count();
    let in_common = |beginning: &str| {
        let same = first.chars().zip(beginning.chars()).take_while(|(a, b)| a.to_lowercase().eq(b.to_lowercase()));
        same.count()
    };
    let as_serial = |prefix: &str| match in_common(prefix) {
        same if same == prefix.chars().count() => SerialNumber::LENGTH,
        same => same,
    };
    let unknown = if labels.own.is_empty() && is_typed { SerialNumber::LENGTH } else { 0 };
    let most = labels.all().map(as_serial).chain(badges.map(in_common)).max().unwrap_or(0).max(unknown);
    let visible = first.chars().take(most).filter(|c| !c.is_control());
    visible.chain(std::iter::repeat_n(HIDDEN, length.saturating_sub(most))).collect()
}

/// The whole text, with every control character by its name and everything hidden that may not be [`shown`].
pub fn masked(text: &str, labels: &Labels) -> String {
    let hidden = |text: &str| text.chars().map(|c| named(c, HIDDEN)).collect::<String>();
    let (plain, inner) = (without_symbology(text), payload(text));
    let first = inner.split(is_separator).next().unwrap_or_default();
    let at = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
    let symbology: String = text[..at(plain)].chars().map(|c| named(c, c)).collect();
    let envelope = &text[at(plain)..at(inner)];
    let header = if envelope.starts_with("[)>") { "[)>" } else { "" };
    let envelope = hidden(&envelope[header.len()..]);
    let visible = shown(inner, labels, std::iter::empty(), false);
    let rest = hidden(&text[at(inner) + first.len()..]);
    [&symbology, header, &envelope, &visible, &rest].concat()
}

/// A control character, a separator, or what to show for anything else.
fn named(character: char, otherwise: char) -> String {
    const NAMES: [&str; 33] = [
        "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "TAB", "LF", "VT", "FF", "CR", "SO", "SI", "DLE",
        "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC", "FS", "GS", "RS", "US", "SPACE",
    ];
    match NAMES.get(character as usize) {
        Some(name) => format!("<{name}>"),
        None if matches!(character, ',' | ';' | '|') => character.to_string(),
        None if character.is_control() || character.is_whitespace() => format!("<{}>", character_name(character)),
        None => otherwise.to_string(),
    }
}

fn begins(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        let others = [("P006", "b402"), ("P044", "boron")];
        Labels {
            own: vec!["P042".to_owned(), "P043".to_owned()],
            others: others.map(|(prefix, model)| (prefix.to_owned(), model.to_owned())).to_vec(),
        }
    }

    #[test]
    fn what_scanners_send_of_a_label() {
        use ScanProblem::{Before, Character, NoLabel, OtherModel, SecretFirst, TooLong, TooShort, TwoLabels};
        const GOOD: &str = "P042AN0000DEMO1";
        let other = |prefix: &str, model: &str| OtherModel { prefix: prefix.to_owned(), model: model.to_owned() };
        let rows = [
            ("P042AN0000DEMO1 TOPSECRETTOPSECRET", Ok(GOOD)),
            (GOOD, Ok(GOOD)),
            ("  p042an0000demo1\tsecret ", Ok(GOOD)),
            ("P043AN0000DEMO1 x", Ok("P043AN0000DEMO1")),
            ("P042AN0000DEMO1\u{1d}SECRET\u{1d}", Ok(GOOD)),
            ("P042AN0000DEMO1,SECRET", Ok(GOOD)),
            ("P042AN0000DEMO1; SECRET", Ok(GOOD)),
            ("]d1P042AN0000DEMO1 SECRET", Ok(GOOD)),
            ("]C1\u{1d}P042AN0000DEMO1 SECRET", Ok(GOOD)),
            ("\u{2}]Q1P042AN0000DEMO1 SECRET\u{3}", Ok(GOOD)),
            ("]D1p042an0000demo1 secret\t", Ok(GOOD)),
            ("[)>\u{1e}06\u{1d}P042AN0000DEMO1\u{1d}SECRET\u{1e}\u{4}", Ok(GOOD)),
            ("]d1[)>\u{1e}06\u{1d}1PB404X\u{1d}SP042AN0000DEMO1\u{1e}\u{4}", Ok(GOOD)),
            // Twice in one scan.
            ("P042AN0000DEMO1 SECRETP042AN0000DEMO1 SECRET", Ok(GOOD)),
            ("]d1P042AN0000DEMO1 SECRET\t]d1P042AN0000DEMO1 SECRET\t", Ok(GOOD)),
            ("P042AN0000DEMO1 SECRETP042AN0000DEMO1 SECRETP04\u{0}2AN0000DEMO2 SECRET", Err(TwoLabels)),
            ("P006AN0000DEMO1 x", Err(other("P006", "b402"))),
            ("p044an0000demo1", Err(other("P044", "boron"))),
            ("4006381333931", Err(NoLabel)),
            ("", Err(NoLabel)),
            (" ", Err(NoLabel)),
            ("]d1", Err(NoLabel)),
            ("https://example.com/P042AN0000DEMO1X", Err(Before(20))),
            ("MOBILESECRET123", Err(NoLabel)),
            ("P04", Err(TooShort(12))),
            ("P042AN0000DEMO SECRET", Err(TooShort(1))),
            ("P042AN0000DEM-1", Err(Character('-'))),
            ("P042AN0000DEMÖ1", Err(Character('Ö'))),
            ("P042AN0000DEMO1:SECRET", Err(Character(':'))),
            ("P042AN0000DEMO12", Err(TooLong(1))),
            ("P042AN0000DEMO1SECRETSECRET", Err(TooLong(12))),
            ("P00P042AN0000DEMO1 SECRET", Err(Before(3))),
            ("]d1wP042AN0000DEMO1 SECRET", Err(Before(1))),
            ("SECRETSECRETSEC P042AN0000DEMO1", Err(SecretFirst)),
            // Half a label, and the next one.
            ("P042AN00P042AN0000DEMO2 SECRET", Err(TwoLabels)),
            ("P042AN000P042AN", Err(TwoLabels)),
            ("P042AN000P042AN SECRET", Ok("P042AN000P042AN")),
            ("P042AN0000DEMO1P042AN0000DEMO2 SECRET", Err(TwoLabels)),
            ("P042AN0000DEMO1 P042AN0000DEMO2 SECRET", Err(TwoLabels)),
            ("P042AN0000DEMO1 P042AN0000DEMO2", Err(TwoLabels)),
            ("P042AN0000DEMO1 SECP042AN0000DEMO2", Err(TwoLabels)),
            ("P042AN0000DEMO1 SECP006AN0000DEMO2 SECRET", Err(TwoLabels)),
            ("P042AN0000DEMO1 SECRET P042", Err(TwoLabels)),
            ("00DEMO2 SECRET", Err(NoLabel)),
        ];
        for (text, expected) in rows {
            let read = read_label(text, &labels());
            assert_eq!(read.as_ref().map(SerialNumber::as_str), expected.as_ref().map(|serial| *serial), "{text:?}");
        }
        let any = Labels::default();
        assert!(read_label("X999AN0000DEMO1", &any).is_ok());
        // Of a model with unknown serial numbers, the beginning of the first one is what a second one has, too.
        assert_eq!(read_label("X999AN0000DEMO1 SECX999AN0000DEMO2", &any), Err(TwoLabels));
    }

    #[test]
    fn what_is_shown_can_only_be_a_serial_number_or_a_badge() {
        let rows = [
            ("", ""),
            ("P", "P"),
            ("p042an00", "p042an00"),
            ("P042AN0000DEMO1", "P042AN0000DEMO1"),
            ("P042AN0000DEMO1SECRET", "P042AN0000DEMO1••••••"),
            ("P042AN0000DEMO1 SECRET", "P042AN0000DEMO1"),
            ("P042AN0000DEMO1\u{1d}SECRET", "P042AN0000DEMO1"),
            ("P042AN0000DEMO1,SECRET", "P042AN0000DEMO1"),
            ("]d1P042AN0000DEMO1 SECRET", "P042AN0000DEMO1"),
            ("SECRET P042AN0000DEMO1", "••••••"),
            ("PSECRET", "P••••••"),
            ("op-1", "op-1"),
            ("OP-17", "OP-1•"),
            ("JÜRGEN", "JÜRGEN"),
        ];
        for (text, expected) in rows {
            assert_eq!(shown(text, &labels(), ["OP-1", "jürgen"].into_iter(), true), expected, "{text:?}");
        }
        let unknown = |is_typed| shown("X999AN0000DEMO1", &Labels::default(), std::iter::empty(), is_typed);
        assert_eq!(unknown(true), "X999AN0000DEMO1");
        assert_eq!(unknown(false), "•••••••••••••••");
    }

    #[test]
    fn a_masked_text_names_what_cannot_be_seen() {
        let rows = [
            ("]d1P042AN0000DEMO1\tSECRET\r", "]d1P042AN0000DEMO1<TAB>••••••<CR>"),
            ("\u{2}P042AN0000DEMO1 SEC,RET\u{3}", "<STX>P042AN0000DEMO1<SPACE>•••,•••<ETX>"),
            ("SECRET P042AN0000DEMO1", "••••••<SPACE>•••••••••••••••"),
            (
                "[)>\u{1e}06\u{1d}1PB404X\u{1d}SP042AN0000DEMO1\u{1e}\u{4}",
                "[)><RS>••<GS>•••••••<GS>•P042AN0000DEMO1<RS><EOT>",
            ),
            ("\u{7f}\u{202e}\u{a0}", "<U+007F>•<U+00A0>"),
        ];
        for (text, expected) in rows {
            assert_eq!(masked(text, &labels()), expected, "{text:?}");
        }
    }

    #[test]
    fn every_problem_is_a_line_that_fits() {
        use ScanProblem::{Before, Character, NoLabel, OtherModel, SecretFirst, TooLong, TooShort, TwoLabels};
        let other = OtherModel { prefix: "P044".to_owned(), model: "boron".to_owned() };
        let labels = Labels { own: vec!["P019".to_owned(), "P020".to_owned()], ..labels() };
        let problems =
            [NoLabel, other, TooShort(15), TooLong(112), Character('-'), Before(113), SecretFirst, TwoLabels];
        for language in crate::texts::LANGUAGES {
            let texts = Texts::new(language).unwrap();
            for problem in &problems {
                let line = problem.say(&texts, &labels, "b404x");
                assert!(line.chars().count() <= 78 && !line.contains(['{', '\n']), "{language}: {line}");
            }
        }
    }
}
