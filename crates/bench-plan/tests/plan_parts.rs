//! Plans that share steps: contents of a plan with parts, and reports of mistakes in any of the files.

#![allow(clippy::expect_used)] // the helpers below are tests too

mod plan_support;

use bench_plan::{LeftOut, Plan};
use bench_run::Limits;
use plan_support::{changed, check_with, gather, render};

const PLAN: &str = r#"format = 1
name = "shared"
model = "b404x"
fixture = "b-series"
firmware = "dut-firmware"
include = ["parts/power.toml", "parts/pins.toml"]

[override.power]
settle = "50 ms"
retry = 2

[leave_out]
slow = "it takes a second and shows what `pins` shows"

[[step]]
id = "last"
kind = "ohms"
needs = ["slow"]
pins = ["A0"]
limits = "limits.pull"
"#;

const POWER: &str = r#"# What every plan begins with.
[[step]]
id = "power"
kind = "rail"
rail = "3V3"
volts = { min = "3.2 V", max = "3.4 V" }
settle = "10 ms"
"#;

const PINS: &str = r#"[limits]
pull = { min = "10 kohm", max = "20 kohm" }

[[step]]
id = "pins"
kind = "ohms"
needs = ["power"]
pins = { functions = ["gpio"], exclude = ["TX", "RX"] }
limits = "limits.pull"
models = ["b4xx", "b523"]

[[step]]
id = "slow"
kind = "ohms"
needs = ["pins", "boron-only"]
pins = ["A1"]
limits = { min = "1 ohm" }

[[step]]
id = "boron-only"
kind = "ohms"
needs = ["power"]
models = ["boron"]
pins = ["A2"]
limits = { min = "1 ohm" }
"#;

const PARTS: &[(&str, &str)] = &[("parts/power.toml", POWER), ("parts/pins.toml", PINS)];

fn ids<P>(plan: &Plan<P>) -> Vec<&str> {
    plan.steps.iter().map(|planned| planned.step.id.as_str()).collect()
}

#[test]
fn steps_of_parts_come_first_and_are_the_plans() {
    let plan = check_with(PLAN, PARTS).unwrap_or_else(|problem| panic!("{}", render(&problem)));
    assert_eq!(ids(&plan), ["power", "pins", "last"]);
    assert_eq!(plan.steps[0].step.retry, 2, "a key that the part did not have");
    assert_eq!(plan.steps[0].step.timeout.as_millis(), 5050, "a key that the plan replaced");
    let why = "it takes a second and shows what `pins` shows".to_owned();
    assert_eq!(plan.left_out, [LeftOut { step: "slow".into(), reason: why }]);
    // `last` needs `slow`, which is missing: it waits for what `slow` would have waited for, through `boron-only`.
    assert_eq!(plan.steps[2].step.needs, [1, 0]);
    assert_eq!(plan.steps[2].step.measurements[0].limits, Limits::between(10e3, 20e3), "the limits are the part's");
}

#[test]
fn steps_are_for_models_and_families() {
    let [b402, b523, b524] = ["b402", "b523", "b524"].map(|model| changed(PLAN, "b404x", model));
    assert_eq!(ids(&check_with(&b402, PARTS).unwrap()), ["power", "pins", "last"]);
    assert_eq!(ids(&check_with(&b523, PARTS).unwrap()), ["power", "pins", "last"]);
    let plan = check_with(&b524, PARTS).unwrap();
    assert_eq!(ids(&plan), ["power", "last"], "the limits that only `pins` uses are no mistake");
    assert_eq!(plan.steps[1].step.needs, [0]);
}

/// Two variants of one step may have one id, so that records of both models can be compared.
#[test]
fn variants_of_a_step_share_their_id() {
    let part = PINS.replace("\"boron-only\"", "\"pins\"");
    let plan = check_with(PLAN, &[PARTS[0], ("parts/pins.toml", &part)]).unwrap();
    assert_eq!(ids(&plan), ["power", "pins", "last"]);
    assert_eq!(plan.steps[1].step.measurements.len(), 22, "the variant of this model");
    assert_eq!(plan.steps[2].step.needs, [1]);
}

