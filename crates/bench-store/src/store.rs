//! The SQLite file.

use crate::facts::{Facts, StepFact};
use bench_journal::shown;
use bench_run::{Placed, Verdict, has_trusted_day, microseconds, true_order};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SCHEMA: &str = include_str!("schema.sql");

/// Version of [`SCHEMA`], kept in the file. A store of another version is rebuilt from the journals, never converted.
const SCHEMA_VERSION: i64 = 3;

/// Why the store cannot be used. Never the fault of a unit, and no run is lost.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{path}: {source}", path = shown(path))]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    #[error("{path}: no store exists here", path = shown(path))]
    Missing { path: PathBuf },
    #[error("{path}: the store is empty, as a power cut or a full disk leaves it", path = shown(path))]
    Empty { path: PathBuf },
    #[error(
        "{path}: made by another version of bench (layout {found}, this one has {SCHEMA_VERSION})",
        path = shown(path)
    )]
    OtherVersion { path: PathBuf, found: i64 },
    #[error("{path}: {source}", path = shown(path))]
    Io { path: PathBuf, source: std::io::Error },
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
    shapes: HashMap<[u8; 32], i64>,
}

/// Path of a journal, and its state when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalFile {
    /// Relative to the folder of reports.
    pub path: String,
    pub size: i64,
    pub modified_ns: i64,
}

/// Result of adding a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    New,
    /// The journal has grown or changed since it was last read.
    Replaced,
    /// The same run, byte for byte, exists from another place.
    Known,
}

impl Store {
    /// Opens the store, or creates an empty one.
    ///
    /// # Errors
    /// When the file is not a store, is of another version, or cannot be opened.
    pub fn open_or_create(path: &Path) -> Result<Self, StoreError> {
        Self::with_flags(path, OpenFlags::default())
    }

    /// Opens an existing store.
    ///
    /// # Errors
    /// As [`open_or_create`](Self::open_or_create), and when there is none.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.is_file() {
            return Err(StoreError::Missing { path: path.to_owned() });
        }
        let failed = |source| StoreError::Sqlite { path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let tables = "SELECT count(*) = 0 FROM sqlite_schema";
        let empty =
            Connection::open_with_flags(path, flags).and_then(|file| file.query_row(tables, [], |row| row.get(0)));
        if empty.map_err(failed)? {
            return Err(StoreError::Empty { path: path.to_owned() });
        }
        Self::with_flags(path, flags)
    }

    fn with_flags(path: &Path, flags: OpenFlags) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Sqlite { path: path.to_owned(), source };
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        // 16 MiB of cache; the operating system caches the rest.
        connection.pragma_update(None, "cache_size", -16_384).map_err(failed)?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        let empty: bool =
            connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
        if empty {
            // Page size for a run's readings: pages of 4 KiB would stay half empty.
            connection.pragma_update(None, "page_size", 16_384).map_err(failed)?;
            let schema = format!("BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;");
            connection.execute_batch(&schema).map_err(failed)?;
        } else if version != SCHEMA_VERSION {
            return Err(StoreError::OtherVersion { path: path.to_owned(), found: version });
        }
        Ok(Self { connection, path: path.to_owned(), shapes: HashMap::new() })
    }

    pub(crate) fn failed(&self) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
        let path = self.path.clone();
        move |source| StoreError::Sqlite { path: path.clone(), source }
    }

    /// For a new store that has no readers yet and is rebuilt when lost.
    pub(crate) fn in_a_hurry(&self) -> Result<(), StoreError> {
        let batch = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;";
        self.connection.execute_batch(batch).map_err(self.failed())
    }

    /// While this lives, queries see the same state of the store.
    pub(crate) fn reading(&self) -> Result<rusqlite::Transaction<'_>, StoreError> {
        self.connection.unchecked_transaction().map_err(self.failed())
    }

    /// Returns the journals in the store, by path.
    pub(crate) fn places(&self) -> Result<HashMap<String, (i64, i64)>, StoreError> {
        let failed = self.failed();
        let mut query = self.connection.prepare("SELECT path, size, modified_ns FROM run").map_err(&failed)?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    /// Adds some runs, all or none.
    pub(crate) fn add(&mut self, runs: &[(JournalFile, Facts)]) -> Result<Vec<Added>, StoreError> {
        let failed = self.failed();
        let transaction = self.connection.transaction().map_err(&failed)?;
        let mut added = Vec::with_capacity(runs.len());
        for (place, facts) in runs {
            added.push(insert(&transaction, &mut self.shapes, place, facts).map_err(&failed)?);
        }
        transaction.commit().map_err(&failed)?;
        Ok(added)
    }

    /// Gives every run its place in the true order. After every change, because a new run may be older than others.
    pub(crate) fn put_in_order(&mut self) -> Result<(), StoreError> {
        let failed = self.failed();
        let transaction = self.connection.transaction().map_err(&failed)?;
        put_in_order(&transaction).map_err(&failed)?;
        transaction.commit().map_err(&failed)
    }

    /// Removes runs whose journals are gone.
    pub(crate) fn forget(&mut self, paths: &[String]) -> Result<(), StoreError> {
        let failed = self.failed();
        let transaction = self.connection.transaction().map_err(&failed)?;
        for path in paths {
            transaction.execute("DELETE FROM run WHERE path = ?1", [path]).map_err(&failed)?;
        }
        transaction.commit().map_err(&failed)
    }
}

