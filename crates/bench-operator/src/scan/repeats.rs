//! Scanners that read a label twice.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The same text within this time is the same scan.
const SAME_LABEL: Duration = Duration::from_secs(1);

/// Remembers the last scan by a hash that only this process can make: the text holds a secret.
#[derive(Default)]
pub struct Repeats {
    key: RandomState,
    last: Option<(u64, Duration)>,
}

impl Repeats {
    /// Whether the text was taken a moment ago.
    pub fn is_repeat(&self, text: &str, at: Duration) -> bool {
        let hash = self.key.hash_one(text);
        self.last.is_some_and(|(last, when)| last == hash && at.saturating_sub(when) < SAME_LABEL)
    }

    pub fn remember(&mut self, text: &str, at: Duration) {
        self.last = Some((self.key.hash_one(text), at));
    }
}
