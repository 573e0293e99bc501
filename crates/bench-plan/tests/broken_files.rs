//! Ten ways to get a file wrong, each with one message that names file, line, spot and what was expected.

#![allow(clippy::expect_used)] // the helpers below are tests too

mod plan_support;

use plan_support::{PLAN, changed, check, check_fixture, fixture_text, render};

fn plan_problem(from: &str, to: &str) -> String {
    render(&check(&changed(PLAN, from, to)).expect_err("the plan is broken"))
}

fn fixture_problem(from: &str, to: &str) -> String {
    render(&check_fixture(&changed(&fixture_text(), from, to)).expect_err("the fixture is broken"))
}

#[test]
fn misspelt_key() {
    insta::assert_snapshot!(plan_problem("settle = ", "setle = "), @r#"
     x unknown key `setle`
       ,-[plans/test.toml:20:1]
    19 | volts = { min = "3.2 V", max = "3.4 V" }
    20 | setle = "10 ms"
       : ^^|^^
       :   `-- no such key
    21 | timeout = "2 s"
       `----
     help: did you mean `settle`?
    "#);
}

#[test]
fn misspelt_common_key() {
    insta::assert_snapshot!(plan_problem("retry = 1", "retries = 1"), @r#"
     x unknown key `retries`
       ,-[plans/test.toml:31:1]
    30 | shares = ["dut", "measure-bus"]
    31 | retries = 1
       : ^^^|^^^
       :    `-- no such key
    32 | on_fail = "continue"
       `----
     help: did you mean `retry`?
    "#);
}

#[test]
fn unknown_pin() {
    insta::assert_snapshot!(plan_problem(r#"["TX", "RX"]"#, r#"["TX", "A9"]"#), @r#"
     x b4xx has no pin `A9`
       ,-[plans/test.toml:27:49]
    26 | needs = ["power"]
    27 | pins = { functions = ["gpio"], exclude = ["TX", "A9"] }
       :                                                 ^^|^
       :                                                   `-- no such pin
    28 | limits = { min = "10 kohm", max = "20 kohm" }
       `----
     help: did you mean `A0`?
    "#);
}

#[test]
fn crossed_limits() {
    insta::assert_snapshot!(plan_problem(r#"min = "3.2 V", max = "3.4 V""#, r#"min = "3.4 V", max = "3.2 V""#), @r#"
     x limits are crossed: min is 3.4 V, max only 3.2 V
       ,-[plans/test.toml:19:9]
    18 | rail = "3V3"
    19 | volts = { min = "3.4 V", max = "3.2 V" }
       :         ^^^^^^^^^^^^^^^^|^^^^^^^^^^^^^^^
       :                         `-- here
    20 | settle = "10 ms"
       `----
     help: expected min to be at most max
    "#);
}

#[test]
fn nail_wired_twice() {
    insta::assert_snapshot!(fixture_problem("contact = 35, pin = \"A2\"", "contact = 33, pin = \"A1\""), @r#"
     x the nail of contact 33 (A1) is wired twice
        ,-[fixtures/b-series.toml:247:15]
    246 |   { contact = 33, pin = "A1", io = "io0.GPA5", mux = [2, 5] },
    247 |   { contact = 33, pin = "A1", io = "io0.GPA6", mux = [3, 5] },
        :               ^|
        :                `-- used before
    248 |   { contact = 37, pin = "A3", io = "io0.GPB0", mux = [4, 5] },
        `----
     help: its first use is in line 246; every contact has one nail
    "#);
}

#[test]
fn missing_unit() {
    insta::assert_snapshot!(plan_problem(r#"settle = "10 ms""#, "settle = 10"), @r#"
     x 10 has no unit
       ,-[plans/test.toml:20:10]
    19 | volts = { min = "3.2 V", max = "3.4 V" }
    20 | settle = 10
       :          ^|
       :           `-- here
    21 | timeout = "2 s"
       `----
     help: expected a time such as "10 ms"
    "#);
}

#[test]
fn cyclic_needs() {
    insta::assert_snapshot!(plan_problem("kind = \"ohms\"\npins = [", "kind = \"ohms\"\nneeds = [\"pins\"]\npins = ["), @r#"
     x steps need each other in a circle: shorts -> pins -> power -> shorts
       ,-[plans/test.toml:11:10]
    10 | kind = "ohms"
    11 | needs = ["pins"]
       :          ^^^|^^
       :             `-- closes the circle
    12 | pins = ["3V3", "VCC"]
       `----
     help: none of them could ever start: take one of these needs out
    "#);
}

#[test]
fn wrong_model() {
    insta::assert_snapshot!(plan_problem(r#"model = "b404x""#, r#"model = "boron""#), @r#"
     x the plan is for another model: fixture `b-series` does not take boron
      ,-[plans/test.toml:4:9]
    3 | title = "Short test of the B404X"
    4 | model = "boron"
      :         ^^^|^^^
      :            `-- a module of family boron
    5 | fixture = "b-series"
      `----
     help: the nest of `b-series` takes b4xx, b5xx
    "#);
}

#[test]
fn unknown_step_kind() {
    insta::assert_snapshot!(plan_problem(r#"kind = "rail""#, r#"kind = "rails""#), @r#"
     x unknown step kind `rails`
       ,-[plans/test.toml:16:8]
    15 | id = "power"
    16 | kind = "rails"
       :        ^^^|^^^
       :           `-- no such kind
    17 | needs = ["shorts"]
       `----
     help: did you mean `rail`?
    "#);
}

#[test]
fn duplicate_id() {
    insta::assert_snapshot!(plan_problem(r#"id = "pins""#, r#"id = "shorts""#), @r#"
     x duplicate step id `shorts`
       ,-[plans/test.toml:24:6]
    23 | [[step]]
    24 | id = "shorts"
       :      ^^^^|^^^
       :          `-- used before
    25 | kind = "ohms"
       `----
     help: every id must be unique; the first `shorts` is in line 9
    "#);
}

#[test]
fn invalid_toml() {
    insta::assert_snapshot!(plan_problem(r#"settle = "10 ms""#, r#"settle = "10 ms"#), @r#"
     x not valid TOML: invalid basic string
       ,-[plans/test.toml:20:16]
    19 | volts = { min = "3.2 V", max = "3.4 V" }
    20 | settle = "10 ms
       :                ^
       :                `-- here
    21 | timeout = "2 s"
       `----
     help: expected `"`
    "#);
}
