//! Journals of synthetic units, in any number: for tests, and for measuring the cost of a store of a year's production.
//! The same number gives the same bytes.

use crate::shape::Shapes;
use crate::store::{Store, StoreError};
use bench_run::{
    BenchKind, BenchTime, Contact, Defect, Diagnosis, Entry, Event, JOURNAL_FORMAT, Limits, MeasurementSpec,
    MeasurementUnit, PlannedStep, Provenance, Tally, Verdict, measured, step_verdict,
};

const MODELS: [&str; 3] = ["b404x", "b524", "b402"];
const STATIONS: [&str; 3] = ["line-1", "line-2", "line-3"];
/// 2026-01-01, in seconds since 1970.
const FIRST_DAY: i64 = 1_767_225_600;

/// Properties of the production.
#[derive(Debug, Clone, Copy)]
pub struct Production {
    pub steps: usize,
    pub per_step: usize,
    pub units_a_day: u64,
    /// Units with a defect, per thousand.
    pub bad_per_mille: u64,
}

impl Default for Production {
    fn default() -> Self {
        Self { steps: 30, per_step: 10, units_a_day: 1_000, bad_per_mille: 40 }
    }
}

/// Deterministic noise without further state.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Sum of twelve uniform numbers: near enough to a normal one, and bounded.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| (self.next() >> 11) as f64 / (1_u64 << 53) as f64).sum::<f64>() - 6.0
    }
}

impl Production {
    fn plan(&self) -> Vec<PlannedStep> {
        let spec = |step: usize, at: usize| {
            let nominal = 1.0 + (step * self.per_step + at) as f64 / 100.0;
            MeasurementSpec {
                name: format!("P{at}.volts"),
                unit: MeasurementUnit::Volts,
                limits: Limits::between(nominal * 0.9, nominal * 1.1),
                contacts: vec![Contact((1 + (step * self.per_step + at) % 67) as u8)],
            }
        };
        let step = |step: usize| PlannedStep {
            id: format!("step-{step}"),
            kind: "adc".to_owned(),
            title: format!("Step {step}"),
            measurements: self.per_step,
            attempts: Some(2),
            promised: (0..self.per_step).map(|at| spec(step, at)).collect(),
        };
        (0..self.steps).map(step).collect()
    }

    /// Returns the journal of run `number`, with its path below the folder of reports.
    pub fn journal(&self, number: u64) -> (String, Vec<u8>) {
        let entries = self.entries(number);
        let (serial, run_id) = names(number);
        (format!("{serial}/{run_id}/{}", bench_journal::JOURNAL_FILE), bench_journal::to_bytes(&entries))
    }

