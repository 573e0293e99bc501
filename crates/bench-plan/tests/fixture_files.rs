//! The bed of nails of the repository, and what its checks refuse.

mod plan_support;

use bench_plan::*;
use bench_run::Contact;
use plan_support::{changed, check_fixture, families, family, fixture_text, render};
use std::collections::BTreeSet;

fn b_series() -> Fixture {
    check_fixture(&fixture_text()).unwrap_or_else(|problem| panic!("{}", render(&problem)))
}

#[test]
fn every_contact_of_both_families_has_a_nail_on_the_measure_bus() {
    let fixture = b_series();
    assert_eq!(fixture.families, ["b4xx", "b5xx"]);
    for name in ["b4xx", "b5xx"] {
        let family = family(name);
        assert_eq!(family.contacts.len(), 67);
        for info in &family.contacts {
            let nail =
                fixture.nail(info.contact).unwrap_or_else(|| panic!("{} has no nail", family.label(info.contact)));
            assert!(nail.mux.is_some(), "{} cannot be measured", family.label(info.contact));
            let wired_right = match nail.wiring {
                NailWiring::Io { series_ohms, .. } => {
                    series_ohms == 1000.0
                        && !info.functions.contains(&Function::Power)
                        && !info.functions.contains(&Function::Ground)
                }
                NailWiring::Rail { .. } => info.functions.contains(&Function::Power),
                NailWiring::Ground { .. } => info.functions.contains(&Function::Ground),
            };
            assert!(wired_right, "{}: {:?}", family.label(info.contact), nail.wiring);
        }
    }
    let io = fixture.nails.values().filter(|nail| matches!(nail.wiring, NailWiring::Io { .. }));
    assert_eq!(io.count(), 49);
}

#[test]
fn rails_as_the_modules_need_them() {
    let fixture = b_series();
    let rows = [
        ("VCC", 3.8, 2.5, false, vec![2, 4, 6, 8]),
        ("3V3", 3.3, 0.6, false, vec![10, 12]),
        ("VUSB", 5.0, 0.5, true, vec![16]),
        ("VBUS_MODEM", 5.0, 0.5, true, vec![74]),
    ];
    assert_eq!(fixture.rails.len(), rows.len());
    for (name, volts, amps, optional, contacts) in rows {
        let index = fixture.rails.iter().position(|rail| rail.name == name).unwrap();
        let rail = &fixture.rails[index];
        assert_eq!((rail.volts, rail.current_limit_amps, rail.optional), (volts, amps, optional), "{name}");
        let fed: Vec<u8> = fixture
            .nails
            .values()
            .filter(|nail| matches!(nail.wiring, NailWiring::Rail { rail, .. } if rail == index))
            .map(|nail| nail.contact.0)
            .collect();
        assert_eq!(fed, contacts, "{name}");
        assert!(matches!(fixture.chips[rail.monitor].kind, ChipKind::Ina226 { .. }));
    }
    let grounds = fixture.nails.values().filter(|nail| matches!(nail.wiring, NailWiring::Ground { .. }));
    assert_eq!(grounds.map(|nail| nail.contact.0).collect::<Vec<_>>(), [1, 3, 5, 7, 9, 15, 21, 39, 49, 56]);
}

/// Neighbours on one face never share a bank: a channel that sticks closed cannot look like a short between them.
#[test]
fn neighbours_on_a_face_are_on_different_banks() {
    let fixture = b_series();
    for (contact, nail) in &fixture.nails {
        let Some(neighbour) = fixture.nail(Contact(contact.0 + 2)) else { continue };
        assert_ne!(nail.mux.unwrap().0, neighbour.mux.unwrap().0, "{contact} and {}", neighbour.contact);
    }
}

