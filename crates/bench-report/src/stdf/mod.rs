//! STDF V4, the exchange format for semiconductor test data, for other software.
//!
//! A unit is a part (`PIR` to `PRR`), a measurement a `PTR`, and one that is a yes, a no or a code an `FTR`. Repeated
//! attempts are left out: the format has no steps, and a test number must have one result per part. Further data (plan
//! and seal of each journal) is in `DTR` text records. Limits are written both as test limits and as specification
//! limits: a journal has only one pair.
//!
//! A file speaks of one lot: one model, plan, station and production lot, because its header (`MIR`) names one of each.
//! Numbers of tests and software bins come from the plan, so that they are the same in every file. The index of a pin
//! (`PMR_INDX`) is the number of its contact, and bit n of `FAIL_PIN` is the pin with index n. Each part has one more `FTR`,
//! "contacts-at-fault": its `FAIL_PIN` are the contacts in the diagnosis, which parametric results have no field for. Times
//! are the station's wall clock, as the format wants them.

mod bytes;
mod records;

use crate::record::{MeasurementRecord, RunRecord, StepRecord};
use bench_run::{Contact, Limits, MeasurementUnit, Verdict};
use bytes::{File, Payload};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
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

/// Software bins of failing units: one for each step of the plan.
const STEP_BINS: std::ops::RangeInclusive<u16> = 100..=32_767;

/// Numbers of tests; those below are for tests of the file itself.
const FIRST_TEST: u32 = 1_024;

/// Number and name of the test that carries the contacts of a diagnosis.
const CONTACTS_AT_FAULT: (u32, &str) = (1, "contacts-at-fault");

/// One test over all parts.
#[derive(Debug, Clone, Default)]
struct Test {
    number: u32,
    name: String,
    functional: bool,
    executed: u32,
    failed: u32,
    /// Results with a value.
    valued: u32,
    min: f64,
    max: f64,
    sum: f64,
    squares: f64,
}

/// What one file is about. Runs with different groups need different files.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StdfGroup {
    /// Model of the units.
    pub model: String,
    /// Name of the station, or `virtual`.
    pub station: String,
    /// Production lot.
    pub lot: Option<String>,
    /// Name of the plan.
    pub plan: String,
    /// SHA-256 of the plan.
    pub plan_sha256: String,
}

impl StdfGroup {
    /// Returns the group of a run.
    pub fn of(record: &RunRecord) -> Self {
        let made_of = record.provenance.as_ref();
        Self {
            model: record.model.clone(),
            station: station_of(record).to_owned(),
            lot: record.lot.clone(),
            plan: made_of.map(|made_of| made_of.plan.clone()).unwrap_or_default(),
            plan_sha256: made_of.map(|made_of| made_of.plan_sha256.clone()).unwrap_or_default(),
        }
    }
}

/// What a file's beginning needs to know of all its runs. It grows with the plan, not with the runs.
#[derive(Debug, Clone, Default)]
pub struct StdfScan {
    started: Option<u32>,
    sites: BTreeMap<String, u8>,
    fixture: Option<(String, String)>,
    contacts: BTreeSet<Contact>,
    /// Whether each promised test is functional.
    names: BTreeMap<String, bool>,
    /// The same of tests that were taken without a promise, as in records of older versions.
    unpromised: BTreeMap<String, bool>,
    steps: BTreeSet<String>,
    header: Option<records::Header>,
}

