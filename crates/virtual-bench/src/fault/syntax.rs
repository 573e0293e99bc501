//! Faults as text: `open:23`, `short:36-38@100`, parsed and printed by the syntax that a kind declares.

use super::kinds::{FaultKind, KINDS};
use super::{Fault, FaultError, Subject, Terminal};
use bench_plan::{nearest, number_meant};
use bench_run::Contact;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

const GROUND: &str = "gnd";

/// Syntax of a kind of fault after its name. In documentation, placeholders are in capitals.
#[derive(Debug, Clone)]
pub enum Syntax {
    /// `dead-mcu`
    Alone,
    /// `open:CONTACT`, `cold:CONTACT[@OHMS]`
    Contact(Option<Amount>),
    /// `swap:A-B`: two contacts
    Pair { example: &'static str },
    /// `short:A-B[@OHMS]`: contacts, rails or `gnd`
    Ends(Amount),
    /// `leak:CONTACT-TO[@OHMS]`: to a contact, a rail or `gnd`
    ContactAndEnd(Amount),
    /// `overload:RAIL[@AMPS]`
    Rail(Amount),
    /// `adc-gain:PERCENT`, `crystal[:PPM]`
    Number {
        placeholder: &'static str,
        /// In words, for errors.
        unit: &'static str,
        /// The largest magnitude.
        most: f64,
        positive: bool,
        whole: bool,
        /// Value of an order without a number.
        usual: Option<f64>,
    },
    /// `pwm-dead:UNIT`: the number of a part
    Index { placeholder: &'static str, range: RangeInclusive<u8> },
    /// `flow-dead:rts|cts`
    OneOf(&'static [&'static str]),
    /// `wrong-model:MODEL`
    Word { placeholder: &'static str, example: &'static str, missing: &'static str },
}

/// A number after `@`.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    pub placeholder: &'static str,
    /// In words, for errors.
    pub unit: &'static str,
    /// Value of an order without it.
    pub usual: Option<f64>,
}

impl FaultKind {
    /// Its syntax: `short:A-B[@OHMS]`.
    pub fn usage(&self) -> String {
        let name = self.name;
        let at = |amount: &Amount| format!("[@{}]", amount.placeholder);
        match &self.syntax {
            Syntax::Alone => name.to_owned(),
            Syntax::Contact(amount) => format!("{name}:CONTACT{}", amount.as_ref().map(at).unwrap_or_default()),
            Syntax::Pair { .. } => format!("{name}:A-B"),
            Syntax::Ends(amount) => format!("{name}:A-B{}", at(amount)),
            Syntax::ContactAndEnd(amount) => format!("{name}:CONTACT-TO{}", at(amount)),
            Syntax::Rail(amount) => format!("{name}:RAIL{}", at(amount)),
            Syntax::Number { placeholder, usual: None, .. } => format!("{name}:{placeholder}"),
            Syntax::Number { placeholder, .. } => format!("{name}[:{placeholder}]"),
            Syntax::Index { range, .. } => format!("{name}:{}..{}", range.start(), range.end()),
            Syntax::OneOf(words) => format!("{name}:{}", words.join("|")),
            Syntax::Word { placeholder, .. } => format!("{name}:{placeholder}"),
        }
    }

    /// A regular expression that its orders match, for JSON Schema.
    pub fn pattern(&self) -> String {
        const NUMBER: &str = "-?[0-9.e-]+";
        const END: &str = "[A-Za-z0-9_+./]+";
        let rest = match &self.syntax {
            Syntax::Alone => String::new(),
            Syntax::Contact(None) => ":[0-9]+".to_owned(),
            Syntax::Contact(Some(_)) => format!(":[0-9]+(@{NUMBER})?"),
            Syntax::Pair { .. } => ":[0-9]+-[0-9]+".to_owned(),
            Syntax::Ends(_) => format!(":{END}-{END}(@{NUMBER})?"),
            Syntax::ContactAndEnd(_) => format!(":[0-9]+-{END}(@{NUMBER})?"),
            Syntax::Rail(_) => format!(":{END}(@{NUMBER})?"),
            Syntax::Number { usual: None, .. } => format!(":{NUMBER}"),
            Syntax::Number { .. } => format!("(:{NUMBER})?"),
            Syntax::Index { range, .. } => format!(":[{}-{}]", range.start(), range.end()),
            Syntax::OneOf(words) => format!(":({})", words.join("|")),
            Syntax::Word { .. } => ":.+".to_owned(),
        };
        format!("^{}{rest}$", self.name)
    }

