//! Faults as text: `open:23`, `short:36-38@100`.

use super::{Fault, FaultError, Terminal};
use bench_run::Contact;
use std::fmt;
use std::str::FromStr;

const GROUND: &str = "gnd";

/// What is understood, for error messages and `--help`.
const FORMS: &str = "open:CONTACT, short:A-B or short:A-B@OHMS with contacts, rails or gnd, stuck-high:CONTACT, \
    stuck-low:CONTACT, lost-pull:CONTACT, overload:RAIL or overload:RAIL@AMPS, dead-link, dead-mcu, empty-nest, \
    adc-gain:PERCENT, adc-offset:MILLIVOLTS, wrong-model:MODEL";

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
        match self {
            Fault::Open(contact) => write!(f, "open:{contact}"),
            Fault::Short { a, b, ohms } if *ohms == 0.0 => write!(f, "short:{a}-{b}"),
            Fault::Short { a, b, ohms } => write!(f, "short:{a}-{b}@{ohms}"),
            Fault::StuckHigh(contact) => write!(f, "stuck-high:{contact}"),
            Fault::StuckLow(contact) => write!(f, "stuck-low:{contact}"),
            Fault::LostPull(contact) => write!(f, "lost-pull:{contact}"),
            Fault::Overload { rail, amps: None } => write!(f, "overload:{rail}"),
            Fault::Overload { rail, amps: Some(amps) } => write!(f, "overload:{rail}@{amps}"),
            Fault::DeadLink => f.write_str("dead-link"),
            Fault::DeadMcu => f.write_str("dead-mcu"),
            Fault::EmptyNest => f.write_str("empty-nest"),
            Fault::AdcGain(percent) => write!(f, "adc-gain:{percent}"),
            Fault::AdcOffset(millivolts) => write!(f, "adc-offset:{millivolts}"),
            Fault::WrongModel(model) => write!(f, "wrong-model:{model}"),
        }
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        parse(text.trim()).map_err(|reason| FaultError::Syntax { text: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<Fault, String> {
    let (kind, rest) = match text.split_once(':') {
        Some((kind, rest)) => (kind, Some(rest)),
        None => (text, None),
    };
    let what = |example: &str| rest.ok_or_else(|| format!("write what it befalls, for example `{kind}:{example}`"));
    let alone = |fault: Fault| match rest {
        None => Ok(fault),
        Some(_) => Err(format!("`{kind}` takes nothing after it")),
    };
    match kind {
        "open" => Ok(Fault::Open(contact(what("23")?)?)),
        "stuck-high" => Ok(Fault::StuckHigh(contact(what("23")?)?)),
        "stuck-low" => Ok(Fault::StuckLow(contact(what("23")?)?)),
        "lost-pull" => Ok(Fault::LostPull(contact(what("23")?)?)),
        "short" => short(what("36-38")?),
        "overload" => {
            let (rail, amps) = number_after(what("3v3")?, "amperes")?;
            if amps == Some(0.0) {
                return Err("an overload of 0 amperes is none".to_owned());
            }
            Ok(Fault::Overload { rail: rail_name(rail)?, amps })
        }
        "dead-link" => alone(Fault::DeadLink),
        "dead-mcu" => alone(Fault::DeadMcu),
        "empty-nest" => alone(Fault::EmptyNest),
        "adc-gain" => Ok(Fault::AdcGain(signed(what("5")?, "percent", 50.0)?)),
        "adc-offset" => Ok(Fault::AdcOffset(signed(what("50")?, "millivolts", 1000.0)?)),
        "wrong-model" => match what("b524")? {
            "" => Err("the model is missing, for example `wrong-model:b524`".to_owned()),
            model => Ok(Fault::WrongModel(model.to_owned())),
        },
        _ => Err(format!("expected {FORMS}")),
    }
}

fn short(text: &str) -> Result<Fault, String> {
    let (ends, ohms) = number_after(text, "ohms")?;
    let (a, b) = ends.split_once('-').ok_or("a short has two ends, for example `short:36-38` or `short:23-gnd`")?;
    Ok(Fault::Short { a: terminal(a)?, b: terminal(b)?, ohms: ohms.unwrap_or(0.0) })
}

/// "-5", within plus and minus `most`.
fn signed(text: &str, unit: &str, most: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value != 0.0 && value.abs() <= most && !text.starts_with('+') => Ok(value),
        _ => Err(format!("expected a number of {unit} other than 0 and at most {most}, found `{text}`")),
    }
}

/// "36-38@100" -> ("36-38", 100).
fn number_after<'t>(text: &'t str, unit: &str) -> Result<(&'t str, Option<f64>), String> {
    let Some((before, number)) = text.split_once('@') else { return Ok((text, None)) };
    match number.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 && !number.starts_with(['+', '-']) => Ok((before, Some(value))),
        _ => Err(format!("expected a number of {unit} after `@`, found `{number}`")),
    }
}

