//! Tests against a real server, over connections that are cut or slow. Where PostgreSQL is not installed, they say so and
//! count as skipped. No result depends on how long anything takes.
#![allow(clippy::unwrap_used)] // a helper that fails has failed the test

use bench_journal::Journal;
use bench_run::Event;
use bench_store::synthetic::{Production, fill};
use bench_store::{AlarmKind, Filter, Ledger, Shapes, Store, ledger_of};
use bench_sync::{Outbox, state, sync};
use postgres::{Client, NoTls};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::{Duration, Instant};

/// Names a folder in which skipped tests leave a file with the reason.
const SKIPPED: &str = "BENCH_SKIPPED";
const NEEDED: &str = "PostgreSQL's initdb and postgres (`apt-get install postgresql`, or `cargo xtask setup`)";
/// Who runs the server when the test is run by root, whom PostgreSQL does not work for.
const USER: &str = "postgres";

fn main() -> ExitCode {
    let Some(bin) = programs() else {
        println!("test postgres ... skipped: no {NEEDED}");
        if let Some(folder) = std::env::var_os(SKIPPED) {
            std::fs::write(Path::new(&folder).join("postgres"), format!("no {NEEDED}")).unwrap();
        }
        return ExitCode::SUCCESS;
    };
    let server = Server::start(&bin);
    type Test = (&'static str, fn(&Server));
    let tests: [Test; 13] = [
        ("ten_thousand_runs_through_a_hundred_cuts", ten_thousand_runs_through_a_hundred_cuts),
        ("ten_thousand_runs_over_a_slow_line", ten_thousand_runs_over_a_slow_line),
        ("refused_runs_are_kept_and_shown", refused_runs_are_kept_and_shown),
        ("a_page_of_refused_runs_stops_no_other", a_page_of_refused_runs_stops_no_other),
        ("a_refused_shape_is_the_reason", a_refused_shape_is_the_reason),
        ("refused_runs_on_a_connection_that_is_cut", refused_runs_on_a_connection_that_is_cut),
        ("a_run_without_its_shape_is_kept", a_run_without_its_shape_is_kept),
        ("two_stations_at_once", two_stations_at_once),
        ("two_stations_with_the_same_runs_in_another_order", two_stations_with_the_same_runs_in_another_order),
        ("a_sync_beside_ten_running_tests", a_sync_beside_ten_running_tests),
        ("texts_that_the_server_refuses_arrive", texts_that_the_server_refuses_arrive),
        ("another_seal_on_the_server_is_an_alarm", another_seal_on_the_server_is_an_alarm),
        ("no_server_loses_nothing", no_server_loses_nothing),
    ];
    let mut took = Vec::new();
    for (name, test) in tests {
        let started = Instant::now();
        test(&server);
        println!("test {name} ... ok");
        took.push((name, started.elapsed()));
    }
    println!();
    for (name, took) in &took {
        println!("    {:6.1} s  {name}", took.as_secs_f64());
    }
    println!("\ntest result: ok. {} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out", tests.len());
    ExitCode::SUCCESS
}

/// The folder of the server's programs, the newest version that Debian has installed or what the path names.
fn programs() -> Option<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = installed.map(|version| version.path().join("bin")).collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    folders.into_iter().rev().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

/// A separate server in its own folder, stopped when it is dropped.
struct Server {
    folder: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
}

impl Server {
    fn start(bin: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { folder, bin: bin.to_owned(), port };
        if is_root() {
            assert!(
                Command::new("chown").args([USER, server.folder.path().to_str().unwrap()]).status().unwrap().success()
            );
        }
        let data = server.data();
        server.run("initdb", &["-D", &data, "-A", "trust", "-U", "bench", "-E", "UTF8", "--no-sync"]);
        server.up();
        server
    }
    fn data(&self) -> String {
        self.folder.path().join("data").to_str().unwrap().to_owned()
    }
    fn up(&self) {
        let options = format!("-p {} -h 127.0.0.1 -k {} -c fsync=off", self.port, self.folder.path().display());
        let log = self.folder.path().join("log");
        self.run("pg_ctl", &["-D", &self.data(), "-w", "-l", log.to_str().unwrap(), "-o", &options, "start"]);
    }
    fn down(&self) {
        self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
    }
    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let done = command.args(arguments).current_dir(self.folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(done.status().unwrap().success(), "{arguments:?}");
    }
    fn url(&self, database: &str, port: u16) -> String {
        format!("postgres://bench@127.0.0.1:{port}/{database}")
    }
    fn database(&self, name: &str) -> Client {
        let mut client = Client::connect(&self.url("postgres", self.port), NoTls).unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        Client::connect(&self.url(name, self.port), NoTls).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down();
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout.trim_ascii() == b"0"
}

/// How many bytes a connection passes before it is cut.
#[derive(Clone, Copy)]
enum Budget {
    /// In both directions together.
    Both(u64),
    /// From the server to the client.
    Answers(u64),
    Endless,
}

/// Accepts connections, and hands each to `pass` with one to the server. Sends what it is given at once, as the two sides
/// themselves do.
fn proxy(to: u16, mut pass: impl FnMut(TcpStream, TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { continue };
            let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            pass(client, server);
        }
    });
    port
}

