//! The real clock.

use crate::Clock;
use bench_run::BenchTime;
use futures_util::future::LocalBoxFuture;
use std::time::Duration;
use tokio::time::Instant;

/// Tokio's clock; time zero is its creation. Sleeping needs a tokio runtime with time enabled.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    began: Instant,
}

impl TokioClock {
    #[must_use]
    pub fn start() -> Self {
        Self { began: Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> BenchTime {
        BenchTime::ZERO + self.began.elapsed()
    }

    fn sleep_until(&self, at: BenchTime) -> LocalBoxFuture<'static, ()> {
        let span = Duration::from_micros(at.as_micros());
        // A time beyond the range of the system's clock is replaced by a year from now.
        let year = Duration::from_secs(365 * 24 * 3600);
        let at = self.began.checked_add(span).unwrap_or(self.began + year);
        Box::pin(tokio::time::sleep_until(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TimedOut, with_deadline};

    #[tokio::test(start_paused = true)]
    async fn sleeps_for_the_requested_time() {
        let clock = TokioClock::start();
        clock.sleep(Duration::from_millis(250)).await;
        assert_eq!(clock.now(), BenchTime(250_000));
        clock.sleep_until(BenchTime(100)).await;
        assert_eq!(clock.now(), BenchTime(250_000), "a time that is past ends at once");
        let never = with_deadline(&clock, BenchTime(400_000), std::future::pending::<()>()).await;
        assert_eq!((never, clock.now()), (Err(TimedOut), BenchTime(400_000)));
    }
}
