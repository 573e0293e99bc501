//! From limits of measurements back to the keys of the plan that they come from.
//!
//! A key of a step often limits many measurements (each contact's level). Which key it was is found by its values: the
//! one key of the step whose limits are those of the measurement. Where none or several fit, nothing is guessed, and the
//! suggestion is a comment.

use bench_engine::Loaded;
use bench_plan::parse_quantity;
use bench_run::{Limits, MeasurementUnit};
use bench_stats::{Sample, Suggestion};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use toml::{Table, Value};

/// What one measurement should be limited by.
pub(crate) struct Wanted {
    pub step: String,
    pub name: String,
    pub unit: MeasurementUnit,
    /// As the plan has it.
    pub planned: Limits,
    pub sample: Sample,
    pub suggestion: Suggestion,
}

/// Text to be pasted into the plan.
pub(crate) struct Patch {
    pub text: String,
    pub tables: usize,
}

/// Limits that hold for all measurements of a key, and who asked for them.
struct Merged<'a> {
    limits: Limits,
    of: Vec<&'a Wanted>,
}

/// Writes the patch: `[override.<step>]` for steps of included parts, keys to replace for the plan's own.
pub(crate) fn patch(loaded: &Loaded, wanted: &[Wanted]) -> Patch {
    let steps = steps(loaded);
    let mut keys: BTreeMap<(&str, String), Merged<'_>> = BTreeMap::new();
    let mut unknown: Vec<&Wanted> = Vec::new();
    for row in wanted {
        let fitting: Vec<&String> = steps
            .get(&row.step)
            .map(|step| {
                step.limits.iter().filter(|(_, limits)| same(limits, &row.planned)).map(|(key, _)| key).collect()
            })
            .unwrap_or_default();
        let [key] = fitting.as_slice() else {
            unknown.push(row);
            continue;
        };
        let asked = row.suggestion.limits;
        let merged = keys.entry((&row.step, (*key).clone())).or_insert(Merged { limits: asked, of: Vec::new() });
        merged.limits = wider(merged.limits, asked);
        merged.of.push(row);
    }
    let mut text = String::new();
    let mut tables = 0;
    let mut last = "";
    for ((step, key), merged) in &keys {
        let Some(first) = merged.of.first() else { continue };
        if *step != last {
            let own = steps.get(*step).is_some_and(|step| step.own);
            let _ = match own {
                true => writeln!(text, "\n# in [[step]] with id = \"{step}\", which is the plan's own:"),
                false => writeln!(text, "\n[override.{step}]"),
            };
            tables += 1;
            last = step;
        }
        for row in &merged.of {
            let _ = writeln!(text, "# {}", why(row));
        }
        let _ = writeln!(text, "{key} = {}", show(&merged.limits, first.unit));
    }
    if !unknown.is_empty() {
        let _ = writeln!(text, "\n# Which key of the step limits these is not clear; by hand:");
        for row in unknown {
            let _ = writeln!(text, "# {}/{}: {}", row.step, why(row), show(&row.suggestion.limits, row.unit));
        }
    }
    Patch { text: text.trim_start().to_owned(), tables }
}

fn why(row: &Wanted) -> String {
    let sd = row.sample.sd().unwrap_or(0.0);
    let guard = if row.suggestion.guard > 0.0 {
        format!(", guard band {}", row.unit.show(row.suggestion.guard))
    } else {
        String::new()
    };
    let bound = if row.suggestion.bound_by_plan { ", bound by the plan's limits" } else { "" };
    format!(
        "{}: {} good units, mean {}, standard deviation {}{guard}{bound}; was {}",
        row.name,
        row.sample.n,
        row.unit.show(row.sample.mean),
        row.unit.show(sd),
        row.planned.show(row.unit)
    )
}

