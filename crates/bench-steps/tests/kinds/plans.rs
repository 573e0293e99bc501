//! Steps from plan text, over the shipped fixture and families.

use bench_plan::{DutFamily, Fixture, ParamProblem, Plan, PlanText, Problem, Source, StepKinds, check_plan};
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
        self.check_text(model, &format!("[[step]]\nid = \"one\"\n{}", before_power(step)))
    }

    /// A plan of these steps, for a model.
    pub fn check_text(&self, model: &str, steps: &str) -> Result<Plan<Box<dyn Procedure>>, Box<Problem>> {
        let head = format!(
            "format = 1\nname = \"one\"\nmodel = \"{model}\"\nfixture = \"b-series\"\nfirmware = \"dut-firmware\"\n"
        );
        let text = format!("{head}{steps}\n");
        let families: Vec<&DutFamily> = self.families.iter().collect();
        let text = PlanText::gather(Source::new("one.toml", text), |_| Err(ParamProblem::new("no parts here")))?;
        check_plan(&text, &families, &self.fixture, &Kinds::default())
    }
}

/// A step that switches rails on comes after one that measures them for shorts.
fn before_power(step: &str) -> String {
    let switches_on = ["rail-on", "usb", "retained"]
        .iter()
        .any(|kind| ['\'', '"'].iter().any(|quote| step.contains(&format!("kind = {quote}{kind}{quote}"))));
    if !switches_on {
        return step.to_owned();
    }
    let shorts = "[[step]]\nid = \"shorts\"\nkind = \"rail-resistance\"\nohms = { min = \"200 ohm\" }";
    format!("needs = [\"shorts\"]\n{step}\n{shorts}")
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

/// The parameters with limits in a schema, as [`bench_plan::Reach::key`] writes them.
fn with_limits(schema: &serde_json::Value, path: &str, keys: &mut Vec<String>) {
    if !schema.is_object() {
        return;
    }
    let variants =
        || ["anyOf", "oneOf", "allOf"].into_iter().flat_map(|key| schema[key].as_array().into_iter().flatten());
    // Only limits may also be the name of some.
    if variants().any(|variant| variant["pattern"] == r"^limits\.") {
        keys.push(path.to_owned());
        return;
    }
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .for_each(|(key, value)| with_limits(value, &below(key), keys));
    variants().chain([&schema["items"]]).for_each(|inner| with_limits(inner, path, keys));
    with_limits(&schema["additionalProperties"], &below("*"), keys);
}

/// A kind that declares no reach for one of its limits would never be warned of.
#[test]
fn every_kind_says_what_its_limits_can_meet() {
    let kinds = Kinds::default();
    let mut generator = schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator();
    let mut all = 0;
    for (kind, schema) in kinds.schemas(&mut generator) {
        let mut with = Vec::new();
        with_limits(schema.as_value(), "", &mut with);
        let mut declared: Vec<&str> = kinds.reaches(kind).iter().map(|reach| reach.key).collect();
        with.sort_unstable();
        declared.sort_unstable();
        assert_eq!(declared, with, "{kind}");
        all += with.len();
    }
    assert!(all > 50, "{all}");
}

/// Rows of steps and the warnings about them.
#[test]
fn limits_that_could_never_fail_are_reported() {
    let world = World::new();
    let rail = |volts: &str, amps: &str, more: &str| {
        format!("kind = 'rail-on'\nrail = '3V3'\nvolts = {volts}\namps = {amps}\nsettle = '20 ms'\n{more}")
    };
    let quiet = |volts: &str| format!("kind = 'quiet'\npins = ['NC']\nvolts = {volts}");
    let adc = |key: &str, limits: &str| {
        let good = [
            ("offset", "{ max = '15 mV' }"),
            ("gain_error", "{ max = '3 %' }"),
            ("linearity", "{ max = '6 mV' }"),
            ("crosstalk", "{ max = '8 mV' }"),
        ];
        let lines: String = good
            .iter()
            .map(|(name, good)| format!("{name} = {}\n", if *name == key { limits } else { good }))
            .collect();
        format!(
            "kind = 'adc'\npins = ['A0', 'A1']\nlevels = ['0.1 V', '0.6 V', '1.2 V', '1.8 V', '3 V']\nsupply = '3V3'\n{lines}"
        )
    };
    let good = "{ min = '3.2 V', max = '3.4 V' }";
    let rows: Vec<(&str, String)> = vec![
        ("what a good plan has", rail(good, "{ min = '1 mA', max = '30 mA' }", "")),
        ("cross-talk beyond every reading", adc("crosstalk", "{ max = '8 V' }")),
        ("an error that no input has", adc("gain_error", "{ min = '-200 %', max = '3 %' }")),
        ("volts above the supply", rail("{ min = '3.2 V', max = '4 V' }", "{ max = '30 mA' }", "")),
        ("volts that every rail has", rail("{ min = '0 V', max = '3.4 V' }", "{ max = '30 mA' }", "")),
        ("volts that no rail has", rail("{ min = '4 V' }", "{ max = '30 mA' }", "")),
        ("amps above the rail's limit", rail(good, "{ max = '1 A' }", "")),
        ("amps below the monitor's range", rail(good, "{ min = '-1 A', max = '30 mA' }", "")),
        ("both sides at once", rail("{ min = '-1 V', max = '9 V' }", "{ max = '30 mA' }", "")),
        ("ohms above the ohm-meter", "kind = 'pulls'\npins = ['A0']\nohms = { max = '5 Mohm' }\nsupply = '3V3'".into()),
        ("ohms that no contact has", "kind = 'isolation'\npins = ['A0']\nohms = { min = '2 Mohm' }".into()),
        ("ohms of a list", "kind = 'isolation'\npins = ['A0']\nohms = { min = '200 kohm' }\nheld = [{ pins = ['SIM_VCC'], ohms = { min = '0 ohm', max = '30 ohm' } }]".into()),
        ("ppm beyond every quartz", "kind = 'crystal'\npin = ['D4']\nerror = { min = '-50 ppm', max = '20000 ppm' }".into()),
        ("a current of another rail", "kind = 'supply-current'\nsupply = '3V3'\nidle = { max = '2 mA' }\nbusy = { max = '9 mA' }\nsleep = { max = '0.3 mA' }\nothers = { VCC = { max = '5 A' } }\nwake = 'MODE'".into()),
        ("a share of more than the whole", "kind = 'nfc'\ndrive = { max = '100 %' }".into()),
        ("volts above every rail", quiet("{ max = '6 V' }")),
        ("a wait beyond the time-out", rail(good, "{ max = '30 mA' }", "timeout = '15 ms'")),
        ("a wait of hours", "kind = 'modem-signal'\nrsrp_dbm = { min = -95 }\nno_antenna_below = -110\nwithin = '2000 s'\nsupply = 'VCC'\nidle_amps = { max = '60 mA' }".into()),
        ("a step of hours", rail(good, "{ max = '30 mA' }", "timeout = '7200 s'")),
    ];
    let mut all = String::new();
    for (what, step) in rows {
        let plan = world.check(&step).unwrap_or_else(|problem| panic!("{what}: {problem}"));
        all += &format!("---- {what}\n");
        for warning in &plan.warnings {
            let (line, column) = warning.line_and_column().unwrap();
            let place = &warning.file.inner()[warning.span.unwrap().offset()..][..warning.span.unwrap().len()];
            all += &format!(
                "{line}:{column} {place}: {}\n  {}\n  {}\n",
                warning.message,
                warning.label,
                warning.help.as_deref().unwrap_or_default()
            );
        }
    }
    insta::assert_snapshot!(all);
}

/// The order of steps and the rail that would be switched on without a check for shorts.
#[test]
fn power_comes_after_the_check_for_shorts() {
    let world = World::new();
    let shorts = |rails: &str| {
        format!("[[step]]\nid = 'shorts'\nkind = 'rail-resistance'\nohms = {{ min = '200 ohm' }}\n{rails}\n")
    };
    let on = |id: &str, rail: &str, needs: &str| {
        format!(
            "[[step]]\nid = '{id}'\nkind = 'rail-on'\nrail = '{rail}'\nneeds = {needs}\nvolts = {{ min = '3 V' }}\namps = {{ max = '30 mA' }}\nsettle = '1 ms'\n"
        )
    };
    let rows = [
        ("measured before", format!("{}{}", shorts(""), on("on", "3V3", "['shorts']")), ""),
        (
            "measured, but in a step that may come later",
            format!("{}{}", shorts(""), on("on", "3V3", "[]")),
            "add \"shorts\", which measures it, to the `needs`",
        ),
        (
            "measured for another rail",
            format!("{}{}", shorts("rails = ['VCC']"), on("on", "3V3", "['shorts']")),
            "no step measures 3V3: add one of kind `rail-resistance`",
        ),
        ("not measured", on("on", "3V3", "[]"), "no step measures 3V3"),
        (
            "through another step",
            format!("{}{}{}", shorts(""), on("first", "3V3", "['shorts']"), on("on", "VCC", "['first']")),
            "",
        ),
        (
            "the second rail only",
            format!(
                "{}{}{}",
                shorts("rails = ['3V3']"),
                on("first", "3V3", "['shorts']"),
                on("on", "VCC", "['first']")
            ),
            "no step measures VCC",
        ),
    ];
    for (what, steps, expected) in rows {
        let outcome = world.check_text("b404x", &steps);
        match (outcome, expected) {
            (Ok(_), "") => {}
            (Err(problem), expected) if !expected.is_empty() => {
                let place = &problem.file.inner()[problem.span.unwrap().offset()..][..problem.span.unwrap().len()];
                assert_eq!(place, "[[step]]", "{what}");
                assert!(problem.help.as_deref().unwrap_or_default().contains(expected), "{what}: {problem:?}");
            }
            (outcome, expected) => panic!("{what}: {:?}, expected {expected:?}", outcome.err()),
        }
    }
}
