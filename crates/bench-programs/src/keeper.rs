//! The process between the bench and a program.
//!
//! It starts the program, passes lines, and stays until nothing of the program runs any more. When the bench closes its
//! end, or is gone, everything is killed.

use crate::frames::{FromKeeper, Start, ToKeeper};
use crate::system;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest line of a program, bytes.
const LONGEST_LINE: usize = 1 << 20;
/// Most lines that a program sends without waiting for an answer.
const MOST_UNANSWERED: u32 = 1_000;
/// Largest log.
const LARGEST_LOG: u64 = 10 << 20;
/// How much of the end of the log is reported.
const LAST_WORDS: usize = 2_000;
/// What a program started may take this long to end after it.
const GRACE: Duration = Duration::from_millis(200);
/// What is left in a pipe is read at once.
const READ_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A process that does not die of being killed waits in the kernel.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// What the threads know together.
#[derive(Default)]
struct Shared {
    status: Option<ExitStatus>,
    broken: Option<String>,
    is_killed: bool,
    unanswered: u32,
    /// Since when the program owes a line.
    owes_since: Option<Instant>,
    last_words: Vec<u8>,
}

struct Watch {
    shared: Mutex<Shared>,
    changed: Condvar,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Shared)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn broken(&self, why: String) {
        self.change(|shared| {
            shared.broken.get_or_insert(why);
        });
    }
}

/// Writes frames to the bench, whole.
#[derive(Clone)]
struct Voice(Arc<Mutex<std::io::Stdout>>);

impl Voice {
    fn say(&self, frame: &FromKeeper) {
        let Ok(text) = serde_json::to_string(frame) else { return };
        let mut to = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A bench that is gone closes the other direction too.
        let _ = writeln!(to, "{text}").and_then(|()| to.flush());
    }
}

/// Runs as a keeper: the whole life of the process. Returns its exit code.
pub fn keep() -> u8 {
    system::adopt_orphans();
    let mut orders = BufReader::new(std::io::stdin());
    let Some(ToKeeper::Start(start)) = read(&mut orders) else { return 0 };
    let voice = Voice(Arc::new(Mutex::new(std::io::stdout())));
    let mut command = Command::new(program(&start));
    command.args(start.command.iter().skip(1)).current_dir(&start.folder).envs(start.environment.iter().cloned());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    system::leave_group(&mut command);
    let began = Instant::now();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            voice.say(&FromKeeper::Broken(cannot_start(&start, &error)));
            voice.say(&FromKeeper::Ended { code: None, signal: None, left_behind: 0, last_words: String::new() });
            return 0;
        }
    };
    let id = child.id();
    let shared = Shared { owes_since: Some(began), ..Shared::default() };
    let watch = Arc::new(Watch { shared: Mutex::new(shared), changed: Condvar::new() });
    let mut readers: Vec<JoinHandle<()>> = Vec::new();
    let (lines, to_write) = channel();
    if let Some(stdin) = child.stdin.take() {
        std::thread::spawn(move || write(stdin, &to_write));
    }
    if let Some(stdout) = child.stdout.take() {
        let (watch, voice) = (Arc::clone(&watch), voice.clone());
        readers.push(std::thread::spawn(move || listen(stdout, start.whole_lines, &watch, &voice)));
    }
    if let Some(stderr) = child.stderr.take() {
        let (watch, log) = (Arc::clone(&watch), start.log.clone());
        readers.push(std::thread::spawn(move || log_errors(stderr, log.as_deref(), &watch)));
    }
    let for_orders = Arc::clone(&watch);
    std::thread::spawn(move || obey(orders, lines, &for_orders));
    let for_wait = Arc::clone(&watch);
    let waiter = std::thread::spawn(move || {
        let status = child.wait();
        for_wait.change(|shared| shared.status = status.ok());
    });
    let ended_by_itself = wait_for_end(&watch, start.silence());
    let left_behind = if ended_by_itself { left_after(id) } else { 0 };
    kill_everything(id, &waiter);
    // Nobody holds the other ends of their pipes any more, except what the kernel does not let die.
    let until = Instant::now() + READ_WITHIN;
    while !readers.iter().all(JoinHandle::is_finished) && Instant::now() < until {
        std::thread::sleep(LOOK_EVERY / 20);
    }
    let shared = watch.lock();
    if let Some(why) = &shared.broken {
        voice.say(&FromKeeper::Broken(why.clone()));
    }
    voice.say(&FromKeeper::Ended {
        code: shared.status.and_then(|status| status.code()),
        signal: shared.status.and_then(system::signal_of),
        left_behind,
        last_words: String::from_utf8_lossy(&shared.last_words).into_owned(),
    });
    0
}

fn read(orders: &mut impl BufRead) -> Option<ToKeeper> {
    let mut line = String::new();
    let count = orders.read_line(&mut line).ok()?;
    if count == 0 { None } else { serde_json::from_str(&line).ok() }
}

/// A name with a separator is a file, relative to the program's folder; others are searched for.
fn program(start: &Start) -> std::path::PathBuf {
    let name = start.command.first().map(String::as_str).unwrap_or_default();
    let path = Path::new(name);
    if path.components().count() > 1 && path.is_relative() { start.folder.join(path) } else { path.to_owned() }
}

