//! The thread that writes: it may wait for a slow disk, the run may not.

use crate::chain::Chain;
use crate::disk::{Disk, Failure, compare};
use crate::shown;
use crate::writer::Stats;
use bench_run::Entry;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A line on its way to the disk.
pub(crate) struct PendingLine {
    pub(crate) entry: Arc<Entry>,
    /// Whether it must survive a loss of power.
    pub(crate) force: bool,
}

/// State shared by the run and the thread.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// The thread waits for lines on this one.
    work: Condvar,
    /// Others wait for the disk on this one.
    progress: Condvar,
    /// Copies of the numbers in the state, for the run, which reads them after every line.
    written: AtomicU64,
    forced: AtomicU64,
    /// Not 0 once the journal has failed.
    failed: AtomicU64,
}

#[derive(Default)]
struct State {
    queue: Vec<PendingLine>,
    /// Whether the thread waits for work, and how many others wait for the disk. Notifying a condition variable costs a
    /// system call even without a waiter, so these are checked first.
    idle: bool,
    blocked: usize,
    /// No more lines will come.
    closed: bool,
    /// The thread has ended.
    ended: bool,
    /// Number of lines handed to the operating system.
    written: u64,
    /// Number of lines on the disk.
    forced: u64,
    failure: Option<Failure>,
    /// Number of requested checks, and of finished checks with the result of the last.
    checks_wanted: u64,
    checks_done: u64,
    checked: Option<Result<(), Failure>>,
    stats: Stats,
    chain: Chain,
    wakers: Vec<Waker>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent between any two statements that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, line: PendingLine) {
        self.order(|state| state.queue.push(line));
    }

    pub(crate) fn close(&self) {
        self.order(|state| state.closed = true);
    }

    pub(crate) fn order_check(&self) -> u64 {
        self.order(|state| {
            state.checks_wanted += 1;
            state.checks_wanted
        })
    }

    /// Gives the thread work, and wakes it if it waits.
    fn order<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let value = change(&mut state);
        // Cleared here, so that further work before the thread runs does not wake it again.
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        if idle {
            self.work.notify_one();
        }
        value
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(crate) fn forced(&self) -> u64 {
        self.forced.load(Ordering::Acquire)
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        if self.failed.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.lock().failure.clone()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.lock().stats
    }

    pub(crate) fn seal(&self) -> Option<String> {
        self.lock().chain.value()
    }

    /// Waits until the thread has ended, at most for `limit`.
    pub(crate) fn wait_for_end(&self, limit: Duration) -> bool {
        self.wait_until(limit, |state| state.ended.then_some(())).is_some()
    }

    fn wait_until<T>(&self, limit: Duration, ready: impl Fn(&State) -> Option<T>) -> Option<T> {
        let began = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(value) = ready(&state) {
                return Some(value);
            }
            let left = limit.checked_sub(began.elapsed()).filter(|left| !left.is_zero())?;
            state.blocked += 1;
            state = self.progress.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.blocked -= 1;
        }
    }

    /// Changes the state and wakes everything that waits for it.
    fn publish(&self, change: impl FnOnce(&mut State)) {
        let (wakers, blocked) = {
            let mut state = self.lock();
            change(&mut state);
            self.written.store(state.written, Ordering::Release);
            self.forced.store(state.forced, Ordering::Release);
            self.failed.store(state.failure.is_some().into(), Ordering::Release);
            (std::mem::take(&mut state.wakers), state.blocked > 0)
        };
        if blocked {
            self.progress.notify_all();
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits for work; `None` when no more will come.
    fn next(&self, batch: &mut Vec<PendingLine>) -> Option<Job> {
        let mut state = self.lock();
        loop {
            let check = (state.checks_done < state.checks_wanted).then_some(state.checks_wanted);
            if !state.queue.is_empty() || check.is_some() {
                // The empty buffer goes back, so that neither side allocates in the long run.
                std::mem::swap(&mut state.queue, batch);
                return Some(Job { check });
            }
            if state.closed {
                return None;
            }
            state.idle = true;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

struct Job {
    /// Number of the check that is requested after the lines.
    check: Option<u64>,
}

/// Condition of a [`Pending`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// This many lines are with the operating system, and this many on the disk.
    Reached {
        written: u64,
        forced: u64,
    },
    Checked(u64),
    /// One of the two numbers has changed.
    Moved {
        written: u64,
        forced: u64,
    },
}

impl Goal {
    fn outcome(self, state: &State) -> Option<Result<(), Failure>> {
        let reached = match self {
            Goal::Reached { written, forced } => state.written >= written && state.forced >= forced,
            Goal::Moved { written, forced } => (state.written, state.forced) != (written, forced),
            Goal::Checked(number) if state.checks_done >= number => {
                return Some(state.checked.clone().unwrap_or(Ok(())));
            }
            Goal::Checked(_) => false,
        };
        if reached { Some(Ok(())) } else { state.failure.clone().map(Err) }
    }
}

/// Outstanding work of the disk. Await it, or block with [`Pending::wait_at_most`].
///
/// It ends with an error when the journal fails first.
#[must_use = "nothing waits until it is awaited"]
pub struct Pending {
    shared: Option<Arc<Shared>>,
    goal: Goal,
    path: PathBuf,
}

impl Pending {
    /// Without `shared` there is nothing to wait for.
    pub(crate) fn new(shared: Option<Arc<Shared>>, goal: Goal, path: PathBuf) -> Self {
        Self { shared, goal, path }
    }

    /// Blocks the thread until the disk is done.
    ///
    /// # Errors
    /// When the journal failed, or with [`io::ErrorKind::TimedOut`] after `limit` of real time.
    pub fn wait_at_most(self, limit: Duration) -> io::Result<()> {
        let Some(shared) = &self.shared else { return Ok(()) };
        match shared.wait_until(limit, |state| self.goal.outcome(state)) {
            Some(outcome) => Ok(outcome?),
            None => Err(hanging(&self.path, limit)),
        }
    }
}

impl Future for Pending {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(shared) = &self.shared else { return Poll::Ready(Ok(())) };
        let mut state = shared.lock();
        if let Some(outcome) = self.goal.outcome(&state) {
            return Poll::Ready(outcome.map_err(io::Error::from));
        }
        let waker = context.waker();
        if !state.wakers.iter().any(|registered| registered.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
        Poll::Pending
    }
}

/// The error for a disk that did not answer within `limit`.
pub(crate) fn hanging(path: &std::path::Path, limit: Duration) -> io::Error {
    let text = format!(
        "the disk hangs: {} was not written for {} s: check the disk, then test the module again",
        shown(path),
        limit.as_secs_f64()
    );
    io::Error::new(io::ErrorKind::TimedOut, text)
}

/// The thread's side.
pub(crate) struct Writer {
    pub(crate) disk: Box<dyn Disk>,
    pub(crate) path: PathBuf,
    pub(crate) shared: Arc<Shared>,
}

impl Writer {
    /// Writes until the journal is closed or the disk refuses.
    pub(crate) fn run(mut self) {
        let end = SayEnded { shared: Arc::clone(&self.shared), path: self.path.clone() };
        if let Err(failure) = self.write_all() {
            self.shared.publish(|state| {
                state.failure.get_or_insert(failure);
            });
        }
        // Close the file before waking those that wait for the end.
        drop(self);
        drop(end);
    }

    fn write_all(&mut self) -> Result<(), Failure> {
        // Everything handed over, to compare it with what is read back. It is smaller than the entries in memory.
        let mut image: Vec<u8> = Vec::new();
        let mut chain = Chain::default();
        let mut stats = Stats::default();
        let mut line = Vec::new();
        let mut lines = 0;
        let mut batch = Vec::new();
        let mut unsynced = false;
        while let Some(Job { check }) = self.shared.next(&mut batch) {
            let began = image.len();
            let mut force = check.is_some();
            for PendingLine { entry, force: this } in batch.drain(..) {
                line.clear();
                serde_json::to_writer(&mut line, &*entry).map_err(|error| Failure::of(&self.path, &error.into()))?;
                let start = Instant::now();
                chain.forge(&mut line);
                stats.chain_time += start.elapsed();
                image.extend_from_slice(&line);
                lines += 1;
                force |= this;
            }
            if image.len() > began {
                let start = Instant::now();
                let result = self.disk.write_all(&image[began..]);
                stats.write_time += start.elapsed();
                stats.writes += 1;
                stats.lines = lines;
                stats.bytes = image.len() as u64;
                unsynced = true;
                self.shared.publish(|state| {
                    state.stats = stats;
                    if result.is_ok() {
                        state.written = lines;
                        state.chain = chain.clone();
                    }
                });
                result.map_err(|error| Failure::of(&self.path, &error))?;
            }
            if force && unsynced {
                let start = Instant::now();
                let result = self.disk.sync();
                stats.sync_time += start.elapsed();
                stats.syncs += 1;
                unsynced = false;
                self.shared.publish(|state| {
                    state.stats = stats;
                    if result.is_ok() {
                        state.forced = lines;
                    }
                });
                result.map_err(|error| Failure::of(&self.path, &error))?;
            }
            if let Some(number) = check {
                let outcome = compare(&self.path, &image, self.disk.read_back());
                self.shared.publish(|state| {
                    state.checks_done = number;
                    state.checked = Some(outcome);
                });
            }
        }
        Ok(())
    }
}

/// No caller may wait for a thread that has ended, even when the disk's own code panicked.
struct SayEnded {
    shared: Arc<Shared>,
    path: PathBuf,
}

impl Drop for SayEnded {
    fn drop(&mut self) {
        let panicked = std::thread::panicking();
        let text = format!("{}: the thread that writes it panicked; report this as a bug", shown(&self.path));
        self.shared.publish(|state| {
            state.ended = true;
            if panicked {
                state.failure.get_or_insert(Failure::new(io::ErrorKind::Other, text));
            }
        });
    }
}
