//! A kind of step that finds nothing would be useless or fake: without any one of them a plan is worth less.

use crate::support::{for_all, output, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// A kind, and a fault that the plan without it misses or names wrongly. Without some kinds not even a good module
/// passes: nothing may be switched on that was not checked, and no step greets the firmware.
const SOM: &str = "plans/b404x.toml";
const SOM_ROWS: [(&str, &str); 36] = [
    ("link-loopback", "slow-link"),
    ("rail-resistance", "short:3v3-gnd"),
    ("continuity", "open:56"),
    ("isolation", "short:51-53"),
    ("clamp-diodes", "open:46"),
    ("pulled-to", "leak:73-gnd"),
    ("rail-on", "overload:vusb"),
    ("quiet", "stuck-high:17"),
    ("program", "wrong-mcu"),
    ("reset", "stuck-high:34"),
    ("identify", "wrong-model:b402"),
    ("interconnect", "swap:62-64"),
    ("pulls", "weak-pull:62"),
    ("drive", "weak-driver:23"),
    ("adc", "adc-gain:5"),
    ("external-flash", "flash-bad-block"),
    ("ble", "ble-weak"),
    ("interrupts", "interrupt-dead:3"),
    ("pwm", "pwm-dead:1"),
    ("crystal", "crystal:100"),
    ("spi-memory", "spim-dead:3"),
    ("i2c-memory", "twim-dead:0"),
    ("uart-flow", "flow-dead:cts"),
    ("link-pulls", "lost-pull:36"),
    ("supply-current", "sleep-current"),
    ("usb", "usb-dead"),
    ("nfc", "nfc-detuned"),
    ("retained", "retained-lost"),
    ("modem-on", "modem-dead"),
    ("modem-boot", "modem-boot-current"),
    ("modem-ready", "modem-flow-swapped"),
    ("modem-identity", "imei-default"),
    ("modem-sim", "sim-carrier"),
    ("modem-signal", "cell-antenna"),
    ("modem-contacts", "swap:69-71"),
    ("modem-off", "modem-never-off"),
];

/// On one core: the caller has others.
fn study(plan: &str, extra: &[&str]) -> Value {
    study_on("1", plan, extra)
}

fn study_on(cores: &str, plan: &str, extra: &[&str]) -> Value {
    let mut arguments = vec!["coverage", plan, "--quick", "--jobs", cores, "--json"];
    arguments.extend(extra);
    let done = output(&arguments);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// Every kind of the plan has a row, every fault is named by the whole plan, and none by the plan without its kind.
fn each_kind_is_worth_something(plan: &str, rows: &[(&str, &str)]) {
    let faults: Vec<&str> = rows.iter().flat_map(|(_, fault)| ["--faults", fault]).collect();
    let whole = study_on("2", plan, &[&["--good", "1"], faults.as_slice()].concat());
    assert_eq!((&whole["false_fails"], &whole["named"]), (&Value::from(0), &Value::from(rows.len())), "{whole:#}");
    let kinds = |value: &Value| value["kind"].as_str().unwrap().to_owned();
    // What the bench finds out about itself is worth something where it is at fault: `bench_fault_tests`.
    let of_module = |kind: &String| kind != "bench-check";
    let in_plan: BTreeSet<String> = whole["per_step"].as_array().unwrap().iter().map(kinds).filter(of_module).collect();
    let in_rows: BTreeSet<String> = rows.iter().map(|(kind, _)| (*kind).to_owned()).collect();
    assert_eq!(in_plan, in_rows);
    for_all(rows, |(kind, fault)| {
        let without = |good: &str| study(plan, &["--without", kind, "--faults", fault, "--good", good]);
        let lower = without("0")["named"] == 0 || without("1")["false_fails"] == 1;
        if lower { Ok(()) } else { Err(format!("{plan} without {kind} still names {fault}")) }
    });
}

#[test]
fn every_kind_of_the_som_plan() {
    each_kind_is_worth_something(SOM, &SOM_ROWS);
}

#[test]
fn enabling_the_boron() {
    let rest = ["--faults", "open:26", "--good", "1"];
    let (whole, without) =
        (study("plans/boron.toml", &rest), study("plans/boron.toml", &[&["--without", "enable"], &rest[..]].concat()));
    assert_eq!((&whole["named"], &whole["false_fails"]), (&Value::from(1), &Value::from(0)), "{whole:#}");
    assert_eq!((&without["detected"], &without["false_fails"]), (&Value::from(0), &Value::from(0)), "{without:#}");
}

/// Such a test detects the pair and cannot distinguish the two.
#[test]
fn the_pair_test_without_its_pairs_finds_no_open() {
    let rest = ["--faults", "open:23", "--good", "1"];
    let plan = "plans/b404x-pair-test.toml";
    let (whole, without) = (study(plan, &rest), study(plan, &[&["--without", "pair-test"], &rest[..]].concat()));
    assert_eq!((&whole["detected"], &whole["false_fails"]), (&Value::from(1), &Value::from(0)), "{whole:#}");
    assert_eq!((&without["detected"], &without["false_fails"]), (&Value::from(0), &Value::from(0)), "{without:#}");
}