impl StdfScan {
    /// Takes a run into account.
    pub fn run(&mut self, record: &RunRecord) {
        let started = started(record);
        self.started = Some(self.started.map_or(started, |before| before.min(started)));
        let next = u8::try_from(self.sites.len() + 1).unwrap_or(ALL - 1).min(ALL - 1);
        self.sites.entry(site_of(record)).or_insert(next);
        if self.header.is_none() {
            self.header = Some(records::Header::of(record));
        }
        if self.fixture.is_none() {
            let fixture = record.provenance.as_ref();
            self.fixture = fixture.map(|made_of| (made_of.fixture.clone(), made_of.fixture_sha256.clone()));
        }
        self.contacts.extend(&record.contacts_at_fault);
        for step in &record.steps {
            if !self.steps.contains(&step.id) {
                self.steps.insert(step.id.clone());
            }
            for (name, functional, contacts) in promised(step) {
                self.contacts.extend(contacts);
                self.names.entry(name).or_insert(functional);
            }
        }
        for (step, measured) in taken(record) {
            self.contacts.extend(&measured.measurement.contacts);
            self.names
                .entry(name_of(&step.id, &measured.measurement.name))
                .or_insert_with(|| is_functional(measured.measurement.unit, &measured.measurement.limits));
        }
    }
}

/// Writes one file, a run at a time.
pub struct StdfWriter<W: Write> {
    file: File<W>,
    sites: BTreeMap<String, u8>,
    tests: BTreeMap<String, Test>,
    step_bins: BTreeMap<String, u16>,
    seen: Summary,
    end: u32,
}

impl<W: Write> StdfWriter<W> {
    /// Writes the beginning. `scan` has seen every run that will be written.
    ///
    /// # Errors
    /// When `to` refuses.
    pub fn new(to: W, scan: &StdfScan) -> io::Result<Self> {
        let mut file = File::new(to);
        records::master(&mut file, &scan.header.clone().unwrap_or_default(), scan.started.unwrap_or(0))?;
        for (name, site) in &scan.sites {
            records::site(&mut file, *site, name, scan.fixture.as_ref())?;
        }
        for contact in &scan.contacts {
            records::pin(&mut file, *contact)?;
        }
        let mut tests = number_tests(scan.names.iter().chain(&scan.unpromised));
        let (number, name) = CONTACTS_AT_FAULT;
        let at_fault = Test { number, name: name.to_owned(), functional: true, ..Test::default() };
        tests.insert(name.to_owned(), at_fault);
        let step_bins = step_bins(&scan.steps);
        Ok(Self { file, sites: scan.sites.clone(), tests, step_bins, seen: Summary::default(), end: 0 })
    }

    /// Writes a run.
    ///
    /// # Errors
    /// When the file refuses.
    pub fn run(&mut self, record: &RunRecord) -> io::Result<()> {
        let site = self.sites.get(&site_of(record)).copied().unwrap_or(1);
        let seconds = u32::try_from(record.duration_us.as_micros() / 1_000_000).unwrap_or(u32::MAX);
        self.end = self.end.max(started(record).saturating_add(seconds));
        let names = [
            ("plan_sha256", record.provenance.as_ref().map(|made_of| made_of.plan_sha256.as_str())),
            ("seal", record.seal.as_deref()),
        ];
        for (what, value) in names {
            if let Some(value) = value {
                let text = format!("{} {what} {value}", record.run_id);
                self.file.push(50, 30, Payload::default().text(&text))?;
            }
        }
        self.file.push(5, 10, Payload::default().u1(HEAD).u1(site))?;
        let mut executed: u16 = 0;
        for (step, measured) in taken(record) {
            let Some(test) = self.tests.get_mut(&name_of(&step.id, &measured.measurement.name)) else { continue };
            executed = executed.saturating_add(1);
            test.take(measured);
            if test.functional {
                records::functional(&mut self.file, test, measured, site)?;
            } else {
                records::parametric(&mut self.file, test, measured, site)?;
            }
        }
        if let Some(test) = self.tests.get_mut(CONTACTS_AT_FAULT.1) {
            executed = executed.saturating_add(1);
            test.executed += 1;
            test.failed += u32::from(!record.contacts_at_fault.is_empty());
            records::contacts_at_fault(&mut self.file, test, record, site)?;
        }
        let again = !self.seen.units.insert(hash(&bench_run::unit_name(&record.serial)));
        let judged = matches!(record.verdict, Verdict::Pass | Verdict::Fail);
        let counts = self.seen.parts.entry(site).or_default();
        counts[0] += 1;
        counts[1] += u32::from(again);
        counts[2] += u32::from(!judged);
        counts[3] += u32::from(record.verdict == Verdict::Pass);
        let hard = hard_bin(record);
        let soft = failing_step(record).and_then(|step| self.step_bins.get(step)).copied().unwrap_or(hard);
        *self.seen.hard.entry(hard).or_default() += 1;
        *self.seen.soft.entry(soft).or_default() += 1;
        records::part_result(&mut self.file, record, site, executed, (hard, soft), again)
    }

