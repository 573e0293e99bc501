//! The figures of random production equal those of a slow reference that is obviously right.

use bench_journal::to_bytes;
use bench_run::{BenchKind, Event, RunOrder, Verdict, WallClock};
use bench_stats::{MeasurementStat, Overview, Yields};
use bench_store::synthetic::{Production, fill};
use bench_store::{By, Facts, Filter, Question, Shapes, Store, overview};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

const SMALL: Production = Production { steps: 3, per_step: 2, units_a_day: 10, bad_per_mille: 600 };

const KINDS: [char; 3] = ['P', 'r', 'f'];

/// Numbers of synthetic runs that passed at once (P), passed with a repeated step (r), and failed (f).
fn numbers() -> &'static BTreeMap<char, Vec<u64>> {
    static NUMBERS: OnceLock<BTreeMap<char, Vec<u64>>> = OnceLock::new();
    NUMBERS.get_or_init(|| {
        let mut numbers: BTreeMap<char, Vec<u64>> = BTreeMap::new();
        for number in 0.. {
            let facts = Facts::read_any(&to_bytes(&SMALL.entries(number)), &Shapes::default()).unwrap();
            let kind = if facts.first_pass() { 'P' } else { KINDS[1 + usize::from(facts.verdict == Verdict::Fail)] };
            numbers.entry(kind).or_default().push(number);
            if KINDS.iter().all(|kind| numbers.get(kind).is_some_and(|numbers| numbers.len() >= 60)) {
                break;
            }
        }
        numbers
    })
}

/// One run of a story.
#[derive(Debug, Clone)]
struct Told {
    unit: u8,
    /// As in [`KINDS`]; `e` for an error of the bench.
    kind: char,
    plan: u8,
    station: u8,
    lot: u8,
    /// Hours since the run before.
    later: u8,
    trusted: bool,
    /// The plan's limits change before this run.
    changes: bool,
}

/// A run with what the reference needs.
struct Run {
    told: Told,
    serial: String,
    plan: String,
    day: Option<String>,
    hour: Option<u8>,
    /// How often the limits have changed.
    version: usize,
    facts: Facts,
    journal: Vec<u8>,
}

fn run_id(at: usize) -> String {
    format!("run-{at:04}")
}

fn runs(story: &[Told]) -> Vec<Run> {
    let (mut hours, mut version) = (0_u32, 0);
    let row = |(at, told): (usize, &Told)| {
        hours += u32::from(told.later);
        version += usize::from(told.changes);
        let kind = if told.kind == 'e' { 'P' } else { told.kind };
        // Each run has readings of its own.
        let mut entries = SMALL.entries(numbers()[&kind][at]);
        let (unit, name) = (format!("U{}", told.unit), format!("plan-{}", told.plan));
        let wider = |max: f64| max * (1.0 + version as f64 / 10.0);
        let (date, hour_now) = (format!("2026-03-{:02}", 1 + hours / 24), hours % 24);
        for entry in &mut entries {
            match &mut entry.event {
                Event::RunStarted {
                    run_id: id,
                    serial,
                    model,
                    started_at,
                    order,
                    bench,
                    lot,
                    provenance,
                    steps,
                    ..
                } => {
                    (*id, *serial, *model) = (run_id(at), unit.clone(), name.clone());
                    *lot = Some(format!("lot-{}", told.lot));
                    provenance.plan.clone_from(&name);
                    *started_at = Some(format!("{date}T{hour_now:02}:{:02}:{:02}Z", at / 60, at % 60));
                    let by = "ntp".to_owned();
                    let clock = if told.trusted { WallClock::Synchronised { by } } else { WallClock::NotSynchronised };
                    let number = at as u64 + 1;
                    *order = Some(Box::new(RunOrder { number, clock: Some(clock), ..RunOrder::default() }));
                    if let BenchKind::Real { station, nest, .. } = &mut **bench {
                        (*station, *nest) = (format!("line-{}", told.station), None);
                    }
                    for spec in steps.iter_mut().flat_map(|step| &mut step.promised) {
                        spec.limits.max = spec.limits.max.map(wider);
                    }
                }
                Event::Measured { measurement, .. } => measurement.limits.max = measurement.limits.max.map(wider),
                _ => {}
            }
        }
        if told.kind == 'e' {
            entries.truncate(entries.len() / 2);
        }
        let journal = to_bytes(&entries);
        let facts = Facts::read(&journal, &Shapes::default()).unwrap();
        let (day, hour) = (told.trusted.then_some(date), told.trusted.then_some(hour_now as u8));
        Run { told: told.clone(), serial: unit, plan: name, day, hour, version, facts, journal }
    };
    story.iter().enumerate().map(row).collect()
}