fn cannot_start(start: &Start, error: &std::io::Error) -> String {
    let name = start.command.first().map(String::as_str).unwrap_or_default();
    let help = match error.kind() {
        std::io::ErrorKind::NotFound if !start.folder.is_dir() => {
            return format!("its folder {} does not exist", start.folder.display());
        }
        std::io::ErrorKind::NotFound => "is it installed, and is its name right?",
        std::io::ErrorKind::PermissionDenied => "may it be executed (`chmod +x`)?",
        _ => "try to start it by hand",
    };
    format!("{name} cannot be started ({error}): {help}")
}

/// Waits until the program ended (`true`) or must end.
fn wait_for_end(watch: &Watch, silence: Duration) -> bool {
    let mut shared = watch.lock();
    loop {
        if shared.is_killed || shared.broken.is_some() {
            return false;
        }
        if shared.status.is_some() {
            return true;
        }
        let left = shared.owes_since.map(|since| silence.saturating_sub(since.elapsed()));
        if left == Some(Duration::ZERO) {
            shared.broken = Some(format!("it said nothing for {silence:?}"));
            return false;
        }
        shared = match left {
            None => watch.changed.wait(shared).unwrap_or_else(PoisonError::into_inner),
            Some(left) => watch.changed.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0,
        };
    }
}

/// Counts what the program left running.
fn left_after(id: u32) -> u32 {
    let until = Instant::now() + GRACE;
    loop {
        let count = system::survivors(id);
        if count == 0 || Instant::now() >= until {
            return count;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Kills until nothing is left: what is being killed may be starting more.
fn kill_everything(id: u32, waiter: &JoinHandle<()>) {
    let until = Instant::now() + KILLED_WITHIN;
    if !waiter.is_finished() {
        system::kill_all(id);
        while !waiter.is_finished() && Instant::now() < until {
            std::thread::sleep(LOOK_EVERY / 2);
        }
    }
    while system::survivors(id) > 0 && Instant::now() < until {
        system::kill_all(id);
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Passes on what the bench orders. Its end means that the bench needs the program no more, or is gone.
fn obey(mut orders: impl BufRead, lines: Sender<String>, watch: &Watch) {
    let mut lines = Some(lines);
    loop {
        match read(&mut orders) {
            Some(ToKeeper::Say(line)) => {
                watch.change(|shared| {
                    shared.unanswered = shared.unanswered.saturating_sub(1);
                    shared.owes_since = Some(Instant::now());
                });
                if let Some(lines) = &lines {
                    // A program may close its input.
                    let _ = lines.send(line);
                }
            }
            Some(ToKeeper::Close) => lines = None,
            Some(ToKeeper::Start(_)) => {}
            None => return watch.change(|shared| shared.is_killed = true),
        }
    }
}

fn write(mut stdin: ChildStdin, lines: &Receiver<String>) {
    for mut line in lines {
        line.push('\n');
        if stdin.write_all(line.as_bytes()).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

fn listen(stdout: impl Read, whole_lines: bool, watch: &Watch, voice: &Voice) {
    let mut from = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut from).take(LONGEST_LINE as u64 + 1);
        match limited.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if line.len() > LONGEST_LINE {
            watch.broken(format!("it sent a line of more than {LONGEST_LINE} bytes"));
            return discard(from);
        }
        if line.pop_if(|last| *last == b'\n').is_none() && whole_lines {
            watch.broken(format!("its last line has no end: {:?}", shortened(&String::from_utf8_lossy(&line))));
            return;
        }
        line.pop_if(|last| *last == b'\r');
        let Ok(text) = String::from_utf8(line) else {
            watch.broken("it sent bytes that are no text (UTF-8)".to_owned());
            return discard(from);
        };
        let mut floods = false;
        watch.change(|shared| {
            shared.owes_since = None;
            shared.unanswered += 1;
            floods = shared.unanswered > MOST_UNANSWERED;
        });
        if floods {
            watch.broken(format!("it sent {MOST_UNANSWERED} lines without waiting for an answer"));
            return discard(from);
        }
        voice.say(&FromKeeper::Line(text));
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Reads what nobody wants, so that the program is not blocked by a full pipe until it is killed.
fn discard(mut from: impl Read) {
    let _ = std::io::copy(&mut from, &mut std::io::sink());
}

fn log_errors(mut stderr: impl Read, log: Option<&Path>, watch: &Watch) {
    let mut file = None;
    let (mut buffer, mut size) = ([0; 8192], 0_u64);
    loop {
        let count = match stderr.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        size += count as u64;
        if size > LARGEST_LOG {
            watch.broken(format!("it wrote more than {} MB to standard error", LARGEST_LOG >> 20));
            return discard(stderr);
        }
        // Not before there is something to keep. A full disk is reported by the record itself.
        file = file.or_else(|| File::create(log?).ok());
        if let Some(file) = &mut file {
            let _ = file.write_all(bytes);
        }
        let mut shared = watch.lock();
        shared.last_words.extend_from_slice(bytes);
        let gone = shared.last_words.len().saturating_sub(LAST_WORDS);
        shared.last_words.drain(..gone);
    }
}