/// Passes bytes on, and cuts each connection where its budget ends: anywhere in a message. Counts the cuts.
fn cutting_proxy(to: u16, mut budget: impl FnMut(u64) -> Budget + Send + 'static) -> (u16, Arc<AtomicU64>) {
    let cuts = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&cuts);
    let port = proxy(to, move |client, server| {
        let left = |bytes| Arc::new(AtomicU64::new(bytes));
        let (up, down) = match budget(counter.load(Ordering::SeqCst)) {
            Budget::Both(bytes) => {
                let both = left(bytes);
                (Arc::clone(&both), both)
            }
            Budget::Answers(bytes) => (left(u64::MAX), left(bytes)),
            Budget::Endless => (left(u64::MAX), left(u64::MAX)),
        };
        let is_cut = Arc::new(AtomicBool::new(false));
        let up = (client.try_clone().unwrap(), server.try_clone().unwrap(), up);
        for (mut from, mut to, left) in [up, (server, client, down)] {
            let (is_cut, counter) = (Arc::clone(&is_cut), Arc::clone(&counter));
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = from.read(&mut buffer) {
                    let take = |left: u64| Some(left.saturating_sub(count as u64));
                    let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).unwrap();
                    let passed = count.min(usize::try_from(before).unwrap());
                    if to.write_all(&buffer[..passed]).is_err() {
                        break;
                    }
                    if passed < count {
                        if !is_cut.swap(true, Ordering::SeqCst) {
                            counter.fetch_add(1, Ordering::SeqCst);
                        }
                        break;
                    }
                }
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            });
        }
    });
    (port, cuts)
}

/// Delivers every byte `delay` after it came, as a long line does: nothing is lost, reordered or throttled. Counts the
/// turns: how often the client sent something after an answer was delivered, so how often it waited for one. Cuts the
/// connection when there are more than `limit`: the test has failed then, and need not continue for an hour.
fn slow_proxy(to: u16, delay: Duration, limit: u64) -> (u16, Arc<AtomicU64>) {
    let turns = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&turns);
    let port = proxy(to, move |client, server| {
        let answered = Arc::new(AtomicBool::new(true));
        let up = (client.try_clone().unwrap(), server.try_clone().unwrap(), true);
        for (mut from, mut to, is_up) in [up, (server, client, false)] {
            let (counter, came_answer, delivers_answer) =
                (Arc::clone(&counter), Arc::clone(&answered), Arc::clone(&answered));
            let (sender, line) = mpsc::channel::<(Instant, Vec<u8>)>();
            let ends = (from.try_clone().unwrap(), to.try_clone().unwrap());
            std::thread::spawn(move || {
                let mut buffer = vec![0; 65_536];
                while let Ok(count @ 1..) = from.read(&mut buffer) {
                    if is_up
                        && came_answer.swap(false, Ordering::SeqCst)
                        && counter.fetch_add(1, Ordering::SeqCst) >= limit
                    {
                        break;
                    }
                    if sender.send((Instant::now() + delay, buffer[..count].to_vec())).is_err() {
                        break;
                    }
                }
            });
            std::thread::spawn(move || {
                for (due, bytes) in line {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    if !is_up {
                        // Before the bytes are out: the client may be quicker than this thread.
                        delivers_answer.store(true, Ordering::SeqCst);
                    }
                    if to.write_all(&bytes).is_err() {
                        break;
                    }
                }
                let _ = (ends.0.shutdown(Shutdown::Both), ends.1.shutdown(Shutdown::Both));
            });
        }
    });
    (port, turns)
}

