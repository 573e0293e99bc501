//! Steps that look at single contacts, on plans of their own: every contact that leads somewhere, each with each defect
//! that the step is for.

use crate::support::{for_all, root, run_plan};
use bench_plan::{DutFamily, Source};
use std::path::PathBuf;

const HEAD: &str = "format = 1\nname = \"contacts\"\nmodel = \"b404x\"\nfixture = \"b-series\"\n\
                    firmware = \"dut-firmware\"\n";

pub const BEFORE_POWER: &str = r#"
[[step]]
id = "link-loopback"
kind = "link-loopback"

[[step]]
id = "rails-to-ground"
kind = "rail-resistance"
ohms = { min = "200 ohm" }

[[step]]
id = "grounds"
kind = "continuity"
needs = ["rails-to-ground"]
pins = "ground"
ohms = { max = "5 ohm" }

[[step]]
id = "supplies"
kind = "continuity"
needs = ["rails-to-ground"]
pins = ["VCC", "3V3"]
ohms = { max = "20 ohm" }
"#;

pub const DIODES: &str = r#"
[[step]]
id = "diodes-5v"
kind = "clamp-diodes"
needs = ["grounds", "supplies"]
pins = ["VUSB", "Cellular Modem VBUS"]
current = "1.5 mA"
from_ground = { min = "0.45 V", max = "0.85 V" }

[[step]]
id = "sim-supply"
kind = "clamp-diodes"
needs = ["grounds", "supplies"]
pins = ["SIM_VCC"]
to_supply = { max = "0.1 V" }

[[step]]
id = "diodes-mcu"
kind = "clamp-diodes"
needs = ["diodes-5v"]
pins = { functions = ["gpio", "rgb", "mode", "reset", "nfc"] }
current = "1.5 mA"
supply = "3V3"
to_supply = { min = "0.45 V", max = "0.85 V" }
from_ground = { min = "0.45 V", max = "0.85 V" }

[[step]]
id = "diodes-usb"
kind = "clamp-diodes"
needs = ["diodes-5v"]
pins = ["USBDATA+", "USBDATA-"]
current = "1.5 mA"
supply = "VUSB"
to_supply = { min = "0.45 V", max = "0.85 V" }
from_ground = { min = "0.45 V", max = "0.85 V" }

[[step]]
id = "diodes-modem"
kind = "clamp-diodes"
needs = ["diodes-5v"]
pins = ["Cellular Modem USBD+", "Cellular Modem USBD-"]
current = "1.5 mA"
supply = "VCC"
to_supply = { min = "0.45 V", max = "0.85 V" }
from_ground = { min = "0.45 V", max = "0.85 V" }

[[step]]
id = "diodes-sim"
kind = "clamp-diodes"
needs = ["sim-supply"]
pins = ["SIM_RST", "SIM_CLK", "SIM_DATA"]
current = "1.5 mA"
to_supply = { min = "0.45 V", max = "0.85 V" }
from_ground = { min = "0.45 V", max = "0.85 V" }
"#;

pub const ISOLATION: &str = r#"
[[step]]
id = "isolation"
kind = "isolation"
needs = ["grounds", "supplies"]
pins = { functions = ["gpio", "rgb", "mode", "reset", "nfc", "usb", "modem-usb", "sim", "nc"], exclude = ["VUSB", "Cellular Modem VBUS", "SIM_VCC", "SIM_DATA"] }
ohms = { min = "200 kohm" }
held = [
  { pins = ["SIM_VCC"], ohms = { min = "3 ohm", max = "30 ohm" } },
  { pins = ["SIM_DATA"], ohms = { min = "4.2 kohm", max = "5.2 kohm" } },
]
"#;

pub const POWERED: &str = r#"
[[step]]
id = "rail-3v3"
kind = "rail-on"
needs = ["supplies"]
rail = "3V3"
volts = { min = "3.2 V", max = "3.4 V" }
amps = { min = "1 mA", max = "30 mA" }
settle = "20 ms"

[[step]]
id = "reset"
kind = "reset"
needs = ["rail-3v3"]
supply = "3V3"
volts = { min = "3.1 V", max = "3.4 V" }
ohms = { min = "10.4 kohm", max = "16.8 kohm" }

[[step]]
id = "quiet"
kind = "quiet"
needs = ["reset"]
on_fail = "continue"
pins = { functions = ["nc", "sim", "modem-usb", "nfc"], exclude = ["Cellular Modem VBUS", "SIM_VCC", "SIM_DATA"] }
volts = { min = "-50 mV", max = "100 mV" }
ohms = { min = "20 kohm" }

[[step]]
id = "quiet-sim"
kind = "quiet"
needs = ["reset"]
on_fail = "continue"
pins = ["SIM_VCC", "SIM_DATA"]
volts = { min = "-50 mV", max = "100 mV" }

[[step]]
id = "drive"
kind = "drive"
needs = ["reset"]
on_fail = "continue"
pins = { functions = ["gpio", "rgb", "mode"], exclude = ["TX", "RX"] }
ohms = { max = "120 ohm" }
supply = "3V3"
"#;