/// The store of these runs, and the runs in the store's order.
fn stored(mut runs: Vec<Run>) -> (Store, Vec<Run>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open_or_create(&folder.path().join("s.sqlite")).unwrap();
    let journals: Vec<_> =
        runs.iter().map(|run| (format!("{}/journal.jsonl", run.facts.run_id), run.journal.clone())).collect();
    fill(&mut store, &Shapes::default(), &journals).unwrap();
    let order: Vec<String> = store.runs(&Filter::default()).unwrap().iter().map(|run| run.run_id.to_string()).collect();
    runs.sort_by_key(|run| order.iter().position(|id| *id == run.facts.run_id));
    (store, runs, folder)
}

fn judged(run: &&Run) -> bool {
    matches!(run.facts.verdict, Verdict::Pass | Verdict::Fail)
}

/// What is compared: runs, errors, units, first pass, rescued by retry and by retest, passed, returned.
type Counts = [usize; 8];

/// For each unit and plan, all its judged runs from the first to the last.
fn reference(all: &[Run], inside: impl Fn(&Run) -> bool) -> Counts {
    let inside_runs = || all.iter().filter(|run| inside(run));
    let mut counts = [inside_runs().count(), inside_runs().filter(|run| !judged(run)).count(), 0, 0, 0, 0, 0, 0];
    let units: BTreeSet<(&String, &String)> = all.iter().map(|run| (&run.serial, &run.plan)).collect();
    for unit in units {
        let of_unit: Vec<&Run> = all.iter().filter(|run| (&run.serial, &run.plan) == unit).filter(judged).collect();
        let (Some(first), Some(last)) = (of_unit.first(), of_unit.last()) else { continue };
        if !inside(first) {
            counts[7] += usize::from(of_unit.iter().any(|run| inside(run)));
            continue;
        }
        counts[2] += 1;
        counts[3] += usize::from(first.told.kind == 'P');
        counts[4] += usize::from(first.told.kind == 'r');
        counts[5] += usize::from(first.told.kind == 'f' && last.told.kind != 'f');
        counts[6] += usize::from(last.told.kind != 'f');
    }
    counts
}

fn counts(of: &Yields) -> Counts {
    [
        of.runs,
        of.bench_errors + of.aborted,
        of.units,
        of.first_pass,
        of.rescued_by_retry,
        of.rescued_by_retest,
        of.passed,
        of.returned,
    ]
}

fn day_of(run: &Run) -> String {
    run.day.clone().unwrap_or_else(|| "no trusted day".to_owned())
}

type Key = fn(&Run) -> String;

const GROUPINGS: [(By, Key); 4] = [
    (By::Day, day_of),
    (By::Plan, |run| run.plan.clone()),
    (By::Station, |run| format!("line-{}", run.told.station)),
    (By::Lot, |run| format!("lot-{}", run.told.lot)),
];

/// Mean, n, Cpk and Ppk by the textbook, in two passes.
fn textbook(values: &[f64], min: f64, max: f64) -> (u64, f64, Option<f64>, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    if values.len() < 2 {
        return (values.len() as u64, mean, None, None);
    }
    let sd = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let range = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>() / (n - 1.0);
    let index = |sd: f64| ((mean - min) / (3.0 * sd)).min((max - mean) / (3.0 * sd));
    (values.len() as u64, mean, Some(index(sd)), Some(index(range / (2.0 / std::f64::consts::PI.sqrt()))))
}

fn near(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * b.abs().max(1.0),
        (a, b) => a == b,
    }
}

