//! How people write numbers: with commas, other digits, and units in their own way. Nothing of this is accepted, so
//! that a plan has one reading everywhere; but the message says what was meant.

use bench_run::MeasurementUnit;

/// Units of each dimension, the usual ones first.
const USUAL: &[(MeasurementUnit, &[&str])] = &[
    (MeasurementUnit::Volts, &["V", "mV", "uV", "kV"]),
    (MeasurementUnit::Amps, &["A", "mA", "uA", "nA"]),
    (MeasurementUnit::Ohms, &["ohm", "kohm", "Mohm", "mohm"]),
    (MeasurementUnit::Hertz, &["Hz", "kHz", "MHz", "GHz"]),
    (MeasurementUnit::Seconds, &["s", "ms", "us", "ns", "min"]),
    (MeasurementUnit::Percent, &["%", "ppm"]),
];

/// Other names of units, in lower case.
const SYNONYMS: &[(&str, &str)] = &[
    ("volt", "V"),
    ("volts", "V"),
    ("millivolt", "mV"),
    ("millivolts", "mV"),
    ("amp", "A"),
    ("amps", "A"),
    ("ampere", "A"),
    ("amperes", "A"),
    ("milliamp", "mA"),
    ("milliamps", "mA"),
    ("ohms", "ohm"),
    ("r", "ohm"),
    ("k", "kohm"),
    ("kr", "kohm"),
    ("kohms", "kohm"),
    ("kiloohm", "kohm"),
    ("kiloohms", "kohm"),
    ("k\u{3c9}", "kohm"),
    ("\u{3c9}", "ohm"),
    ("meg", "Mohm"),
    ("megohm", "Mohm"),
    ("hertz", "Hz"),
    ("kilohertz", "kHz"),
    ("megahertz", "MHz"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("msec", "ms"),
    ("msecs", "ms"),
    ("millisecond", "ms"),
    ("milliseconds", "ms"),
    ("usec", "us"),
    ("microseconds", "us"),
    ("m", "min"),
    ("mins", "min"),
    ("minute", "min"),
    ("minutes", "min"),
    ("percent", "%"),
    ("pct", "%"),
    ("\u{ff05}", "%"),
];

/// Units for a message: "V, mV, uV, kV"; without a dimension, those of all.
pub(crate) fn units_of(wanted: Option<MeasurementUnit>) -> String {
    let of = |unit: MeasurementUnit| wanted.is_none_or(|wanted| wanted == unit);
    let units = USUAL.iter().filter(|(unit, _)| of(*unit)).flat_map(|(_, units)| units.iter().copied());
    units.collect::<Vec<_>>().join(", ")
}

/// Splits a text at the end of what may be a number in any notation.
fn number_and_rest(text: &str) -> (String, String) {
    let plain: String = text.chars().filter_map(plain_character).collect();
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '+' | '-' | ' ');
    let end = plain.find(|c: char| !is_part(c)).unwrap_or(plain.len());
    let (number, rest) = plain.split_at(end);
    (number.replace(' ', ""), rest.trim().to_owned())
}

/// Returns the plain form of a character of a number, or nothing for one that only groups digits.
fn plain_character(c: char) -> Option<char> {
    match c {
        '\u{ff10}'..='\u{ff19}' => char::from_digit(u32::from(c) - 0xff10, 10),
        '\u{660}'..='\u{669}' => char::from_digit(u32::from(c) - 0x660, 10),
        '\u{2212}' | '\u{2010}'..='\u{2015}' | '\u{fe63}' | '\u{ff0d}' => Some('-'),
        '\u{b7}' | '\u{2219}' | '\u{22c5}' | '\u{66b}' | '\u{ff0e}' => Some('.'),
        '\u{ff0c}' => Some(','),
        '_' | '\'' | '\u{2019}' | '\u{200b}' | '\u{2060}' | '\u{feff}' => None,
        // Full-width letters, from "A" to "z".
        '\u{ff21}'..='\u{ff5a}' => char::from_u32(u32::from(c) - 0xfee0),
        c if c.is_whitespace() => Some(' '),
        c => Some(c),
    }
}

