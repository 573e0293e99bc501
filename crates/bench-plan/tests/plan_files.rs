//! Contents of a checked plan, and what its checks refuse.

mod plan_support;

use bench_plan::*;
use bench_run::{Contact, Limits, OnFail};
use plan_support::{PLAN, TestKinds, changed, check, family, fixture_text, render};
use proptest::prelude::*;
use std::time::Duration;

fn checked(text: &str) -> Plan<&'static str> {
    check(text).unwrap_or_else(|problem| panic!("{}", render(&problem)))
}

#[test]
fn a_good_plan_is_kept_whole() {
    let plan = checked(PLAN);
    assert_eq!((plan.name.as_str(), plan.model.as_str(), plan.family.as_str()), ("b404x-short", "b404x", "b4xx"));
    assert_eq!((plan.fixture.as_str(), plan.firmware.as_str()), ("b-series", "dut-firmware"));
    let ids: Vec<&str> = plan.steps.iter().map(|step| step.step.id.as_str()).collect();
    assert_eq!(ids, ["shorts", "power", "pins"]);

    let shorts = &plan.steps[0];
    assert_eq!(shorts.coverage.iter().map(|covered| covered.contact.0).collect::<Vec<_>>(), [10, 12, 2, 4, 6, 8]);
    assert_eq!(shorts.step.timeout, Duration::from_secs(5), "the kind's default");
    assert_eq!((shorts.step.retry, shorts.step.on_fail), (0, OnFail::Stop));

    let power = &plan.steps[1].step;
    assert_eq!((power.timeout, power.needs.as_slice()), (Duration::from_secs(2), [0].as_slice()));
    assert_eq!(power.measurements[0].limits, Limits::between(3.2, 3.4));

    let pins = &plan.steps[2].step;
    assert_eq!(pins.measurements.len(), 22, "24 GPIO without TX and RX");
    assert_eq!((pins.retry, pins.on_fail, pins.title.as_str()), (1, OnFail::Continue, "pins"));
    assert_eq!(pins.uses, ["measure-bus"], "named by the kind and by the plan, kept once");
    assert_eq!(pins.shares, ["dut"], "what is used need not be shared");
}

#[test]
fn the_head_is_read_without_the_steps() {
    let source = Source::new("plans/test.toml", changed(PLAN, "kind = \"rail\"", "kind = \"no such kind\""));
    let head = PlanHead::parse(&source).unwrap();
    assert_eq!(head.model.get_ref(), "b404x");
    assert_eq!(&source.text[head.fixture.span()], "\"b-series\"");
    assert_eq!(head.firmware.get_ref(), "dut-firmware");
}

#[test]
fn needs_may_point_forward() {
    let plan = checked(&changed(PLAN, "needs = [\"power\"]", "").replacen(
        "kind = \"ohms\"",
        "kind = \"ohms\"\nneeds = [\"pins\"]",
        1,
    ));
    assert_eq!(plan.steps[0].step.needs, [2]);
    assert_eq!(plan.steps[0].step.id, "shorts", "the order stays that of the text");
}

/// A step that only leads into the cycle is not named.
#[test]
fn a_cycle_is_named_without_the_path_into_it() {
    let step = |id: &str, need: &str| {
        format!("[[step]]\nid = \"{id}\"\nkind = \"wait\"\ntime = \"1 s\"\nneeds = [\"{need}\"]\n")
    };
    let head = &PLAN[..PLAN.find("[[step]]").unwrap()];
    let text = format!("{head}{}{}{}", step("first", "third"), step("second", "third"), step("third", "second"));
    let problem = check(&text).unwrap_err();
    assert_eq!(problem.message, "steps need each other in a circle: second -> third -> second");
}

