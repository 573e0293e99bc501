//! The clock that the bench is given.

use bench_run::BenchTime;
use futures_util::future::{Either, LocalBoxFuture, select};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

/// The run's time base: tokio's clock on the real bench, virtual time on the virtual one.
pub trait Clock {
    fn now(&self) -> BenchTime;
    /// Ends at `at`, or at once when that is past.
    fn sleep_until(&self, at: BenchTime) -> LocalBoxFuture<'static, ()>;

    fn sleep(&self, span: Duration) -> LocalBoxFuture<'static, ()> {
        self.sleep_until(self.now() + span)
    }

    /// Returns a number that a step has made of the time or the serial number, so that no other use has it. The replay
    /// of a recorded run returns the recorded number, because the module's answers belong to it.
    fn chosen(&self, number: u64) -> u64 {
        number
    }
}

/// The deadline came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("timed out")]
pub struct TimedOut;

/// Runs `future` until it ends or until `at`, whichever is first.
pub async fn with_deadline<T>(
    clock: &dyn Clock,
    at: BenchTime,
    future: impl Future<Output = T>,
) -> Result<T, TimedOut> {
    match select(pin!(future), clock.sleep_until(at)).await {
        Either::Left((value, _)) => Ok(value),
        Either::Right(((), _)) => Err(TimedOut),
    }
}