/// A plan on disk for as long as this lives.
pub struct Plan {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
}

impl Plan {
    pub fn new(steps: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(root().join("target")).unwrap();
        let path = folder.path().join("contacts.toml");
        std::fs::write(&path, format!("{HEAD}{}", steps.concat())).unwrap();
        Self { _folder: folder, path }
    }

    /// A fault, and the contacts that must be named, no others; with a word that must be in what is said.
    pub fn names(&self, fault: &str, contacts: &[u8], said: &str) -> Result<(), String> {
        let done = run_plan(self.path.to_str().unwrap(), &["--quiet", "--seed", "5", "--fault", fault]);
        if done.code == 1 && done.named() == contacts && done.diagnosis_text().contains(said) {
            return Ok(());
        }
        Err(format!("{fault}: exit {}, named {:?} ({})", done.code, done.named(), done.diagnosis_text()))
    }

    pub fn passes(&self, seeds: &[u32]) {
        for_all(seeds, |seed| match run_plan(self.path.to_str().unwrap(), &["--quiet", "--seed", &seed.to_string()]) {
            done if done.code == 0 => Ok(()),
            done => Err(format!("seed {seed}: exit {} ({})", done.code, done.diagnosis_text())),
        });
    }
}

/// Contacts with silicon at the other end.
fn silicon() -> Vec<u8> {
    let path = root().join("fixtures/duts/b4xx.toml");
    let family = DutFamily::parse(&Source::new("b4xx.toml", std::fs::read_to_string(path).unwrap())).unwrap();
    let signal = |pin: &str| !["GND", "AGND", "VCC", "3V3", "NC"].contains(&pin) && !pin.starts_with("SOM");
    family.contacts.iter().filter(|info| signal(&info.pin)).map(|info| info.contact.0).collect()
}

#[test]
fn every_open_and_every_cold_joint_is_named_before_power() {
    let plan = Plan::new(&[BEFORE_POWER, DIODES]);
    plan.passes(&[1, 2, 3, 4]);
    let contacts = silicon();
    assert_eq!(contacts.len(), 41);
    let rows: Vec<(String, u8, &str)> = contacts
        .iter()
        .flat_map(|&contact| [(format!("open:{contact}"), contact, "open"), (format!("cold:{contact}"), contact, "")])
        .collect();
    for_all(&rows, |(fault, contact, said)| plan.names(fault, &[*contact], said));
    // Distinguishes a dead module from an open TX: the silicon is there.
    let dead = run_plan(plan.path.to_str().unwrap(), &["--quiet", "--fault", "dead-mcu"]);
    assert_eq!((dead.code, dead.diagnosis_text().as_str()), (0, ""));
}

/// 100 kohm and 2 kohm, without power: every signal contact.
#[test]
fn leaks_and_damaged_pads_are_named_with_where_they_lead() {
    let plan = Plan::new(&[BEFORE_POWER, ISOLATION]);
    plan.passes(&[1, 2]);
    // Hidden by what the module has there: 10 ohm at SIM_VCC while the modem is off, the pull-up at SIM_DATA.
    let strong = [16, 67, 73, 74];
    let rows: Vec<(String, u8, &str)> = silicon()
        .into_iter()
        .filter(|contact| !strong.contains(contact))
        .step_by(2)
        .flat_map(|contact| {
            [
                (format!("leak:{contact}-gnd"), contact, "to ground, "),
                (format!("leak:{contact}-3v3"), contact, "to 3V3, "),
            ]
        })
        .chain([11, 13, 17, 23, 34, 36, 44, 69, 73].map(|contact| (format!("esd:{contact}"), contact, "to ground")))
        .collect();
    assert_eq!(rows.len(), 38 + 9);
    for_all(&rows, |(fault, contact, said)| plan.names(fault, &[*contact], said));
}

#[test]
fn drivers_and_reset() {
    let plan = Plan::new(&[BEFORE_POWER, POWERED]);
    plan.passes(&[1, 2, 3, 4]);
    let rows = [
        ("stuck-high:34", 34, "held high through"),
        ("lost-pull:34", 34, "not pulled up"),
        ("stuck-low:34", 34, "held low through"),
        ("open:34", 34, "open, it rests at"),
        ("cold:23", 23, "cold joint or damaged driver"),
        ("cold:32", 32, "cold joint or damaged driver"),
        ("cold:61", 61, "cold joint or damaged driver"),
        ("weak-driver:65", 65, "damaged driver"),
        ("open:66", 66, "open, no driver"),
        ("stuck-high:20", 20, "drives low through"),
        ("short:14-3v3", 14, "driven"),
        ("leak:71-3v3", 71, "a leak"),
        ("leak:73-3v3", 73, "a leak"),
        ("leak:34-gnd", 34, "leak to ground"),
        ("stuck-high:17", 17, "driven"),
        ("stuck-low:17", 17, "held at ground through"),
        ("stuck-high:19", 19, "driven"),
        ("stuck-low:19", 19, "held at ground through"),
        ("stuck-low:36", 36, "its driver opposes that"),
    ];
    for_all(&rows, |(fault, contact, said)| plan.names(fault, &[*contact], said));
}
