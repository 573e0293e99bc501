//! From limits of measurements back to the keys of the plan that they come from.
//!
//! A key of a step often limits many measurements (each contact's level). Which key it was is found by its values: the
//! one key of the step whose limits are those of the measurement. Where none or several fit, nothing is guessed, and the
//! suggestion is a comment.

use bench_engine::Loaded;
use bench_plan::parse_quantity;
use bench_run::{Limits, MeasurementUnit};
use bench_stats::{Refusal, Sample, Suggestion};
use bench_store::GoodUnits;
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
    pub suggestion: Result<Suggestion, Refusal>,
}

impl Wanted {
    pub(crate) fn new(of: GoodUnits, planned: Limits, suggestion: Result<Suggestion, Refusal>) -> Self {
        let mut sample = Sample::default();
        of.values.iter().for_each(|value| sample.push(*value));
        Self { step: of.step, name: of.name, unit: of.unit, planned, sample, suggestion }
    }
}

/// Text to be pasted into the plan.
pub(crate) struct Patch {
    pub text: String,
    pub tables: usize,
}

/// Writes the patch: `[override.<step>]` for steps of included parts, keys to replace for the plan's own.
pub(crate) fn patch(loaded: &Loaded, wanted: &[Wanted]) -> Patch {
    let steps = steps(loaded);
    let mut keys: BTreeMap<(&str, String), Vec<&Wanted>> = BTreeMap::new();
    let mut unknown: Vec<&Wanted> = Vec::new();
    for row in wanted {
        let fitting: Vec<&String> = steps
            .get(&row.step)
            .map(|step| {
                step.limits.iter().filter(|(_, limits)| same(limits, &row.planned)).map(|(key, _)| key).collect()
            })
            .unwrap_or_default();
        match fitting.as_slice() {
            [key] => keys.entry((&row.step, (*key).clone())).or_default().push(row),
            _ => unknown.push(row),
        }
    }
    let mut text = String::new();
    let mut tables = 0;
    let mut last = "";
    for ((step, key), rows) in &keys {
        let Some(merged) = Merged::of(rows) else { continue };
        if *step != last {
            let own = steps.get(*step).is_some_and(|step| step.own);
            let _ = match own {
                true => writeln!(text, "\n# in [[step]] with id = \"{step}\", which is the plan's own:"),
                false => writeln!(text, "\n[override.{step}]"),
            };
            last = step;
        }
        for row in rows {
            let _ = writeln!(text, "# {}", why(row));
        }
        match merged {
            Ok(merged) => {
                tables += 1;
                let _ = writeln!(text, "{key} = {}", merged.show());
            }
            Err(problem) => {
                let _ = writeln!(text, "# {key} stays as it is: {problem}");
            }
        }
    }
    let unknown: Vec<_> = unknown.into_iter().filter_map(|row| Some((row, Merged::of(&[row])?))).collect();
    if !unknown.is_empty() {
        let _ = writeln!(text, "\n# Which key of the step limits these is not clear; by hand:");
        for (row, merged) in unknown {
            let limits = merged.map_or_else(|problem| problem, |merged| merged.show());
            let _ = writeln!(text, "# {}/{}: {}", row.step, why(row), limits);
        }
    }
    Patch { text: text.trim_start().to_owned(), tables }
}

fn why(row: &Wanted) -> String {
    let sd = row.sample.sd().unwrap_or(0.0);
    let spread = if sd > 0.0 {
        format!("standard deviation {}", row.unit.show(sd))
    } else {
        "no variation at this resolution".to_owned()
    };
    let mut remarks = Vec::new();
    match &row.suggestion {
        Ok(of) => {
            remarks.extend((of.guard > 0.0).then(|| format!("guard band {}", row.unit.show(of.guard))));
            remarks.extend(of.from_range.then(|| "skewed: limits from the observed range".to_owned()));
            remarks.extend(of.bound_by_plan.then(|| "bound by the plan's limits".to_owned()));
        }
        Err(refusal) => remarks.push(format!("no suggestion: {}", refused(refusal, row.unit))),
    }
    let remarks: String = remarks.iter().map(|remark| format!(", {remark}")).collect();
    format!(
        "{}: {} good units, mean {}, {spread}{remarks}; was {}",
        row.name,
        row.sample.n,
        row.unit.show(row.sample.mean),
        row.planned.show(row.unit)
    )
}

