//! Faults as text: `open:23`, `short:36-38@100`.

use super::{
    BLE_CRYSTAL_PPM, BLE_WEAK_DB, COLD_OHMS, CRYSTAL_PPM, ESD_OHMS, Fault, FaultError, FlowLine, LEAK_OHMS, LOST_AFTER,
    ModemFault, SLEEP_MILLIAMPS, Terminal,
};
use bench_run::Contact;
use std::fmt;
use std::str::FromStr;

const GROUND: &str = "gnd";

/// What is understood, for error messages and `--help`.
const FORMS: &str = "open:CONTACT, short:A-B or short:A-B@OHMS with contacts, rails or gnd, stuck-high:CONTACT, \
    stuck-low:CONTACT, lost-pull:CONTACT, overload:RAIL or overload:RAIL@AMPS, dead-link, dead-mcu, empty-nest, \
    adc-gain:PERCENT, adc-offset:MILLIVOLTS, wrong-model:MODEL, \
    weak-pull:CONTACT, weak-driver:CONTACT, cold:CONTACT or cold:CONTACT@OHMS, esd:CONTACT or esd:CONTACT@OHMS, leak:CONTACT-TO or leak:CONTACT-TO@OHMS with a \
    rail or gnd, swap:A-B, sleep-current or sleep-current:MILLIAMPS, vusb-detect-lost, adc-dead:CONTACT, retained-lost, flash-absent, \
    flash-bad-block, flash-line-open:2 or 3, crystal:PPM, crystal-dead, pwm-dead:UNIT, \
    spim-dead:UNIT, twim-dead:UNIT, bus-line-dead:CONTACT, flow-dead:rts or flow-dead:cts, \
    pwm-wrong:A-B, interrupt-dead:CHANNEL, usb-dead, \
    ble-antenna, ble-weak or ble-weak:DECIBELS, ble-dead, ble-crystal or ble-crystal:PPM, \
    nfc-dead, nfc-antenna, nfc-detuned, nfc-as-ports, \
    probe-absent, swdio-open, swclk-open, probe-lost or probe-lost:TRANSFERS, locked, self-locking, wrong-mcu, mcu-flash-page";

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
            Fault::SlowLink => f.write_str("slow-link"),
            Fault::DeadMcu => f.write_str("dead-mcu"),
            Fault::EmptyNest => f.write_str("empty-nest"),
            Fault::AdcGain(percent) => write!(f, "adc-gain:{percent}"),
            Fault::AdcOffset(millivolts) => write!(f, "adc-offset:{millivolts}"),
            Fault::WrongModel(model) => write!(f, "wrong-model:{model}"),
            Fault::WeakPull(contact) => write!(f, "weak-pull:{contact}"),
            Fault::WeakDriver(contact) => write!(f, "weak-driver:{contact}"),
            Fault::Cold { contact, ohms } => write!(f, "cold:{contact}{}", Unusual('@', *ohms, COLD_OHMS)),
            Fault::Esd { contact, ohms } => write!(f, "esd:{contact}{}", Unusual('@', *ohms, ESD_OHMS)),
            Fault::Leak { contact, to, ohms } => write!(f, "leak:{contact}-{to}{}", Unusual('@', *ohms, LEAK_OHMS)),
            Fault::Swap(a, b) => write!(f, "swap:{a}-{b}"),
            Fault::SleepCurrent(milliamps) => {
                write!(f, "sleep-current{}", Unusual(':', *milliamps, SLEEP_MILLIAMPS))
            }
            Fault::VusbDetectLost => f.write_str("vusb-detect-lost"),
            Fault::AdcDead(contact) => write!(f, "adc-dead:{contact}"),
            Fault::RetainedLost => f.write_str("retained-lost"),
            Fault::FlashAbsent => f.write_str("flash-absent"),
            Fault::FlashBadBlock => f.write_str("flash-bad-block"),
            Fault::FlashLineOpen(line) => write!(f, "flash-line-open:{line}"),
            Fault::Crystal(ppm) => write!(f, "crystal:{ppm}"),
            Fault::CrystalDead => f.write_str("crystal-dead"),
            Fault::PwmDead(unit) => write!(f, "pwm-dead:{unit}"),
            Fault::SpimDead(unit) => write!(f, "spim-dead:{unit}"),
            Fault::TwimDead(unit) => write!(f, "twim-dead:{unit}"),
            Fault::BusLineDead(contact) => write!(f, "bus-line-dead:{contact}"),
            Fault::FlowDead(line) => write!(f, "flow-dead:{}", line.names().1),
            Fault::PwmWrong(a, b) => write!(f, "pwm-wrong:{a}-{b}"),
            Fault::InterruptDead(channel) => write!(f, "interrupt-dead:{channel}"),
            Fault::UsbDead => f.write_str("usb-dead"),
            Fault::Modem(fault) => f.write_str(&fault.text()),
            Fault::BleAntenna => f.write_str("ble-antenna"),
            Fault::BleWeak(decibels) => write!(f, "ble-weak{}", Unusual(':', *decibels, BLE_WEAK_DB)),
            Fault::BleDead => f.write_str("ble-dead"),
            Fault::BleCrystal(ppm) => write!(f, "ble-crystal{}", Unusual(':', *ppm, BLE_CRYSTAL_PPM)),
            Fault::NfcDead => f.write_str("nfc-dead"),
            Fault::NfcAntenna => f.write_str("nfc-antenna"),
            Fault::NfcDetuned => f.write_str("nfc-detuned"),
            Fault::NfcAsPorts => f.write_str("nfc-as-ports"),
            Fault::ProbeAbsent => f.write_str("probe-absent"),
            Fault::SwdioOpen => f.write_str("swdio-open"),
            Fault::SwclkOpen => f.write_str("swclk-open"),
            Fault::ProbeLost(LOST_AFTER) => f.write_str("probe-lost"),
            Fault::ProbeLost(after) => write!(f, "probe-lost:{after}"),
            Fault::Locked => f.write_str("locked"),
            Fault::SelfLocking => f.write_str("self-locking"),
            Fault::WrongMcu => f.write_str("wrong-mcu"),
            Fault::McuFlashPage => f.write_str("mcu-flash-page"),
        }
    }
}

