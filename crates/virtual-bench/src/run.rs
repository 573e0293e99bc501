//! Runs a future in virtual time inside a tokio runtime.
//!
//! While the future waits, the world moves to the next thing that could wake it: a deadline, a byte. No wall-clock time
//! passes for waiting, so forty virtual seconds take about as long as the emulated chip needs to live through them.

use crate::ends::SharedWorld;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::task::coop::{Unconstrained, unconstrained};

/// Longest virtual time that passes at once while no future waits for a time.
const STRIDE_NS: u64 = 20_000_000;
/// With a pace, the same in wall time.
const PACED_STRIDE_NS: f64 = 5e6;
/// Time without any event after which the run counts as stuck.
const STUCK_NS: u64 = 60_000_000_000;
/// How far virtual time may be behind a pace that does not catch up, before the lost time is dropped.
const LOST_NS: u64 = 1_000_000;
/// Between two checks whether time may pass.
const HELD: Duration = Duration::from_micros(50);
/// How often the runtime gets a chance to deliver signals.
const YIELD_AFTER_MOVES: u32 = 4096;
const YIELD_AFTER: Duration = Duration::from_millis(20);

/// Why the run cannot continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RunError {
    /// Every future waits for an event that nothing will cause.
    #[error(
        "the run is stuck since {since_ms} ms of virtual time: nothing waits for a time, and for 60 s no byte came \
         over the link"
    )]
    Stuck { since_ms: u64 },
}

/// Records that the future must be polled, and wakes the task that polls us.
struct Signal {
    woken: AtomicBool,
    outer: Mutex<Option<Waker>>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        if let Some(outer) = self.outer.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            outer.wake_by_ref();
        }
    }
}

/// How much virtual time is behind its pace, in nanoseconds.
#[derive(Debug, Default)]
pub struct Behind {
    pub now_ns: Cell<u64>,
    /// The maximum so far.
    pub most_ns: Cell<u64>,
}

/// Slows virtual time down to a multiple of wall time.
struct Pace {
    ratio: f64,
    /// Whether lost time is caught up. It is not if outside programs share virtual time.
    catches_up: bool,
    behind: Rc<Behind>,
    /// Wall and virtual time of the first poll; the runtime's clock, which a test can stop.
    began: Option<(tokio::time::Instant, u64)>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

/// The wrapper that [`crate::VirtualBench::run`] returns.
pub struct InVirtualTime<F> {
    world: SharedWorld,
    /// Without tokio's budget: a lock that the budget refuses is granted only after we yield to the runtime, and until
    /// then virtual time would advance by an amount that depends on the wall clock.
    inner: Pin<Box<Unconstrained<F>>>,
    signal: Arc<Signal>,
    waker: Waker,
    pace: Option<Pace>,
    hold: Option<Hold>,
    /// Waits for people, at the pace of the wall.
    people: People,
    at_wall_pace: Option<Pace>,
    holders: Holders,
    last_poll_ns: u64,
}

/// What may hold time. Clones are handles to the same.
#[derive(Clone, Default)]
pub struct Holders(pub(crate) Rc<RefCell<Vec<Holder>>>);

/// Says whether time must stand.
pub type Holder = Rc<dyn Fn() -> bool>;

impl Holders {
    fn hold(&self) -> bool {
        self.0.borrow().iter().any(|holds| holds())
    }
}

/// The people outside who may be waited for. Clones are handles to the same.
#[derive(Clone, Default)]
pub struct People(pub(crate) Rc<Cell<u32>>);

impl People {
    /// Waits for a person: until the value is dropped, virtual time passes no faster than the wall clock, so that the
    /// person has the time that a step gives. Needs a runtime with a time driver.
    pub fn wait(&self) -> AtWallPace {
        self.0.set(self.0.get().saturating_add(1));
        AtWallPace(Rc::clone(&self.0))
    }
}

/// While this exists, a person outside is waited for: virtual time is no faster than the wall clock.
pub struct AtWallPace(Rc<Cell<u32>>);

impl Drop for AtWallPace {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Called with the virtual time in nanoseconds before time passes. Returns `true` if it must not pass yet.
pub type Hold = Box<dyn FnMut(u64) -> bool>;

impl<F> InVirtualTime<F> {
    /// `behind` is kept up to date; `people` is how many people are waited for.
    pub fn new(
        world: SharedWorld,
        inner: F,
        pace: Option<f64>,
        hold: Option<Hold>,
        behind: Rc<Behind>,
        people: People,
    ) -> Self {
        let now = world.borrow().now_ns();
        let signal = Arc::new(Signal { woken: AtomicBool::new(true), outer: Mutex::new(None) });
        let waker = Waker::from(Arc::clone(&signal));
        let catches_up = hold.is_none();
        let pace = pace.map(|ratio| Pace { ratio, catches_up, behind, began: None, pause: None });
        let inner = Box::pin(unconstrained(inner));
        Self {
            world,
            inner,
            signal,
            waker,
            pace,
            hold,
            people,
            at_wall_pace: None,
            holders: Holders::default(),
            last_poll_ns: now,
        }
    }

