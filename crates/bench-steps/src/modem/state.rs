//! What the bench knows about the modem in the nest, across steps, and how it is switched off.
//!
//! A step registers the modem here before it presses the power key: the safe state checks this before it removes VCC
//! from the module.

use super::Privacy;
use super::at::Talk;
use crate::{Nest, StepError};
use bench_instruments::DutError;
use bench_plan::{DutFamily, ModemDialect, ModemLine, ModemPart, ModemWiring};
use bench_run::BenchTime;
use dut_protocol::{DEFAULT_LINK_TIMEOUT_MS, Job, JobResult, Port, PortSet, PortVector, Reply, Request};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Shared by the steps of a run.
#[derive(Debug, Default)]
pub struct ModemState {
    on: RefCell<Option<ModemOn>>,
}

/// A modem whose power key was pressed.
#[derive(Debug, Clone)]
pub struct ModemOn {
    /// The rail that feeds it.
    pub supply: Option<String>,
    pub wiring: ModemWiring,
    pub part: ModemPart,
    pub since: BenchTime,
    pub privacy: Privacy,
    /// Without RTS and CTS, where the plan says that the module has none.
    pub flow_control: bool,
    /// Rate at which it answered.
    pub baud: Option<u32>,
    /// ATE0 was accepted: a modem that sends an echo has restarted.
    pub echo_is_off: bool,
    /// It must not be switched off before this time.
    pub keep_until: Option<BenchTime>,
}

impl ModemState {
    pub fn get(&self) -> Option<ModemOn> {
        self.on.borrow().clone()
    }
    pub fn set(&self, on: ModemOn) {
        *self.on.borrow_mut() = Some(on);
    }
    pub fn update(&self, change: impl FnOnce(&mut ModemOn)) {
        if let Some(on) = self.on.borrow_mut().as_mut() {
            change(on);
        }
    }
    /// It was read as off, or its supply is off.
    pub fn clear(&self) {
        *self.on.borrow_mut() = None;
    }

    /// Returns the modem that an earlier step switched on.
    ///
    /// # Errors
    /// When the plan lacks that step.
    pub fn expect(&self) -> Result<ModemOn, StepError> {
        self.get().ok_or_else(|| {
            StepError::Bench(
                "the modem is not on: add a step of kind `modem-on` to the `needs` of this step".to_owned(),
            )
        })
    }
}

/// Interval between readings of the sense line: short where a time is measured, then longer.
const FIRST_LOOKS: Duration = Duration::from_millis(20);
const LATER_LOOKS: Duration = Duration::from_millis(100);
const OFTEN_FOR: Duration = Duration::from_millis(500);
/// After the key press, a modem that accepted it is on by then (Device OS waits a second).
const KEY_TAKEN: Duration = Duration::from_millis(1_000);
/// Time for a job's end to reach the bench.
const JOB_MARGIN: Duration = Duration::from_millis(200);
/// Time for the answer to the switch-off command.
const OFF_ANSWER: Duration = Duration::from_millis(1_000);
const OFF_ANSWER_UNSURE: Duration = Duration::from_millis(400);
/// How often both rates are tried when neither is known to be right.
const UNSURE_ROUNDS: usize = 2;
/// Attempts of a command that is refused, and the time between them, as Device OS does it.
const OFF_ORDERS: u32 = 6;
const OFF_AGAIN: Duration = Duration::from_millis(500);

/// A rail below this is off.
const OFF_VOLTS: f64 = 1.0;
/// Shorter than the silence after which the firmware releases all ports.
const LET_GO: Duration = Duration::from_millis(DEFAULT_LINK_TIMEOUT_MS as u64 * 4 / 5);

/// How a modem was switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WentOff {
    /// It was never on.
    WasOff,
    ByOrder,
    ByKey,
    ByEmergency,
}

/// Every port between microcontroller and modem.
pub fn ports_of(wiring: &ModemWiring) -> PortSet {
    let lines = [wiring.power.port, wiring.reset.port, wiring.sense.port];
    let uart = [wiring.tx, wiring.rx, wiring.rts, wiring.cts];
    let others = wiring.buffer.map(|buffer| buffer.port).into_iter().chain(wiring.dtr);
    lines.into_iter().chain(uart).chain(others).fold(PortSet::EMPTY, |set, port| set.with(port))
}

/// A vector that drives lines to be active or at rest.
fn driven(lines: &[(ModemLine, bool)]) -> PortVector {
    let mut vector = PortVector::default();
    for (line, active) in lines {
        if line.active_high == *active {
            vector.high = vector.high.with(line.port);
        } else {
            vector.low = vector.low.with(line.port);
        }
    }
    vector
}

