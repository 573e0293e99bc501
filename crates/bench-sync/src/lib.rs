//! Store-and-forward of runs to a PostgreSQL server of the line or the plant.
//!
//! The station's store is what is forwarded. A small file next to it, the outbox, remembers what has arrived. Losing the
//! outbox loses nothing: the server recognises a run by its digest and does not write it twice. A page of runs is one
//! transaction and one round trip, so a slow network costs little, and the server has all of the page or nothing. If the
//! server refuses a page, its runs are sent once more, each for itself: the refused are kept and shown with the reason,
//! the others arrive.
//!
//! Testing does not depend on it: the network may be away for days.

mod outbox;
mod page;
mod server;
mod text;

pub use outbox::{Outbox, OutboxError, Stuck};
pub use server::{MIGRATIONS, SyncError};

use bench_store::{AlarmKind, Filter, Ledger, RunRow, Store, StoreError, ledger_of};
use page::Page;
use server::Server;
use std::path::{Path, PathBuf};

/// Runs in one transaction.
const PAGE: usize = 200;

/// Runs whose seals are compared with those on the server in one question.
const UNCHECKED: usize = 5_000;

/// Result of one synchronisation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Synced {
    /// Runs that are new on the server.
    pub sent: usize,
    /// Runs that the server already had.
    pub known: usize,
    /// Runs that the server refused, or that the store has only in part; they are kept and tried again.
    pub refused: usize,
    /// Runs with an end that are not transferred yet.
    pub waiting: usize,
    /// Runs without an end: still running, or ended by a power cut. They are sent when they have one.
    pub running: usize,
}

/// State of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub waiting: usize,
    pub arrived: usize,
    pub stuck: Vec<Stuck>,
}

/// Sends what has not arrived yet.
///
/// # Errors
/// When the store or the outbox cannot be read or written, or the server cannot be reached, is cut off, or is no server
/// for this. The outbox keeps what had arrived until then; call again later.
pub fn sync(store: &Path, outbox: &Path, server: &str) -> Result<Synced, SyncError> {
    let ledger = Ledger::open(&ledger_of(store))?;
    let store = Store::open(store)?;
    let mut outbox = Outbox::open(outbox)?;
    let mut server = Server::connect(server)?;
    server.migrate()?;
    let mut synced = Synced::default();
    let (waiting, running) = waiting(&store, &outbox)?;
    synced.running = running;
    let shapes = store.shapes()?;
    for runs in waiting.chunks(PAGE) {
        let page = Page::read(&store, &shapes, runs)?;
        let mut answers = server.send(&page);
        answers.refused.extend(page.broken);
        outbox.record(&answers.arrived, &answers.refused)?;
        if let Some(error) = answers.failed {
            return Err(error);
        }
        let new = answers.arrived.iter().filter(|(_, new)| *new).count();
        synced.sent += new;
        synced.known += answers.arrived.len() - new;
        synced.refused += answers.refused.len();
    }
    for unchecked in outbox.unchecked()?.chunks(UNCHECKED) {
        for digest in server.sealed_otherwise(unchecked)? {
            ledger.raise(&digest, AlarmKind::OtherOnServer)?;
        }
        outbox.checked(unchecked)?;
    }
    synced.waiting = waiting.len() - synced.sent - synced.known;
    server.close();
    Ok(synced)
}

/// Default path of the outbox of a folder of reports.
pub fn default_outbox(reports: &Path) -> PathBuf {
    reports.join("outbox.sqlite")
}

/// Counts runs that wait, have arrived, or were refused; does not contact a server.
///
/// # Errors
/// When the store or the outbox cannot be read.
pub fn state(store: &Path, outbox: &Path) -> Result<State, SyncError> {
    let store = Store::open(store)?;
    let outbox = Outbox::open(outbox)?;
    let waiting = waiting(&store, &outbox)?.0.len();
    Ok(State { waiting, arrived: outbox.count()?, stuck: outbox.list_stuck()? })
}

/// Returns finished runs that have not arrived, and the number of runs without an end. The identity of a run is its seal,
/// and a run has none before its end: sent earlier, it would be there twice.
fn waiting(store: &Store, outbox: &Outbox) -> Result<(Vec<RunRow>, usize), SyncError> {
    let arrived = outbox.digests()?;
    let runs = store.runs(&Filter::default()).map_err(|error: StoreError| SyncError::Store(error))?;
    let (ended, running): (Vec<RunRow>, Vec<RunRow>) = runs.into_iter().partition(|run| run.finished);
    let waiting = ended.into_iter().filter(|run| !arrived.contains(&run.digest)).collect();
    Ok((waiting, running.len()))
}
