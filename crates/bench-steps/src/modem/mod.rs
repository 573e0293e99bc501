//! The cellular modem: switched on, tested and switched off. One file per kind of step, and their shared parts.

mod at;
mod boot;
mod contacts;
mod identity;
mod off;
mod on;
mod ready;
mod signal;
mod silence;
mod sim;
mod state;

pub use at::{Answer, Ended, Listener, Privacy, is_imei};
pub use boot::ModemBoot;
pub use contacts::ModemContacts;
pub use identity::{ModemIdentity, is_nobodys};
pub use off::ModemOff;
pub use on::ModemOnStep;
pub use ready::ModemReady;
pub use signal::ModemSignal;
pub use sim::ModemSim;
pub use state::{ModemOn, ModemState, make_safe, safe_within};

use crate::{StepError, StepLog, resource};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit};
use std::time::Duration;

/// Longest time for the answer to a command that involves only the modem itself.
const ANSWER: Duration = Duration::from_millis(1_500);
/// How long a command is tried again that the modem refuses or does not hear: its card and its radio start meanwhile, and
/// some modems hear nothing for seconds.
const SETTLES: Duration = Duration::from_secs(10);

/// Results are sent, in words, and no echo: for a modem that an earlier user left otherwise.
const PLAIN: &str = "ATQ0V1E0";

fn spec(name: &str, unit: MeasurementUnit, limits: Limits) -> MeasurementSpec {
    MeasurementSpec { name: name.to_owned(), unit, limits, contacts: Vec::new() }
}

/// Yes (1) is expected.
fn yes(name: &str) -> MeasurementSpec {
    spec(name, MeasurementUnit::One, Limits::exactly(1.0))
}

fn flag(value: bool) -> Option<f64> {
    Some(f64::from(u8::from(value)))
}

/// Notes what is wrong and returns it as the reason that ends the step.
fn defect(log: &dyn StepLog, text: String) -> StepError {
    defect_at(log, Vec::new(), text)
}

fn defect_at(log: &dyn StepLog, contacts: Vec<Contact>, text: String) -> StepError {
    log.diagnosed(Diagnosis { defect: Defect::Other, contacts, text: text.clone() });
    StepError::Dut(text)
}

/// What a modem did instead of an accepted answer, for a diagnosis.
fn instead(command: &str, answer: &Answer, privacy: Privacy) -> String {
    match answer.ended {
        Ended::Silent => format!("modem: it stopped answering ({command})"),
        Ended::Error(_) => format!("modem: it refuses {command} ({})", at::refusal(answer)),
        Ended::Ok => {
            let lines: Vec<String> = answer.lines.iter().map(|line| privacy.line(line)).collect();
            format!("modem: it answers {command} with \"{}\"", lines.join(" | "))
        }
    }
}

/// Resources that a step uses exclusively to talk to the modem.
fn uses() -> Vec<String> {
    resource::list(&[resource::MODEM])
}

/// Resources that it shares.
fn shares() -> Vec<String> {
    resource::list(&[resource::DUT])
}

/// Sends one command to the modem that an earlier step switched on. Returns whether it answered OK, and its lines.
pub(crate) async fn command(
    nest: &crate::Nest,
    command: &str,
    within: std::time::Duration,
    note: &dyn Fn(String),
) -> Result<(bool, Vec<String>), crate::StepError> {
    let modem = nest.modem.expect()?;
    let mut talk = at::Talk::open(nest, &modem, note).await?;
    let answer = talk.command(command, within).await?;
    Ok((answer.is_ok(), answer.lines.clone()))
}
