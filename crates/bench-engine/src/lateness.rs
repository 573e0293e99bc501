//! How late the controller ran: its own wake-ups, planned against actual.
//!
//! The supervisor wakes every few milliseconds. Whatever delays it (a stopped process, a busy kernel, a call that does not
//! return) can also make a running step miss its window.

use bench_instruments::{Clock, ControllerLoad, LoadSample};
use bench_run::{BenchTime, LateRecord};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// How many delays are kept. Few steps are long enough to see more.
const MOST_DELAYS: usize = 256;
/// Shorter delays are not kept: a driver's blocking transfers take that long.
const SHORTEST: Duration = Duration::from_millis(2);

/// What a delay was spent on, as far as the controller says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Parts of the program had to be read from the disk.
    Disk,
    /// Other programs had the processor.
    OtherPrograms,
    /// The bench itself computed or waited in a driver.
    Bench,
    /// The process was stopped, or the controller does not say.
    Unknown,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Disk => "disk",
            Cause::OtherPrograms => "other programs had the processor",
            Cause::Bench => "the bench itself",
            Cause::Unknown => "cause unknown",
        })
    }
}

/// The most that the controller was late in some span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    pub by: Duration,
    pub cause: Cause,
}

impl Late {
    const NOT: Self = Self { by: Duration::ZERO, cause: Cause::Unknown };

    /// As in the record.
    pub fn record(self) -> LateRecord {
        LateRecord { us: u64::try_from(self.by.as_micros()).unwrap_or(u64::MAX), cause: self.cause.to_string() }
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Word for word: readers of a record recognise the lateness in a reason.
        self.record().fmt(f)
    }
}

#[derive(Debug, Clone, Copy)]
struct Delay {
    /// When the beat was due, and when it came.
    due: BenchTime,
    came: BenchTime,
    cause: Cause,
}

/// Measures how late the controller is; the supervisor calls [`Lateness::beat`].
pub struct Lateness {
    clock: Rc<dyn Clock>,
    load: Rc<dyn ControllerLoad>,
    /// When the next beat is due; `None` before the first.
    due: Cell<Option<BenchTime>>,
    before: Cell<Option<LoadSample>>,
    delays: RefCell<VecDeque<Delay>>,
}

impl Lateness {
    pub fn new(clock: Rc<dyn Clock>, load: Rc<dyn ControllerLoad>) -> Self {
        Self { clock, load, due: Cell::new(None), before: Cell::new(None), delays: RefCell::default() }
    }

    /// Notes that the supervisor is awake and plans to wake again at `next`.
    pub fn beat(&self, next: BenchTime) {
        let now = self.clock.now();
        if let Some(due) = self.due.replace(Some(next))
            && now - due >= SHORTEST
        {
            let cause = self.cause(now - due);
            let mut delays = self.delays.borrow_mut();
            if delays.len() >= MOST_DELAYS {
                delays.pop_front();
            }
            delays.push_back(Delay { due, came: now, cause });
        }
    }

    /// Reads the controller's counters, so that a later delay can be compared with them. Costs a few system calls.
    pub fn sample(&self) {
        self.before.set(self.load.sample());
    }

    fn cause(&self, by: Duration) -> Cause {
        let (Some(before), Some(now)) = (self.before.get(), self.load.sample()) else { return Cause::Unknown };
        let most = by / 2;
        if now.page_reads > before.page_reads {
            Cause::Disk
        } else if now.waited_for_processor.saturating_sub(before.waited_for_processor) >= most {
            Cause::OtherPrograms
        } else if now.computed.saturating_sub(before.computed) >= most {
            Cause::Bench
        } else {
            Cause::Unknown
        }
    }

    /// Returns the longest delay that overlaps the time since `from`. A delay that has not ended counts up to now.
    pub fn since(&self, from: BenchTime) -> Late {
        let now = self.clock.now();
        let delays = self.delays.borrow();
        let delays = delays.iter().rev().take_while(|delay| delay.came >= from);
        let longest = delays.map(|delay| Late { by: delay.came - delay.due, cause: delay.cause });
        // The step may be polled before the supervisor is.
        let under_way = self.due.get().map_or(Duration::ZERO, |due| now - due);
        let under_way =
            if under_way >= SHORTEST { Late { by: under_way, cause: self.cause(under_way) } } else { Late::NOT };
        longest.fold(under_way, |most, late| if late.by > most.by { late } else { most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_instruments::ManualClock;

    struct Says(Cell<LoadSample>);

    impl ControllerLoad for Says {
        fn sample(&self) -> Option<LoadSample> {
            Some(self.0.get())
        }
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_delay_is_seen_by_whoever_it_touched() {
        let clock = Rc::new(ManualClock::new());
        let lateness = Lateness::new(clock.clone(), Rc::new(bench_instruments::UnknownLoad));
        let at = |ms: u64| BenchTime::ZERO + u32::try_from(ms).unwrap() * MS;
        lateness.beat(at(10));
        clock.run(clock.sleep_until(at(11)));
        lateness.beat(at(20));
        // The beat of 20 ms comes at 140 ms.
        clock.run(clock.sleep_until(at(140)));
        assert_eq!(lateness.since(at(0)).by, 120 * MS, "under way, and not yet noticed by the supervisor");
        lateness.beat(at(150));
        for (from, expected) in [(0, 120), (130, 120), (140, 120), (141, 0), (200, 0)] {
            assert_eq!(lateness.since(at(from)).by, expected * MS, "since {from} ms");
        }
    }

    #[test]
    fn a_delay_and_its_record_are_the_same_words() {
        for (us, expected) in [(640_250, "640 ms"), (15_999, "15 ms"), (300, "1 ms")] {
            let late = Late { by: Duration::from_micros(us), cause: Cause::Disk };
            assert_eq!(late.to_string(), format!("the controller was {expected} late (disk)"));
            assert_eq!(late.to_string(), late.record().to_string());
        }
    }

    #[test]
    fn the_controller_s_counters_name_the_cause() {
        type Change = fn(&mut LoadSample);
        let rows: [(Change, Cause); 4] = [
            (|load| load.page_reads += 3, Cause::Disk),
            (|load| load.waited_for_processor += 80 * MS, Cause::OtherPrograms),
            (|load| load.computed += 90 * MS, Cause::Bench),
            (|_| (), Cause::Unknown),
        ];
        for (change, expected) in rows {
            let clock = Rc::new(ManualClock::new());
            let says = Rc::new(Says(Cell::default()));
            let lateness = Lateness::new(clock.clone(), says.clone());
            lateness.beat(BenchTime::ZERO + 10 * MS);
            lateness.sample();
            let mut load = says.0.get();
            change(&mut load);
            says.0.set(load);
            clock.run(clock.sleep(110 * MS));
            lateness.beat(BenchTime::ZERO + 120 * MS);
            let late = lateness.since(BenchTime::ZERO);
            assert_eq!(late, Late { by: 100 * MS, cause: expected });
        }
    }
}
