//! A gauge study from runs: which runs are missing, and the results.

use crate::rows::{Filter, RunRow};
use crate::shape::Shape;
use crate::store::{Store, StoreError};
use bench_run::{Limits, MeasurementUnit, Verdict};
use bench_stats::{Gauge, GaugeError, GaugeStudy, gauge};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What takes the place of the appraiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appraiser {
    /// The unit is removed from the nest and inserted again after this many trials.
    Seat,
    Nest,
    Station,
}

/// Design of a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StudyPlan {
    pub units: usize,
    /// Seats, nests or stations.
    pub appraisers: usize,
    pub trials: usize,
    pub by: Appraiser,
}

/// Progress of a study, or its result.
#[derive(Debug, Clone, PartialEq)]
pub enum Study {
    /// What to do next, and the number of runs of each unit for each seat (nest, station).
    Missing {
        next: String,
        units: Vec<(String, Vec<usize>)>,
    },
    Done(Vec<MeasurementGauge>),
}

/// The gauge of one measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasurementGauge {
    pub step: String,
    pub name: String,
    pub unit: MeasurementUnit,
    pub limits: Limits,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gauge: Option<Gauge>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Readings of the good units of a plan, for limits from data: one run of each unit.
#[derive(Debug, Clone, PartialEq)]
pub struct GoodUnits {
    pub step: String,
    pub name: String,
    pub unit: MeasurementUnit,
    pub limits: Limits,
    /// In the order of testing.
    pub values: Vec<f64>,
}

/// Evaluates the runs of a study, in the order of testing. Runs beyond the wanted number of trials are left out.
///
/// # Errors
/// When the store cannot be read.
pub fn study(store: &Store, filter: &Filter, plan: StudyPlan) -> Result<Study, StoreError> {
    let runs = store.runs(filter)?;
    let shapes = store.shapes()?;
    // An unfinished run has only some measurements, and one of another plan has others.
    let whole = |run: &&RunRow| matches!(run.verdict, Verdict::Pass | Verdict::Fail);
    let mut cells: BTreeMap<Arc<str>, BTreeMap<String, Vec<RunRow>>> = BTreeMap::new();
    let mut order: Vec<Arc<str>> = Vec::new();
    for run in runs.iter().filter(whole) {
        let of_unit = cells.entry(Arc::clone(&run.serial)).or_insert_with(|| {
            order.push(Arc::clone(&run.serial));
            BTreeMap::new()
        });
        let appraiser = match plan.by {
            Appraiser::Seat => {
                let before: usize = of_unit.values().map(Vec::len).sum();
                format!("seat {}", before / plan.trials.max(1) + 1)
            }
            Appraiser::Nest => format!("nest {}", run.nest.as_deref().unwrap_or("-")),
            Appraiser::Station => run.station.as_deref().unwrap_or("virtual").to_owned(),
        };
        of_unit.entry(appraiser).or_default().push(run.clone());
    }
    let mut names: Vec<String> = cells.values().flat_map(|unit| unit.keys().cloned()).collect();
    names.sort();
    names.dedup();
    names.truncate(plan.appraisers);
    let count =
        |serial: &Arc<str>, name: &String| cells.get(serial).and_then(|unit| unit.get(name)).map_or(0, Vec::len);
    if let Some(next) = next(&order, &names, plan, count) {
        let row = |serial: &Arc<str>| (serial.to_string(), names.iter().map(|name| count(serial, name)).collect());
        return Ok(Study::Missing { next, units: order.iter().map(row).collect() });
    }
    let chosen: Vec<RunRow> = order
        .iter()
        .take(plan.units)
        .flat_map(|serial| names.iter().map(move |name| (serial, name)))
        .flat_map(|(serial, name)| cells[serial][name].iter().take(plan.trials).cloned())
        .collect();
    let mut values: Vec<(Arc<Shape>, Vec<f64>)> = Vec::new();
    store.readings(&chosen, |run, readings| {
        if let Some(shape) = shapes.get(&run.shape) {
            values.push((Arc::clone(shape), readings.to_vec()));
        }
    })?;
    Ok(Study::Done(gauges(&values, plan)))
}

