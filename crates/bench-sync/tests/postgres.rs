//! Against a real server, with the connection cut again and again. Where none is installed, it says so and counts as
//! skipped.
#![allow(clippy::unwrap_used)] // what cannot go on in a test has failed it

use bench_store::synthetic::{Production, fill};
use bench_store::{Filter, Shapes, Store};
use bench_sync::{Outbox, state, sync};
use postgres::{Client, NoTls};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    ten_thousand_runs_through_a_hundred_cuts(&server);
    println!("test ten_thousand_runs_through_a_hundred_cuts ... ok");
    what_the_server_refuses_is_kept_and_shown(&server);
    println!("test what_the_server_refuses_is_kept_and_shown ... ok");
    two_stations_at_once(&server);
    println!("test two_stations_at_once ... ok");
    no_server_loses_nothing(&server);
    println!("test no_server_loses_nothing ... ok");
    println!("\ntest result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
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

/// A server of its own in a folder of its own, stopped when it is dropped.
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

/// Passes bytes on, and cuts each connection after a number of them that differs from one to the next.
fn cutting_proxy(to: u16, cuts: u64) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let done = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&done);
    std::thread::spawn(move || {
        let mut state = 1_u64;
        for client in listener.incoming() {
            let Ok(client) = client else { continue };
            let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // From the middle of the first page to some pages on, in either direction.
            let budget =
                if counter.load(Ordering::Relaxed) < cuts { 2_000 + (state >> 33) % 120_000 } else { u64::MAX };
            let left = Arc::new(AtomicU64::new(budget));
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                let (left, counter) = (Arc::clone(&left), Arc::clone(&counter));
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = from.read(&mut buffer) {
                        let before = left.load(Ordering::Relaxed);
                        if before < count as u64 {
                            // Half of what came still goes: the cut is anywhere in a message.
                            let _ = to.write_all(&buffer[..count / 2]);
                            if left.swap(0, Ordering::Relaxed) > 0 {
                                counter.fetch_add(1, Ordering::Relaxed);
                            }
                            break;
                        }
                        left.fetch_sub(count as u64, Ordering::Relaxed);
                        if to.write_all(&buffer[..count]).is_err() {
                            break;
                        }
                    }
                    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                });
            }
        }
    });
    (port, done)
}

const SMALL: Production = Production { steps: 3, per_step: 2, units_a_day: 200, bad_per_mille: 200 };

fn filled(path: &Path, numbers: std::ops::Range<u64>) -> Store {
    let mut store = Store::open_or_create(path).unwrap();
    let journals: Vec<_> = numbers.map(|number| SMALL.journal(number)).collect();
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

fn ten_thousand_runs_through_a_hundred_cuts(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let (path, outbox) = (folder.path().join("s.sqlite"), folder.path().join("outbox.sqlite"));
    let store = filled(&path, 0..10_000);
    let mut client = server.database("cuts");
    let (port, cuts) = cutting_proxy(server.port, 100);
    let url = server.url("cuts", port);
    let (mut attempts, mut failures) = (0, 0);
    loop {
        attempts += 1;
        assert!(attempts < 1_000, "no end: {:?}", state(&path, &outbox).unwrap());
        match sync(&path, &outbox, &url) {
            Ok(done) if cuts.load(Ordering::Relaxed) >= 100 => {
                assert_eq!((done.waiting, done.refused), (0, 0));
                break;
            }
            Ok(_) => {
                // All is there before the last cut: forget what arrived, as when the file is lost. Nothing may double.
                std::fs::remove_file(&outbox).unwrap();
            }
            Err(_) => failures += 1,
        }
    }
    assert!(failures >= 90, "{failures} of {attempts} attempts were cut");
    let (there, here) = (on_server(&mut client), in_store(&store));
    assert_eq!((there.len(), here.len()), (10_000, 10_000));
    assert!(there == here, "the content differs");
    let faults: i64 = client.query_one("SELECT count(*) FROM fault", &[]).unwrap().get(0);
    assert_eq!(faults as usize, store.faults(&Filter::default()).unwrap().len());
    let partitions: i64 =
        client.query_one("SELECT count(*) FROM pg_inherits WHERE inhparent = 'run'::regclass", &[]).unwrap().get(0);
    assert_eq!(partitions, 2, "January and February");
    println!("    {attempts} attempts, {failures} cut off, {} cuts", cuts.load(Ordering::Relaxed));
}

fn what_the_server_refuses_is_kept_and_shown(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let (path, outbox) = (folder.path().join("s.sqlite"), folder.path().join("outbox.sqlite"));
    filled(&path, 0..300);
    let mut client = server.database("refuses");
    let url = server.url("refuses", server.port);
    // The plant's administrator wants something of the data that two units do not keep.
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
    assert_eq!((kept.waiting, kept.arrived), (2, 298));
    assert!(
        kept.stuck.iter().zip(bad).all(|(stuck, serial)| stuck.path.contains(serial) && stuck.reason.contains("odd"))
    );
    client.batch_execute("ALTER TABLE run DROP CONSTRAINT odd").unwrap();
    let done = sync(&path, &outbox, &url).unwrap();
    assert_eq!((done.sent, done.waiting), (2, 0));
    assert!(state(&path, &outbox).unwrap().stuck.is_empty());
}

fn two_stations_at_once(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let mut client = server.database("two");
    let url = server.url("two", server.port);
    let stations: Vec<_> = (0..2_u64)
        .map(|station| {
            // Half of the runs lie on both: copied from one to the other when it was repaired.
            let path = folder.path().join(format!("{station}.sqlite"));
            filled(&path, station * 300..station * 300 + 600);
            let (outbox, url) = (folder.path().join(format!("outbox-{station}.sqlite")), url.clone());
            std::thread::spawn(move || {
                // The other may be making the tables or writing the same run: then once more.
                (0..10).find_map(|_| sync(&path, &outbox, &url).ok()).unwrap()
            })
        })
        .collect();
    let sent: usize = stations.into_iter().map(|station| station.join().unwrap().sent).sum();
    let there: i64 = client.query_one("SELECT count(*) FROM run", &[]).unwrap().get(0);
    assert_eq!((there, sent), (900, 900));
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