    /// Writes the end, and returns what was written to.
    ///
    /// # Errors
    /// When the file refuses.
    pub fn finish(mut self) -> io::Result<W> {
        self.seen.write(&mut self.file, &self.tests, &self.step_bins)?;
        self.file.push(1, 20, Payload::default().u4(self.end).u1(b' ').text("").text(""))?;
        Ok(self.file.to)
    }
}

impl Test {
    fn take(&mut self, measured: &MeasurementRecord) {
        self.executed += 1;
        self.failed += u32::from(measured.measurement.verdict != Verdict::Pass);
        let Some(value) = measured.measurement.value else { return };
        if self.valued == 0 {
            (self.min, self.max) = (value, value);
        }
        self.valued += 1;
        (self.min, self.max) = (self.min.min(value), self.max.max(value));
        self.sum += value;
        self.squares += value * value;
    }
}

/// Writes the file of some runs of one group, in the given order, which should be the true one.
pub fn stdf(records: &[RunRecord]) -> Vec<u8> {
    let mut scan = StdfScan::default();
    records.iter().for_each(|record| scan.run(record));
    let write = || {
        let mut writer = StdfWriter::new(Vec::new(), &scan)?;
        records.iter().try_for_each(|record| writer.run(record))?;
        writer.finish()
    };
    // Memory takes everything.
    write().unwrap_or_else(|_: io::Error| Vec::new())
}

/// The station's wall clock as seconds since 1970, which is how the format counts; 0 when there is no date.
fn started(record: &RunRecord) -> u32 {
    let at = record.started_at.as_deref().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    let local = at.map(|at| at.unix_timestamp() + i64::from(at.offset().whole_seconds()));
    local.and_then(|local| u32::try_from(local).ok()).unwrap_or(0)
}

fn station_of(record: &RunRecord) -> &str {
    record.bench.as_ref().map_or("unknown", |bench| bench.station().unwrap_or("virtual"))
}

fn site_of(record: &RunRecord) -> String {
    let station = station_of(record);
    record.nest.as_deref().map_or_else(|| station.to_owned(), |nest| format!("{station} nest {nest}"))
}

/// "supply/3V3.volts": unique in a plan, and the same in every run.
fn name_of(step: &str, measurement: &str) -> String {
    format!("{step}/{measurement}")
}

/// Whether the measurement is a yes, a no or a code, without values between two limits.
fn is_functional(unit: MeasurementUnit, limits: &Limits) -> bool {
    unit == MeasurementUnit::One && limits.min.is_some() && limits.min == limits.max
}

/// Every promised measurement of a step, whether it was taken or not.
fn promised(step: &StepRecord) -> impl Iterator<Item = (String, bool, &[Contact])> {
    step.specs
        .iter()
        .map(|spec| (name_of(&step.id, &spec.name), is_functional(spec.unit, &spec.limits), spec.contacts.as_slice()))
}

fn taken(record: &RunRecord) -> impl Iterator<Item = (&StepRecord, &MeasurementRecord)> {
    record.steps.iter().flat_map(|step| {
        step.last().into_iter().flat_map(move |last| last.measurements.iter().map(move |measured| (step, measured)))
    })
}

