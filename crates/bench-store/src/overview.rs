//! Computes the answer to a question from rows and readings.

use crate::rows::{Filter, RunRow};
use crate::shape::Shape;
use crate::store::{Store, StoreError};
use bench_run::{Contact, LateRecord, Limits, MeasurementUnit, Verdict};
use bench_stats::{
    Capability, ControllerStat, Counter, Group, Hour, MeasurementStat, Nail, NailLog, NailReading, Overview, Sample,
    TrendPoint, UnitRun, Yields, capability, histogram, pareto,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Points of a trend.
const TREND_POINTS: usize = 48;

/// Bars of a histogram.
const BARS: usize = 24;

/// Grouping of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Day,
    Model,
    Plan,
    Station,
    Nest,
    Lot,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    pub filter: Filter,
    pub by: Vec<By>,
    /// Measurements, as `step/name`, for which a histogram and a trend are requested.
    pub details: Vec<String>,
    /// This many of the worst get them too.
    pub worst: usize,
    /// Capability over all judged runs, not only over those that passed.
    pub all_runs: bool,
}

/// One measurement over all shapes of a plan.
struct Column {
    plan: Arc<str>,
    step: String,
    name: String,
    unit: MeasurementUnit,
    limits: Limits,
    sample: Sample,
    bad: usize,
}

/// Answers a question.
///
/// # Errors
/// When the store cannot be read.
pub fn overview(store: &Store, question: &Question) -> Result<Overview, StoreError> {
    // Runs that arrive meanwhile are not half counted, and the file is locked once, not for each of thousands of rows.
    let _reading = store.reading()?;
    let runs = store.runs(&question.filter)?;
    let shapes = store.shapes()?;
    let faults = store.faults(&question.filter)?;
    let judged: Vec<RunRow> = runs.iter().filter(|run| is_judged(run)).cloned().collect();

    let mut columns = Columns::default();
    let mut nails = Nails::default();
    let retried: HashSet<(i64, u8)> =
        faults.iter().filter(|fault| !fault.counts).filter_map(|fault| Some((fault.run, fault.contact?))).collect();
    store.readings(&judged, |run, values| {
        let Some(shape) = shapes.get(&run.shape) else { return };
        columns.take(run, shape, values, question.all_runs);
        nails.take(run, shape, values, &retried);
    })?;
    let mut measurements: Vec<MeasurementStat> = columns.all.into_iter().map(stat).collect();
    measurements.sort_by(|a, b| worst_first(&a.capability, &b.capability));
    details(store, question, &judged, &shapes, &mut measurements)?;

    let failed: HashSet<i64> = runs.iter().filter(|run| run.verdict == Verdict::Fail).map(|run| run.id).collect();
    let failing_steps = runs.iter().filter(|run| failed.contains(&run.id)).filter_map(|run| {
        let shape = shapes.get(&run.shape)?;
        let at = run.steps.iter().position(|step| step.last == Some(Verdict::Fail))?;
        Some(shape.steps.get(at)?.id.clone())
    });
    // One contact counts once per run, however many steps name it.
    let named: HashSet<(i64, u8)> = faults
        .iter()
        .filter(|fault| fault.counts && failed.contains(&fault.run))
        .filter_map(|fault| Some((fault.run, fault.contact?)))
        .collect();
    let mut days: Vec<&Arc<str>> = runs.iter().filter_map(|run| run.day.as_ref()).collect();
    days.sort();
    Ok(Overview {
        asked: asked(&question.filter),
        days: days.first().zip(days.last()).map(|(first, last)| (first.to_string(), last.to_string())),
        total: yields_of(runs.iter(), &shapes),
        groups: groups(&runs, &shapes, &question.by),
        failing_steps: pareto(failing_steps),
        contacts: pareto(named.into_iter().map(|(_, contact)| contact.to_string())),
        hours: hours(&judged),
        nails: nails.all(),
        controllers: controllers(&runs),
        measurements,
    })
}

