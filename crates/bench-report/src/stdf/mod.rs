//! STDF V4, the exchange format for semiconductor test data, for other software.
//!
//! A unit is a part (`PIR` to `PRR`), a measurement a `PTR`, and one that is a yes, a no or a code an `FTR`. Repeated
//! attempts are left out: the format has no steps, and a test number must have one result per part. Further data (plan
//! and seal of each journal) is in `DTR` text records. Limits are written both as test limits and as specification
//! limits: a journal has only one pair.

mod bytes;
mod records;

use crate::record::{MeasurementRecord, RunRecord, StepRecord};
use bench_run::{BenchKind, Contact, MeasurementUnit, Verdict};
use bytes::{File, Payload};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// All units are tested by one head.
const HEAD: u8 = 1;

/// In summaries: over all sites.
const ALL: u8 = 255;

/// Hardware bins: where the unit goes.
const BINS: [(u16, Verdict, char, &str); 4] = [
    (1, Verdict::Pass, 'P', "pass"),
    (2, Verdict::Fail, 'F', "fail: repair"),
    (3, Verdict::Error, 'F', "error: the bench could not tell"),
    (4, Verdict::Aborted, 'F', "aborted: test again"),
];

/// First software bin of failing units: one for each failing step.
const FIRST_STEP_BIN: u16 = 100;

/// One test over all parts.
#[derive(Default)]
struct Test {
    number: u32,
    name: String,
    functional: bool,
    executed: u32,
    failed: u32,
    min: f64,
    max: f64,
    sum: f64,
    squares: f64,
}

/// Writes the file for some runs, in the given order, which should be by time. `time` of virtual runs is 0, "unknown".
pub fn stdf(records: &[RunRecord]) -> Vec<u8> {
    let mut file = File::default();
    let mut sites: BTreeMap<String, u8> = BTreeMap::new();
    for record in records {
        let next = u8::try_from(sites.len() + 1).unwrap_or(ALL - 1).min(ALL - 1);
        sites.entry(site_of(record)).or_insert(next);
    }
    let tests = number_tests(records);
    records::master(&mut file, records, started(records.first()));
    for (name, site) in &sites {
        records::site(&mut file, *site, name, records);
    }
    let pins = pins(records);
    for (index, contact) in pins.iter().enumerate() {
        records::pin(&mut file, index, *contact);
    }
    for record in records {
        let names = [
            ("plan_sha256", record.provenance.as_ref().map(|made_of| made_of.plan_sha256.as_str())),
            ("seal", record.seal.as_deref()),
        ];
        for (what, value) in names {
            if let Some(value) = value {
                file.push(50, 30, Payload::default().text(&format!("{} {what} {value}", record.run_id)));
            }
        }
    }
    let (mut seen, mut summary) = (Summary::default(), tests);
    let step_bins = step_bins(records);
    for record in records {
        let site = sites.get(&site_of(record)).copied().unwrap_or(1);
        part(&mut file, record, site, &mut summary, &mut seen, &step_bins);
    }
    seen.write(&mut file, &summary, &step_bins);
    let end = records.iter().map(|record| started(Some(record)).saturating_add(seconds(record))).max().unwrap_or(0);
    file.push(1, 20, Payload::default().u4(end).u1(b' ').text("").text(""));
    file.bytes
}

fn seconds(record: &RunRecord) -> u32 {
    u32::try_from(record.duration_us.as_micros() / 1_000_000).unwrap_or(u32::MAX)
}

/// Seconds since 1970; 0 when there is no date.
fn started(record: Option<&RunRecord>) -> u32 {
    let at = record.and_then(|record| record.started_at.as_deref());
    let at = at.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    at.and_then(|at| u32::try_from(at.unix_timestamp()).ok()).unwrap_or(0)
}

fn site_of(record: &RunRecord) -> String {
    let station = match &record.bench {
        Some(BenchKind::Real { station, .. }) => station.as_str(),
        Some(BenchKind::Virtual { .. }) => "virtual",
        None => "unknown",
    };
    record.nest.as_deref().map_or_else(|| station.to_owned(), |nest| format!("{station} nest {nest}"))
}

/// "supply/3V3.volts": unique in a plan, and the same in every run.
fn name_of(step: &StepRecord, taken: &MeasurementRecord) -> String {
    format!("{}/{}", step.id, taken.measurement.name)
}

/// Whether the measurement is a yes, a no or a code, without values between two limits.
fn is_functional(taken: &MeasurementRecord) -> bool {
    let limits = &taken.measurement.limits;
    taken.measurement.unit == MeasurementUnit::One && limits.min.is_some() && limits.min == limits.max
}

fn taken(record: &RunRecord) -> impl Iterator<Item = (&StepRecord, &MeasurementRecord)> {
    record.steps.iter().flat_map(|step| {
        step.last().into_iter().flat_map(move |last| last.measurements.iter().map(move |measured| (step, measured)))
    })
}