/// Keys released, translator off, sense line readable, and the UART closed.
pub async fn at_rest(nest: &Nest, wiring: &ModemWiring) -> Result<(), StepError> {
    hold_lines(nest, wiring, Some(false)).await?;
    let uart = [wiring.rx, wiring.cts, wiring.rts, wiring.tx].into_iter().fold(PortSet::EMPTY, PortSet::with);
    nest.vector(PortVector { float: uart, ..PortVector::default() }).await.map(drop)
}

/// Keys released, translator on, as the dialogue needs it. A restart of the firmware since the last step has released
/// all of this.
pub async fn for_talk(nest: &Nest, wiring: &ModemWiring) -> Result<(), StepError> {
    hold_lines(nest, wiring, Some(true)).await
}

/// `translator`: on or off; `None` leaves it as it is.
async fn hold_lines(nest: &Nest, wiring: &ModemWiring, translator: Option<bool>) -> Result<(), StepError> {
    nest.join_link().await?;
    nest.ask(Request::HoldPorts { ports: ports_of(wiring) }).await?;
    let mut lines = vec![(wiring.power, false), (wiring.reset, false)];
    lines.extend(wiring.buffer.zip(translator));
    let mut vector = driven(&lines);
    let sense = PortSet::EMPTY.with(wiring.sense.port);
    if wiring.sense_pull_up {
        vector.pull_up = sense;
    } else {
        vector.float = sense;
    }
    vector.high = wiring.dtr.into_iter().fold(vector.high, PortSet::with);
    nest.vector(vector).await.map(drop)
}

/// Switches the translator of the UART, where there is one.
pub async fn buffer(nest: &Nest, wiring: &ModemWiring, on: bool) -> Result<(), StepError> {
    match wiring.buffer {
        Some(line) => nest.vector(driven(&[(line, on)])).await.map(drop),
        None => Ok(()),
    }
}

/// Whether the sense line says that the modem is on.
pub async fn is_on(nest: &Nest, wiring: &ModemWiring) -> Result<bool, StepError> {
    match nest.ask(Request::ReadPorts).await? {
        Reply::Levels(levels) => Ok(levels.contains(wiring.sense.port) == wiring.sense.active_high),
        other => Err(DutError::OutOfTurn(other).into()),
    }
}

/// Waits until the sense line has the wanted level, at most until `deadline`. Returns whether it has.
pub async fn wait_sense(nest: &Nest, wiring: &ModemWiring, on: bool, deadline: BenchTime) -> Result<bool, StepError> {
    let often_until = nest.clock.now() + OFTEN_FOR;
    let mut looked_at = nest.clock.now();
    loop {
        if nest.clock.now() - looked_at >= LET_GO {
            // A late controller was silent for so long that the firmware let all lines go, and the sense line floats.
            hold_lines(nest, wiring, None).await?;
        }
        looked_at = nest.clock.now();
        if is_on(nest, wiring).await? == on {
            return Ok(true);
        }
        let now = nest.clock.now();
        if now >= deadline {
            return Ok(false);
        }
        nest.settle(if now < often_until { FIRST_LOOKS } else { LATER_LOOKS }).await;
    }
}

/// Presses a key for a time that the module keeps.
pub async fn press(nest: &Nest, line: ModemLine, ms: u16) -> Result<(), StepError> {
    let job = match nest.ask(Request::StartJob(Job::Press { port: line.port, high: line.active_high, ms })).await? {
        Reply::JobAccepted { job } => job,
        other => return Err(DutError::OutOfTurn(other).into()),
    };
    let deadline = nest.clock.now() + Duration::from_millis(ms.into()) + JOB_MARGIN;
    match nest.dut.job_done(job, deadline).await {
        Ok(JobResult::Waited { ms: lasted }) if lasted == ms => Ok(()),
        Ok(JobResult::Waited { ms: lasted }) => Err(StepError::Bench(format!(
            "the module released {} after {lasted} ms instead of {ms} ms: the link was silent for too long",
            line.port
        ))),
        Ok(other) => Err(StepError::Bench(format!("the firmware ended another job: {other:?}"))),
        Err(error) => Err(nest.silent(error).await),
    }
}

/// Levels of a port while it is pulled up, and while it is pulled down. A driven port has the same level in both.
pub async fn under_pulls(nest: &Nest, ports: &[Port]) -> Result<Vec<(bool, bool)>, StepError> {
    let set = ports.iter().fold(PortSet::EMPTY, |set, port| set.with(*port));
    let settle_us = 200;
    let up = nest.vector(PortVector { pull_up: set, settle_us, ..PortVector::default() }).await?;
    let down = nest.vector(PortVector { pull_down: set, settle_us, ..PortVector::default() }).await?;
    nest.vector(PortVector { float: set, ..PortVector::default() }).await?;
    Ok(ports.iter().map(|port| (up.contains(*port), down.contains(*port))).collect())
}

