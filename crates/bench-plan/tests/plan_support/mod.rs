//! Three small step kinds, a plan that uses them, and the families and fixture of the repository.
#![allow(dead_code)] // each test file uses its own part

use bench_plan::*;
use bench_run::{Limits, MeasurementSpec, MeasurementUnit};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

pub fn text_of(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn family(name: &str) -> DutFamily {
    let path = format!("fixtures/duts/{name}.toml");
    DutFamily::parse(&Source::new(&path, text_of(&path))).unwrap_or_else(|problem| panic!("{}", render(&problem)))
}

pub fn families() -> Vec<DutFamily> {
    ["b4xx", "b5xx", "boron"].map(family).into()
}

pub fn fixture_text() -> String {
    text_of("fixtures/b-series.toml")
}

pub fn check_fixture(text: &str) -> Result<Fixture, Box<Problem>> {
    let families = families();
    let families: Vec<&DutFamily> = families.iter().collect();
    Fixture::parse(&Source::new("fixtures/b-series.toml", text), &families)
}

pub fn check(text: &str) -> PlanResult<&'static str> {
    check_with(text, &[])
}

/// Adds parts: their paths as a plan names them, and their texts.
pub fn check_with(text: &str, parts: &[(&str, &str)]) -> PlanResult<&'static str> {
    let families = families();
    let families: Vec<&DutFamily> = families.iter().collect();
    let fixture = check_fixture(&fixture_text()).unwrap_or_else(|problem| panic!("{}", render(&problem)));
    check_plan(&gather(text, parts)?, &families, &fixture, &TestKinds)
}

pub fn gather(text: &str, parts: &[(&str, &str)]) -> Result<PlanText, Box<Problem>> {
    PlanText::gather(Source::new("plans/test.toml", text), |path| {
        let part = parts.iter().find(|(name, _)| *name == path);
        let text =
            part.ok_or_else(|| ParamProblem::new(format!("plans/{path} cannot be read")).label("no such file"))?;
        Ok(Source::new(format!("plans/{path}"), text.1))
    })
}

/// As the program prints it, without colours.
pub fn render(problem: &Problem) -> String {
    let mut out = String::new();
    miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none())
        .with_width(120)
        .render_report(&mut out, problem)
        .unwrap_or_else(|error| panic!("cannot write: {error}"));
    // Empty lines of the frame end in spaces, which editors like to remove.
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_start_matches('\n').to_owned()
}

/// Changes one place of a text, which must occur exactly once.
pub fn changed(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from:?} must occur in the text exactly once");
    text.replace(from, to)
}

pub const PLAN: &str = r#"format = 1
name = "b404x-short"
title = "Short test of the B404X"
model = "b404x"
fixture = "b-series"
firmware = "dut-firmware"

[[step]]
id = "shorts"
kind = "ohms"
pins = ["3V3", "VCC"]
limits = { min = "100 ohm" }

[[step]]
id = "power"
kind = "rail"
needs = ["shorts"]
rail = "3V3"
volts = { min = "3.2 V", max = "3.4 V" }
settle = "10 ms"
timeout = "2 s"

[[step]]
id = "pins"
kind = "ohms"
needs = ["power"]
pins = { functions = ["gpio"], exclude = ["TX", "RX"] }
limits = { min = "10 kohm", max = "20 kohm" }
uses = ["measure-bus"]
shares = ["dut", "measure-bus"]
retry = 1
on_fail = "continue"
"#;

pub struct TestKinds;

/// Measures the resistance of each pin.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OhmsParams {
    pins: RawPinSelector,
    limits: LimitsOf<Ohms>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RailParams {
    #[schemars(with = "String")]
    rail: Spanned<String>,
    volts: LimitsOf<Volts>,
    settle: Seconds,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WaitParams {
    time: Seconds,
}

fn measurement(name: String, unit: MeasurementUnit, limits: Limits) -> MeasurementSpec {
    MeasurementSpec { name, unit, limits, contacts: vec![] }
}

impl StepKinds for TestKinds {
    type Procedure = &'static str;

    fn names(&self) -> Vec<&'static str> {
        vec!["ohms", "rail", "wait", "silent"]
    }

    fn may_measure_nothing(&self, kind: &str) -> bool {
        kind == "wait"
    }

    fn resolve(
        &self,
        kind: &str,
        params: toml::de::DeTable<'_>,
        around: &Surroundings<'_>,
    ) -> Result<Resolved<&'static str>, ParamProblem> {
        let mut resolved = Resolved {
            measurements: vec![],
            coverage: vec![],
            uses: vec!["measure-bus".into()],
            shares: vec![],
            default_timeout: Duration::from_secs(5),
            procedure: "",
        };
        match kind {
            "ohms" => {
                let params: OhmsParams = parse_params(params)?;
                for contact in params.pins.resolve(around.dut)? {
                    let name = format!("{contact}.ohms");
                    resolved.measurements.push(measurement(name, params.limits.unit(), params.limits.limits()));
                    resolved.coverage.push(Coverage { contact, aspects: vec!["short"] });
                }
                resolved.procedure = "ohms";
            }
            "rail" => {
                let params: RailParams = parse_params(params)?;
                let name = params.rail.get_ref();
                if around.fixture.rail(name).is_none() {
                    return Err(ParamProblem::new(format!("no rail `{name}`")).at(params.rail.span(), "unknown rail"));
                }
                resolved.measurements.push(measurement(
                    format!("{name}.volts"),
                    params.volts.unit(),
                    params.volts.limits(),
                ));
                resolved.default_timeout += params.settle.duration();
                resolved.procedure = "rail";
            }
            "wait" => {
                let params: WaitParams = parse_params(params)?;
                resolved.default_timeout = params.time.duration();
                resolved.procedure = "wait";
            }
            _ => resolved.procedure = "silent",
        }
        Ok(resolved)
    }

    fn schemas(&self, generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
        vec![
            ("ohms", OhmsParams::json_schema(generator)),
            ("rail", RailParams::json_schema(generator)),
            ("wait", WaitParams::json_schema(generator)),
        ]
    }
}
