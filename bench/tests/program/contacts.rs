//! Steps that look at single contacts, on plans of their own: every contact that leads somewhere, each with each defect
//! that the step is for.

use crate::support::{for_all, root, run_plan};
use bench_plan::{DutFamily, Source};
use std::path::PathBuf;

const HEAD: &str = "format = 1\nname = \"contacts\"\nmodel = \"b404x\"\nfixture = \"b-series\"\n\
                    firmware = \"dut-firmware\"\n";

const BEFORE_POWER: &str = r#"
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

const DIODES: &str = r#"
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

/// A plan on disk for as long as this lives.
struct Plan {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Plan {
    fn new(steps: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(root().join("target")).unwrap();
        let path = folder.path().join("contacts.toml");
        std::fs::write(&path, format!("{HEAD}{}", steps.concat())).unwrap();
        Self { _folder: folder, path }
    }

    /// A fault, and the contacts that must be named, no others; with a word that must be in what is said.
    fn names(&self, fault: &str, contacts: &[u8], said: &str) -> Result<(), String> {
        let done = run_plan(self.path.to_str().unwrap(), &["--quiet", "--seed", "5", "--fault", fault]);
        if done.code == 1 && done.named() == contacts && done.told().contains(said) {
            return Ok(());
        }
        Err(format!("{fault}: exit {}, named {:?} ({})", done.code, done.named(), done.told()))
    }

    fn passes(&self, seeds: &[u32]) {
        for_all(seeds, |seed| match run_plan(self.path.to_str().unwrap(), &["--quiet", "--seed", &seed.to_string()]) {
            done if done.code == 0 => Ok(()),
            done => Err(format!("seed {seed}: exit {} ({})", done.code, done.told())),
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
    // Tells a dead module from an open TX: the silicon is there.
    let dead = run_plan(plan.path.to_str().unwrap(), &["--quiet", "--fault", "dead-mcu"]);
    assert_eq!((dead.code, dead.told().as_str()), (0, ""));
}
