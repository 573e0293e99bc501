//! `sequence`: a list of actions in the plan, with limits for the readings that it names. For a test that needs no
//! program.

mod expression;
mod unroll;

use crate::action::{Action, ActionList, Worker, read};
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_plan::{AnyLimits, Coverage, Node, ParamProblem, Resolved, Spanned, Surroundings, Tree, nearest_help};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};
use expression::Expression;
use serde::de::{MapAccess, Visitor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Actions, in their order; `as` names a reading.
    r#do: ActionList,
    /// Limits of the named readings. A reading without limits is only recorded, and can be calculated with.
    limits: LimitTable,
}

/// Limits by the names of readings.
#[derive(Debug)]
pub(crate) struct LimitTable(pub Vec<(Spanned<String>, AnyLimits)>);

impl<'de> serde::Deserialize<'de> for LimitTable {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = LimitTable;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("limits by name, such as { divider = { min = \"1.6 V\", max = \"1.7 V\" } }")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<LimitTable, M::Error> {
                let mut rows = Vec::new();
                while let Some(row) = map.next_entry()? {
                    rows.push(row);
                }
                rows.sort_by_key(|(name, _): &(Spanned<String>, AnyLimits)| name.span().start);
                Ok(LimitTable(rows))
            }
        }
        from.deserialize_any(Table)
    }
}

impl schemars::JsonSchema for LimitTable {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LimitTable".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let limits = generator.subschema_for::<AnyLimits>();
        schemars::json_schema!({ "type": "object", "additionalProperties": limits, "minProperties": 1 })
    }
}

/// One entry of the list, after loops were unrolled.
enum Item {
    Act { action: Action, name: Option<String> },
    Calculate { expression: Expression, name: String },
}

pub struct Sequence {
    items: Vec<Item>,
    specs: BTreeMap<String, MeasurementSpec>,
    switches_on: Vec<String>,
}

/// What is known of a named reading when the plan is checked.
struct Named {
    unit: Option<MeasurementUnit>,
    /// What it was taken at, and what was driven then.
    contacts: BTreeSet<Contact>,
    aspect: &'static str,
}

/// A step takes this much longer than its waits.
const BESIDES: Duration = Duration::from_secs(10);

impl Kind for Sequence {
    const NAME: &'static str = "sequence";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let nodes = unroll::unroll(&params.r#do.0)?;
        if nodes.is_empty() {
            return Err(ParamProblem::new("a sequence without actions").help("expected do = [ { ... }, { ... } ]"));
        }
        let mut readings: BTreeMap<String, Named> = BTreeMap::new();
        let mut items = Vec::with_capacity(nodes.len());
        let mut driven = BTreeSet::new();
        for node in &nodes {
            let (item, named) = item(node, &readings, &mut driven, around)?;
            let name = match &item {
                Item::Act { name, .. } => name.clone(),
                Item::Calculate { name, .. } => Some(name.clone()),
            };
            if let (Some(name), Some(named)) = (name, named)
                && readings.insert(name.clone(), named).is_some()
            {
                return Err(ParamProblem::new(format!("two readings are called `{name}`"))
                    .at(node.span.clone(), "used before")
                    .help("give each reading a name of its own; in a loop, with the {name} of the loop in it"));
            }
            items.push(item);
        }
        let mut specs = Vec::new();
        let mut coverage: BTreeMap<Contact, Vec<&'static str>> = BTreeMap::new();
        for (name, AnyLimits { limits, unit }) in params.limits.0 {
            let Some(named) = readings.get(name.get_ref()) else {
                let names: Vec<&str> = readings.keys().map(String::as_str).collect();
                return Err(ParamProblem::new(format!("no reading is called `{}`", name.get_ref()))
                    .at(name.span(), "limits nothing")
                    .help(nearest_help(name.get_ref(), names.into_iter(), "readings")));
            };
            if let Some(own) = named.unit.filter(|own| *own != unit) {
                let shown = |unit: MeasurementUnit| match unit.symbol() {
                    "" => "no unit".to_owned(),
                    symbol => symbol.to_owned(),
                };
                return Err(ParamProblem::new(format!("the reading `{}` has {}", name.get_ref(), shown(own)))
                    .at(name.span(), format!("limits with {}", shown(unit)))
                    .help("write the limits in the unit of the reading"));
            }
            for contact in &named.contacts {
                let aspects = coverage.entry(*contact).or_default();
                if !aspects.contains(&named.aspect) {
                    aspects.push(named.aspect);
                }
            }
            let contacts = named.contacts.iter().copied().collect();
            specs.push(MeasurementSpec { name: name.into_inner(), unit, limits, contacts });
        }
        let needs = || items.iter().filter_map(Item::action).map(Action::needs);
        let uses: BTreeSet<&str> = needs().flat_map(|(uses, _)| uses).copied().collect();
        let shares: BTreeSet<&str> = needs().flat_map(|(_, shares)| shares).copied().collect();
        let list = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
        let waits = items.iter().filter_map(Item::action).map(Action::takes).sum::<Duration>();
        Ok(Resolved {
            measurements: specs.clone(),
            coverage: coverage.into_iter().map(|(contact, aspects)| Coverage { contact, aspects }).collect(),
            shares: list(shares.difference(&uses).copied().collect()),
            uses: list(uses),
            default_timeout: 2 * waits + BESIDES,
            procedure: Box::new(Sequence {
                switches_on: items.iter().filter_map(Item::switches_on).collect(),
                specs: specs.into_iter().map(|spec| (spec.name.clone(), spec)).collect(),
                items,
            }),
        })
    }
}

