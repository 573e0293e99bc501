//! Notes every panic, also those that the engine turns into verdicts.

use std::cell::RefCell;
use std::panic::{self, PanicHookInfo};
use std::sync::{Mutex, PoisonError};

/// Panics with this text are ordered.
pub const ORDERED: &str = "ordered by the swarm";

/// Panics of this crate, which takes some wrong answers of a probe for its own bugs, are caught where it is called, and are
/// errors of the bench.
const CAUGHT: &str = "/probe-rs-";

thread_local! {
    /// Of this thread, which runs one run at a time.
    static HERE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static OF_A_RUN: RefCell<bool> = const { RefCell::new(false) };
}

/// Of threads that no run is in: those of journals and of the debug probe.
static ELSEWHERE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes panics from now on, instead of printing them.
pub fn note_all() {
    panic::set_hook(Box::new(note));
}

fn note(info: &PanicHookInfo<'_>) {
    let text = info.payload_as_str().unwrap_or("a panic without words");
    if text == ORDERED {
        return;
    }
    if info.location().is_some_and(|place| place.file().contains(CAUGHT)) {
        return;
    }
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    let text = format!("{text}{place}");
    if OF_A_RUN.with_borrow(|of_a_run| *of_a_run) {
        HERE.with_borrow_mut(|here| here.push(text));
    } else {
        ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

/// Runs `body` and returns what panicked in this thread meanwhile, whether it was caught there or not.
pub fn noted<T>(body: impl FnOnce() -> T) -> (Option<T>, Vec<String>) {
    OF_A_RUN.set(true);
    let done = panic::catch_unwind(panic::AssertUnwindSafe(body)).ok();
    OF_A_RUN.set(false);
    (done, HERE.take())
}

/// What panicked in other threads so far.
pub fn elsewhere() -> Vec<String> {
    std::mem::take(&mut *ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner))
}