    /// Lets time stand while one of these says so.
    pub fn held_by(self, holders: Holders) -> Self {
        Self { holders, ..self }
    }

    /// Changes to the pace of the wall while a person is waited for, and back.
    fn change_pace(&mut self) {
        let waits = self.people.0.get() > 0;
        if waits == self.at_wall_pace.is_some() {
            return;
        }
        // Not caught up: how long a person takes is no delay of the bench.
        let real = || Pace { ratio: 1.0, catches_up: false, behind: Rc::default(), began: None, pause: None };
        self.at_wall_pace = waits.then(real);
        if let Some(pace) = &mut self.pace {
            (pace.began, pace.pause) = (None, None);
        }
    }
}

impl<F: Future> Future for InVirtualTime<F> {
    type Output = Result<F::Output, RunError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        *this.signal.outer.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        let began = Instant::now();
        let mut moves = 0;
        loop {
            if this.signal.woken.swap(false, Ordering::AcqRel) {
                this.last_poll_ns = this.world.borrow().now_ns();
                if let Poll::Ready(value) = this.inner.as_mut().poll(&mut Context::from_waker(&this.waker)) {
                    return Poll::Ready(Ok(value));
                }
                continue;
            }
            if this.pace.is_none() && this.holders.hold() {
                if this.signal.woken.load(Ordering::Acquire) {
                    continue;
                }
                return Poll::Pending;
            }
            this.change_pace();
            if let Some(pace) = this.at_wall_pace.as_mut().or(this.pace.as_mut())
                && pace.hold_back(this.world.borrow().now_ns(), context)
            {
                return Poll::Pending;
            }
            if let Some(hold) = &mut this.hold
                && hold(this.world.borrow().now_ns())
            {
                std::thread::sleep(HELD);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Err(stuck) = this.move_on() {
                return Poll::Ready(Err(stuck));
            }
            moves += 1;
            if moves >= YIELD_AFTER_MOVES || began.elapsed() > YIELD_AFTER {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}

impl<F> InVirtualTime<F> {
    /// Lets virtual time pass up to the next thing that may wake the future.
    fn move_on(&self) -> Result<(), RunError> {
        let mut world = self.world.borrow_mut();
        let now = world.now_ns();
        let stride = self
            .at_wall_pace
            .as_ref()
            .or(self.pace.as_ref())
            .map_or(STRIDE_NS, |pace| ((PACED_STRIDE_NS * pace.ratio) as u64).max(1000));
        let deadline = world.next_timer_ns();
        if deadline.is_none() && now.saturating_sub(self.last_poll_ns) >= STUCK_NS {
            return Err(RunError::Stuck { since_ms: self.last_poll_ns / 1_000_000 });
        }
        let stall = world.next_stall_ns().unwrap_or(u64::MAX);
        world.advance(deadline.unwrap_or(u64::MAX).min(now + stride).min(stall.max(now)), true);
        world.stall_if_due();
        Ok(())
    }
}

impl Pace {
    /// Whether the run has to wait for the wall clock; then it will be woken.
    fn hold_back(&mut self, now_ns: u64, context: &mut Context<'_>) -> bool {
        loop {
            if let Some(pause) = &mut self.pause {
                if pause.as_mut().poll(context).is_pending() {
                    return true;
                }
                self.pause = None;
            }
            let (wall, virtual_ns) = *self.began.get_or_insert_with(|| (tokio::time::Instant::now(), now_ns));
            let allowed_ns = virtual_ns + (wall.elapsed().as_nanos() as f64 * self.ratio) as u64;
            let behind_ns = allowed_ns.saturating_sub(now_ns);
            if !self.catches_up && behind_ns > LOST_NS {
                self.began = None;
                return false;
            }
            self.behind.now_ns.set(behind_ns);
            self.behind.most_ns.set(self.behind.most_ns.get().max(behind_ns));
            let ahead_ns = now_ns.saturating_sub(allowed_ns);
            if ahead_ns == 0 {
                return false;
            }
            let wall = Duration::from_secs_f64(ahead_ns as f64 * 1e-9 / self.ratio);
            self.pause = Some(Box::pin(tokio::time::sleep(wall)));
        }
    }
}
