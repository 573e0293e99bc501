//! The three family files of this repository parse and describe the chip and the modules correctly.

mod dut_common;

use bench_plan::{AdcReference, DutFamily, Function, SupplyDirection};
use bench_run::Contact;
use dut_common::{FAMILIES, family, family_text};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn every_contact_is_there() {
    for (name, contacts, gpio) in [("b4xx", 67, 24), ("b5xx", 67, 24), ("boron", 27, 20)] {
        let family = family(name);
        assert_eq!(family.name, name);
        assert_eq!(family.contacts.len(), contacts, "{name}");
        assert_eq!(family.with_function(Function::Gpio).count(), gpio, "{name}");
        assert!(family.contacts.windows(2).all(|pair| pair[0].contact < pair[1].contact), "{name}");
    }
    for name in ["b4xx", "b5xx"] {
        let numbers: Vec<u8> = family(name).contacts.iter().map(|info| info.contact.0).collect();
        let expected: Vec<u8> = (1..=23).chain(32..=75).collect();
        assert_eq!(numbers, expected, "{name}: 1 to 75 without the notch");
    }
}

/// Contact, pin, port on b4xx, port on b5xx: every GPIO of the SoM.
const SOM_GPIO: [(u8, &str, &str, &str); 24] = [
    (20, "D1", "P0.27", "P0.27"),
    (22, "D0", "P0.26", "P0.26"),
    (23, "A0", "P0.03", "P0.03"),
    (33, "A1", "P0.04", "P0.04"),
    (35, "A2", "P0.28", "P0.28"),
    (36, "TX", "P0.06", "P0.06"),
    (37, "A3", "P0.29", "P0.29"),
    (38, "RX", "P0.08", "P0.08"),
    (40, "D3", "P1.01", "P1.10"),
    (41, "A4", "P0.30", "P0.30"),
    (42, "D2", "P1.02", "P1.02"),
    (43, "A5", "P0.31", "P0.31"),
    (45, "A6", "P0.05", "P0.05"),
    (47, "A7", "P0.02", "P0.02"),
    (48, "D8", "P1.03", "P0.07"),
    (50, "MISO", "P1.14", "P1.08"),
    (52, "MOSI", "P1.13", "P1.09"),
    (54, "SCK", "P1.15", "P0.11"),
    (62, "D22", "P0.24", "P1.01"),
    (64, "D23", "P1.09", "P1.03"),
    (66, "D4", "P1.08", "P0.12"),
    (68, "D5", "P1.10", "P0.24"),
    (70, "D6", "P1.11", "P1.04"),
    (72, "D7", "P1.12", "P0.13"),
];

/// Other contacts of the SoM with a port, and the Boron's headers.
const SOM_OTHER_PORTS: [(u8, &str, &str, &str); 7] = [
    (17, "NFC1", "P0.09", "P0.09"),
    (19, "NFC2", "P0.10", "P0.10"),
    (32, "MODE", "P0.11", "P0.25"),
    (34, "RST", "P0.18", "P0.18"),
    (61, "RGBR", "P0.13", "P0.16"),
    (63, "RGBG", "P0.14", "P0.15"),
    (65, "RGBB", "P0.15", "P0.14"),
];

const BORON_PORTS: [(u8, &str, &str); 22] = [
    (1, "RST", "P0.18"),
    (3, "MODE", "P0.11"),
    (5, "A0", "P0.03"),
    (6, "A1", "P0.04"),
    (7, "A2", "P0.28"),
    (8, "A3", "P0.29"),
    (9, "A4", "P0.30"),
    (10, "A5", "P0.31"),
    (11, "SCK", "P1.15"),
    (12, "MOSI", "P1.13"),
    (13, "MISO", "P1.14"),
    (14, "RX", "P0.08"),
    (15, "TX", "P0.06"),
    (16, "D0", "P0.26"),
    (17, "D1", "P0.27"),
    (18, "D2", "P1.01"),
    (19, "D3", "P1.02"),
    (20, "D4", "P1.08"),
    (21, "D5", "P1.10"),
    (22, "D6", "P1.11"),
    (23, "D7", "P1.12"),
    (24, "D8", "P1.03"),
];

type PortRow = (u8, String, String);

fn port_row((contact, pin, port): (u8, &str, &str)) -> PortRow {
    (contact, pin.to_owned(), port.to_owned())
}