#[test]
fn no_expander_bit_has_two_users() {
    let fixture = b_series();
    let bus = &fixture.bed.as_ref().unwrap().measure_bus;
    let mut bits = vec![bus.source_enable, fixture.bed.as_ref().unwrap().link_relay];
    bits.extend(bus.address.iter().chain(&bus.banks));
    bits.extend(fixture.rails.iter().flat_map(|rail| [rail.enable, rail.discharge]));
    bits.extend(fixture.nails.values().map(|nail| match nail.wiring {
        NailWiring::Io { io, .. } => io,
        NailWiring::Rail { feed, .. } | NailWiring::Ground { feed, .. } => feed,
    }));
    bits.extend(fixture.peers.iter().map(|peer| peer.select));
    assert_eq!(bits.len(), 90);
    assert_eq!(bits.iter().collect::<BTreeSet<_>>().len(), bits.len());
    assert_eq!(fixture.chips[bits[0].chip].bit_label(bits[0].bit), "io6.GPA4");
}

#[test]
fn safety_and_controller_are_kept() {
    let fixture = b_series();
    assert_eq!(fixture.bed.as_ref().unwrap().safety.watchdog.kick, 17);
    assert!(fixture.bed.as_ref().unwrap().safety.off_within >= fixture.bed.as_ref().unwrap().safety.watchdog.timeout);
    assert_eq!(
        (fixture.bed.as_ref().unwrap().controller.link_tx, fixture.bed.as_ref().unwrap().controller.link_rx),
        (14, 15)
    );
    assert_eq!((fixture.link.dut_rx, fixture.link.dut_tx), (Contact(38), Contact(36)));
    assert_eq!(fixture.probe.unwrap().reset, Some(Contact(34)));
}

