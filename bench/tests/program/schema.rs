//! The JSON Schemas in a validator, as editors use one: nothing about the files of the project, and one or two messages
//! about each mistake.

use crate::support::{output, root};
use crate::wrong_plans::{SPOILS, WRONG};
use jsonschema::Validator;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Schemas by the argument of `bench schema`, each with its copy for editors and the folder of the files.
const SCHEMAS: [(&str, &str, &str); 4] = [
    ("plan", "plans/schema/plan.json", "plans"),
    ("part", "plans/schema/part.json", "plans/parts"),
    ("fixture", "fixtures/schema/fixture.json", "fixtures"),
    ("dut", "fixtures/schema/dut.json", "fixtures/duts"),
];

/// Files next to the fixtures that are none.
const OTHERS: [&str; 2] = ["defect-rates.toml", "operator.toml"];

fn validator(of: &str) -> Validator {
    let schema: Value = serde_json::from_slice(&output(&["schema", of]).stdout).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".toml") && !OTHERS.contains(&name)
    };
    paths.filter(is_one).collect()
}

/// The document as a validator takes it; none if it is not TOML.
fn document(text: &str) -> Option<Value> {
    serde_json::to_value(toml::from_str::<toml::Table>(text).ok()?).ok()
}

fn messages(validator: &Validator, text: &str) -> Option<Vec<String>> {
    let document = document(text)?;
    Some(validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect())
}

fn folder_of(file: &str) -> &str {
    Path::new(file).parent().unwrap().to_str().unwrap()
}

#[test]
fn the_files_of_the_project_are_good() {
    for (of, _, folder) in SCHEMAS {
        let validator = validator(of);
        let files = files(folder);
        assert!(files.len() > 2, "{folder}");
        for file in files {
            let wrong = messages(&validator, &fs::read_to_string(&file).unwrap()).unwrap();
            assert!(wrong.is_empty(), "{}: {wrong:#?}", file.display());
        }
    }
}

/// Editors find the schema by a line in the file, and the schema is that of this version.
#[test]
fn editors_find_the_schema() {
    for (of, copy, folder) in SCHEMAS {
        let fresh = String::from_utf8(output(&["schema", of]).stdout).unwrap();
        let path = root().join(copy);
        assert!(
            fs::read_to_string(&path).is_ok_and(|copy| copy.replace("\r\n", "\n") == fresh),
            "{copy} is not that of this version: bench schema {of} > {copy}"
        );
        for file in files(folder) {
            let text = fs::read_to_string(&file).unwrap();
            let head = text.lines().take_while(|line| line.is_empty() || line.starts_with('#'));
            let named = head.filter_map(|line| line.strip_prefix("#:schema ")).next();
            let named = named.unwrap_or_else(|| panic!("{} has no #:schema line", file.display()));
            let found = file.parent().unwrap().join(named).canonicalize().unwrap();
            assert_eq!(found, path.canonicalize().unwrap(), "{}", file.display());
        }
    }
}

/// Mistakes that a schema can see, from the twenty wrong plans and one by one.
#[test]
fn a_mistake_has_two_messages_at_most() {
    let (mut seen, mut all, mut wrong) = (0, 0, Vec::new());
    for (of, _, folder) in SCHEMAS {
        let validator = validator(of);
        for (file, old, new, ..) in WRONG.iter().flatten().filter(|(file, ..)| folder_of(file) == folder) {
            let text = fs::read_to_string(root().join(file)).unwrap().replacen(old, new, 1);
            let Some(messages) = messages(&validator, &text) else { continue };
            all += 1;
            seen += usize::from(!messages.is_empty());
            if messages.len() > 2 || messages.iter().any(|message| message.len() > 6_000) {
                wrong.push(format!("{file}: {new}: {messages:#?}"));
            }
        }
        if of != "part" {
            continue;
        }
        for file in files(folder) {
            let text = fs::read_to_string(&file).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            for (number, line) in lines.iter().enumerate() {
                for spoilt in SPOILS.iter().filter_map(|(_, spoil)| spoil(line)) {
                    let mut lines = lines.clone();
                    lines[number] = &spoilt;
                    let Some(messages) = messages(&validator, &lines.join("\n")) else { continue };
                    all += 1;
                    seen += usize::from(!messages.is_empty());
                    if messages.len() > 2 {
                        wrong.push(format!("{}:{}: {spoilt}: {messages:#?}", file.display(), number + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Needs, crossed limits and what depends on other files are not for a schema.
    assert!(all > 500 && seen * 100 > all * 70, "{seen} of {all}");
}

/// What an editor shows of three mistakes that everybody makes.
#[test]
fn what_editors_show() {
    let validator = validator("part");
    let step = |keys: &str| format!("[[step]]\nid = \"a\"\n{keys}\n");
    let rail = "rail = \"3V3\"\nvolts = { min = \"3 V\" }\namps = { max = \"1 A\" }\nsettle = \"1 ms\"\n";
    for (text, said) in [
        (step("kind = \"rail-0n\""), "is not one of"),
        (step(&format!("kind = \"rail-on\"\n{rail}setle = 1")), "'setle' was unexpected"),
        (step(&format!("kind = \"rail-on\"\n{}", rail.replace("\"1 ms\"", "5"))), "is not of type \"string\""),
        (step(&format!("kind = \"rail-on\"\n{}", rail.replace("3V3", "3V4"))), "is not one of"),
        (step(&format!("kind = \"rail-on\"\n{rail}on_fail = \"go-on\"")), "is not one of"),
        (step("kind = \"continuity\"\npins = [\"Q9\"]\nohms = { max = \"1 ohm\" }"), "is not one of"),
        (step("kind = \"continuity\"\npins = \"grond\"\nohms = { max = \"1 ohm\" }"), "is not one of"),
        (step(&format!("kind = \"rail-on\"\n{}", rail.replace("1 A", "1,5 A"))), "does not match"),
        ("[[step]]\nid = \"a\"\n".to_owned(), "\"kind\" is a required property"),
    ] {
        let messages = messages(&validator, &text).unwrap();
        assert!(messages.len() == 1 && messages[0].contains(said), "{text}{messages:#?}");
    }
}
