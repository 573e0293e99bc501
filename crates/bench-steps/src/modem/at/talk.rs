//! AT dialogue through the firmware: requests carry the bytes, the bench keeps the time-outs.

use super::super::ModemOn;
use super::{Answer, Ended, Listener, errors};
use crate::{Nest, StepError};
use bench_instruments::DutError;
use dut_protocol::{MODEM_MAX_BYTES, ModemFlow, ModemUart, PortSet, PortVector, Reply, Request};
use std::collections::VecDeque;
use std::time::Duration;

/// Interval between readings for an answer: short at first, because most answers arrive at once.
const FIRST_LOOK: Duration = Duration::from_millis(12);
const LONGEST_LOOK: Duration = Duration::from_millis(100);
/// Time for the rest of a line that has begun, at the slowest rate used here.
const LINE_ENDS: Duration = Duration::from_millis(10);
/// After a command without an answer, the answer may still come: nothing for this long means that it does not.
const QUIET: Duration = Duration::from_millis(120);
/// A modem that never stops talking is asked nevertheless.
const LONGEST_CLEARING: Duration = Duration::from_secs(1);
/// Interval between two attempts of a command that was refused.
const RETRY: Duration = Duration::from_millis(250);
/// A fact that is not the expected one counts when it was given so often.
const AGREE: u32 = 3;

/// An open UART, with a callback for the dialogue.
pub struct Talk<'a> {
    nest: &'a Nest,
    modem: &'a ModemOn,
    note: &'a dyn Fn(String),
    pub is_quiet: bool,
    /// What arrived and was not read as part of an answer yet.
    heard: VecDeque<u8>,
    /// An answer may still be on its way that no command waits for.
    late: bool,
}

impl<'a> Talk<'a> {
    /// Opens the UART at the modem's rate, with flow control if the module has it.
    pub async fn open(nest: &'a Nest, modem: &'a ModemOn, note: &'a dyn Fn(String)) -> Result<Self, StepError> {
        let baud = modem.baud.unwrap_or(modem.part.default_baud);
        super::super::state::for_talk(nest, &modem.wiring).await?;
        open(nest, modem, baud, modem.flow_control).await?;
        let mut talk = Self::resume(nest, modem, note);
        // It may have been closed in the middle of a line.
        nest.settle(LINE_ENDS).await;
        talk.clear().await?;
        Ok(talk)
    }

    /// Like [`Talk::open`], without a note in the dialogue.
    pub async fn open_quietly(
        nest: &'a Nest,
        modem: &'a ModemOn,
        baud: u32,
        flow_control: bool,
        note: &'a dyn Fn(String),
    ) -> Result<Self, StepError> {
        open(nest, modem, baud, flow_control).await?;
        Ok(Self { is_quiet: true, ..Self::resume(nest, modem, note) })
    }

    /// Continues the dialogue in an open UART.
    pub fn resume(nest: &'a Nest, modem: &'a ModemOn, note: &'a dyn Fn(String)) -> Self {
        Self { nest, modem, note, is_quiet: false, heard: VecDeque::new(), late: false }
    }

    /// Sends a command and waits at most `within` for its answer.
    pub async fn command(&mut self, command: &str, within: Duration) -> Result<Answer, StepError> {
        self.clear().await?;
        self.send(command).await?;
        self.listen(command, within).await
    }

    /// Sends a command until its answer is accepted, at most for `within`, and at least twice; returns the last answer.
    /// Errors that may pass, silence, torn answers and states that change are tried again.
    pub async fn ask(
        &mut self,
        command: &str,
        each: Duration,
        within: Duration,
        is_accepted: &dyn Fn(&Answer) -> bool,
    ) -> Result<Answer, StepError> {
        self.ask_until(command, each, within, u32::MAX, is_accepted).await
    }

    /// The same for what never changes, such as the model: an answer that is whole and repeats itself is final, whatever
    /// it says.
    pub async fn ask_fact(
        &mut self,
        command: &str,
        each: Duration,
        within: Duration,
        is_accepted: &dyn Fn(&Answer) -> bool,
    ) -> Result<Answer, StepError> {
        self.ask_until(command, each, within, AGREE, is_accepted).await
    }

    async fn ask_until(
        &mut self,
        command: &str,
        each: Duration,
        within: Duration,
        agree: u32,
        is_accepted: &dyn Fn(&Answer) -> bool,
    ) -> Result<Answer, StepError> {
        let deadline = self.nest.clock.now() + within;
        let (mut attempts, mut agreeing) = (0, 0);
        let mut before: Option<Answer> = None;
        loop {
            let answer = self.command(command, each).await?;
            attempts += 1;
            let same = before.as_ref().is_some_and(|before| before.is_ok() && before.lines == answer.lines);
            agreeing = if answer.is_ok() && same { agreeing + 1 } else { 1 };
            let may_change = !matches!(answer.ended, Ended::Error(error) if !errors::may_pass(error));
            let is_final = answer.is_ok() && agreeing >= agree;
            let is_late = attempts > 1 && self.nest.clock.now() >= deadline;
            if is_accepted(&answer) || !may_change || is_final || is_late {
                return Ok(answer);
            }
            before = Some(answer);
            self.nest.settle(RETRY).await;
        }
    }

    /// Earlier commands may still be answered: the next one waits until nothing comes any more.
    pub fn expect_late(&mut self) {
        self.late = true;
    }