    /// What an order names, for errors.
    fn example(&self) -> String {
        match &self.syntax {
            Syntax::Alone => String::new(),
            Syntax::Contact(_) => "23".to_owned(),
            Syntax::Pair { example } | Syntax::Word { example, .. } => (*example).to_owned(),
            Syntax::Ends(_) => "36-38".to_owned(),
            Syntax::ContactAndEnd(_) => "23-gnd".to_owned(),
            Syntax::Rail(_) => "3v3".to_owned(),
            Syntax::Number { usual, .. } => usual.unwrap_or(5.0).to_string(),
            Syntax::Index { range, .. } => range.start().to_string(),
            Syntax::OneOf(words) => words.first().copied().unwrap_or_default().to_owned(),
        }
    }

    fn parse(&'static self, rest: Option<&str>) -> Result<Fault, String> {
        let name = self.name;
        let example = || format!("for example `{name}:{}`", self.example());
        let what = || rest.ok_or_else(|| format!("write its target, {}", example()));
        let fault = |subject, amount| Fault { kind: self, subject, amount };
        Ok(match &self.syntax {
            Syntax::Alone if rest.is_some() => return Err(format!("`{name}` takes nothing after it")),
            Syntax::Alone => fault(Subject::Nothing, None),
            Syntax::Contact(None) => fault(Subject::Contact(contact(what()?)?), None),
            Syntax::Contact(Some(amount)) => {
                let (text, amount) = amount.split(what()?)?;
                fault(Subject::Contact(contact(text)?), amount)
            }
            Syntax::Pair { .. } => {
                let ends = what()?.split_once('-');
                let (a, b) = ends.ok_or_else(|| format!("`{name}` has two ends, {}", example()))?;
                fault(Subject::Pair(contact(a)?, contact(b)?), None)
            }
            Syntax::Ends(amount) | Syntax::ContactAndEnd(amount) => {
                let (text, amount) = amount.split(what()?)?;
                let (a, b) = text
                    .split_once('-')
                    .ok_or_else(|| format!("`{name}` has two ends, {} or `{name}:23-3v3`", example()))?;
                let first = match self.syntax {
                    Syntax::ContactAndEnd(_) => Terminal::Contact(contact(a)?),
                    _ => terminal(a)?,
                };
                fault(Subject::Ends(first, terminal(b)?), amount)
            }
            Syntax::Rail(amount) => {
                let (text, given) = amount.split(what()?)?;
                if given == Some(0.0) {
                    return Err(format!("`{name}` of 0 {} is none", amount.unit));
                }
                fault(Subject::Rail(rail_name(text)?), given)
            }
            Syntax::Number { usual: Some(usual), .. } if rest.is_none() => fault(Subject::Nothing, Some(*usual)),
            Syntax::Number { .. } => fault(Subject::Nothing, Some(self.number(what()?)?)),
            Syntax::Index { range, .. } => fault(Subject::Index(index(what()?, range)?), None),
            Syntax::OneOf(words) => {
                let text = what()?;
                if !words.contains(&text) {
                    return Err(format!("expected {}, found `{text}`", words.join(" or ")));
                }
                fault(Subject::Word(text.to_owned()), None)
            }
            Syntax::Word { missing, .. } => match rest {
                None | Some("") => return Err(format!("{missing}, {}", example())),
                Some(word) => fault(Subject::Word(word.to_owned()), None),
            },
        })
    }

