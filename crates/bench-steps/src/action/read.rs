//! From a table of keys to an action that can be done here.

use super::verbs::{BLE, Form, LEVELS, NFC, QUANTITIES, VERBS, Verb, verb};
use crate::bus_peer::{self, Master};
use crate::{resolve, resource};
use bench_plan::{
    AdcReference, DutFamily, Fixture, Model, Node, ParamProblem, PeerPart, PinRef, Quantity, Spanned, Surroundings,
    Tree, nearest_help, parse_as,
};
use bench_run::{Contact, MeasurementUnit};
use dut_protocol::{AdcRange, Port};
use regex::Regex;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// The level of a module's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortState {
    High,
    Low,
    Input,
    PullUp,
    PullDown,
}

/// A transfer on one of the module's buses.
#[derive(Debug, Clone)]
pub struct Transfer {
    pub(crate) peer: String,
    pub(crate) master: Master,
    /// Of an I2C part.
    pub(crate) address: Option<u8>,
    pub(crate) write: Vec<u8>,
    pub(crate) read: u8,
    pub(crate) kilohertz: u16,
}

/// An action that can be done.
#[derive(Debug, Clone)]
pub enum Action {
    Rail { rail: String, on: bool },
    Drive { contact: Contact, high: bool },
    Release { contact: Option<Contact> },
    Read { contact: Contact },
    Volts { contact: Contact },
    Ohms { contact: Contact },
    RailVolts { rail: String },
    RailAmps { rail: String },
    Frequency { contact: Contact, window: Duration },
    Duty { contact: Contact, window: Duration },
    Source { contact: Contact, volts: f64 },
    Port { contact: Contact, port: Port, state: PortState },
    ReadPort { contact: Contact, port: Port },
    Adc { contact: Contact, port: Port, input: u8, range: AdcRange, supply: String },
    Pwm { contact: Contact, port: Port, unit: u8, channel: u8, hz: u32, duty_permille: u16 },
    PwmOff,
    I2c(Transfer),
    Spi(Transfer),
    Modem { command: String, within: Duration, capture: Option<Regex> },
    BleScan { window: Duration },
    BleAdvertise { data: Vec<u8> },
    BleStop,
    NfcField { on: bool },
    NfcFind,
    NfcExchange { data: Vec<u8> },
    Wait { span: Duration },
    Note { text: String },
}