/// Runs in one transaction, as in the crate.
const PAGE: u64 = 200;

const SMALL: Production = Production { steps: 3, per_step: 2, units_a_day: 200, bad_per_mille: 200 };

/// One with another shape.
const LARGER: Production = Production { steps: 4, ..SMALL };

fn filled(path: &Path, numbers: std::ops::Range<u64>) -> Store {
    filled_by(&SMALL, path, numbers)
}

fn filled_by(production: &Production, path: &Path, numbers: std::ops::Range<u64>) -> Store {
    let mut store = Store::open_or_create(path).unwrap();
    let journals: Vec<_> = numbers.map(|number| production.journal(number)).collect();
    for part in journals.chunks(1_000) {
        fill(&mut store, &Shapes::default(), part).unwrap();
    }
    store
}

/// Digest, serial, verdict, readings; in the order of the digests.
type Content = Vec<(Vec<u8>, String, String, Vec<u64>)>;

fn on_server(client: &mut Client) -> Content {
    let rows = client.query("SELECT digest, serial, verdict, readings FROM run ORDER BY digest", &[]).unwrap();
    let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), bits(row.get(3)))).collect()
}

fn in_store(store: &Store) -> Content {
    let mut content = Vec::new();
    let runs = store.runs(&Filter::default()).unwrap();
    store
        .readings(&runs, |run, values| {
            let bits = values.iter().map(|value| value.to_bits()).collect();
            content.push((run.digest.to_vec(), run.serial.to_string(), run.verdict.to_string(), bits));
        })
        .unwrap();
    content.sort();
    content
}

/// The server has each run and each fault of the store once, as they are there, and no others.
fn assert_same(client: &mut Client, store: &Store) {
    let (on_server_rows, in_store_rows) = (on_server(client), in_store(store));
    assert_eq!(on_server_rows.len(), in_store_rows.len());
    assert!(on_server_rows == in_store_rows, "the content differs");
    let sql = "SELECT run.serial, step, counts, defect, contact, text FROM fault JOIN run USING (digest, day)";
    let mut on_server_rows: Vec<_> = client
        .query(sql, &[])
        .unwrap()
        .iter()
        .map(|row| {
            let (step, contact): (i32, Option<i16>) = (row.get(1), row.get(4));
            let (serial, counts): (String, bool) = (row.get(0), row.get(2));
            let (defect, text): (String, String) = (row.get(3), row.get(5));
            (serial, step as usize, counts, defect, contact.map(|contact| contact as u8), text)
        })
        .collect();
    let runs = store.runs(&Filter::default()).unwrap();
    let serials: HashMap<i64, String> = runs.iter().map(|run| (run.id, run.serial.to_string())).collect();
    let mut in_store_rows: Vec<_> = store
        .faults(&Filter::default())
        .unwrap()
        .into_iter()
        .map(|fault| (serials[&fault.run].clone(), fault.step, fault.counts, fault.defect, fault.contact, fault.text))
        .collect();
    on_server_rows.sort();
    in_store_rows.sort();
    assert!(!in_store_rows.is_empty() && on_server_rows == in_store_rows, "the faults differ");
}

fn count(client: &mut Client, table: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).unwrap().get(0)
}

