//! Rails off and nails released, and measured to be so.

use super::Recorder;
use bench_run::Event;
use bench_steps::Nest;
use std::time::Duration;

/// A rail below this is off.
const OFF_VOLTS: f64 = 0.3;
/// Longest time that the discharge of a rail may take.
const OFF_WITHIN: Duration = Duration::from_millis(500);

/// Switches everything off, then looks whether it is. The error says what is not known to be safe.
pub(super) async fn reach(nest: &Nest, recorder: &Recorder) -> Result<(), String> {
    // Rails first: nothing else is as urgent, and nothing else may prevent it.
    let off = nest.rails.all_off().await;
    let nails = nest.nails.release_all().await;
    let bus = nest.bus.release().await;
    let relay = nest.relay.set_loopback(true).await;
    nest.dut.disconnect().await;
    for (what, result) in [("rails", off), ("nails", nails), ("measure bus", bus), ("link relay", relay)] {
        result.map_err(|error| format!("the {what} may not be safe: {error}; switch the fixture off by hand"))?;
    }
    let deadline = nest.clock.now() + OFF_WITHIN;
    for rail in nest.rails.names() {
        loop {
            let volts = nest
                .rails
                .measure(&rail)
                .await
                .map_err(|error| format!("rail {rail} cannot be measured: {error}; switch the fixture off by hand"))?
                .volts;
            if volts < OFF_VOLTS {
                recorder.emit(Event::RailSwitched { rail: rail.clone(), on: false, volts: Some(volts) });
                break;
            }
            if nest.clock.now() >= deadline {
                return Err(format!("rail {rail} still has {volts:.2} V; switch the fixture off by hand"));
            }
            nest.clock.sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(())
}
