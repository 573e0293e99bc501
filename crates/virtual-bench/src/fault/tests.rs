use super::*;
use crate::testing::{dut, fixture};
use proptest::prelude::*;
use std::collections::BTreeSet;
use virtual_nrf52840::ChipIdentity;

#[test]
fn what_a_module_cannot_have_is_refused_with_the_reason() {
    let (b4xx, fixture) = (dut("b4xx"), fixture());
    for (text, part) in [
        ("open:25", "contact 25, which family b4xx does not have"),
        ("short:23-99", "contact 99"),
        ("short:23-5v", "names rail `5v`"),
        ("short:23-5v", "known rails: 3V3, VCC, VUSB, VBUS_MODEM"),
        ("short:23-23", "to itself"),
        ("stuck-high:2", "contact 2 (VCC) does not"),
        ("lost-pull:73", "contact 73 (SIM_DATA) does not"),
        ("overload:gnd", "rail `gnd`"),
        ("wrong-model:b524", "known models: b402, b404, b404x"),
        ("modem-habit:chaty", "did you mean `chatty`?"),
        ("cold:25", "contact 25"),
        ("esd:14", "silicon that a discharge can damage; contact 14"),
        ("esd:2", "silicon that a discharge can damage"),
        ("leak:23-5v", "names rail `5v`"),
        ("swap:23-23", "to itself"),
        ("pwm-wrong:23-23", "to itself"),
        ("pwm-wrong:20-23", "PWM; contact 20 (D1) has none"),
        ("pwm-wrong:23-66", "PWM of the same unit; contact 66 (D4) has none"),
        ("adc-dead:20", "an analog input; contact 20 (D1) has none"),
    ] {
        let fault: Fault = text.parse().expect(text);
        let message = fault.check(&b4xx, &fixture).expect_err(text).to_string().replace("names rail `5v`;", "no rail;");
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn neighbours_are_on_one_face_and_not_across_the_notch() {
    let pairs = neighbours(&dut("b4xx"));
    let has = |a, b| pairs.contains(&(Contact(a), Contact(b)));
    assert!(has(1, 3) && has(36, 38) && has(20, 22) && has(21, 23) && has(73, 75) && has(32, 34));
    assert!(!has(22, 24) && !has(23, 25) && !has(23, 33) && !has(22, 32) && !has(36, 37));
    // 67 contacts, each but the last of its run has a neighbour: four runs.
    assert_eq!(pairs.len(), 67 - 4);
}

#[test]
fn everything_in_the_list_can_be_ordered() {
    let fixture = fixture();
    for (name, other) in [("b4xx", "b402"), ("b5xx", "b523")] {
        let family = dut(name);
        let faults = all_faults(&family, &fixture, &[other.to_owned()], None);
        for fault in &faults {
            fault.check(&family, &fixture).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(fault.to_string().parse().as_ref(), Ok(fault));
        }
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let mut unique = texts.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), texts.len(), "nothing twice");
        for text in [
            "open:1",
            "open:75",
            "short:36-38",
            "short:36-38@100",
            "short:23-gnd",
            "short:23-3v3",
            "stuck-high:23",
            "stuck-low:72",
            "lost-pull:38",
            "short:vcc-gnd",
            "overload:3v3",
            "dead-link",
            "dead-mcu",
            "empty-nest",
            "cold:1",
            "cold:11",
            "esd:69",
            "leak:17-3v3",
            "swap:20-22",
            "adc-dead:23",
            "crystal:-100",
            "pwm-dead:0",
            "interrupt-dead:7",
        ] {
            assert!(texts.iter().any(|listed| listed == text), "{name}: {text} is missing");
        }
        // Joined inside the module: no fault.
        assert!(!texts.iter().any(|text| text == "short:1-3" || text == "short:2-4"), "{name}");
        // Leads nowhere, so nothing can be cold there, or exchanged.
        assert!(!texts.iter().any(|text| text == "cold:14" || text == "esd:14" || text == "swap:18-20"), "{name}");
    }
}

