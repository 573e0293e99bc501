use super::*;
use crate::testing::{dut, fixture};

#[test]
fn what_a_module_cannot_have_is_refused_with_the_reason() {
    let (b4xx, fixture) = (dut("b4xx"), fixture());
    for (text, part) in [
        ("open:25", "contact 25, which family b4xx does not have"),
        ("short:23-99", "contact 99"),
        ("short:23-5v", "no rail"),
        ("short:23-5v", "this fixture has 3V3, VCC, VUSB, VBUS_MODEM"),
        ("short:23-23", "to itself"),
        ("stuck-high:2", "contact 2 (VCC) does not"),
        ("lost-pull:73", "contact 73 (SIM_DATA) does not"),
        ("overload:gnd", "rail `gnd`"),
        ("wrong-model:b524", "it has b402, b404, b404x"),
        ("cold:25", "contact 25"),
        ("esd:14", "silicon that a discharge can damage; contact 14"),
        ("esd:2", "silicon that a discharge can damage"),
        ("leak:23-5v", "no rail"),
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
fn neighbours_lie_on_one_face_and_not_across_the_notch() {
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
            assert!(texts.iter().any(|known| known == text), "{name}: {text} is missing");
        }
        // Joined inside the module: no fault.
        assert!(!texts.iter().any(|text| text == "short:1-3" || text == "short:2-4"), "{name}");
        // Leads nowhere, so nothing can be cold there, or exchanged.
        assert!(!texts.iter().any(|text| text == "cold:14" || text == "esd:14" || text == "swap:18-20"), "{name}");
    }
}