fn refused(refusal: &Refusal, unit: MeasurementUnit) -> String {
    match refusal {
        Refusal::TwoHumps(low, high) => format!(
            "the values are in two groups, around {} and {}: find out which units differ, and separate them",
            unit.show(*low),
            unit.show(*high)
        ),
        Refusal::GuardBandFillsLimits(guard, window) => format!(
            "the guard band is too wide: {} at each limit, of limits that are {} apart; a better instrument is needed",
            unit.show(*guard),
            unit.show(*window)
        ),
        other => other.to_string(),
    }
}

/// Limits that hold for all measurements of a key.
struct Merged {
    limits: Limits,
    unit: MeasurementUnit,
    /// What no good unit exceeds.
    inner: (f64, f64),
    /// What the plan and every guard band allow.
    outer: Limits,
}

impl Merged {
    /// `None`: nothing of this key varies, so there is nothing to suggest.
    ///
    /// # Errors
    /// Why the key must stay as it is: a measurement without a suggestion would get the limits of others.
    fn of(rows: &[&Wanted]) -> Option<Result<Self, String>> {
        let first = rows.first()?;
        let refused = rows.iter().filter(|row| row.suggestion.is_err()).map(|row| row.name.as_str());
        let refused: Vec<&str> = refused.collect();
        if !refused.is_empty() {
            return Some(Err(format!("no suggestion for {}", refused.join(", "))));
        }
        let of: Vec<&Suggestion> = rows.iter().filter_map(|row| row.suggestion.as_ref().ok()).collect();
        if of.iter().all(|of| of.constant) {
            return None;
        }
        let least = |pick: fn(&Suggestion) -> Option<f64>| of.iter().filter_map(|of| pick(of)).reduce(f64::min);
        let most = |pick: fn(&Suggestion) -> Option<f64>| of.iter().filter_map(|of| pick(of)).reduce(f64::max);
        let outer = Limits { min: most(|of| of.outer.min), max: least(|of| of.outer.max) };
        let inner = (least(|of| Some(of.inner.0))?, most(|of| Some(of.inner.1))?);
        if outer.min.is_some_and(|min| inner.0 < min) || outer.max.is_some_and(|max| inner.1 > max) {
            return Some(Err("the guard band of one of these measurements excludes good units of another".to_owned()));
        }
        let limits = Limits {
            min: least(|of| of.limits.min).map(|min| outer.min.map_or(min, |outer| min.max(outer))),
            max: most(|of| of.limits.max).map(|max| outer.max.map_or(max, |outer| max.min(outer))),
        };
        Some(Ok(Self { limits, unit: first.unit, inner, outer }))
    }