#[test]
fn the_order_of_the_files_is_that_of_the_head() {
    let text = gather(PLAN, PARTS).unwrap();
    let paths: Vec<&str> = text.parts().iter().map(|part| part.path.as_str()).collect();
    assert_eq!(paths, ["parts/power.toml", "parts/pins.toml"]);
    assert_eq!(&*text.parts()[1].source.text, PINS);
    assert_eq!(&*text.plan().text, PLAN);
}

/// The changed file, its original text and replacement, the file that the report shows, and its message.
#[test]
fn mistakes() {
    let rows: &[(&str, &str, &str, &str, &str)] = &[
        ("plan", "\"parts/pins.toml\"", "\"parts/pin.toml\"", "plan", "plans/parts/pin.toml cannot be read"),
        ("plan", "\"parts/pins.toml\"", "\"parts/power.toml\"", "plan", "parts/power.toml is included twice"),
        ("plan", "\"parts/pins.toml\"", "\"/parts/pins.toml\"", "plan", "named by an absolute path"),
        ("plan", "include = [", "includes = [", "plan", "unknown key `includes`"),
        ("plan", "[override.power]", "[override.powr]", "plan", "there is no included step `powr`"),
        ("plan", "[override.power]", "[override.last]", "plan", "step `last` is defined in this plan itself"),
        ("plan", "[override.power]", "[override.boron-only]", "plan", "step `boron-only` is not for this model"),
        ("plan", "[override.power]", "[override.slow]", "plan", "step `slow` is left out"),
        ("plan", "settle = ", "setle = ", "plan", "unknown key `setle`"),
        ("plan", "settle = \"50 ms\"", "settle = 50", "plan", "50 has no unit"),
        ("plan", "settle = \"50 ms\"", "kind = \"wait\"", "plan", "`kind` of an included step cannot be replaced"),
        ("plan", "retry = 2", "retry = 20", "plan", "more than 10 retries"),
        ("plan", "retry = 2", "needs = [\"pinns\"]", "plan", "step `power` needs `pinns`, which is not a step"),
        ("plan", "retry = 2", "needs = [\"slow\"]", "plan", "in a circle: power -> pins -> power"),
        ("plan", "[override.power]", "[[override]]", "plan", "`override` is not a table"),
        ("plan", "[leave_out]\nslow", "[leave_out]\nslwo", "plan", "there is no included step `slwo`"),
        ("plan", "[leave_out]\nslow", "[leave_out]\nlast", "plan", "step `last` is defined in this plan itself"),
        ("plan", "\"it takes a second and shows what `pins` shows\"", "\" \"", "plan", "left out without a reason"),
        ("plan", "\"it takes a second and shows what `pins` shows\"", "true", "plan", "left out without a reason"),
        ("plan", "id = \"last\"", "id = \"pins\"", "plan", "duplicate step id `pins`"),
        ("plan", "kind = \"ohms\"", "models = [\"b404y\"]\nkind = \"ohms\"", "plan", "no model or family `b404y`"),
        ("plan", "limits = \"limits.pull\"", "limits = \"limits.pul\"", "plan", "unknown limits `pul`"),
        ("plan", "[leave_out]", "[limits]\npull = 1\n[leave_out]", "plan", "two limits are called `pull`"),
        ("power", "settle = ", "setle = ", "power", "unknown key `setle`"),
        ("power", "volts = { min = \"3.2 V\"", "volts = { min = \"3.5 V\"", "power", "limits are crossed"),
        ("power", "[[step]]", "include = [\"parts/pins.toml\"]\n[[step]]", "power", "a part cannot include others"),
        ("power", "[[step]]", "format = 1\n[[step]]", "power", "`format` does not belong in a part"),
        ("power", "[[step]]", "[step]", "power", "`step` is not a list"),
        ("power", "settle = \"10 ms\"", "settle = \"10 ms", "power", "not valid TOML"),
        ("pins", "id = \"pins\"", "id = \"power\"", "pins", "duplicate step id `power`"),
        ("pins", "[\"A1\"]", "[\"A9\"]", "", ""),
        ("pins", "needs = [\"power\"]\npins", "needs = [\"powr\"]\npins", "pins", "step `pins` needs `powr`"),
        ("pins", "[\"b4xx\", \"b523\"]", "[\"b4xy\"]", "pins", "no model or family `b4xy`"),
        ("pins", "max = \"20 kohm\"", "max = \"20 V\"", "pins", "is a voltage"),
        ("pins", "limits = \"limits.pull\"\nmodels", "limits = \"limits.pulls\"\nmodels", "pins", "unknown limits"),
    ];
    for (file, from, to, shown, message) in rows {
        let edit = |name: &str, text: &str| if name == *file { changed(text, from, to) } else { text.to_owned() };
        let (plan, power, pins) = (edit("plan", PLAN), edit("power", POWER), edit("pins", PINS));
        let result = check_with(&plan, &[("parts/power.toml", &power), ("parts/pins.toml", &pins)]);
        if message.is_empty() {
            // The parameters of a left-out step are not checked.
            assert!(result.is_ok(), "{from} -> {to}");
            continue;
        }
        let problem = result.err().unwrap_or_else(|| panic!("{from} -> {to} is good"));
        assert!(problem.message.contains(message), "{from} -> {to}: {}", problem.message);
        let name = if *shown == "plan" { "plans/test.toml".into() } else { format!("plans/parts/{shown}.toml") };
        assert_eq!(problem.file.name(), name, "{message}");
        let (text, span) = (problem.file.inner(), problem.span.expect("a place"));
        assert!(text.is_char_boundary(span.offset()) && span.offset() + span.len() <= text.len(), "{message}");
    }
}

