//! The server's side: its tables, and a page of runs in one round trip.

use crate::OutboxError;
use crate::page::{Page, Row};
use crate::text::plain;
use bench_store::{RunRow, StoreError};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, maybe_done};
use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error, NoTls, SimpleQueryMessage, Statement};

/// The steps that bring a database of any older version to this one, in order. A published step never changes.
pub const MIGRATIONS: [&str; 1] = [include_str!("migration-1.sql")];

/// Many stations may start at once; one of them migrates. The number means nothing.
const MIGRATION_LOCK: i64 = 0x6265_6e63_6873_796e;

/// Makes the partitions of months.
const ADD_MONTHS: &str = "SELECT bench_partition(first::date) FROM unnest($1::text[]) AS first";

/// Writes shapes that the server does not have yet.
const ADD_SHAPES: &str = "INSERT INTO shape (hash, steps) SELECT hash, steps::jsonb FROM unnest($1::bytea[], $2::text[]) \
     AS new (hash, steps) ON CONFLICT DO NOTHING";

/// Writes a run and its faults, unless the server has the run. One statement, so it does both or neither. The number of
/// rows is 1 for a new run and 0 for a known one.
const ADD_RUN: &str = "WITH new AS (\
         INSERT INTO run (digest, day, run_id, serial, model, plan, station, nest, lot, started_us, duration_us, \
             verdict, first_pass, shape, steps, readings) \
         VALUES ($1, $2::text::date, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
         ON CONFLICT DO NOTHING RETURNING digest, day\
     ), found AS (\
         INSERT INTO fault (digest, day, step, counts, defect, contact, text) \
         SELECT new.digest, new.day, each.* \
         FROM new, unnest($17::int4[], $18::bool[], $19::text[], $20::int2[], $21::text[]) AS each\
     ) SELECT FROM new";

/// Finds, of some runs, those that the server also has with another seal. Only a real bench gives a run one name.
const SEALED_OTHERWISE: &str = "SELECT DISTINCT mine.digest FROM run AS mine JOIN run AS other ON \
     other.serial = mine.serial AND other.run_id = mine.run_id AND other.station = mine.station \
     AND other.digest <> mine.digest WHERE mine.digest = ANY($1)";

/// Why runs were not sent. The units are not at fault.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error("the server: {}", words(.0))]
    Server(#[from] Error),
    #[error("the server's tables are of version {found}, this bench knows {known}: use a newer one")]
    NewerServer { found: i32, known: usize },
    #[error("cannot start the network client: {0}")]
    Runtime(std::io::Error),
}

