//! Rails off and nails released, and measured to be so.

use crate::Recorder;
use bench_instruments::with_deadline;
use bench_plan::Function;
use bench_run::Event;
use bench_steps::{Nest, resource};
use dut_protocol::{BleRequest, Request};
use futures_util::FutureExt;
use std::future::Future;
use std::time::Duration;

/// A rail below this is off.
const OFF_VOLTS: f64 = 0.3;
/// Longest time that the discharge of a rail may take.
const OFF_WITHIN: Duration = Duration::from_millis(500);

/// What the record says when somebody could not wait.
const CUT: &str = "the power was cut at once; a modem that was on may have been damaged";

/// Longest time for what a step left behind; a few I2C transfers need a few milliseconds.
const TIDY_WITHIN: Duration = Duration::from_millis(100);

/// Switches everything off, then looks whether it is. The error says what is not known to be safe. `at_once` ends when
/// the rails may not wait for the modem any longer.
pub(crate) async fn reach(nest: &Nest, recorder: &Recorder, at_once: impl Future<Output = ()>) -> Result<(), String> {
    // A modem that loses its supply while it is on may be damaged (TAN004): it goes first, in its own time.
    let say = |text: String| recorder.emit(Event::Dialogue { step: None, text });
    let mut modem = std::pin::pin!(bench_steps::modem::make_safe(nest, &say).fuse());
    let mut at_once = std::pin::pin!(at_once.fuse());
    let modem = futures_util::select_biased! {
        () = at_once => Err(CUT.to_owned()),
        modem = modem => modem,
    };
    if let Err(text) = modem {
        recorder.emit(Event::Note { step: None, text });
    }
    // Then the rails: nothing else is as urgent, and nothing else may prevent it.
    let off = nest.rails.all_off().await;
    let nails = nest.nails.release_all().await;
    let bus = nest.bus.release().await;
    let relay = nest.relay.set_loopback(true).await;
    nest.dut.disconnect().await;
    // A controller that goes on advertising harms nobody, and whoever looks for a module may wonder.
    let _ = nest.ble.stop().await;
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

/// Takes back what a step that ended early, or was dropped in the middle of a wait, may have left: of the resources that
/// it had for itself only, because another step may be at work with the others.
///
/// An instrument that refuses this will refuse the safe state too, and there it counts.
/// It may not take long either: whoever wants the same resources waits meanwhile.
pub(crate) async fn tidy_up(nest: &Nest, uses: &[String]) {
    let deadline = nest.clock.now() + TIDY_WITHIN;
    let _ = with_deadline(&*nest.clock, deadline, put_back(nest, uses)).await;
}

async fn put_back(nest: &Nest, uses: &[String]) {
    let used = |resource: &str| uses.iter().any(|used| used == resource);
    if used(resource::NAILS) {
        let _ = nest.nails.release_all().await;
    }
    if used(resource::MEASURE_BUS) {
        let _ = nest.bus.release().await;
    }
    if used(resource::PEERS) {
        let _ = nest.peers.disconnect_all().await;
    }
    if used(resource::DUT) {
        let _ = nest.leave_link().await;
    } else if used(resource::PORTS) {
        // The firmware would release them by itself after a silence, but the steps beside this one go on talking.
        let _ = nest.request(Request::ReleasePorts).await;
    }
    if used(resource::RADIO) {
        let _ = nest.ble.stop().await;
        let _ = nest.request(Request::Ble(BleRequest::Stop)).await;
    }
    if used(resource::RAILS) {
        for rail in nest.rails.names() {
            // Refused for a rail that is on, which is as it should be.
            let _ = nest.rails.discharge(&rail, true).await;
        }
        let supplies = [Function::Power, Function::Ground];
        for info in nest.family.contacts.iter().filter(|info| supplies.iter().any(|one| info.functions.contains(one))) {
            let _ = nest.rails.feed(info.contact, true).await;
        }
    }
}