    /// Sends a command without waiting.
    pub async fn send(&mut self, command: &str) -> Result<(), StepError> {
        let line = format!("{command}\r");
        for piece in line.as_bytes().chunks(MODEM_MAX_BYTES) {
            let bytes = piece.iter().copied().collect();
            self.nest.ask(Request::WriteModem { bytes }).await?;
        }
        Ok(())
    }

    /// Collects lines until the command ends, or for this long.
    pub async fn listen(&mut self, command: &str, within: Duration) -> Result<Answer, StepError> {
        let mut listener = Listener::new(command);
        let deadline = self.nest.clock.now() + within;
        let mut look = FIRST_LOOK;
        let answer = loop {
            self.nest.settle(look.min(deadline - self.nest.clock.now())).await;
            look = (look * 2).min(LONGEST_LOOK);
            self.read().await?;
            if let Some(answer) = listener.take(&mut self.heard) {
                break answer;
            }
            if self.nest.clock.now() >= deadline {
                break listener.give_up();
            }
        };
        self.late = answer.ended == Ended::Silent;
        if !self.is_quiet || answer.is_ok() {
            self.log(command, &answer);
        }
        Ok(answer)
    }

    /// Takes what the modem said since the last answer, up to the end of a line, so that no part of it is taken for the
    /// next answer.
    pub async fn clear(&mut self) -> Result<(), StepError> {
        let deadline = self.nest.clock.now() + LONGEST_CLEARING;
        let mut wait = if self.late { QUIET } else { Duration::ZERO };
        loop {
            self.nest.settle(wait).await;
            let arrived = self.read().await?;
            let is_torn = self.heard.back().is_some_and(|byte| !matches!(byte, b'\r' | b'\n'));
            let goes_on = is_torn || self.late && arrived > 0;
            // Nothing more of a line that has begun: it was noise.
            let ended = arrived == 0 && wait > Duration::ZERO;
            if !goes_on || ended || self.nest.clock.now() >= deadline {
                break;
            }
            wait = if self.late { QUIET } else { LINE_ENDS };
        }
        self.late = false;
        let mut heard = std::mem::take(&mut self.heard);
        let mut listener = Listener::default();
        // An end in there belongs to a command that nobody waits for any more.
        while listener.take(&mut heard).is_some() {}
        let said = listener.give_up();
        let lines: Vec<String> = said.unsolicited.iter().map(|line| self.modem.privacy.line(line)).collect();
        if !lines.is_empty() && !self.is_quiet {
            (self.note)(format!("unsolicited: {}", lines.join(" | ")));
        }
        Ok(())
    }

    /// Reads what has arrived; returns how much.
    async fn read(&mut self) -> Result<usize, StepError> {
        let before = self.heard.len();
        let lost = read_all(self.nest, &mut self.heard).await?;
        if lost {
            (self.note)("bytes from the modem were lost or garbled".to_owned());
        }
        Ok(self.heard.len() - before)
    }

    fn log(&self, command: &str, answer: &Answer) {
        let mut parts = self.modem.privacy.lines(command, answer);
        parts.push(match answer.ended {
            Ended::Ok => "OK".to_owned(),
            Ended::Error(None) => "ERROR".to_owned(),
            Ended::Error(Some(number)) => errors::meaning(number),
            Ended::Silent => "(no answer)".to_owned(),
        });
        let unsolicited: Vec<String> = answer.unsolicited.iter().map(|line| self.modem.privacy.line(line)).collect();
        let unsolicited = match unsolicited.is_empty() {
            true => String::new(),
            false => format!(" (unsolicited: {})", unsolicited.join(" | ")),
        };
        (self.note)(format!("{command} -> {}{unsolicited}", parts.join(" | ")));
    }
}

async fn open(nest: &Nest, modem: &ModemOn, baud: u32, flow_control: bool) -> Result<(), StepError> {
    let wiring = &modem.wiring;
    let flow = flow_control.then_some(ModemFlow { rts: wiring.rts, cts: wiring.cts });
    nest.ask(Request::OpenModem(ModemUart { tx: wiring.tx, rx: wiring.rx, flow, baud })).await?;
    if !flow_control {
        // The modem may obey RTS nevertheless.
        hold_rts(nest, modem, false).await?;
    }
    Ok(())
}

/// Drives RTS by hand, for a UART without flow control. High: the modem must wait.
pub async fn hold_rts(nest: &Nest, modem: &ModemOn, high: bool) -> Result<(), StepError> {
    let rts = PortSet::EMPTY.with(modem.wiring.rts);
    let vector = if high {
        PortVector { high: rts, ..PortVector::default() }
    } else {
        PortVector { low: rts, ..PortVector::default() }
    };
    nest.vector(vector).await.map(drop)
}

/// Most readings without a pause: a modem that sends faster than it is read is read on later.
const MOST_READINGS: usize = 64;

/// Adds everything that the modem has sent since the last reading. Returns whether some of it was lost or garbled.
pub async fn read_all(nest: &Nest, heard: &mut VecDeque<u8>) -> Result<bool, StepError> {
    let mut lost = false;
    for _ in 0..MOST_READINGS {
        let said = match nest.ask(Request::ReadModem).await? {
            Reply::Modem(said) => said,
            other => return Err(DutError::OutOfTurn(other).into()),
        };
        lost |= said.lost;
        heard.extend(&said.bytes);
        if !said.more {
            break;
        }
    }
    Ok(lost)
}
