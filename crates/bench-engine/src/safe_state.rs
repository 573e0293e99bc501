//! Switches the rails off, releases the nails, and measures that the rails are off.

use crate::power::{Cut, Power};
use crate::{Recorder, put_back};
use bench_instruments::{InstrumentError, TimedOut, with_deadline};
use bench_plan::Function;
use bench_run::{Event, RAIL_OFF_VOLTS};
use bench_steps::{Nest, resource};
use dut_protocol::{BleRequest, Request};
use futures_util::FutureExt;
use std::future::Future;
use std::time::Duration;

/// Longest time that the discharge of a rail may take.
const OFF_WITHIN: Duration = Duration::from_millis(500);

/// Note for the record after a second signal.
const CUT: &str = "the power was cut at once; a modem that was on may have been damaged";

/// Longest time for what a step left behind; a few I2C transfers need a few milliseconds.
const TIDY_WITHIN: Duration = Duration::from_millis(100);

/// Longest time for each of the other parts; each needs only a few I2C transfers.
const PART_WITHIN: Duration = Duration::from_millis(500);

/// After the watchdog let go: a rail whose switch is stuck rises, and its monitor has converted that.
const LET_GO: Duration = Duration::from_millis(50);

/// How often a rail is measured again because the watchdog held it.
const HELD_TIMES: usize = 3;

/// Time for the expanders to come out of their reset.
const RELEASED: Duration = Duration::from_millis(1);

/// Longest wait for a dropped job of the debug probe before the rails go off. It is waited for again afterwards.
const PROBE_WITHIN: Duration = Duration::from_millis(200);
pub(crate) const PROBE_ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Programs that were killed end within milliseconds.
const PROGRAMS_END_WITHIN: Duration = Duration::from_secs(12);

const BY_HAND: &str = "switch the fixture off by hand";

/// Longest time from an orderly stop to the last rail off.
pub fn orderly_within(family: &bench_plan::DutFamily, model: &str) -> Duration {
    bench_steps::modem::safe_within(family, model) + PART_WITHIN + OFF_WITHIN
}

/// How a run was left.
pub(crate) struct Left {
    /// Whether everything is off and released; what is not known to be.
    pub safe: Result<(), String>,
    /// Whether the module holds what was on it before, if it was to.
    pub put_back: Result<(), String>,
}

/// Switches everything off, after the module got back what was on it.
pub(crate) async fn reach(nest: &Nest, recorder: &Recorder, power: &Power, at_once: impl Future<Output = ()>) -> Left {
    let at_once = at_once.shared();
    let mut written = None;
    let while_powered = async || written = Some(put_back::put_back(nest, recorder, at_once.clone()).await);
    let safe = off(nest, recorder, power, at_once.clone(), while_powered).await;
    Left { safe, put_back: written.unwrap_or_else(|| put_back::not_tried(nest)) }
}

/// Switches everything off, then measures whether it is off. The error says what is not known to be safe. `at_once` ends
/// when the rails may no longer wait for the modem. Every part has a time limit of its own, so that a part that hangs
/// delays the others but does not prevent them.
async fn off(
    nest: &Nest,
    recorder: &Recorder,
    power: &Power,
    at_once: impl Future<Output = ()>,
    while_powered: impl AsyncFnOnce(),
) -> Result<(), String> {
    if let Some(cut) = power.cut().filter(|cut| !cut.leaves_power()) {
        if nest.modem.get().is_some() {
            let text = format!("the modem was on when its power went, and may have been damaged: {cut}");
            recorder.emit(Event::Note { step: None, text });
            nest.modem.clear();
        }
    } else {
        let in_order = modem_off(nest, recorder, power, at_once).await;
        if in_order {
            while_powered().await;
            // A job of the debug probe that was dropped ends with its next transfer: none shall reach a module without power.
            nest.programmer.ended(PROBE_WITHIN).await;
        }
    }
    if power.cut().is_some() {
        // A watchdog that has acted holds the expanders in reset until it is kicked, and nothing could be ordered.
        power.kick();
        nest.clock.sleep(RELEASED).await;
    }
    let limited = |what: &'static str| {
        let deadline = nest.clock.now() + PART_WITHIN;
        move |timed_out: TimedOut| format!("the {what} may not be safe: {timed_out} at {deadline}; {BY_HAND}")
    };
    // The rails: nothing else is as urgent, and nothing else may prevent it.
    let off = part(nest, nest.rails.all_off()).await.map_err(limited("rails"));
    let nails = part(nest, nest.nails.release_all()).await.map_err(limited("nails"));
    let bus = part(nest, nest.bus.release()).await.map_err(limited("measure bus"));
    let relay = part(nest, nest.relay.set_loopback(true)).await.map_err(limited("link relay"));
    let _ = part(nest, nest.dut.disconnect()).await;
    // A controller that keeps advertising is harmless, but confuses the next search for a module.
    let _ = part(nest, nest.ble.stop()).await;
    // After a cut the switches are locked, and only the rails can be switched off, with everything on the same expanders.
    let locked = power.cut().is_some();
    for (what, result) in [("rails", off), ("nails", nails), ("measure bus", bus), ("link relay", relay)] {
        match result? {
            Err(InstrumentError::PowerCut(_)) if locked => {}
            done => done.map_err(|error| format!("the {what} may not be safe: {error}; {BY_HAND}"))?,
        }
    }
    let deadline = nest.clock.now() + OFF_WITHIN;
    for rail in nest.rails.names() {
        let mut held = 0;
        loop {
            let measured = part(nest, nest.rails.measure(&rail)).await.map_err(limited("rails"))?;
            let volts = measured.map_err(|error| format!("rail {rail} cannot be measured: {error}; {BY_HAND}"))?.volts;
            if volts < RAIL_OFF_VOLTS && power.was_held(LET_GO) {
                held += 1;
                if held > HELD_TIMES {
                    return Err(format!("rail {rail} was measured only while the watchdog held it off; {BY_HAND}"));
                }
                power.kick();
                nest.clock.sleep(LET_GO).await;
                continue;
            }
            if volts < RAIL_OFF_VOLTS {
                recorder.emit(Event::RailSwitched { rail: rail.clone(), on: false, volts: Some(volts) });
                break;
            }
            if nest.clock.now() >= deadline {
                return Err(format!("rail {rail} still has {volts:.2} V; {BY_HAND}"));
            }
            nest.clock.sleep(Duration::from_millis(5)).await;
        }
    }
    if !nest.programs.ended(PROGRAMS_END_WITHIN).await {
        let text = "a program of the plan cannot be killed: it waits in the kernel; restart the controller".to_owned();
        recorder.emit(Event::Note { step: None, text });
    }
    if !nest.programmer.ended(PROBE_ENDS_WITHIN).await {
        // The next unit would find the probe in use.
        let text = "the debug probe did not let go: unplug it and plug it in again".to_owned();
        recorder.emit(Event::Note { step: None, text });
    }
    Ok(())
}

