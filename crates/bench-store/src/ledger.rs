//! What was finished stays as it was: the seals of finished runs, and an alarm for each that changed or vanished.
//!
//! A separate file, because the store is rebuilt from time to time. A journal that was rewritten with new hashes holds by
//! itself; only a seal that was kept elsewhere shows it.

use crate::store::{Store, StoreError};
use bench_run::SerialNumber;
use rusqlite::{Connection, params};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Returns the path of the ledger of a store: `store.seals.sqlite` next to `store.sqlite`.
pub fn ledger_of(store: &Path) -> PathBuf {
    store.with_extension("seals.sqlite")
}

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS sealed (
    digest BLOB PRIMARY KEY, path TEXT NOT NULL, run_id TEXT NOT NULL, serial TEXT NOT NULL, verdict TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarm (
    digest BLOB PRIMARY KEY, kind TEXT NOT NULL, path TEXT NOT NULL, run_id TEXT NOT NULL, serial TEXT NOT NULL,
    verdict TEXT NOT NULL, acknowledged_by TEXT, because TEXT
);
";

/// What happened to a finished run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmKind {
    /// Its journal is gone.
    Removed,
    /// Its journal has another seal, or no longer holds.
    Changed,
    /// The server has the run with another seal.
    OtherOnServer,
}

const KINDS: [(AlarmKind, &str); 3] =
    [(AlarmKind::Removed, "removed"), (AlarmKind::Changed, "changed"), (AlarmKind::OtherOnServer, "other-on-server")];

impl AlarmKind {
    fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("changed", |(_, name)| name)
    }
    fn parse(name: &str) -> Self {
        KINDS.iter().find(|(_, of)| *of == name).map_or(Self::Changed, |(kind, _)| *kind)
    }
}

/// A finished run that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Alarm {
    /// Path of the journal, relative to the folder of reports.
    pub path: String,
    pub kind: AlarmKind,
    pub run_id: String,
    pub serial: String,
    /// As it was recorded.
    pub verdict: String,
    /// The seal that it had.
    pub seal: String,
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            AlarmKind::Removed => "its journal is gone",
            AlarmKind::Changed => "its journal was changed after its end",
            AlarmKind::OtherOnServer => "the server has it with another seal",
        };
        let (path, run, serial) = (&self.path, &self.run_id, &self.serial);
        write!(f, "{path}: {what}: run {run} of {serial}, recorded as {}, seal {}", self.verdict, self.seal)
    }
}

/// The open ledger.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    path: PathBuf,
}