impl Action {
    fn verb(&self) -> &'static str {
        match self {
            Action::Rail { .. } => "rail",
            Action::Drive { .. } => "drive",
            Action::Release { .. } => "release",
            Action::Read { .. } => "read",
            Action::Volts { .. }
            | Action::Ohms { .. }
            | Action::RailVolts { .. }
            | Action::RailAmps { .. }
            | Action::Frequency { .. }
            | Action::Duty { .. } => "measure",
            Action::Source { .. } => "source",
            Action::Port { .. } => "port",
            Action::ReadPort { .. } => "read_port",
            Action::Adc { .. } => "adc",
            Action::Pwm { .. } | Action::PwmOff => "pwm",
            Action::I2c(_) => "i2c",
            Action::Spi(_) => "spi",
            Action::Modem { .. } => "modem",
            Action::BleScan { .. } | Action::BleAdvertise { .. } | Action::BleStop => "ble",
            Action::NfcField { .. } | Action::NfcFind | Action::NfcExchange { .. } => "nfc",
            Action::Wait { .. } => "wait",
            Action::Note { .. } => "note",
        }
    }

    /// Resources that it needs exclusively, and those that others may use at the same time.
    pub fn needs(&self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            // A rail's monitor may always be read.
            Action::RailVolts { .. } | Action::RailAmps { .. } => (&[], &[]),
            other => verb(other.verb()).map_or((&[], &[]), |verb| (verb.uses, verb.shares)),
        }
    }

    /// Unit of its reading; `None` if it has none.
    pub fn unit(&self) -> Option<MeasurementUnit> {
        Some(match self {
            Action::Volts { .. } | Action::RailVolts { .. } | Action::Source { .. } | Action::Adc { .. } => {
                MeasurementUnit::Volts
            }
            Action::Ohms { .. } => MeasurementUnit::Ohms,
            Action::RailAmps { .. } => MeasurementUnit::Amps,
            Action::Frequency { .. } => MeasurementUnit::Hertz,
            Action::Duty { .. } => MeasurementUnit::Percent,
            Action::Read { .. }
            | Action::ReadPort { .. }
            | Action::I2c(_)
            | Action::Spi(_)
            | Action::Modem { .. }
            | Action::BleScan { .. }
            | Action::NfcFind
            | Action::NfcExchange { .. } => MeasurementUnit::One,
            _ => return None,
        })
    }

    /// The contacts that it works at.
    pub fn contacts(&self, fixture: &Fixture) -> Vec<Contact> {
        match self {
            Action::Drive { contact, .. }
            | Action::Read { contact }
            | Action::Volts { contact }
            | Action::Ohms { contact }
            | Action::Frequency { contact, .. }
            | Action::Duty { contact, .. }
            | Action::Source { contact, .. }
            | Action::Port { contact, .. }
            | Action::ReadPort { contact, .. }
            | Action::Adc { contact, .. }
            | Action::Pwm { contact, .. }
            | Action::Release { contact: Some(contact) } => vec![*contact],
            Action::RailVolts { rail } | Action::RailAmps { rail } => resolve::rail_contacts(fixture, rail),
            Action::I2c(transfer) | Action::Spi(transfer) => {
                transfer.master.lines.iter().map(|line| line.contact).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The rail that it switches.
    pub fn switches(&self) -> Option<&str> {
        match self {
            Action::Rail { rail, .. } => Some(rail),
            _ => None,
        }
    }

    /// Follows which contacts are driven.
    pub fn changes_driven(&self, driven: &mut std::collections::BTreeSet<Contact>) {
        match self {
            Action::Drive { contact, .. }
            | Action::Source { contact, .. }
            | Action::Pwm { contact, .. }
            | Action::Port {
                contact,
                state: PortState::High | PortState::Low | PortState::PullUp | PortState::PullDown,
                ..
            } => {
                driven.insert(*contact);
            }
            Action::Release { contact: Some(contact) } | Action::Port { contact, state: PortState::Input, .. } => {
                driven.remove(contact);
            }
            Action::Release { contact: None } | Action::PwmOff => driven.clear(),
            _ => {}
        }
    }

    /// Time that it takes by order, besides its I/O.
    pub fn takes(&self) -> Duration {
        match self {
            Action::Wait { span } => *span,
            Action::Frequency { window, .. } | Action::Duty { window, .. } | Action::BleScan { window } => *window,
            Action::Modem { within, .. } => *within,
            _ => Duration::ZERO,
        }
    }

    /// What a reading at the contact shows, for the table of what covers it.
    pub fn aspect(&self) -> &'static str {
        match self {
            Action::Ohms { .. } => "resistance",
            Action::Read { .. } | Action::ReadPort { .. } => "level",
            Action::Frequency { .. } | Action::Duty { .. } => "edges",
            Action::Adc { .. } => "analog input",
            Action::I2c(_) => "I2C",
            Action::Spi(_) => "SPI",
            _ => "voltage",
        }
    }

    /// "drive 66 (D4) high", for the record and for people.
    pub fn describe(&self, family: &DutFamily) -> String {
        let at = |contact: &Contact| family.label(*contact);
        let level = |high: bool| if high { "high" } else { "low" };
        let switch = |on: bool| if on { "on" } else { "off" };
        match self {
            Action::Rail { rail, on } => format!("rail {rail} {}", switch(*on)),
            Action::Drive { contact, high } => format!("drive {} {}", at(contact), level(*high)),
            Action::Release { contact: Some(contact) } => format!("release {}", at(contact)),
            Action::Release { contact: None } => "release all nails".to_owned(),
            Action::Read { contact } => format!("read {}", at(contact)),
            Action::Volts { contact } => format!("measure volts at {}", at(contact)),
            Action::Ohms { contact } => format!("measure ohms at {}", at(contact)),
            Action::RailVolts { rail } => format!("measure volts of rail {rail}"),
            Action::RailAmps { rail } => format!("measure amps of rail {rail}"),
            Action::Frequency { contact, window } => format!("measure frequency at {} for {window:?}", at(contact)),
            Action::Duty { contact, window } => format!("measure duty at {} for {window:?}", at(contact)),
            Action::Source { contact, volts } => {
                format!("source {} at {}", MeasurementUnit::Volts.show(*volts), at(contact))
            }
            Action::Port { contact, state, .. } => format!("port {} {}", at(contact), state.name()),
            Action::ReadPort { contact, .. } => format!("read port {}", at(contact)),
            Action::Adc { contact, .. } => format!("adc {}", at(contact)),
            Action::Pwm { contact, hz, duty_permille, .. } => {
                format!("pwm {} {hz} Hz {} %", at(contact), f64::from(*duty_permille) / 10.0)
            }
            Action::PwmOff => "pwm off".to_owned(),
            Action::I2c(transfer) => transfer.describe("i2c"),
            Action::Spi(transfer) => transfer.describe("spi"),
            Action::Modem { command, .. } => format!("modem {command}"),
            Action::BleScan { window } => format!("ble scan {window:?}"),
            Action::BleAdvertise { data } => format!("ble advertise {}", hex(data)),
            Action::BleStop => "ble stop".to_owned(),
            Action::NfcField { on } => format!("nfc {}", switch(*on)),
            Action::NfcFind => "nfc find".to_owned(),
            Action::NfcExchange { data } => format!("nfc exchange {}", hex(data)),
            Action::Wait { span } => format!("wait {span:?}"),
            Action::Note { text } => format!("note {text}"),
        }
    }
}

impl Transfer {
    fn describe(&self, verb: &str) -> String {
        format!("{verb} {} write [{}] read {}", self.peer, hex(&self.write), self.read)
    }
}

impl PortState {
    fn name(self) -> &'static str {
        match self {
            PortState::High => LEVELS[0],
            PortState::Low => LEVELS[1],
            PortState::Input => LEVELS[2],
            PortState::PullUp => LEVELS[3],
            PortState::PullDown => LEVELS[4],
        }
    }
}