    /// Returns the entries of run `number`.
    pub fn entries(&self, number: u64) -> Vec<Entry> {
        let mut noise = Noise(number);
        let plan = self.plan();
        let mut log = Log::default();
        log.push(self.started(number, plan.clone()));
        let bad = noise.next() % 1000 < self.bad_per_mille;
        // The failing step, and whether a second attempt passes.
        let (bad_step, rescued) = ((noise.next() % self.steps.max(1) as u64) as usize, noise.next().is_multiple_of(3));
        let mut tally = Tally { steps: self.steps, ..Tally::default() };
        let mut verdict = Verdict::Pass;
        let mut contacts = std::collections::BTreeSet::new();
        for (index, step) in plan.iter().enumerate() {
            if verdict != Verdict::Pass {
                let (step, reason) = (step.id.clone(), Some("not started".to_owned()));
                let verdict = Verdict::Skipped;
                log.push(Event::StepEnded {
                    step,
                    attempt: 0,
                    verdict,
                    reason,
                    procedure: None,
                    retried: false,
                    late: None,
                });
                tally.skipped += 1;
                continue;
            }
            let attempts = if bad && index == bad_step { 2 } else { 1 };
            for attempt in 1..=attempts {
                let low = bad && index == bad_step && (attempt == 1 || !rescued);
                log.push(Event::StepStarted { step: step.id.clone(), attempt });
                let mut delivered = Vec::new();
                for (at, spec) in step.promised.iter().enumerate() {
                    let nominal = spec.limits.max.unwrap_or(1.0) / 1.1;
                    let spread = nominal * 0.02 * (1.0 + at as f64 / 20.0);
                    let value = if low && at == 0 { 0.1 } else { nominal + spread * noise.normal() };
                    let measurement = measured(spec, Some(value));
                    delivered.push(measurement.clone());
                    log.push(Event::Measured { step: step.id.clone(), attempt, measurement });
                }
                if low {
                    let contact = step.promised[0].contacts[0];
                    let text = format!("contact {contact}: open");
                    let diagnosis = Diagnosis { defect: Defect::Open, contacts: vec![contact], text };
                    log.push(Event::Diagnosed { step: step.id.clone(), attempt, diagnosis });
                }
                let ended = step_verdict(&step.promised, &delivered, Verdict::Pass);
                let retried = ended != Verdict::Pass && attempt < attempts;
                log.push(Event::StepEnded {
                    step: step.id.clone(),
                    attempt,
                    verdict: ended,
                    reason: (ended != Verdict::Pass).then(|| "outside limits".to_owned()),
                    procedure: Some(Verdict::Pass),
                    retried,
                    late: None,
                });
                if !retried {
                    tally.measurements += delivered.len();
                    contacts.extend(delivered.iter().flat_map(|measurement| measurement.contacts.iter().copied()));
                    if ended == Verdict::Pass {
                        tally.passed += 1
                    } else {
                        tally.failed += 1
                    }
                    verdict = verdict.and(ended);
                }
            }
        }
        tally.contacts = contacts.len();
        log.push(Event::SafeState { confirmed: true, reason: None });
        let reason = (verdict != Verdict::Pass).then(|| "outside limits".to_owned());
        log.push(Event::RunEnded { verdict, reason, tally });
        log.entries
    }

    fn started(&self, number: u64, steps: Vec<PlannedStep>) -> Event {
        let (serial, run_id) = names(number);
        let day = (number / self.units_a_day.max(1)) as i64;
        let second = 6 * 3600 + (number % self.units_a_day.max(1)) as i64 * 57_600 / self.units_a_day.max(1) as i64;
        let model = MODELS[(number % 3) as usize];
        Event::RunStarted {
            run_id,
            serial,
            model: model.to_owned(),
            started_at: Some(date(FIRST_DAY + day * 86_400 + second)),
            order: None,
            bench: Box::new(BenchKind::Real {
                station: STATIONS[(number / 3 % 3) as usize].to_owned(),
                nest: Some((1 + number / 9 % 4).to_string()),
                fixture_serial: None,
                overdue: Vec::new(),
            }),
            lot: Some(format!("lot-{}", number / 5_000)),
            diagnosis: None,
            provenance: Box::new(Provenance {
                plan: model.to_owned(),
                fixture: "b-series".to_owned(),
                ..Provenance::default()
            }),
            steps,
        }
    }
}

fn names(number: u64) -> (String, String) {
    (format!("P042AN{number:09}"), format!("run-{number}"))
}

/// Returns RFC 3339 of seconds since 1970, by the days' civil calendar (Hinnant's algorithm for years after 1970).
fn date(seconds: i64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z - era * 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[derive(Default)]
struct Log {
    entries: Vec<Entry>,
}

impl Log {
    fn push(&mut self, event: Event) {
        let seq = self.entries.len() as u64;
        self.entries.push(Entry { v: JOURNAL_FORMAT, seq, at_us: BenchTime(seq * 1_000), event });
    }
}

/// Adds runs from memory to a store, for measurements without a disk full of journals.
///
/// # Errors
/// When the store cannot be written.
pub fn fill(store: &mut Store, shapes: &Shapes, journals: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
    crate::ingest::add_bytes(store, journals, shapes)
}