impl Ledger {
    /// Opens the ledger, or creates an empty one.
    ///
    /// # Errors
    /// When the file is no ledger or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Sqlite { path: path.to_owned(), source };
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
        connection.execute_batch(SCHEMA).map_err(failed)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
        let path = self.path.clone();
        move |source| StoreError::Sqlite { path: path.clone(), source }
    }

    /// Compares the store, which is complete, with what was finished before; keeps new seals. `refused` are paths of
    /// journals that do not hold. Returns the alarms that nobody has acknowledged.
    /// `as_it_was` reads a journal once more: its run may have ended after the store listed it.
    pub(crate) fn compare(
        &mut self,
        store: &Store,
        refused: &HashSet<String>,
        as_it_was: impl Fn(&str, &[u8; 32]) -> bool,
    ) -> Result<Vec<Alarm>, StoreError> {
        let now = store.sealed()?;
        let failed = self.failed();
        let digests: HashSet<[u8; 32]> = now.iter().map(|run| run.digest).collect();
        let known = self.known()?;
        let taken: HashSet<String> = store.places()?.into_keys().collect();
        let transaction = self.connection.transaction().map_err(&failed)?;
        for run in &now {
            if known.get(&run.digest).is_none_or(|path| *path != run.path) {
                let row = params![&run.digest[..], run.path, run.run_id, run.serial, run.verdict];
                transaction
                    .execute("INSERT OR REPLACE INTO sealed VALUES (?1, ?2, ?3, ?4, ?5)", row)
                    .map_err(&failed)?;
            }
        }
        for (digest, path) in known.iter().filter(|(digest, _)| !digests.contains(*digest)) {
            if as_it_was(path, digest) {
                continue;
            }
            let changed = taken.contains(path) || refused.contains(path);
            let kind = if changed { AlarmKind::Changed } else { AlarmKind::Removed };
            raise(&transaction, digest, kind).map_err(&failed)?;
        }
        transaction.commit().map_err(&failed)?;
        self.alarms()
    }

    /// Raises an alarm for a finished run, by its seal. One that was raised before stays as it is.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn raise(&self, digest: &[u8; 32], kind: AlarmKind) -> Result<(), StoreError> {
        raise(&self.connection, digest, kind).map_err(self.failed())
    }

    fn known(&self) -> Result<HashMap<[u8; 32], String>, StoreError> {
        let failed = self.failed();
        let mut query = self.connection.prepare("SELECT digest, path FROM sealed").map_err(&failed)?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    /// Returns the alarms that nobody has acknowledged, by path.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn alarms(&self) -> Result<Vec<Alarm>, StoreError> {
        let failed = self.failed();
        let sql = "SELECT kind, path, run_id, serial, verdict, lower(hex(digest)) FROM alarm \
                   WHERE acknowledged_by IS NULL ORDER BY path";
        let mut query = self.connection.prepare(sql).map_err(&failed)?;
        let alarm = |row: &rusqlite::Row<'_>| {
            Ok(Alarm {
                kind: AlarmKind::parse(row.get_ref(0)?.as_str()?),
                path: row.get(1)?,
                run_id: row.get(2)?,
                serial: row.get(3)?,
                verdict: row.get(4)?,
                seal: row.get(5)?,
            })
        };
        let rows = query.query_map([], alarm).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    /// Acknowledges alarms in somebody's name: those of runs whose path, run id, serial number or seal is `which`, or
    /// all. Returns how many.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn acknowledge(&self, which: Option<&str>, by: &str, because: &str) -> Result<usize, StoreError> {
        let sql = "UPDATE alarm SET acknowledged_by = ?1, because = ?2 WHERE acknowledged_by IS NULL AND \
                   (?3 IS NULL OR ?3 IN (path, run_id, serial, lower(hex(digest))) OR serial = ?4 COLLATE NOCASE)";
        let unit = which.and_then(|which| SerialNumber::parse(which).ok());
        let unit = unit.as_ref().map(SerialNumber::as_str);
        self.connection.execute(sql, params![by, because, which, unit]).map_err(self.failed())
    }
}

fn raise(connection: &Connection, digest: &[u8; 32], kind: AlarmKind) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO alarm (digest, kind, path, run_id, serial, verdict) \
               SELECT digest, ?2, path, run_id, serial, verdict FROM sealed WHERE digest = ?1";
    connection.execute(sql, params![&digest[..], kind.name()]).map(|_| ())
}

/// A finished run of the store.
pub(crate) struct Sealed {
    pub digest: [u8; 32],
    pub path: String,
    pub run_id: String,
    pub serial: String,
    pub verdict: String,
}

impl Store {
    pub(crate) fn sealed(&self) -> Result<Vec<Sealed>, StoreError> {
        let failed = self.failed();
        let sql = "SELECT digest, path, run_id, serial, verdict FROM run WHERE sealed AND finished";
        let mut query = self.connection.prepare(sql).map_err(&failed)?;
        let sealed = |row: &rusqlite::Row<'_>| {
            Ok(Sealed {
                digest: row.get(0)?,
                path: row.get(1)?,
                run_id: row.get(2)?,
                serial: row.get(3)?,
                verdict: row.get(4)?,
            })
        };
        let rows = query.query_map([], sealed).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }
}
