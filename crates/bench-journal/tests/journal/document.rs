//! docs/reference/journal-format.md matches the code.

use crate::arbitrary;
use bench_journal::parse;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};

const DOCUMENT: &str = include_str!("../../../../docs/reference/journal-format.md");

/// Names of all fields and events below a value.
fn names(value: &Value, names_found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                names_found.insert(name.clone());
                if ["event", "kind", "defect", "verdict", "unit"].contains(&name.as_str())
                    && let Some(word) = value.as_str().filter(|word| word.is_ascii() && name != "kind")
                {
                    names_found.insert(word.to_owned());
                }
                names(value, names_found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| names(value, names_found)),
        _ => {}
    }
}

#[test]
fn the_example_reads_and_is_written_the_same() {
    let example = DOCUMENT.split_once("```jsonl\n").unwrap().1.split_once("```").unwrap().0;
    let run = parse(example.as_bytes()).unwrap();
    assert!(run.finished);
    for (entry, line) in run.entries.iter().zip(example.lines()) {
        let (unchained, _) = line.split_once(",\"chain\":").unwrap();
        assert_eq!(serde_json::to_string(entry).unwrap(), format!("{unchained}}}"));
    }
    assert!(bench_run::rejudge(&run.entries).holds(), "{:?}", bench_run::rejudge(&run.entries));
    let kinds: HashSet<_> = run.entries.iter().map(|entry| std::mem::discriminant(&entry.event)).collect();
    assert_eq!(kinds.len(), 11, "the example shows every event");
}

#[test]
fn every_field_and_every_word_is_described() {
    let mut runner = TestRunner::deterministic();
    let mut names_found = BTreeSet::new();
    for _ in 0..2000 {
        let event = arbitrary::event().new_tree(&mut runner).unwrap().current();
        names(&serde_json::to_value(event).unwrap(), &mut names_found);
    }
    assert!(
        names_found.contains("firmware_sha256") && names_found.contains("wrong-model"),
        "too few events to say anything"
    );
    // `kind`, `seed`, `station` and `faults` are in the notation of the objects they belong to.
    let described =
        |name: &String| DOCUMENT.contains(&format!("`{name}`")) || DOCUMENT.contains(&format!("\"{name}\":"));
    let missing: Vec<&String> = names_found.iter().filter(|name| !described(name)).collect();
    assert!(missing.is_empty(), "not described: {missing:?}");
}