/// A number after a sign, where it is not the usual one.
struct Unusual(char, f64, f64);

impl fmt::Display for Unusual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unusual(sign, value, usual) = self;
        if value == usual { Ok(()) } else { write!(f, "{sign}{value}") }
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
    if let Some(fault) = ModemFault::parse(kind, rest) {
        return fault.map(Fault::Modem);
    }
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
        "slow-link" => alone(Fault::SlowLink),
        "dead-mcu" => alone(Fault::DeadMcu),
        "empty-nest" => alone(Fault::EmptyNest),
        "adc-gain" => Ok(Fault::AdcGain(signed(what("5")?, "percent", 50.0)?)),
        "adc-offset" => Ok(Fault::AdcOffset(signed(what("50")?, "millivolts", 1000.0)?)),
        "wrong-model" => match what("b524")? {
            "" => Err("the model is missing, for example `wrong-model:b524`".to_owned()),
            model => Ok(Fault::WrongModel(model.to_owned())),
        },
        "weak-pull" => Ok(Fault::WeakPull(contact(what("23")?)?)),
        "weak-driver" => Ok(Fault::WeakDriver(contact(what("23")?)?)),
        "cold" => contact_and_ohms(what("23")?, COLD_OHMS).map(|(contact, ohms)| Fault::Cold { contact, ohms }),
        "esd" => contact_and_ohms(what("23")?, ESD_OHMS).map(|(contact, ohms)| Fault::Esd { contact, ohms }),
        "leak" => leak(what("23-gnd")?),
        "swap" => match what("20-22")?.split_once('-') {
            Some((a, b)) => Ok(Fault::Swap(contact(a)?, contact(b)?)),
            None => Err("an exchange has two ends, for example `swap:20-22`".to_owned()),
        },
        "sleep-current" => match rest {
            None => Ok(Fault::SleepCurrent(SLEEP_MILLIAMPS)),
            Some(number) => positive(number, "milliamperes", 500.0).map(Fault::SleepCurrent),
        },
        "vusb-detect-lost" => alone(Fault::VusbDetectLost),
        "adc-dead" => Ok(Fault::AdcDead(contact(what("23")?)?)),
        "retained-lost" => alone(Fault::RetainedLost),
        "flash-absent" => alone(Fault::FlashAbsent),
        "flash-bad-block" => alone(Fault::FlashBadBlock),
        "flash-line-open" => numbered(what("2")?, 2..=3).map(Fault::FlashLineOpen),
        "crystal" => match rest {
            None => Ok(Fault::Crystal(CRYSTAL_PPM)),
            Some(ppm) => signed(ppm, "parts per million", 100_000.0).map(Fault::Crystal),
        },
        "crystal-dead" => alone(Fault::CrystalDead),
        "usb-dead" => alone(Fault::UsbDead),
        "nfc-dead" => alone(Fault::NfcDead),
        "nfc-antenna" => alone(Fault::NfcAntenna),
        "nfc-detuned" => alone(Fault::NfcDetuned),
        "nfc-as-ports" => alone(Fault::NfcAsPorts),
        "probe-absent" => alone(Fault::ProbeAbsent),
        "swdio-open" => alone(Fault::SwdioOpen),
        "swclk-open" => alone(Fault::SwclkOpen),
        "probe-lost" => match rest {
            None => Ok(Fault::ProbeLost(LOST_AFTER)),
            Some(number) => match number.parse() {
                Ok(after) if after > 0 && !number.starts_with('+') => Ok(Fault::ProbeLost(after)),
                _ => Err(format!("expected a number of transfers above 0, found `{number}`")),
            },
        },
        "locked" => alone(Fault::Locked),
        "self-locking" => alone(Fault::SelfLocking),
        "wrong-mcu" => alone(Fault::WrongMcu),
        "mcu-flash-page" => alone(Fault::McuFlashPage),
        "pwm-dead" => numbered(what("0")?, 0..=3).map(Fault::PwmDead),
        "spim-dead" => numbered(what("3")?, 0..=3).map(Fault::SpimDead),
        "twim-dead" => numbered(what("0")?, 0..=1).map(Fault::TwimDead),
        "bus-line-dead" => Ok(Fault::BusLineDead(contact(what("54")?)?)),
        "flow-dead" => match what("cts")? {
            "rts" => Ok(Fault::FlowDead(FlowLine::Rts)),
            "cts" => Ok(Fault::FlowDead(FlowLine::Cts)),
            other => Err(format!("flow control has rts and cts, not `{other}`")),
        },
        "pwm-wrong" => match what("23-33")?.split_once('-') {
            Some((a, b)) => Ok(Fault::PwmWrong(contact(a)?, contact(b)?)),
            None => Err("an exchange has two ends, for example `pwm-wrong:23-33`".to_owned()),
        },
        "interrupt-dead" => numbered(what("0")?, 0..=7).map(Fault::InterruptDead),
        "ble-antenna" => alone(Fault::BleAntenna),
        "ble-weak" => match rest {
            None => Ok(Fault::BleWeak(BLE_WEAK_DB)),
            Some(number) => positive(number, "decibels", 100.0).map(Fault::BleWeak),
        },
        "ble-dead" => alone(Fault::BleDead),
        "ble-crystal" => match rest {
            None => Ok(Fault::BleCrystal(BLE_CRYSTAL_PPM)),
            Some(ppm) => signed(ppm, "parts per million", 1_000.0).map(Fault::BleCrystal),
        },
        _ => Err(format!("expected {FORMS}, {}", ModemFault::forms())),
    }
}