/// FNV-1a: spreads names over numbers.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Numbers each test by its name, so that it keeps its number when the plan gets other tests. Of two names with the same
/// number (one plan in 20,000 has such a pair), the later one in the alphabet gets the next free one. Promised names come
/// first, and every run has all of them, so it does not matter which runs are exported.
fn number_tests<'a>(names: impl IntoIterator<Item = (&'a String, &'a bool)>) -> BTreeMap<String, Test> {
    let mut used = BTreeSet::new();
    let mut tests = BTreeMap::new();
    for (name, functional) in names {
        let folded = hash(name);
        let mut number = ((folded >> 32) ^ folded) as u32;
        while number < FIRST_TEST || !used.insert(number) {
            number = number.wrapping_add(FIRST_TEST);
        }
        tests.insert(name.clone(), Test { number, name: name.clone(), functional: *functional, ..Test::default() });
    }
    tests
}

/// Software bins of the plan's steps, by the name of the step in the same way.
fn step_bins(steps: &BTreeSet<String>) -> BTreeMap<String, u16> {
    let (first, count) = (*STEP_BINS.start(), u64::from(STEP_BINS.end() - STEP_BINS.start()) + 1);
    let mut used = BTreeSet::new();
    let mut bins = BTreeMap::new();
    for step in steps.iter().take(usize::try_from(count).unwrap_or(usize::MAX)) {
        let mut at = hash(step) % count;
        while !used.insert(at) {
            at = (at + 1) % count;
        }
        bins.insert(step.clone(), first + u16::try_from(at).unwrap_or(0));
    }
    bins
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
    /// Hashes of serial numbers: eight bytes for each unit.
    units: BTreeSet<u64>,
    hard: BTreeMap<u16, u32>,
    soft: BTreeMap<u16, u32>,
}

impl Summary {
    fn write<W: Write>(
        &self,
        file: &mut File<W>,
        tests: &BTreeMap<String, Test>,
        step_bins: &BTreeMap<String, u16>,
    ) -> io::Result<()> {
        let mut in_order: Vec<&Test> = tests.values().filter(|test| test.executed > 0).collect();
        in_order.sort_by_key(|test| test.number);
        for test in in_order {
            records::test_summary(file, test)?;
        }
        for (sub, bins) in [(40, &self.hard), (50, &self.soft)] {
            for (number, count) in bins {
                let (name, passes) = bin_name(*number, step_bins);
                let payload = Payload::default().u1(ALL).u1(0).u2(*number).u4(*count).u1(passes as u8).text(&name);
                file.push(1, sub, payload)?;
            }
        }
        let mut all = [0_u32; 4];
        for (site, counts) in &self.parts {
            all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            records::part_counts(file, HEAD, *site, counts)?;
        }
        records::part_counts(file, ALL, 0, &all)
    }
}

fn bin_name(number: u16, step_bins: &BTreeMap<String, u16>) -> (String, char) {
    if let Some((.., passes, name)) = BINS.iter().find(|(bin, ..)| *bin == number) {
        return ((*name).to_owned(), *passes);
    }
    let step = step_bins.iter().find(|(_, bin)| **bin == number).map(|(step, _)| step.clone()).unwrap_or_default();
    (step, 'F')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A test keeps its number, and a step its bin, whatever else the plan gets.
        #[test]
        fn numbers_stay_when_tests_are_added(
            names in prop::collection::btree_map("[a-z]{1,6}/[a-zA-Z0-9.]{1,8}", any::<bool>(), 0..300),
            more in prop::collection::btree_map("[a-z]{1,6}/[a-zA-Z0-9.]{1,8}", any::<bool>(), 0..300),
        ) {
            let before = number_tests(&names);
            let all: BTreeMap<String, bool> = names.clone().into_iter().chain(more).collect();
            let after = number_tests(&all);
            let numbers: BTreeSet<u32> = after.values().map(|test| test.number).collect();
            prop_assert_eq!(numbers.len(), all.len());
            let same = before.iter().filter(|(name, test)| after[*name].number == test.number).count();
            // Two names may share a number once in millions of pairs.
            prop_assert!(same + 1 >= names.len());
        }
    }
}