fn terminal(text: &str) -> Result<Terminal, String> {
    match text {
        _ if text.eq_ignore_ascii_case(GROUND) => Ok(Terminal::Ground),
        // "3v3" starts with a digit, too.
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => contact(text).map(Terminal::Contact),
        _ => rail_name(text).map(Terminal::Rail),
    }
}

fn rail_name(text: &str) -> Result<String, String> {
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+./".contains(&byte));
    match text {
        "" => Err("the name of a rail is missing".to_owned()),
        _ if !is_name(text) => Err(format!("`{text}` is no name of a rail")),
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms() {
        let contact = |n| Terminal::Contact(Contact(n));
        let rail = |name: &str| Terminal::Rail(name.to_owned());
        for (text, fault) in [
            ("open:23", Fault::Open(Contact(23))),
            ("short:36-38", Fault::Short { a: contact(36), b: contact(38), ohms: 0.0 }),
            ("short:36-38@100", Fault::Short { a: contact(36), b: contact(38), ohms: 100.0 }),
            ("short:23-gnd", Fault::Short { a: contact(23), b: Terminal::Ground, ohms: 0.0 }),
            ("short:23-3V3@4.7", Fault::Short { a: contact(23), b: rail("3v3"), ohms: 4.7 }),
            ("short:vbus_modem-GND", Fault::Short { a: rail("vbus_modem"), b: Terminal::Ground, ohms: 0.0 }),
            ("stuck-high:23", Fault::StuckHigh(Contact(23))),
            ("stuck-low:23", Fault::StuckLow(Contact(23))),
            ("lost-pull:23", Fault::LostPull(Contact(23))),
            ("overload:3v3", Fault::Overload { rail: "3v3".into(), amps: None }),
            ("overload:3V3@0.9", Fault::Overload { rail: "3v3".into(), amps: Some(0.9) }),
            ("dead-link", Fault::DeadLink),
            ("dead-mcu", Fault::DeadMcu),
            (" empty-nest ", Fault::EmptyNest),
            ("wrong-model:b524", Fault::WrongModel("b524".into())),
        ] {
            assert_eq!(text.parse(), Ok(fault), "{text}");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, part) in [
            ("", "expected open:CONTACT"),
            ("opne:23", "expected open:CONTACT"),
            ("open", "for example `open:23`"),
            ("open:A0", "expected the number of a contact, found `A0`"),
            ("open:+3", "expected the number of a contact"),
            ("open:300", "expected the number of a contact"),
            ("short:36", "a short has two ends"),
            ("short:36-38@-1", "expected a number of ohms after `@`, found `-1`"),
            ("short:36-38@NaN", "expected a number of ohms"),
            ("short:36-", "the number of a contact"),
            ("short:36-a b", "no name of a rail"),
            ("overload:3v3@0", "0 amperes"),
            ("dead-link:1", "takes nothing after it"),
            ("wrong-model:", "the model is missing"),
        ] {
            let message = text.parse::<Fault>().expect_err(text).to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    fn any_contact() -> impl Strategy<Value = Contact> {
        any::<u8>().prop_map(Contact)
    }
    fn any_rail() -> impl Strategy<Value = String> {
        "[a-z][a-z0-9_]{0,8}".prop_filter("ground is no rail", |name| name != GROUND)
    }
    fn any_terminal() -> impl Strategy<Value = Terminal> {
        prop_oneof![
            any_contact().prop_map(Terminal::Contact),
            any_rail().prop_map(Terminal::Rail),
            Just(Terminal::Ground)
        ]
    }
    fn any_fault() -> impl Strategy<Value = Fault> {
        prop_oneof![
            any_contact().prop_map(Fault::Open),
            (any_terminal(), any_terminal(), 0.0..1e9f64).prop_map(|(a, b, ohms)| Fault::Short { a, b, ohms }),
            any_contact().prop_map(Fault::StuckHigh),
            any_contact().prop_map(Fault::StuckLow),
            any_contact().prop_map(Fault::LostPull),
            (any_rail(), prop::option::of(1e-6..1e3f64)).prop_map(|(rail, amps)| Fault::Overload { rail, amps }),
            Just(Fault::DeadLink),
            Just(Fault::DeadMcu),
            Just(Fault::EmptyNest),
            "[a-z0-9]{1,6}".prop_map(Fault::WrongModel),
        ]
    }

    proptest! {
        #[test]
        fn text_and_back(fault in any_fault()) {
            prop_assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Fault>();
        }
    }
}
