//! A page of runs in the form of the server's statements, read from the store.

use crate::text::{plain, plain_json};
use bench_run::Verdict;
use bench_store::{FoundFault, RunRow, Shape, Store, StoreError};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Runs without a date, which virtual benches record, are filed under this day.
const NO_DAY: &str = "1970-01-01";

/// A run with all data to send.
pub(crate) struct Row<'a> {
    pub(crate) run: &'a RunRow,
    pub(crate) shape: [u8; 32],
    pub(crate) steps: Vec<String>,
    pub(crate) readings: Vec<f64>,
    pub(crate) faults: Faults,
}

/// The faults of one run, a list per column.
#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) step: Vec<i32>,
    pub(crate) counts: Vec<bool>,
    pub(crate) defect: Vec<String>,
    pub(crate) contact: Vec<Option<i16>>,
    pub(crate) text: Vec<String>,
}

/// What one round trip sends.
pub(crate) struct Page<'a> {
    /// In the order of their digests: stations that send the same runs take the server's locks in the same order, so
    /// they cannot deadlock.
    pub(crate) rows: Vec<Row<'a>>,
    /// The shapes of all rows: steps as JSON, by hash.
    pub(crate) shapes: BTreeMap<[u8; 32], String>,
    /// Runs that the store has only in part, with the reason why they cannot be sent.
    pub(crate) broken: Vec<(&'a RunRow, String)>,
}

impl Row<'_> {
    pub(crate) fn day(&self) -> &str {
        self.run.day.as_deref().unwrap_or(NO_DAY)
    }

    /// The first day of the run's month.
    pub(crate) fn month(&self) -> String {
        let month: String = self.day().chars().take(7).collect();
        format!("{month}-01")
    }
}

impl<'a> Page<'a> {
    pub(crate) fn read(
        store: &Store,
        shapes: &HashMap<i64, Arc<Shape>>,
        runs: &'a [RunRow],
    ) -> Result<Self, StoreError> {
        let mut readings: HashMap<i64, Vec<f64>> = HashMap::with_capacity(runs.len());
        store.readings(runs, |run, values| {
            readings.insert(run.id, values.to_vec());
        })?;
        let mut faults: HashMap<i64, Faults> = HashMap::new();
        for fault in store.faults_of(runs)? {
            faults.entry(fault.run).or_default().push(fault);
        }
        let mut page = Self { rows: Vec::with_capacity(runs.len()), shapes: BTreeMap::new(), broken: Vec::new() };
        for run in runs {
            let (shape, readings) = match (shapes.get(&run.shape), readings.remove(&run.id)) {
                (Some(shape), Some(readings)) => (shape, readings),
                (None, _) => {
                    page.broken.push((run, broken("the steps")));
                    continue;
                }
                (_, None) => {
                    page.broken.push((run, broken("the readings")));
                    continue;
                }
            };
            if let Entry::Vacant(vacant) = page.shapes.entry(shape.hash) {
                vacant.insert(plain_json(&store.shape_text(run.shape)?).into_owned());
            }
            let faults = faults.remove(&run.id).unwrap_or_default();
            page.rows.push(Row { run, shape: shape.hash, steps: steps(run), readings, faults });
        }
        page.rows.sort_unstable_by_key(|row| row.run.digest);
        Ok(page)
    }

    pub(crate) fn months(&self) -> BTreeSet<String> {
        self.rows.iter().map(Row::month).collect()
    }
}

fn broken(what: &str) -> String {
    format!("the store has lost {what} of this run; `bench store rebuild` reads them from the journal again")
}

fn steps(run: &RunRow) -> Vec<String> {
    let code = |verdict: Option<Verdict>| verdict.map_or("", Verdict::as_str);
    run.steps.iter().map(|step| format!("{} {} {}", step.attempts, code(step.first), code(step.last))).collect()
}

impl Faults {
    fn push(&mut self, fault: FoundFault) {
        self.step.push(i32::try_from(fault.step).unwrap_or(i32::MAX));
        self.counts.push(fault.counts);
        self.defect.push(fault.defect);
        self.contact.push(fault.contact.map(i16::from));
        self.text.push(plain(&fault.text).into_owned());
    }
}
