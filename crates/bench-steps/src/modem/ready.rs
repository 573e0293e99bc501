//! `modem-ready`: tests the modem's lines, its boot time, the rate at which it answers, and its flow control.

use super::at::{Talk, hold_rts, read_all};
use super::silence::{restarts, says_not_ready, why};
use super::state::{self, ModemOn, under_pulls, wait_sense};
use super::{ANSWER, Answer, Ended, PLAIN, SETTLES, defect, flag, shares, spec, uses, yes};
use crate::{Kind, Leaves, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_plan::{ModemDialect, ParamProblem, Resolved, Surroundings};
use bench_run::{BenchTime, Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::{MODEM_BAUDS, Port};
use std::collections::VecDeque;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// `false` for modules whose RTS and CTS are known to be exchanged (B523 of hardware version 0): then neither is
    /// tested or used.
    #[serde(default = "with_flow_control")]
    flow_control: bool,
}

fn with_flow_control() -> bool {
    true
}

pub struct ModemReady {
    flow_control: bool,
    rx_driven: MeasurementSpec,
    cts_driven: MeasurementSpec,
    rts_free: MeasurementSpec,
    after: MeasurementSpec,
    held: MeasurementSpec,
    released: MeasurementSpec,
}

/// Readings of the lines, and the time between them.
const READINGS: u32 = 4;
const BETWEEN_READINGS: Duration = Duration::from_millis(15);
/// Attempts to hold the modem with RTS. A modem that speaks unasked may fill the receiver once.
const ATTEMPTS: u32 = 5;
/// A modem that restarts again and again boots at some time within this.
const WOULD_BOOT: Duration = Duration::from_secs(6);
/// Time for a modem to answer AT+CFUN=1, which may start its radio and its card.
const STARTS_RADIO: Duration = Duration::from_secs(10);
/// For so long, a modem that says that it is ready is asked at its usual rates only.
const SAYS_READY: Duration = Duration::from_millis(900);
/// One that says that it is ready and does not answer for so long is deaf for good.
const IS_DEAF: Duration = Duration::from_secs(5);
/// How often a rate is set that the modem did not take.
const RATE_ROUNDS: usize = 2;
/// Time for a modem to change its rate.
const RATE_CHANGES: Duration = Duration::from_millis(200);
/// Time for one attempt: the echo of two letters, and an answer.
const TRY: Duration = Duration::from_millis(250);
/// Nothing may arrive for this long while RTS is high.
const HELD: Duration = Duration::from_millis(60);
/// Time for the longest unsolicited message at the slowest rate used here.
const RUNS_OUT: Duration = Duration::from_millis(10);
/// A modem that is later than this counts as dead.
const PATIENCE: Duration = Duration::from_secs(45);

impl Kind for ModemReady {
    const NAME: &'static str = "modem-ready";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let parts = around.model.modem_parts.iter().filter_map(|name| around.dut.modem_part(name));
        let Some(within) = parts.map(|part| part.ready_within()).max() else {
            return Err(ParamProblem::new(format!("no modem is described for a {}", around.model.name)));
        };
        let step = ModemReady {
            flow_control: params.flow_control,
            rx_driven: yes("modem.rx-is-driven"),
            cts_driven: yes("modem.cts-is-driven"),
            rts_free: yes("modem.rts-is-free"),
            after: spec("modem.ready-after", MeasurementUnit::Seconds, Limits::at_most(within.as_secs_f64())),
            held: spec("modem.bytes-while-rts-high", MeasurementUnit::One, Limits::exactly(0.0)),
            released: yes("modem.answers-when-rts-low"),
        };
        let mut measurements = vec![step.rx_driven.clone(), step.after.clone()];
        if step.flow_control {
            let of_flow = [&step.cts_driven, &step.rts_free, &step.held, &step.released];
            measurements.extend(of_flow.map(Clone::clone));
        }
        Ok(Resolved {
            measurements,
            coverage: Vec::new(),
            uses: uses(),
            shares: shares(),
            default_timeout: within + PATIENCE + 4 * SETTLES + 2 * STARTS_RADIO + Duration::from_secs(90),
            procedure: Box::new(step),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for ModemReady {
    fn leaves(&self) -> Option<Leaves> {
        Some(Leaves::ModemOn)
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.modem.update(|on| on.flow_control = self.flow_control);
        let modem = nest.modem.expect()?;
        let note = |text: String| log.dialogue(text);
        state::for_talk(nest, &modem.wiring).await?;
        self.lines(nest, log, &modem).await?;
        let Answered { baud, answer, ready_at } = match self.answered(nest, &modem, &note).await? {
            Some(answer) => answer,
            None => return Err(self.why_not(nest, log, &modem).await?),
        };
        let after = ready_at - modem.since;
        let is_late = after > modem.part.ready_within();
        let left_at = self.usual_rate(nest, log, baud, &note).await?;
        if let Some(left_at) = left_at.filter(|_| is_late) {
            let text =
                format!("an earlier user left the modem at {left_at} baud: it is set back, test the module again");
            return Err(StepError::Bench(text));
        }
        log.measured(&self.after.name, Some(after.as_secs_f64()));
        if is_late {
            return Err(defect(log, "modem boots too late: it answers, but not in time".to_owned()));
        }
        log.note(format!("the modem answers at {baud} baud, {}", if answer.echoed { "with echo" } else { "no echo" }));
        let modem = nest.modem.expect()?;
        let mut talk = Talk::resume(nest, &modem, &note);
        talk.expect_late();
        // None of these settings is stored: switching the modem off restores a used one.
        let ok = |answer: &Answer| answer.is_ok();
        if answer.in_digits {
            log.note("the modem answers in digits (ATV0), a setting of an earlier user".to_owned());
            talk.ask("ATV1", ANSWER, SETTLES, &ok).await?;
        }
        let answer = talk.ask("ATE0", ANSWER, SETTLES, &ok).await?;
        if !answer.is_ok() {
            return Err(why(nest, log, &modem, &mut talk, "ATE0", &answer).await?);
        }
        nest.modem.update(|on| on.echo_is_off = true);
        // Without it, errors have no number, and diagnoses are less precise.
        talk.ask("AT+CMEE=1", ANSWER, SETTLES, &ok).await?;
        full_function(log, &mut talk).await?;
        if modem.flow_control { self.flow(nest, log, &modem, &note).await } else { Ok(()) }
    }
}

/// The first answer.
struct Answered {
    baud: u32,
    answer: Answer,
    /// When the modem answered, or said that it was ready.
    ready_at: BenchTime,
}

impl ModemReady {
    /// Checks who drives which line. The modem drives its TX high and its CTS to either level; its RTS is an input.
    async fn lines(&self, nest: &Nest, log: &dyn StepLog, modem: &ModemOn) -> Result<(), StepError> {
        let wiring = &modem.wiring;
        // A modem that becomes ready, or speaks, between the two readings of a line seems to leave it undriven.
        let (mut rx, mut cts, mut rts) = (false, false, true);
        for _ in 0..READINGS {
            let driven = who_drives(nest, &[wiring.rx, wiring.cts, wiring.rts]).await?;
            let driven = |n: usize| driven.get(n).copied().unwrap_or(false);
            (rx, cts, rts) = (rx || driven(0), cts || driven(1), rts && driven(2));
            if rx && cts && !rts {
                break;
            }
            nest.settle(BETWEEN_READINGS).await;
        }
        log.measured(&self.rx_driven.name, flag(rx));
        if modem.flow_control {
            log.measured(&self.cts_driven.name, flag(cts));
            log.measured(&self.rts_free.name, flag(!rts));
        }
        match (rx, cts, rts) {
            (_, false, true) if modem.flow_control => {
                Err(defect(log, "modem UART: RTS and CTS are exchanged: the modem drives RTS and not CTS".to_owned()))
            }
            (false, ..) => {
                Err(defect(log, "modem UART RX: the line from the modem to the MCU is not driven: open".to_owned()))
            }
            (_, false, _) if modem.flow_control => Err(defect(
                log,
                "modem UART CTS: the line by which the modem reports that it can receive is not driven: open"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Asks at both rates in turn until the modem answers. Waits longer than the limit, to distinguish a late modem
    /// from a dead one. One that says that it is ready and does not answer may have been left at another rate.
    async fn answered(
        &self,
        nest: &Nest,
        modem: &ModemOn,
        note: &dyn Fn(String),
    ) -> Result<Option<Answered>, StepError> {
        let in_time = modem.since + modem.part.ready_within();
        let rates = [modem.part.default_baud, modem.part.runtime_baud];
        let mut last_round = false;
        let mut ready_at = None;
        // A modem that was set to answer nothing (ATQ1) obeys nevertheless.
        for command in ["AT", PLAIN].into_iter().cycle() {
            for baud in rates {
                let answer = self.try_once(nest, modem, baud, modem.flow_control, command, note).await?;
                if answer.is_ok() {
                    nest.modem.update(|on| on.baud = Some(baud));
                    return Ok(Some(Answered { baud, answer, ready_at: nest.clock.now() }));
                }
            }
            let now = nest.clock.now();
            let boots = modem.flow_control && says_not_ready(nest, modem).await?;
            ready_at = if boots { None } else { ready_at.or(Some(now)) };
            let was_tried = ready_at.is_some_and(|ready| now > ready + SAYS_READY);
            if let Some(ready_at) = ready_at.filter(|_| was_tried && modem.flow_control || now > in_time)
                && let Some((baud, answer)) = self.other_rate(nest, modem, note).await?
            {
                nest.modem.update(|on| on.baud = Some(baud));
                return Ok(Some(Answered { baud, answer, ready_at }));
            }
            // It may have become ready just now, or hear nothing for a moment.
            let was_patient =
                if boots { now > in_time + PATIENCE } else { ready_at.is_none_or(|at| now > at + IS_DEAF) };
            if now > in_time && was_patient {
                if last_round && command == PLAIN {
                    return Ok(None);
                }
                last_round = true;
            }
        }
        Ok(None)
    }

    /// Asks once at each rate that neither the maker nor Device OS sets.
    async fn other_rate(
        &self,
        nest: &Nest,
        modem: &ModemOn,
        note: &dyn Fn(String),
    ) -> Result<Option<(u32, Answer)>, StepError> {
        let usual = [modem.part.default_baud, modem.part.runtime_baud];
        for baud in MODEM_BAUDS.into_iter().filter(|baud| !usual.contains(baud)) {
            let answer = self.try_once(nest, modem, baud, modem.flow_control, PLAIN, note).await?;
            if answer.ended != Ended::Silent {
                return Ok(Some((baud, answer)));
            }
        }
        Ok(None)
    }

    /// Sets a modem that an earlier user left at an unusual rate back to its maker's. Returns the unusual rate.
    async fn usual_rate(
        &self,
        nest: &Nest,
        log: &dyn StepLog,
        baud: u32,
        note: &dyn Fn(String),
    ) -> Result<Option<u32>, StepError> {
        let modem = nest.modem.expect()?;
        let usual = modem.part.default_baud;
        if [usual, modem.part.runtime_baud].contains(&baud) {
            return Ok(None);
        }
        log.note(format!("the modem was left at {baud} baud by an earlier user: set to {usual}"));
        // It hears nothing for some seconds while it finds a cell: a rate that it did not take is set once more.
        for _ in 0..RATE_ROUNDS {
            nest.modem.update(|on| on.baud = Some(baud));
            let modem = nest.modem.expect()?;
            let mut talk = Talk::open(nest, &modem, note).await?;
            talk.expect_late();
            talk.ask(&format!("AT+IPR={usual}"), ANSWER, ANSWER, &|answer| answer.is_ok()).await?;
            nest.settle(RATE_CHANGES).await;
            nest.modem.update(|on| on.baud = Some(usual));
            let modem = nest.modem.expect()?;
            let mut talk = Talk::open(nest, &modem, note).await?;
            // Some answer at the new rate, so that only this shows whether it was accepted.
            if talk.ask("AT", ANSWER, SETTLES, &|answer| answer.is_ok()).await?.is_ok() {
                return Ok(Some(baud));
            }
        }
        nest.modem.update(|on| on.baud = Some(baud));
        Err(StepError::Bench(format!("an earlier user left the modem at {baud} baud, and it keeps that rate")))
    }

    async fn try_once(
        &self,
        nest: &Nest,
        modem: &ModemOn,
        baud: u32,
        flow_control: bool,
        command: &str,
        note: &dyn Fn(String),
    ) -> Result<Answer, StepError> {
        let mut talk = Talk::open_quietly(nest, modem, baud, flow_control, note).await?;
        talk.command(command, TRY).await
    }

    /// RTS stops the modem and releases it.
    async fn flow(
        &self,
        nest: &Nest,
        log: &dyn StepLog,
        modem: &ModemOn,
        note: &dyn Fn(String),
    ) -> Result<(), StepError> {
        let mut talk = Talk::resume(nest, modem, note);
        // A modem that ignores RTS by default still answers this; its next message needs RTS. One that refuses it has no
        // other way of flow control, or starts its card.
        let answer = talk.ask("AT+IFC=2,2", ANSWER, SETTLES, &|answer| answer.is_ok()).await?;
        if answer.ended == Ended::Silent {
            return Err(hears_no_rts(nest, log, modem).await?);
        }
        let (mut while_high, mut answers) = (0, false);
        for _ in 0..ATTEMPTS {
            (while_high, answers) = self.holds(nest, modem, note).await?;
            if while_high == 0 && answers {
                break;
            }
        }
        log.measured(&self.held.name, Some(while_high as f64));
        log.measured(&self.released.name, flag(answers));
        // Restore flow control, as the following steps expect it.
        Talk::open(nest, modem, note).await?;
        match (while_high, answers) {
            (0, true) => Ok(()),
            (0, false) => Err(hears_no_rts(nest, log, modem).await?),
            _ => Err(defect(log, "modem UART RTS: the modem sends although RTS is high".to_owned())),
        }
    }

    /// Sends a command while RTS is high, and releases RTS; returns how many bytes came before, and whether the answer
    /// came afterwards.
    async fn holds(&self, nest: &Nest, modem: &ModemOn, note: &dyn Fn(String)) -> Result<(usize, bool), StepError> {
        let baud = modem.baud.unwrap_or(modem.part.default_baud);
        let mut talk = Talk::open_quietly(nest, modem, baud, false, note).await?;
        talk.clear().await?;
        hold_rts(nest, modem, true).await?;
        // An unsolicited message that had started when RTS rose may end.
        nest.settle(RUNS_OUT).await;
        read_all(nest, &mut VecDeque::new()).await?;
        talk.send("AT").await?;
        nest.settle(HELD).await;
        let mut heard = VecDeque::new();
        read_all(nest, &mut heard).await?;
        hold_rts(nest, modem, false).await?;
        let answer = talk.listen("AT", ANSWER).await?;
        Ok((heard.len(), answer.is_ok()))
    }

    /// Nothing answered. Tests each direction: the modem's reaction shows what it received.
    async fn why_not(&self, nest: &Nest, log: &dyn StepLog, modem: &ModemOn) -> Result<StepError, StepError> {
        let quiet = |_: String| {};
        let rates = [modem.part.default_baud, modem.part.runtime_baud];
        for baud in rates {
            if self.try_once(nest, modem, baud, false, PLAIN, &quiet).await?.is_ok() {
                nest.modem.update(|on| (on.baud, on.flow_control) = (Some(baud), false));
                return Ok(defect(
                    log,
                    "modem UART CTS: the modem answers only when its CTS is ignored: stuck high".to_owned(),
                ));
            }
        }
        // It may receive, and wait for an RTS that never arrives: then it must ignore RTS.
        for baud in rates {
            let mut talk = Talk::open_quietly(nest, modem, baud, false, &quiet).await?;
            talk.command("AT+IFC=0,0", TRY).await?;
            if talk.command("AT", TRY).await?.is_ok() {
                nest.modem.update(|on| (on.baud, on.flow_control) = (Some(baud), false));
                return Ok(rts_dead(log));
            }
        }
        if !state::is_on(nest, &modem.wiring).await? {
            nest.modem.clear();
            return Ok(defect(log, "modem switched off by itself while it booted".to_owned()));
        }
        // A command that needs no answer: does it switch off?
        for baud in rates {
            let mut talk = Talk::open_quietly(nest, modem, baud, false, &quiet).await?;
            talk.command(modem.part.dialect.off_command(), TRY).await?;
        }
        state::close(nest, &modem.wiring).await?;
        let limit = match modem.part.dialect {
            ModemDialect::Quectel => modem.part.off_within(),
            _ => Duration::from_secs(5),
        };
        let went = wait_sense(nest, &modem.wiring, false, nest.clock.now() + limit).await?;
        let text = if went {
            nest.modem.clear();
            "modem UART RX: the modem obeys commands, but no answer arrives: open or dead"
        } else {
            "modem UART TX: the modem is on and reports that it can receive, but receives nothing: open, dead or modem hangs"
        };
        Ok(defect(log, text.to_owned()))
    }
}

/// An earlier user may have left the radio and the card off (CFUN 0, 4), which some modems store.
async fn full_function(log: &dyn StepLog, talk: &mut Talk<'_>) -> Result<(), StepError> {
    let function = |answer: &Answer| {
        answer.values("+CFUN").last().and_then(|value| value.split(',').next()?.trim().parse::<u8>().ok())
    };
    let answer = talk.ask("AT+CFUN?", ANSWER, SETTLES, &|answer| answer.is_ok() && function(answer).is_some()).await?;
    match function(&answer) {
        Some(1) => return Ok(()),
        Some(left) => log.note(format!("the modem was left at AT+CFUN={left} by an earlier user: set to 1")),
        None => log.note("the modem does not report its function (AT+CFUN?): set to 1".to_owned()),
    }
    let answer = talk.ask("AT+CFUN=1", STARTS_RADIO, 2 * STARTS_RADIO, &|answer| answer.is_ok()).await?;
    if !answer.is_ok() {
        log.note("the modem does not accept AT+CFUN=1".to_owned());
    }
    Ok(())
}

/// Returns for each port whether it is driven against the MCU's pulls.
async fn who_drives(nest: &Nest, ports: &[Port]) -> Result<Vec<bool>, StepError> {
    Ok(under_pulls(nest, ports).await?.into_iter().map(|(up, down)| up == down).collect())
}

/// It is silent since it obeys RTS: the signal is dead, or the modem restarts again and again.
async fn hears_no_rts(nest: &Nest, log: &dyn StepLog, modem: &ModemOn) -> Result<StepError, StepError> {
    let until = nest.clock.now() + WOULD_BOOT;
    while nest.clock.now() < until {
        if says_not_ready(nest, modem).await? {
            return Ok(restarts(log));
        }
        nest.settle(Duration::from_millis(100)).await;
    }
    Ok(rts_dead(log))
}

fn rts_dead(log: &dyn StepLog) -> StepError {
    defect(log, "modem UART RTS: the signal never reaches the modem: open or dead".to_owned())
}
