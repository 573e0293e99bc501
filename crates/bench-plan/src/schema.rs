//! JSON Schemas of the files that people write, for completion and checks in editors and CI.

use crate::StepKinds;
use crate::fixture_desk::RawDeskFixture;
use crate::fixture_file::RawFixture;
use crate::fixture_jumpers::RawJumpers;
use crate::plan_head::{RawAlsoOn, RawHead};
use crate::plan_not_covered::RawNotCovered;
use crate::plan_steps::RawStep;
use crate::schema_shape::{self, SchemaNames};
use crate::station::RawStation;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// JSON Schema (2020-12) of `plans/*.toml`: a step is one of the kinds, each with its own parameters.
pub fn plan_schema<K: StepKinds>(kinds: &K, names: &SchemaNames) -> Schema {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut head = RawHead::json_schema(&mut generator);
    let steps = steps_schema(kinds, &mut generator);
    let overrides = json!({
        "type": "object",
        "description": "Keys of included steps that are replaced, by the step's id",
        "additionalProperties": { "type": "object" },
    });
    let leave_out = json!({
        "type": "object",
        "description": "Included steps that this plan leaves out, by id, each with the reason",
        "additionalProperties": { "type": "string", "minLength": 1 },
    });
    let also_on = json!({
        "type": "array",
        "description": "Reduced fixtures, based on that one, on which a module may pass without the steps that cannot be \
                        done there, each with the reason",
        "items": generator.subschema_for::<RawAlsoOn>(),
    });
    let more = [
        ("also_on", also_on),
        ("step", steps),
        ("limits", limits_schema()),
        ("override", overrides),
        ("leave_out", leave_out),
        ("not_covered", json!({ "type": "array", "items": generator.subschema_for::<RawNotCovered>() })),
    ];
    add_properties(&mut head, more.map(|(key, schema)| (key.to_owned(), schema)));
    // All steps may be in the parts.
    head.insert("anyOf".into(), json!([{ "required": ["step"] }, { "required": ["include"] }]));
    finish(head, &mut generator, "Test plan", names)
}

/// JSON Schema (2020-12) of `plans/parts/*.toml`: what plans share.
pub fn plan_part_schema<K: StepKinds>(kinds: &K, names: &SchemaNames) -> Schema {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut part = schemars::json_schema!({ "type": "object", "additionalProperties": false });
    let steps = steps_schema(kinds, &mut generator);
    let reasons = json!({ "type": "array", "items": generator.subschema_for::<RawNotCovered>() });
    let keys = [("step", steps), ("limits", limits_schema()), ("not_covered", reasons)];
    add_properties(&mut part, keys.map(|(key, schema)| (key.to_owned(), schema)));
    finish(part, &mut generator, "Part of test plans", names)
}

fn steps_schema<K: StepKinds>(kinds: &K, generator: &mut SchemaGenerator) -> Value {
    let base = RawStep::json_schema(generator);
    let kinds_and_params = kinds.schemas(generator);
    let names: Vec<&str> = kinds_and_params.iter().map(|(kind, _)| *kind).collect();
    let step = |(kind, params): &(&str, Schema)| {
        json!({
            "if": { "required": ["kind"], "properties": { "kind": { "const": kind } } },
            "then": step_schema(kind, params, &base, kinds.may_measure_nothing(kind)),
        })
    };
    // The kind alone decides: a mistake in a step is one of its kind, not of all of them.
    let kind = json!({ "type": "string", "description": "Kind of test.", "enum": names });
    let steps: Vec<Value> = kinds_and_params.iter().map(step).collect();
    let item = json!({
        "type": "object",
        "required": ["kind"],
        "properties": { "kind": kind },
        "allOf": steps,
    });
    json!({ "type": "array", "minItems": 1, "items": item })
}

fn limits_schema() -> Value {
    json!({
        "type": "object",
        "description": "Limits that steps share, by name: a step writes \"limits.<name>\" in place of its limits",
        "additionalProperties": { "type": "object" },
    })
}

/// JSON Schema (2020-12) of `fixtures/*.toml`.
pub fn fixture_schema(names: &SchemaNames) -> Schema {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let (bed, jumpers) = (RawFixture::json_schema(&mut generator), RawJumpers::json_schema(&mut generator));
    let desk = RawDeskFixture::json_schema(&mut generator);
    let schema = schemars::json_schema!({
        "type": "object",
        "if": { "required": ["base"] },
        "then": jumpers.to_value(),
        "else": {
            "if": { "required": ["desk"] },
            "then": desk.to_value(),
            "else": bed.to_value(),
        },
    });
    // Its own rails, chips and parts have the names that it gives them.
    let names =
        SchemaNames { families: names.families.clone(), fixtures: names.fixtures.clone(), ..Default::default() };
    finish(schema, &mut generator, "Bed of nails", &names)
}

/// JSON Schema (2020-12) of `station.toml`.
pub fn station_schema(names: &SchemaNames) -> Schema {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let schema = RawStation::json_schema(&mut generator);
    finish(schema, &mut generator, "Station", names)
}

/// Combines the keys of every step with those of this kind in one closed object.
fn step_schema(kind: &str, params: &Schema, base: &Schema, may_measure_nothing: bool) -> Value {
    let mut step = base.clone();
    let own = params.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    add_properties(&mut step, own);
    // Of the right kind already.
    add_properties(&mut step, [("kind".to_owned(), json!(true))]);
    require(&mut step, params.get("required").and_then(Value::as_array).cloned().unwrap_or_default());
    step.insert("title".into(), json!(kind));
    step.remove("description");
    if let Some(description) = params.get("description") {
        step.insert("description".into(), description.clone());
    }
    if may_measure_nothing {
        step.insert("$comment".into(), json!("may measure nothing"));
    }
    step.insert("additionalProperties".into(), json!(false));
    step.to_value()
}

fn add_properties(schema: &mut Schema, new: impl IntoIterator<Item = (String, Value)>) {
    match schema.ensure_object().entry("properties").or_insert_with(|| json!({})) {
        Value::Object(properties) => properties.extend(new),
        other => *other = Value::Object(new.into_iter().collect()),
    }
}

fn require(schema: &mut Schema, keys: impl IntoIterator<Item = Value>) {
    let object = schema.ensure_object();
    let required = object.entry("required").or_insert_with(|| json!([]));
    if let Value::Array(required) = required {
        for key in keys {
            if !required.contains(&key) {
                required.push(key);
            }
        }
    }
}

fn finish(mut schema: Schema, generator: &mut SchemaGenerator, title: &str, names: &SchemaNames) -> Schema {
    let definitions = generator.take_definitions(true);
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".into(), json!(title));
    if !definitions.is_empty() {
        schema.insert("$defs".into(), Value::Object(definitions));
    }
    shaped(schema, names)
}

/// Gives a schema the shape in which editors have one message for each mistake.
pub(crate) fn shaped(schema: Schema, names: &SchemaNames) -> Schema {
    let mut value = schema.clone().to_value();
    schema_shape::name_pins(&mut value, names);
    schema_shape::shape(&mut value, names);
    Schema::try_from(value).unwrap_or(schema)
}
