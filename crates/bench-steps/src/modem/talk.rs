//! AT dialogue through the firmware: requests carry the bytes, the bench keeps the time-outs.

use super::{Answer, Listener, ModemOn};
use crate::{Nest, StepError};
use bench_instruments::DutError;
use dut_protocol::{MODEM_MAX_BYTES, ModemFlow, ModemUart, PortSet, PortVector, Reply, Request};
use std::time::Duration;

/// Interval between readings for an answer: short at first, because most answers arrive at once.
const FIRST_LOOK: Duration = Duration::from_millis(12);
const LONGEST_LOOK: Duration = Duration::from_millis(100);

/// An open UART, with a callback for the dialogue.
pub struct Talk<'a> {
    nest: &'a Nest,
    modem: &'a ModemOn,
    note: &'a dyn Fn(String),
    pub is_quiet: bool,
}

impl<'a> Talk<'a> {
    /// Opens the UART at the modem's rate, with flow control if the module has it.
    pub async fn open(nest: &'a Nest, modem: &'a ModemOn, note: &'a dyn Fn(String)) -> Result<Self, StepError> {
        let baud = modem.baud.unwrap_or(modem.part.default_baud);
        super::state::for_talk(nest, &modem.wiring).await?;
        open(nest, modem, baud, modem.flow_control).await?;
        Ok(Self { nest, modem, note, is_quiet: false })
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
        Ok(Self { nest, modem, note, is_quiet: true })
    }

    /// Continues the dialogue in an open UART.
    pub fn resume(nest: &'a Nest, modem: &'a ModemOn, note: &'a dyn Fn(String)) -> Self {
        Self { nest, modem, note, is_quiet: false }
    }

    /// Sends a command and waits at most `within` for its answer.
    pub async fn command(&mut self, command: &str, within: Duration) -> Result<Answer, StepError> {
        self.send(command).await?;
        let answer = self.listen(command, within).await?;
        if !self.is_quiet || answer.is_ok() {
            self.log(command, &answer);
        }
        Ok(answer)
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
        loop {
            self.nest.settle(look.min(deadline - self.nest.clock.now())).await;
            look = (look * 2).min(LONGEST_LOOK);
            loop {
                let said = read(self.nest).await?;
                if said.lost {
                    (self.note)("bytes from the modem were lost or garbled".to_owned());
                }
                if let Some(answer) = listener.take(&said.bytes) {
                    return Ok(answer);
                }
                if !said.more {
                    break;
                }
            }
            if self.nest.clock.now() >= deadline {
                return Ok(listener.give_up());
            }
        }
    }

    fn log(&self, command: &str, answer: &Answer) {
        let lines = answer.lines.join(" | ");
        let ended = match answer.ended {
            super::Ended::Ok => "OK".to_owned(),
            super::Ended::Error(None) => "ERROR".to_owned(),
            super::Ended::Error(Some(number)) => format!("+CME ERROR: {number}"),
            super::Ended::Silent => "(no answer)".to_owned(),
        };
        let separator = if lines.is_empty() { "" } else { " | " };
        (self.note)(self.modem.privacy.apply(&format!("{command} -> {lines}{separator}{ended}")));
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

/// Returns what the modem has sent since the last call.
pub async fn read(nest: &Nest) -> Result<dut_protocol::ModemBytes, StepError> {
    match nest.ask(Request::ReadModem).await? {
        Reply::Modem(said) => Ok(said),
        other => Err(DutError::OutOfTurn(other).into()),
    }
}
