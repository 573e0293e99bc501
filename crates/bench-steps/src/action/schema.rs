//! JSON Schema of actions, from their table.

use super::verbs::{Form, Key, VERBS, Verb};
use bench_plan::Node;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// A list of actions as a plan writes it, with the places of all parts.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct ActionList(pub Vec<Node>);

impl JsonSchema for ActionList {
    fn schema_name() -> Cow<'static, str> {
        "ActionList".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut forms: Vec<Value> = VERBS.iter().map(|verb| action(verb, &[("as", AS)])).collect();
        let text = |about: &str| json!({ "type": "string", "description": about });
        forms.push(json!({
            "type": "object",
            "description": "Computes a reading from named ones.",
            "properties": { "calculate": text("for example \"divider / supply\""), "as": text(AS) },
            "required": ["calculate", "as"],
            "additionalProperties": false,
        }));
        forms.push(json!({
            "type": "object",
            "description": "Repeats actions, with {name} replaced by each value in turn.",
            "properties": {
                "for": text("the name"),
                "in": { "type": "array", "items": { "type": ["string", "number"] } },
                "do": { "type": "array", "items": { "type": "object" } },
            },
            "required": ["for", "in", "do"],
            "additionalProperties": false,
        }));
        json_schema!({ "type": "array", "items": { "anyOf": forms } })
    }
}

const AS: &str = "name of the reading";

/// The schema of one action, as a value of an object schema; `more` are further keys with text values.
pub fn action_schema(verb: &Verb) -> Value {
    action(verb, &[])
}

fn action(verb: &Verb, more: &[(&str, &str)]) -> Value {
    let mut properties = Map::new();
    properties.insert(verb.name.to_owned(), value(verb.form, verb.about));
    for Key { name, form, about, .. } in verb.keys {
        properties.insert((*name).to_owned(), value(*form, about));
    }
    for (name, about) in more {
        properties.insert((*name).to_owned(), json!({ "type": "string", "description": about }));
    }
    let needed = verb.keys.iter().filter(|key| key.is_needed).map(|key| key.name);
    let required: Vec<&str> = std::iter::once(verb.name).chain(needed).collect();
    json!({
        "type": "object",
        "description": verb.about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn value(form: Form, about: &str) -> Value {
    let about = format!("{about}: {}", form.expected());
    match form {
        Form::Pin | Form::PinOr(_) => json!({ "type": ["string", "integer"], "description": about }),
        Form::Truth => json!({ "type": "boolean", "description": about }),
        Form::Whole => json!({ "type": "integer", "description": about, "minimum": 0 }),
        Form::Word(words) => json!({ "enum": words, "description": about }),
        _ => json!({ "type": "string", "description": about }),
    }
}

/// The table of actions for the documentation.
pub fn action_table() -> String {
    use std::fmt::Write as _;
    let mut table =
        String::from("| action | its value | further keys | gives | needs | |\n|---|---|---|---|---|---|\n");
    let cell = |text: &str| text.replace('|', "\\|");
    for verb in VERBS {
        let keys: Vec<String> = verb
            .keys
            .iter()
            .map(|key| format!("`{}`{}: {}", key.name, if key.is_needed { ", required" } else { "" }, key.about))
            .collect();
        let gives = match verb.gives {
            super::verbs::Gives::Nothing => String::new(),
            super::verbs::Gives::Reading(unit) if unit.symbol().is_empty() => "a number".to_owned(),
            super::verbs::Gives::Reading(unit) => unit.symbol().to_owned(),
            super::verbs::Gives::ByQuantity => "V, ohm, A, Hz or %".to_owned(),
            super::verbs::Gives::Bytes => "bytes; as a number, the first of them".to_owned(),
            super::verbs::Gives::Text => "a text and a number".to_owned(),
        };
        let shares = verb.shares.iter().map(|name| format!("`{name}` (shared)"));
        let needs: Vec<String> = verb.uses.iter().map(|name| format!("`{name}`")).chain(shares).collect();
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {gives} | {} | {} |",
            verb.name,
            cell(&verb.form.expected()),
            cell(&keys.join("; ")),
            needs.join(", "),
            cell(verb.about)
        );
    }
    table
}
