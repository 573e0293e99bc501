//! The lines between bench and program.

use bench_instruments::ProgramOrder;
use bench_plan::{Node, Spanned, Tree};
use bench_run::MeasurementSpec;
use serde_json::{Map, Value, json};

/// Version of the protocol. A program checks it in the first line that it gets.
pub const PROTOCOL: u32 = 1;

/// Contents of the first line that the program gets.
pub(crate) struct Hello<'a> {
    pub step: &'a str,
    pub attempt: u8,
    pub serial: &'a str,
    pub model: &'a str,
    pub family: &'a str,
    pub fixture: &'a str,
    pub specs: &'a [MeasurementSpec],
    pub parameters: &'a Value,
}

pub(crate) fn hello(of: &Hello<'_>) -> String {
    let measurement = |spec: &MeasurementSpec| json!({ "name": spec.name, "unit": spec.unit, "min": spec.limits.min, "max": spec.limits.max });
    json!({
        "protocol": PROTOCOL,
        "step": of.step,
        "attempt": of.attempt,
        "serial": of.serial,
        "model": of.model,
        "family": of.family,
        "fixture": of.fixture,
        "measurements": of.specs.iter().map(measurement).collect::<Vec<_>>(),
        "parameters": of.parameters,
    })
    .to_string()
}

/// A request of the program.
pub(crate) struct Request {
    pub id: u64,
    /// The other keys.
    pub body: Node,
}

/// Largest number that every language holds exactly.
const LARGEST_ID: u64 = 1 << 53;

/// Reads a request.
///
/// # Errors
/// Why this is none: the program does not speak the protocol.
pub(crate) fn read(line: &str) -> Result<Request, String> {
    let shown = || line.chars().take(80).collect::<String>();
    let value: Value = serde_json::from_str(line).map_err(|error| {
        let hint = if line.contains("NaN") || line.contains("Infinity") {
            "; JSON has no NaN and no infinity: deliver null for a reading that could not be taken"
        } else {
            ""
        };
        format!("it sent {:?}, which is no JSON ({error}){hint}", shown())
    })?;
    let Value::Object(mut keys) = value else { return Err(format!("it sent {:?}, which is no JSON object", shown())) };
    let id = keys.remove("id").and_then(|id| id.as_u64()).filter(|id| *id <= LARGEST_ID);
    let Some(id) = id else { return Err(format!("it sent {:?} without an `id` that is a whole number", shown())) };
    Ok(Request { id, body: node(Value::Object(keys)) })
}

fn node(value: Value) -> Node {
    Node::of(match value {
        Value::Null => Tree::Null,
        Value::Bool(truth) => Tree::Truth(truth),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Tree::Integer(number),
            None => Tree::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Tree::Text(text),
        Value::Array(items) => Tree::List(items.into_iter().map(node).collect()),
        Value::Object(keys) => {
            Tree::Table(keys.into_iter().map(|(key, value)| (Spanned::new(0..0, key), node(value))).collect())
        }
    })
}

/// Why a request was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request makes no sense.
    Request,
    /// An instrument of the bench failed or refused.
    Bench,
    /// The module is at fault.
    Module,
}

impl Refusal {
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Request => "request",
            Refusal::Bench => "bench",
            Refusal::Module => "module",
        }
    }
}

pub(crate) fn refused(id: u64, kind: Refusal, text: &str, help: Option<&str>) -> String {
    let mut reply = Map::new();
    reply.insert("id".into(), id.into());
    reply.insert("error".into(), text.into());
    reply.insert("kind".into(), kind.name().into());
    if let Some(help) = help {
        reply.insert("help".into(), help.into());
    }
    Value::Object(reply).to_string()
}

/// How a program is named in messages: by its script, if it has one.
pub(crate) fn shown(order: &ProgramOrder) -> String {
    let is_script = |argument: &&String| std::path::Path::new(argument.as_str()).extension().is_some();
    order.command.iter().find(is_script).or(order.command.first()).cloned().unwrap_or_default()
}
