//! Queries.

use crate::facts::StepFact;
use crate::shape::Shape;
use crate::store::{Store, StoreError, unpack, verdict_of};
use bench_run::{LateRecord, Verdict, unit_name};
use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Selects runs; every part that is set must match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    pub plan: Option<String>,
    pub model: Option<String>,
    pub station: Option<String>,
    pub nest: Option<String>,
    pub lot: Option<String>,
    pub serial: Option<String>,
    /// First day, `2026-11-22`.
    pub from: Option<String>,
    /// Last day.
    pub to: Option<String>,
}

/// One run, without its readings.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    pub id: i64,
    /// The journal's seal, or the hash of one that has none.
    pub digest: [u8; 32],
    pub run_id: Arc<str>,
    /// Path of the journal, relative to the folder of reports.
    pub path: Arc<str>,
    pub serial: Arc<str>,
    pub model: Arc<str>,
    pub plan: Arc<str>,
    pub station: Option<Arc<str>>,
    pub nest: Option<Arc<str>>,
    pub lot: Option<Arc<str>>,
    pub day: Option<Arc<str>>,
    /// Hour of the station's day.
    pub hour: Option<u8>,
    /// Microseconds since 1970.
    pub started_us: Option<i64>,
    pub duration_us: u64,
    /// Whether the journal holds the end of the run.
    pub finished: bool,
    pub verdict: Verdict,
    pub first_pass: bool,
    pub shape: i64,
    pub steps: Vec<StepFact>,
    /// The largest lateness of the controller in a step.
    pub late: Option<LateRecord>,
    /// Attempts that did not count because of that.
    pub voids: u32,
}

/// A contact in a diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFault {
    pub run: i64,
    /// Index of the step in the run's shape.
    pub step: usize,
    /// Whether the attempt counted.
    pub counts: bool,
    pub defect: String,
    pub contact: Option<u8>,
    pub text: String,
}

impl Filter {
    fn sql(&self) -> (String, Vec<Value>) {
        let rows = [
            ("plan =", &self.plan),
            ("model =", &self.model),
            ("station =", &self.station),
            ("nest =", &self.nest),
            ("lot =", &self.lot),
            ("serial COLLATE NOCASE =", &self.serial),
            ("day >=", &self.from),
            ("day <=", &self.to),
        ];
        let set: Vec<(&str, &String)> =
            rows.iter().filter_map(|(what, value)| Some((*what, (*value).as_ref()?))).collect();
        let parts: Vec<String> = set.iter().enumerate().map(|(at, (what, _))| format!("{what} ?{}", at + 1)).collect();
        let wanted = if parts.is_empty() { "1".to_owned() } else { parts.join(" AND ") };
        (wanted, set.into_iter().map(|(_, value)| Value::Text(value.clone())).collect())
    }
}

/// Shares equal texts in memory: a hundred thousand rows have few different ones.
#[derive(Default)]
struct Texts(HashSet<Arc<str>>);

impl Texts {
    fn get(&mut self, row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Arc<str>>> {
        Ok(row.get_ref(column)?.as_str_or_null()?.map(|text| self.share(text)))
    }

    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.0.get(text) {
            return Arc::clone(shared);
        }
        let text: Arc<str> = Arc::from(text);
        self.0.insert(Arc::clone(&text));
        text
    }
}