/// "9f 00".
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// What actions are resolved against, for those that are read while a step runs.
#[derive(Debug, Clone)]
pub struct Places {
    pub family: Rc<DutFamily>,
    pub fixture: Rc<Fixture>,
    pub model: Rc<Model>,
}

impl Places {
    pub fn of(around: &Surroundings<'_>) -> Self {
        Self {
            family: Rc::new(around.dut.clone()),
            fixture: Rc::new(around.fixture.clone()),
            model: Rc::new(around.model.clone()),
        }
    }

    pub fn around(&self) -> Surroundings<'_> {
        Surroundings {
            families: &[],
            dut: &self.family,
            model: &self.model,
            fixture: &self.fixture,
            uses: &[],
            shares: &[],
        }
    }
}

/// The windows in which edges are counted.
const WINDOW: Duration = Duration::from_millis(20);
const LONGEST_WINDOW: Duration = Duration::from_secs(10);
/// Longest wait of one action; a step has a time limit besides.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
const MODEM_ANSWERS: Duration = Duration::from_secs(1);
const BLE_LISTENS: Duration = Duration::from_secs(1);
const PWM_HZ: std::ops::RangeInclusive<f64> = 100.0..=200_000.0;
/// A frame of the reader with its checksum.
const MOST_NFC_BYTES: usize = 60;

/// Reads one action. `more` are keys that the caller reads itself, such as `as`.
///
/// # Errors
/// What is wrong with it, at its place, with what was probably meant.
pub fn read(node: &Node, more: &[&str], around: &Surroundings<'_>) -> Result<Action, ParamProblem> {
    let Tree::Table(entries) = &node.value else {
        return Err(ParamProblem::new(format!("{} is not an action", node.value.noun()))
            .at(node.span.clone(), "here")
            .help("expected an action such as { measure = \"volts\", at = \"A0\" }"));
    };
    let named = entries.iter().find_map(|(key, value)| Some((verb(key.get_ref())?, key, value)));
    let Some((verb, _, value)) = named else { return Err(no_verb(node, entries, more)) };
    let keys = Keys { verb, value, entries, whole: node.span.clone(), around };
    keys.check(more)?;
    keys.action()
}