/// Switches the modem off in order: by AT, then by its key, then by its emergency sequence. Returns which one worked,
/// or `None` if it is still on. Forgets the modem once it is off.
///
/// # Errors
/// When the module no longer answers.
pub async fn switch_off(nest: &Nest, modem: &ModemOn, note: &dyn Fn(String)) -> Result<Option<WentOff>, StepError> {
    let ModemOn { wiring, part, .. } = modem;
    if modem.baud.is_none() {
        // The state may be anywhere between key and answer. A cancelled step may have left the key pressed.
        at_rest(nest, wiring).await?;
        let taken =
            (modem.since + Duration::from_millis(part.power_on_pulse_ms.into()) + KEY_TAKEN).max(nest.clock.now());
        let shows = if is_slow_to_show(part) { modem.since + part.on_within() } else { taken };
        if !wait_sense(nest, wiring, true, shows.max(taken)).await? {
            nest.modem.clear();
            return Ok(Some(WentOff::WasOff));
        }
        // Before it has booted, it accepts no command, and often no key either.
        hold_until(nest, wiring, modem.since + part.ready_within()).await?;
    }
    if let Some(until) = modem.keep_until {
        hold_until(nest, wiring, until).await?;
    }
    let mut order = modem.clone();
    if order.baud.is_none() {
        // Its lines were not checked yet: RTS by hand works with and without flow control.
        order.flow_control = false;
    }
    // A modem hears nothing for some seconds while it enters a network. At an unknown rate nothing may ever come, and an
    // order that was obeyed needs no answer.
    let (rates, answer_within, attempts) = match order.baud {
        Some(baud) => (vec![baud], OFF_ANSWER, OFF_ORDERS),
        None => ([part.default_baud, part.runtime_baud].repeat(UNSURE_ROUNDS), OFF_ANSWER_UNSURE, 1),
    };
    for baud in rates {
        order.baud = Some(baud);
        if let Ok(mut talk) = Talk::open(nest, &order, note).await
            && ordered_off(nest, &mut talk, part.dialect, answer_within, attempts).await
        {
            break;
        }
    }
    close(nest, wiring).await?;
    if wait_sense(nest, wiring, false, nest.clock.now() + part.off_within()).await? {
        return off(nest, WentOff::ByOrder).await;
    }
    press(nest, wiring.power, part.power_off_pulse_ms).await?;
    if wait_sense(nest, wiring, false, nest.clock.now() + part.off_within()).await? {
        return off(nest, WentOff::ByKey).await;
    }
    if let Some(emergency) = part.emergency_off {
        nest.vector(driven(&[(wiring.power, true)])).await?;
        nest.settle(Duration::from_millis(emergency.power_before_reset_ms.into())).await;
        nest.vector(driven(&[(wiring.reset, true)])).await?;
        hold(nest, wiring, Duration::from_millis(emergency.both_ms.into())).await?;
        nest.vector(driven(&[(wiring.power, false)])).await?;
        hold(nest, wiring, Duration::from_millis(emergency.reset_after_power_ms.into())).await?;
        nest.vector(driven(&[(wiring.reset, false)])).await?;
        if wait_sense(nest, wiring, false, nest.clock.now() + KEY_TAKEN).await? {
            return off(nest, WentOff::ByEmergency).await;
        }
    }
    Ok(None)
}

/// Orders the modem off, again while it is busy and refuses, or hears nothing. Returns whether it accepted.
async fn ordered_off(nest: &Nest, talk: &mut Talk<'_>, dialect: ModemDialect, within: Duration, attempts: u32) -> bool {
    // A modem other than the plan's must be switched off too.
    let [own, other] = off_commands(dialect);
    for attempt in 0..attempts {
        if attempt > 0 {
            nest.settle(OFF_AGAIN).await;
        }
        if talk.command(own, within).await.is_ok_and(|answer| answer.is_ok()) {
            return true;
        }
    }
    talk.command(other, within).await.is_ok_and(|answer| answer.is_ok())
}

/// The part's own method first.
fn off_commands(dialect: ModemDialect) -> [&'static str; 2] {
    let (own, other) = match dialect {
        ModemDialect::SaraR4 | ModemDialect::SaraR5 => (dialect, ModemDialect::Quectel),
        ModemDialect::Quectel => (dialect, ModemDialect::SaraR5),
    };
    [own.off_command(), other.off_command()]
}

