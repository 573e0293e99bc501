//! `nfc-phone`: the module as an NFC tag, read by a person's telephone.

use super::{PERSON, defect, desk, flag, yes};
use crate::nfc::nonce;
use crate::{Kind, Nest, Procedure, StepError, StepLog, resource};
use async_trait::async_trait;
use bench_instruments::{Chore, DutError, Task};
use bench_plan::{ParamProblem, Resolved, Surroundings};
use bench_run::MeasurementSpec;
use dut_protocol::{NfcStatus, Refusal, Reply, Request};
use futures_util::FutureExt;
use std::pin::pin;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

pub struct NfcPhone {
    task: Task,
    /// Asked when no telephone was noticed.
    works: Task,
    read: MeasurementSpec,
}

/// A telephone asks for tags several times a second.
const LOOK: Duration = Duration::from_millis(50);
/// Digits of the run's number that a person must type at least.
const DIGITS: usize = 4;

impl Kind for NfcPhone {
    const NAME: &'static str = "nfc-phone";
    type Params = Params;

    fn resolve(_: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let desk = desk(around)?;
        let Some(antenna) = &desk.phone else {
            return Err(ParamProblem::new(format!("{} has no NFC antenna", around.fixture.name))
                .help("name it in [desk]: phone = \"...\", or leave the step out"));
        };
        let text = format!(
            "Hold a telephone with NFC to {antenna}. It shows a text that begins with \"dut\": its last {DIGITS} characters, \
             please; nothing if it shows none."
        );
        let works = format!(
            "The module noticed no telephone. Unlock it, and hold it to {antenna} and to another tag, such as a bank card. \
             Does it show the card and not the module?"
        );
        let works = Task { chore: Chore::Confirm, text: works };
        let step = NfcPhone { task: Task { chore: Chore::ReadTag, text }, works, read: yes("nfc.number-read") };
        Ok(Resolved {
            measurements: vec![step.read.clone()],
            coverage: Vec::new(),
            uses: resource::list(&[resource::NFC]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: PERSON,
            procedure: Box::new(step),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for NfcPhone {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        let nonce = nonce(nest);
        match nest.request(Request::StartNfc { nonce }).await {
            Ok(Reply::Done) => {}
            Ok(other) => return Err(super::out_of_turn(other)),
            Err(DutError::Refused(Refusal::NfcPadsArePorts)) => {
                let text = "NFC: the MCU is set up to use its NFC pads as ports (UICR.NFCPINS)";
                return Err(defect(log, text.to_owned()));
            }
            Err(error) => return Err(nest.silent(error).await),
        }
        let outcome = self.read(nest, log, nonce).await;
        let stopped = nest.ask(Request::StopNfc).await;
        outcome?;
        stopped.map(drop)
    }
}

async fn status(nest: &Nest) -> Result<NfcStatus, StepError> {
    match nest.ask(Request::ReadNfc).await? {
        Reply::Nfc(status) => Ok(status),
        other => Err(super::out_of_turn(other)),
    }
}

impl NfcPhone {
    /// What the person typed, and whether a telephone's field was there meanwhile: it is gone when the person types.
    async fn asked(&self, nest: &Nest) -> Result<(String, bool), StepError> {
        let mut told = pin!(nest.person.tell(&self.task).fuse());
        let mut field = false;
        loop {
            let mut look = pin!(nest.settle(LOOK).fuse());
            futures_util::select_biased! {
                typed = told => return Ok((typed?, field)),
                () = look => field |= status(nest).await?.field,
            }
        }
    }

    async fn read(&self, nest: &Nest, log: &dyn StepLog, nonce: u64) -> Result<(), StepError> {
        let (typed, field_seen) = self.asked(nest).await?;
        log.note(format!("the person typed \"{typed}\""));
        let right = ends_right(&typed, nonce);
        log.measured(&self.read.name, flag(right));
        if right {
            return Ok(());
        }
        let status = status(nest).await?;
        match (typed.is_empty(), status) {
            (_, NfcStatus { selected: 0, .. }) => {
                nest.person.act(&self.works).await?;
                Err(defect(log, not_selected(field_seen)))
            }
            (true, _) => Err(defect(log, "NFC: a telephone selects the tag but cannot read it".to_owned())),
            (false, _) => {
                let text =
                    format!("the number of this run ends with {:04x}, and \"{typed}\" was typed", nonce & 0xFFFF);
                Err(StepError::Bench(text))
            }
        }
    }
}

/// For a telephone that reads other tags.
fn not_selected(field: bool) -> String {
    if field {
        "NFC: the MCU detects the telephone's field but does not answer: its NFC is dead".to_owned()
    } else {
        "NFC antenna: no field reaches the MCU: check the connector, its line to the MCU and the tuning capacitors"
            .to_owned()
    }
}

/// Whether this is the end of what the tag says, at least its last digits.
fn ends_right(typed: &str, nonce: u64) -> bool {
    let digits: String = typed.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_ascii_lowercase();
    let last = digits.get(digits.len().saturating_sub(DIGITS)..).unwrap_or_default();
    digits.len() >= DIGITS && format!("{nonce:016x}").ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_types_is_compared_by_its_end() {
        const NUMBER: u64 = 0x0123_4567_89ab_cdef;
        for (typed, right) in [
            ("cdef", true),
            ("CDEF", true),
            (" cd ef ", true),
            ("dut 0123456789abcdef", true),
            ("89abcdef", true),
            ("", false),
            ("def", false),
            ("cdee", false),
            ("ok", false),
            ("y", false),
        ] {
            assert_eq!(ends_right(typed, NUMBER), right, "{typed:?}");
        }
    }
}