fn ten_thousand_runs_through_a_hundred_cuts(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let (path, outbox) = (folder.path().join("s.sqlite"), folder.path().join("outbox.sqlite"));
    let store = filled(&path, 0..10_000);
    let mut client = server.database("cuts");
    let mut state = 1_u64;
    let (port, cuts) = cutting_proxy(server.port, move |cuts| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // A connection takes about 5 kB to begin and a page 120 kB: the cuts are from within the first page to some pages on.
        if cuts < 100 { Budget::Both(20_000 + (state >> 33) % 500_000) } else { Budget::Endless }
    });
    let url = server.url("cuts", port);
    let (mut attempts, mut failures) = (0, 0);
    loop {
        attempts += 1;
        assert!(attempts < 1_000, "no end: {:?}", bench_sync::state(&path, &outbox).unwrap());
        match sync(&path, &outbox, &url) {
            Ok(done) if cuts.load(Ordering::SeqCst) >= 100 => {
                assert_eq!((done.waiting, done.refused), (0, 0));
                break;
            }
            Ok(_) => {
                // All is there before the last cut: forget what arrived, as when the file is lost. Nothing may double.
                std::fs::remove_file(&outbox).unwrap();
            }
            Err(_) => failures += 1,
        }
        assert_arrived(&mut client, &outbox);
        let has_tables = count(&mut client, "pg_class WHERE relname = 'run'") > 0;
        assert!(!has_tables || count(&mut client, "run") % PAGE as i64 == 0, "the server has a part of a page");
    }
    assert!(failures >= 90, "{failures} of {attempts} attempts were cut");
    assert_eq!(count(&mut client, "run"), 10_000);
    assert_same(&mut client, &store);
    let partitions = count(&mut client, "pg_inherits WHERE inhparent = 'run'::regclass");
    assert_eq!(partitions, 2, "January and February");
    println!("    {attempts} attempts, {failures} cut off, {} cuts", cuts.load(Ordering::SeqCst));
}

/// What the outbox says has arrived is on the server.
fn assert_arrived(client: &mut Client, outbox: &Path) {
    if !outbox.exists() {
        return;
    }
    let outbox = rusqlite::Connection::open(outbox).unwrap();
    let mut query = outbox.prepare("SELECT digest FROM arrived").unwrap();
    let arrived: Vec<Vec<u8>> = query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    if arrived.is_empty() {
        return;
    }
    let sql = "SELECT count(*) FROM run WHERE digest = ANY ($1)";
    let count: i64 = client.query_one(sql, &[&arrived]).unwrap().get(0);
    assert_eq!(count, arrived.len() as i64, "the outbox says that this many have arrived");
}

fn ten_thousand_runs_over_a_slow_line(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let (path, outbox) = (folder.path().join("s.sqlite"), folder.path().join("outbox.sqlite"));
    const RUNS: u64 = 10_000;
    let store = filled(&path, 0..RUNS);
    let mut client = server.database("slow");
    // One turn a page, and a few for the connection. A client that another program keeps from running in the middle of a
    // page, for so long that the first answers are back, needs one turn more: each of them is a pause of 100 ms,
    // so the limit holds unless every page is delayed for a second. A round trip per run is 200 turns a page.
    let limit = 10 * RUNS / PAGE + 30;
    let (port, turns) = slow_proxy(server.port, Duration::from_millis(50), limit);
    let started = Instant::now();
    let result = sync(&path, &outbox, &server.url("slow", port));
    let took = started.elapsed().as_secs_f64();
    let turns = turns.load(Ordering::SeqCst);
    assert!(turns <= limit, "more than {limit} turns; the outbox has {:?}", state(&path, &outbox));
    println!("    {RUNS} runs over 50 ms each way: {took:.1} s, {turns} turns");
    let done = result.unwrap();
    assert_eq!((done.sent, done.waiting), (RUNS as usize, 0));
    assert_same(&mut client, &store);
}

