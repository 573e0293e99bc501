//! Store-and-forward of runs to a PostgreSQL server of the line or the plant.
//!
//! The store on the station is what is forwarded; a small file beside it, the outbox, remembers what has arrived. Losing
//! the outbox loses nothing: a run is recognised by its digest, and one that is there already is not written again. A page
//! of runs goes over in one transaction, so the server has all of it or nothing. A run that the server refuses is kept,
//! shown with the reason, and does not stop the others.
//!
//! Nothing of testing depends on it: the network may be away for days.

mod outbox;
mod server;

pub use outbox::{Outbox, OutboxError, Stuck};
pub use server::{MIGRATIONS, SyncError};

use bench_store::{Filter, RunRow, Store, StoreError};
use server::Server;
use std::path::{Path, PathBuf};

/// Runs in one transaction.
const PAGE: usize = 200;

/// What one synchronisation came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Synced {
    /// Runs that the server has now and had not before.
    pub sent: usize,
    /// Runs that the server had already.
    pub known: usize,
    /// Runs that the server refused this time; they are kept and tried again.
    pub refused: usize,
    /// Runs that did not go over yet.
    pub waiting: usize,
}

/// How far the outbox is.
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
/// for this. What had arrived until then is remembered; call again later.
pub fn sync(store: &Path, outbox: &Path, server: &str) -> Result<Synced, SyncError> {
    let store = Store::open(store)?;
    let mut outbox = Outbox::open(outbox)?;
    let mut server = Server::connect(server)?;
    server.migrate()?;
    let mut synced = Synced::default();
    let waiting = waiting(&store, &outbox)?;
    let mut left = waiting.len();
    for page in waiting.chunks(PAGE) {
        match server.send(&store, page) {
            Ok((sent, known)) => {
                outbox.arrived(page)?;
                (synced.sent, synced.known) = (synced.sent + sent, synced.known + known);
                left -= page.len();
            }
            Err(error) if error.is_refusal() => {
                left -= one_by_one(&store, &mut server, &mut outbox, page, &mut synced)?
            }
            Err(error) => return Err(error),
        }
    }
    synced.waiting = left;
    Ok(synced)
}

/// A page that is refused has at least one run in it that the server does not take. The others go.
fn one_by_one(
    store: &Store,
    server: &mut Server,
    outbox: &mut Outbox,
    page: &[RunRow],
    synced: &mut Synced,
) -> Result<usize, SyncError> {
    let mut gone = 0;
    for run in page {
        match server.send(store, std::slice::from_ref(run)) {
            Ok((sent, known)) => {
                outbox.arrived(std::slice::from_ref(run))?;
                (synced.sent, synced.known) = (synced.sent + sent, synced.known + known);
                gone += 1;
            }
            Err(error) if error.is_refusal() => {
                outbox.stuck(run, &error.to_string())?;
                synced.refused += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(gone)
}

/// Where the outbox of a folder of reports lies unless told otherwise.
pub fn default_outbox(reports: &Path) -> PathBuf {
    reports.join("outbox.sqlite")
}

/// What waits, what arrived, what is stuck; asks no server.
///
/// # Errors
/// When the store or the outbox cannot be read.
pub fn state(store: &Path, outbox: &Path) -> Result<State, SyncError> {
    let store = Store::open(store)?;
    let outbox = Outbox::open(outbox)?;
    let waiting = waiting(&store, &outbox)?.len();
    Ok(State { waiting, arrived: outbox.count()?, stuck: outbox.list_stuck()? })
}

fn waiting(store: &Store, outbox: &Outbox) -> Result<Vec<RunRow>, SyncError> {
    let arrived = outbox.digests()?;
    let runs = store.runs(&Filter::default()).map_err(|error: StoreError| SyncError::Store(error))?;
    Ok(runs.into_iter().filter(|run| !arrived.contains(&run.digest)).collect())
}