fn put_in_order(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    struct Of {
        id: i64,
        place: i64,
        station: Option<String>,
        series: Option<String>,
        number: Option<i64>,
        started_us: Option<i64>,
        digest: String,
    }
    let sql = "SELECT id, place, station, series, number, started_us, hex(digest) FROM run";
    let mut query = transaction.prepare(sql)?;
    let rows = query.query_map([], |row| {
        Ok(Of {
            id: row.get(0)?,
            place: row.get(1)?,
            station: row.get(2)?,
            series: row.get(3)?,
            number: row.get(4)?,
            started_us: row.get(5)?,
            digest: row.get(6)?,
        })
    })?;
    let runs = rows.collect::<rusqlite::Result<Vec<Of>>>()?;
    fn placed(run: &Of) -> Placed<'_> {
        Placed {
            station: run.station.as_deref(),
            series: run.series.as_deref(),
            number: run.number.and_then(|number| u64::try_from(number).ok()),
            trusted_us: run.started_us,
            // Not its path: a copy has the same place.
            tie: &run.digest,
        }
    }
    let placed: Vec<Placed<'_>> = runs.iter().map(placed).collect();
    let mut update = transaction.prepare("UPDATE run SET place = ?2 WHERE id = ?1")?;
    for (place, index) in (1_i64..).zip(true_order(&placed)) {
        if runs[index].place != place {
            update.execute([runs[index].id, place])?;
        }
    }
    Ok(())
}

