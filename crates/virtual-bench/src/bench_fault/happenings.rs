//! What happens at some time in a run, whatever the bench does.

use crate::random::Random;
use bench_run::Contact;
use std::collections::BTreeMap;

/// Shortest and longest opening of a nail that loses its touch.
const OPEN_NS: (f64, f64) = (1e6, 50e6);

/// One event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Happening {
    ResetExpander(usize),
    Lid {
        closed: bool,
    },
    Module {
        seated: bool,
    },
    /// The touch of one nail.
    Nail {
        contact: Contact,
        touches: bool,
        every_ns: u64,
    },
    Ripple {
        rail: usize,
        up: bool,
        half_ns: u64,
    },
    /// Bytes out of nothing at both ends of the link.
    Noise {
        every_ns: u64,
    },
    /// Another program writes on the link.
    Intruder {
        every_ns: u64,
    },
    Stall {
        ns: u64,
    },
}

/// Events in the order of their times.
#[derive(Debug, Clone, Default)]
pub(crate) struct Happenings {
    queue: BTreeMap<(u64, u64), Happening>,
    count: u64,
}

impl Happenings {
    pub fn at(&mut self, ns: u64, what: Happening) {
        self.count += 1;
        self.queue.insert((ns, self.count), what);
    }

    pub fn next_ns(&self) -> Option<u64> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// The next event that is due.
    pub fn take(&mut self, now_ns: u64) -> Option<Happening> {
        let entry = self.queue.first_entry().filter(|entry| entry.key().0 <= now_ns)?;
        Some(entry.remove())
    }

    pub fn move_the_module(&self) -> bool {
        self.queue.values().any(|what| matches!(what, Happening::Module { .. }))
    }

    /// Orders what follows an event that repeats.
    pub fn repeat(&mut self, now_ns: u64, what: Happening, random: &mut Random) {
        let (after_ns, next) = match what {
            Happening::Nail { contact, touches: false, every_ns } => {
                (random.between(OPEN_NS.0, OPEN_NS.1), Happening::Nail { contact, touches: true, every_ns })
            }
            Happening::Nail { contact, touches: true, every_ns } => {
                (every_ns as f64 * random.between(0.2, 1.8), Happening::Nail { contact, touches: false, every_ns })
            }
            Happening::Ripple { rail, up, half_ns } => (half_ns as f64, Happening::Ripple { rail, up: !up, half_ns }),
            Happening::Noise { every_ns } | Happening::Intruder { every_ns } => {
                (every_ns as f64 * random.between(0.5, 1.5), what)
            }
            _ => return,
        };
        self.at(now_ns + after_ns as u64, next);
    }
}
