//! What goes on beside a run for as long as it is healthy: kicks for the fixture's watchdog, and an eye on the lid.
//!
//! Both live on the same executor as the run. When that hangs in a call that does not come back, there are no more kicks,
//! and the watchdog cuts the rails: a thread of its own would kick on for ever.

use crate::Stop;
use bench_instruments::{Clock, OutputLine, Panel};
use bench_steps::Nest;
use futures_util::future::{Either, select};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Between two kicks; the shortest watchdog that a fixture file may have waits several of these.
const KICK_EVERY: Duration = Duration::from_millis(50);
/// Between two looks at the lid: rails are off well within 50 ms of its opening.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Runs `body`, and kicks the watchdog until it ends. An output that cannot be set is as good as no kick: the watchdog
/// acts, which is what it is for.
pub async fn kicked<T>(nest: &Nest, body: impl Future<Output = T>) -> T {
    let Some(line) = nest.panel.watchdog.clone() else { return body.await };
    match select(pin!(kick(&*nest.clock, &*line)), pin!(body)).await {
        Either::Left((never, _)) => match never {},
        Either::Right((value, _)) => value,
    }
}

async fn kick(clock: &dyn Clock, line: &dyn OutputLine) -> std::convert::Infallible {
    let mut level = false;
    loop {
        level = !level;
        let _ = line.set(level);
        clock.sleep(KICK_EVERY).await;
    }
}

/// One kick, for what has to be done before a run begins.
pub fn first_kick(panel: &Panel) {
    if let Some(line) = &panel.watchdog {
        let _ = line.set(true);
        let _ = line.set(false);
    }
}

/// The stop, which an open lid orders too: then nothing may be waited for, because a hand may be in the nest. The hardware
/// has cut the rails already where the fixture's lid does that.
pub(crate) fn watch_lid(nest: &Nest, stop: Stop) -> Stop {
    let Some(lid) = nest.panel.lid.clone() else { return stop };
    let clock = Rc::clone(&nest.clock);
    stop.or_at_once(move || {
        let (lid, clock) = (Rc::clone(&lid), Rc::clone(&clock));
        async move {
            loop {
                match lid.is_active() {
                    Ok(true) => clock.sleep(LOOK_EVERY).await,
                    Ok(false) => return "the lid was opened: close it, then test the module again".to_owned(),
                    Err(error) => return format!("the lid cannot be watched: {error}"),
                }
            }
        }
    })
}
