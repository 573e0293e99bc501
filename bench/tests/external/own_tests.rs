//! Tests of one's own, in each of the ways that a plan has for them: they give the same readings.

use crate::stage::{Ran, Stage, has_python};
use bench_run::{Event, Verdict};

/// The pull-up of A0 and of D4 against the nails' series resistors.
const SEQUENCE: &str = r#"
[[step]]
id = "divider"
kind = "sequence"
needs = ["shorts"]
do = [
  { rail = "3V3", on = true },
  { for = "pin", in = ["A0", "D4"], do = [
    { port = "{pin}", to = "pull-up" },
    { drive = "{pin}", high = false },
    { wait = "5 ms" },
    { measure = "volts", at = "{pin}", as = "{pin}_low" },
  ] },
  { calculate = "A0_low / D4_low", as = "ratio" },
]
limits.A0_low = { min = "0.1 V", max = "0.5 V" }
limits.ratio = { min = 0.8, max = 1.25 }
"#;

const PYTHON: &str = include_str!("../../../clients/examples/divider.py");

/// Without a package, to show that the protocol is the contract.
const SHELL: &str = include_str!("../../../clients/examples/divider.sh");

fn external(program: &str) -> String {
    format!(
        r#"
[[step]]
id = "divider"
kind = "external"
needs = ["shorts"]
program = [{program}]
parameters = {{ pins = ["A0", "D4"] }}
rails = ["3V3"]
uses = ["nails", "measure-bus", "ports"]
covers = ["A0", "D4"]
limits.A0_low = {{ min = "0.1 V", max = "0.5 V" }}
limits.ratio = {{ min = 0.8, max = 1.25 }}
"#
    )
}

fn readings(ran: &Ran) -> Vec<(String, f64)> {
    let of = |event: &Event| match event {
        Event::Measured { step, measurement, .. } if step == "divider" => {
            Some((measurement.name.clone(), measurement.value.unwrap_or(f64::NAN)))
        }
        _ => None,
    };
    ran.contents.entries.iter().filter_map(|entry| of(&entry.event)).collect()
}