#[test]
fn an_empty_part_and_a_plan_without_steps() {
    let problem = check_with(PLAN, &[("parts/power.toml", "# nothing\n"), PARTS[1]]).expect_err("nothing in it");
    assert_eq!((problem.message.as_str(), problem.file.name()), ("the part is empty", "plans/parts/power.toml"));
    let head = &PLAN[..PLAN.find("[override").expect("there")];
    let only_limits = ("parts/power.toml", "[limits]\n");
    let problem = check_with(&changed(head, ", \"parts/pins.toml\"", ""), &[only_limits]).expect_err("tests nothing");
    assert_eq!(problem.message, "the plan has no steps");
}

#[test]
fn a_missing_part_is_shown_where_it_is_named() {
    let problem = check_with(PLAN, &PARTS[..1]).expect_err("missing");
    insta::assert_snapshot!(render(&problem), @r#"
     x plans/parts/pins.toml cannot be read
      ,-[plans/test.toml:6:32]
    5 | firmware = "dut-firmware"
    6 | include = ["parts/power.toml", "parts/pins.toml"]
      :                                ^^^^^^^^|^^^^^^^^
      :                                        `-- no such file
    7 |
      `----
    "#);
}

#[test]
fn a_part_that_includes() {
    let power = format!("include = [\"../test.toml\"]\n{POWER}");
    let problem = check_with(PLAN, &[("parts/power.toml", &power), PARTS[1]]).expect_err("a circle");
    insta::assert_snapshot!(render(&problem), @r#"
     x a part cannot include others
      ,-[plans/parts/power.toml:1:1]
    1 | include = ["../test.toml"]
      : ^^^|^^^
      :    `-- no such key in a part
    2 | # What every plan begins with.
      `----
     help: a part holds [[step]], [limits] and [[not_covered]] only; everything else belongs in the plans that include it
    "#);
}

#[test]
fn a_plan_that_includes_itself() {
    let plan = changed(PLAN, "parts/pins.toml", "test.toml");
    let problem = check_with(&plan, &[PARTS[0], ("test.toml", &plan)]).expect_err("a circle");
    insta::assert_snapshot!(render(&problem), @r#"
     x `format` does not belong in a part of a plan
      ,-[plans/test.toml:1:1]
    1 | format = 1
      : ^^^|^^
      :    `-- no such key in a part
    2 | name = "shared"
      `----
     help: a part holds [[step]], [limits] and [[not_covered]] only; everything else belongs in the plans that include it
    "#);
}

#[test]
fn an_id_that_two_files_have() {
    let plan = changed(PLAN, "id = \"last\"", "id = \"power\"");
    insta::assert_snapshot!(render(&check_with(&plan, PARTS).expect_err("twice")), @r#"
     x duplicate step id `power`
       ,-[plans/test.toml:16:6]
    15 | [[step]]
    16 | id = "power"
       :      ^^^|^^^
       :         `-- used before
    17 | kind = "ohms"
       `----
     help: every id must be unique; the first `power` is in line 3 of plans/parts/power.toml
    "#);
}

#[test]
fn an_override_of_an_unknown_step() {
    let plan = changed(PLAN, "[override.power]", "[override.powr]");
    insta::assert_snapshot!(render(&check_with(&plan, PARTS).expect_err("unknown")), @r#"
     x there is no included step `powr`
      ,-[plans/test.toml:8:11]
    7 |
    8 | [override.powr]
      :           ^^|^
      :             `-- no such step
    9 | settle = "50 ms"
      `----
     help: did you mean `power`?
    "#);
}

#[test]
fn an_override_with_an_unknown_key() {
    let plan = changed(PLAN, "settle", "setle");
    insta::assert_snapshot!(render(&check_with(&plan, PARTS).expect_err("unknown")), @r#"
     x unknown key `setle`
       ,-[plans/test.toml:9:1]
     8 | [override.power]
     9 | setle = "50 ms"
       : ^^|^^
       :   `-- no such key
    10 | retry = 2
       `----
     help: did you mean `settle`?
    "#);
}

/// Text of the plan, and the message; `None`: valid, with the number of contacts that are left out for a reason.
#[test]
fn contacts_that_no_step_covers() {
    let covered = "contact 23 (A0) is covered, by step `pins`";
    let rows: &[(&str, Result<usize, &str>)] = &[
        ("", Ok(0)),
        ("[[not_covered]]\npins = [17, 19]\nreason = \"nobody uses NFC here\"\n", Ok(2)),
        ("[[not_covered]]\npins = [17]\nreason = \"a\"\n[[not_covered]]\nreason = \"b\"\n", Ok(45)),
        ("[[not_covered]]\npins = [\"A0\"]\nreason = \"why not\"\n", Err(covered)),
        ("[[not_covered]]\npins = [17]\nreason = \" \"\n", Err("left out for no reason")),
        ("[[not_covered]]\npins = [17]\n", Err("missing key `reason`")),
        ("[[not_covered]]\npins = [999]\nreason = \"a\"\n", Err("999 is not a contact number")),
        ("[[not_covered]]\npin = [17]\nreason = \"a\"\n", Err("unknown key `pin`")),
        (
            "[[not_covered]]\npins = [17]\nreason = \"a\"\n[[not_covered]]\npins = [17]\nreason = \"b\"\n",
            Err("contact 17 (NFC1) has two reasons"),
        ),
        ("[[not_covered]]\nreason = \"a\"\n[[not_covered]]\nreason = \"b\"\n", Err("two reasons for all the rest")),
        ("[not_covered]\nreason = \"a\"\n", Err("`not_covered` is not a list")),
    ];
    for (text, expected) in rows {
        // In the plan, and in a part of it.
        for (plan, power) in [(format!("{PLAN}{text}"), POWER.to_owned()), (PLAN.to_owned(), format!("{POWER}{text}"))]
        {
            match (check_with(&plan, &[("parts/power.toml", &power), PARTS[1]]), expected) {
                (Ok(plan), Ok(count)) => assert_eq!(plan.not_covered.len(), *count, "{text}"),
                (Err(problem), Err(message)) => {
                    assert!(problem.message.contains(message), "{text}: {}", problem.message)
                }
                (Ok(_), Err(message)) => panic!("{text} is good, not {message}"),
                (Err(problem), Ok(_)) => panic!("{text}: {}", problem.message),
            }
        }
    }
}