/// Describes what is missing first, for the person at the nest.
fn next(
    order: &[Arc<str>],
    names: &[String],
    plan: StudyPlan,
    count: impl Fn(&Arc<str>, &String) -> usize,
) -> Option<String> {
    for serial in order.iter().take(plan.units) {
        for at in 0..plan.appraisers {
            let done = names.get(at).map_or(0, |name| count(serial, name));
            if done < plan.trials {
                let what = match plan.by {
                    Appraiser::Seat if done == 0 => {
                        "take the unit off the nest, put it on again, and run the plan".to_owned()
                    }
                    Appraiser::Seat => "leave the unit where it is and run the plan".to_owned(),
                    Appraiser::Nest | Appraiser::Station => {
                        let place = names.get(at).map_or("another one", String::as_str);
                        format!("run the plan on {place}")
                    }
                };
                let (appraiser, trial) = (at + 1, done + 1);
                return Some(format!(
                    "unit {serial}, {appraiser} of {}, trial {trial} of {}: {what}",
                    plan.appraisers, plan.trials
                ));
            }
        }
    }
    let missing = plan.units.saturating_sub(order.len());
    (missing > 0).then(|| format!("take a further unit, {missing} of {} are missing, and run the plan", plan.units))
}

fn gauges(values: &[(Arc<Shape>, Vec<f64>)], plan: StudyPlan) -> Vec<MeasurementGauge> {
    let Some((shape, _)) = values.first() else { return Vec::new() };
    let same = values.iter().all(|(other, _)| other.hash == shape.hash);
    let mut gauges = Vec::new();
    for (at, (step, spec)) in shape.specs().enumerate() {
        let mut readings = vec![vec![Vec::new(); plan.appraisers]; plan.units];
        for (index, (_, values)) in values.iter().enumerate() {
            let cell = index / plan.trials;
            if let Some(unit) = readings.get_mut(cell / plan.appraisers) {
                unit[cell % plan.appraisers].push(values.get(at).copied().unwrap_or(f64::NAN));
            }
        }
        let result = if same {
            gauge(&GaugeStudy { readings }, &spec.limits).map_err(|error: GaugeError| error.to_string())
        } else {
            Err("the plan changed during the study".to_owned())
        };
        let (gauge, problem) = match result {
            Ok(gauge) => (Some(gauge), None),
            Err(problem) => (None, Some(problem)),
        };
        let (step, name) = (step.id.clone(), spec.name.clone());
        gauges.push(MeasurementGauge { step, name, unit: spec.unit, limits: spec.limits, gauge, problem });
    }
    gauges
}

/// Returns the readings of the first passing run of each unit.
///
/// # Errors
/// When the store cannot be read.
pub fn good_units(store: &Store, filter: &Filter) -> Result<Vec<GoodUnits>, StoreError> {
    let shapes = store.shapes()?;
    let mut seen = std::collections::HashSet::new();
    let passed: Vec<RunRow> = store
        .runs(filter)?
        .into_iter()
        .filter(|run| run.verdict == Verdict::Pass && seen.insert(Arc::clone(&run.serial)))
        .collect();
    let mut good: Vec<GoodUnits> = Vec::new();
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    let mut of_shape: HashMap<i64, Vec<usize>> = HashMap::new();
    store.readings(&passed, |run, values| {
        let Some(shape) = shapes.get(&run.shape) else { return };
        let columns = of_shape.entry(run.shape).or_insert_with(|| {
            let column = |(step, spec): (&bench_run::PlannedStep, &bench_run::MeasurementSpec)| {
                *places.entry((step.id.clone(), spec.name.clone())).or_insert_with(|| {
                    let (step, name, values) = (step.id.clone(), spec.name.clone(), Vec::new());
                    good.push(GoodUnits { step, name, unit: spec.unit, limits: spec.limits, values });
                    good.len() - 1
                })
            };
            shape.specs().map(column).collect()
        });
        for (column, value) in columns.iter().zip(values) {
            good[*column].values.push(*value);
        }
    })?;
    Ok(good)
}
