//! A board that carries the module: what a person sets and plugs on it, as data that can be printed, drawn and checked.

use crate::names::nearest_help;
use crate::{ContactInfo, DutFamily, ParamProblem, Volts};
use bench_run::Contact;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;

/// A board that carries the module.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Board {
    /// The product with its version: "Particle M.2 evaluation board v1.1".
    pub name: String,
    /// The document, or its address, from which these facts are.
    pub source: String,
    /// What the document leaves open, or where documents disagree.
    pub doubts: Vec<String>,
    pub jumpers: Vec<Jumper>,
    /// In the order in which they are plugged.
    pub wires: Vec<Wire>,
    /// What else is done by hand, in order.
    pub steps: Vec<String>,
}

/// A place for a jumper, or a switch.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Jumper {
    /// Its designator in the schematic: "J5".
    pub name: String,
    /// Other names, with where they are used: "J13 in the text".
    pub also: Vec<String>,
    /// What it joins.
    pub joins: String,
    pub state: JumperState,
    pub why: String,
    /// Where on the board it is, in words.
    #[serde(rename = "where")]
    pub place: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JumperState {
    /// Taken off: it joins nothing.
    Off,
    /// Plugged.
    On,
}

/// A wire from a device to the board.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Wire {
    /// A pin of a device: the debug probe, the serial adapter, an instrument.
    pub from: End,
    /// A pin of a connector of the board.
    pub to: End,
    /// The contact of the module behind that pin.
    pub contact: Option<Contact>,
    /// The module's pin or pad behind it.
    pub pin: Option<String>,
    /// The highest voltage on it, as the file writes it: "3.3 V".
    pub level: Option<String>,
    pub colour: WireColour,
    pub why: Option<String>,
}

/// One end of a wire.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct End {
    /// The device, or the board's connector: "debug probe", "J3".
    pub of: String,
    /// Its pin, by number or by the name on the silk screen.
    pub pin: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WireColour {
    Black,
    Brown,
    Red,
    Orange,
    Yellow,
    Green,
    Blue,
    Violet,
    Grey,
    White,
}

impl WireColour {
    /// Those of signals, in the order in which wires without a colour get them.
    const OF_SIGNALS: [Self; 7] =
        [Self::Yellow, Self::Green, Self::Blue, Self::Violet, Self::Orange, Self::White, Self::Brown];

    pub fn name(self) -> &'static str {
        match self {
            Self::Black => "black",
            Self::Brown => "brown",
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Violet => "violet",
            Self::Grey => "grey",
            Self::White => "white",
        }
    }
}

/// A board that carries the module, for a person who sets and plugs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawBoard {
    /// The product with its version.
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// The document, or its address, from which these facts are.
    #[schemars(with = "String")]
    source: Spanned<String>,
    /// What the document leaves open, or where documents disagree.
    #[serde(default)]
    doubts: Vec<String>,
    /// Jumpers and switches, with the state in which the bench needs them.
    #[serde(default)]
    jumper: Vec<RawJumper>,
    /// Wires between devices and the board, in the order in which they are plugged.
    #[serde(default)]
    wire: Vec<RawWire>,
    /// What else is done by hand, in order.
    #[serde(default, rename = "do")]
    steps: Vec<RawDo>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawJumper {
    /// Designator in the schematic: "J5", "J35 1-2" for one place of a block.
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// Other names, each with where it is used: "J13 in the text".
    #[serde(default)]
    also: Vec<String>,
    /// What it joins.
    #[schemars(with = "String")]
    joins: Spanned<String>,
    state: JumperState,
    /// Why it has this state.
    #[schemars(with = "String")]
    why: Spanned<String>,
    /// Where on the board it is, in words.
    #[serde(default, rename = "where")]
    place: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawWire {
    /// Device and pin; the last word is the pin: "debug probe SWDIO". `nail 23` is the wire of that nail in the bed of
    /// `base`.
    #[schemars(with = "String")]
    from: Spanned<String>,
    /// Connector of the board and pin: "J3 pin 24". Where no document gives a number, the name on the silk screen.
    #[schemars(with = "String")]
    to: Spanned<String>,
    /// The contact of the module behind that pin.
    #[serde(default)]
    #[schemars(with = "Option<u8>")]
    contact: Option<Spanned<u8>>,
    /// The module's pin or pad behind it, by its name or an alternate one.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pin: Option<Spanned<String>>,
    /// The highest voltage on it.
    #[serde(default)]
    #[schemars(with = "Option<Volts>")]
    level: Option<Spanned<Volts>>,
    /// Colour in the picture; black for ground, red for supplies, and one of the others for a signal when left out.
    #[serde(default)]
    colour: Option<WireColour>,
    #[serde(default)]
    why: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawDo {
    #[schemars(with = "String")]
    text: Spanned<String>,
}

/// What the rest of the fixture's file says about the wires.
pub(crate) struct Reach<'f> {
    pub families: &'f [&'f DutFamily],
    /// Contacts to which a wire must lead, if the file lists any.
    pub wired: BTreeSet<Contact>,
    /// Contacts to which none can lead, with the reason.
    pub unreached: &'f BTreeMap<Contact, String>,
}

