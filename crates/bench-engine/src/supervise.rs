//! Runs next to a healthy run: kicks the fixture's watchdog, and checks everything that could
//! take the power away.
//!
//! All of it shares the run's executor. When the executor hangs in a call that does not return, the kicks stop and the
//! watchdog cuts the rails. A separate thread would kick for ever.

use crate::lateness::Lateness;
use crate::power::Power;
use bench_instruments::Panel;
use bench_steps::Nest;
use futures_util::future::{Either, select};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Time between two checks of the lid and the guard: rails are off well within 50 ms after the lid opens.
const BEAT: Duration = Duration::from_millis(10);
/// Beats between two kicks; the shortest watchdog timeout that a fixture file allows is several times as long.
const KICK_EVERY: u64 = 5;
/// Beats between reading back one part of the fixture and the next: one at a time, so that no step waits long for the bus.
const CHECK_EVERY: u64 = 2;

/// Runs `body` on the nest, and kicks the watchdog until it ends.
pub async fn kicked<T>(nest: &Nest, body: impl Future<Output = T>) -> T {
    kicked_with(nest, |_| body).await
}

/// Does what [`kicked`] does, for a body that asks how late the controller was.
pub async fn kicked_with<T, F: Future<Output = T>>(nest: &Nest, body: impl FnOnce(Rc<Lateness>) -> F) -> T {
    let lateness = Rc::new(Lateness::new(Rc::clone(&nest.clock), Rc::clone(&nest.load)));
    let power = Power::new(nest, Rc::clone(&lateness));
    watched_over(nest, &power, body(lateness)).await
}

/// The same, for an owner of power that others use, too.
pub(crate) async fn watched_over<T>(nest: &Nest, power: &Power, body: impl Future<Output = T>) -> T {
    match select(pin!(beats(nest, power)), pin!(body)).await {
        Either::Left((never, _)) => match never {},
        Either::Right((value, _)) => value,
    }
}

async fn beats(nest: &Nest, power: &Power) -> std::convert::Infallible {
    let mut due = nest.clock.now();
    let mut beat: u64 = 0;
    loop {
        // A beat that was missed is not made up for.
        due = (due + BEAT).max(nest.clock.now());
        power.lateness().beat(due);
        if beat.is_multiple_of(KICK_EVERY) {
            power.kick();
            power.lateness().sample();
        }
        let noticed = power.look();
        if noticed.is_ok() && beat % CHECK_EVERY == 1 && !power.on_now().is_empty() {
            let _ = power.check_next();
        }
        beat += 1;
        nest.clock.sleep_until(due).await;
    }
}

/// One kick, for what has to be done before a run begins.
pub fn first_kick(panel: &Panel) {
    if let Some(line) = &panel.watchdog {
        let _ = line.set(true);
        let _ = line.set(false);
    }
}