    /// "-5", within plus and minus the largest magnitude.
    fn number(&self, text: &str) -> Result<f64, String> {
        let Syntax::Number { unit, most, positive, whole, .. } = &self.syntax else { return Ok(0.0) };
        let fits = |value: &f64| {
            let sign = if *positive { *value > 0.0 } else { *value != 0.0 };
            sign && value.abs() <= *most && (!whole || value.fract() == 0.0)
        };
        let number = text.parse::<f64>().ok().filter(fits).filter(|_| !text.starts_with('+'));
        number.ok_or_else(|| {
            let kind = if *whole { "whole number" } else { "number" };
            let range = if *positive { "above 0" } else { "other than 0" };
            format!("expected a {kind} of {unit} {range} and at most {most}, found `{text}`{}", meant(text))
        })
    }
}

impl Amount {
    /// "36-38@100" -> ("36-38", 100).
    fn split<'t>(&self, text: &'t str) -> Result<(&'t str, Option<f64>), String> {
        let Some((before, number)) = text.split_once('@') else { return Ok((text, self.usual)) };
        match number.parse::<f64>() {
            Ok(value) if value.is_finite() && value >= 0.0 && !number.starts_with(['+', '-']) => {
                Ok((before, Some(value)))
            }
            _ => Err(format!("expected a number of {} after `@`, found `{number}`{}", self.unit, meant(number))),
        }
    }
}

impl fmt::Display for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Terminal::Contact(contact) => contact.fmt(f),
            Terminal::Rail(rail) => f.write_str(rail),
            Terminal::Ground => f.write_str(GROUND),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name)?;
        match &self.subject {
            Subject::Nothing => {}
            Subject::Contact(contact) => write!(f, ":{contact}")?,
            Subject::Pair(a, b) => write!(f, ":{a}-{b}")?,
            Subject::Ends(a, b) => write!(f, ":{a}-{b}")?,
            Subject::Rail(rail) => write!(f, ":{rail}")?,
            Subject::Index(number) => write!(f, ":{number}")?,
            Subject::Word(word) => write!(f, ":{word}")?,
        }
        let sign = if matches!(self.kind.syntax, Syntax::Number { .. }) { ':' } else { '@' };
        match self.amount {
            Some(amount) if self.amount != self.kind.usual() => write!(f, "{sign}{amount}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (name, rest) = match text.trim().split_once(':') {
            Some((name, rest)) => (name, Some(rest)),
            None => (text.trim(), None),
        };
        let parsed = match KINDS.iter().find(|kind| kind.name == name) {
            Some(kind) => kind.parse(rest),
            None => Err(unknown(name)),
        };
        parsed.map_err(|reason| FaultError::Syntax { text: text.to_owned(), reason })
    }
}

fn unknown(name: &str) -> String {
    match nearest(name, KINDS.iter().map(|kind| kind.name)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("no kind of fault has a name like `{name}`; `bench faults` lists them"),
    }
}

/// What a number in another notation may have meant.
fn meant(text: &str) -> String {
    number_meant(text).map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"))
}

fn index(text: &str, range: &RangeInclusive<u8>) -> Result<u8, String> {
    match text.parse() {
        Ok(number) if range.contains(&number) && text.len() == 1 => Ok(number),
        _ => Err(format!("expected a number from {} to {}, found `{text}`", range.start(), range.end())),
    }
}

fn terminal(text: &str) -> Result<Terminal, String> {
    match text {
        _ if text.eq_ignore_ascii_case(GROUND) => Ok(Terminal::Ground),
        // A rail name may start with a digit, too: "3v3".
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => contact(text).map(Terminal::Contact),
        _ => rail_name(text).map(Terminal::Rail),
    }
}

fn rail_name(text: &str) -> Result<String, String> {
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+./".contains(&byte));
    match text {
        "" => Err("the name of a rail is missing".to_owned()),
        _ if !is_name(text) => Err(format!("`{text}` is not the name of a rail")),
        _ => Ok(text.to_ascii_lowercase()),
    }
}

fn contact(text: &str) -> Result<Contact, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(Contact(number)),
        _ => Err(format!("expected the number of a contact, found `{text}`")),
    }
}