/// Returns the readings of a number with separators, the likelier first.
fn readings(number: &str) -> Vec<String> {
    let (commas, points) = (number.matches(',').count(), number.matches('.').count());
    let without = |number: &str| number.replace([',', '.'], "");
    match (commas, points) {
        (1, 0) => {
            let decimal = number.replace(',', ".");
            let (whole, fraction) = number.split_once(',').unwrap_or((number, ""));
            let whole = whole.trim_start_matches(['+', '-']);
            let may_group = fraction.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with('0');
            if may_group { vec![decimal, without(number)] } else { vec![decimal] }
        }
        (0, 0 | 1) => vec![number.to_owned()],
        (0, _) | (_, 0) => vec![without(number)],
        _ => {
            // The last separator is that of the decimals.
            let at = number.rfind([',', '.']).unwrap_or(0);
            let (whole, fraction) = number.split_at(at);
            vec![format!("{}.{}", without(whole), without(fraction))]
        }
    }
}

/// Returns "3.3" and "V" for "3V3": a letter in place of the point, as in circuit diagrams.
fn letter_as_point(text: &str) -> Option<(String, String)> {
    let text = text.trim();
    let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).filter(|&at| at > 0)?);
    let (letters, after) = rest.split_at(rest.find(|c: char| c.is_ascii_digit())?);
    if !after.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let is_word = letters.chars().all(char::is_alphabetic) && letters.chars().count() <= 2;
    is_word.then(|| (format!("{digits}.{after}"), letters.to_owned()))
}

/// Returns the unit that was meant, as it is written here.
fn unit_meant(unit: &str, wanted: Option<MeasurementUnit>) -> Option<String> {
    let unit = unit.trim_end_matches('.').trim();
    let lower = unit.to_lowercase();
    let usual = || {
        let of = |unit: MeasurementUnit| wanted.is_none_or(|wanted| wanted == unit);
        USUAL.iter().filter(move |(unit, _)| of(*unit)).flat_map(|(_, units)| units.iter().copied())
    };
    let same = usual().find(|known| known.to_lowercase() == lower);
    let synonym = || SYNONYMS.iter().find(|(other, _)| *other == lower).map(|(_, unit)| *unit);
    let synonym = || synonym().filter(|unit| usual().any(|known| known == *unit));
    same.or_else(synonym).map(str::to_owned)
}

/// Returns what a quantity that cannot be read may have meant, the likelier first. `is_good` reads one.
pub(crate) fn quantities_meant(
    text: &str,
    wanted: Option<MeasurementUnit>,
    is_good: impl Fn(&str) -> bool,
) -> Vec<String> {
    let (number, unit) = number_and_rest(text);
    let units = [Some(unit.clone()), unit_meant(&unit, wanted)];
    let mut meant: Vec<String> = Vec::new();
    for unit in units.into_iter().flatten() {
        meant.extend(readings(&number).into_iter().map(|number| format!("{number} {unit}")));
    }
    if let Some((number, letters)) = letter_as_point(text) {
        let units = [Some(letters.clone()), unit_meant(&letters, wanted), Some(format!("{letters}ohm"))];
        meant.extend(units.into_iter().flatten().map(|unit| format!("{number} {unit}")));
    }
    let mut good: Vec<String> = Vec::new();
    for text in meant.into_iter().filter(|text| is_good(text)) {
        if !good.contains(&text) && good.len() < 2 {
            good.push(text);
        }
    }
    good
}

/// Returns what a number without a unit may have meant: "4.7" for "4,7", "4700" for "4k7".
pub fn number_meant(text: &str) -> Option<String> {
    let scale = |letters: &str| match letters {
        "k" | "K" => Some(1e3),
        "M" => Some(1e6),
        "m" => Some(1e-3),
        "r" | "R" => Some(1.0),
        _ => None,
    };
    let scaled = |number: &str, letters: &str| {
        let value = number.parse::<f64>().ok()? * scale(letters)?;
        Some(value.to_string())
    };
    if let Some(meant) = letter_as_point(text).and_then(|(number, letters)| scaled(&number, &letters)) {
        return Some(meant);
    }
    let (number, rest) = number_and_rest(text);
    let number = readings(&number).into_iter().next()?;
    let meant = if rest.is_empty() { Some(number) } else { scaled(&number, &rest) };
    meant.filter(|meant| meant.parse::<f64>().is_ok() && meant != text)
}
