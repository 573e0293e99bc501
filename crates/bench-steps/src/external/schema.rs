//! JSON Schema of the lines between bench and program.

use super::message::PROTOCOL;
use crate::action::{VERBS, action_schema};
use serde_json::{Value, json};

/// Schema of every line: what the bench sends first, what a program sends, and what the bench answers.
pub fn protocol_schema() -> Value {
    let id = json!({ "type": "integer", "minimum": 0, "description": "Larger than that of every request before." });
    let with_id = |mut schema: Value| {
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert("id".into(), id.clone());
        }
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.insert(0, "id".into());
        }
        schema
    };
    let other = |about: &str, properties: Value, required: &[&str]| {
        with_id(json!({
            "type": "object",
            "description": about,
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        }))
    };
    let text = json!({ "type": "string" });
    let pins = json!({ "type": "array", "items": { "type": ["string", "integer"] } });
    let mut requests: Vec<Value> = VERBS.iter().map(|verb| with_id(action_schema(verb))).collect();
    requests.extend([
        other(
            "Delivers a measurement that the plan promises, in the base unit; null for one that could not be taken.",
            json!({ "measured": text, "value": { "type": ["number", "boolean", "null"] } }),
            &["measured", "value"],
        ),
        other("Says what is wrong with the module.", json!({ "diagnose": text, "at": pins }), &["diagnose"]),
        other("Keeps a copy of a file in the record of the run.", json!({ "attach": text, "path": text }), &["attach"]),
        other(
            "Shows how far the program is, from 0 to 1.",
            json!({ "progress": { "type": "number" }, "what": text }),
            &["progress"],
        ),
        other("Asks for the time of the bench, in seconds.", json!({ "time": true }), &["time"]),
        other(
            "Asks the operator: yes or no, one of `choices`, a text that matches `pattern`, or a number in `unit`.",
            json!({
                "ask": text,
                "choices": { "type": "array", "items": text },
                "pattern": text,
                "unit": text,
            }),
            &["ask"],
        ),
    ]);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Lines between the bench and a program of a step of kind `external`",
        "description": format!("Protocol {PROTOCOL}. One JSON object in each line, in UTF-8."),
        "$defs": {
            "hello": {
                "type": "object",
                "description": "The first line that the program gets.",
                "properties": {
                    "protocol": { "const": PROTOCOL },
                    "step": text,
                    "attempt": { "type": "integer" },
                    "serial": text,
                    "model": text,
                    "family": text,
                    "fixture": text,
                    "measurements": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "name": text,
                                "unit": text,
                                "min": { "type": ["number", "null"] },
                                "max": { "type": ["number", "null"] },
                            },
                            "required": ["name", "unit", "min", "max"],
                        },
                    },
                    "parameters": { "type": "object" },
                },
                "required": ["protocol", "step", "attempt", "serial", "model", "family", "fixture", "measurements", "parameters"],
            },
            "request": { "description": "A line of the program. The bench answers each.", "anyOf": requests },
            "reply": {
                "description": "The answer to the request of the same id.",
                "anyOf": [
                    {
                        "type": "object",
                        "properties": {
                            "id": id,
                            "value": { "type": "number", "description": "in the base unit" },
                            "unit": text,
                            "text": text,
                            "bytes": { "type": "string", "description": "hexadecimal" },
                        },
                        "required": ["id"],
                        "additionalProperties": false,
                    },
                    {
                        "type": "object",
                        "properties": {
                            "id": id,
                            "error": text,
                            "kind": { "enum": ["request", "bench", "module"] },
                            "help": text,
                        },
                        "required": ["id", "error", "kind"],
                        "additionalProperties": false,
                    },
                ],
            },
        },
        "anyOf": [{ "$ref": "#/$defs/hello" }, { "$ref": "#/$defs/request" }, { "$ref": "#/$defs/reply" }],
    })
}
