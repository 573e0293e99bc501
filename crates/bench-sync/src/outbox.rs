//! What has arrived. A separate file, because the store is rebuilt from time to time.

use bench_store::RunRow;
use bench_store::shown;
use rusqlite::{Connection, params};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS arrived (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stuck (digest BLOB PRIMARY KEY, path TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unchecked (digest BLOB PRIMARY KEY) WITHOUT ROWID;
";

/// The outbox cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}; it may be deleted: runs that arrived are recognised by the server", path = shown(path))]
pub struct OutboxError {
    path: PathBuf,
    source: rusqlite::Error,
}

/// A run that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Path of the journal, relative to the folder of reports.
    pub path: String,
    pub reason: String,
}

/// The outbox file.
#[derive(Debug)]
pub struct Outbox {
    connection: Connection,
    path: PathBuf,
}

impl Outbox {
    /// Opens the outbox or creates an empty one.
    ///
    /// # Errors
    /// When the file is not an outbox or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, OutboxError> {
        let failed = |source| OutboxError { path: path.to_owned(), source };
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
        connection.execute_batch(SCHEMA).map_err(failed)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> OutboxError + use<> {
        let path = self.path.clone();
        move |source| OutboxError { path: path.clone(), source }
    }

    pub(crate) fn digests(&self) -> Result<HashSet<[u8; 32]>, OutboxError> {
        let failed = self.failed();
        let mut query = self.connection.prepare("SELECT digest FROM arrived").map_err(&failed)?;
        let rows = query.query_map([], |row| row.get(0)).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    pub(crate) fn count(&self) -> Result<usize, OutboxError> {
        let count: i64 =
            self.connection.query_row("SELECT count(*) FROM arrived", [], |row| row.get(0)).map_err(self.failed())?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Records the result of a page, all of it or nothing.
    pub(crate) fn record(
        &mut self,
        arrived: &[(&RunRow, bool)],
        stuck: &[(&RunRow, String)],
    ) -> Result<(), OutboxError> {
        let failed = self.failed();
        let transaction = self.connection.transaction().map_err(&failed)?;
        for (run, _) in arrived {
            let digest = &run.digest[..];
            transaction.execute("INSERT OR IGNORE INTO arrived VALUES (?1)", [digest]).map_err(&failed)?;
            transaction.execute("INSERT OR IGNORE INTO unchecked VALUES (?1)", [digest]).map_err(&failed)?;
            transaction.execute("DELETE FROM stuck WHERE digest = ?1", [digest]).map_err(&failed)?;
        }
        for (run, reason) in stuck {
            let row = params![&run.digest[..], &*run.path, reason];
            transaction.execute("INSERT OR REPLACE INTO stuck VALUES (?1, ?2, ?3)", row).map_err(&failed)?;
        }
        transaction.commit().map_err(&failed)
    }

    /// Returns runs that have arrived and were not compared with other seals on the server.
    pub(crate) fn unchecked(&self) -> Result<Vec<[u8; 32]>, OutboxError> {
        let failed = self.failed();
        let mut query = self.connection.prepare("SELECT digest FROM unchecked").map_err(&failed)?;
        let rows = query.query_map([], |row| row.get(0)).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    pub(crate) fn checked(&mut self, digests: &[[u8; 32]]) -> Result<(), OutboxError> {
        let failed = self.failed();
        let transaction = self.connection.transaction().map_err(&failed)?;
        for digest in digests {
            transaction.execute("DELETE FROM unchecked WHERE digest = ?1", [&digest[..]]).map_err(&failed)?;
        }
        transaction.commit().map_err(&failed)
    }

    pub(crate) fn list_stuck(&self) -> Result<Vec<Stuck>, OutboxError> {
        let failed = self.failed();
        let mut query = self.connection.prepare("SELECT path, reason FROM stuck ORDER BY path").map_err(&failed)?;
        let rows = query.query_map([], |row| Ok(Stuck { path: row.get(0)?, reason: row.get(1)? })).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }
}