impl Item {
    fn action(&self) -> Option<&Action> {
        match self {
            Item::Act { action, .. } => Some(action),
            Item::Calculate { .. } => None,
        }
    }

    fn switches_on(&self) -> Option<String> {
        match self {
            Item::Act { action: Action::Rail { rail, on: true }, .. } => Some(rail.clone()),
            _ => None,
        }
    }
}

/// Reads one entry. `driven` is what the step drives at this point.
fn item(
    node: &Node,
    readings: &BTreeMap<String, Named>,
    driven: &mut BTreeSet<Contact>,
    around: &Surroundings<'_>,
) -> Result<(Item, Option<Named>), ParamProblem> {
    let name = reading_name(node)?;
    let get = |wanted: &str| match &node.value {
        Tree::Table(entries) => entries.iter().find(|(key, _)| key.get_ref() == wanted),
        _ => None,
    };
    if let Some((key, value)) = get("calculate") {
        let Tree::Text(text) = &value.value else {
            return Err(ParamProblem::new("an expression is a text").at(value.span.clone(), "here"));
        };
        let Tree::Table(entries) = &node.value else { return Err(ParamProblem::new("no table")) };
        if let Some((other, _)) = entries.iter().find(|(key, _)| !matches!(key.get_ref().as_str(), "calculate" | "as"))
        {
            return Err(ParamProblem::new(format!("`calculate` has no key `{}`", other.get_ref()))
                .at(other.span(), "no such key")
                .help("expected { calculate = \"a / b\", as = \"ratio\" }"));
        }
        let Some(name) = name else {
            return Err(ParamProblem::new("`calculate` without `as`")
                .at(key.span(), "its result has no name")
                .help("expected { calculate = \"a / b\", as = \"ratio\" }"));
        };
        let known: Vec<&str> = readings.keys().map(String::as_str).collect();
        let expression = Expression::parse(text, &known).map_err(|problem| problem.at(value.span.clone(), "here"))?;
        let contacts =
            expression.names().iter().filter_map(|name| readings.get(name)).flat_map(|named| &named.contacts);
        let named = Named { unit: None, contacts: contacts.copied().collect(), aspect: "calculated" };
        return Ok((Item::Calculate { expression, name }, Some(named)));
    }
    let action = read(node, &["as"], around)?;
    let own: BTreeSet<Contact> = action.contacts(around.fixture).into_iter().collect();
    let named = match (&name, action.unit()) {
        (None, _) => None,
        (Some(_), Some(unit)) => {
            Some(Named { unit: Some(unit), contacts: own.union(driven).copied().collect(), aspect: action.aspect() })
        }
        (Some(_), None) => {
            let at = get("as").map_or_else(|| node.span.clone(), |(key, _)| key.span());
            return Err(ParamProblem::new("this action has no reading").at(at, "names nothing").help("take `as` out"));
        }
    };
    action.changes_driven(driven);
    Ok((Item::Act { action, name }, named))
}