type Checked<T> = Result<T, ParamProblem>;

fn text(raw: &Spanned<String>, what: &str) -> Checked<String> {
    match raw.get_ref().trim() {
        "" => Err(ParamProblem::new(format!("{what} is empty"))
            .at(raw.span(), "empty")
            .help("the person at the board reads it")),
        text => Ok(text.to_owned()),
    }
}

/// Splits the last word off; "pin" before it is no part of the name.
fn end(raw: &Spanned<String>, example: &str) -> Checked<End> {
    let split = raw.get_ref().trim().rsplit_once(' ');
    let parts = split.map(|(of, pin)| (of.trim_end().strip_suffix(" pin").unwrap_or(of).trim(), pin));
    match parts.filter(|(of, pin)| !of.is_empty() && !pin.is_empty() && *of != "pin") {
        Some((of, pin)) => Ok(End { of: of.to_owned(), pin: pin.to_owned() }),
        None => Err(ParamProblem::new(format!("{:?} names no pin", raw.get_ref()))
            .at(raw.span(), "what, and which pin of it?")
            .help(format!("expected a name and a pin, such as {example:?}"))),
    }
}

impl RawBoard {
    pub fn check(&self, reach: &Reach<'_>) -> Checked<Board> {
        let mut colours = WireColour::OF_SIGNALS.iter().copied().cycle();
        let mut wires: Vec<Wire> = Vec::with_capacity(self.wire.len());
        for raw in &self.wire {
            let wire = raw.check(reach, &mut colours)?;
            if wires.iter().any(|other| other.from == wire.from && other.to == wire.to) {
                return Err(ParamProblem::new("the same wire is listed twice").at(raw.from.span(), "again"));
            }
            wires.push(wire);
        }
        let led_to = |contact: &Contact| wires.iter().any(|wire| wire.contact == Some(*contact));
        if let Some(contact) = reach.wired.iter().find(|contact| !led_to(contact)).filter(|_| !wires.is_empty()) {
            return Err(ParamProblem::new(format!("no wire leads to contact {}", reach.label(*contact)))
                .at(self.name.span(), "the wires of this board")
                .help("the rest of the file needs that contact: add a [[board.wire]]"));
        }
        let steps = self.steps.iter().map(|step| text(&step.text, "a step by hand"));
        Ok(Board {
            name: text(&self.name, "the board's name")?,
            source: text(&self.source, "the source of the board's facts")?,
            doubts: self.doubts.clone(),
            jumpers: self.jumpers()?,
            wires,
            steps: steps.collect::<Checked<_>>()?,
        })
    }

    fn jumpers(&self) -> Checked<Vec<Jumper>> {
        let mut jumpers: Vec<Jumper> = Vec::with_capacity(self.jumper.len());
        for raw in &self.jumper {
            let jumper = Jumper {
                name: text(&raw.name, "a jumper's name")?,
                also: raw.also.clone(),
                joins: text(&raw.joins, "what the jumper joins")?,
                state: raw.state,
                why: text(&raw.why, "the reason for its state")?,
                place: raw.place.clone(),
            };
            if jumpers.iter().any(|other| other.name == jumper.name) {
                return Err(ParamProblem::new(format!("two jumpers are called `{}`", jumper.name))
                    .at(raw.name.span(), "again")
                    .help("give each place of a block its own name, such as \"J35 1-2\""));
            }
            jumpers.push(jumper);
        }
        Ok(jumpers)
    }
}