/// As it is written, and as it reads back.
#[test]
fn orders_have_one_spelling() {
    for (text, expected) in [
        ("open:23", "open:23"),
        ("short:36-38", "short:36-38"),
        ("short:36-38@100", "short:36-38@100"),
        ("short:23-gnd", "short:23-gnd"),
        ("short:23-3V3@4.7", "short:23-3v3@4.7"),
        ("short:vbus_modem-GND", "short:vbus_modem-gnd"),
        ("stuck-high:23", "stuck-high:23"),
        ("stuck-low:23", "stuck-low:23"),
        ("lost-pull:23", "lost-pull:23"),
        ("overload:3v3", "overload:3v3"),
        ("overload:3V3@0.9", "overload:3v3@0.9"),
        ("dead-link", "dead-link"),
        ("slow-link", "slow-link"),
        ("dead-mcu", "dead-mcu"),
        (" empty-nest ", "empty-nest"),
        ("wrong-model:b524", "wrong-model:b524"),
        ("weak-pull:23", "weak-pull:23"),
        ("weak-driver:23", "weak-driver:23"),
        ("cold:23", "cold:23"),
        ("cold:23@50", "cold:23@50"),
        ("esd:11", "esd:11"),
        ("leak:17-gnd", "leak:17-gnd"),
        ("leak:17-3V3@5000", "leak:17-3v3@5000"),
        ("swap:20-22", "swap:20-22"),
        ("sleep-current", "sleep-current"),
        ("sleep-current:0.2", "sleep-current:0.2"),
        ("vusb-detect-lost", "vusb-detect-lost"),
        ("adc-dead:23", "adc-dead:23"),
        ("retained-lost", "retained-lost"),
        ("flash-absent", "flash-absent"),
        ("flash-bad-block", "flash-bad-block"),
        ("flash-line-open:3", "flash-line-open:3"),
        ("crystal", "crystal"),
        ("crystal:-80", "crystal:-80"),
        ("crystal-dead", "crystal-dead"),
        ("pwm-dead:2", "pwm-dead:2"),
        ("pwm-wrong:23-33", "pwm-wrong:23-33"),
        ("interrupt-dead:7", "interrupt-dead:7"),
        ("usb-dead", "usb-dead"),
        ("ble-antenna", "ble-antenna"),
        ("ble-weak", "ble-weak"),
        ("ble-weak:12", "ble-weak:12"),
        ("ble-dead", "ble-dead"),
        ("ble-crystal", "ble-crystal"),
        ("ble-crystal:-60", "ble-crystal:-60"),
        ("nfc-dead", "nfc-dead"),
        ("nfc-antenna", "nfc-antenna"),
        ("nfc-detuned", "nfc-detuned"),
        ("nfc-as-ports", "nfc-as-ports"),
        ("cold:23@200", "cold:23"),
        ("crystal:100", "crystal"),
        ("probe-lost:30000", "probe-lost"),
        ("probe-lost:12", "probe-lost:12"),
        ("slow-link", "slow-link"),
        ("wrong-modem:SARA-R410M", "wrong-modem:SARA-R410M"),
        ("modem-dead", "modem-dead"),
    ] {
        let fault: Fault = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(fault.to_string(), expected, "{text}");
        assert_eq!(expected.parse(), Ok(fault), "{text}");
    }
}

#[test]
fn mistakes_are_explained() {
    for (text, part) in [
        ("", "`bench faults` lists them"),
        ("hydraulics", "no kind of fault has a name like `hydraulics`; `bench faults` lists them"),
        ("leak:36-38@4,7", "did you mean `4.7`?"),
        ("leak:36-38@4k7", "did you mean `4700`?"),
        ("leak:36-38@1.000,5", "did you mean `1000.5`?"),
        ("sleep-current:0,5", "did you mean `0.5`?"),
        ("opne:23", "did you mean `open`?"),
        ("slow-lnk", "did you mean `slow-link`?"),
        ("modem-ded", "did you mean `modem-dead`?"),
        ("open", "for example `open:23`"),
        ("open:A0", "expected the number of a contact, found `A0`"),
        ("open:+3", "expected the number of a contact"),
        ("open:300", "expected the number of a contact"),
        ("short:36", "`short` has two ends"),
        ("short:36-38@-1", "expected a number of ohms after `@`, found `-1`"),
        ("short:36-38@NaN", "expected a number of ohms"),
        ("short:36-", "the number of a contact"),
        ("short:36-a b", "is not the name of a rail"),
        ("overload:3v3@0", "0 amperes"),
        ("dead-link:1", "takes nothing after it"),
        ("wrong-model:", "the model is missing"),
        ("cold:23@", "a number of ohms after `@`, found ``"),
        ("leak:23", "`leak` has two ends"),
        ("swap:20", "has two ends, for example"),
        ("sleep-current:0", "milliamperes above 0"),
        ("sleep-current:-1", "milliamperes above 0"),
        ("flash-line-open:1", "from 2 to 3, found `1`"),
        ("flash-line-open:+2", "from 2 to 3"),
        ("crystal:x", "parts per million"),
        ("pwm-wrong:23", "has two ends, for example"),
        ("interrupt-dead:8", "from 0 to 7, found `8`"),
        ("ble-antenna:1", "takes nothing after it"),
        ("ble-weak:0", "decibels above 0"),
        ("ble-crystal:0", "parts per million other than 0"),
        ("probe-lost:1.5", "whole number"),
        ("wrong-modem", "which modem is fitted, for example `wrong-modem:SARA-R410M`"),
        ("probe-lost:0", "whole number of transfers above 0"),
        ("locked:1", "nothing after it"),
    ] {
        let message = text.parse::<Fault>().expect_err(text).to_string();
        assert!(message.contains(part), "{text}: {message}");
    }
}