fn wider(a: Limits, b: Limits) -> Limits {
    let pick = |a: Option<f64>, b: Option<f64>, pick: fn(f64, f64) -> f64| a.zip(b).map(|(a, b)| pick(a, b));
    Limits { min: pick(a.min, b.min, f64::min), max: pick(a.max, b.max, f64::max) }
}

/// A key's value in the plan and the measurement's limit went through the same arithmetic, give or take a rounding.
fn same(a: &Limits, b: &Limits) -> bool {
    let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
        (None, None) => true,
        _ => false,
    };
    near(a.min, b.min) && near(a.max, b.max)
}

/// As plans write it: five digits are finer than any instrument here, and rounding is outwards.
fn show(limits: &Limits, unit: MeasurementUnit) -> String {
    let number = |value: f64, up: bool| {
        if value == 0.0 {
            return "0".to_owned();
        }
        let digits = 10_f64.powi(4 - value.abs().log10().floor() as i32);
        let scaled = if up { (value * digits).ceil() } else { (value * digits).floor() };
        // Shortest text that reads as the same number.
        (scaled / digits).to_string()
    };
    let side = |name: &str, value: Option<f64>, up: bool| {
        let value = number(value?, up);
        Some(match unit.symbol() {
            "" => format!("{name} = {value}"),
            symbol => format!("{name} = \"{value} {symbol}\""),
        })
    };
    let sides: Vec<String> =
        [side("min", limits.min, false), side("max", limits.max, true)].into_iter().flatten().collect();
    format!("{{ {} }}", sides.join(", "))
}

struct StepKeys {
    /// In the plan's own file, not in a part.
    own: bool,
    limits: BTreeMap<String, Limits>,
}

/// The keys of each step that are limits. The plan was checked before: what does not parse here is no limit.
fn steps(loaded: &Loaded) -> BTreeMap<String, StepKeys> {
    let texts: Vec<Table> = loaded.texts().filter_map(|source| source.text.parse().ok()).collect();
    let mut named: BTreeMap<String, Limits> = BTreeMap::new();
    for table in texts.iter().filter_map(|text| text.get("limits")?.as_table()) {
        named.extend(table.iter().filter_map(|(name, value)| Some((name.clone(), limits(value, &BTreeMap::new())?))));
    }
    let mut steps: BTreeMap<String, StepKeys> = BTreeMap::new();
    for (index, text) in texts.iter().enumerate() {
        for step in text.get("step").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table) {
            let Some(id) = step.get("id").and_then(Value::as_str) else { continue };
            let keys = step.iter().filter_map(|(key, value)| Some((key.clone(), limits(value, &named)?)));
            let keys_of_step =
                steps.entry(id.to_owned()).or_insert(StepKeys { own: index == 0, limits: BTreeMap::new() });
            keys_of_step.limits.extend(keys);
        }
    }
    let overrides = texts.first().and_then(|plan| plan.get("override")?.as_table());
    for (id, keys) in overrides.into_iter().flatten() {
        let keys = keys.as_table().into_iter().flatten();
        let keys = keys.filter_map(|(key, value)| Some((key.clone(), limits(value, &named)?)));
        if let Some(step) = steps.get_mut(id) {
            step.limits.extend(keys);
        }
    }
    steps
}

fn limits(value: &Value, named: &BTreeMap<String, Limits>) -> Option<Limits> {
    if let Some(name) = value.as_str().and_then(|text| text.strip_prefix("limits.")) {
        return named.get(name).copied();
    }
    let table = value.as_table().filter(|table| table.keys().all(|key| key == "min" || key == "max"))?;
    let side = |key: &str| match table.get(key) {
        None => Some(None),
        Some(Value::String(text)) => parse_quantity(text).ok().map(|(value, _)| Some(value)),
        Some(Value::Integer(number)) => Some(Some(*number as f64)),
        Some(Value::Float(number)) => Some(Some(*number)),
        Some(_) => None,
    };
    let limits = Limits { min: side("min")?, max: side("max")? };
    (limits.min.is_some() || limits.max.is_some()).then_some(limits)
}