fn insert(
    transaction: &Transaction<'_>,
    shapes: &mut HashMap<[u8; 32], i64>,
    place: &JournalFile,
    facts: &Facts,
) -> rusqlite::Result<Added> {
    let replaced = transaction.prepare_cached("DELETE FROM run WHERE path = ?1")?.execute([&place.path])? > 0;
    let existing: Option<i64> = transaction
        .prepare_cached("SELECT id FROM run WHERE digest = ?1")?
        .query_row([&facts.digest[..]], |row| row.get(0))
        .optional()?;
    if existing.is_some() {
        return Ok(Added::Known);
    }
    let shape = match shapes.get(&facts.shape.hash) {
        Some(id) => *id,
        None => {
            let id = shape_id(transaction, facts)?;
            shapes.insert(facts.shape.hash, id);
            id
        }
    };
    let started_us = facts.started_at.as_deref().and_then(microseconds);
    let started_us = started_us.filter(|_| has_trusted_day(facts.order.as_ref(), started_us));
    // The date as the station wrote it: a shift ends by its own clock.
    let day = started_us.and(facts.started_at.as_deref()).and_then(|text| text.get(..10));
    let steps: Vec<u8> = facts.steps.iter().flat_map(|step| pack(*step)).collect();
    transaction
        .prepare_cached(
            "INSERT INTO run (digest, sealed, path, size, modified_ns, run_id, serial, model, plan, fixture, station, \
             nest, lot, started_at, started_us, day, duration_us, finished, verdict, first_pass, reason, shape, steps, \
             late_us, late_cause, voids, series, number) VALUES \
             (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26,?27,?28)",
        )?
        .execute(params![
            &facts.digest[..],
            facts.sealed,
            place.path,
            place.size,
            place.modified_ns,
            facts.run_id,
            facts.serial,
            facts.model,
            facts.plan,
            facts.fixture,
            facts.station,
            facts.nest,
            facts.lot,
            facts.started_at,
            started_us,
            day,
            i64::try_from(facts.duration_us).unwrap_or(i64::MAX),
            facts.finished,
            facts.verdict.as_str(),
            facts.first_pass(),
            facts.reason,
            shape,
            steps,
            facts.late.as_ref().map(|late| i64::try_from(late.us).unwrap_or(i64::MAX)),
            facts.late.as_ref().map(|late| late.cause.as_str()),
            facts.voids,
            facts.order.as_ref().and_then(|order| order.series.as_deref()),
            facts.order.as_ref().map(|order| i64::try_from(order.number).unwrap_or(i64::MAX)),
        ])?;
    let run = transaction.last_insert_rowid();
    let readings: Vec<u8> = facts.values.iter().flat_map(|value| value.to_le_bytes()).collect();
    transaction
        .prepare_cached("INSERT INTO reading (run, readings) VALUES (?1, ?2)")?
        .execute(params![run, readings])?;
    for fault in &facts.faults {
        let defect = serde_json::to_value(fault.defect).ok();
        let defect = defect.as_ref().and_then(|value| value.as_str()).unwrap_or("other");
        transaction
            .prepare_cached(
                "INSERT INTO fault (run, step, counts, defect, contact, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![run, fault.step as i64, fault.counts, defect, fault.contact, fault.text])?;
    }
    Ok(if replaced { Added::Replaced } else { Added::New })
}

fn shape_id(transaction: &Transaction<'_>, facts: &Facts) -> rusqlite::Result<i64> {
    let steps = serde_json::to_string(&facts.shape.steps)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    transaction.execute(
        "INSERT INTO shape (hash, steps) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING",
        params![&facts.shape.hash[..], steps],
    )?;
    transaction.query_row("SELECT id FROM shape WHERE hash = ?1", [&facts.shape.hash[..]], |row| row.get(0))
}

const VERDICTS: [Option<Verdict>; 6] = [
    None,
    Some(Verdict::Pass),
    Some(Verdict::Fail),
    Some(Verdict::Error),
    Some(Verdict::Skipped),
    Some(Verdict::Aborted),
];

fn pack(step: StepFact) -> [u8; 2] {
    let code = |verdict| VERDICTS.iter().position(|listed| *listed == verdict).unwrap_or(0) as u8;
    [code(step.first) | code(step.last) << 4, step.attempts]
}

pub(crate) fn unpack(bytes: &[u8]) -> Vec<StepFact> {
    let verdict = |code: u8| VERDICTS.get(usize::from(code)).copied().flatten();
    let fact = |pair: &[u8]| StepFact { first: verdict(pair[0] & 15), last: verdict(pair[0] >> 4), attempts: pair[1] };
    bytes.chunks_exact(2).map(fact).collect()
}

pub(crate) fn verdict_of(text: &str) -> Verdict {
    VERDICTS.iter().flatten().copied().find(|verdict| verdict.as_str() == text).unwrap_or(Verdict::Error)
}
