//! The wiring of a fixture, for the person who solders it, from the file that the bench uses.

pub(crate) mod board;
mod board_svg;
mod svg;
mod text;

pub(crate) use svg::svg;
pub(crate) use text::text;

use bench_plan::{Board, ChipKind, DutFamily, Fixture, NailWiring};
use bench_run::{Contact, MeasurementUnit};
use serde::Serialize;

/// The wires of a fixture.
#[derive(Debug, Serialize)]
pub(crate) struct Wiring {
    pub fixture: String,
    pub title: String,
    /// The board that carries the module, where that is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<Board>,
    pub contacts: Vec<ContactWires>,
    pub chips: Vec<ChipWires>,
    pub controller: Vec<Pin>,
}

/// What leads to one contact of the module.
#[derive(Debug, Serialize)]
pub(crate) struct ContactWires {
    pub contact: u8,
    /// Its name on each family that the fixture takes, once where they agree: "A0", "D7 / P1.04".
    pub name: String,
    pub nail: Nail,
    /// Where the wire begins and what is in it.
    pub wire: String,
    /// Multiplexer bank and channel: "bank 1, channel 7".
    pub measure: Option<String>,
    /// Parts behind switches of their own: "fram SCK".
    pub extras: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Nail {
    Io,
    Supply,
    Ground,
    None,
}

#[derive(Debug, Serialize)]
pub(crate) struct ChipWires {
    pub id: String,
    pub part: String,
    pub address: String,
    /// What each used pin leads to: ("GPA3", "contact 23 (A0), 470 ohm").
    pub pins: Vec<(String, String)>,
}

/// A GPIO of the controller.
#[derive(Debug, Serialize)]
pub(crate) struct Pin {
    pub gpio: u8,
    pub leads_to: String,
}

impl Wiring {
    pub(crate) fn of(fixture: &Fixture, families: &[DutFamily]) -> Self {
        let families: Vec<&DutFamily> =
            families.iter().filter(|family| fixture.families.contains(&family.name)).collect();
        let mut contacts: Vec<ContactWires> = families
            .iter()
            .flat_map(|family| family.contacts.iter().map(|info| info.contact))
            .map(|contact| wires(fixture, &families, contact))
            .collect();
        contacts.sort_by_key(|wires| wires.contact);
        contacts.dedup_by_key(|wires| wires.contact);
        Self {
            fixture: fixture.name.clone(),
            title: fixture.title.clone(),
            board: fixture.board.clone(),
            chips: chips(fixture, &contacts),
            controller: controller(fixture),
            contacts,
        }
    }
}

fn name(families: &[&DutFamily], contact: Contact) -> String {
    let mut names: Vec<&str> =
        families.iter().filter_map(|family| Some(family.contact(contact)?.pin.as_str())).collect();
    names.dedup();
    names.join(" / ")
}

fn ohms(value: f64) -> String {
    MeasurementUnit::Ohms.show(value)
}

fn wires(fixture: &Fixture, families: &[&DutFamily], contact: Contact) -> ContactWires {
    let chip =
        |bit: bench_plan::IoBit| fixture.chips.get(bit.chip).map_or_else(String::new, |chip| chip.bit_label(bit.bit));
    let nail = fixture.nail(contact);
    let (kind, wire) = match nail.map(|nail| &nail.wiring) {
        Some(NailWiring::Io { io, series_ohms }) => {
            (Nail::Io, format!("{}, {} in series", chip(*io), ohms(*series_ohms)))
        }
        Some(NailWiring::Rail { rail, feed, feed_ohms }) => {
            let rail = fixture.rails.get(*rail).map_or("?", |rail| rail.name.as_str());
            (Nail::Supply, format!("rail {rail} by a switch of {} at {}", ohms(*feed_ohms), chip(*feed)))
        }
        Some(NailWiring::Ground { feed, feed_ohms }) => {
            (Nail::Ground, format!("ground by a switch of {} at {}", ohms(*feed_ohms), chip(*feed)))
        }
        None => {
            let why = fixture.unwired.get(&contact).map_or("no nail", String::as_str);
            (Nail::None, why.to_owned())
        }
    };
    let mut extras = Vec::new();
    for peer in &fixture.peers {
        let lines: &[&str] = match peer.part {
            bench_plan::PeerPart::SpiFram { .. } => &["SCK", "MOSI", "MISO", "SS"],
            bench_plan::PeerPart::I2cEeprom { .. } => &["SDA", "SCL"],
        };
        let own = peer.contacts().into_iter().zip(lines).filter(|(wires, _)| *wires == contact);
        extras.extend(own.map(|(_, line)| format!("{} {line}", peer.id)));
    }
    if contact == fixture.link.dut_rx {
        extras.push(format!("link relay, the controller's TX, {}", ohms(fixture.link.series_ohms)));
    }
    if contact == fixture.link.dut_tx {
        extras.push(format!("link relay, the controller's RX, {}", ohms(fixture.link.series_ohms)));
    }
    if let Some(coil) = fixture.nfc.and_then(|nfc| nfc.coil).filter(|coil| coil.contacts.contains(&contact)) {
        extras.push(format!("NFC coil by a switch of {}", ohms(coil.switch_ohms)));
    }
    ContactWires {
        contact: contact.0,
        name: name(families, contact),
        nail: kind,
        wire,
        measure: nail.and_then(|nail| nail.mux).map(|(bank, channel)| format!("bank {bank}, channel {channel}")),
        extras,
    }
}

fn chips(fixture: &Fixture, contacts: &[ContactWires]) -> Vec<ChipWires> {
    let label = |contact: Contact| {
        let name = contacts.iter().find(|wires| wires.contact == contact.0).map_or("", |wires| wires.name.as_str());
        format!("contact {contact} ({name})")
    };
    let mut pins: Vec<Vec<(u8, String, String)>> = vec![Vec::new(); fixture.chips.len()];
    let mut bit = |bit: bench_plan::IoBit, leads_to: String| {
        if let (Some(list), Some(chip)) = (pins.get_mut(bit.chip), fixture.chips.get(bit.chip)) {
            let pin = chip.bit_label(bit.bit);
            list.push((bit.bit, pin.rsplit('.').next().unwrap_or_default().to_owned(), leads_to));
        }
    };
    for nail in fixture.nails.values() {
        match nail.wiring {
            NailWiring::Io { io, series_ohms } => bit(io, format!("{}, {}", label(nail.contact), ohms(series_ohms))),
            NailWiring::Rail { feed, .. } => bit(feed, format!("switch of the supply nail at {}", label(nail.contact))),
            NailWiring::Ground { feed, .. } => {
                bit(feed, format!("switch of the ground nail at {}", label(nail.contact)))
            }
        }
    }
    for rail in &fixture.rails {
        let what = if rail.load_ohms.is_some() { "load" } else { "supply" };
        bit(rail.enable, format!("{what} of rail {}", rail.name));
        bit(rail.discharge, format!("discharge of rail {}, {}", rail.name, ohms(rail.discharge_ohms)));
    }
    for peer in &fixture.peers {
        bit(peer.select, format!("switches of {}", peer.id));
    }
    if let Some(usb) = fixture.usb {
        bit(usb.switch, "USB switch".to_owned());
    }
    if let Some(coil) = fixture.nfc.and_then(|nfc| nfc.coil) {
        bit(coil.switch, "switches of the NFC coil".to_owned());
    }
    let Some(bed) = &fixture.bed else { return Vec::new() };
    bit(bed.link_relay, "link relay".to_owned());
    let bus = &bed.measure_bus;
    bit(bus.source_enable, "switch of the source".to_owned());
    for (n, address) in bus.address.iter().enumerate() {
        bit(*address, format!("A{n} of all multiplexers"));
    }
    for (n, enable) in bus.banks.iter().enumerate() {
        bit(*enable, format!("enable of multiplexer bank {n}"));
    }
    for (channel, prefix, leads_to) in [
        (bus.sense, "AIN", "measure bus"),
        (bus.source_sense, "AIN", "source, before its series resistor"),
        (bus.source, "VOUT", "source"),
    ] {
        if let Some(list) = pins.get_mut(channel.chip) {
            let pin = match prefix {
                "AIN" => format!("AIN{}", channel.channel),
                _ => format!("VOUT{}", char::from(b'A' + channel.channel.min(3))),
            };
            list.push((channel.channel, pin, leads_to.to_owned()));
        }
    }
    for rail in &fixture.rails {
        if let Some(list) = pins.get_mut(rail.monitor) {
            list.push((0, "IN+ IN-".to_owned(), format!("shunt of rail {}", rail.name)));
        }
    }
    let mut chips = Vec::with_capacity(fixture.chips.len());
    for (chip, mut list) in fixture.chips.iter().zip(pins) {
        list.sort();
        chips.push(ChipWires {
            id: chip.id.clone(),
            part: part(&chip.kind),
            address: format!("{:#04x}", chip.address),
            pins: list.into_iter().map(|(_, pin, leads_to)| (pin, leads_to)).collect(),
        });
    }
    chips
}

fn part(kind: &ChipKind) -> String {
    match kind {
        ChipKind::Mcp23017 => "MCP23017".to_owned(),
        ChipKind::Ads1115 => "ADS1115".to_owned(),
        ChipKind::Mcp4728 { reference_volts } => {
            format!("MCP4728, reference {}", MeasurementUnit::Volts.show(*reference_volts))
        }
        ChipKind::Ina226 { shunt_ohms } => format!("INA226, shunt {}", ohms(*shunt_ohms)),
        ChipKind::Pn532 => "PN532".to_owned(),
    }
}

fn controller(fixture: &Fixture) -> Vec<Pin> {
    let Some(bed) = &fixture.bed else { return Vec::new() };
    let controller = &bed.controller;
    let mut pins = vec![
        (controller.i2c_sda, "SDA of all chips".to_owned()),
        (controller.i2c_scl, "SCL of all chips".to_owned()),
        (controller.link_tx, "TX, to the link relay".to_owned()),
        (controller.link_rx, "RX, from the link relay".to_owned()),
        (bed.safety.watchdog.kick, "watchdog, each edge is a kick".to_owned()),
    ];
    let level = |line: &bench_plan::GpioLine| if line.active_low { "active low" } else { "active high" };
    pins.extend(controller.lid.as_ref().map(|line| (line.gpio, format!("lid switch, {}", level(line)))));
    pins.extend(controller.start.as_ref().map(|line| (line.gpio, format!("start button, {}", level(line)))));
    pins.extend(controller.lamps.iter().map(|(name, line)| (line.gpio, format!("lamp `{name}`, {}", level(line)))));
    pins.extend(bed.measure_bus.edges_gpio.map(|gpio| (gpio, "measure bus, behind its Schmitt buffer".to_owned())));
    pins.sort();
    pins.into_iter().map(|(gpio, leads_to)| Pin { gpio, leads_to }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Wiring, board, board_svg, svg, text};
    use bench_engine::Project;
    use bench_plan::{Board, End, Jumper, JumperState, Wire, WireColour};
    use bench_run::Contact;
    use std::path::Path;

    fn small() -> Board {
        let end = |of: &str, pin: &str| End { of: of.to_owned(), pin: pin.to_owned() };
        let wire = |from, to, contact: Option<u8>, pin: Option<&str>, colour| Wire {
            from,
            to,
            contact: contact.map(Contact),
            pin: pin.map(str::to_owned),
            level: contact.map(|_| "3.3 V".to_owned()),
            colour,
            why: None,
        };
        let jumper = |name: &str, state| Jumper {
            name: name.to_owned(),
            also: vec!["SOM_VCC in the text".to_owned()],
            joins: "VCC to the module".to_owned(),
            state,
            why: "it feeds the module".to_owned(),
            place: Some("left".to_owned()),
        };
        Board {
            name: "A board <1>".to_owned(),
            source: "its schematic".to_owned(),
            doubts: vec!["J1 or J2".to_owned()],
            jumpers: vec![jumper("J5", JumperState::On), jumper("J6", JumperState::Off)],
            wires: vec![
                wire(end("USB-UART", "GND"), end("J3", "1"), None, None, WireColour::Black),
                wire(end("USB-UART", "RX"), end("J3", "22"), Some(36), Some("TX"), WireColour::White),
                wire(end("debug probe", "SWDIO"), end("DEBUG", "2"), None, Some("SWDIO"), WireColour::Green),
            ],
            steps: vec!["Take the battery out.".to_owned(), "Plug the antennas. ".repeat(12)],
        }
    }

    #[test]
    fn a_small_board() {
        insta::assert_snapshot!("board_text", board::text(&small()));
        insta::assert_snapshot!("board_json", serde_json::to_string_pretty(&small()).unwrap());
        insta::assert_snapshot!("board_svg", board_svg::svg(&small(), "A desk", "desk-2"));
    }

    /// What a printer without colours shows: the words. No text may need a font that is as narrow as ours.
    #[test]
    fn boards_of_the_repository_are_drawn_with_words() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let project = Project::find(Some(&root), None);
        for (name, wires, jumpers) in [("eval-board", 51, 19), ("mikroe-gen3", 28, 0)] {
            let (fixture, families) = project.fixture_and_families(name).unwrap();
            let wiring = Wiring::of(&fixture, &families);
            let (drawn, listed) = (svg(&wiring), text(&wiring));
            let board = wiring.board.unwrap();
            assert_eq!((board.wires.len(), board.jumpers.len()), (wires, jumpers), "{name}");
            assert_eq!(drawn.matches("class=\"casing\"").count(), wires, "{name}");
            assert_eq!(drawn.matches(">OFF</text>").count(), jumpers, "{name}");
            for wire in &board.wires {
                assert!(listed.contains(&board::to(wire)), "{name}: {wire:?}");
                assert!(drawn.contains(&format!(" {}", wire.colour.name())), "{name}: {wire:?}");
            }
        }
    }
}