#[test]
fn ports_are_those_of_the_pin_tables() {
    let som = || SOM_GPIO.into_iter().chain(SOM_OTHER_PORTS);
    let b4xx: BTreeSet<PortRow> = som().map(|row| port_row((row.0, row.1, row.2))).collect();
    let b5xx: BTreeSet<PortRow> = som().map(|row| port_row((row.0, row.1, row.3))).collect();
    let boron: BTreeSet<PortRow> = BORON_PORTS.into_iter().map(port_row).collect();
    for (name, expected) in [("b4xx", b4xx), ("b5xx", b5xx), ("boron", boron)] {
        let family = family(name);
        let given = family.contacts.iter().filter_map(|info| {
            let port = info.port?.to_string();
            Some(port_row((info.contact.0, &info.pin, &port)))
        });
        assert_eq!(given.collect::<BTreeSet<PortRow>>(), expected, "{name}");
    }
    for name in ["b4xx", "b5xx"] {
        let gpio: Vec<u8> = family(name).with_function(Function::Gpio).map(|info| info.contact.0).collect();
        assert_eq!(gpio, SOM_GPIO.map(|row| row.0), "{name}");
    }
}

#[test]
fn no_port_leads_to_two_places() {
    for (name, ports) in [("b4xx", 48), ("b5xx", 48), ("boron", 22 + 15 + 8)] {
        let family = family(name);
        let contacts = family.contacts.iter().filter_map(|info| info.port);
        let all: Vec<_> = contacts.chain(family.internal_ports.iter().map(|internal| internal.port)).collect();
        let different: BTreeSet<_> = all.iter().collect();
        assert_eq!(all.len(), different.len(), "{name}");
        assert_eq!(all.len(), ports, "{name}: ports accounted for");
    }
}

/// One firmware serves every model, so the link is on the same ports everywhere.
#[test]
fn the_link_is_on_the_same_ports_in_every_family() {
    for name in FAMILIES {
        let family = family(name);
        for (role, port) in [("TX", "P0.06"), ("RX", "P0.08")] {
            let info = family.by_role(Function::Uart, role).expect("a contact with the role");
            assert_eq!(info.pin, role, "{name}");
            assert_eq!(info.port.map(|port| port.to_string()).as_deref(), Some(port), "{name} {role}");
        }
    }
}

/// The lines of the external flash and of the modem's UART, which tests drive from inside.
#[test]
fn internal_ports_are_named() {
    let rows = [
        ("b4xx", "UBPWR", "P0.16"),
        ("b4xx", "UBRST", "P0.12"),
        ("b4xx", "BUFEN", "P0.25"),
        ("b4xx", "UBVINT", "P0.07"),
        ("b4xx", "TX1", "P1.05"),
        ("b4xx", "RX1", "P1.04"),
        ("b5xx", "BGPWR", "P1.06"),
        ("b5xx", "BGRST", "P1.07"),
        ("b5xx", "BGVINT", "P1.11"),
        ("b5xx", "BGDTR", "P1.05"),
        ("b5xx", "TX1", "P1.15"),
        ("b5xx", "RX1", "P1.14"),
        ("boron", "PMIC_SCL", "P1.09"),
        ("boron", "PMIC_SDA", "P0.24"),
        ("boron", "UBVINT", "P0.02"),
    ];
    let flash = [
        ("QSPI_CS", "P0.17"),
        ("QSPI_SCK", "P0.19"),
        ("QSPI_IO0", "P0.20"),
        ("QSPI_IO1", "P0.21"),
        ("QSPI_IO2", "P0.22"),
        ("QSPI_IO3", "P0.23"),
    ];
    let flash = FAMILIES.iter().flat_map(|family| flash.map(|(name, port)| (*family, name, port)));
    for (family_name, name, port) in rows.into_iter().chain(flash) {
        let port_name = family(family_name).internal(name).map(|port| port.to_string());
        assert_eq!(port_name.as_deref(), Some(port), "{family_name} {name}");
    }
}

/// Family, model, platform, modem ids, external flash in bytes and by JEDEC ids, ADC reference.
type ModelRow = (&'static str, &'static str, u32, &'static [u8], u32, &'static [[u8; 3]], AdcReference);

