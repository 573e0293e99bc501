//! `modem-sim`: checks that the card is ready, that its number is valid, and that its carrier is right.

use super::talk::Talk;
use super::{ANSWER, Ended, defect, flag, luhn_is_right, shares, uses, yes};
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_plan::{ParamProblem, Resolved, Seconds, Surroundings};
use bench_run::MeasurementSpec;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The ICCID must start with one of these. The family file's list for the model when left out; an empty list
    /// accepts any.
    #[serde(default)]
    prefixes: Option<Vec<String>>,
    /// Time for the card to become ready.
    #[serde(default)]
    within: Option<Seconds>,
}

pub struct ModemSim {
    prefixes: Vec<String>,
    within: Duration,
    ready: MeasurementSpec,
    number: MeasurementSpec,
    carrier: MeasurementSpec,
    subscriber: MeasurementSpec,
}

const WITHIN: Duration = Duration::from_secs(8);
const RETRY: Duration = Duration::from_millis(250);
/// 3GPP TS 27.007, 9.2.2.
const NOT_INSERTED: u16 = 10;
const BUSY: u16 = 14;

impl Kind for ModemSim {
    const NAME: &'static str = "modem-sim";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let of_model = || match (around.model.ethersim, &around.dut.sim) {
            (Some(true), Some(sim)) => sim.ethersim_iccid_prefixes.clone(),
            _ => around.model.iccid_prefixes.clone(),
        };
        let step = ModemSim {
            prefixes: params.prefixes.unwrap_or_else(of_model),
            within: params.within.map_or(WITHIN, Seconds::duration),
            ready: yes("sim.ready"),
            number: yes("sim.iccid-is-valid"),
            carrier: yes("sim.carrier-matches"),
            subscriber: yes("sim.imsi-is-valid"),
        };
        Ok(Resolved {
            measurements: [&step.ready, &step.number, &step.carrier, &step.subscriber].map(Clone::clone).to_vec(),
            coverage: Vec::new(),
            uses: uses(),
            shares: shares(),
            default_timeout: step.within + Duration::from_secs(10),
            procedure: Box::new(step),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for ModemSim {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let modem = nest.modem.expect()?;
        let note = |text: String| log.dialogue(text);
        let mut talk = Talk::open(nest, &modem, &note).await?;
        let deadline = nest.clock.now() + self.within;
        let ended = loop {
            let answer = talk.command("AT+CPIN?", ANSWER).await?;
            if answer.is_ok() && answer.value("+CPIN") == Some("READY") {
                break Ended::Ok;
            }
            let waits = matches!(answer.ended, Ended::Error(Some(BUSY) | None)) || answer.is_ok();
            if !waits || nest.clock.now() >= deadline {
                // "OK" with another state than READY is a card that needs something, such as a PIN.
                break if answer.is_ok() { Ended::Error(None) } else { answer.ended };
            }
            nest.settle(RETRY).await;
        };
        log.measured(&self.ready.name, flag(ended == Ended::Ok));
        match ended {
            Ended::Ok => {}
            Ended::Error(Some(NOT_INSERTED)) => return Err(defect(log, "SIM: no card detected".to_owned())),
            Ended::Error(Some(number)) => {
                let text =
                    format!("SIM: the card does not answer the modem (+CME ERROR: {number}): a bad contact, or dead");
                return Err(defect(log, text));
            }
            Ended::Error(None) => {
                return Err(defect(log, "SIM: not ready in time: it needs a PIN or is defective".to_owned()));
            }
            Ended::Silent => return Err(defect(log, "modem: it stopped answering".to_owned())),
        }
        let answer = talk.command("AT+CCID", ANSWER).await?;
        // Some pad to a whole byte.
        let iccid = answer.value("+CCID").or_else(|| answer.text()).map(|text| text.trim_end_matches('F'));
        let iccid = iccid.filter(|_| answer.is_ok()).unwrap_or_default();
        let valid = (19..=20).contains(&iccid.len()) && luhn_is_right(iccid);
        let right = self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| iccid.starts_with(prefix.as_str()));
        let answer = talk.command("AT+CIMI", ANSWER).await?;
        let imsi = answer.text().unwrap_or_default();
        let imsi_valid = (6..=15).contains(&imsi.len()) && imsi.bytes().all(|byte| byte.is_ascii_digit());
        log.measured(&self.number.name, flag(valid));
        log.measured(&self.carrier.name, flag(valid && right));
        log.measured(&self.subscriber.name, flag(imsi_valid));
        if !valid {
            defect(log, "SIM: its number (ICCID) cannot be read or is invalid".to_owned());
        } else if !right {
            let shown = iccid.get(..7).unwrap_or(iccid);
            let prefixes = self.prefixes.join(" or ");
            defect(log, format!("SIM: wrong carrier: its number starts with {shown}, expected {prefixes}"));
        }
        if !imsi_valid {
            defect(log, "SIM: its subscriber number (IMSI) cannot be read or is invalid".to_owned());
        }
        Ok(())
    }
}