fn is_judged(run: &RunRow) -> bool {
    matches!(run.verdict, Verdict::Pass | Verdict::Fail)
}

fn asked(filter: &Filter) -> String {
    let rows = [
        ("plan", &filter.plan),
        ("model", &filter.model),
        ("station", &filter.station),
        ("nest", &filter.nest),
        ("lot", &filter.lot),
        ("serial", &filter.serial),
        ("from", &filter.from),
        ("to", &filter.to),
    ];
    let parts: Vec<String> =
        rows.iter().filter_map(|(what, value)| Some(format!("{what} {}", (*value).as_ref()?))).collect();
    if parts.is_empty() { "all runs".to_owned() } else { parts.join(", ") }
}

fn yields_of<'a>(runs: impl Iterator<Item = &'a RunRow>, shapes: &HashMap<i64, Arc<Shape>>) -> Yields {
    type Steps<'s> = Vec<(&'s str, Option<Verdict>, Option<Verdict>, u8)>;
    let steps = |run: &RunRow| -> Steps<'_> {
        let ids = shapes.get(&run.shape).map(|shape| shape.steps.as_slice()).unwrap_or_default();
        ids.iter()
            .zip(&run.steps)
            .map(|(planned, step)| (planned.id.as_str(), step.first, step.last, step.attempts))
            .collect()
    };
    let mut counter = Counter::default();
    for run in runs {
        counter.take(UnitRun { serial: &run.serial, verdict: run.verdict, steps: &steps(run) });
    }
    counter.finish()
}

fn groups(runs: &[RunRow], shapes: &HashMap<i64, Arc<Shape>>, by: &[By]) -> Vec<Group> {
    if by.is_empty() {
        return Vec::new();
    }
    let none: Arc<str> = Arc::from("-");
    let mut parts: BTreeMap<Vec<Arc<str>>, Vec<&RunRow>> = BTreeMap::new();
    for run in runs {
        let key = by.iter().map(|by| match by {
            By::Day => run.day.clone().unwrap_or_else(|| Arc::from("no date")),
            By::Model => Arc::clone(&run.model),
            By::Plan => Arc::clone(&run.plan),
            By::Station => run.station.clone().unwrap_or_else(|| Arc::from("virtual")),
            By::Nest => run.nest.clone().unwrap_or_else(|| Arc::clone(&none)),
            By::Lot => run.lot.clone().unwrap_or_else(|| Arc::clone(&none)),
        });
        parts.entry(key.collect()).or_default().push(run);
    }
    parts
        .into_iter()
        .map(|(key, runs)| Group { name: key.join("  "), yields: yields_of(runs.into_iter(), shapes) })
        .collect()
}

fn hours(judged: &[RunRow]) -> Vec<Hour> {
    let mut hours: BTreeMap<u8, Hour> = BTreeMap::new();
    for run in judged {
        let Some(hour) = run.hour else { continue };
        let row = hours.entry(hour).or_insert(Hour { hour, judged: 0, first_pass: 0 });
        row.judged += 1;
        row.first_pass += usize::from(run.first_pass);
    }
    hours.into_values().collect()
}

/// Lateness of the controllers, by station and nest; the one with most late runs comes first.
fn controllers(runs: &[RunRow]) -> Vec<ControllerStat> {
    let mut places: BTreeMap<String, ControllerStat> = BTreeMap::new();
    for run in runs {
        let place = place_name(run.station.as_deref(), run.nest.as_deref());
        let of = places.entry(place.clone()).or_insert_with(|| ControllerStat { place, ..ControllerStat::default() });
        of.runs += 1;
        of.late += usize::from(run.late.as_ref().is_some_and(LateRecord::is_serious));
        of.voids += usize::try_from(run.voids).unwrap_or(usize::MAX);
        if run.late.as_ref().is_some_and(|late| of.worst.as_ref().is_none_or(|worst| late.us > worst.us)) {
            of.worst.clone_from(&run.late);
        }
    }
    let mut all: Vec<ControllerStat> = places.into_values().collect();
    // Stable: equal ones keep the order of their names.
    all.sort_by(|a, b| b.share().total_cmp(&a.share()));
    all
}