impl RawWire {
    fn check(&self, reach: &Reach<'_>, colours: &mut impl Iterator<Item = WireColour>) -> Checked<Wire> {
        let (from, to) = (end(&self.from, "debug probe SWDIO")?, end(&self.to, "J3 pin 24")?);
        let behind = self.behind(reach)?;
        let contact = match &self.contact {
            Some(contact) => Some(Contact(*contact.get_ref())),
            // A name that several contacts share, such as GND, says nothing of which one.
            None => match behind.iter().map(|info| info.contact).collect::<BTreeSet<_>>() {
                contacts if contacts.len() == 1 => contacts.first().copied(),
                _ => None,
            },
        };
        let place = self.contact.as_ref().map(Spanned::span).or(self.pin.as_ref().map(Spanned::span));
        let place = place.unwrap_or_else(|| self.to.span());
        if let Some((contact, reason)) = contact.and_then(|contact| Some((contact, reach.unreached.get(&contact)?))) {
            return Err(ParamProblem::new(format!(
                "a wire leads to contact {}, which has no nail",
                reach.label(contact)
            ))
            .at(place, "no nail")
            .help(format!("`unreached` says: {reason}")));
        }
        if from.of == "nail" && contact.is_none_or(|contact| contact.to_string() != from.pin) {
            let message = format!("the wire of nail {} leads to another contact", from.pin);
            return Err(ParamProblem::new(message).at(place, "here").help(format!("expected contact = {}", from.pin)));
        }
        let level = self.level.as_ref().map(|level| level_of(level, &behind)).transpose()?;
        let has = |function| behind.iter().any(|info| info.functions.contains(&function));
        let colour = self.colour.unwrap_or_else(|| {
            if has(crate::Function::Ground) || to.pin == "GND" || from.pin == "GND" {
                WireColour::Black
            } else if has(crate::Function::Power) {
                WireColour::Red
            } else {
                colours.next().unwrap_or(WireColour::Yellow)
            }
        });
        let mut names: Vec<&str> = behind.iter().map(|info| info.pin.as_str()).collect();
        names.dedup();
        let pin = match &self.pin {
            Some(pin) => Some(pin.get_ref().clone()),
            None => (!names.is_empty()).then(|| names.join(" / ")),
        };
        Ok(Wire { from, to, contact, pin, level, colour, why: self.why.clone() })
    }

    /// The contacts of all families that the wire may reach. A pad of the module is none.
    fn behind<'f>(&self, reach: &Reach<'f>) -> Checked<Vec<&'f ContactInfo>> {
        let families = || reach.families.iter();
        let is_called =
            |info: &ContactInfo, pin: &str| info.pin == pin || info.alternate_names.iter().any(|name| name == pin);
        let Some(contact) = &self.contact else {
            let Some(pin) = &self.pin else { return Ok(Vec::new()) };
            let name = pin.get_ref().as_str();
            // A pad comes first: RESET is also another name of a contact.
            if families().any(|family| family.pads.iter().any(|pad| pad.name == name)) {
                return Ok(Vec::new());
            }
            let all = families().flat_map(|family| &family.contacts);
            let behind: Vec<&ContactInfo> = all.filter(|info| is_called(info, name)).collect();
            return if behind.is_empty() { Err(reach.no_such_pin(pin)) } else { Ok(behind) };
        };
        let number = Contact(*contact.get_ref());
        if let Some(family) = families().find(|family| family.contact(number).is_none()) {
            let message = format!("{} has no contact {number}", family.name);
            return Err(ParamProblem::new(message).at(contact.span(), "no such contact"));
        }
        let behind: Vec<&ContactInfo> = families().filter_map(|family| family.contact(number)).collect();
        if let Some(pin) = &self.pin
            && !behind.iter().any(|info| is_called(info, pin.get_ref()))
        {
            let message = format!("contact {} is not called `{}`", reach.label(number), pin.get_ref());
            let help = "expected its name or an alternate one in the module file of one family, or another contact";
            return Err(ParamProblem::new(message).at(pin.span(), "another pin").help(help));
        }
        Ok(behind)
    }
}

fn level_of(level: &Spanned<Volts>, behind: &[&ContactInfo]) -> Checked<String> {
    let volts = level.get_ref().get();
    if let Some((info, most)) =
        behind.iter().filter_map(|info| Some((info, info.max_volts?))).find(|(_, most)| volts > *most)
    {
        return Err(ParamProblem::new(format!("{volts} V is too much for contact {} ({})", info.contact, info.pin))
            .at(level.span(), "too high")
            .help(format!("it may have {most} V at most")));
    }
    Ok(format!("{volts} V"))
}

impl Reach<'_> {
    fn no_such_pin(&self, pin: &Spanned<String>) -> ParamProblem {
        let names = self.families.iter().flat_map(|family| {
            let pads = family.pads.iter().map(|pad| pad.name.as_str());
            family.contacts.iter().map(|info| info.pin.as_str()).chain(pads)
        });
        let names: BTreeSet<&str> = names.collect();
        ParamProblem::new(format!("the module has no pin or pad `{}`", pin.get_ref()))
            .at(pin.span(), "no such pin")
            .help(nearest_help(pin.get_ref(), names.iter().copied(), "pins"))
    }

    fn label(&self, contact: Contact) -> String {
        let family = self.families.iter().find(|family| family.contact(contact).is_some());
        family.map_or_else(|| contact.to_string(), |family| family.label(contact))
    }
}