#[test]
fn mistakes() {
    // Original text, replacement, expected message, expected text at the place.
    let rows: &[(&str, &str, &str, &str)] = &[
        ("\"b5xx\"]", "\"b6xx\"]", "unknown module family `b6xx`", "\"b6xx\""),
        ("format = 1", "format = 2", "fixture format 2 is unknown", "2"),
        ("revision = ", "revison = ", "unknown key `revison`", "revison"),
        ("address = 0x21", "address = 0x20", "I2C address 0x20 is used twice", "0x20"),
        ("address = 0x48", "address = 0x4C", "an ADS1115 cannot have the address 0x4c", "0x4C"),
        ("id = \"io1\"", "id = \"io0\"", "duplicate chip id `io0`", "\"io0\""),
        ("type = \"ads1115\"", "type = \"ads1015\"", "unknown value `ads1015`", "\"ads1015\""),
        (", reference = \"5 V\"", "", "chip `dac` has no `reference`", "\"dac\""),
        (", reference = \"5 V\"", ", reference = \"5 V\", shunt = \"1 ohm\"", "an MCP4728 has no `shunt`", "\"1 ohm\""),
        ("shunt = \"20 mohm\"", "shunt = \"-20 mohm\"", "\"-20 mohm\" is negative", "\"-20 mohm\""),
        ("shunt = \"20 mohm\"", "shunt = \"0 ohm\"", "0 ohm is not above zero", "\"0 ohm\""),
        ("current_limit = \"2.5 A\"", "current_limit = \"5 A\"", "monitor `power-vcc` cannot see", "\"5 A\""),
        ("current_limit = \"2.5 A\"", "current_limit = 2.5", "2.5 has no unit", "2.5"),
        ("io = \"io0.GPA1\"", "io = \"io0.GPA0\"", "io0.GPA0 is used twice: by the nail of contact 11", "\"io0.GPA0\""),
        ("io = \"io0.GPA1\"", "io = \"io0.GPA7\"", "io0.GPA7 can only be an output", "\"io0.GPA7\""),
        ("io = \"io0.GPA1\"", "io = \"io9.GPA1\"", "unknown chip `io9`", "\"io9.GPA1\""),
        ("io = \"io0.GPA1\"", "io = \"adc.GPA1\"", "chip `adc` is not a port expander", "\"adc.GPA1\""),
        ("io = \"io0.GPA1\"", "io = \"io0.GPC1\"", "\"io0.GPC1\" is not an expander bit", "\"io0.GPC1\""),
        (
            "connect = \"io6.GPA5\"",
            "connect = \"io6.GPA4\"",
            "used twice: by the link relay and by the source's",
            "\"io6.GPA4\"",
        ),
        ("mux = [1, 2]", "mux = [0, 2]", "bank 0, channel 2 is used twice", "[0, 2]"),
        ("mux = [1, 2]", "mux = [5, 2]", "no such channel", "[5, 2]"),
        ("mux = [1, 2]", "mux = [1, 16]", "no such channel", "[1, 16]"),
        ("mux = [1, 2]", "mux = [1]", "no such channel", "[1]"),
        ("contact = 23, pin = \"A0\"", "contact = 24", "b4xx has no contact 24", "24"),
        ("contact = 23, pin = \"A0\"", "contact = 23, pin = \"A1\"", "contact 23 of b4xx is not `A1`", "\"A1\""),
        (
            "io = \"io0.GPA4\"",
            "rail = \"3V3\", feed = \"io0.GPA4\"",
            "contact 23 (A0) of b4xx is not a supply contact",
            "\"3V3\"",
        ),
        (
            "io = \"io0.GPA4\"",
            "ground = \"io0.GPA4\"",
            "contact 23 (A0) of b4xx is not a ground contact",
            "\"io0.GPA4\"",
        ),
        ("rail = \"VUSB\"", "rail = \"VUSBB\"", "unknown rail `VUSBB`", "\"VUSBB\""),
        ("rail = \"VUSB\"", "rail = \"VCC\"", "rail VCC feeds VCC, contact 16 (VUSB) is another supply", "\"VCC\""),
        (
            "rail = \"VUSB\", feed = \"io5.GPA6\"",
            "io = \"io3.GPB0\"",
            "contact 16 (VUSB) is not a signal",
            "\"io3.GPB0\"",
        ),
        ("ground = \"io4.GPA0\"", "io = \"io3.GPB0\"", "contact 1 (GND) is not a signal", "\"io3.GPB0\""),
        ("voltage = \"3.8 V\"", "voltage = \"5 V\"", "rail VCC has 5.000 V, too much for contact 2 (VCC)", "\"VCC\""),
        ("sense = \"adc.AIN0\" ", "sense = \"dac.AIN0\" ", "chip `dac` is not an ADS1115", "\"dac.AIN0\""),
        ("source = \"dac.VOUTA\"", "source = \"dac.VOUTE\"", "\"dac.VOUTE\" is not an analog channel", "\"dac.VOUTE\""),
        ("kick = 17", "kick = 15", "GPIO 15 of the controller is used twice", "15"),
        ("edges = { gpio = 27 }", "edges = { gpio = 14 }", "GPIO 14 of the controller is used twice", "14"),
        ("kick = 17", "kick = 45", "GPIO 45 is not on the header", "45"),
        ("off_within = \"600 ms\"", "off_within = \"400 ms\"", "cannot be off before the watchdog acts", "\"400 ms\""),
        ("i2c_speed = \"400 kHz\"", "i2c_speed = \"1 MHz\"", "I2C cannot run at 1.000 MHz", "\"1 MHz\""),
        ("dut_rx = 38", "dut_rx = 23", "contact 23 (A0) of b4xx is no UART pin", "23"),
        (
            "type = \"fm25v02a\"\nselect = \"io3.GPB0\"",
            "type = \"fm25w256\"\nselect = \"io3.GPB0\"",
            "unknown value `fm25w256`",
            "\"fm25w256\"",
        ),
        ("adapter = \"hci0\"", "adapter = \"wlan0\"", "`wlan0` is no Bluetooth adapter", "\"wlan0\""),
        ("power_dbm = 0", "power_dbm = 40", "40 dBm cannot be", "40"),
        ("path_loss_db = 40", "path_loss_db = 4", "4 dB cannot be", "4"),
        ("reader = \"nfc\"", "reader = \"adc\"", "chip `adc` is no NFC reader", "\"adc\""),
        ("contacts = [17, 19]", "contacts = [17]", "an antenna at 1 contacts", "[17]"),
        ("contacts = [17, 19]", "contacts = [17, 23]", "contact 23 (A0) of b4xx is no NFC pad", "23"),
        ("contacts = [17, 19]", "contacts = [17, 17]", "both ends of the antenna are at the same", "[17, 17]"),
        ("switch = \"io3.GPB4\"", "switch = \"io3.GPB3\"", "io3.GPB3 is used twice", "\"io3.GPB3\""),
        ("type = \"pn532\", address = 0x24", "type = \"pn532\", address = 0x25", "a PN532 cannot have", "0x25"),
        ("id = \"fram-spi1\"", "id = \"fram-spi\"", "\"fram-spi\" cannot be a peer's id", "\"fram-spi\""),
        ("select = \"io3.GPB1\"", "select = \"io3.GPB0\"", "io3.GPB0 is used twice: by the switches", "\"io3.GPB0\""),
        ("{ sck = 54,", "{ sck = 24,", "b4xx has no contact 24", "24"),
        ("{ sck = 54,", "{ sck = 56,", "contact 56 has no nail for a signal", "56"),
        ("{ sck = 54,", "{", "peer `fram-spi` has no `sck`", "{ mosi = 52, miso = 50, ss = 48 }"),
        ("{ sck = 54,", "{ sda = 22, sck = 54,", "an FM25V02A has no `sda`", "22"),
        (
            "{ sck = 54,",
            "{ sck = 52,",
            "two lines of peer `fram-spi` are at the same contact",
            "{ sck = 52, mosi = 52, miso = 50, ss = 48 }",
        ),
        ("4.7 kohm\"\nlines = { sda = 22", "0 ohm\"\nlines = { sda = 22", "0 ohm is not above zero", "\"0 ohm\""),
        (
            "address = 0x50\npull_up = \"4.7 kohm\"\nlines = { sda = 22",
            "address = 0x58\npull_up = \"4.7 kohm\"\nlines = { sda = 22",
            "a 24LC256 cannot have the address 0x58",
            "0x58",
        ),
        (
            "address = 0x50\npull_up = \"4.7 kohm\"\nlines = { sda = 22",
            "pull_up = \"4.7 kohm\"\nlines = { sda = 22",
            "peer `eeprom-i2c` has no `address`",
            "\"eeprom-i2c\"",
        ),
        (
            "pull_up = \"4.7 kohm\"\nlines = { sda = 22",
            "lines = { sda = 22",
            "peer `eeprom-i2c` has no `pull_up`",
            "\"eeprom-i2c\"",
        ),
        ("dut_rx = 38", "dut_rx = 36", "the module's RX and TX are the same contact", "36"),
    ];
    let text = fixture_text();
    for (from, to, message, spot) in rows {
        let broken = changed(&text, from, to);
        let problem = check_fixture(&broken).expect_err(message);
        assert!(problem.message.contains(message), "{from} -> {to}: {}", problem.message);
        let span = problem.span.unwrap();
        assert_eq!(&broken[span.offset()..span.offset() + span.len()], *spot, "{from} -> {to}");
    }
}