fn contact_and_ohms(text: &str, usual: f64) -> Result<(Contact, f64), String> {
    let (number, ohms) = number_after(text, "ohms")?;
    Ok((contact(number)?, ohms.unwrap_or(usual)))
}

fn leak(text: &str) -> Result<Fault, String> {
    let (ends, ohms) = number_after(text, "ohms")?;
    let (from, to) = ends.split_once('-').ok_or("a leak has two ends, for example `leak:23-gnd` or `leak:23-3v3`")?;
    Ok(Fault::Leak { contact: contact(from)?, to: terminal(to)?, ohms: ohms.unwrap_or(LEAK_OHMS) })
}

/// More than 0, at most `most`.
fn positive(text: &str, unit: &str, most: f64) -> Result<f64, String> {
    match signed(text, unit, most) {
        Ok(value) if value > 0.0 => Ok(value),
        _ => Err(format!("expected a number of {unit} above 0 and at most {most}, found `{text}`")),
    }
}

fn numbered(text: &str, known: std::ops::RangeInclusive<u8>) -> Result<u8, String> {
    match text.parse() {
        Ok(number) if known.contains(&number) && text.len() == 1 => Ok(number),
        _ => Err(format!("expected a number from {} to {}, found `{text}`", known.start(), known.end())),
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
            ("slow-link", Fault::SlowLink),
            ("dead-mcu", Fault::DeadMcu),
            (" empty-nest ", Fault::EmptyNest),
            ("wrong-model:b524", Fault::WrongModel("b524".into())),
            ("weak-pull:23", Fault::WeakPull(Contact(23))),
            ("weak-driver:23", Fault::WeakDriver(Contact(23))),
            ("cold:23", Fault::Cold { contact: Contact(23), ohms: 200.0 }),
            ("cold:23@50", Fault::Cold { contact: Contact(23), ohms: 50.0 }),
            ("esd:11", Fault::Esd { contact: Contact(11), ohms: 2e3 }),
            ("leak:17-gnd", Fault::Leak { contact: Contact(17), to: Terminal::Ground, ohms: 100e3 }),
            ("leak:17-3V3@5000", Fault::Leak { contact: Contact(17), to: rail("3v3"), ohms: 5e3 }),
            ("swap:20-22", Fault::Swap(Contact(20), Contact(22))),
            ("sleep-current", Fault::SleepCurrent(1.0)),
            ("sleep-current:0.2", Fault::SleepCurrent(0.2)),
            ("vusb-detect-lost", Fault::VusbDetectLost),
            ("adc-dead:23", Fault::AdcDead(Contact(23))),
            ("retained-lost", Fault::RetainedLost),
            ("flash-absent", Fault::FlashAbsent),
            ("flash-bad-block", Fault::FlashBadBlock),
            ("flash-line-open:3", Fault::FlashLineOpen(3)),
            ("crystal", Fault::Crystal(100.0)),
            ("crystal:-80", Fault::Crystal(-80.0)),
            ("crystal-dead", Fault::CrystalDead),
            ("pwm-dead:2", Fault::PwmDead(2)),
            ("pwm-wrong:23-33", Fault::PwmWrong(Contact(23), Contact(33))),
            ("interrupt-dead:7", Fault::InterruptDead(7)),
            ("usb-dead", Fault::UsbDead),
            ("ble-antenna", Fault::BleAntenna),
            ("ble-weak", Fault::BleWeak(20.0)),
            ("ble-weak:12", Fault::BleWeak(12.0)),
            ("ble-dead", Fault::BleDead),
            ("ble-crystal", Fault::BleCrystal(60.0)),
            ("ble-crystal:-60", Fault::BleCrystal(-60.0)),
            ("nfc-dead", Fault::NfcDead),
            ("nfc-antenna", Fault::NfcAntenna),
            ("nfc-detuned", Fault::NfcDetuned),
            ("nfc-as-ports", Fault::NfcAsPorts),
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
            ("cold:23@", "a number of ohms after `@`, found ``"),
            ("leak:23", "a leak has two ends"),
            ("swap:20", "an exchange has two ends"),
            ("sleep-current:0", "milliamperes above 0"),
            ("sleep-current:-1", "milliamperes above 0"),
            ("flash-line-open:1", "from 2 to 3, found `1`"),
            ("flash-line-open:+2", "from 2 to 3"),
            ("crystal:x", "parts per million"),
            ("pwm-wrong:23", "an exchange has two ends"),
            ("interrupt-dead:8", "from 0 to 7, found `8`"),
            ("ble-antenna:1", "takes nothing after it"),
            ("ble-weak:0", "decibels above 0"),
            ("ble-crystal:0", "parts per million other than 0"),
            ("probe-lost:0", "transfers above 0"),
            ("locked:1", "nothing after it"),
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
            any_contact().prop_map(Fault::WeakPull),
            (any_rail(), prop::option::of(1e-6..1e3f64)).prop_map(|(rail, amps)| Fault::Overload { rail, amps }),
            Just(Fault::DeadLink),
            Just(Fault::SlowLink),
            Just(Fault::DeadMcu),
            Just(Fault::EmptyNest),
            "[a-z0-9]{1,6}".prop_map(Fault::WrongModel),
            (any_contact(), 0.0..1e9f64).prop_map(|(contact, ohms)| Fault::Cold { contact, ohms }),
            (any_contact(), 0.0..1e9f64).prop_map(|(contact, ohms)| Fault::Esd { contact, ohms }),
            (any_contact(), any_terminal(), 0.0..1e9f64).prop_map(|(contact, to, ohms)| Fault::Leak {
                contact,
                to,
                ohms
            }),
            (any_contact(), any_contact()).prop_map(|(a, b)| Fault::Swap(a, b)),
            (1e-3..500.0f64).prop_map(Fault::SleepCurrent),
            any_contact().prop_map(Fault::AdcDead),
            (2..=3u8).prop_map(Fault::FlashLineOpen),
            (1e-3..1e5f64).prop_map(Fault::Crystal),
            (0..=3u8).prop_map(Fault::SpimDead),
            (1..u64::MAX).prop_map(Fault::ProbeLost),
            prop_oneof![Just(Fault::ProbeAbsent), Just(Fault::SwdioOpen), Just(Fault::SwclkOpen)],
            prop_oneof![
                Just(Fault::Locked),
                Just(Fault::SelfLocking),
                Just(Fault::WrongMcu),
                Just(Fault::McuFlashPage)
            ],
            (1e-3..100.0f64).prop_map(Fault::BleWeak),
            (-1e3..-1e-3f64).prop_map(Fault::BleCrystal),
            prop_oneof![Just(Fault::BleAntenna), Just(Fault::BleDead)],
            (0..=1u8).prop_map(Fault::TwimDead),
            any_contact().prop_map(Fault::BusLineDead),
            prop_oneof![Just(FlowLine::Rts), Just(FlowLine::Cts)].prop_map(Fault::FlowDead),
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
