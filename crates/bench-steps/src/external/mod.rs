//! `external`: a program in any language as a step. It asks for actions over its standard input and output, and delivers
//! readings; the bench judges them against the limits of the plan.

mod message;
mod schema;
mod session;

pub use message::PROTOCOL;
pub use schema::protocol_schema;

use crate::action::{Places, RESOURCES, pin_of};
use crate::sequence::LimitTable;
use crate::{Kind, Nest, Procedure, StepError, StepLog, resolve, resource};
use async_trait::async_trait;
use bench_instruments::ProgramOrder;
use bench_plan::{
    AnyLimits, Coverage, Node, ParamProblem, PinRef, Resolved, Spanned, Surroundings, Tree, nearest, nearest_help,
};
use bench_run::{Contact, MeasurementSpec};
use serde_json::Value;
use session::Session;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The program and its arguments. It runs in the folder of the plan; a name with a `/` is a file there, another
    /// one is searched for.
    #[schemars(with = "Vec<String>")]
    program: Spanned<Vec<String>>,
    /// Limits of the readings that it must deliver, by their names.
    limits: LimitTable,
    /// Contacts that it tests: a reading outside its limits is a defect of these. A list for all readings, or a table with
    /// a list for each.
    #[serde(default)]
    #[schemars(schema_with = "covers_schema")]
    covers: Option<Node>,
    /// Rails that it may switch.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    rails: Vec<Spanned<String>>,
    /// What the program gets as `parameters`: texts, numbers, lists and tables.
    #[serde(default)]
    #[schemars(with = "Option<std::collections::BTreeMap<String, Value>>")]
    parameters: Option<Node>,
}

/// What a program may use.
pub(crate) struct Allowed {
    pub uses: BTreeSet<String>,
    pub shares: BTreeSet<String>,
    pub rails: BTreeSet<String>,
}

pub struct External {
    program: Vec<String>,
    parameters: Value,
    specs: Vec<MeasurementSpec>,
    allowed: Allowed,
    places: Places,
}

const TIMEOUT: Duration = Duration::from_secs(30);

impl Kind for External {
    const NAME: &'static str = "external";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let program = params.program.get_ref();
        if program.first().is_none_or(|name| name.trim().is_empty()) {
            return Err(ParamProblem::new("no program is named")
                .at(params.program.span(), "empty")
                .help("expected a program and its arguments, such as [\"python3\", \"divider.py\"]"));
        }
        for name in around.uses.iter().chain(around.shares) {
            // A plan may have resources of its own; a misspelt one would be one.
            if let Some(meant) = nearest(name, RESOURCES.iter().copied()).filter(|meant| meant != name) {
                return Err(
                    ParamProblem::new(format!("unknown resource `{name}`")).help(format!("did you mean `{meant}`?"))
                );
            }
        }
        let mut allowed = Allowed {
            uses: around.uses.iter().cloned().collect(),
            shares: around.shares.iter().cloned().collect(),
            rails: BTreeSet::new(),
        };
        for name in &params.rails {
            allowed.rails.insert(resolve::rail(around.fixture, name)?.name.clone());
        }
        if !allowed.rails.is_empty() {
            allowed.uses.extend([resource::RAILS, resource::DUT].map(str::to_owned));
        }
        let talks = [resource::PORTS, resource::MODEM].iter().any(|name| allowed.uses.contains(*name));
        if talks && !allowed.uses.contains(resource::DUT) {
            allowed.shares.insert(resource::DUT.to_owned());
        }
        let covers = covers(params.covers.as_ref(), &params.limits, around)?;
        let spec = |(name, AnyLimits { limits, unit }): (Spanned<String>, AnyLimits)| MeasurementSpec {
            contacts: covers.get(name.get_ref()).cloned().unwrap_or_default(),
            name: name.into_inner(),
            unit,
            limits,
        };
        let specs: Vec<MeasurementSpec> = params.limits.0.into_iter().map(spec).collect();
        let covered: BTreeSet<Contact> = covers.into_values().flatten().collect();
        Ok(Resolved {
            measurements: specs.clone(),
            coverage: covered.iter().map(|&contact| Coverage { contact, aspects: vec!["by a program"] }).collect(),
            uses: allowed.uses.iter().cloned().collect(),
            shares: allowed.shares.difference(&allowed.uses).cloned().collect(),
            default_timeout: TIMEOUT,
            procedure: Box::new(External {
                program: params.program.into_inner(),
                parameters: params.parameters.map_or(Value::Object(serde_json::Map::new()), |node| json(&node.value)),
                specs,
                allowed,
                places: Places::of(around),
            }),
        })
    }
}