#[test]
fn a_contact_without_nail_needs_a_reason() {
    let line = fixture_text().lines().find(|line| line.contains("contact = 23,")).unwrap().to_owned();
    let without = changed(&fixture_text(), &line, "");
    let problem = check_fixture(&without).unwrap_err();
    assert_eq!(problem.message, "contact 23 (A0) of b4xx has no nail");
    let listed =
        changed(&without, "\nnails = [", "\nunwired = [{ contact = 23, reason = \"probe broken\" }]\nnails = [");
    let fixture = check_fixture(&listed).unwrap_or_else(|problem| panic!("{}", render(&problem)));
    assert_eq!(fixture.unwired[&Contact(23)], "probe broken");
    let mute = listed.replace("probe broken", " ");
    assert!(check_fixture(&mute).unwrap_err().message.contains("for no reason"));
    let both = changed(&fixture_text(), "\nnails = [", "\nunwired = [{ contact = 23, reason = \"x\" }]\nnails = [");
    assert!(check_fixture(&both).unwrap_err().message.contains("listed before"));
}

/// A truncated fixture yields one message and never a panic.
#[test]
fn truncated_files_are_answered() {
    let families = families();
    let families: Vec<&DutFamily> = families.iter().collect();
    let text = fixture_text();
    for end in (0..text.len()).step_by(97).filter(|end| text.is_char_boundary(*end)) {
        let source = Source::new("cut.toml", &text[..end]);
        let problem = Fixture::parse(&source, &families).expect_err("a cut file lacks something");
        assert!(!render(&problem).is_empty());
    }
}

