//! Computes the answer to a question from rows and readings.

use crate::rows::{Filter, RunRow};
use crate::shape::Shape;
use crate::store::{Store, StoreError};
use bench_run::{Contact, LateRecord, Limits, MeasurementUnit, Verdict, unit_name};
use bench_stats::{
    Cause, ControllerStat, Counter, FailedStep, Group, Hour, MeasurementStat, Nail, NailLog, NailReading, Overview,
    RepeatRun, RepeatedCauses, Sample, Since, TrendPoint, UnitRun, Yields, capability, histogram, pareto,
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

/// One measurement of a plan, as long as its limits are the same.
struct Column {
    plan: Arc<str>,
    step: String,
    name: String,
    unit: MeasurementUnit,
    limits: Limits,
    since: Since,
    note: Option<String>,
    sample: Sample,
    bad: usize,
}

/// Name of the group of runs without a trusted day.
const NO_DAY: &str = "no trusted day";

/// Answers a question.
///
/// # Errors
/// When the store cannot be read.
pub fn overview(store: &Store, question: &Question) -> Result<Overview, StoreError> {
    // Runs that arrive meanwhile are not half counted, and the file is locked once, not for each of thousands of rows.
    let _reading = store.reading()?;
    // Which run was a unit's first is decided over its whole life, before anything is selected.
    let Filter { plan, model, serial, .. } = question.filter.clone();
    let history = store.runs(&Filter { plan, model, serial, ..Filter::default() })?;
    let shapes = store.shapes()?;
    let faults = store.faults(&question.filter)?;
    let selection = |run: &RunRow| Selection::of(run, &question.filter);
    let runs: Vec<RunRow> = history.iter().filter(|run| selection(run) == Selection::In).cloned().collect();
    let judged: Vec<RunRow> = runs.iter().filter(|run| is_judged(run)).cloned().collect();

    let mut columns = Columns::default();
    let mut nails = Nails::default();
    let retried: HashSet<(i64, u8)> =
        faults.iter().filter(|fault| !fault.counts).filter_map(|fault| Some((fault.run, fault.contact?))).collect();
    let mut named_in: HashMap<i64, Vec<(usize, Contact)>> = HashMap::new();
    for fault in faults.iter().filter(|fault| fault.counts) {
        let contact = fault.contact.map(|contact| (fault.step, Contact(contact)));
        named_in.entry(fault.run).or_default().extend(contact);
    }
    store.readings(&judged, |run, values| {
        let Some(shape) = shapes.get(&run.shape) else { return };
        columns.take(run, shape, values, question.all_runs);
        let named = named_in.get(&run.id).map(Vec::as_slice).unwrap_or_default();
        nails.take(run, shape, values, &retried, named);
    })?;
    let mut measurements = columns.stats();
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
        undated: runs.iter().filter(|run| run.day.is_none()).count(),
        left_out: history.iter().filter(|run| selection(run) == Selection::NoDay).count(),
        total: yields(&history, &shapes, |run| (selection(run) == Selection::In).then_some(0))
            .pop()
            .unwrap_or_default(),
        groups: groups(&history, &shapes, question),
        failing_steps: pareto(failing_steps),
        contacts: pareto(named.into_iter().map(|(_, contact)| contact.to_string())),
        hours: hours(&history, &shapes, question),
        nails: nails.all(),
        controllers: controllers(&runs),
        measurements: measurements.into_iter().map(|(_, stat)| stat).collect(),
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

/// Whether a run of the history is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selection {
    In,
    Out,
    /// Only its missing day keeps it out.
    NoDay,
}

impl Selection {
    /// As the store selects runs.
    fn of(run: &RunRow, filter: &Filter) -> Self {
        let same = |wanted: &Option<String>, value: Option<&Arc<str>>| {
            wanted.as_ref().is_none_or(|wanted| value.is_some_and(|value| **value == **wanted))
        };
        let rows = [
            (&filter.plan, Some(&run.plan)),
            (&filter.model, Some(&run.model)),
            (&filter.station, run.station.as_ref()),
            (&filter.nest, run.nest.as_ref()),
            (&filter.lot, run.lot.as_ref()),
        ];
        let of_unit = filter.serial.as_ref().is_none_or(|serial| *unit_name(serial) == *run.serial);
        if !of_unit || !rows.into_iter().all(|(wanted, value)| same(wanted, value)) {
            return Self::Out;
        }
        let (from, to) = (filter.from.as_deref(), filter.to.as_deref());
        match run.day.as_deref() {
            None if from.is_some() || to.is_some() => Self::NoDay,
            Some(day) if from.is_some_and(|from| day < from) || to.is_some_and(|to| day > to) => Self::Out,
            _ => Self::In,
        }
    }
}

/// Returns the yields of each group of the history.
fn yields(
    history: &[RunRow],
    shapes: &HashMap<i64, Arc<Shape>>,
    mut group: impl FnMut(&RunRow) -> Option<usize>,
) -> Vec<Yields> {
    type Steps<'s> = Vec<(&'s str, Option<Verdict>, Option<Verdict>, u8)>;
    let steps = |run: &RunRow| -> Steps<'_> {
        let ids = shapes.get(&run.shape).map(|shape| shape.steps.as_slice()).unwrap_or_default();
        ids.iter()
            .zip(&run.steps)
            .map(|(planned, step)| (planned.id.as_str(), step.first, step.last, step.attempts))
            .collect()
    };
    let mut counter = Counter::default();
    for run in history {
        let run_of_unit = UnitRun { unit: (&*run.serial, &*run.plan), verdict: run.verdict, steps: &steps(run) };
        counter.take(run_of_unit, group(run));
    }
    counter.yields()
}

