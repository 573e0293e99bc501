//! The table of kinds for people and editors.

use super::kinds::{FaultKind, KINDS};
use std::fmt::Write;

/// Each kind for `--help`, where lines are wrapped: its syntax, below it its effect.
pub fn fault_help() -> String {
    KINDS.iter().map(|kind| format!("  {}\n      {}\n", kind.usage(), kind.doc)).collect()
}

/// One line for each kind: its syntax and its effect.
pub fn fault_usages() -> String {
    let width = KINDS.iter().map(|kind| kind.usage().len()).max().unwrap_or(0);
    let line = |kind: &FaultKind| format!("{:width$}  {}\n", kind.usage(), kind.doc);
    KINDS.iter().map(line).collect()
}

/// The same as a table in Markdown, with the class of defects.
pub fn fault_table() -> String {
    let mut table = String::from("| order | what it does | class of defects |\n|---|---|---|\n");
    for kind in KINDS {
        let usage = kind.usage().replace('|', "\\|");
        let _ = writeln!(table, "| `{usage}` | {} | {} |", kind.doc, kind.classes().join("; "));
    }
    table
}

/// The habits of good modems as a table in Markdown.
pub fn habit_table() -> String {
    let mut table = String::from("| habit | the modem |\n|---|---|\n");
    for (name, doc) in crate::modem::Habits::known() {
        let _ = writeln!(table, "| `{name}` | {doc} |");
    }
    table
}

/// The habits that can be ordered, by their names.
pub fn habit_names() -> impl Iterator<Item = &'static str> {
    crate::modem::Habits::known().map(|(name, _)| name)
}

/// JSON Schema of an order, for editors.
pub fn fault_schema() -> serde_json::Value {
    let entry = |kind: &FaultKind| serde_json::json!({ "pattern": kind.pattern(), "description": kind.doc });
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A fault of the virtual bench",
        "type": "string",
        "oneOf": KINDS.iter().map(entry).collect::<Vec<_>>(),
    })
}
