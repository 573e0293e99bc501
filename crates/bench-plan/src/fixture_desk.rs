//! A desk: a board that feeds the module, a debug probe and a serial port, and no instruments.

use crate::fixture_board::{RawBoard, Reach};
use crate::fixture_check::{Checked, Checker, above_zero};
use crate::fixture_file::{RawBle, RawProbe};
use crate::reading::{parse_file, parse_table};
use crate::{Amps, Desk, Fixture, Function, HandSupply, HandSwitch, LinkWiring, Ohms, ParamProblem, Problem, Source};
use crate::{DutFamily, Volts};
use bench_run::Contact;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// A board on a desk, without instruments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDeskFixture {
    /// Version of the fixture format: 1.
    #[schemars(with = "u32", range(min = 1, max = 1))]
    format: Spanned<u32>,
    /// Name in plans, and of the file.
    name: String,
    /// Title for people.
    #[serde(default)]
    title: Option<String>,
    /// Must change with every change of a wire.
    revision: String,
    /// Module families that fit onto the board.
    #[schemars(with = "Vec<String>", length(min = 1))]
    families: Spanned<Vec<Spanned<String>>>,
    desk: RawDesk,
    link: RawDeskLink,
    /// The debug probe; without it, the module must hold the test firmware.
    #[serde(default)]
    probe: Option<RawProbe>,
    /// Present when the computer's Bluetooth can receive the module.
    #[serde(default)]
    ble: Option<RawBle>,
    /// What the person must plug and set by hand, where the board's own tables do not say it.
    #[serde(default)]
    instructions: Option<String>,
    /// The board that carries the module: its jumpers, the wires to it, and what is done by hand.
    #[serde(default)]
    board: Option<RawBoard>,
}

/// What is done by hand.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawDesk {
    /// What the person switches on, as it reads in a sentence: "the evaluation board".
    #[schemars(with = "String")]
    board: Spanned<String>,
    /// How to switch it on: "plug a USB supply into J..., or switch the barrel connector's supply on".
    #[schemars(with = "String")]
    switch_on: Spanned<String>,
    /// Supplies that reach the module.
    #[schemars(with = "Vec<RawHandSupply>", length(min = 1))]
    supply: Spanned<Vec<RawHandSupply>>,
    /// Which connector leads to the module's USB, where the board has one.
    #[serde(default)]
    usb: Option<String>,
    /// Where a telephone with NFC is held, where the board has an antenna.
    #[serde(default)]
    phone: Option<String>,
    /// Contacts on which parts of the board hang, whatever jumpers are off.
    #[serde(default)]
    loaded: Vec<RawLoaded>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawLoaded {
    #[schemars(with = "Vec<u8>", length(min = 1))]
    contacts: Vec<Spanned<u8>>,
    /// What hangs there.
    #[schemars(with = "String")]
    reason: Spanned<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawHandSupply {
    /// Name of the module's pins that it feeds.
    #[schemars(with = "String")]
    pin: Spanned<String>,
    #[schemars(with = "Volts")]
    voltage: Spanned<Volts>,
    /// The most that it delivers.
    #[schemars(with = "Amps")]
    current_limit: Spanned<Amps>,
    /// What switches it; the board when left out.
    #[serde(default)]
    with: HandSwitch,
}

/// A serial port of the computer on the module's UART.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawDeskLink {
    /// Contact of the module's RX, which the adapter's TX reaches.
    #[schemars(with = "u8")]
    dut_rx: Spanned<u8>,
    /// Contact of the module's TX, which reaches the adapter's RX.
    #[schemars(with = "u8")]
    dut_tx: Spanned<u8>,
    /// In series with each line.
    #[schemars(with = "Ohms")]
    series: Ohms,
}

/// Whether the file describes a desk.
pub(crate) fn is_desk(source: &Source) -> Result<bool, Box<Problem>> {
    Ok(parse_table(source)?.contains_key("desk"))
}

pub(crate) fn parse(source: &Source, families: &[&DutFamily]) -> Result<Fixture, Box<Problem>> {
    let raw: RawDeskFixture = parse_file(source)?;
    Checker::new(source).desk(raw, families).map_err(|problem| problem.in_file(source, 0..0))
}

fn in_words(text: &Spanned<String>, what: &str) -> Checked<String> {
    match text.get_ref().trim() {
        "" => Err(ParamProblem::new(format!("{what} is empty"))
            .at(text.span(), "empty")
            .help("the person at the bench reads it")),
        text => Ok(text.to_owned()),
    }
}