fn groups(history: &[RunRow], shapes: &HashMap<i64, Arc<Shape>>, question: &Question) -> Vec<Group> {
    if question.by.is_empty() {
        return Vec::new();
    }
    let (none, no_day, virtual_bench): (Arc<str>, Arc<str>, Arc<str>) = ("-".into(), NO_DAY.into(), "virtual".into());
    let mut numbers: BTreeMap<Vec<Arc<str>>, usize> = BTreeMap::new();
    let yields = yields(history, shapes, |run| {
        if Selection::of(run, &question.filter) != Selection::In {
            return None;
        }
        let key = question.by.iter().map(|by| match by {
            By::Day => run.day.as_ref().unwrap_or(&no_day).clone(),
            By::Model => Arc::clone(&run.model),
            By::Plan => Arc::clone(&run.plan),
            By::Station => run.station.as_ref().unwrap_or(&virtual_bench).clone(),
            By::Nest => run.nest.as_ref().unwrap_or(&none).clone(),
            By::Lot => run.lot.as_ref().unwrap_or(&none).clone(),
        });
        let next = numbers.len();
        Some(*numbers.entry(key.collect()).or_insert(next))
    });
    let group = |(key, number): (Vec<Arc<str>>, usize)| Group {
        name: key.join("  "),
        yields: yields.get(number).cloned().unwrap_or_default(),
    };
    numbers.into_iter().map(group).collect()
}

