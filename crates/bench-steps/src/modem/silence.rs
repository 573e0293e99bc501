//! A modem that answered before and does not answer now: it restarts, hears nothing for a while, or is gone.

use super::at::Talk;
use super::{Answer, Ended, ModemOn, defect, instead};
use crate::{Nest, StepError, StepLog};
use bench_instruments::DutError;
use dut_protocol::{Reply, Request};
use std::time::Duration;

/// Time for the answer of a modem that has restarted.
const TRY: Duration = Duration::from_millis(400);
/// Shorter than the boot of any modem: some hear nothing for seconds while they enter a network.
const HEARS_NOTHING: Duration = Duration::from_millis(3_500);
/// What modems say once, when they have booted.
const BOOTED: [&str; 4] = ["RDY", "APP RDY", "SYSTEM START", "SYSSTART"];

/// What a silent modem did next.
pub enum Next {
    Restarted,
    /// It answered again after this time.
    Answered(Duration),
    Nothing,
}

/// Waits until it answers again.
pub async fn wait(nest: &Nest, modem: &ModemOn, talk: &mut Talk<'_>) -> Result<Next, StepError> {
    let began = nest.clock.now();
    let until = began + modem.part.ready_within();
    let mut restarted = false;
    let mut again = false;
    while !again && nest.clock.now() < until {
        restarted |= modem.flow_control && says_not_ready(nest, modem).await?;
        let answer = talk.command("AT", TRY).await?;
        again = answer.is_ok();
        restarted |= again && has_booted(modem, &answer);
    }
    Ok(match (restarted, again) {
        (true, _) => Next::Restarted,
        (false, true) => Next::Answered(nest.clock.now() - began),
        (false, false) => Next::Nothing,
    })
}

impl Next {
    /// Notes that it only heard nothing for a while.
    ///
    /// # Errors
    /// Everything else is a defect.
    pub fn judged(self, log: &dyn StepLog) -> Result<(), StepError> {
        match self {
            Next::Answered(silent) if silent < HEARS_NOTHING => {
                log.note(format!("the modem heard nothing for {:.1} s", silent.as_secs_f64()));
                Ok(())
            }
            Next::Answered(silent) => {
                Err(defect(log, format!("modem: it did not answer for {:.0} s", silent.as_secs_f64())))
            }
            Next::Restarted => Err(restarts(log)),
            Next::Nothing => Err(defect(log, "modem: it stopped answering".to_owned())),
        }
    }
}

/// Whether an answer shows that the modem has lost its settings since they were made.
pub fn has_booted(modem: &ModemOn, answer: &Answer) -> bool {
    modem.echo_is_off && answer.echoed || answer.unsolicited.iter().any(|line| BOOTED.contains(&line.as_str()))
}

pub fn restarts(log: &dyn StepLog) -> StepError {
    let text =
        "modem's supply: the modem restarts when its transmitter starts: check VCC in the module, and its capacitors";
    defect(log, text.to_owned())
}

/// Why a command got no accepted answer, although it was asked again.
///
/// # Errors
/// The link, not the modem.
pub async fn why(
    nest: &Nest,
    log: &dyn StepLog,
    modem: &ModemOn,
    talk: &mut Talk<'_>,
    command: &str,
    answer: &Answer,
) -> Result<StepError, StepError> {
    if answer.ended == Ended::Silent
        && let Err(error) = wait(nest, modem, talk).await?.judged(log)
    {
        return Ok(error);
    }
    Ok(defect(log, instead(command, answer, modem.privacy)))
}

/// CTS is high: the modem is not ready to receive.
pub async fn says_not_ready(nest: &Nest, modem: &ModemOn) -> Result<bool, StepError> {
    match nest.ask(Request::ReadPorts).await? {
        Reply::Levels(levels) => Ok(levels.contains(modem.wiring.cts)),
        other => Err(DutError::OutOfTurn(other).into()),
    }
}