const JUMPERS: &str =
    "format = 1\nname = \"pairs\"\nrevision = \"A\"\nbase = \"b-series\"\npairs = [[22, 20], [23, 33]]\n";

#[test]
fn jumpers_on_another_bed() {
    let source = |text: &str| Source::new("fixtures/pairs.toml", text);
    assert_eq!(Fixture::base_of(&source(&fixture_text())).unwrap().map(Spanned::into_inner), None);
    assert_eq!(Fixture::base_of(&source(JUMPERS)).unwrap().map(Spanned::into_inner).as_deref(), Some("b-series"));
    let joined =
        b_series().with_jumpers(&source(JUMPERS), &[]).unwrap_or_else(|problem| panic!("{}", render(&problem)));
    assert_eq!((joined.name.as_str(), joined.revision.as_str()), ("pairs", "A on A"));
    assert_eq!(joined.pairs, [(Contact(22), Contact(20)), (Contact(23), Contact(33))]);
    assert_eq!(joined.nails, b_series().nails);

    let rows = [
        ("base = \"b-series\"", "base = \"boron\"", "the jumpers are for `boron`, not for `b-series`"),
        ("[[22, 20], [23, 33]]", "[]", "the jumpers join nothing"),
        ("[22, 20]", "[22]", "a pair has two contacts"),
        ("[22, 20]", "[22, 36]", "contact 36 cannot be one of a pair"),
        ("[22, 20]", "[22, 10]", "contact 10 cannot be one of a pair"),
        ("[22, 20]", "[22, 99]", "contact 99 cannot be one of a pair"),
        ("[22, 20]", "[22, 23]", "contact 23 is joined twice"),
        ("format = 1", "format = 2", "fixture format 2 is unknown"),
        ("revision", "revison", "unknown key `revison`"),
    ];
    for (from, to, message) in rows {
        let problem = b_series().with_jumpers(&source(&changed(JUMPERS, from, to)), &[]).unwrap_err();
        assert!(problem.message.contains(message), "{from} -> {to}: {}", problem.message);
    }
    let problem = Fixture::base_of(&source(&changed(JUMPERS, "\"b-series\"", "3"))).unwrap_err();
    assert_eq!(problem.message, "`base` is not a name");
}

const BOARD: &str = r#"format = 1
name = "board"
revision = "A"
base = "b-series"
unreached = [
  { contacts = [4, 6], joined_to = 2, reason = "one plane" },
  { contacts = [17], reason = "no pin" },
]
"#;