#[test]
fn models_are_distinguished_by_modem_flash_and_adc() {
    let mib = 1024 * 1024;
    let mx25l: &'static [[u8; 3]] = &[[0xC2, 0x20, 0x16]];
    let b5: &'static [[u8; 3]] = &[[0xC2, 0x28, 0x17], [0xC8, 0x65, 0x17]];
    let rows: [ModelRow; 6] = [
        ("b4xx", "b402", 23, &[0x44], 4 * mib, mx25l, AdcReference::QuarterSupply),
        ("b4xx", "b404", 23, &[0x44], 4 * mib, mx25l, AdcReference::QuarterSupply),
        ("b4xx", "b404x", 23, &[0x47], 4 * mib, mx25l, AdcReference::Internal),
        ("b5xx", "b523", 25, &[0x62], 8 * mib, b5, AdcReference::QuarterSupply),
        ("b5xx", "b524", 25, &[0x62, 0x64], 8 * mib, b5, AdcReference::QuarterSupply),
        ("boron", "boron", 13, &[0x42, 0x44, 0x47], 4 * mib, mx25l, AdcReference::QuarterSupply),
    ];
    for (family_name, name, platform, ncp, flash, ids, adc) in rows {
        let family = family(family_name);
        let model = family.model(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(model.platform_id, platform, "{name}");
        assert_eq!(model.ncp_ids, ncp, "{name}");
        assert_eq!(model.external_flash_bytes, flash, "{name}");
        assert_eq!(model.external_flash_ids, ids, "{name}");
        assert_eq!(model.adc_reference, adc, "{name}");
        // The third JEDEC byte is the logarithm of the size.
        assert!(ids.iter().all(|id| 1_u32 << id[2] == flash), "{name}");
    }
    let prefixes: Vec<String> =
        FAMILIES.iter().flat_map(|name| family(name).models).flat_map(|model| model.serial_prefixes).collect();
    let different: BTreeSet<&String> = prefixes.iter().collect();
    assert_eq!(prefixes.len(), 8);
    assert_eq!(different.len(), prefixes.len(), "a serial number determines the model");
}

#[test]
fn rails_list_their_contacts() {
    let som: [(&str, &[u8]); 4] = [("VCC", &[2, 4, 6, 8]), ("3V3", &[10, 12]), ("VUSB", &[16]), ("modem VBUS", &[74])];
    for name in ["b4xx", "b5xx"] {
        let family = family(name);
        for (rail, contacts) in som {
            let supply = family.supply(rail).unwrap_or_else(|| panic!("{name} {rail}"));
            assert_eq!(supply.contacts, contacts.iter().copied().map(Contact).collect::<Vec<_>>(), "{name} {rail}");
            assert_eq!(supply.direction, SupplyDirection::Into);
        }
        // Every contact of a rail states the rail's limits.
        for (rail, key) in [("VCC", "VCC"), ("3V3", "3V3")] {
            let supply = family.supply(rail).expect("listed above");
            for info in family.contacts.iter().filter(|info| info.pin == key) {
                assert_eq!((info.min_volts, info.max_volts), (supply.volts.min, supply.volts.max), "{name} {rail}");
            }
        }
    }
    assert_eq!(family("b4xx").supply("VCC").and_then(|supply| supply.volts.max), Some(4.2));
    assert_eq!(family("b5xx").supply("VCC").and_then(|supply| supply.volts.max), Some(4.3));
    assert_eq!(family("boron").supply("3V3").map(|supply| supply.direction), Some(SupplyDirection::OutOf));
}

#[test]
fn pulls_and_idle_current_are_there_for_the_plans() {
    for (name, idle) in [("b4xx", 4.71), ("b5xx", 4.48), ("boron", 3.90)] {
        let family = family(name);
        for pull in [family.gpio.pull_up_ohms, family.gpio.pull_down_ohms] {
            assert_eq!((pull.min, pull.typ, pull.max), (Some(11e3), Some(13e3), Some(16e3)), "{name}");
        }
        let state = family.currents.iter().find(|current| current.state.starts_with("idle, cellular off"));
        assert_eq!(state.and_then(|current| current.ma.typ), Some(idle), "{name}");
    }
}

#[test]
fn the_device_secret_is_never_read() {
    for name in FAMILIES {
        let otp = family(name).otp;
        let secret: Vec<(u32, u32)> =
            otp.fields.iter().filter(|field| field.secret).map(|field| (field.first, field.last)).collect();
        assert_eq!(secret, [(0x10, 0x1F)], "{name}");
        for (bytes, allowed) in [
            (0x00..0x0F, true),
            (0x00..0x10, true),
            (0x00..0x11, false),
            (0x10..0x20, false),
            (0x18..0x19, false),
            (0x1F..0x24, false),
            (0x20..0x28, true),
            (0x20..otp.bytes, true),
            (0x20..otp.bytes + 1, false),
            (0x00..u32::MAX, false),
        ] {
            assert_eq!(otp.may_read(bytes.clone()), allowed, "{name} {bytes:#x?}");
        }
        assert_eq!(otp.field("modem id").map(|field| field.first), Some(0x20));
    }
}

/// Which contacts form a bus follows from their roles.
#[test]
fn buses_have_their_lines() {
    let som: BTreeMap<(Function, &str), u8> = [
        ((Function::Spi, "SCK"), 54),
        ((Function::Spi, "MOSI"), 52),
        ((Function::Spi, "MISO"), 50),
        ((Function::Spi, "SS"), 48),
        ((Function::Spi1, "SCK"), 42),
        ((Function::Spi1, "MOSI"), 40),
        ((Function::Spi1, "MISO"), 66),
        ((Function::I2c, "SDA"), 22),
        ((Function::I2c, "SCL"), 20),
        ((Function::I2c1, "SDA"), 42),
        ((Function::I2c1, "SCL"), 40),
        ((Function::Uart, "TX"), 36),
        ((Function::Uart, "RX"), 38),
        ((Function::Uart, "RTS"), 42),
        ((Function::Uart, "CTS"), 40),
        ((Function::Ethernet, "CS"), 48),
        ((Function::Ethernet, "RESET"), 47),
        ((Function::Ethernet, "INT"), 62),
        ((Function::Sim, "VCC"), 67),
        ((Function::Sim, "DATA"), 73),
    ]
    .into_iter()
    .collect();
    for name in ["b4xx", "b5xx"] {
        let family = family(name);
        for ((function, role), contact) in &som {
            let by_role = family.by_role(*function, role).map(|info| info.contact.0);
            assert_eq!(by_role, Some(*contact), "{name} {function} {role}");
        }
    }
}

/// Pin 75 is where the two SoM families differ on the edge.
#[test]
fn pins_are_found_by_name_and_by_alternate_name() {
    let b5xx = family("b5xx");
    assert_eq!(b5xx.pin("RI").map(|info| info.contact), Some(Contact(75)));
    assert_eq!(family("b4xx").contact(Contact(75)).map(|info| info.pin.clone()).as_deref(), Some("NC"));
    assert_eq!(b5xx.pin("D19").map(|info| info.pin.as_str()), Some("A0"));
    assert_eq!(b5xx.label(Contact(23)), "23 (A0)");
    assert_eq!(b5xx.label(Contact(25)), "25");
}

/// Every fact has a source that is written out.
#[test]
fn every_contact_and_model_cites_its_sources_in_full() {
    for name in FAMILIES {
        let family = family(name);
        let sources = family.contacts.iter().map(|info| &info.source);
        let sources = sources.chain(family.models.iter().map(|model| &model.source));
        for source in sources.chain(family.internal_ports.iter().map(|internal| &internal.source)) {
            assert!(
                source.contains("Particle") || source.contains("particle-iot") || source.contains("Nordic"),
                "{source}"
            );
        }
    }
}

/// The schema for editors lists every key of the files, and no other.
#[test]
fn the_schema_knows_the_keys_of_the_files() {
    let schema = serde_json::to_value(DutFamily::file_schema()).expect("a schema is JSON");
    let keys = |properties: &serde_json::Value| -> BTreeSet<String> {
        properties.as_object().expect("an object has properties").keys().cloned().collect()
    };
    let mut in_files = BTreeSet::new();
    let mut in_contacts = BTreeSet::new();
    for name in FAMILIES {
        let text = family_text(name);
        let table: toml::Table = text.parse().expect("the files parse");
        let contacts = table["contact"].as_array().expect("an array of tables");
        in_contacts.extend(contacts.iter().filter_map(|contact| contact.as_table()).flat_map(|t| t.keys().cloned()));
        in_files.extend(table.into_iter().map(|(key, _)| key));
    }
    assert_eq!(keys(&schema["properties"]), in_files);
    assert_eq!(keys(&schema["$defs"]["ContactFile"]["properties"]), in_contacts);
    assert_eq!(schema["$defs"]["ContactFile"]["additionalProperties"], false);
}