async fn part<T>(nest: &Nest, work: impl Future<Output = T>) -> Result<T, TimedOut> {
    with_deadline(&*nest.clock, nest.clock.now() + PART_WITHIN, work).await
}

/// Longest time to switch the modem off in order: that of the slowest modem that the module may carry. A modem that takes
/// longer hangs.
fn modem_within(nest: &Nest) -> Duration {
    let models = nest.family.models.iter();
    models.map(|model| bench_steps::modem::safe_within(&nest.family, &model.name)).max().unwrap_or_default()
}

/// Switches the modem off before the rails, in the modem's own time: losing its supply while it is on may damage it
/// (TAN004). Returns false when the power was cut meanwhile.
async fn modem_off(nest: &Nest, recorder: &Recorder, power: &Power, at_once: impl Future<Output = ()>) -> bool {
    let say = |text: String| recorder.emit(Event::Dialogue { step: None, text });
    let in_order = bench_steps::modem::make_safe(nest, &say);
    let limit = modem_within(nest);
    let deadline = nest.clock.now() + limit;
    let mut in_order = std::pin::pin!(with_deadline(&*nest.clock, deadline, in_order).fuse());
    let mut at_once = std::pin::pin!(at_once.fuse());
    let mut cut = std::pin::pin!(power_gone(power).fuse());
    let modem = futures_util::select_biased! {
        () = at_once => (Err(CUT.to_owned()), false),
        cut = cut => (Err(format!("the modem was being switched off when its power went: {cut}")), false),
        modem = in_order => (modem.unwrap_or_else(|_| {
            Err(format!("the modem is not off after {} s: its supply is cut while it is on", limit.as_secs()))
        }), true),
    };
    let (modem, in_order) = modem;
    if let Err(text) = modem {
        recorder.emit(Event::Note { step: None, text });
    }
    in_order
}

/// Ends when the power was cut.
async fn power_gone(power: &Power) -> Cut {
    let cut = power.until_cut().await;
    if cut.leaves_power() { std::future::pending().await } else { cut }
}

/// Resets the resources of a step that ended early or was dropped in the middle of a wait. It resets only those that the
/// step held exclusively, because another step may be using the others.
///
/// Errors are ignored: an instrument that refuses this also refuses the safe state, and the error counts there.
/// This must be quick, because steps that need the same resources wait for it. `rails` are those that the step switched
/// on: a step that timed out or panicked leaves none of them on.
pub(crate) async fn tidy_up(nest: &Nest, uses: &[String], rails: &[String]) {
    let deadline = nest.clock.now() + TIDY_WITHIN;
    let _ = with_deadline(&*nest.clock, deadline, put_back(nest, uses, rails)).await;
}

async fn put_back(nest: &Nest, uses: &[String], rails: &[String]) {
    for rail in rails {
        let _ = nest.rail_off(rail).await;
    }
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
        // The firmware would release them by itself after a silence, but the steps that run at the same time keep talking.
        let _ = nest.request(Request::ReleasePorts).await;
    }
    if used(resource::RADIO) {
        let _ = nest.ble.stop().await;
        let _ = nest.request(Request::Ble(BleRequest::Stop)).await;
    }
    if used(resource::RAILS) {
        for rail in nest.rails.names() {
            // Both are refused for a rail that feeds the module, which is as it should be.
            let _ = nest.rails.alone(&rail, false).await;
            let _ = nest.rails.discharge(&rail, true).await;
        }
        let supplies = [Function::Power, Function::Ground];
        for info in
            nest.family.contacts.iter().filter(|info| supplies.iter().any(|function| info.functions.contains(function)))
        {
            let _ = nest.rails.feed(info.contact, true).await;
        }
    }
}
