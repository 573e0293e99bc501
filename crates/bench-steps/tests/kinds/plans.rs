//! Steps from plan text, over the shipped fixture and families.

use bench_plan::{DutFamily, Fixture, ParamProblem, Plan, PlanText, Problem, Source, check_plan};
use bench_steps::{Kinds, Procedure};
use std::path::Path;

pub struct World {
    pub families: Vec<DutFamily>,
    pub fixture: Fixture,
}

fn source(path: &str) -> Source {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    Source::new(path, std::fs::read_to_string(full).unwrap())
}

impl World {
    pub fn new() -> Self {
        let family = |name: &str| DutFamily::parse(&source(&format!("fixtures/duts/{name}.toml"))).unwrap();
        let families: Vec<DutFamily> = ["b4xx", "b5xx", "boron"].map(family).into();
        let fixture = Fixture::parse(&source("fixtures/b-series.toml"), &families.iter().collect::<Vec<_>>()).unwrap();
        Self { families, fixture }
    }

    pub fn family(&self) -> &DutFamily {
        &self.families[0]
    }

    /// A plan of one step.
    pub fn check(&self, step: &str) -> Result<Plan<Box<dyn Procedure>>, Box<Problem>> {
        self.check_for("b404x", step)
    }

    /// A plan of one step, for a model.
    pub fn check_for(&self, model: &str, step: &str) -> Result<Plan<Box<dyn Procedure>>, Box<Problem>> {
        let head = format!(
            "format = 1\nname = \"one\"\nmodel = \"{model}\"\nfixture = \"b-series\"\nfirmware = \"dut-firmware\"\n"
        );
        let text = format!("{head}[[step]]\nid = \"one\"\n{step}\n");
        let families: Vec<&DutFamily> = self.families.iter().collect();
        let text = PlanText::gather(Source::new("one.toml", text), |_| Err(ParamProblem::new("no parts here")))?;
        check_plan(&text, &families, &self.fixture, &Kinds::default())
    }
}

/// The message for a plan, and whether it has a place.
#[test]
fn plans_that_cannot_work_are_refused() {
    let world = World::new();
    let rows = [
        ("kind = 'rail-resistance'\nohms = { min = '1 kohm' }\nrails = ['5V']", "the fixture has no rail `5V`"),
        ("kind = 'rail-resistance'\nohms = { min = '110 ohm' }", "more than that of a discharge resistor, 100 ohm"),
        ("kind = 'rail-resistance'\nohms = { max = '1 kohm' }", "more than that of a discharge resistor"),
        ("kind = 'rail-resistance'", "ohms"),
        (
            "kind = 'continuity'\npins = ['A0']\nohms = { max = '5 ohm' }",
            "23 (A0) is neither a supply nor a ground nail",
        ),
        ("kind = 'continuity'\npins = ['VUSB']\nohms = { max = '5 ohm' }", "(VUSB) is alone on its net"),
        ("kind = 'isolation'\npins = ['VCC']\nohms = { min = '5 kohm' }", "2 (VCC) has no nail that can drive"),
        (
            "kind = 'rail-on'\nrail = '3v3'\nvolts = { min = '3 V' }\namps = { max = '1 A' }\nsettle = '1 ms'",
            "the fixture has no rail `3v3`",
        ),
        ("kind = 'identify'\nbaud = 1000000\nsupply = 'V'", "the fixture has no rail `V`"),
        ("kind = 'identify'\nbaud = 1000000\nsupply = 'VUSB'", "the rail VUSB carries 5 V, the nails work at 3.3 V"),
        ("kind = 'interconnect'\npins = ['A0', 'A1']\nsupply = 'VCC'", "the rail VCC carries 3.8 V"),
        ("kind = 'interconnect'\npins = 'gpio'\nsupply = '3V3'", "carries the link to the module"),
        ("kind = 'interconnect'\npins = ['SIM_CLK']\nsupply = '3V3'", "71 (SIM_CLK) leads to no port of the MCU"),
        ("kind = 'interconnect'\npins = ['A0']\nsupply = '3V3'\nsettle = '11 ms'", "at most 10 ms"),
        ("kind = 'pulls'\npins = ['GND']\nohms = { max = '5 kohm' }\nsupply = '3V3'", "(GND) leads to no port"),
        ("kind = 'pulls'\npins = ['A0']\nohms = { max = '5 kohm' }\nsupply = 'VBUS_MODEM'", "carries 5 V"),
        ("kind = 'link-loopback'\npins = ['A0']", "pins"),
        ("kind = 'clamp-diodes'\npins = ['A0']", "no limits for either diode"),
        (
            "kind = 'enable'\npin = 'adc'\nsupply = '3V3'\nrest = { min = '1 V' }\noff = { max = '1 V' }\n\
             on = { min = '3 V' }\nsettle = '1 ms'",
            "tests one contact",
        ),
        (
            "kind = 'enable'\npin = ['VUSB']\nsupply = '3V3'\nrest = { min = '1 V' }\noff = { max = '1 V' }\n\
             on = { min = '3 V' }\nsettle = '1 ms'",
            "16 (VUSB) has no nail that pulls it low",
        ),
        (
            "kind = 'clamp-diodes'\npins = ['A0']\ncurrent = '4 mA'\nto_supply = { max = '1 V' }",
            "4.000 mA is not a valid current",
        ),
        ("kind = 'clamp-diodes'\npins = ['VUSB']\nto_supply = { max = '1 V' }", "16 (VUSB) is a supply itself"),
        ("kind = 'clamp-diodes'\npins = ['3V3']\nfrom_ground = { max = '1 V' }", "10 (3V3) shares its rail"),
        ("kind = 'clamp-diodes'\npins = 'ground'\nfrom_ground = { max = '1 V' }", "no nail that can hold it at 0 V"),
    ];
    for (step, expected) in rows {
        let problem = world.check(step).err().unwrap_or_else(|| panic!("{step} was accepted"));
        assert!(problem.to_string().contains(expected), "{step}\n{problem}");
    }
}
