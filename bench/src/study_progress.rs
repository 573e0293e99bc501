//! How far a study is: a bar on a terminal, a few plain lines elsewhere.

use crate::commands::say;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Without a terminal a line appears each time this share of the runs is done.
const LINES: u64 = 10;

/// Counted by all workers.
pub(crate) struct Progress {
    bar: ProgressBar,
    plain: bool,
    done: AtomicU64,
}

impl Progress {
    /// `what` is run, in words.
    pub(crate) fn new(what: &str, runs: u64, jobs: usize) -> Self {
        let bar = ProgressBar::new(runs);
        let plain = !std::io::stderr().is_terminal();
        if plain {
            say(&format!("{what}, {jobs} at a time"));
        } else {
            if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} runs  {per_sec}  {eta} left") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(500));
        }
        Self { bar, plain, done: AtomicU64::new(0) }
    }

    /// So many more runs turned out to be needed.
    pub(crate) fn more(&self, runs: usize) {
        self.bar.inc_length(runs as u64);
    }

    pub(crate) fn one_done(&self) {
        self.bar.inc(1);
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let all = self.bar.length().unwrap_or(done).max(1);
        if self.plain && done * LINES / all != (done - 1) * LINES / all {
            say(&format!("{done} of {all} runs"));
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