#[test]
fn a_board_joins_contacts() {
    let source = |text: &str| Source::new("fixtures/board.toml", text);
    let board = b_series().with_jumpers(&source(BOARD), &[]).unwrap_or_else(|problem| panic!("{}", render(&problem)));
    assert!(board.nail(Contact(4)).is_none());
    assert_eq!(board.nail_that_reaches(Contact(4)), board.nail(Contact(2)));
    assert_eq!(board.joined_to(Contact(2)).collect::<Vec<_>>(), [Contact(4), Contact(6)]);
    assert_eq!(board.unwired[&Contact(17)], "no pin");
    assert!(board.nail_that_reaches(Contact(17)).is_none());
    assert!(b_series().nfc.is_some() && board.nfc.is_none(), "one end of the coil has no nail");
    for (from, to, message) in [
        ("[4, 6], joined_to = 2", "[4, 6], joined_to = 17", "contact 17 has no nail"),
        ("[4, 6], joined_to = 2", "[4, 6], joined_to = 6", "contact 6 has no nail"),
        ("[17]", "[17, 4]", "contact 4 has no nail anyway"),
        ("joined_to", "joined", "unknown key `joined`"),
    ] {
        let problem = b_series().with_jumpers(&source(&changed(BOARD, from, to)), &[]).unwrap_err();
        assert!(problem.message.contains(message), "{from} -> {to}: {}", problem.message);
    }
}

const WIRED_BOARD: &str = r#"format = 1
name = "desk-2"
revision = "A"
families = ["b4xx", "b5xx"]

[desk]
board = "the board"
switch_on = "plug it in"
supply = [{ pin = "3V3", voltage = "3.3 V", current_limit = "500 mA" }]

[link]
dut_rx = 38
dut_tx = 36
series = "50 ohm"

[board]
name = "Some board"
source = "its schematic"
doubts = ["J1 or J2"]

[[board.jumper]]
name = "J5"
also = ["J6 in the text"]
joins = "VCC to the module"
state = "on"
why = "feeds it"
where = "left"

[[board.wire]]
from = "USB-UART RX"
to = "J3 pin 22"
contact = 36
pin = "TX"
level = "3.3 V"

[[board.wire]]
from = "USB-UART TX"
to = "J3 pin 24"
pin = "RX"
colour = "grey"
why = "crossed"

[[board.wire]]
from = "debug probe SWDIO"
to = "pad row SWDIO"
pin = "SWDIO"

[[board.wire]]
from = "USB-UART GND"
to = "J3 pin 1"

[[board.do]]
text = "Take the battery out."
"#;

#[test]
fn a_board_as_data() {
    let families = families();
    let families: Vec<&DutFamily> = families.iter().collect();
    let parse = |text: &str| Fixture::parse(&Source::new("fixtures/desk-2.toml", text), &families);
    let board = parse(WIRED_BOARD).unwrap_or_else(|problem| panic!("{}", render(&problem))).board.unwrap();
    assert_eq!((board.name.as_str(), board.source.as_str()), ("Some board", "its schematic"));
    assert_eq!((board.doubts.len(), board.steps.as_slice()), (1, ["Take the battery out.".to_owned()].as_slice()));
    assert_eq!((board.jumpers[0].state, board.jumpers[0].place.as_deref()), (JumperState::On, Some("left")));
    let end = |of: &str, pin: &str| End { of: of.to_owned(), pin: pin.to_owned() };
    let rows = [
        (end("USB-UART", "RX"), end("J3", "22"), Some(36), Some("TX"), Some("3.3 V"), WireColour::Yellow),
        (end("USB-UART", "TX"), end("J3", "24"), Some(38), Some("RX"), None, WireColour::Grey),
        (end("debug probe", "SWDIO"), end("pad row", "SWDIO"), None, Some("SWDIO"), None, WireColour::Green),
        (end("USB-UART", "GND"), end("J3", "1"), None, None, None, WireColour::Black),
    ];
    for (wire, (from, to, contact, pin, level, colour)) in board.wires.iter().zip(rows) {
        assert_eq!((&wire.from, &wire.to, wire.colour), (&from, &to, colour));
        assert_eq!((wire.contact, wire.pin.as_deref(), wire.level.as_deref()), (contact.map(Contact), pin, level));
    }
    for (from, to, message) in [
        ("contact = 36", "contact = 26", "b4xx has no contact 26"),
        ("pin = \"TX\"", "pin = \"RX \"", "contact 36 (TX) is not called `RX `"),
        ("pin = \"SWDIO\"", "pin = \"SWDIOO\"", "the module has no pin or pad `SWDIOO`"),
        ("level = \"3.3 V\"", "level = \"5 V\"", "5 V is too much for contact 36 (TX)"),
        ("to = \"J3 pin 22\"", "to = \"J3\"", "\"J3\" names no pin"),
        ("to = \"J3 pin 22\"", "to = \"pin 22\"", "\"pin 22\" names no pin"),
        ("pin = \"RX\"", "contact = 40", "no wire leads to contact 38 (RX)"),
        ("from = \"USB-UART GND\"", "from = \"nail 22\"", "the wire of nail 22 leads to another contact"),
        ("state = \"on\"", "state = \"open\"", "unknown value `open`"),
        ("name = \"J5\"", "name = \" \"", "a jumper's name is empty"),
        ("text = \"Take the battery out.\"", "text = \"\"", "a step by hand is empty"),
        ("colour = \"grey\"", "colour = \"gray\"", "unknown value `gray`"),
        ("source = \"its schematic\"", "source = \"\"", "the source of the board's facts is empty"),
    ] {
        let problem = parse(&changed(WIRED_BOARD, from, to)).expect_err(message);
        assert!(problem.message.contains(message), "{from} -> {to}: {}", problem.message);
    }
    let twice = WIRED_BOARD
        .replace("[[board.do]]", "[[board.wire]]\nfrom = \"USB-UART GND\"\nto = \"J3 pin 1\"\n\n[[board.do]]");
    assert_eq!(parse(&twice).unwrap_err().message, "the same wire is listed twice");
}