fn no_verb(node: &Node, entries: &[(Spanned<String>, Node)], more: &[&str]) -> ParamProblem {
    let verbs = || VERBS.iter().map(|verb| verb.name);
    let all_keys = || VERBS.iter().flat_map(|verb| verb.keys).map(|key| key.name).chain(more.iter().copied());
    let strange = entries.iter().find(|(key, _)| !all_keys().any(|known| known == key.get_ref()));
    match strange {
        Some((key, _)) => ParamProblem::new(format!("unknown action `{}`", key.get_ref()))
            .at(key.span(), "no such action")
            .help(nearest_help(key.get_ref(), verbs(), "actions")),
        None => ParamProblem::new("an action without a verb")
            .at(node.span.clone(), "does what?")
            .help(format!("expected one of: {}", verbs().collect::<Vec<_>>().join(", "))),
    }
}

fn wrong(node: &Node, form: Form) -> ParamProblem {
    ParamProblem::new(format!("{} where {} is expected", node.value.noun(), form.expected()))
        .at(node.span.clone(), "here")
        .help(format!("expected {}", form.expected()))
}

/// A pin by its name, or a contact by its number, which may be written as a text.
pub(crate) fn pin_of(node: &Node) -> Result<PinRef, ParamProblem> {
    let number = match &node.value {
        Tree::Text(text) => match text.parse() {
            Ok(number) => Some(number),
            Err(_) => return Ok(PinRef::Name(text.clone())),
        },
        Tree::Integer(number) => u8::try_from(*number).ok(),
        _ => None,
    };
    number.map(|number| PinRef::Contact(Contact(number))).ok_or_else(|| wrong(node, Form::Pin))
}

/// The keys of one action.
struct Keys<'a> {
    verb: &'static Verb,
    /// Of the verb itself.
    value: &'a Node,
    entries: &'a [(Spanned<String>, Node)],
    whole: Range<usize>,
    around: &'a Surroundings<'a>,
}

