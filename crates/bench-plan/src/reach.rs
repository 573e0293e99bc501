//! Limits that could never fail: what a reading can be, and what a plan's limits make of it.
//!
//! Each kind of step lists, next to its parameters, the readings that their limits can meet ([`Reach`]). A limit beyond
//! them judges nothing: the step would pass whatever the module does.

use crate::plan_text::PlanText;
use crate::{ChipKind, Problem, Rail, Surroundings, parse_quantity};
use bench_run::MeasurementUnit;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The readings that the limits of one parameter can meet.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// The parameter: `volts`, or `held.ohms` in a list of tables, or `others.*` for every key of a table.
    pub key: &'static str,
    /// No reading is below.
    pub least: Bound,
    /// No reading is above.
    pub most: Bound,
}

/// Where readings end.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// Nothing that is known.
    Unknown,
    /// A value in the base unit of the limits, and why it is never exceeded.
    Value(f64, &'static str),
    /// The voltage of the rail that this parameter names.
    RailVolts(&'static str),
    /// The most that the rail delivers and its monitor reads. `*`: the key of the limits names the rail.
    RailAmps(&'static str),
    /// The most that the rail's monitor reads in the other direction.
    BackAmps(&'static str),
    /// The highest voltage of any rail.
    AnyRailVolts,
    /// The highest voltage of a contact that only the module's ports and the nails drive.
    PortVolts,
    /// Like the last one, below zero.
    BackPortVolts,
    /// What the source of the measure bus has at an open contact.
    SourceVolts,
}

/// Supplies are better than this, and so are their current limits: as a share of the nominal value.
const SUPPLY_TOLERANCE: f64 = 0.1;
/// What an INA226 reads at most across its shunt, volts (data sheet SBOS547).
const MONITOR_VOLTS: f64 = 0.081_92;
/// No wait of a step takes longer on purpose.
const ABSURD_WAIT: Duration = Duration::from_secs(600);
/// No step does.
const ABSURD_TIMEOUT: Duration = Duration::from_secs(3_600);

impl Bound {
    /// The value, and why readings end there. `None` when that is unknown, or when the fixture has no such thing.
    fn of(self, params: &DeTable<'_>, matched: &str, around: &Surroundings<'_>) -> Option<(f64, String)> {
        let fixture = around.fixture;
        let rail = |key: &str| -> Option<&Rail> {
            let name = if key == "*" { matched } else { params.get(key)?.get_ref().as_str()? };
            fixture.rail(name)
        };
        let monitor = |rail: &Rail| match fixture.chips.get(rail.monitor)?.kind {
            ChipKind::Ina226 { shunt_ohms } => Some(MONITOR_VOLTS / shunt_ohms),
            _ => None,
        };
        let tolerance = format!("and is good for {:.0} %", 100.0 * SUPPLY_TOLERANCE);
        let with_tolerance = |value: f64| value * (1.0 + SUPPLY_TOLERANCE);
        let (volts, amps) = (MeasurementUnit::Volts, MeasurementUnit::Amps);
        match self {
            Bound::Unknown => None,
            Bound::Value(value, why) => Some((value, why.to_owned())),
            Bound::RailVolts(key) => match rail(key)? {
                // Made by the module, from one of the others.
                made if made.load_ohms.is_some() => Bound::AnyRailVolts.of(params, matched, around),
                rail => Some((
                    with_tolerance(rail.volts),
                    format!("the rail {} has {} {tolerance}", rail.name, volts.show(rail.volts)),
                )),
            },
            Bound::RailAmps(key) => {
                let rail = rail(key)?;
                let limit = with_tolerance(rail.current_limit_amps);
                match monitor(rail).filter(|range| *range < limit) {
                    Some(range) => Some((
                        range,
                        format!("the monitor of the rail {} reads {} at most", rail.name, amps.show(range)),
                    )),
                    None => Some((
                        limit,
                        format!(
                            "the current limit of the rail {} is {} {tolerance}",
                            rail.name,
                            amps.show(rail.current_limit_amps)
                        ),
                    )),
                }
            }
            Bound::BackAmps(key) => {
                let rail = rail(key)?;
                let range = monitor(rail)?;
                let why = format!("the monitor of the rail {} reads {} at least", rail.name, amps.show(-range));
                Some((-range, why))
            }
            Bound::AnyRailVolts => {
                let highest = fixture.rails.iter().max_by(|a, b| a.volts.total_cmp(&b.volts))?;
                Some((
                    with_tolerance(highest.volts),
                    format!(
                        "no rail of the fixture has more than {}, {}'s, which is good for {:.0} %",
                        volts.show(highest.volts),
                        highest.name,
                        100.0 * SUPPLY_TOLERANCE
                    ),
                ))
            }
            Bound::PortVolts | Bound::BackPortVolts => {
                let most = with_tolerance(fixture.nail_volts);
                let why = format!(
                    "ports and nails work at {}, which is good for {:.0} %",
                    volts.show(fixture.nail_volts),
                    100.0 * SUPPLY_TOLERANCE
                );
                Some((if matches!(self, Bound::PortVolts) { most } else { -most }, why))
            }
            Bound::SourceVolts => {
                let source = fixture.bed.as_ref()?.measure_bus.source;
                let ChipKind::Mcp4728 { reference_volts } = fixture.chips.get(source.chip)?.kind else { return None };
                let why = format!("the source of the measure bus has {} at most", volts.show(reference_volts));
                Some((reference_volts, why))
            }
        }
    }
}

/// A value in the text: the key that a `*` stands for, and the value.
type Found<'t, 'i> = (String, &'t Spanned<DeValue<'i>>);

/// Returns the values at a path such as `held.ohms` or `others.*`.
fn values_at<'t, 'i>(table: &'t DeTable<'i>, path: &str) -> Vec<Found<'t, 'i>> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let mut found = Vec::new();
    for (key, value) in table.iter().filter(|(key, _)| first == "*" || key.get_ref() == first) {
        let matched = if first == "*" { key.get_ref().to_string() } else { String::new() };
        let tables: Vec<&DeTable<'i>> = match value.get_ref() {
            DeValue::Table(table) => vec![table],
            DeValue::Array(list) => list.iter().filter_map(|item| item.get_ref().as_table()).collect(),
            _ => Vec::new(),
        };
        match rest {
            None => found.push((matched, value)),
            Some(rest) => {
                found.extend(tables.into_iter().flat_map(|table| values_at(table, rest)).map(|(own, value)| {
                    // The innermost `*` names the thing.
                    (if own.is_empty() { matched.clone() } else { own }, value)
                }))
            }
        }
    }
    found
}

/// Returns a number, or a quantity in its base unit.
fn number(value: &DeValue<'_>) -> Option<(f64, MeasurementUnit)> {
    let plain = |digits: &str| Some((digits.replace('_', "").parse().ok()?, MeasurementUnit::One));
    match value {
        DeValue::String(text) => parse_quantity(text).ok(),
        DeValue::Integer(number) => plain(number.as_str()),
        DeValue::Float(number) => plain(number.as_str()),
        _ => None,
    }
}

/// The two sides of limits as written.
fn sides<'t, 'i>(limits: &'t Spanned<DeValue<'i>>) -> impl Iterator<Item = (&'t str, &'t Spanned<DeValue<'i>>)> {
    let table = limits.get_ref().as_table();
    table.into_iter().flat_map(|table| table.iter()).map(|(key, value)| (key.get_ref().as_ref(), value))
}

/// What is known of a step when its limits are compared with its reach.
pub(crate) struct StepText<'a> {
    pub text: &'a PlanText,
    pub id: &'a str,
    pub params: &'a DeTable<'a>,
    pub timeout: Duration,
    /// Where the plan sets the time-out, if it does.
    pub timeout_at: Option<Range<usize>>,
}