/// Any order that a kind's syntax allows.
fn any_fault() -> impl Strategy<Value = Fault> {
    let any = (0..KINDS.len(), any::<u8>(), any::<u8>(), 1u32..1_000, "[a-z][a-z0-9_]{0,8}", any::<[bool; 3]>());
    any.prop_filter_map("ground is no rail", |(kind, a, b, number, word, [amount, minus, rail])| {
        let kind = &KINDS[kind];
        let name = kind.name;
        let end = if rail { word.clone() } else { b.to_string() };
        let at = if amount { format!("@{}", f64::from(number) / 8.0) } else { String::new() };
        let text = match &kind.syntax {
            Syntax::Alone => name.to_owned(),
            Syntax::Contact(None) => format!("{name}:{a}"),
            Syntax::Contact(Some(_)) => format!("{name}:{a}{at}"),
            Syntax::Pair { .. } => format!("{name}:{a}-{b}"),
            Syntax::Ends(_) if minus => format!("{name}:{end}-gnd{at}"),
            Syntax::Ends(_) | Syntax::ContactAndEnd(_) => format!("{name}:{a}-{end}{at}"),
            Syntax::Rail(_) => format!("{name}:{word}{at}"),
            Syntax::Number { usual: Some(_), .. } if amount => name.to_owned(),
            Syntax::Number { most, positive, whole, .. } => {
                let value = f64::from(number) / 1_000.0 * most.min(1e6);
                let value = if *whole { value.ceil() } else { value };
                format!("{name}:{}", if minus && !positive { -value } else { value })
            }
            Syntax::Index { range, .. } => format!("{name}:{}", range.start() + a % (range.end() - range.start() + 1)),
            Syntax::OneOf(words) => format!("{name}:{}", words[usize::from(a) % words.len()]),
            Syntax::Word { .. } => format!("{name}:{word}"),
        };
        if word == "gnd" { None } else { Some(text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))) }
    })
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

/// Of every kind one fault that the module can have.
fn samples() -> Vec<Fault> {
    let (dut, fixture) = (dut("b4xx"), fixture());
    let all = all_faults(&dut, &fixture, &["b402".to_owned()], dut.model("b404x"));
    // What is no fault is in no list.
    let unlisted = |kind: &FaultKind| match kind.syntax {
        Syntax::Word { example, .. } => format!("{}:{example}", kind.name).parse().ok(),
        _ => kind.name.parse().ok(),
    };
    let listed = |kind: &FaultKind| all.iter().find(|fault| fault.kind() == kind.name).cloned();
    let sample = |kind: &FaultKind| listed(kind).or_else(|| unlisted(kind));
    KINDS.iter().map(|kind| sample(kind).unwrap_or_else(|| panic!("{} is in no list", kind.name))).collect()
}

#[test]
fn the_table_is_complete_and_has_no_duplicates() {
    let names: BTreeSet<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let docs: BTreeSet<&str> = KINDS.iter().map(|kind| kind.doc).collect();
    assert_eq!((names.len(), docs.len()), (KINDS.len(), KINDS.len()));
    for kind in KINDS {
        assert!(kind.doc.ends_with('.') && kind.doc.len() < 130, "{}: one sentence", kind.name);
        assert!(kind.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", kind.name);
        assert!(kind.usage().starts_with(kind.name), "{}", kind.name);
    }
}

/// An entry whose effect reads what its syntax does not give would change nothing, or contact 0.
#[test]
fn every_kind_changes_something() {
    let dut = dut("b4xx");
    for fault in samples() {
        let chip = ChipIdentity::from_seed(1);
        let mut damaged = chip.clone();
        damage(&mut damaged, &dut, std::slice::from_ref(&fault));
        let defects = format!("{:?}", Defects::of(std::slice::from_ref(&fault)));
        let changed = defects != format!("{:?}", Defects::default()) || format!("{damaged:?}") != format!("{chip:?}");
        assert!(changed, "{fault} changes nothing");
        assert!(!defects.contains("Contact(0)"), "{fault}: {defects}");
    }
}

#[test]
fn every_sample_fits_its_pattern_and_is_in_the_documents() {
    let (usages, table, schema) = (fault_usages() + &fault_help(), fault_table(), fault_schema().to_string());
    for fault in samples() {
        let kind = KINDS.iter().find(|kind| kind.name == fault.kind()).unwrap();
        for document in [&usages, &table] {
            assert!(document.contains(kind.doc), "{}", kind.name);
        }
        assert!(schema.contains(&format!("^{}", kind.name)), "{}", kind.name);
        assert!(kind.classes().contains(&fault.class()), "{fault}: {}", fault.class());
        let pattern = regex_lite::Regex::new(&kind.pattern()).unwrap();
        assert!(pattern.is_match(&fault.to_string()), "{fault} does not fit {}", kind.pattern());
    }
}
