//! `bench pins`: the comparison made from the family files contains everything that the spec's "Full module pin
//! comparison" states, and contradicts nothing in it.
//!
//! `data/` holds the section as printed; the reader below is independent of the code under test.

mod dut_common;

use bench_plan::{Change, ComparedFact, ComparedPin, Origin, PinComparison, compare_pins, pin_table};
use dut_common::family;
use std::collections::BTreeSet;

const SECTION: &str = include_str!("data/full-module-pin-comparison.md");

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Boron,
    Som,
}

/// One cell of the section: the how-many-th pin, its heading, side, fact and value.
type Fact = (usize, String, Side, String, String);

/// The section's cells in order.
fn facts_of_section() -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut pin = (0, String::new());
    let mut sides: Vec<Side> = Vec::new();
    for line in SECTION.lines() {
        if let Some(name) = line.strip_prefix("#### ") {
            pin = (pin.0 + 1, name.trim().to_owned());
            sides.clear();
            continue;
        }
        let Some(row) = line.trim().strip_prefix('|').and_then(|row| row.strip_suffix('|')) else { continue };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        match (cells[0], &cells[1..]) {
            ("", ["Boron", "B Series SoM"]) => sides = vec![Side::Boron, Side::Som],
            ("", ["Added to B Series SoM"]) => sides = vec![Side::Som],
            ("", ["Removed from Boron"]) => sides = vec![Side::Boron],
            (":---", _) => {}
            (fact, values) => {
                assert_eq!(values.len(), sides.len(), "{line}");
                for (side, value) in sides.iter().zip(values) {
                    facts.push((pin.0, pin.1.clone(), *side, fact.to_owned(), (*value).to_owned()));
                }
            }
        }
    }
    facts
}

/// The same cells, from a comparison of Boron (from) and SoM (to).
fn facts_of_comparison(comparison: &PinComparison) -> Vec<Fact> {
    let mut facts = Vec::new();
    for (index, pin) in comparison.pins.iter().enumerate() {
        for fact in pin.facts.iter().filter(|fact| fact.origin == Origin::Spec) {
            // The section prints n/a where it makes no statement for a side that has the pin.
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "n/a".to_owned());
            for (side, present, value) in [
                (Side::Boron, pin.change != Change::Added, value(&fact.from)),
                (Side::Som, pin.change != Change::Removed, value(&fact.to)),
            ] {
                if present {
                    facts.push((index + 1, pin.pin.clone(), side, fact.fact.to_owned(), value));
                }
            }
        }
    }
    facts
}

fn boron_to(som: &str) -> PinComparison {
    compare_pins((&family("boron"), "boron"), (&family(som), som))
}

fn pin<'c>(comparison: &'c PinComparison, name: &str) -> &'c ComparedPin {
    comparison.pins.iter().find(|pin| pin.pin == name).unwrap_or_else(|| panic!("{name} is compared"))
}

fn fact<'p>(pin: &'p ComparedPin, title: &str) -> &'p ComparedFact {
    pin.facts.iter().find(|fact| fact.fact == title).unwrap_or_else(|| panic!("{}: {title}", pin.pin))
}

#[test]
fn the_comparison_states_every_fact_of_the_spec_and_no_other() {
    let section = facts_of_section();
    // Counted separately from this reader, with awk over the section.
    assert_eq!(section.len(), 485);
    let headings: BTreeSet<usize> = section.iter().map(|fact| fact.0).collect();
    assert_eq!(headings.len(), 49);
    for som in ["b4xx", "b5xx"] {
        let comparison = boron_to(som);
        let own = facts_of_comparison(&comparison);
        for (stated, shown) in section.iter().zip(&own) {
            assert_eq!(stated, shown, "{som}");
        }
        assert_eq!(section.len(), own.len(), "{som}");
        let count = |change| comparison.pins.iter().filter(|pin| pin.change == change).count();
        assert_eq!((count(Change::Kept), count(Change::Added), count(Change::Removed)), (25, 22, 2), "{som}");
    }
}