/// Every segment of every measurement, against its own limits.
fn check_capability(answer: &Overview, all: &[Run], inside: &impl Fn(&Run) -> bool) -> Result<(), TestCaseError> {
    // Two stations without trusted dates have no order among each other: then nothing says which limits are newer.
    if !all.windows(2).all(|pair| pair[0].facts.run_id < pair[1].facts.run_id) {
        return Ok(());
    }
    let mut segments = 0;
    let kept: Vec<&Run> = all.iter().filter(|run| inside(run)).filter(judged).collect();
    let plans: BTreeSet<&String> = kept.iter().map(|run| &run.plan).collect();
    for plan in plans {
        let of_plan: Vec<&&Run> = kept.iter().filter(|run| run.plan == *plan).collect();
        let versions: BTreeSet<usize> = of_plan.iter().map(|run| run.version).collect();
        let specs: Vec<_> =
            of_plan[0].facts.shape.specs().map(|(step, spec)| (step.id.clone(), spec.clone())).collect();
        for (at, (step, spec)) in specs.iter().enumerate() {
            let of: Vec<&MeasurementStat> = answer
                .measurements
                .iter()
                .filter(|stat| stat.plan == *plan && stat.step == *step && stat.name == spec.name)
                .collect();
            prop_assert_eq!(of.len(), versions.len());
            segments += of.len();
            prop_assert!(of.iter().enumerate().all(|(at, stat)| stat.newest == (at + 1 == of.len())));
            prop_assert!(of.iter().enumerate().all(|(at, stat)| stat.note.is_some() == (at > 0)));
            for (stat, version) in of.iter().zip(&versions) {
                let runs: Vec<&&&Run> = of_plan.iter().filter(|run| run.version == *version).collect();
                let own = runs[0].facts.shape.specs().nth(at).unwrap().1.limits;
                prop_assert_eq!(stat.limits, own);
                prop_assert_eq!(&stat.since.run, &runs[0].facts.run_id);
                let passed = runs.iter().filter(|run| run.facts.verdict == Verdict::Pass);
                let values: Vec<f64> = passed.map(|run| run.facts.values[at]).collect();
                let (n, mean, ppk, cpk) = textbook(&values, own.min.unwrap(), own.max.unwrap());
                let got = &stat.capability;
                prop_assert!(got.n == n && near(Some(got.mean), Some(mean)));
                prop_assert!(near(got.ppk, ppk) && near(got.cpk, cpk), "{:?} {:?} {:?}", got, ppk, cpk);
            }
        }
    }
    prop_assert_eq!(segments, answer.measurements.len());
    Ok(())
}

