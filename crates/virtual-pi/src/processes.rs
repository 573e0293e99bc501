//! Decides when the fixture's time may pass: not while a participating thread is ready to run but has no processor.
//!
//! The program under test and the fixture share a computer with other programs. On a busy one the program under test
//! gets slow, but in the fixture's time it is not late. Time does pass for a thread that has a processor and computes,
//! as much as the thread has used of it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

/// The kernel's unit of a thread's time (USER_HZ), in nanoseconds.
const TICK_NS: u64 = 10_000_000;

/// The processes that take part, without this one. Clones share the list.
#[derive(Clone, Default)]
pub struct Processes(Arc<Mutex<BTreeMap<i32, usize>>>);

/// Removes the process from the list when dropped.
pub struct Counted(Processes, i32);

impl Processes {
    pub fn count(&self, process: rustix::process::Pid) -> Counted {
        let process = process.as_raw_nonzero().get();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(process).or_default() += 1;
        Counted(self.clone(), process)
    }

    fn numbers(&self) -> Vec<i32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut list = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = list.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                list.remove(&self.1);
            }
        }
    }
}

/// A thread that is ready to run.
struct Busy {
    /// The processor time it had used when it became ready, in ticks.
    ticks: u64,
    /// The fixture time that has passed since.
    passed_ns: u64,
}

/// Watches the threads of all processes that take part.
pub struct Watch {
    processes: Processes,
    busy: BTreeMap<i32, Busy>,
    /// The thread that lets time pass.
    own: i32,
    last_ns: u64,
}

impl Watch {
    /// Create it on the thread that lets time pass: that one is not waited for.
    pub fn new(processes: Processes) -> Self {
        let own = rustix::thread::gettid().as_raw_nonzero().get();
        Self { processes, busy: BTreeMap::new(), own, last_ns: 0 }
    }

    /// Returns whether time must not pass at `now_ns`, because a thread is ready to run and does not.
    pub fn holds(&mut self, now_ns: u64) -> bool {
        let passed_ns = now_ns.saturating_sub(std::mem::replace(&mut self.last_ns, now_ns));
        let ready = self.ready();
        self.busy.retain(|thread, _| ready.iter().any(|(number, _)| number == thread));
        let mut holds = false;
        for (thread, ticks) in ready {
            let busy = self.busy.entry(thread).and_modify(|busy| busy.passed_ns += passed_ns);
            let busy = busy.or_insert(Busy { ticks, passed_ns: 0 });
            holds |= busy.passed_ns >= ticks.saturating_sub(busy.ticks) * TICK_NS;
        }
        holds
    }

    /// The threads that are ready to run or wait for a disk, with the processor time they have used in ticks.
    fn ready(&self) -> Vec<(i32, u64)> {
        let own = std::process::id().cast_signed();
        let mut ready = Vec::new();
        for process in self.processes.numbers().into_iter().chain([own]) {
            // A process that has just ended has no threads.
            for thread in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
                let Some(number) = thread.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
                if number != self.own
                    && let Ok(text) = fs::read_to_string(thread.path().join("stat"))
                    && let Some(ticks) = ready_for(&text)
                {
                    ready.push((number, ticks));
                }
            }
        }
        ready
    }
}

/// Reads a thread's line in `/proc` (proc_pid_stat(5): fields 3, 14 and 15). Returns the processor time it has used in
/// ticks, if it is ready to run or waits for a disk.
fn ready_for(stat: &str) -> Option<u64> {
    // The name before it may have spaces and brackets.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let ticks = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let used = ticks(fields.nth(10)) + ticks(fields.next());
    matches!(state, "R" | "D").then_some(used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn lines_of_threads() {
        let line = |state| format!("12 (a) name) {state} 1 12 12 0 -1 64 101 0 0 0 7 5 0 0 20 0 1 0 32165 31 355");
        for (state, expected) in [("R", Some(12)), ("D", Some(12)), ("S", None), ("Z", None), ("t", None)] {
            assert_eq!(ready_for(&line(state)), expected, "{state}");
        }
        assert_eq!(ready_for(""), None);
    }

    /// Time passes while a thread computes, and for threads that wait.
    #[test]
    fn time_passes_for_computing_and_for_waiting_threads() {
        let done = AtomicBool::new(false);
        let mut watch = Watch::new(Processes::default());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop()
                }
            });
            let mut now_ns = 0;
            while now_ns < 3 * TICK_NS {
                // Passes only as the other thread uses its processor.
                if !watch.holds(now_ns) {
                    now_ns += TICK_NS / 10;
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        // Other tests of this process may be computing.
        while watch.holds(3 * TICK_NS) {}
    }
}