#[test]
fn mistakes() {
    // Original text, replacement, expected message, expected text at the place.
    let rows: &[(&str, &str, &str, &str)] = &[
        ("format = 1", "format = 7", "plan format 7 is unknown", "7"),
        ("format = 1\n", "", "missing key `format`", ""),
        ("model = \"b404x\"", "modell = \"b404x\"", "unknown key `modell`", "modell"),
        ("model = \"b404x\"", "model = \"b405\"", "unknown model `b405`", "\"b405\""),
        (
            "fixture = \"b-series\"",
            "fixture = \"boron\"",
            "the plan is for fixture `boron`, this is `b-series`",
            "\"boron\"",
        ),
        ("name = \"b404x-short\"", "name = \"a b\"", "\"a b\" cannot be a plan name", "\"a b\""),
        ("id = \"power\"", "id = \"\"", "\"\" cannot be a step id", "\"\""),
        ("id = \"power\"", "", "missing key `id`", "[[step]]"),
        ("kind = \"rail\"", "knid = \"rail\"", "unknown key `knid`", "knid"),
        ("kind = \"rail\"", "", "missing key `kind`", "[[step]]"),
        ("settle = \"10 ms\"\n", "", "missing key `settle`", "[[step]]"),
        ("settle = \"10 ms\"", "settle = \"10 mV\"", "\"10 mV\" is a voltage", "\"10 mV\""),
        ("settle = \"10 ms\"", "settle = [\"10 ms\"]", "invalid type: sequence", "[\"10 ms\"]"),
        ("timeout = \"2 s\"", "timeout = \"0 s\"", "a timeout of zero", "\"0 s\""),
        ("retry = 1", "retry = 11", "more than 10 retries", "11"),
        ("retry = 1", "retry = -1", "invalid value", "-1"),
        ("on_fail = \"continue\"", "on_fail = \"continu\"", "unknown value `continu`", "\"continu\""),
        ("needs = [\"power\"]", "needs = [\"powr\"]", "step `pins` needs `powr`, which is not a step", "\"powr\""),
        ("needs = [\"power\"]", "needs = [\"pins\"]", "in a circle: pins -> pins", "\"pins\""),
        ("needs = [\"power\"]", "needs = \"power\"", "invalid type: string", "\"power\""),
        ("rail = \"3V3\"", "rail = \"3V4\"", "no rail `3V4`", "\"3V4\""),
        ("[\"3V3\", \"VCC\"]", "\"gpoi\"", "no contact of b4xx has a function `gpoi`", "\"gpoi\""),
        ("[\"3V3\", \"VCC\"]", "\"A0\"", "no contact of b4xx has a function `A0`", "\"A0\""),
        ("[\"3V3\", \"VCC\"]", "\"swd\"", "no contact of b4xx has a function `swd`", "\"swd\""),
        ("[\"3V3\", \"VCC\"]", "[]", "selects no contact of b4xx", "[]"),
        ("[\"3V3\", \"VCC\"]", "[24]", "b4xx has no contact 24", "24"),
        ("[\"3V3\", \"VCC\"]", "[300]", "300 is not a contact number", "300"),
        ("[\"3V3\", \"VCC\"]", "[\"A0\", 23]", "contact 23 (A0) is named twice", "23"),
        ("[\"3V3\", \"VCC\"]", "[\"A0\", \"D19\"]", "contact 23 (A0) is named twice", "\"D19\""),
        ("[\"3V3\", \"VCC\"]", "true", "invalid type: boolean `true`", "true"),
        ("[\"3V3\", \"VCC\"]", "{ function = [\"gpio\"] }", "unknown key `function`", "function"),
        (
            "[\"3V3\", \"VCC\"]",
            "{ functions = [\"adc\"], only = [\"D4\"] }",
            "contact 66 (D4) has none of these functions",
            "{ functions = [\"adc\"], only = [\"D4\"] }",
        ),
    ];
    for (from, to, message, spot) in rows {
        let broken = changed(PLAN, from, to);
        let problem = check(&broken).expect_err(message);
        assert!(problem.message.contains(message), "{from} -> {to}: {}", problem.message);
        let span = problem.span.unwrap();
        assert_eq!(&broken[span.offset()..span.offset() + span.len()], *spot, "{from} -> {to}: {}", problem.message);
    }
}