impl Keys<'_> {
    /// Refuses unknown, repeated and missing keys.
    fn check(&self, more: &[&str]) -> Result<(), ParamProblem> {
        let known = || self.verb.keys.iter().map(|key| key.name).chain(more.iter().copied());
        for (key, _) in self.entries {
            let name = key.get_ref();
            if name == self.verb.name || known().any(|known| known == name) {
                continue;
            }
            let help = match verb(name) {
                Some(other) => format!("`{}` and `{}` are two actions: write two", self.verb.name, other.name),
                None => nearest_help(name, known(), "keys"),
            };
            return Err(ParamProblem::new(format!("`{}` has no key `{name}`", self.verb.name))
                .at(key.span(), "no such key")
                .help(help));
        }
        for key in self.verb.keys.iter().filter(|key| key.is_needed) {
            if self.get(key.name).is_none() {
                return Err(self.missing(key.name));
            }
        }
        Ok(())
    }

    fn missing(&self, name: &str) -> ParamProblem {
        let form = self.verb.keys.iter().find(|key| key.name == name).map(|key| key.form.expected());
        ParamProblem::new(format!("`{}` without `{name}`", self.verb.name))
            .at(self.whole.clone(), "in this action")
            .help(format!("expected `{name}`, {}", form.unwrap_or_default()))
    }

    fn get(&self, name: &str) -> Option<&Node> {
        self.entries.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
    }

    fn needs(&self, name: &str) -> Result<&Node, ParamProblem> {
        self.get(name).ok_or_else(|| self.missing(name))
    }

    fn text(node: &Node, form: Form) -> Result<&str, ParamProblem> {
        match &node.value {
            Tree::Text(text) => Ok(text),
            _ => Err(wrong(node, form)),
        }
    }

    fn truth(&self, name: &str) -> Result<bool, ParamProblem> {
        let node = self.needs(name)?;
        match &node.value {
            Tree::Truth(truth) => Ok(*truth),
            _ => Err(wrong(node, Form::Truth)),
        }
    }

    fn word(node: &Node, words: &'static [&'static str]) -> Result<&'static str, ParamProblem> {
        let text = Self::text(node, Form::Word(words))?;
        words.iter().copied().find(|word| *word == text).ok_or_else(|| {
            ParamProblem::new(format!("unknown value `{text}`"))
                .at(node.span.clone(), "no such value")
                .help(nearest_help(text, words.iter().copied(), "values"))
        })
    }

    fn quantity<Q: Quantity>(node: &Node, form: Form) -> Result<f64, ParamProblem> {
        let text = Self::text(node, form)?;
        parse_as::<Q>(text)
            .map(Q::value)
            .map_err(|error| ParamProblem::new(error.wrong.clone()).at(node.span.clone(), "here").help(error.help()))
    }

    fn span(node: &Node, longest: Duration) -> Result<Duration, ParamProblem> {
        let seconds = Self::quantity::<bench_plan::Seconds>(node, Form::Time)?;
        match Duration::try_from_secs_f64(seconds) {
            Ok(span) if span <= longest => Ok(span),
            _ => Err(ParamProblem::new("this is too long")
                .at(node.span.clone(), "here")
                .help(format!("expected at most {longest:?}"))),
        }
    }

    fn span_or(&self, name: &str, otherwise: Duration, longest: Duration) -> Result<Duration, ParamProblem> {
        self.get(name).map_or(Ok(otherwise), |node| Self::span(node, longest))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, ParamProblem> {
        let Some(node) = self.get(name) else { return Ok(Vec::new()) };
        let text = Self::text(node, Form::Bytes)?;
        let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let pairs = digits.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'))
        });
        pairs.collect::<Option<Vec<u8>>>().ok_or_else(|| {
            ParamProblem::new(format!("{text:?} is not bytes in hexadecimal"))
                .at(node.span.clone(), "here")
                .help(format!("expected {}", Form::Bytes.expected()))
        })
    }

    fn whole(&self, name: &str, most: i64) -> Result<i64, ParamProblem> {
        let Some(node) = self.get(name) else { return Ok(0) };
        let number = match &node.value {
            Tree::Integer(number) => Some(*number),
            // In a loop over values.
            Tree::Text(text) => text.parse().ok(),
            _ => None,
        };
        number.filter(|number| (0..=most).contains(number)).ok_or_else(|| {
            ParamProblem::new(format!("`{name}` is not a number from 0 to {most}")).at(node.span.clone(), "here")
        })
    }

    /// Exactly one contact.
    fn contact(&self, node: &Node) -> Result<Contact, ParamProblem> {
        let pin = pin_of(node)?;
        let contacts = pin.resolve(node.span.clone(), self.around.dut)?;
        match contacts.as_slice() {
            [contact] => Ok(*contact),
            several => {
                let numbers: Vec<String> = several.iter().map(ToString::to_string).collect();
                Err(ParamProblem::new(format!("{} contacts carry this name", several.len()))
                    .at(node.span.clone(), "which one?")
                    .help(format!("name one by its number: {}", numbers.join(", "))))
            }
        }
    }

    fn problem(&self, node: &Node, text: String, help: &str) -> ParamProblem {
        ParamProblem::new(text).at(node.span.clone(), "here").help(help.to_owned())
    }

    /// A contact that the nail can drive.
    fn nail(&self, node: &Node) -> Result<Contact, ParamProblem> {
        let contact = self.contact(node)?;
        if resolve::can_drive(self.around.fixture, contact) {
            return Ok(contact);
        }
        let label = self.around.dut.label(contact);
        Err(self.problem(
            node,
            format!("contact {label} has no nail that can drive"),
            "supply and ground contacts have none; `bench fixture NAME --wiring` shows every nail",
        ))
    }

    /// A contact that reaches the measure bus.
    fn on_bus(&self, node: &Node) -> Result<Contact, ParamProblem> {
        let contact = self.contact(node)?;
        if self.around.fixture.nail(contact).is_some_and(|nail| nail.mux.is_some()) {
            return Ok(contact);
        }
        let label = self.around.dut.label(contact);
        let help = "`bench fixture NAME --wiring` shows which contacts do";
        Err(self.problem(node, format!("contact {label} does not reach the measure bus"), help))
    }

    /// A contact with a port of the module behind it, which is not the link's.
    fn port(&self, node: &Node) -> Result<(Contact, Port), ParamProblem> {
        let contact = self.contact(node)?;
        let label = || self.around.dut.label(contact);
        let link = &self.around.fixture.link;
        if contact == link.dut_tx || contact == link.dut_rx {
            let text = format!("contact {} carries the link to the module", label());
            return Err(self.problem(node, text, "name another pin"));
        }
        let port = self.around.dut.contact(contact).and_then(|info| info.port);
        port.map(|port| (contact, port)).ok_or_else(|| {
            let text = format!("contact {} leads to no port of the MCU", label());
            self.problem(node, text, "`bench pins MODEL` lists the ports")
        })
    }

    fn rail(&self, node: &Node) -> Result<String, ParamProblem> {
        let name = Spanned::new(node.span.clone(), Self::text(node, Form::Rail)?.to_owned());
        Ok(resolve::rail(self.around.fixture, &name)?.name.clone())
    }

    fn action(&self) -> Result<Action, ParamProblem> {
        let value = self.value;
        Ok(match self.verb.name {
            "rail" => Action::Rail { rail: self.rail(value)?, on: self.truth("on")? },
            "drive" => Action::Drive { contact: self.nail(value)?, high: self.truth("high")? },
            "release" if value.value == Tree::Text("all".to_owned()) => Action::Release { contact: None },
            "release" => Action::Release { contact: Some(self.nail(value)?) },
            "read" => Action::Read { contact: self.nail(value)? },
            "measure" => self.measure()?,
            "source" => Action::Source {
                volts: Self::quantity::<bench_plan::Volts>(value, Form::Volts)?,
                contact: self.on_bus(self.needs("at")?)?,
            },
            "port" => {
                let (contact, port) = self.port(value)?;
                let state = match Self::word(self.needs("to")?, LEVELS)? {
                    "high" => PortState::High,
                    "low" => PortState::Low,
                    "pull-up" => PortState::PullUp,
                    "pull-down" => PortState::PullDown,
                    _ => PortState::Input,
                };
                Action::Port { contact, port, state }
            }
            "read_port" => {
                let (contact, port) = self.port(value)?;
                Action::ReadPort { contact, port }
            }
            "adc" => self.adc()?,
            "pwm" if value.value == Tree::Text("off".to_owned()) => Action::PwmOff,
            "pwm" => self.pwm()?,
            "i2c" => Action::I2c(self.transfer(true)?),
            "spi" => Action::Spi(self.transfer(false)?),
            "modem" => self.modem()?,
            "ble" => match Self::word(value, BLE)? {
                "scan" => Action::BleScan { window: self.span_or("window", BLE_LISTENS, LONGEST_WINDOW)? },
                "stop" => Action::BleStop,
                _ => {
                    let data = self.bytes("data")?;
                    if data.len() > bench_instruments::MOST_ADVERT_BYTES {
                        let text = format!("{} bytes do not fit into an advertisement", data.len());
                        let help = format!("expected at most {}", bench_instruments::MOST_ADVERT_BYTES);
                        return Err(ParamProblem::new(text).at(self.whole.clone(), "too long").help(help));
                    }
                    Action::BleAdvertise { data }
                }
            },
            "nfc" => match Self::word(value, NFC)? {
                "on" => Action::NfcField { on: true },
                "off" => Action::NfcField { on: false },
                "find" => Action::NfcFind,
                _ => {
                    let data = self.bytes("data")?;
                    if data.is_empty() || data.len() > MOST_NFC_BYTES {
                        let text = format!("a command of {} bytes", data.len());
                        let help = format!("expected `data` with 1 to {MOST_NFC_BYTES} bytes");
                        return Err(ParamProblem::new(text).at(self.whole.clone(), "here").help(help));
                    }
                    Action::NfcExchange { data }
                }
            },
            "wait" => Action::Wait { span: Self::span(value, LONGEST_WAIT)? },
            _ => Action::Note { text: Self::text(value, Form::Text)?.to_owned() },
        })
    }

    fn measure(&self) -> Result<Action, ParamProblem> {
        let quantity = Self::word(self.value, QUANTITIES)?;
        let window = self.span_or("window", WINDOW, LONGEST_WINDOW)?;
        let not_both = |unwanted: &str| match self.get(unwanted) {
            None => Ok(()),
            Some(node) => Err(ParamProblem::new(format!("{quantity} are not measured by `{unwanted}`"))
                .at(node.span.clone(), "here")
                .help("volts: `at` or `rail`; amps: `rail`; ohms, frequency and duty: `at`")),
        };
        if let ("volts" | "amps", Some(rail)) = (quantity, self.get("rail")) {
            not_both("at")?;
            let rail = self.rail(rail)?;
            return Ok(if quantity == "volts" { Action::RailVolts { rail } } else { Action::RailAmps { rail } });
        }
        if quantity == "amps" {
            return Err(self.missing("rail"));
        }
        not_both("rail")?;
        let node = self.needs("at")?;
        let contact = self.on_bus(node)?;
        if let "frequency" | "duty" = quantity {
            resolve::times_edges(contact, node.span.clone(), self.around)?;
        }
        Ok(match quantity {
            "volts" => Action::Volts { contact },
            "ohms" => Action::Ohms { contact },
            "frequency" => Action::Frequency { contact, window },
            _ => Action::Duty { contact, window },
        })
    }

    fn adc(&self) -> Result<Action, ParamProblem> {
        let (contact, port) = self.port(self.value)?;
        let input = self.around.dut.contact(contact).and_then(|info| info.adc_input).ok_or_else(|| {
            let text = format!("contact {} has no analog input", self.around.dut.label(contact));
            self.problem(self.value, text, "`bench pins MODEL` lists the analog inputs")
        })?;
        let range = match self.around.model.adc_reference {
            AdcReference::Internal => AdcRange::Internal3V6,
            AdcReference::QuarterSupply => AdcRange::Ratiometric,
        };
        let fixture = self.around.fixture;
        let supply = fixture.rails.iter().find(|rail| resolve::feeds_ports(fixture, rail));
        let supply = supply.map(|rail| rail.name.clone()).unwrap_or_default();
        Ok(Action::Adc { contact, port, input, range, supply })
    }

    fn pwm(&self) -> Result<Action, ParamProblem> {
        let (contact, port) = self.port(self.value)?;
        let Some(pwm) = self.around.dut.contact(contact).and_then(|info| info.pwm_channel) else {
            let text = format!("contact {} has no PWM on this module", self.around.dut.label(contact));
            return Err(self.problem(self.value, text, "`bench pins MODEL` lists the PWM channels"));
        };
        let node = self.needs("frequency")?;
        let hz = Self::quantity::<bench_plan::Hertz>(node, Form::Frequency)?;
        if !PWM_HZ.contains(&hz) || hz.fract() != 0.0 {
            let text = format!("{} is not a frequency for PWM", MeasurementUnit::Hertz.show(hz));
            return Err(self.problem(node, text, "expected whole hertz from 100 Hz to 200 kHz"));
        }
        let node = self.needs("duty")?;
        let duty = Self::quantity::<bench_plan::Percent>(node, Form::Share)?;
        if !(0.0..=100.0).contains(&duty) {
            let text = format!("a duty of {}", MeasurementUnit::Percent.show(duty));
            return Err(self.problem(node, text, "expected 0 % to 100 %"));
        }
        let (hz, duty_permille) = (hz as u32, (duty * 10.0).round() as u16);
        Ok(Action::Pwm { contact, port, unit: pwm.instance, channel: pwm.channel, hz, duty_permille })
    }

    fn transfer(&self, i2c: bool) -> Result<Transfer, ParamProblem> {
        let name = Spanned::new(self.value.span.clone(), Self::text(self.value, Form::Peer)?.to_owned());
        let peer = bus_peer::peer(self.around.fixture, &name)?;
        let (address, master, khz) = match (&peer.part, i2c) {
            (PeerPart::I2cEeprom { address, lines, .. }, true) => {
                let lines = [("SDA", lines.sda), ("SCL", lines.scl)];
                (Some(*address), bus_peer::master(self.around, &name, "TWIM", &lines, &[])?, 400.0)
            }
            (PeerPart::SpiFram { lines }, false) => {
                let of_bus = [("SCK", lines.sck), ("MOSI", lines.mosi), ("MISO", lines.miso)];
                let free = [("SS", lines.ss)];
                (None, bus_peer::master(self.around, &name, "SPIM", &of_bus, &free)?, 1000.0)
            }
            (_, i2c) => {
                let text = format!("`{}` is no {} part", peer.id, if i2c { "I2C" } else { "SPI" });
                return Err(self.problem(self.value, text, "name another part, or use the other action"));
            }
        };
        let mut kilohertz = khz;
        if let Some(node) = self.get("frequency") {
            kilohertz = Self::quantity::<bench_plan::Hertz>(node, Form::Frequency)? / 1e3;
            let clocks: Vec<f64> = if i2c {
                vec![100.0, 400.0]
            } else {
                dut_protocol::check::SPI_KILOHERTZ.iter().map(|khz| f64::from(*khz)).collect()
            };
            if !clocks.contains(&kilohertz) {
                let clocks: Vec<String> = clocks.iter().map(|khz| format!("{khz}")).collect();
                let help = format!("it has {} kHz", clocks.join(", "));
                return Err(self.problem(node, format!("the bus has no clock of {kilohertz} kHz"), &help));
            }
        }
        let write = self.bytes("write")?;
        if write.len() > dut_protocol::BUS_MAX_BYTES {
            let text = format!("{} bytes do not fit into one transfer", write.len());
            let help = format!("expected at most {}", dut_protocol::BUS_MAX_BYTES);
            return Err(ParamProblem::new(text).at(self.whole.clone(), "too long").help(help));
        }
        let read = self.whole("read", dut_protocol::BUS_MAX_BYTES as i64)? as u8;
        Ok(Transfer { peer: peer.id.clone(), master, address, write, read, kilohertz: kilohertz as u16 })
    }

    fn modem(&self) -> Result<Action, ParamProblem> {
        let command = Self::text(self.value, Form::Text)?.trim();
        if !command.is_ascii() || command.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(self.problem(
                self.value,
                "a command has printable ASCII only".to_owned(),
                "for example AT+CSQ",
            ));
        }
        let capture = match self.get("capture") {
            None => None,
            Some(node) => {
                let pattern = Self::text(node, Form::Pattern)?;
                let regex = Regex::new(pattern).map_err(|error| {
                    let text = format!("not a regular expression: {}", error.to_string().replace('\n', " "));
                    self.problem(node, text, "expected a pattern such as \"CSQ: ([0-9]+)\"")
                })?;
                if regex.captures_len() < 2 {
                    let help = "put parentheses around the number, such as \"CSQ: ([0-9]+)\"";
                    return Err(self.problem(node, "the pattern has no group".to_owned(), help));
                }
                Some(regex)
            }
        };
        let within = self.span_or("within", MODEM_ANSWERS, LONGEST_WAIT)?;
        Ok(Action::Modem { command: command.to_owned(), within, capture })
    }
}

/// Names of resources that a step may declare for its program.
pub(crate) const RESOURCES: &[&str] = &[
    resource::DUT,
    resource::PORTS,
    resource::QSPI,
    resource::MODEM,
    resource::NAILS,
    resource::MEASURE_BUS,
    resource::PEERS,
    resource::RAILS,
    resource::USB_HOST,
    resource::RADIO,
    resource::NFC,
    resource::OPERATOR,
];