/// STATUS of these parts rises only at the end of the boot.
fn is_slow_to_show(part: &ModemPart) -> bool {
    part.on_within() > Duration::from_secs(5)
}

/// Waits and keeps the link active, because the firmware releases the keys when it falls silent.
pub async fn hold(nest: &Nest, wiring: &ModemWiring, span: Duration) -> Result<(), StepError> {
    hold_until(nest, wiring, nest.clock.now() + span).await
}

/// The same, until a time.
pub async fn hold_until(nest: &Nest, wiring: &ModemWiring, until: BenchTime) -> Result<(), StepError> {
    while nest.clock.now() < until {
        is_on(nest, wiring).await?;
        let left = until - nest.clock.now();
        nest.settle(left.min(Duration::from_millis(500))).await;
    }
    Ok(())
}

async fn off(nest: &Nest, how: WentOff) -> Result<Option<WentOff>, StepError> {
    nest.modem.clear();
    nest.ask(Request::HoldPorts { ports: PortSet::EMPTY }).await?;
    Ok(Some(how))
}

/// Closes the UART and switches its translator off.
pub async fn close(nest: &Nest, wiring: &ModemWiring) -> Result<(), StepError> {
    nest.ask(Request::CloseModem).await?;
    buffer(nest, wiring, false).await
}

/// For the safe state: switches off what an earlier step switched on, whatever state nails, relay and conversation are
/// in.
///
/// # Errors
/// A message, when the modem may still be on.
pub async fn make_safe(nest: &Nest, note: &dyn Fn(String)) -> Result<(), String> {
    let Some(modem) = nest.modem.get() else { return Ok(()) };
    // A nail may hold the module in reset. If it cannot be released, the safe state itself reports that.
    let _ = nest.release_nails().await;
    // A step may have given the module up; this is its last chance.
    let nest = Nest { link: Rc::default(), ..nest.clone() };
    let mut tried = switch_off(&nest, &modem, note).await;
    if tried.is_err() {
        // The firmware may have restarted since, or use another rate, or a step was stopped while the MCU had no power.
        // The rails were found good before.
        for rail in nest.rails.names() {
            if nest.rails.measure(&rail).await.is_ok_and(|reading| reading.volts < OFF_VOLTS) {
                let _ = nest.rails.on(&rail).await;
            }
        }
        nest.settle(crate::restart::STARTS).await;
        let _ = nest.join_link().await;
        nest.dut.disconnect().await;
        if nest.dut.connect(dut_protocol::INITIAL_BAUD).await.is_ok() {
            tried = switch_off(&nest, &modem, note).await;
        }
    }
    match tried {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("the modem does not switch off: its supply is cut while it is on".to_owned()),
        Err(error) => Err(format!("the modem cannot be switched off: {error}; its supply is cut while it is on")),
    }
}

/// Longest duration of [`make_safe`] with a module that answers: a modem that was switched on a moment ago and goes off
/// only at the last attempt. The slowest part that the model may carry counts; zero without a modem.
pub fn safe_within(family: &DutFamily, model: &str) -> Duration {
    let parts = family.model(model).map(|model| model.modem_parts.as_slice()).unwrap_or_default();
    parts.iter().filter_map(|name| family.modem_part(name)).map(off_in_the_end).max().unwrap_or_default()
}

/// The waits of [`switch_off`] at their longest.
fn off_in_the_end(part: &ModemPart) -> Duration {
    let ms = |ms: u16| Duration::from_millis(ms.into());
    let taken = ms(part.power_on_pulse_ms) + KEY_TAKEN;
    let keep = part.keep_on.iter().map(|keep| Duration::from_millis(keep.ms.into())).max().unwrap_or_default();
    let boots = taken.max(part.on_within()).max(part.ready_within()).max(keep);
    // Until it is no longer refused; at unknown rates, both commands at both rates are sooner over.
    let orders = (OFF_ANSWER + OFF_AGAIN) * OFF_ORDERS + OFF_ANSWER;
    let key = ms(part.power_off_pulse_ms) + JOB_MARGIN;
    let emergency = part.emergency_off.map_or(Duration::ZERO, |emergency| {
        ms(emergency.power_before_reset_ms) + ms(emergency.both_ms) + ms(emergency.reset_after_power_ms) + KEY_TAKEN
    });
    boots + orders + part.off_within() + key + part.off_within() + emergency
}

/// Wiring and part of the modem that a plan expects.
pub fn expected(family: &DutFamily, model: &bench_plan::Model, part: Option<&str>) -> Option<(ModemWiring, ModemPart)> {
    let name = part.or(model.modem_parts.first().map(String::as_str))?;
    Some((family.modem.clone()?, family.modem_part(name)?.clone()))
}
