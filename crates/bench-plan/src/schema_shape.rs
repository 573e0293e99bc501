//! Gives a JSON Schema the shape in which a validator has one useful message for each mistake.
//!
//! `oneOf` answers every mistake with "none of these", or with all of them. So what can be distinguished by its type is,
//! words become one `enum`, and `null`, which TOML does not have, goes.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Names in the files of a project, for schemas that know them. An empty list leaves a name open.
#[derive(Debug, Clone, Default)]
pub struct SchemaNames {
    pub models: BTreeSet<String>,
    pub families: BTreeSet<String>,
    pub fixtures: BTreeSet<String>,
    /// With alternate names.
    pub pins: BTreeSet<String>,
    pub rails: BTreeSet<String>,
    /// Parts that modules communicate with.
    pub peers: BTreeSet<String>,
    /// Chips that measure.
    pub instruments: BTreeSet<String>,
    /// Types of modems.
    pub modems: BTreeSet<String>,
}

impl SchemaNames {
    /// The names that the values of a key are, or the items of its list.
    fn of(&self, key: &str) -> Vec<&str> {
        let (first, second) = match key {
            "model" => (&self.models, None),
            "models" => (&self.models, Some(&self.families)),
            "families" => (&self.families, None),
            "fixture" | "base" => (&self.fixtures, None),
            "rail" | "rails" | "supply" => (&self.rails, None),
            "wake" => (&self.pins, None),
            "peer" => (&self.peers, None),
            "part" => (&self.modems, None),
            "chip" => (&self.instruments, None),
            _ => return Vec::new(),
        };
        first.iter().chain(second.into_iter().flatten()).map(String::as_str).collect()
    }

    /// Adds the names to a property that is a text or a list of texts.
    fn name(&self, key: &str, schema: &mut Value) {
        let names = self.of(key);
        let text = match schema.get("type").and_then(Value::as_str) {
            Some("array") => schema.get_mut("items"),
            _ => Some(schema),
        };
        let Some(text) = text.filter(|text| text.get("type").and_then(Value::as_str) == Some("string")) else { return };
        if let (Some(object), false) = (text.as_object_mut(), names.is_empty()) {
            object.insert("enum".into(), json!(names));
        }
    }
}

/// Shapes a whole schema. `names` are written into properties that hold names of a project; those of a fixture file
/// itself are not, because the file defines them.
pub(crate) fn shape(schema: &mut Value, names: &SchemaNames) {
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    walk(schema, &definitions, names);
}

fn walk(schema: &mut Value, definitions: &Value, names: &SchemaNames) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, definitions, names)),
        Value::Object(object) => {
            object.values_mut().for_each(|part| walk(part, definitions, names));
            without_null(object);
            distinguish(object, definitions);
            if let Some(Value::Object(properties)) = object.get_mut("properties") {
                properties.iter_mut().for_each(|(key, property)| names.name(key, property));
            }
        }
        _ => {}
    }
}

fn without_null(object: &mut Map<String, Value>) {
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    for key in ["anyOf", "oneOf"] {
        let Some(Value::Array(branches)) = object.get_mut(key) else { continue };
        branches.retain(|branch| branch.get("type") != Some(&json!("null")));
        if let [Value::Object(only)] = branches.as_slice() {
            let only = only.clone();
            object.remove(key);
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}

/// The words that a schema allows, each with its description, if it allows nothing else.
fn words(schema: &Value, definitions: &Value) -> Option<Vec<(String, String)>> {
    let schema = resolved(schema, definitions);
    let about = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let word = |word: &Value| Some((word.as_str()?.to_owned(), about.to_owned()));
    if let Some(one) = schema.get("const") {
        return Some(vec![word(one)?]);
    }
    if let Some(Value::Array(all)) = schema.get("enum") {
        let plain = |word: &Value| Some((word.as_str()?.to_owned(), String::new()));
        return all.iter().map(plain).collect();
    }
    let branches = schema.get("oneOf").or_else(|| schema.get("anyOf"))?.as_array()?;
    let each: Option<Vec<_>> = branches.iter().map(|branch| words(branch, definitions)).collect();
    Some(each?.concat())
}

fn resolved<'s>(schema: &'s Value, definitions: &'s Value) -> &'s Value {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
    name.and_then(|name| definitions.get(name)).unwrap_or(schema)
}

fn distinguish(object: &mut Map<String, Value>, definitions: &Value) {
    for key in ["oneOf", "anyOf"] {
        let Some(Value::Array(branches)) = object.get(key) else { continue };
        let mut texts: Vec<(String, String)> = Vec::new();
        let mut others: Vec<(String, Value)> = Vec::new();
        for branch in branches {
            let of_type = resolved(branch, definitions).get("type").and_then(Value::as_str).map(str::to_owned);
            match (words(branch, definitions), of_type) {
                (Some(words), _) => texts.extend(words),
                (None, Some(name)) if !others.iter().any(|(other, _)| *other == name) => {
                    others.push((name, branch.clone()));
                }
                // Branches of one type, or of none: nothing tells them apart.
                _ => return,
            }
        }
        if !texts.is_empty() {
            if others.iter().any(|(name, _)| name == "string") {
                return;
            }
            others.push(("string".to_owned(), one_of(&texts)));
        }
        object.remove(key);
        let types: Vec<&str> = others.iter().map(|(name, _)| name.as_str()).collect();
        if let [_] = types.as_slice() {
            if let Some((_, Value::Object(only))) = others.pop() {
                object.extend(only.into_iter().filter(|(key, _)| key != "description"));
            }
            return;
        }
        object.insert("type".into(), json!(types));
        let chain = |(name, branch): &(String, Value)| json!({ "if": { "type": name }, "then": branch });
        object.insert("allOf".into(), Value::Array(others.iter().map(chain).collect()));
    }
}

/// Words with their descriptions, which Taplo and Even Better TOML show.
fn one_of(words: &[(String, String)]) -> Value {
    let names: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
    let mut schema = json!({ "type": "string", "enum": names });
    if words.iter().any(|(_, about)| !about.is_empty()) {
        let about: Vec<&str> = words.iter().map(|(_, about)| about.as_str()).collect();
        if let Some(object) = schema.as_object_mut() {
            object.insert("x-taplo".into(), json!({ "docs": { "enumValues": about } }));
        }
    }
    schema
}

/// Adds the names of pins to the definition of one.
pub(crate) fn name_pins(schema: &mut Value, names: &SchemaNames) {
    let Some(branches) = schema.pointer_mut("/$defs/Pin/oneOf").and_then(Value::as_array_mut) else { return };
    for branch in branches.iter_mut().filter(|branch| branch.get("type") == Some(&json!("string"))) {
        if let (Some(object), false) = (branch.as_object_mut(), names.pins.is_empty()) {
            object.insert("enum".into(), json!(names.pins));
        }
    }
}