/// Every contact with a nail has its wire, and no other one has.
#[test]
fn wires_of_a_board_on_a_bed() {
    let families = families();
    let families: Vec<&DutFamily> = families.iter().collect();
    let source = |text: &str| Source::new("fixtures/eval-board.toml", text);
    let text = plan_support::text_of("fixtures/eval-board.toml");
    let with = |text: &str| b_series().with_jumpers(&source(text), &families);
    let fixture = with(&text).unwrap_or_else(|problem| panic!("{}", render(&problem)));
    let board = fixture.board.unwrap();
    assert_eq!(board.wires.iter().filter(|wire| wire.from.of == "nail").count(), fixture.nails.len());
    let wire = "  { from = \"nail 23\", to = \"J3 pin 15\", contact = 23, pin = \"A0\" },\n";
    for (from, to, message) in [
        (wire, "", "no wire leads to contact 23 (A0)"),
        (wire, &wire.replace("23", "47").replace("A0", "A7"), "a wire leads to contact 47 (A7), which has no nail"),
        (wire, &wire.replace("nail 23", "nail 33"), "the wire of nail 33 leads to another contact"),
    ] {
        let problem = with(&changed(&text, from, to)).expect_err(message);
        assert!(problem.message.contains(message), "{}", problem.message);
    }
}

/// A supply never meets an output of the module, and a load never an input of power.
#[test]
fn rails_that_the_module_makes() {
    let families = families();
    let families: Vec<&DutFamily> = families.iter().collect();
    let text = plan_support::text_of("fixtures/boron.toml");
    let boron = |text: &str| Fixture::parse(&Source::new("fixtures/boron.toml", text), &families);
    let fixture = boron(&text).unwrap_or_else(|problem| panic!("{}", render(&problem)));
    assert_eq!(fixture.nails.len(), 27, "28 places, one of them without a contact");
    assert_eq!(fixture.rail("3V3").and_then(|rail| rail.load_ohms), Some(100.0));
    let problem = boron(&changed(&text, "load = \"100 ohm\"\n", "")).unwrap_err();
    assert_eq!(problem.message, "contact 2 (3V3) is an output");
    let problem = boron(&changed(&text, "voltage = \"3.8 V\"", "voltage = \"3.8 V\"\nload = \"1 kohm\"")).unwrap_err();
    assert_eq!(problem.message, "contact 27 (LI+) takes power");
}