    /// As plans write it.
    fn show(&self) -> String {
        let side = |name: &str, value: Option<f64>, up: bool| {
            let value = self.rounded(value?, up);
            Some(match self.unit.symbol() {
                "" => format!("{name} = {value}"),
                symbol => format!("{name} = \"{value} {symbol}\""),
            })
        };
        let sides = [side("min", self.limits.min, false), side("max", self.limits.max, true)];
        format!("{{ {} }}", sides.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }

    /// Rounds a limit outwards, or inwards where outwards is not allowed; not at all where both would be wrong.
    fn rounded(&self, value: f64, up: bool) -> f64 {
        let allowed = |value: f64| {
            let keeps = if up { value >= self.inner.1 } else { value <= self.inner.0 };
            keeps
                && self.outer.min.is_none_or(|min| up || value >= min)
                && self.outer.max.is_none_or(|max| !up || value <= max)
        };
        let width = self.limits.min.zip(self.limits.max).map(|(min, max)| max - min);
        [up, !up].into_iter().map(|up| round(value, width, up)).find(|value| allowed(*value)).unwrap_or(value)
    }
}

/// Rounds to five digits, which are finer than any instrument here, or to a thousandth of the width of the limits.
fn round(value: f64, width: Option<f64>, up: bool) -> f64 {
    let digits = |of: f64, digits: i32| digits - of.abs().log10().floor() as i32;
    let needed = width.filter(|width| *width > 0.0).map(|width| digits(width, 3));
    if value == 0.0 {
        return 0.0;
    }
    let digits = needed.map_or(digits(value, 4), |needed| needed.max(digits(value, 4)));
    // Multiplies and divides by whole numbers only, which are exact.
    let scale = 10_f64.powi(digits.abs());
    let scaled = if digits < 0 { value / scale } else { value * scale };
    let whole = if up { scaled.ceil() } else { scaled.floor() };
    if digits < 0 { whole * scale } else { whole / scale }
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

#[cfg(test)]
mod tests {
    use super::*;
    use bench_stats::suggest;
    use proptest::prelude::*;

    fn wanted(name: &str, values: Vec<f64>, planned: Limits, gauge_sd: Option<f64>) -> Wanted {
        let suggestion = suggest(&values, &planned, gauge_sd);
        let (step, name, unit) = ("s".to_owned(), name.to_owned(), MeasurementUnit::Volts);
        Wanted::new(GoodUnits { step, name, unit, limits: planned, values }, planned, suggestion)
    }

    /// Reads the text as a plan does.
    fn read(text: &str) -> Limits {
        let table: Table = format!("key = {text}").parse().unwrap();
        limits(&table["key"], &BTreeMap::new()).unwrap()
    }

    proptest! {
        /// Written and read again: inside the plan's limits, and no unit fails that they were made from.
        #[test]
        fn no_suggestion_is_outside_the_plan_or_fails_a_good_unit(
            values in prop::collection::vec(-1.0..1.0_f64, 30..80),
            others in prop::collection::vec(-0.4..0.4_f64, 30..80),
            centre in -1e4..1e4_f64,
            spread in 1e-6..10.0_f64,
            room in (0.0..3.0_f64, 0.0..3.0_f64),
            guard in prop::option::of(0.0..0.2_f64),
        ) {
            let scaled = |values: &[f64]| values.iter().map(|value| centre + spread * value).collect::<Vec<_>>();
            let planned = Limits::between(centre - spread * (1.0 + room.0), centre + spread * (1.0 + room.1));
            let guard = guard.map(|guard| guard * spread);
            let rows =
                [wanted("a", scaled(&values), planned, guard), wanted("b", scaled(&others), planned, None)];
            let Some(Ok(merged)) = Merged::of(&rows.iter().collect::<Vec<_>>()) else { return Ok(()) };
            let read = read(&merged.show());
            let (min, max) = (read.min.unwrap(), read.max.unwrap());
            prop_assert!(Some(min) >= planned.min && Some(max) <= planned.max, "{:?} in {:?}", read, planned);
            prop_assert!(rows.iter().all(|row| min <= row.sample.min && row.sample.max <= max), "{:?}", read);
        }
    }

    #[test]
    fn what_misleads_is_refused_with_its_reason() {
        let around = |at: usize| 3.3 + 0.001 * ((at * 7 % 11) as f64 - 5.0);
        let plan = Limits::between(3.0, 3.7);
        let row = |value: &dyn Fn(usize) -> f64| wanted("a", (0..66).map(value).collect(), plan, None);
        let rows: [(&str, Wanted, &str); 6] = [
            ("good", row(&around), ""),
            ("humps", row(&|at| around(at) + 0.1 * (at % 2) as f64), "two groups, around "),
            ("drift", row(&|at| around(at) + 0.0005 * at as f64), "the values drift, by "),
            ("plan", row(&|at| around(at) - 0.299), "outside the plan's present limits"),
            ("guard", wanted("a", (0..66).map(around).collect(), plan, Some(0.15)), "within the guard band"),
            (
                "no room",
                wanted("a", (0..66).map(around).collect(), plan, Some(0.2)),
                "the guard band is too wide: 400.0 mV at each limit, of limits that are 700.0 mV apart",
            ),
        ];
        for (name, row, expected) in &rows {
            let merged = Merged::of(&[row]).unwrap();
            assert_eq!(merged.is_ok(), expected.is_empty(), "{name}");
            assert!(why(row).contains(expected), "{name}: {}", why(row));
        }
        // One refusal keeps the key as it is: its measurement would get the limits of others.
        let (good, humps) = (&rows[0].1, &rows[1].1);
        assert!(Merged::of(&[good, humps]).unwrap().is_err());
        // What does not vary asks for nothing, and is not failed either.
        let flat = row(&|at| if at % 2 == 0 { 3.4 } else { 3.4 + 1e-15 });
        assert!(why(&flat).contains("no variation at this resolution"), "{}", why(&flat));
        assert!(Merged::of(&[&flat]).is_none());
        let both = Merged::of(&[good, &flat]).unwrap().unwrap();
        assert!(read(&both.show()).max >= Some(3.4));
        let skewed = row(&|at| 3.1 + 0.02 * (at as f64 * 37.0 % 66.0 / 16.0).exp() / 4.0);
        assert!(why(&skewed).contains("skewed: limits from the observed range"), "{}", why(&skewed));
    }
}
