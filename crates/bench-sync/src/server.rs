//! The server's side: its tables, and a page of runs in one transaction.

use crate::OutboxError;
use bench_run::Verdict;
use bench_store::{RunRow, Store, StoreError};
use postgres::{Client, NoTls, Transaction};
use std::collections::{BTreeSet, HashMap};

/// What makes a database of any older version one of this version, in order. A step that was published is never changed.
pub const MIGRATIONS: [&str; 1] = [include_str!("migration-1.sql")];

/// Many stations may start at once; one of them migrates. The number means nothing.
const MIGRATION_LOCK: i64 = 0x6265_6e63_6873_796e;

/// Days without a date, of virtual runs.
const NO_DAY: &str = "1970-01-01";

/// Why runs do not go over. None of it is the fault of a unit.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error("the server: {}", words(.0))]
    Server(#[from] postgres::Error),
    #[error("the server's tables are of version {found}, this bench knows {known}: use a newer one")]
    NewerServer { found: i32, known: usize },
}

/// The client's own message says only "db error".
fn words(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(database) => format!("{} ({})", database.message(), database.code().code()),
        None => error.to_string(),
    }
}

impl SyncError {
    /// The server is there, and does not take the data: trying again changes nothing. Everything else may pass.
    pub(crate) fn is_refusal(&self) -> bool {
        let SyncError::Server(error) = self else { return false };
        // Classes 22, data exception, and 23, integrity constraint violation.
        error.code().is_some_and(|state| state.code().starts_with("22") || state.code().starts_with("23"))
    }
}

pub(crate) struct Server {
    client: Client,
    /// Months that have a partition.
    months: BTreeSet<String>,
}

impl Server {
    pub(crate) fn connect(url: &str) -> Result<Self, SyncError> {
        Ok(Self { client: Client::connect(url, NoTls)?, months: BTreeSet::new() })
    }

    pub(crate) fn migrate(&mut self) -> Result<(), SyncError> {
        let mut transaction = self.client.transaction()?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK])?;
        transaction.batch_execute("CREATE TABLE IF NOT EXISTS bench_schema (version integer PRIMARY KEY)")?;
        let row = transaction.query_one("SELECT coalesce(max(version), 0) FROM bench_schema", &[])?;
        let found: i32 = row.get(0);
        let done = usize::try_from(found).unwrap_or(0);
        if done > MIGRATIONS.len() {
            return Err(SyncError::NewerServer { found, known: MIGRATIONS.len() });
        }
        for (at, step) in MIGRATIONS.iter().enumerate().skip(done) {
            transaction.batch_execute(step)?;
            let version = i32::try_from(at + 1).unwrap_or(i32::MAX);
            transaction.execute("INSERT INTO bench_schema VALUES ($1)", &[&version])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Writes the runs that the server has not yet; says how many it had not and had.
    pub(crate) fn send(&mut self, store: &Store, runs: &[RunRow]) -> Result<(usize, usize), SyncError> {
        for run in runs {
            self.partition(&month(run))?;
        }
        let shapes = store.shapes()?;
        let mut readings: HashMap<i64, Vec<f64>> = HashMap::new();
        store.readings(runs, |run, values| {
            readings.insert(run.id, values.to_vec());
        })?;
        let faults = store.faults_of(runs)?;
        let mut transaction = self.client.transaction()?;
        let mut sent = 0;
        for run in runs {
            let Some(shape) = shapes.get(&run.shape) else { continue };
            let steps = store.shape_text(run.shape)?;
            let sql = "INSERT INTO shape (hash, steps) VALUES ($1, $2::text::jsonb) ON CONFLICT DO NOTHING";
            transaction.execute(sql, &[&shape.hash.as_slice(), &steps])?;
            if !insert_run(&mut transaction, run, &shape.hash, readings.get(&run.id))? {
                continue;
            }
            sent += 1;
            for fault in faults.iter().filter(|fault| fault.run == run.id) {
                let step = i32::try_from(fault.step).unwrap_or(i32::MAX);
                let contact = fault.contact.map(i16::from);
                transaction.execute(
                    "INSERT INTO fault (digest, day, step, counts, defect, contact, text) VALUES \
                     ($1, $2::text::date, $3, $4, $5, $6, $7)",
                    &[&run.digest.as_slice(), &day(run), &step, &fault.counts, &fault.defect, &contact, &fault.text],
                )?;
            }
        }
        transaction.commit()?;
        Ok((sent, runs.len() - sent))
    }

    /// A partition for each month, made when its first run comes.
    fn partition(&mut self, month: &str) -> Result<(), SyncError> {
        if self.months.contains(month) {
            return Ok(());
        }
        self.client.execute("SELECT bench_partition($1::text::date)", &[&format!("{month}-01")])?;
        self.months.insert(month.to_owned());
        Ok(())
    }
}

fn day(run: &RunRow) -> &str {
    run.day.as_deref().unwrap_or(NO_DAY)
}

fn month(run: &RunRow) -> String {
    day(run).chars().take(7).collect()
}

/// Whether it was new.
fn insert_run(
    transaction: &mut Transaction<'_>,
    run: &RunRow,
    shape: &[u8; 32],
    readings: Option<&Vec<f64>>,
) -> Result<bool, SyncError> {
    let code = |verdict: Option<Verdict>| verdict.map_or("", Verdict::as_str);
    let steps: Vec<String> =
        run.steps.iter().map(|step| format!("{} {} {}", step.attempts, code(step.first), code(step.last))).collect();
    let none = Vec::new();
    let duration = i64::try_from(run.duration_us).unwrap_or(i64::MAX);
    let rows = transaction.execute(
        "INSERT INTO run (digest, day, run_id, serial, model, plan, station, nest, lot, started_us, duration_us, verdict, \
         first_pass, shape, steps, readings) VALUES ($1, $2::text::date, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
         $14, $15, $16) ON CONFLICT DO NOTHING",
        &[
            &run.digest.as_slice(),
            &day(run),
            &&*run.run_id,
            &&*run.serial,
            &&*run.model,
            &&*run.plan,
            &run.station.as_deref(),
            &run.nest.as_deref(),
            &run.lot.as_deref(),
            &run.started_us,
            &duration,
            &run.verdict.as_str(),
            &run.first_pass,
            &shape.as_slice(),
            &steps,
            readings.unwrap_or(&none),
        ],
    )?;
    Ok(rows > 0)
}
