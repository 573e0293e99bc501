//! After the last step of a diagnosis: the power stays on for a bounded time, so that a person can measure.
//!
//! Nothing is switched meanwhile. The owner of power watches as it does while steps run: lid, emergency stop, watchdog
//! and guard end the hold, and so does any stop of the run.

use crate::Recorder;
use crate::power::Power;
use crate::run_loop::End;
use bench_instruments::Clock;
use bench_run::Event;
use futures_util::FutureExt;
use futures_util::future::{FusedFuture, LocalBoxFuture};
use std::time::Duration;

/// Is called when a hold begins, and ends when a person wants it to end, with the reason. It is dropped at the end of the
/// hold.
pub type HoldEnds = dyn Fn() -> LocalBoxFuture<'static, String>;

/// Time between two values of the countdown.
const TICK: Duration = Duration::from_secs(1);

/// Keeps everything as it is. `Err`: the power was cut, or the bench cannot continue.
pub(crate) async fn hold(
    limit: Duration,
    clock: &dyn Clock,
    power: &Power,
    recorder: &Recorder,
    wanted: Option<&HoldEnds>,
    mut stop: impl FusedFuture<Output = String> + Unpin,
) -> Result<(), End> {
    let began = clock.now();
    let note = |text: String| recorder.emit(Event::Note { step: None, text });
    let on: Vec<String> = power.on_now().into_iter().collect();
    let rails = if on.is_empty() { "no rail is on".to_owned() } else { format!("{} stay on", on.join(", ")) };
    note(format!("hold: {rails} for {} s at most", limit.as_secs()));
    let countdown = async {
        loop {
            let left = (began + limit) - clock.now();
            recorder.held(left);
            if left.is_zero() {
                return "its time is over".to_owned();
            }
            clock.sleep(left.min(TICK)).await;
        }
    };
    let ended = wanted.map_or_else(|| std::future::pending().boxed_local(), |wanted| wanted());
    let why = {
        let mut cut = std::pin::pin!(power.until_cut().fuse());
        let mut pump = std::pin::pin!(recorder.pump().fuse());
        let mut countdown = std::pin::pin!(countdown.fuse());
        let mut ended = ended.fuse();
        futures_util::select_biased! {
            cut = cut => Err(End::Cut(cut)),
            why = pump => Err(End::Trouble(why)),
            why = stop => Ok(why),
            why = ended => Ok(why),
            why = countdown => Ok(why),
        }
    };
    // It was not noticed before the end of the hold that the power was gone.
    let why = match power.cut() {
        Some(cut) => Err(End::Cut(cut)),
        None => why,
    };
    recorder.held(Duration::ZERO);
    let why = why?;
    note(format!("hold: ended after {:.0} s: {why}", (clock.now() - began).as_secs_f64()));
    Ok(())
}