/// How `covers` is written: a list for all readings, or one for each.
fn covers_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let pins = generator.subschema_for::<Vec<PinRef>>();
    schemars::json_schema!({ "anyOf": [pins, { "type": "object", "additionalProperties": pins }] })
}

/// The contacts of each reading.
fn covers(
    written: Option<&Node>,
    limits: &LimitTable,
    around: &Surroundings<'_>,
) -> Result<BTreeMap<String, Vec<Contact>>, ParamProblem> {
    let names = || limits.0.iter().map(|(name, _)| name.get_ref().as_str());
    let wrong = |node: &Node| {
        ParamProblem::new(format!("`covers` is {}", node.value.noun()))
            .at(node.span.clone(), "here")
            .help("expected pins such as [\"A0\", \"D4\"], or pins for each reading such as { low = [\"A0\"] }")
    };
    let Some(node) = written else { return Ok(BTreeMap::new()) };
    match &node.value {
        Tree::List(pins) => {
            let contacts = contacts(pins, around)?;
            Ok(names().map(|name| (name.to_owned(), contacts.clone())).collect())
        }
        Tree::Table(rows) => {
            let mut covers = BTreeMap::new();
            for (name, pins) in rows {
                if !names().any(|known| known == name.get_ref()) {
                    let known: Vec<&str> = names().collect();
                    return Err(ParamProblem::new(format!("no reading is called `{}`", name.get_ref()))
                        .at(name.span(), "covers nothing")
                        .help(nearest_help(name.get_ref(), known.into_iter(), "readings")));
                }
                let Tree::List(list) = &pins.value else { return Err(wrong(pins)) };
                covers.insert(name.get_ref().clone(), contacts(list, around)?);
            }
            Ok(covers)
        }
        _ => Err(wrong(node)),
    }
}

fn contacts(pins: &[Node], around: &Surroundings<'_>) -> Result<Vec<Contact>, ParamProblem> {
    let mut contacts = BTreeSet::new();
    for pin in pins {
        let named = pin_of(pin)?;
        contacts.extend(named.resolve(pin.span.clone(), around.dut)?);
    }
    Ok(contacts.into_iter().collect())
}

fn json(tree: &Tree) -> Value {
    match tree {
        Tree::Text(text) => Value::from(text.clone()),
        Tree::Integer(number) => Value::from(*number),
        Tree::Float(number) => Value::from(*number),
        Tree::Truth(truth) => Value::from(*truth),
        Tree::List(items) => items.iter().map(|item| json(&item.value)).collect(),
        Tree::Table(entries) => {
            entries.iter().map(|(key, value)| (key.get_ref().clone(), json(&value.value))).collect()
        }
        Tree::Null => Value::Null,
    }
}

#[async_trait(?Send)]
impl Procedure for External {
    fn program(&self) -> &[String] {
        &self.program
    }

    fn switches_on(&self) -> Vec<String> {
        self.allowed.rails.iter().cloned().collect()
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let place = &nest.program_place;
        let (id, attempt) = (log.id().to_owned(), log.attempt());
        let mut environment = Vec::new();
        if let Some(python) = &place.python {
            let before = std::env::var_os("PYTHONPATH").unwrap_or_default();
            let paths = std::iter::once(python.clone()).chain(std::env::split_paths(&before));
            // A folder with a separator in its name cannot be in the list.
            if let Ok(paths) = std::env::join_paths(paths) {
                environment.push(("PYTHONPATH".to_owned(), paths.to_string_lossy().into_owned()));
            }
        }
        let log_file = nest.files.log(&format!("{id}-{attempt}.log"));
        let order = ProgramOrder {
            command: self.program.clone(),
            folder: place.folder.clone(),
            environment,
            log: log_file,
            whole_lines: true,
            silence: log.timeout().unwrap_or(TIMEOUT),
        };
        let hello = message::hello(&message::Hello {
            step: &id,
            attempt,
            serial: &nest.serial,
            model: &self.places.model.name,
            family: &self.places.family.name,
            fixture: &self.places.fixture.name,
            specs: &self.specs,
            parameters: &self.parameters,
        });
        Session::new(nest, log, &self.allowed, &self.specs, &self.places).run(&order, &hello).await
    }
}