impl<'a> Checker<'a> {
    fn desk(mut self, raw: RawDeskFixture, families: &[&'a DutFamily]) -> Checked<Fixture> {
        if *raw.format.get_ref() != 1 {
            return Err(ParamProblem::new(format!("fixture format {} is unknown", raw.format.get_ref()))
                .at(raw.format.span(), "unknown format")
                .help("this bench reads format = 1"));
        }
        self.take_families(&raw.families, families)?;
        let link = LinkWiring {
            device: String::new(),
            dut_rx: self.uart_contact(&raw.link.dut_rx)?,
            dut_tx: self.uart_contact(&raw.link.dut_tx)?,
            series_ohms: raw.link.series.get(),
        };
        if link.dut_rx == link.dut_tx {
            return Err(ParamProblem::new("the module's RX and TX are the same contact")
                .at(raw.link.dut_tx.span(), "same as dut_rx")
                .help("expected two contacts"));
        }
        let mut supplies = Vec::with_capacity(raw.desk.supply.get_ref().len());
        for supply in raw.desk.supply.get_ref() {
            supplies.push(self.hand_supply(supply)?);
        }
        if supplies.is_empty() {
            return Err(ParamProblem::new("nothing feeds the module").at(raw.desk.supply.span(), "empty").help(
                "list what the board feeds: { pin = \"3V3\", voltage = \"3.3 V\", current_limit = \"500 mA\" }",
            ));
        }
        let mut loaded = BTreeMap::new();
        for entry in &raw.desk.loaded {
            let reason = in_words(&entry.reason, "the reason")?;
            for contact in &entry.contacts {
                loaded.insert(self.known_contact(contact)?, reason.clone());
            }
        }
        let desk = Desk {
            loaded,
            board: in_words(&raw.desk.board, "the board's name")?,
            switch_on: in_words(&raw.desk.switch_on, "how to switch it on")?,
            supplies,
            usb: raw.desk.usb,
            phone: raw.desk.phone,
        };
        let reached = |contact: &Contact| {
            [link.dut_rx, link.dut_tx].contains(contact) || desk.supplies.iter().any(|it| it.contacts.contains(contact))
        };
        let contacts = self.families.iter().flat_map(|family| &family.contacts).map(|info| info.contact);
        let reason = "nothing on a desk touches it";
        let unwired: BTreeMap<Contact, String> =
            contacts.filter(|contact| !reached(contact)).map(|contact| (contact, reason.to_owned())).collect();
        // The supplies come through the board's own connectors, to no contact alone.
        let reach =
            Reach { families: &self.families, wired: [link.dut_rx, link.dut_tx].into(), unreached: &BTreeMap::new() };
        let board = raw.board.as_ref().map(|board| board.check(&reach)).transpose()?;
        Ok(Fixture {
            base: None,
            instructions: raw.instructions,
            board,
            title: raw.title.unwrap_or_else(|| raw.name.clone()),
            name: raw.name,
            revision: raw.revision,
            families: self.families.iter().map(|family| family.name.clone()).collect(),
            bed: None,
            desk: Some(desk),
            probe: raw.probe.as_ref().map(|probe| self.probe(probe)).transpose()?,
            chips: Vec::new(),
            link,
            usb: None,
            ble: raw.ble.as_ref().map(crate::fixture_ble::check).transpose()?,
            // No nail drives, so nothing has this level.
            nail_volts: 0.0,
            rails: Vec::new(),
            nails: BTreeMap::new(),
            pairs: Vec::new(),
            unwired,
            joined: BTreeMap::new(),
            peers: Vec::new(),
            nfc: None,
        })
    }

    fn hand_supply(&self, raw: &RawHandSupply) -> Checked<HandSupply> {
        let pin = raw.pin.get_ref();
        let volts = above_zero(&raw.voltage)?;
        let feeds = |info: &&crate::ContactInfo| {
            info.functions.contains(&Function::Power)
                && (info.pin == *pin || info.alternate_names.iter().any(|name| name == pin))
        };
        let fed = |family: &&DutFamily| family.contacts.iter().filter(feeds).cloned().collect::<Vec<_>>();
        let mut contacts: Vec<Contact> = Vec::new();
        for family in &self.families {
            let infos = fed(family);
            if infos.is_empty() {
                let supplies = family.contacts.iter().filter(|info| info.functions.contains(&Function::Power));
                return Err(ParamProblem::new(format!("{} has no supply pin `{pin}`", family.name))
                    .at(raw.pin.span(), "no supply of the module")
                    .help(crate::nearest_help(pin, supplies.map(|info| info.pin.as_str()), "supply pins")));
            }
            if let Some(most) = infos.iter().filter_map(|info| info.max_volts).find(|most| volts > *most) {
                return Err(ParamProblem::new(format!("{volts} V is too much for {pin} of {}", family.name))
                    .at(raw.voltage.span(), format!("{most} V at most"))
                    .help("write what the board supplies; if it really is that much, do not use this board"));
            }
            contacts.extend(infos.iter().map(|info| info.contact));
        }
        contacts.sort_unstable();
        contacts.dedup();
        let current_limit_amps = above_zero(&raw.current_limit)?;
        Ok(HandSupply { name: pin.clone(), volts, contacts, current_limit_amps, with: raw.with })
    }
}