fn refused_runs_are_kept_and_shown(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let (path, outbox) = (folder.path().join("s.sqlite"), folder.path().join("outbox.sqlite"));
    let store = filled(&path, 0..300);
    let mut client = server.database("refuses");
    let url = server.url("refuses", server.port);
    // The plant's administrator requires something of the data that two units do not have.
    sync(&path, &folder.path().join("other.sqlite"), &url).unwrap();
    let bad = ["P042AN000000007", "P042AN000000250"];
    client
        .batch_execute(&format!(
            "DELETE FROM run; ALTER TABLE run ADD CONSTRAINT odd CHECK (serial NOT IN ('{}', '{}'))",
            bad[0], bad[1]
        ))
        .unwrap();
    let done = sync(&path, &outbox, &url).unwrap();
    assert_eq!((done.sent, done.refused, done.waiting), (298, 2, 2));
    let kept = state(&path, &outbox).unwrap();
    assert_eq!((kept.waiting, kept.arrived, kept.stuck.len()), (2, 298, 2));
    assert!(
        kept.stuck.iter().zip(bad).all(|(stuck, serial)| stuck.path.contains(serial) && stuck.reason.contains("odd"))
    );
    client.batch_execute("ALTER TABLE run DROP CONSTRAINT odd").unwrap();
    let done = sync(&path, &outbox, &url).unwrap();
    assert_eq!((done.sent, done.waiting), (2, 0));
    assert!(state(&path, &outbox).unwrap().stuck.is_empty());
    assert_same(&mut client, &store);
}

fn a_page_of_refused_runs_stops_no_other(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let (path, outbox) = (folder.path().join("s.sqlite"), folder.path().join("outbox.sqlite"));
    let store = filled(&path, 0..500);
    let mut client = server.database("refuses_a_page");
    let url = server.url("refuses_a_page", server.port);
    sync(&path, &folder.path().join("other.sqlite"), &url).unwrap();
    // The second page of three.
    let odd = "CHECK (serial NOT BETWEEN 'P042AN000000200' AND 'P042AN000000399')";
    client.batch_execute(&format!("DELETE FROM run; ALTER TABLE run ADD CONSTRAINT odd {odd}")).unwrap();
    for again in [false, true] {
        let done = sync(&path, &outbox, &url).unwrap();
        assert_eq!((done.sent, done.refused, done.waiting), (if again { 0 } else { 300 }, 200, 200));
        let kept = state(&path, &outbox).unwrap();
        assert_eq!((kept.waiting, kept.arrived, kept.stuck.len()), (200, 300, 200));
        assert!(kept.stuck.iter().all(|stuck| stuck.reason.contains("odd")), "{:?}", kept.stuck.first());
        assert_eq!(count(&mut client, "run"), 300);
    }
    client.batch_execute("ALTER TABLE run DROP CONSTRAINT odd").unwrap();
    let done = sync(&path, &outbox, &url).unwrap();
    assert_eq!((done.sent, done.refused, done.waiting), (200, 0, 0));
    assert!(state(&path, &outbox).unwrap().stuck.is_empty());
    assert_same(&mut client, &store);
}

fn a_refused_shape_is_the_reason(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let (path, outbox) = (folder.path().join("s.sqlite"), folder.path().join("outbox.sqlite"));
    filled(&path, 0..100);
    let store = filled_by(&LARGER, &path, 100..110);
    let mut client = server.database("refuses_shapes");
    let url = server.url("refuses_shapes", server.port);
    let empty = folder.path().join("empty.sqlite");
    filled(&empty, 0..0);
    sync(&empty, &folder.path().join("other.sqlite"), &url).unwrap();
    client.batch_execute("ALTER TABLE shape ADD CONSTRAINT odd CHECK (jsonb_array_length(steps) < 4)").unwrap();
    let done = sync(&path, &outbox, &url).unwrap();
    assert_eq!((done.sent, done.refused, done.waiting), (100, 10, 10));
    let kept = state(&path, &outbox).unwrap();
    assert!(kept.stuck.iter().all(|stuck| stuck.reason.contains("odd")), "{:?}", kept.stuck.first());
    client.batch_execute("ALTER TABLE shape DROP CONSTRAINT odd").unwrap();
    assert_eq!(sync(&path, &outbox, &url).unwrap().sent, 10);
    assert_same(&mut client, &store);
}