fn place_name(station: Option<&str>, nest: Option<&str>) -> String {
    let station = station.unwrap_or("virtual");
    nest.map_or_else(|| station.to_owned(), |nest| format!("{station} nest {nest}"))
}

#[derive(Default)]
struct Columns {
    all: Vec<Column>,
    places: HashMap<(Arc<str>, String, String), usize>,
    /// For each plan and shape, the column of each value.
    of_shape: HashMap<(Arc<str>, i64), Vec<usize>>,
}

impl Columns {
    fn take(&mut self, run: &RunRow, shape: &Shape, values: &[f64], all_runs: bool) {
        let Self { all, places, of_shape } = self;
        let key = (Arc::clone(&run.plan), run.shape);
        let place = of_shape.entry(key).or_insert_with(|| {
            shape
                .specs()
                .map(|(step, spec)| {
                    let key = (Arc::clone(&run.plan), step.id.clone(), spec.name.clone());
                    *places.entry(key).or_insert_with(|| {
                        all.push(Column {
                            plan: Arc::clone(&run.plan),
                            step: step.id.clone(),
                            name: spec.name.clone(),
                            unit: spec.unit,
                            limits: spec.limits,
                            sample: Sample::default(),
                            bad: 0,
                        });
                        all.len() - 1
                    })
                })
                .collect()
        });
        let good = run.verdict == Verdict::Pass;
        if good || all_runs {
            for (column, value) in place.iter().zip(values) {
                all[*column].sample.push(*value);
            }
        }
        if !good {
            for ((column, value), (_, spec)) in place.iter().zip(values).zip(shape.specs()) {
                let taken = value.is_finite();
                all[*column].bad += usize::from(taken && bench_run::judge(&spec.limits, Some(*value)) != Verdict::Pass);
                // Runs are in the order of time, so the limits of the newest remain.
                all[*column].limits = spec.limits;
            }
        }
    }
}

fn stat(column: Column) -> MeasurementStat {
    MeasurementStat {
        plan: column.plan.to_string(),
        capability: capability(&column.sample, &column.limits),
        step: column.step,
        name: column.name,
        unit: column.unit,
        limits: column.limits,
        bad: column.bad,
        histogram: Vec::new(),
        trend: Vec::new(),
    }
}

fn worst_first(a: &Capability, b: &Capability) -> std::cmp::Ordering {
    match (a.ppk, b.ppk) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => std::cmp::Ordering::Equal,
    }
}

/// Returns histograms and trends of the requested measurements, and of the worst.
fn details(
    store: &Store,
    question: &Question,
    judged: &[RunRow],
    shapes: &HashMap<i64, Arc<Shape>>,
    measurements: &mut [MeasurementStat],
) -> Result<(), StoreError> {
    let wanted: Vec<usize> = (0..measurements.len())
        .filter(|at| {
            let stat = &measurements[*at];
            let asked = question.details.iter().any(|name| *name == format!("{}/{}", stat.step, stat.name));
            asked || (*at < question.worst && stat.capability.ppk.is_some())
        })
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut taken: Vec<Vec<Dated>> = vec![Vec::new(); wanted.len()];
    let mut places: HashMap<(Arc<str>, i64), Vec<Option<usize>>> = HashMap::new();
    store.readings(judged, |run, values| {
        let Some(shape) = shapes.get(&run.shape) else { return };
        if run.verdict != Verdict::Pass && !question.all_runs {
            return;
        }
        let place = places.entry((Arc::clone(&run.plan), run.shape)).or_insert_with(|| {
            let find = |at: &usize| {
                let stat = &measurements[*at];
                let same = |(step, spec): (&bench_run::PlannedStep, &bench_run::MeasurementSpec)| {
                    *run.plan == *stat.plan && step.id == stat.step && spec.name == stat.name
                };
                shape.specs().position(same)
            };
            wanted.iter().map(find).collect()
        });
        for (values_of, place) in taken.iter_mut().zip(place) {
            if let Some(value) = place.and_then(|place| values.get(place)).filter(|value| value.is_finite()) {
                values_of.push((*value, run.day.clone()));
            }
        }
    })?;
    for (at, taken) in wanted.into_iter().zip(taken) {
        let values: Vec<f64> = taken.iter().map(|(value, _)| *value).collect();
        measurements[at].histogram = histogram(&values, BARS);
        measurements[at].trend = trend(&taken);
    }
    Ok(())
}