/// Pin, fact, a word that the doubt must contain, by family of the SoM ("" = both).
const DOUBTS: [(&str, &str, &str, &str); 42] = [
    // Boron pin number of D8, and those counted on from it.
    ("", "D7", "Pin Number", "boron: The spec gives 23 to D7 and to D8"),
    ("", "D8", "Pin Number", "D8 is header pin 24"),
    ("", "VUSB", "Pin Number", "VUSB is 25"),
    ("", "EN", "Pin Number", "EN is 26"),
    ("", "LI+", "Pin Number", "LI+ is 27"),
    // Tone rows of the Boron.
    ("", "D4", "Supports tone", "boron: In Device OS D8 shares PWM 1"),
    ("", "D5", "Supports tone", "boron: In Device OS D8 shares PWM 1"),
    ("", "D6", "Supports tone", "boron: In Device OS D8 shares PWM 1"),
    ("", "D8", "Supports tone", "boron: In Device OS D8 shares PWM 1"),
    // D7 and its group on the SoM.
    ("", "D7", "Supports analogWrite (PWM)", "PWM 1 channel 3"),
    ("", "D4", "Supports tone", "D4 to D7 share a frequency"),
    ("", "D5", "Supports tone", "D4 to D7 share a frequency"),
    ("", "D6", "Supports tone", "D4 to D7 share a frequency"),
    // Descriptions against the spec's own rows.
    ("", "D2", "Description", "Device OS has none"),
    ("", "A7", "Description", "omits PWM"),
    // MODE and RST.
    ("", "MODE", "Pin Alternate Name", "D20 is A7"),
    ("", "MODE", "Description", "deny a pull-up"),
    ("", "RST", "Description", "weak internal pull-up"),
    // One number for pins with many contacts.
    ("", "GND", "Pin Number", "1, 3, 5, 7, 9, 15, 21 and 56"),
    ("", "VCC", "Pin Number", "2, 4, 6 and 8"),
    ("", "3V3", "Pin Number", "10 and 12"),
    ("", "AGND", "Pin Number", "39 and 49"),
    ("", "NC", "Pin Number", "18, 51, 53, 55 and 57 to 60"),
    // Texts that name one modem for every model.
    ("b4xx", "SIM_VCC", "Description", "SARA-R510S"),
    ("b4xx", "SIM_RST", "Description", "SARA-R510S"),
    ("b4xx", "SIM_CLK", "Description", "SARA-R510S"),
    ("b4xx", "SIM_DATA", "Description", "SARA-R510S"),
    ("b4xx", "Cellular Modem VBUS", "Description", "SARA-R510S"),
    ("b5xx", "SIM_VCC", "Description", "EG91"),
    ("b5xx", "SIM_RST", "Description", "EG91"),
    ("b5xx", "SIM_CLK", "Description", "EG91"),
    ("b5xx", "SIM_DATA", "Description", "EG91"),
    ("b5xx", "Cellular Modem VBUS", "Description", "EG91"),
    ("", "Cellular Modem USBD+", "Input is 5V Tolerant", "3.6 V absolute"),
    ("", "Cellular Modem USBD-", "Input is 5V Tolerant", "3.6 V absolute"),
    // Highest voltage of VCC.
    ("b4xx", "VCC", "Description", "4.2 V, not 4.3 V"),
    ("b5xx", "VCC", "Description", "pinInfo.json allows 4.2 V only"),
    // Slips of wording.
    ("", "TX", "Pin Alternate Name", "D09"),
    ("", "RX", "", "TX/D10"),
    // Other sources against each other.
    ("", "D0", "", "P1.13"),
    ("", "D1", "", "P1.15"),
    ("b5xx", "D3", "", "pinInfo.json says P1.01"),
];

#[test]
fn every_known_disagreement_about_a_pin_is_shown_at_that_pin() {
    for som in ["b4xx", "b5xx"] {
        let comparison = boron_to(som);
        for (family, name, title, words) in DOUBTS {
            if !family.is_empty() && family != som {
                continue;
            }
            let pin = pin(&comparison, name);
            let doubts = if title.is_empty() { &pin.doubts } else { &fact(pin, title).doubts };
            assert!(doubts.iter().any(|doubt| doubt.contains(words)), "{som} {name} {title}: {words}\n{doubts:#?}");
        }
    }
    // Contact 75 is the second NC of the spec and the ring indicator of the B5xx.
    let b5xx = boron_to("b5xx");
    let second = b5xx.pins.iter().filter(|pin| pin.pin == "NC").nth(1).expect("NC comes twice");
    assert!(fact(second, "Pin Name").doubts.iter().any(|doubt| doubt.contains("ring indicator")));
    let a7 = pin(&b5xx, "A7");
    assert!(a7.doubts.iter().any(|doubt| doubt.contains("role texts")), "{:?}", a7.doubts);
}

#[test]
fn ports_are_next_to_the_statements_of_the_spec() {
    let comparison = boron_to("b5xx");
    for (name, from, to, differs) in
        [("A0", "P0.03", "P0.03", false), ("D2", "P1.01", "P1.02", true), ("D8", "P1.03", "P0.07", true)]
    {
        let port = fact(pin(&comparison, name), "nRF52840 port");
        assert_eq!(port.origin, Origin::FamilyFile);
        assert_eq!((port.from.as_deref(), port.to.as_deref()), (Some(from), Some(to)), "{name}");
        assert_eq!(port.differs, differs, "{name}");
    }
    assert!(pin(&comparison, "GND").facts.iter().all(|fact| fact.fact != "nRF52840 port"));
}