fn hours(history: &[RunRow], shapes: &HashMap<i64, Arc<Shape>>, question: &Question) -> Vec<Hour> {
    let in_hour = |run: &RunRow| {
        let hour = run.hour.filter(|_| run.day.is_some() && Selection::of(run, &question.filter) == Selection::In);
        hour.map(usize::from)
    };
    let yields = yields(history, shapes, in_hour);
    let hours = (0..).zip(yields).filter(|(_, yields)| yields.units > 0);
    hours.map(|(hour, yields)| Hour { hour, units: yields.units, first_pass: yields.first_pass }).collect()
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

/// Plan, step and name of a measurement.
type SeriesKey = (Arc<str>, String, String);

/// Plan and station.
type PlanAndStation = (Arc<str>, Option<Arc<str>>);

/// One measurement over all runs of a plan.
#[derive(Default)]
struct Series {
    /// Its segments of equal limits, by their first runs.
    segments: Vec<usize>,
    /// The segment that each station is in. One is open as long as a station is in it, so that stations may change to a
    /// new plan one after the other.
    open: HashMap<Option<Arc<str>>, usize>,
}

impl Series {
    fn newest(&self) -> Option<usize> {
        self.open.values().copied().max()
    }
}

/// Measurements in segments of equal limits. The same runs give the same numbers of segments.
#[derive(Default)]
struct Columns {
    all: Vec<Column>,
    series: HashMap<SeriesKey, Series>,
    /// For each plan and station, the shape of its last run, and the segment of each of its values.
    current: HashMap<PlanAndStation, (i64, Vec<usize>)>,
}

impl Columns {
    fn take(&mut self, run: &RunRow, shape: &Shape, values: &[f64], all_runs: bool) {
        self.enter(run, shape);
        let Some((_, place)) = self.current.get(&(Arc::clone(&run.plan), run.station.clone())) else { return };
        let good = run.verdict == Verdict::Pass;
        for ((column, value), (_, spec)) in place.iter().zip(values).zip(shape.specs()) {
            let Some(column) = self.all.get_mut(*column) else { continue };
            if good || all_runs {
                column.sample.push(*value);
            }
            let outside = !good && value.is_finite() && bench_run::judge(&spec.limits, Some(*value)) != Verdict::Pass;
            column.bad += usize::from(outside);
        }
    }

    /// Returns the segment of each value of a run.
    fn place(&mut self, run: &RunRow, shape: &Shape) -> &[usize] {
        self.enter(run, shape);
        self.current.get(&(Arc::clone(&run.plan), run.station.clone())).map_or(&[], |(_, place)| place.as_slice())
    }

    fn enter(&mut self, run: &RunRow, shape: &Shape) {
        let key = (Arc::clone(&run.plan), run.station.clone());
        if self.current.get(&key).is_some_and(|(last, _)| *last == run.shape) {
            return;
        }
        let place = shape.specs().map(|(step, spec)| self.segment(run, step, spec)).collect();
        self.current.insert(key, (run.shape, place));
    }

    /// Returns the segment of one value of a run; a new one where the limits changed.
    fn segment(&mut self, run: &RunRow, step: &bench_run::PlannedStep, spec: &bench_run::MeasurementSpec) -> usize {
        let Self { all, series, .. } = self;
        let series = series.entry((Arc::clone(&run.plan), step.id.clone(), spec.name.clone())).or_default();
        let same = |at: &usize| all.get(*at).is_some_and(|of| of.limits == spec.limits && of.unit == spec.unit);
        let own = series.open.get(&run.station).copied();
        let before = own.or(series.newest());
        let known = own.filter(same).or_else(|| series.open.values().copied().filter(same).max());
        let segment = known.unwrap_or_else(|| {
            let note = before.and_then(|before| all.get(before)).map(|old| {
                let (was, is) = (old.limits.show(old.unit), spec.limits.show(spec.unit));
                let day = run.day.as_ref().map(|day| format!(" on {day}")).unwrap_or_default();
                format!("limits changed from {was} to {is} with run {}{day}", run.run_id)
            });
            all.push(Column {
                plan: Arc::clone(&run.plan),
                step: step.id.clone(),
                name: spec.name.clone(),
                unit: spec.unit,
                limits: spec.limits,
                since: Since { run: run.run_id.to_string(), day: run.day.as_ref().map(|day| day.to_string()) },
                note,
                sample: Sample::default(),
                bad: 0,
            });
            series.segments.push(all.len() - 1);
            all.len() - 1
        });
        series.open.insert(run.station.clone(), segment);
        segment
    }

    /// Returns the figures with the number of their segment: by measurement, the worst first by the newest segment, and
    /// within a measurement by time.
    fn stats(self) -> Vec<(usize, MeasurementStat)> {
        let newest: HashSet<usize> = self.series.values().filter_map(Series::newest).collect();
        let mut columns: Vec<Option<MeasurementStat>> =
            self.all.into_iter().enumerate().map(|(at, column)| Some(stat(column, newest.contains(&at)))).collect();
        // By number, because the map has no order.
        let mut series: Vec<Vec<usize>> = self.series.into_values().map(|series| series.segments).collect();
        series.sort();
        let mut series: Vec<Vec<(usize, MeasurementStat)>> = series
            .into_iter()
            .map(|segments| segments.into_iter().filter_map(|at| Some((at, columns.get_mut(at)?.take()?))).collect())
            .collect();
        let of_newest = |series: &[(usize, MeasurementStat)]| {
            series.iter().find(|(_, stat)| stat.newest).and_then(|(_, stat)| stat.capability.ppk)
        };
        series.sort_by(|a, b| worst_first(of_newest(a), of_newest(b)));
        series.into_iter().flatten().collect()
    }
}

fn stat(column: Column, newest: bool) -> MeasurementStat {
    MeasurementStat {
        plan: column.plan.to_string(),
        capability: capability(&column.sample, &column.limits),
        step: column.step,
        name: column.name,
        unit: column.unit,
        limits: column.limits,
        since: column.since,
        newest,
        note: column.note,
        bad: column.bad,
        histogram: Vec::new(),
        trend: Vec::new(),
    }
}

fn worst_first(a: Option<f64>, b: Option<f64>) -> std::cmp::Ordering {
    match (a, b) {
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
    measurements: &mut [(usize, MeasurementStat)],
) -> Result<(), StoreError> {
    let mut rank = 0;
    let mut taken: HashMap<usize, Vec<Dated>> = HashMap::new();
    for (segment, stat) in measurements.iter() {
        let asked = question.details.iter().any(|name| *name == format!("{}/{}", stat.step, stat.name));
        let worst = stat.newest && stat.capability.ppk.is_some() && rank < question.worst;
        rank += usize::from(stat.newest);
        if asked || worst {
            taken.insert(*segment, Vec::new());
        }
    }
    if taken.is_empty() {
        return Ok(());
    }
    let mut columns = Columns::default();
    store.readings(judged, |run, values| {
        let Some(shape) = shapes.get(&run.shape) else { return };
        let place = columns.place(run, shape);
        if run.verdict != Verdict::Pass && !question.all_runs {
            return;
        }
        for (segment, value) in place.iter().zip(values).filter(|(_, value)| value.is_finite()) {
            if let Some(taken) = taken.get_mut(segment) {
                taken.push((*value, run.day.clone()));
            }
        }
    })?;
    for (segment, stat) in measurements {
        let Some(taken) = taken.get(segment) else { continue };
        let values: Vec<f64> = taken.iter().map(|(value, _)| *value).collect();
        stat.histogram = histogram(&values, BARS);
        stat.trend = trend(taken);
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
    repeated: HashMap<NestKey, RepeatedCauses>,
    of_shape: HashMap<i64, Vec<Ways>>,
}

impl Nails {
    /// `named`: contacts in diagnoses that count, with their steps.
    fn take(
        &mut self,
        run: &RunRow,
        shape: &Shape,
        values: &[f64],
        retried: &HashSet<(i64, u8)>,
        named: &[(usize, Contact)],
    ) {
        let nest = (run.station.clone(), run.nest.clone());
        self.repeated.entry(nest).or_default().take(&repeat_run(run, shape, named));
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

    fn all(mut self) -> Vec<Nail> {
        let mut all = Vec::new();
        for ((station, nest), logs) in self.logs {
            let repeated = self.repeated.remove(&(station.clone(), nest.clone())).unwrap_or_default();
            let place = place_name(station.as_deref(), nest.as_deref());
            all.extend(logs.into_iter().map(|(contact, log)| Nail {
                place: place.clone(),
                contact,
                trend: log.trend(repeated.units(&Cause::Contact(contact))),
            }));
        }
        all.sort_by(|a, b| (&a.place, a.contact).cmp(&(&b.place, b.contact)));
        all
    }
}

/// A run, from the view of the rule for causes that repeat.
fn repeat_run(run: &RunRow, shape: &Shape, named: &[(usize, Contact)]) -> RepeatRun {
    let (mut passed, mut failed) = (Vec::new(), Vec::new());
    // A pass of the whole run says all.
    if run.verdict != Verdict::Pass {
        for (index, (step, fact)) in shape.steps.iter().zip(&run.steps).enumerate() {
            let contacts = named.iter().filter(|(of, _)| *of == index).map(|(_, contact)| *contact);
            match fact.last {
                Some(Verdict::Pass) => passed.push(step.id.clone()),
                Some(Verdict::Fail | Verdict::Error) => {
                    failed.push(FailedStep { id: step.id.clone(), contacts: contacts.collect() });
                }
                _ => {}
            }
        }
    }
    RepeatRun { unit: run.serial.to_string(), verdict: run.verdict, passed, failed }
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