/// Cuts in every part of the answers, those to the runs of a refused page above all: some of them have been seen then,
/// and the others not.
fn refused_runs_on_a_connection_that_is_cut(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let store = filled(&path, 0..200);
    let mut client = server.database("refuses_and_cut");
    let url = server.url("refuses_and_cut", server.port);
    sync(&path, &folder.path().join("other.sqlite"), &url).unwrap();
    let odd = "CHECK (serial NOT IN ('P042AN000000007', 'P042AN000000150'))";
    let refuse = format!("DELETE FROM run; ALTER TABLE run ADD CONSTRAINT odd {odd}");
    let (mut attempts, mut in_between, mut refused_before_cut) = (0, 0, 0);
    for bytes in (0..).step_by(700) {
        attempts += 1;
        client.batch_execute(&refuse).unwrap();
        let outbox = folder.path().join(format!("outbox-{bytes}.sqlite"));
        let (port, cuts) = cutting_proxy(server.port, move |_| Budget::Answers(bytes));
        let result = sync(&path, &outbox, &server.url("refuses_and_cut", port));
        // Says when the server is done with what it had been sent: it writes no more then.
        wait_until_alone(&mut client);
        assert_arrived(&mut client, &outbox);
        let kept = state(&path, &outbox).unwrap();
        assert_eq!(kept.arrived + kept.waiting, 200);
        assert!(kept.stuck.iter().all(|stuck| stuck.reason.contains("odd")), "{:?}", kept.stuck);
        let is_whole = result.is_ok();
        if is_whole {
            assert_eq!((kept.arrived, kept.stuck.len(), cuts.load(Ordering::SeqCst)), (198, 2, 0));
        } else {
            in_between += usize::from((1..198).contains(&kept.arrived));
            refused_before_cut += usize::from(!kept.stuck.is_empty());
        }
        // The next attempt has a whole connection.
        let done = sync(&path, &outbox, &url).unwrap();
        assert_eq!((kept.arrived + done.sent + done.known, done.refused, done.waiting), (198, 2, 2));
        client.batch_execute("ALTER TABLE run DROP CONSTRAINT odd").unwrap();
        assert_eq!(sync(&path, &outbox, &url).unwrap().sent, 2);
        assert_same(&mut client, &store);
        if is_whole {
            break;
        }
    }
    assert!(in_between >= 3 && refused_before_cut >= 1, "{in_between} and {refused_before_cut} of {attempts} attempts");
    println!("    {attempts} attempts, {in_between} cut between the answers to a page's runs");
}