fn number_tests(records: &[RunRecord]) -> BTreeMap<String, Test> {
    let mut tests: BTreeMap<String, Test> = BTreeMap::new();
    let mut next = 1;
    for (step, measured) in records.iter().flat_map(taken) {
        let name = name_of(step, measured);
        tests.entry(name.clone()).or_insert_with(|| {
            next += 1;
            Test { number: next - 1, name, functional: is_functional(measured), ..Test::default() }
        });
    }
    tests
}

fn pins(records: &[RunRecord]) -> BTreeSet<Contact> {
    records.iter().flat_map(taken).flat_map(|(_, measured)| measured.measurement.contacts.iter().copied()).collect()
}

/// Software bins of steps that fail units, by step name.
fn step_bins(records: &[RunRecord]) -> BTreeMap<String, u16> {
    let failing: BTreeSet<&str> = records.iter().filter_map(failing_step).collect();
    let number = |at: usize| FIRST_STEP_BIN.saturating_add(u16::try_from(at).unwrap_or(u16::MAX));
    failing.into_iter().enumerate().map(|(at, step)| (step.to_owned(), number(at))).collect()
}

fn failing_step(record: &RunRecord) -> Option<&str> {
    let first = record.steps.iter().find(|step| step.verdict == Some(Verdict::Fail));
    first.filter(|_| record.verdict == Verdict::Fail).map(|step| step.id.as_str())
}

fn hard_bin(record: &RunRecord) -> u16 {
    let verdict = if record.verdict == Verdict::Skipped { Verdict::Error } else { record.verdict };
    BINS.iter().find(|(_, of, ..)| *of == verdict).map_or(3, |(bin, ..)| *bin)
}

/// Counts for the records at the end.
#[derive(Default)]
struct Summary {
    parts: BTreeMap<u8, [u32; 4]>,
    serials: BTreeSet<String>,
    hard: BTreeMap<u16, u32>,
    soft: BTreeMap<u16, u32>,
}

fn part(
    file: &mut File,
    record: &RunRecord,
    site: u8,
    tests: &mut BTreeMap<String, Test>,
    seen: &mut Summary,
    step_bins: &BTreeMap<String, u16>,
) {
    file.push(5, 10, Payload::default().u1(HEAD).u1(site));
    let mut executed: u16 = 0;
    for (step, measured) in taken(record) {
        let Some(test) = tests.get_mut(&name_of(step, measured)) else { continue };
        executed = executed.saturating_add(1);
        test.executed += 1;
        test.failed += u32::from(measured.measurement.verdict != Verdict::Pass);
        if let Some(value) = measured.measurement.value {
            if test.executed == 1 {
                (test.min, test.max) = (value, value);
            }
            (test.min, test.max) = (test.min.min(value), test.max.max(value));
            test.sum += value;
            test.squares += value * value;
        }
        if test.functional {
            records::functional(file, test, measured, site);
        } else {
            records::parametric(file, test, measured, site);
        }
    }
    let again = !seen.serials.insert(record.serial.clone());
    let judged = matches!(record.verdict, Verdict::Pass | Verdict::Fail);
    let counts = seen.parts.entry(site).or_default();
    counts[0] += 1;
    counts[1] += u32::from(again);
    counts[2] += u32::from(!judged);
    counts[3] += u32::from(record.verdict == Verdict::Pass);
    let hard = hard_bin(record);
    let soft = failing_step(record).and_then(|step| step_bins.get(step)).copied().unwrap_or(hard);
    *seen.hard.entry(hard).or_default() += 1;
    *seen.soft.entry(soft).or_default() += 1;
    records::part_result(file, record, site, executed, (hard, soft), again);
}

impl Summary {
    fn write(&self, file: &mut File, tests: &BTreeMap<String, Test>, step_bins: &BTreeMap<String, u16>) {
        let mut in_order: Vec<&Test> = tests.values().collect();
        in_order.sort_by_key(|test| test.number);
        for test in in_order {
            records::test_summary(file, test);
        }
        let bin = |sub: u8, number: u16, count: u32, name: &str, passes: char| {
            let payload = Payload::default().u1(ALL).u1(0).u2(number).u4(count).u1(passes as u8).text(name);
            (1, sub, payload)
        };
        for (number, count) in &self.hard {
            let (name, passes) = bin_name(*number, step_bins);
            let (kind, sub, payload) = bin(40, *number, *count, &name, passes);
            file.push(kind, sub, payload);
        }
        for (number, count) in &self.soft {
            let (name, passes) = bin_name(*number, step_bins);
            let (kind, sub, payload) = bin(50, *number, *count, &name, passes);
            file.push(kind, sub, payload);
        }
        let mut all = [0_u32; 4];
        for (site, counts) in &self.parts {
            all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            records::part_counts(file, HEAD, *site, counts);
        }
        records::part_counts(file, ALL, 0, &all);
    }
}

fn bin_name(number: u16, step_bins: &BTreeMap<String, u16>) -> (String, char) {
    if let Some((.., passes, name)) = BINS.iter().find(|(bin, ..)| *bin == number) {
        return ((*name).to_owned(), *passes);
    }
    let step = step_bins.iter().find(|(_, bin)| **bin == number).map(|(step, _)| step.clone()).unwrap_or_default();
    (step, 'F')
}