fn told() -> impl Strategy<Value = Told> {
    let kind = prop::sample::select(vec!['P', 'P', 'r', 'f', 'f', 'e']);
    let rare = prop::bool::weighted;
    (0..6_u8, kind, 0..2_u8, 0..2_u8, 0..3_u8, 0..14_u8, rare(0.85), rare(0.1)).prop_map(
        |(unit, kind, plan, station, lot, later, trusted, changes)| Told {
            unit,
            kind,
            plan,
            station,
            lot,
            later,
            trusted,
            changes,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_figure_is_that_of_the_reference(
        story in prop::collection::vec(told(), 1..40),
        from in prop::option::of(1..6_u8),
        to in prop::option::of(4..12_u8),
        station in prop::option::of(0..2_u8),
    ) {
        let (store, all, _folder) = stored(runs(&story));
        let day = |day: u8| format!("2026-03-{day:02}");
        let (from, to) = (from.map(day), to.map(day));
        let station = station.map(|station| format!("line-{station}"));
        let filter = Filter { from: from.clone(), to: to.clone(), station: station.clone(), ..Filter::default() };
        let at_station = |run: &Run| station.as_ref().is_none_or(|name| *name == format!("line-{}", run.told.station));
        let inside = |run: &Run| {
            at_station(run)
                && from.as_ref().is_none_or(|from| run.day.as_ref().is_some_and(|day| day >= from))
                && to.as_ref().is_none_or(|to| run.day.as_ref().is_some_and(|day| day <= to))
        };
        let dated = from.is_some() || to.is_some();
        let no_day = || all.iter().filter(|run| at_station(run) && run.day.is_none()).count();
        let mut first_pass = Vec::new();
        for (by, key) in GROUPINGS {
            let question = Question { filter: filter.clone(), by: vec![by], ..Question::default() };
            let answer = overview(&store, &question).unwrap();
            prop_assert_eq!(counts(&answer.total), reference(&all, inside));
            let names: BTreeSet<String> = all.iter().filter(|run| inside(run)).map(key).collect();
            let shown: Vec<&String> = answer.groups.iter().map(|group| &group.name).collect();
            prop_assert_eq!(shown, names.iter().collect::<Vec<_>>());
            for group in &answer.groups {
                prop_assert_eq!(counts(&group.yields), reference(&all, |run| inside(run) && key(run) == group.name));
            }
            first_pass.push(answer.groups.iter().map(|group| group.yields.first_pass).sum::<usize>());
            for hour in &answer.hours {
                let of = reference(&all, |run| inside(run) && run.hour == Some(hour.hour));
                prop_assert_eq!((hour.units, hour.first_pass), (of[2], of[3]));
            }
            prop_assert_eq!((answer.undated, answer.left_out), if dated { (0, no_day()) } else { (no_day(), 0) });
            prop_assert_eq!(first_pass.last(), Some(&answer.total.first_pass), "groups add up");
            check_capability(&answer, &all, &inside)?;
        }
    }
}

fn story(rows: &[(u8, char, u8)]) -> Vec<Told> {
    let row = |(unit, kind, later): &(u8, char, u8)| Told {
        unit: *unit,
        kind: *kind,
        plan: 0,
        station: 0,
        lot: 0,
        later: *later,
        trusted: true,
        changes: false,
    };
    rows.iter().map(row).collect()
}

/// Five units fail in the evening; all retests after midnight pass. No unit passed at first.
#[test]
fn a_retest_after_midnight_is_no_first_pass() {
    let failed = (0..5).map(|unit| (unit, 'f', if unit == 0 { 22 } else { 0 }));
    let rows: Vec<_> = failed.chain((0..5).map(|unit| (unit, 'P', if unit == 0 { 4 } else { 0 }))).collect();
    let (store, _, _folder) = stored(runs(&story(&rows)));
    let ask =
        |filter: Filter| overview(&store, &Question { filter, by: vec![By::Day], ..Question::default() }).unwrap();
    let shown = |of: &Yields| (of.units, of.first_pass, of.passed, of.returned);
    let all = ask(Filter::default());
    assert_eq!(shown(&all.total), (5, 0, 5, 0));
    let days: Vec<_> = all.groups.iter().map(|group| (group.name.as_str(), shown(&group.yields))).collect();
    assert_eq!(days, [("2026-03-01", (5, 0, 5, 0)), ("2026-03-02", (0, 0, 0, 5))]);
    let hours: Vec<_> = all.hours.iter().map(|hour| (hour.hour, hour.units, hour.first_pass)).collect();
    assert_eq!(hours, [(22, 5, 0)]);
    let second = ask(Filter { from: Some("2026-03-02".to_owned()), ..Filter::default() });
    assert_eq!(shown(&second.total), (0, 0, 0, 5));
    assert_eq!((second.total.first_pass_yield, second.hours.len()), (None, 0));
    let first = ask(Filter { to: Some("2026-03-01".to_owned()), ..Filter::default() });
    assert_eq!(shown(&first.total), (5, 0, 5, 0));
}

/// Station of each run, and whether its limits changed.
type Changes = &'static [(u8, usize)];

/// Stations change to a new plan one after the other, and one goes back: the series breaks where limits change, and not
/// with each run.
#[test]
fn a_series_breaks_where_limits_change() {
    // Station of each run, and its limits as the number of changes.
    let rows: [(Changes, &[u64]); 3] = [
        (&[(0, 0), (0, 0), (0, 1), (0, 1), (0, 1)], &[2, 3]),
        (&[(0, 0), (1, 0), (0, 1), (1, 0), (0, 1), (1, 1)], &[3, 3]),
        (&[(0, 0), (0, 1), (0, 0), (0, 0)], &[1, 1, 2]),
    ];
    for (rows, expected) in rows {
        let mut runs: Vec<Run> = Vec::new();
        for (at, (station, version)) in rows.iter().enumerate() {
            let told = Told { station: *station, later: 1, ..story(&[(at as u8, 'P', 1)])[0].clone() };
            let mut rows: Vec<Told> = (0..=at).map(|_| told.clone()).collect();
            rows[0].changes = *version == 1;
            runs.extend(self::runs(&rows).pop());
        }
        let (store, ..) = stored(runs);
        let answer = overview(&store, &Question::default()).unwrap();
        let of: Vec<_> =
            answer.measurements.iter().filter(|stat| stat.name == "P0.volts").take(expected.len()).collect();
        assert_eq!(of.iter().map(|stat| stat.capability.n).collect::<Vec<_>>(), expected, "{rows:?}");
        assert_eq!(of.iter().filter(|stat| stat.newest).count(), 1);
        let note = of[1].note.as_deref().unwrap();
        assert!(note.starts_with("limits changed from ") && note.contains(" with run run-"), "{note}");
    }
}