/// The client's own message is only "db error", or leaves out what the system reported.
fn words(error: &Error) -> String {
    if let Some(database) = error.as_db_error() {
        return format!("{} ({})", database.message(), database.code().code());
    }
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The server is there and does not accept the data: to send it again changes nothing. Any other error may pass.
fn is_refusal(error: &Error) -> bool {
    // Classes 22, data exception, and 23, integrity constraint violation.
    error.code().is_some_and(|state| state.code().starts_with("22") || state.code().starts_with("23"))
}

/// What is known of the runs of a page after it was sent. A run that is in neither list has to be sent again.
#[derive(Default)]
pub(crate) struct Answers<'a> {
    /// The server has them; true: it did not have them before.
    pub(crate) arrived: Vec<(&'a RunRow, bool)>,
    pub(crate) refused: Vec<(&'a RunRow, String)>,
    /// Why the answers end here.
    pub(crate) failed: Option<SyncError>,
}

/// A connection with its own runtime, so that the caller may block.
pub(crate) struct Server {
    runtime: Runtime,
    client: Client,
    connection: Option<JoinHandle<Result<(), Error>>>,
    statements: Option<Statements>,
    /// Months whose partition and shapes whose row this connection has seen on the server.
    months: BTreeSet<String>,
    shapes: BTreeSet<[u8; 32]>,
}

struct Statements {
    months: Statement,
    shapes: Statement,
    run: Statement,
}

type Request<'f> = LocalBoxFuture<'f, Result<u64, Error>>;

impl Server {
    pub(crate) fn connect(url: &str) -> Result<Self, SyncError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(SyncError::Runtime)?;
        let (client, connection) = runtime.block_on(tokio_postgres::connect(url, NoTls))?;
        // Runs whenever this runtime blocks on an answer.
        let connection = Some(runtime.spawn(connection));
        let (months, shapes) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self { runtime, client, connection, statements: None, months, shapes })
    }

    pub(crate) fn migrate(&mut self) -> Result<(), SyncError> {
        let begin = format!(
            "BEGIN; SELECT pg_advisory_xact_lock({MIGRATION_LOCK}); \
             CREATE TABLE IF NOT EXISTS bench_schema (version integer PRIMARY KEY); \
             SELECT coalesce(max(version), 0) FROM bench_schema"
        );
        let answers = self.runtime.block_on(self.client.simple_query(&begin)).map_err(|error| self.cause(error))?;
        let number = |answer: &SimpleQueryMessage| match answer {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        };
        let version: i32 = answers.iter().rev().find_map(number).unwrap_or(0);
        let done = usize::try_from(version).unwrap_or(0);
        if done > MIGRATIONS.len() {
            return Err(SyncError::NewerServer { found: version, known: MIGRATIONS.len() });
        }
        let mut rest = String::new();
        for (at, step) in MIGRATIONS.iter().enumerate().skip(done) {
            rest.push_str(&format!("{step}; INSERT INTO bench_schema VALUES ({}); ", at + 1));
        }
        rest.push_str("COMMIT");
        self.runtime.block_on(self.client.batch_execute(&rest)).map_err(|error| self.cause(error))?;
        Ok(())
    }

    /// Sends a page in one transaction. If the server refuses it, sends the same runs once more, each for itself, to
    /// find those that it refuses.
    pub(crate) fn send<'a>(&mut self, page: &Page<'a>) -> Answers<'a> {
        if page.rows.is_empty() {
            return Answers::default();
        }
        let mut answers = match self.transaction(page) {
            Ok(arrived) => Answers { arrived, ..Answers::default() },
            Err(SyncError::Server(error)) if is_refusal(&error) => self.each_for_itself(page),
            Err(error) => Answers { failed: Some(error), ..Answers::default() },
        };
        if let Some(SyncError::Server(error)) = answers.failed {
            answers.failed = Some(SyncError::Server(self.cause(error)));
        }
        answers
    }

    /// Returns those of the runs that the server also has with another seal: one of the two was changed.
    pub(crate) fn sealed_otherwise(&mut self, digests: &[[u8; 32]]) -> Result<Vec<[u8; 32]>, SyncError> {
        if digests.is_empty() {
            return Ok(Vec::new());
        }
        let digests: Vec<&[u8]> = digests.iter().map(<[u8; 32]>::as_slice).collect();
        let rows = self.runtime.block_on(self.client.query(SEALED_OTHERWISE, &[&digests]));
        let rows = rows.map_err(|error| self.cause(error))?;
        Ok(rows.iter().filter_map(|row| row.get::<_, &[u8]>(0).try_into().ok()).collect())
    }

    /// Sends months, shapes, BEGIN, the runs and COMMIT at once, and waits once. The server works in this order. After
    /// an error it refuses all runs that follow and turns COMMIT into a rollback, so COMMIT need not wait for answers.
    fn transaction<'a>(&mut self, page: &Page<'a>) -> Result<Vec<(&'a RunRow, bool)>, SyncError> {
        self.prepare()?;
        let Self { runtime, client, statements: Some(statements), .. } = self else { return Ok(Vec::new()) };
        let months: Vec<String> = page.months().into_iter().filter(|month| !self.months.contains(month)).collect();
        let shapes: Vec<([u8; 32], &str)> = page
            .shapes
            .iter()
            .filter(|(hash, _)| !self.shapes.contains(*hash))
            .map(|(hash, steps)| (*hash, steps.as_str()))
            .collect();
        let mut requests: Vec<Request<'_>> = Vec::with_capacity(page.rows.len() + 4);
        if !months.is_empty() {
            requests.push(add_months(client, &statements.months, &months));
        }
        if !shapes.is_empty() {
            requests.push(add_shapes(client, &statements.shapes, &shapes));
        }
        requests.push(batch(client, "BEGIN"));
        let first = requests.len();
        requests.extend(page.rows.iter().map(|row| add_run(client, &statements.run, row)));
        requests.push(batch(client, "COMMIT"));
        // The first error is the cause; those after it say only that the transaction is aborted.
        let answers = runtime.block_on(pipeline(requests)).into_iter().collect::<Result<Vec<u64>, Error>>()?;
        self.months.extend(months);
        self.shapes.extend(shapes.into_iter().map(|(hash, _)| hash));
        Ok(page.rows.iter().zip(&answers[first..]).map(|(row, new)| (row.run, *new > 0)).collect())
    }

    /// Sends each month, shape and run as a statement in its own transaction, all at once. The server answers
    /// after it has committed, so an answer that was seen holds even if the connection is cut after it.
    fn each_for_itself<'a>(&mut self, page: &Page<'a>) -> Answers<'a> {
        let Self { runtime, client, statements: Some(statements), .. } = self else { return Answers::default() };
        let months: Vec<String> = page.months().into_iter().collect();
        let shapes: Vec<([u8; 32], &str)> = page.shapes.iter().map(|(hash, steps)| (*hash, steps.as_str())).collect();
        let mut requests: Vec<Request<'_>> = Vec::with_capacity(months.len() + shapes.len() + page.rows.len());
        requests.extend(months.chunks(1).map(|month| add_months(client, &statements.months, month)));
        requests.extend(shapes.chunks(1).map(|shape| add_shapes(client, &statements.shapes, shape)));
        requests.extend(page.rows.iter().map(|row| add_run(client, &statements.run, row)));
        let mut answers = runtime.block_on(pipeline(requests)).into_iter();

        let mut result = Answers::default();
        // What a refused run lacks: `Some` with the reason if the server refused that too, `None` if it only failed.
        let mut no_month: HashMap<String, Option<String>> = HashMap::new();
        let mut no_shape: HashMap<[u8; 32], Option<String>> = HashMap::new();
        for (month, answer) in months.into_iter().zip(answers.by_ref()) {
            if let Err(error) = answer {
                no_month.insert(month, result.reason_or_failure(error));
            }
        }
        for ((hash, _), answer) in shapes.into_iter().zip(answers.by_ref()) {
            if let Err(error) = answer {
                no_shape.insert(hash, result.reason_or_failure(error));
            }
        }
        for (row, answer) in page.rows.iter().zip(answers) {
            let refusal = match answer {
                Ok(new) => {
                    result.arrived.push((row.run, new > 0));
                    continue;
                }
                Err(error) => result.reason_or_failure(error),
            };
            // Without its month or shape a run is refused. The reason is then that of the month or shape; if that only
            // failed, the run is not refused and has to be sent again.
            let lacking = no_month.get(&row.month()).or_else(|| no_shape.get(&row.shape)).cloned();
            if let Some(own) = refusal
                && let Some(reason) = lacking.unwrap_or(Some(own))
            {
                result.refused.push((row.run, reason));
            }
        }
        result
    }

    /// Prepares the statements, once: the tables are there only after the migration.
    fn prepare(&mut self) -> Result<(), SyncError> {
        if self.statements.is_none() {
            let client = &self.client;
            let requests = [ADD_MONTHS, ADD_SHAPES, ADD_RUN].map(|sql| client.prepare(sql).boxed_local());
            let mut prepared = self.runtime.block_on(pipeline(requests.into())).into_iter();
            if let (Some(months), Some(shapes), Some(run)) = (prepared.next(), prepared.next(), prepared.next()) {
                self.statements = Some(Statements { months: months?, shapes: shapes?, run: run? });
            }
        }
        Ok(())
    }

    /// Why the connection is closed, where the client knows only that it is.
    fn cause(&mut self, error: Error) -> Error {
        if !error.is_closed() {
            return error;
        }
        let ended = self.connection.take().map(|connection| self.runtime.block_on(connection));
        if let Some(Ok(Err(cause))) = ended { cause } else { error }
    }

    /// Ends the session in the regular way, so that the server does not log a lost client.
    pub(crate) fn close(self) {
        drop(self.client);
        if let Some(connection) = self.connection {
            // Every answer was seen, so an error changes nothing.
            let _ = self.runtime.block_on(connection);
        }
    }
}