#[test]
fn the_same_test_in_three_ways() {
    let stage = Stage::new();
    let sequence = stage.run(SEQUENCE, 7);
    assert_eq!(sequence.verdict, Verdict::Pass, "{}", sequence.reason);
    let expected = readings(&sequence);
    assert_eq!(expected.len(), 2);
    stage.write("divider.sh", SHELL);
    stage.write("divider.py", PYTHON);
    let mut ways = vec![r#""sh", "divider.sh""#];
    if has_python() {
        ways.push(r#""python3", "divider.py""#);
    }
    for program in ways {
        let ran = stage.run(&external(program), 7);
        assert_eq!(ran.verdict, Verdict::Pass, "{program}: {}", ran.reason);
        for ((name, is), (_, should)) in readings(&ran).into_iter().zip(&expected) {
            assert!((is - should).abs() < 1e-9, "{program}: {name} is {is}, not {should}");
        }
        assert!(!ran.any_rail_on && ran.rail_volts < 0.3);
    }
}

/// While a program computes, virtual time stands: how long it takes changes nothing.
#[test]
fn the_same_seed_gives_the_same_journal() {
    let stage = Stage::new();
    stage.write("divider.sh", SHELL);
    let steps = external(r#""sh", "divider.sh""#);
    let two_at_once =
        format!("{steps}{}", steps.replace("\"divider\"", "\"again\"").replace("\"shorts\"", "\"divider\""));
    let first = stage.run(&two_at_once, 3);
    assert_eq!(first.verdict, Verdict::Pass, "{}", first.reason);
    stage.write("divider.sh", &SHELL.replace("ask '\"wait", "sleep 0.1; ask '\"wait"));
    let slow = stage.run(&two_at_once, 3);
    let without_hashes = |ran: &Ran| {
        let text = String::from_utf8(ran.journal.clone()).unwrap();
        let cut = |line: &str| line.split(",\"chain\"").next().unwrap_or_default().to_owned();
        text.lines().skip(1).map(cut).collect::<Vec<_>>()
    };
    // The first line holds the hash of the program, which was changed.
    assert_eq!(without_hashes(&first), without_hashes(&slow));
    stage.write("divider.sh", SHELL);
    assert_eq!(stage.run(&two_at_once, 3).journal, first.journal);
}

/// Steps that overlap: which of two programs is heard first does not depend on which is quicker.
#[test]
fn programs_that_overlap_are_heard_in_one_order() {
    let stage = Stage::new();
    let script = |sleep: &str| {
        format!(
            "read hello; for id in 1 2 3 4; do {sleep} printf '{{\"id\":%d,\"wait\":\"1 ms\"}}\\n' $id; read reply; done; \
                 printf '{{\"id\":5,\"measured\":\"answer\",\"value\":1}}\\n'; read reply\n"
        )
    };
    let step = |id: &str, program: &str| {
        format!(
            "[[step]]\nid = \"{id}\"\nkind = \"external\"\nneeds = [\"shorts\"]\nprogram = [\"sh\", \"{program}\"]\n\
                 limits.answer = {{ min = 1, max = 1 }}\n"
        )
    };
    let steps = format!("{}{}", step("a", "a.sh"), step("b", "b.sh"));
    let mut journals = Vec::new();
    for (a, b) in [("", ""), ("sleep 0.05;", ""), ("", "sleep 0.05;")] {
        stage.write("a.sh", &script(a));
        stage.write("b.sh", &script(b));
        let ran = stage.run(&steps, 1);
        assert_eq!(ran.verdict, Verdict::Pass, "{}", ran.reason);
        let events: Vec<_> =
            ran.contents.entries.iter().skip(1).map(|entry| (entry.at_us, entry.event.clone())).collect();
        journals.push(events);
    }
    assert_eq!(journals[0], journals[1]);
    assert_eq!(journals[0], journals[2]);
}

/// The package against a scripted bench.
#[test]
fn the_python_package_passes_its_own_tests() {
    if !has_python() {
        return;
    }
    let mut python = std::process::Command::new("python3");
    python.args(["-m", "unittest", "discover", "-s", "clients/python"]).current_dir(crate::stage::root());
    let output = python.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("Ran 6 tests"), "{said}");
}

/// Every line of a real conversation has the form that the schema says.
#[test]
fn what_is_spoken_is_what_the_schema_says() {
    let stage = Stage::new();
    let listening = SHELL
        .replace("read hello", "read hello; printf '%s\\n' \"$hello\" >> hellos")
        .replace(
            "printf '{\"id\":%d,%s}\\n' \"$id\" \"$1\";",
            "printf '{\"id\":%d,%s}\\n' \"$id\" \"$1\" | tee -a requests;",
        )
        .replace("read reply; }", "read reply; printf '%s\\n' \"$reply\" >> replies; }");
    stage.write("divider.sh", &format!("{listening}\nask '\"measure\":\"volts\",\"at\":\"A00\"'\n"));
    let ran = stage.run(&external(r#""sh", "divider.sh""#), 7);
    assert_eq!(ran.verdict, Verdict::Pass, "{}", ran.reason);
    for (file, part, least) in [("hellos", "hello", 1), ("requests", "request", 12), ("replies", "reply", 12)] {
        let mut schema = bench_steps::protocol_schema();
        schema["anyOf"] = serde_json::json!([{ "$ref": format!("#/$defs/{part}") }]);
        let schema = jsonschema::validator_for(&schema).unwrap();
        let text = stage.read(file);
        for line in text.lines() {
            let value = serde_json::from_str(line).unwrap();
            assert!(schema.is_valid(&value), "{part}: {line}");
        }
        assert!(text.lines().count() >= least, "{file}: {text}");
        assert!(!schema.is_valid(&serde_json::json!({ "id": -1, "measure": "hope" })));
    }
}