impl StepText<'_> {
    /// Returns a warning for each limit that no reading can fail, or that none can pass, and for each wait that the step's
    /// time-out ends.
    pub(crate) fn warnings(&self, reaches: &[Reach], around: &Surroundings<'_>) -> Vec<Problem> {
        let mut warnings = Vec::new();
        for reach in reaches {
            for (matched, limits) in values_at(self.params, reach.key) {
                let named = |side: &str| format!("{}.{side}", reach.key.replace('*', &matched));
                let bounds = [reach.least, reach.most].map(|bound| bound.of(self.params, &matched, around));
                for (side, value) in sides(limits) {
                    warnings.extend(self.beyond(&named(side), side == "max", value, &bounds));
                }
            }
        }
        self.waits(self.params, &mut warnings);
        if let Some(at) = self.timeout_at.clone().filter(|_| self.timeout > ABSURD_TIMEOUT) {
            let help = "a step that hangs stops the line for as long; expected an hour at most".to_owned();
            let message = format!("step `{}` may hang for {:?}", self.id, self.timeout);
            warnings.push(*self.text.problem(message, at, "longer than any step", help));
        }
        warnings.into_iter().map(Problem::warning).collect()
    }

    /// A side of limits that decides nothing, or that nothing passes.
    fn beyond(
        &self,
        name: &str,
        is_max: bool,
        value: &Spanned<DeValue<'_>>,
        [least, most]: &[Option<(f64, String)>; 2],
    ) -> Option<Problem> {
        let (limit, unit) = number(value.get_ref())?;
        // A limit at the far end of the readings never fails; one beyond the near end never passes.
        let (never_fails, never_passes) = if is_max {
            (most.as_ref().filter(|(most, _)| limit >= *most), least.as_ref().filter(|(least, _)| limit < *least))
        } else {
            (least.as_ref().filter(|(least, _)| limit <= *least), most.as_ref().filter(|(most, _)| limit > *most))
        };
        let ((bound, why), never) = never_fails.map(|it| (it, "fail")).or(never_passes.map(|it| (it, "pass")))?;
        let is_above = is_max == never_fails.is_some();
        let label = format!("no reading is {} {}", if is_above { "above" } else { "below" }, unit.show(*bound));
        let help = if never == "fail" {
            format!(
                "{why}; expected a limit that a bad module exceeds, or no {} here",
                if is_max { "max" } else { "min" }
            )
        } else {
            format!("{why}; expected a limit that a good module keeps")
        };
        let message = format!("limit `{name}` of step `{}` can never {never}", self.id);
        Some(*self.text.problem(message, value.span(), &label, help))
    }

    /// Times that the step's time-out ends before they are over. Limits of times count too: beyond the time-out no
    /// reading is taken.
    fn waits(&self, table: &DeTable<'_>, warnings: &mut Vec<Problem>) {
        for (key, value) in table.iter() {
            self.wait(key.get_ref(), value, warnings);
        }
    }

    fn wait(&self, name: &str, value: &Spanned<DeValue<'_>>, warnings: &mut Vec<Problem>) {
        match value.get_ref() {
            DeValue::Table(table) => self.waits(table, warnings),
            DeValue::Array(list) => list.iter().for_each(|item| self.wait(name, item, warnings)),
            value_here => {
                let Some((seconds, MeasurementUnit::Seconds)) = number(value_here) else { return };
                let Ok(wait) = Duration::try_from_secs_f64(seconds) else { return };
                let (message, label, help) = if wait >= self.timeout {
                    (
                        format!("`{name}` of step `{}` is longer than the step may take", self.id),
                        format!("the step is stopped after {:?}", self.timeout),
                        "shorten it, or give the step a longer `timeout`".to_owned(),
                    )
                } else if wait > ABSURD_WAIT {
                    (
                        format!("`{name}` of step `{}` is very long", self.id),
                        format!("{wait:?}"),
                        "a module that is bad keeps the nest for as long; expected ten minutes at most".to_owned(),
                    )
                } else {
                    return;
                };
                warnings.push(*self.text.problem(message, value.span(), &label, help));
            }
        }
    }
}