/// Between the two SoM families no pin is added or removed, and only ports (and the statements on 75) differ.
#[test]
fn som_families_differ_in_ports_only() {
    let comparison = compare_pins((&family("b4xx"), "b404x"), (&family("b5xx"), "b524"));
    assert!(comparison.pins.iter().all(|pin| pin.change == Change::Kept));
    let differing: Vec<(&str, &str)> = comparison
        .pins
        .iter()
        .flat_map(|pin| pin.facts.iter().filter(|fact| fact.differs).map(|fact| (pin.pin.as_str(), fact.fact)))
        .collect();
    let expected =
        ["D22", "D23", "D3", "D4", "D5", "D6", "D7", "D8", "MISO", "MODE", "MOSI", "RGBB", "RGBG", "RGBR", "SCK"];
    assert_eq!(differing, expected.map(|pin| (pin, "nRF52840 port")));
}

#[test]
fn the_pin_table_has_a_row_per_contact_and_numbers_its_doubts() {
    let table = pin_table(&family("b5xx"), "b524");
    assert_eq!(table.rows.len(), 67);
    let text = table.render(140);
    let (rows, notes) = text.split_once("\nDoubts").expect("there are doubts");
    let some = rows
        .lines()
        .filter(|line| ["contact", "23", "40", "74", "75"].iter().any(|start| line.trim_start().starts_with(start)));
    insta::assert_snapshot!(some.collect::<Vec<_>>().join("\n"), @r#"
    contact   pin                    also                    port    functions                         max V   5 V tolerant   doubt
    23        A0                     D19                     P0.03   gpio adc pwm interrupt            3.3
    40        D3                                             P1.10   gpio spi1 uart i2c1 interrupt     3.3                    14
    74        Cellular Modem VBUS    SOM2, USB_DET                   modem-usb power                   5.5     yes            22
    75        RI                     SOM9                            modem-ri                                                 24, 25
    "#);
    // The mark of the last row leads to its note.
    let mark =
        rows.lines().find(|line| line.trim_start().starts_with("75 ")).and_then(|line| line.split(' ').next_back());
    let mark: usize = mark.and_then(|mark| mark.trim_end_matches(',').parse().ok()).expect("a number");
    let note = notes.lines().find(|line| line.trim_start().starts_with(&format!("{mark} "))).expect("a note");
    assert!(note.contains("NC"), "{note}");
    // The four VCC contacts have the same doubt: one note.
    assert_eq!(notes.matches("4.2 V is safe for every source").count(), 1);
    assert!(rows.contains("24 to 31: no contact"), "{rows}");
}

#[test]
fn the_comparison_prints_both_sides_and_the_doubts() {
    let text = boron_to("b4xx").render(120);
    let from_d8 = text.lines().skip_while(|line| !line.trim_start().starts_with("D8 ")).take(9).collect::<Vec<_>>();
    insta::assert_snapshot!(from_d8.join("\n"), @r#"
    D8                     Pin Number                   23                          48                          ≠   14
                           Pin Name                     D8                          D8
                           Description                  GPIO, PWM                   GPIO, SPI SS, Ethernet CS   ≠
                           Supports digitalRead         Yes                         Yes
                           Supports digitalWrite        Yes                         Yes
                           Supports analogWrite (PWM)   Yes                         No                          ≠
                           Supports tone                D4, D5, D6, and D7 must     No                          ≠   10
                                                        have the same frequency.
                           SPI interface                n/a                         SS. Use SPI object. This    ≠
    "#);
    for expected in ["D22 (added)", "EN (removed)", "boron: The spec prints 23, the number of D7; D8 is header pin 24."]
    {
        assert!(text.contains(expected), "{expected}");
    }
}

/// What `--json` prints.
#[test]
fn table_and_comparison_become_json() {
    let table = serde_json::to_value(pin_table(&family("b4xx"), "b404x")).expect("plain data");
    let a0 = table["rows"].as_array().expect("rows").iter().find(|row| row["pin"] == "A0").expect("A0");
    assert_eq!(
        *a0,
        serde_json::json!({
            "contact": 23, "pin": "A0", "alternate_names": ["D19"], "port": "P0.03",
            "functions": ["gpio", "adc", "pwm", "interrupt"], "max_volts": 3.3,
            "five_volt_tolerant": false, "doubts": [],
        })
    );
    let comparison = serde_json::to_value(boron_to("b4xx")).expect("plain data");
    let d8 = comparison["pins"].as_array().expect("pins").iter().find(|pin| pin["pin"] == "D8").expect("D8");
    assert_eq!(d8["change"], "kept");
    assert_eq!(
        d8["facts"][0],
        serde_json::json!({
            "fact": "Pin Number", "origin": "spec", "from": "23", "to": "48", "differs": true,
            "doubts": ["boron: The spec prints 23, the number of D7; D8 is header pin 24."],
        })
    );
}
