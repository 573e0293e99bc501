//! A clock that tests move by hand.

use crate::Clock;
use bench_run::BenchTime;
use futures_util::future::LocalBoxFuture;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Time that stands still until it is moved. Clones share it.
///
/// [`ManualClock::run`] moves it automatically: whenever every task waits, it jumps to the next wake-up time.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    state: Rc<RefCell<State>>,
}

#[derive(Debug, Default)]
struct State {
    now: BenchTime,
    next_id: u64,
    /// Wakers by time, and for equal times in the order of registration.
    sleepers: BTreeMap<(BenchTime, u64), Waker>,
}

impl ManualClock {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Advances time and wakes the tasks that are due.
    pub fn advance(&self, span: Duration) {
        let to = self.now() + span;
        self.move_to(to);
    }

    /// Returns the next wake-up time.
    pub fn next_wake(&self) -> Option<BenchTime> {
        self.state.borrow().sleepers.keys().next().map(|(at, _)| *at)
    }

    fn move_to(&self, to: BenchTime) {
        let mut due = Vec::new();
        let mut state = self.state.borrow_mut();
        state.now = state.now.max(to);
        while let Some(first) = state.sleepers.first_entry()
            && first.key().0 <= to
        {
            due.push(first.remove());
        }
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }

    /// Runs `future` to its end, advancing time from one sleeper to the next.
    ///
    /// # Panics
    /// If the future waits for something other than time.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let awake = Arc::new(Awake(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&awake));
        let mut future = pin!(future);
        loop {
            while awake.0.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return value;
                }
            }
            match self.next_wake() {
                Some(at) => self.move_to(at),
                None => panic!("at {} everything waits for something that the clock will never bring", self.now()),
            }
        }
    }
}

struct Awake(AtomicBool);

impl Wake for Awake {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> BenchTime {
        self.state.borrow().now
    }

    fn sleep_until(&self, at: BenchTime) -> LocalBoxFuture<'static, ()> {
        Box::pin(Sleep { state: Rc::clone(&self.state), at, id: None })
    }
}

struct Sleep {
    state: Rc<RefCell<State>>,
    at: BenchTime,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.state.borrow_mut();
        if state.now >= this.at {
            return Poll::Ready(());
        }
        let id = *this.id.get_or_insert_with(|| {
            state.next_id += 1;
            state.next_id
        });
        state.sleepers.insert((this.at, id), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.state.borrow_mut().sleepers.remove(&(self.at, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TimedOut, with_deadline};
    use futures_util::future::join;

    #[test]
    fn time_jumps_from_sleeper_to_sleeper() {
        let clock = ManualClock::new();
        let order = RefCell::new(Vec::new());
        let task = |ms: u64| {
            let (clock, order) = (&clock, &order);
            async move {
                for _ in 0..2 {
                    clock.sleep(Duration::from_millis(ms)).await;
                    order.borrow_mut().push((clock.now().as_micros() / 1000, ms));
                }
            }
        };
        clock.run(join(task(30), task(20)));
        assert_eq!(order.into_inner(), [(20, 20), (30, 30), (40, 20), (60, 30)]);
        assert_eq!(clock.next_wake(), None);
    }

    #[test]
    fn a_dropped_sleeper_wakes_nobody() {
        let clock = ManualClock::new();
        let result = clock.run(with_deadline(&clock, BenchTime(5), clock.sleep(Duration::from_secs(1))));
        assert_eq!(result, Err(TimedOut));
        assert_eq!((clock.now(), clock.next_wake()), (BenchTime(5), None));
    }

    #[test]
    #[should_panic(expected = "everything waits")]
    fn a_deadlock_panics() {
        ManualClock::new().run(std::future::pending::<()>());
    }
}