/// The value of `as`.
fn reading_name(node: &Node) -> Result<Option<String>, ParamProblem> {
    let Tree::Table(entries) = &node.value else { return Ok(None) };
    let Some((_, value)) = entries.iter().find(|(key, _)| key.get_ref() == "as") else { return Ok(None) };
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
    };
    match &value.value {
        Tree::Text(text) if is_name(text) => Ok(Some(text.clone())),
        _ => Err(ParamProblem::new("this cannot be the name of a reading")
            .at(value.span.clone(), "here")
            .help("expected letters, digits, `_` and `.`, with a letter first")),
    }
}

#[async_trait(?Send)]
impl Procedure for Sequence {
    fn switches_on(&self) -> Vec<String> {
        self.switches_on.clone()
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let mut worker = Worker::default();
        let outcome = self.work(nest, log, &mut worker).await;
        let finished = worker.finish(nest).await;
        // The first error says more.
        outcome.and(finished)
    }
}

impl Sequence {
    async fn work(&self, nest: &Nest, log: &dyn StepLog, worker: &mut Worker) -> Result<(), StepError> {
        let mut readings: BTreeMap<&str, f64> = BTreeMap::new();
        let say = |text: String| log.dialogue(text);
        for (number, item) in self.items.iter().enumerate() {
            let (what, value, name) = match item {
                Item::Act { action, name } => {
                    let what = action.describe(&nest.family);
                    let done = worker.perform(nest, action, &say).await.map_err(|error| at(number, &what, error))?;
                    match action {
                        Action::Note { text } => log.note(text.clone()),
                        _ => log.dialogue(done.describe(&what)),
                    }
                    (what, done.value, name.as_deref())
                }
                Item::Calculate { expression, name } => {
                    let value = expression.value(&readings);
                    let shown = value.map_or_else(|| "no number".to_owned(), |value| value.to_string());
                    log.dialogue(format!("{name} = {}: {shown}", expression.text()));
                    (name.clone(), value, Some(name.as_str()))
                }
            };
            let Some(name) = name else { continue };
            if let Some(value) = value {
                readings.insert(name, value);
            }
            if let Some(spec) = self.specs.get(name) {
                log.measured(name, value);
                if let Some(diagnosis) = diagnose(nest, spec, value, &what) {
                    log.diagnosed(diagnosis);
                }
            }
        }
        Ok(())
    }
}

fn at(number: usize, what: &str, error: StepError) -> StepError {
    let place = |text: String| format!("action {} ({what}): {text}", number + 1);
    match error {
        StepError::Dut(text) => StepError::Dut(place(text)),
        StepError::Bench(text) => StepError::Bench(place(text)),
    }
}

/// What a reading outside its limits says of the contacts.
pub(crate) fn diagnose(nest: &Nest, spec: &MeasurementSpec, value: Option<f64>, what: &str) -> Option<Diagnosis> {
    let value = value.filter(|value| value.is_finite())?;
    if judge(&spec.limits, Some(value)) != Verdict::Fail || spec.contacts.is_empty() {
        return None;
    }
    let labels: Vec<String> = spec.contacts.iter().map(|contact| nest.label(*contact)).collect();
    let text = format!(
        "contact{} {}: {} is {}, expected {} ({what})",
        if labels.len() == 1 { "" } else { "s" },
        labels.join(" and "),
        spec.name,
        spec.unit.show(value),
        spec.limits.show(spec.unit)
    );
    Some(Diagnosis { defect: Defect::Other, contacts: spec.contacts.clone(), text })
}