impl Store {
    /// Returns the runs in their true order, see [`bench_run::true_order`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs(&self, filter: &Filter) -> Result<Vec<RunRow>, StoreError> {
        let failed = self.failed();
        let (wanted, values) = filter.sql();
        let sql = format!(
            "SELECT id, path, serial, model, plan, station, nest, lot, day, CASE WHEN day IS NULL THEN NULL ELSE substr(started_at, 12, 2) END, started_us, \
             duration_us, verdict, first_pass, shape, steps, digest, run_id, late_us, \
             late_cause, voids, finished FROM run WHERE {wanted} ORDER BY place, id"
        );
        let mut query = self.connection.prepare(&sql).map_err(&failed)?;
        let mut rows = query.query(params_from_iter(values)).map_err(&failed)?;
        let mut texts = Texts::default();
        let mut runs = Vec::new();
        while let Some(row) = rows.next().map_err(&failed)? {
            runs.push(run_row(row, &mut texts).map_err(&failed)?);
        }
        Ok(runs)
    }

    /// Returns every shape, by the number that runs refer to.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn shapes(&self) -> Result<HashMap<i64, Arc<Shape>>, StoreError> {
        let failed = self.failed();
        let mut query = self.connection.prepare("SELECT id, steps FROM shape").map_err(&failed)?;
        let rows = query
            .query_map([], |row| {
                let text: String = row.get(1)?;
                let wrong = |error: serde_json::Error| {
                    rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error.into())
                };
                let shape = Shape::new(serde_json::from_str(&text).map_err(wrong)?).map_err(wrong)?;
                Ok((row.get(0)?, Arc::new(shape)))
            })
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    /// Passes the readings of each run to `see`, in the order of `runs`: one number per value of its shape.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn readings(&self, runs: &[RunRow], mut see: impl FnMut(&RunRow, &[f64])) -> Result<(), StoreError> {
        let failed = self.failed();
        let mut query = self.connection.prepare("SELECT readings FROM reading WHERE run = ?1").map_err(&failed)?;
        let mut values = Vec::new();
        for run in runs {
            let mut rows = query.query([run.id]).map_err(&failed)?;
            let Some(row) = rows.next().map_err(&failed)? else { continue };
            let bytes = row.get_ref(0).and_then(|value| Ok(value.as_blob()?)).map_err(&failed)?;
            values.clear();
            values.extend(bytes.as_chunks::<8>().0.iter().map(|eight| f64::from_le_bytes(*eight)));
            see(run, &values);
        }
        Ok(())
    }

    /// Returns the diagnoses of these runs.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn faults_of(&self, runs: &[RunRow]) -> Result<Vec<FoundFault>, StoreError> {
        let failed = self.failed();
        let sql = "SELECT run, step, counts, defect, contact, text FROM fault WHERE run = ?1 ORDER BY step";
        let mut query = self.connection.prepare(sql).map_err(&failed)?;
        let mut faults = Vec::new();
        for run in runs {
            let rows = query.query_map([run.id], found_fault).map_err(&failed)?;
            faults.extend(rows.collect::<Result<Vec<_>, _>>().map_err(&failed)?);
        }
        Ok(faults)
    }

    /// Returns the steps of a shape, as JSON.
    ///
    /// # Errors
    /// When the store cannot be read, or has no such shape.
    pub fn shape_text(&self, shape: i64) -> Result<String, StoreError> {
        let sql = "SELECT steps FROM shape WHERE id = ?1";
        self.connection.query_row(sql, [shape], |row| row.get(0)).map_err(self.failed())
    }

    /// Returns the diagnoses of the runs that match the filter.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn faults(&self, filter: &Filter) -> Result<Vec<FoundFault>, StoreError> {
        let failed = self.failed();
        let (wanted, values) = filter.sql();
        let sql = format!(
            "SELECT fault.run, fault.step, fault.counts, fault.defect, fault.contact, fault.text FROM fault JOIN run ON \
             run.id = fault.run WHERE {wanted} ORDER BY fault.run, fault.step"
        );
        let mut query = self.connection.prepare(&sql).map_err(&failed)?;
        let rows = query.query_map(params_from_iter(values), found_fault).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }
}

fn found_fault(row: &Row<'_>) -> rusqlite::Result<FoundFault> {
    Ok(FoundFault {
        run: row.get(0)?,
        step: row.get::<_, i64>(1)?.try_into().unwrap_or(usize::MAX),
        counts: row.get(2)?,
        defect: row.get(3)?,
        contact: row.get(4)?,
        text: row.get(5)?,
    })
}

fn late(us: Option<i64>, cause: Option<String>) -> Option<LateRecord> {
    Some(LateRecord { us: us?.try_into().unwrap_or(0), cause: cause.unwrap_or_default() })
}

fn run_row(row: &Row<'_>, texts: &mut Texts) -> rusqlite::Result<RunRow> {
    let verdict: Arc<str> = texts.get(row, 12)?.unwrap_or_else(|| Arc::from(""));
    let hour = row.get_ref(9)?.as_str_or_null()?.and_then(|hour| hour.parse().ok());
    Ok(RunRow {
        id: row.get(0)?,
        digest: row.get(16)?,
        run_id: Arc::from(row.get_ref(17)?.as_str()?),
        path: Arc::from(row.get_ref(1)?.as_str()?),
        // A record from before serial numbers were normalised is of the same unit.
        serial: texts.share(&unit_name(row.get_ref(2)?.as_str_or_null()?.unwrap_or_default())),
        model: texts.get(row, 3)?.unwrap_or_else(|| Arc::from("")),
        plan: texts.get(row, 4)?.unwrap_or_else(|| Arc::from("")),
        station: texts.get(row, 5)?,
        nest: texts.get(row, 6)?,
        lot: texts.get(row, 7)?,
        day: texts.get(row, 8)?,
        hour,
        started_us: row.get(10)?,
        duration_us: row.get::<_, i64>(11)?.try_into().unwrap_or(0),
        verdict: verdict_of(&verdict),
        first_pass: row.get(13)?,
        shape: row.get(14)?,
        steps: unpack(row.get_ref(15)?.as_blob()?),
        late: late(row.get(18)?, row.get(19)?),
        voids: row.get(20)?,
        finished: row.get(21)?,
    })
}