/// A value and its day of measurement.
type Dated = (f64, Option<Arc<str>>);

fn trend(taken: &[Dated]) -> Vec<TrendPoint> {
    let size = taken.len().div_ceil(TREND_POINTS).max(1);
    let point = |(at, part): (usize, &[Dated])| {
        let mut sample = Sample::default();
        part.iter().for_each(|(value, _)| sample.push(*value));
        let from = part
            .first()
            .and_then(|(_, day)| day.as_deref())
            .map_or_else(|| format!("run {}", at * size + 1), str::to_owned);
        TrendPoint { from, n: sample.n, mean: sample.mean, min: sample.min, max: sample.max }
    };
    taken.chunks(size).enumerate().map(point).collect()
}

/// Station and nest.
type NestKey = (Option<Arc<str>>, Option<Arc<str>>);

/// A contact with the values that are a resistance through its nail alone, and their limits.
type Ways = (Contact, Vec<(usize, f64)>);

/// Nails by station, nest and contact.
#[derive(Default)]
struct Nails {
    logs: HashMap<NestKey, Vec<(Contact, NailLog)>>,
    of_shape: HashMap<i64, Vec<Ways>>,
}

impl Nails {
    fn take(&mut self, run: &RunRow, shape: &Shape, values: &[f64], retried: &HashSet<(i64, u8)>) {
        let contacts = self.of_shape.entry(run.shape).or_insert_with(|| ways(shape));
        let logs = self.logs.entry((run.station.clone(), run.nest.clone())).or_default();
        // A bad module says nothing about the nails.
        let good = run.verdict == Verdict::Pass;
        for (at, (contact, ways)) in contacts.iter().enumerate() {
            let shares = ways.iter().filter_map(|(value, max)| values.get(*value).map(|value| value / max));
            let of_limit = shares.filter(|share| good && share.is_finite()).reduce(f64::max);
            let retried = good && !run.first_pass && retried.contains(&(run.id, contact.0));
            let place = match logs.get(at) {
                Some((same, _)) if same == contact => at,
                _ => logs.iter().position(|(other, _)| other == contact).unwrap_or_else(|| {
                    logs.push((*contact, NailLog::default()));
                    logs.len() - 1
                }),
            };
            logs[place].1.push(NailReading { of_limit, retried });
        }
    }

    fn all(self) -> Vec<Nail> {
        let mut all = Vec::new();
        for ((station, nest), logs) in self.logs {
            let place = place_name(station.as_deref(), nest.as_deref());
            all.extend(logs.into_iter().map(|(contact, log)| Nail {
                place: place.clone(),
                contact,
                trend: log.trend(),
            }));
        }
        all.sort_by(|a, b| (&a.place, a.contact).cmp(&(&b.place, b.contact)));
        all
    }
}

fn ways(shape: &Shape) -> Vec<Ways> {
    let mut contacts: BTreeMap<Contact, Vec<(usize, f64)>> = BTreeMap::new();
    for (at, (_, spec)) in shape.specs().enumerate() {
        for contact in &spec.contacts {
            let of_contact = contacts.entry(*contact).or_default();
            // A path through one nail has an upper limit and no lower one.
            let max = spec.limits.max.filter(|max| *max > 0.0 && spec.limits.min.is_none());
            if let Some(max) = max.filter(|_| spec.unit == MeasurementUnit::Ohms && spec.contacts.len() == 1) {
                of_contact.push((at, max));
            }
        }
    }
    contacts.into_iter().collect()
}