impl Answers<'_> {
    /// The reason of a refusal. Any other error ends the synchronisation; the first of them is the cause of the others.
    fn reason_or_failure(&mut self, error: Error) -> Option<String> {
        if is_refusal(&error) {
            return Some(SyncError::Server(error).to_string());
        }
        self.failed.get_or_insert(SyncError::Server(error));
        None
    }
}

/// Sends all requests, in this order and without waiting, then waits for the answers, which come in the same order.
///
/// `tokio-postgres` sends a request when its future is polled for the first time.
async fn pipeline<T>(requests: Vec<LocalBoxFuture<'_, T>>) -> Vec<T> {
    let mut requests: Vec<_> = requests.into_iter().map(maybe_done).collect();
    poll_fn(|context| {
        for request in &mut requests {
            let _ = request.poll_unpin(context);
        }
        Poll::Ready(())
    })
    .await;
    let mut answers = Vec::with_capacity(requests.len());
    for mut request in requests {
        (&mut request).await;
        answers.extend(Pin::new(&mut request).take_output());
    }
    answers
}

fn batch<'f>(client: &'f Client, sql: &'f str) -> Request<'f> {
    async move { client.batch_execute(sql).await.map(|()| 0) }.boxed_local()
}

fn add_months<'f>(client: &'f Client, statement: &'f Statement, months: &'f [String]) -> Request<'f> {
    async move { client.execute(statement, &[&months]).await }.boxed_local()
}