#[test]
fn other_fixtures_have_a_reason() {
    let with = |value: &str| changed(PLAN, "firmware =", &format!("also_on = {value}\nfirmware ="));
    let plan = PlanHead::parse(&Source::new("a.toml", with(r#"[{ fixture = "desk", reason = " quick " }]"#))).unwrap();
    let also: Vec<(&str, &str)> =
        plan.also_on.iter().map(|row| (row.fixture.get_ref().as_str(), row.reason.as_str())).collect();
    assert_eq!(also, [("desk", "quick")]);
    // The value, the message, the help, the text at the place.
    let rows = [
        (
            r#"["desk"]"#,
            "the fixture `desk` is allowed without a reason",
            r#"write { fixture = "desk", reason ="#,
            r#""desk""#,
        ),
        (r#""desk""#, "`also_on` is not a list", "expected also_on = [{ fixture =", r#""desk""#),
        ("[3]", "`also_on` is not a list of tables", "expected also_on", "3"),
        (r#"[{ fixture = "desk" }]"#, "missing key `reason`", "", r#"{ fixture = "desk" }"#),
        (
            r#"[{ fixture = "desk", reason = " " }]"#,
            "the fixture `desk` is allowed for no reason",
            "expected",
            r#"" ""#,
        ),
        (r#"[{ fixture = "desk", reasn = "x" }]"#, "unknown key `reasn`", "`reason`", "reasn"),
        (
            r#"[{ fixture = "b-series", reason = "x" }]"#,
            "`b-series` is the plan's own fixture",
            "expected",
            r#""b-series""#,
        ),
        (
            r#"[{ fixture = "a", reason = "x" }, { fixture = 'a', reason = "y" }]"#,
            "the fixture `a` has two reasons",
            "expected",
            "'a'",
        ),
    ];
    for (value, message, help, spot) in rows {
        let broken = with(value);
        let problem = check(&broken).expect_err(message);
        assert_eq!(problem.message, message, "{value}");
        let said = problem.help.clone().unwrap_or_default();
        assert!(said.contains(help), "{value}: {said}");
        let span = problem.span.unwrap();
        assert_eq!(&broken[span.offset()..span.offset() + span.len()], spot, "{value}");
    }
}

#[test]
fn a_plan_without_steps_tests_nothing() {
    let head = &PLAN[..PLAN.find("[[step]]").unwrap()];
    for text in [head.to_owned(), format!("{head}step = []")] {
        assert_eq!(check(&text).unwrap_err().message, "the plan has no steps");
    }
    for text in [format!("{head}step = 3"), format!("{head}step = [3]"), format!("{head}[step]\nid = \"a\"")] {
        assert_eq!(check(&text).unwrap_err().message, "`step` is not a list");
    }
}

#[test]
fn a_step_that_measures_nothing_is_refused_unless_its_kind_may() {
    let waiting = format!("{PLAN}\n[[step]]\nid = \"rest\"\nkind = \"wait\"\ntime = \"1 s\"\n");
    assert_eq!(checked(&waiting).steps[3].procedure, "wait");
    let silent = format!("{PLAN}\n[[step]]\nid = \"rest\"\nkind = \"silent\"\n");
    assert_eq!(check(&silent).unwrap_err().message, "step `rest` measures nothing");
}

/// Promises of a kind with these limits.
struct Promising(Vec<(&'static str, Limits)>);

impl StepKinds for Promising {
    type Procedure = ();
    fn names(&self) -> Vec<&'static str> {
        vec!["ohms", "rail"]
    }
    fn resolve(&self, _: &str, _: toml::de::DeTable<'_>, _: &Surroundings<'_>) -> Result<Resolved<()>, ParamProblem> {
        let measurements = self.0.iter().map(|(name, limits)| bench_run::MeasurementSpec {
            name: (*name).into(),
            unit: bench_run::MeasurementUnit::Volts,
            limits: *limits,
            contacts: vec![Contact(1)],
        });
        Ok(Resolved {
            measurements: measurements.collect(),
            coverage: vec![],
            uses: vec![],
            shares: vec![],
            default_timeout: Duration::from_secs(1),
            procedure: (),
        })
    }
    fn schemas(&self, _: &mut schemars::SchemaGenerator) -> Vec<(&'static str, schemars::Schema)> {
        vec![]
    }
}

#[test]
fn limits_that_steps_share() {
    let shared = |limits: &str, used: &str| {
        let plan = changed(PLAN, "volts = { min = \"3.2 V\", max = \"3.4 V\" }", &format!("volts = {used}"));
        plan.replacen("[[step]]", &format!("[limits]\n{limits}\n\n[[step]]"), 1)
    };
    let good = "logic = { min = \"3.2 V\", max = \"3.4 V\" }";
    let plan = checked(&shared(good, "\"limits.logic\""));
    assert_eq!(plan.steps[1].step.measurements[0].limits, Limits::between(3.2, 3.4));
    let crossed = "logic = { min = \"3.4 V\", max = \"3.2 V\" }";
    let rows = [
        (shared(good, "\"limits.logik\""), "unknown limits `logik`", "\"limits.logik\""),
        (shared(good, "{ min = \"3 V\" }"), "no step uses the limits `logic`", "logic"),
        (shared(crossed, "\"limits.logic\""), "limits are crossed", "{ min = \"3.4 V\", max = \"3.2 V\" }"),
        (shared("logic = { min = \"3.4 A\" }", "\"limits.logic\""), "is a current", "\"3.4 A\""),
        (changed(PLAN, "format = 1", "format = 1\nlimits = 3"), "`limits` is not a table", "3"),
    ];
    for (text, message, spot) in rows {
        let problem = check(&text).unwrap_err();
        assert!(problem.message.contains(message), "{}", problem.message);
        let span = problem.span.unwrap();
        assert_eq!(&text[span.offset()..span.offset() + span.len()], spot, "{message}");
    }
}

/// No kind can promise a measurement that always passes.
#[test]
fn promises_are_checked() {
    let family = family("b4xx");
    let fixture = plan_support::check_fixture(&fixture_text()).unwrap();
    let text = plan_support::gather(PLAN, &[]).unwrap();
    let check = |promises| check_plan(&text, &[&family], &fixture, &Promising(promises));
    let free = Limits { min: None, max: None };
    assert!(check(vec![("a", Limits::at_most(1.0)), ("b", Limits::exactly(0.0))]).is_ok());
    for (promises, message) in [
        (vec![("a", free)], "against the limits of `a`"),
        (vec![("a", Limits::between(2.0, 1.0))], "against the limits of `a`"),
        (vec![("a", Limits::at_least(f64::NAN))], "against the limits of `a`"),
        (vec![("a", Limits::between(0.0, f64::NAN))], "against the limits of `a`"),
        (vec![("a", Limits::at_most(1.0)), ("a", Limits::at_most(2.0))], "two measurements are called `a`"),
    ] {
        assert!(check(promises).unwrap_err().message.contains(message), "{message}");
    }
}

#[test]
fn selections() {
    #[derive(serde::Deserialize)]
    struct Holder {
        pins: RawPinSelector,
    }
    let family = family("b4xx");
    let select = |text: &str| -> Vec<u8> {
        let holder: Holder = toml::from_str(&format!("pins = {text}")).unwrap();
        holder.pins.resolve(&family).unwrap().iter().map(|contact| contact.0).collect()
    };
    assert_eq!(select("\"all\"").len(), 67);
    assert_eq!(select("\"gpio\"").len(), 24);
    assert_eq!(select("\"adc\""), [23, 33, 35, 37, 41, 43, 45, 47]);
    assert_eq!(select("[\"D4\", \"A0\", 36]"), [66, 23, 36], "a list keeps its order");
    assert_eq!(select("[\"D19\"]"), [23], "alternate names");
    assert_eq!(select("[\"GND\", \"AGND\"]").len(), 10, "a shared name selects all its contacts");
    assert_eq!(select("{ functions = [\"rgb\", \"mode\"] }"), [32, 61, 63, 65]);
    assert_eq!(select("{ functions = [\"rgb\"], exclude = [63] }"), [61, 65]);
    assert_eq!(select("{ functions = [\"adc\"], only = [\"A1\", \"A0\"] }"), [23, 33]);
    assert_eq!(select("{ exclude = [\"GND\"] }").len(), 59);
}

#[test]
fn the_schema_knows_every_key_of_a_kind() {
    let schema = plan_schema(&TestKinds, &SchemaNames::default()).to_value();
    let steps = schema["properties"]["step"]["items"]["allOf"].as_array().unwrap();
    assert_eq!(steps.len(), 3);
    let rail = steps.iter().find(|step| step["if"]["properties"]["kind"]["const"] == "rail").unwrap();
    let rail = &rail["then"];
    for key in STEP_KEYS.iter().chain(&["rail", "volts", "settle"]) {
        assert!(rail["properties"].get(key).is_some(), "{key}");
    }
    assert_eq!(rail["additionalProperties"], false);
    let required: Vec<&str> = rail["required"].as_array().unwrap().iter().filter_map(|key| key.as_str()).collect();
    assert_eq!(required, ["id", "kind", "rail", "volts", "settle"]);
    // Every reference is resolved.
    for schema in [
        schema,
        plan_part_schema(&TestKinds, &SchemaNames::default()).to_value(),
        fixture_schema(&SchemaNames::default()).to_value(),
    ] {
        let text = schema.to_string();
        for name in text.split("\"#/$defs/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(schema["$defs"].get(name).is_some(), "{name} is not defined");
        }
        assert!(schema["$defs"]["Ohms"]["pattern"].is_string());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    /// A plan with one changed byte, or truncated, is checked or refused.
    #[test]
    fn damaged_plans_are_answered(at in 0..PLAN.len(), byte in 0x20_u8..0x7f, cut: bool) {
        let mut text = PLAN.as_bytes().to_vec();
        if cut { text.truncate(at) } else { text[at] = byte }
        if let Err(problem) = check(&String::from_utf8(text).unwrap()) {
            prop_assert!(!render(&problem).is_empty());
        }
    }
}