/// Waits until no other connection to this database is left.
fn wait_until_alone(client: &mut Client) {
    let others = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
                  AND backend_type = 'client backend'";
    while count(client, others) > 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn a_run_without_its_shape_is_kept(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let (path, outbox) = (folder.path().join("s.sqlite"), folder.path().join("outbox.sqlite"));
    filled(&path, 0..50);
    let store = filled_by(&LARGER, &path, 50..51);
    let mut client = server.database("no_shape");
    let url = server.url("no_shape", server.port);
    let damage = rusqlite::Connection::open(&path).unwrap();
    damage
        .execute_batch(
            "PRAGMA foreign_keys = OFF; CREATE TABLE lost AS SELECT * FROM shape WHERE json_array_length(steps) = 4; \
             DELETE FROM shape WHERE id IN (SELECT id FROM lost)",
        )
        .unwrap();
    let done = sync(&path, &outbox, &url).unwrap();
    assert_eq!((done.sent, done.refused, done.waiting), (50, 1, 1));
    let kept = state(&path, &outbox).unwrap();
    assert_eq!((kept.waiting, kept.arrived, kept.stuck.len()), (1, 50, 1));
    assert!(kept.stuck[0].reason.contains("bench store rebuild"), "{}", kept.stuck[0].reason);
    damage.execute_batch("INSERT INTO shape SELECT * FROM lost").unwrap();
    let done = sync(&path, &outbox, &url).unwrap();
    assert_eq!((done.sent, done.waiting), (1, 0));
    assert!(state(&path, &outbox).unwrap().stuck.is_empty());
    assert_same(&mut client, &store);
}

fn two_stations_at_once(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let mut client = server.database("two");
    let url = server.url("two", server.port);
    // Half of the runs are on both: copied from one to the other when it was repaired. The month ends among them, so one
    // station makes a partition while the other writes.
    let numbers = [5_900..6_500, 6_200..6_800];
    let start = Arc::new(Barrier::new(numbers.len()));
    let stations: Vec<_> = numbers
        .into_iter()
        .enumerate()
        .map(|(station, numbers)| {
            let path = folder.path().join(format!("{station}.sqlite"));
            filled(&path, numbers);
            let (outbox, url) = (folder.path().join(format!("outbox-{station}.sqlite")), url.clone());
            let start = Arc::clone(&start);
            std::thread::spawn(move || {
                start.wait();
                sync(&path, &outbox, &url).unwrap()
            })
        })
        .collect();
    let done: Vec<_> = stations.into_iter().map(|station| station.join().unwrap()).collect();
    assert!(done.iter().all(|done| (done.sent + done.known, done.waiting) == (600, 0)), "{done:?}");
    assert_eq!((count(&mut client, "run"), done.iter().map(|done| done.sent).sum()), (900, 900));
    let all = filled(&folder.path().join("all.sqlite"), 5_900..6_800);
    assert_same(&mut client, &all);
}

/// Each station waits for the other's transaction wherever that wrote the same run first: if the orders differed, both
/// would wait.
fn two_stations_with_the_same_runs_in_another_order(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let mut client = server.database("another_order");
    let url = server.url("another_order", server.port);
    // All start in the same second, so a store gives them in the order of their paths.
    let at_once = Production { units_a_day: 57_600_000, ..SMALL };
    let start = Arc::new(Barrier::new(2));
    let stations: Vec<_> = [false, true]
        .into_iter()
        .map(|reversed| {
            let path = folder.path().join(format!("{reversed}.sqlite"));
            let mut store = Store::open_or_create(&path).unwrap();
            let journals: Vec<_> = (0..1_000)
                .map(|number| {
                    let place = if reversed { number / PAGE * PAGE + PAGE - 1 - number % PAGE } else { number };
                    (format!("{place:04}/journal.jsonl"), at_once.journal(number).1)
                })
                .collect();
            fill(&mut store, &Shapes::default(), &journals).unwrap();
            let (outbox, url) = (folder.path().join(format!("outbox-{reversed}.sqlite")), url.clone());
            let start = Arc::clone(&start);
            std::thread::spawn(move || {
                start.wait();
                sync(&path, &outbox, &url).unwrap()
            })
        })
        .collect();
    let done: Vec<_> = stations.into_iter().map(|station| station.join().unwrap()).collect();
    assert!(done.iter().all(|done| (done.sent + done.known, done.waiting) == (1_000, 0)), "{done:?}");
    assert_eq!((count(&mut client, "run"), done.iter().map(|done| done.sent).sum()), (1_000, 1_000));
}

/// Ten tests write their journals line by line while their folder is sent again and again: each is one row, when it has
/// its end.
fn a_sync_beside_ten_running_tests(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let (reports, path) = (folder.path().join("reports"), folder.path().join("s.sqlite"));
    let outbox = folder.path().join("outbox.sqlite");
    let mut client = server.database("beside");
    let url = server.url("beside", server.port);
    let running = AtomicU64::new(10);
    // Each line waits until the folder was sent once more, so every length of a journal is seen.
    let sent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for number in 0..10 {
            let (reports, running, sent) = (&reports, &running, &sent);
            scope.spawn(move || {
                let entries = SMALL.entries(number);
                let mut journal = Journal::create(reports, &format!("unit-{number}"), "run").unwrap();
                for (at, entry) in entries.iter().enumerate() {
                    journal.append(entry.at_us, entry.event.clone()).unwrap();
                    if at as u64 % 4 == number % 4 {
                        let before = sent.load(Ordering::Relaxed);
                        while sent.load(Ordering::Relaxed) == before {
                            // Ten that only yield would leave the server no processor on a busy machine.
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    }
                }
                journal.verify().wait_at_most(Duration::from_secs(600)).unwrap();
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while running.load(Ordering::Relaxed) > 0 {
            bench_store::add(&reports, &path).unwrap();
            sync(&path, &outbox, &url).unwrap();
            sent.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert!(sent.load(Ordering::Relaxed) > 5, "it was sent while the tests ran");
    assert_eq!(bench_store::add(&reports, &path).unwrap().alarms, []);
    let done = sync(&path, &outbox, &url).unwrap();
    assert_eq!((done.waiting, done.running), (0, 0));
    assert_eq!(count(&mut client, "run"), 10);
    assert_same(&mut client, &Store::open(&path).unwrap());
}

fn texts_that_the_server_refuses_arrive(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let (path, outbox) = (folder.path().join("s.sqlite"), folder.path().join("outbox.sqlite"));
    let mut client = server.database("texts");
    let url = server.url("texts", server.port);
    let mut entries = SMALL.entries(1);
    let Event::RunStarted { serial, lot, steps, .. } = &mut entries[0].event else { panic!() };
    (*serial, *lot) = ("P0\0X\u{7}".to_owned(), Some("\0".to_owned()));
    steps.iter_mut().for_each(|step| step.title = "NUL \0, \\u0000 and \\\0".to_owned());
    let journals = [("x".to_owned(), bench_journal::to_bytes(&entries))];
    fill(&mut Store::open_or_create(&path).unwrap(), &Shapes::default(), &journals).unwrap();
    let done = sync(&path, &outbox, &url).unwrap();
    assert_eq!((done.sent, done.refused), (1, 0), "{:?}", state(&path, &outbox).unwrap().stuck);
    let row = client.query_one("SELECT serial, lot, shape.steps->0->>'title' FROM run, shape", &[]).unwrap();
    let texts: [String; 3] = [row.get(0), row.get(1), row.get(2)];
    assert_eq!(texts, ["P0\u{fffd}X\u{7}", "\u{fffd}", "NUL \u{fffd}, \\u0000 and \\\u{fffd}"]);
}

fn another_seal_on_the_server_is_an_alarm(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let (reports, path) = (folder.path().join("reports"), folder.path().join("s.sqlite"));
    let outbox = folder.path().join("outbox.sqlite");
    drop(server.database("other_seal"));
    let url = server.url("other_seal", server.port);
    let mut entries = SMALL.entries(1);
    for lot in ["first", "forged"] {
        if let Event::RunStarted { lot: of, .. } = &mut entries[0].event {
            *of = Some(lot.to_owned());
        }
        let run = reports.join("unit/run");
        std::fs::create_dir_all(&run).unwrap();
        std::fs::write(run.join("journal.jsonl"), bench_journal::to_bytes(&entries)).unwrap();
        // Whoever forges removes what this station remembers, too.
        for file in [&path, &outbox, &ledger_of(&path)] {
            let _ = std::fs::remove_file(file);
        }
        assert_eq!(bench_store::add(&reports, &path).unwrap().alarms, []);
        assert_eq!(sync(&path, &outbox, &url).unwrap().sent, 1);
        let alarms = Ledger::open(&ledger_of(&path)).unwrap().alarms().unwrap();
        let kinds: Vec<_> = alarms.iter().map(|alarm| alarm.kind).collect();
        let expected: &[AlarmKind] = if lot == "first" { &[] } else { &[AlarmKind::OtherOnServer] };
        assert_eq!(kinds, expected, "{lot}");
    }
}

fn no_server_loses_nothing(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let (path, outbox) = (folder.path().join("s.sqlite"), folder.path().join("outbox.sqlite"));
    filled(&path, 0..50);
    drop(server.database("away"));
    let url = server.url("away", server.port);
    server.down();
    let error = sync(&path, &outbox, &url).unwrap_err().to_string();
    assert!(error.starts_with("the server: "), "{error}");
    assert_eq!(state(&path, &outbox).unwrap().waiting, 50);
    drop(Outbox::open(&outbox).unwrap());
    server.up();
    assert_eq!(sync(&path, &outbox, &url).unwrap().sent, 50);
}