fn add_shapes<'f>(client: &'f Client, statement: &'f Statement, shapes: &[([u8; 32], &'f str)]) -> Request<'f> {
    let (hashes, steps): (Vec<Vec<u8>>, Vec<&str>) = shapes.iter().map(|(hash, steps)| (hash.to_vec(), *steps)).unzip();
    async move { client.execute(statement, &[&hashes, &steps]).await }.boxed_local()
}

fn add_run<'f>(client: &'f Client, statement: &'f Statement, row: &'f Row<'_>) -> Request<'f> {
    async move {
        let Row { run, shape, steps, readings, faults } = row;
        let duration = i64::try_from(run.duration_us).unwrap_or(i64::MAX);
        client
            .execute(
                statement,
                &[
                    &run.digest.as_slice(),
                    &row.day(),
                    &plain(&run.run_id),
                    &plain(&run.serial),
                    &plain(&run.model),
                    &plain(&run.plan),
                    &run.station.as_deref().map(plain),
                    &run.nest.as_deref().map(plain),
                    &run.lot.as_deref().map(plain),
                    &run.started_us,
                    &duration,
                    &run.verdict.as_str(),
                    &run.first_pass,
                    &shape.as_slice(),
                    steps,
                    readings,
                    &faults.step,
                    &faults.counts,
                    &faults.defect,
                    &faults.contact,
                    &faults.text,
                ],
            )
            .await
    }
    .boxed_local()
}
