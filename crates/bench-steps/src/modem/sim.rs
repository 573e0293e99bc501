//! `modem-sim`: checks that the card is ready, that its number is valid, and that its carrier is right.

use super::at::{Answer, NOT_INSERTED, Talk, iccid, imsi, luhn_is_right, refusal};
use super::silence::why;
use super::{ANSWER, Ended, SETTLES, defect, flag, shares, uses, yes};
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_plan::{ModemDialect, ParamProblem, Resolved, Seconds, Surroundings};
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
    /// Whether the last digit of the ICCID must be its check digit. Some issuers leave it out, so a number without it is
    /// only noted when this is left out.
    #[serde(default)]
    check_digit: bool,
}

pub struct ModemSim {
    prefixes: Vec<String>,
    within: Duration,
    check_digit: bool,
    ready: MeasurementSpec,
    number: MeasurementSpec,
    carrier: MeasurementSpec,
    subscriber: MeasurementSpec,
}

const WITHIN: Duration = Duration::from_secs(12);

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
            check_digit: params.check_digit,
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
            default_timeout: step.within + 3 * SETTLES + Duration::from_secs(10),
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
        let is_ready = |answer: &Answer| answer.values("+CPIN").any(|state| state == "READY");
        let answer = talk.ask("AT+CPIN?", ANSWER, self.within, &is_ready).await?;
        log.measured(&self.ready.name, flag(is_ready(&answer)));
        if !is_ready(&answer) {
            if answer.ended == Ended::Silent && answer.lines.is_empty() {
                return Err(why(nest, log, &modem, &mut talk, "AT+CPIN?", &answer).await?);
            }
            return Err(defect(log, why_not_ready(&answer)));
        }
        let iccid = self.iccid(&mut talk, modem.part.dialect).await?;
        let is_subscriber = |answer: &Answer| answer.is_ok() && answer.text().and_then(imsi).is_some();
        let answer = talk.ask("AT+CIMI", ANSWER, SETTLES, &is_subscriber).await?;
        let has_check_digit = iccid.as_deref().is_some_and(luhn_is_right);
        let valid = iccid.is_some() && (has_check_digit || !self.check_digit);
        let iccid = iccid.unwrap_or_default();
        let right = self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| iccid.starts_with(prefix.as_str()));
        let imsi_valid = is_subscriber(&answer);
        log.measured(&self.number.name, flag(valid));
        log.measured(&self.carrier.name, flag(valid && right));
        log.measured(&self.subscriber.name, flag(imsi_valid));
        if !valid {
            defect(log, "SIM: its number (ICCID) cannot be read or is invalid".to_owned());
        } else if !right {
            let shown = iccid.get(..7).unwrap_or(&iccid);
            let prefixes = self.prefixes.join(" or ");
            defect(log, format!("SIM: wrong carrier: its number starts with {shown}, expected {prefixes}"));
        } else if !has_check_digit {
            log.note("the card's number (ICCID) has no correct check digit, as those of some issuers".to_owned());
        }
        if !imsi_valid {
            defect(log, "SIM: its subscriber number (IMSI) cannot be read or is invalid".to_owned());
        }
        Ok(())
    }
}

impl ModemSim {
    /// Reads the card's number; some firmware knows only one of the commands.
    async fn iccid(&self, talk: &mut Talk<'_>, dialect: ModemDialect) -> Result<Option<String>, StepError> {
        let commands: &[&str] = match dialect {
            ModemDialect::Quectel => &["AT+QCCID", "AT+CCID"],
            ModemDialect::SaraR4 | ModemDialect::SaraR5 => &["AT+CCID", "AT+CCID?"],
        };
        for command in commands {
            let answer =
                talk.ask(command, ANSWER, SETTLES, &|answer| answer.is_ok() && number(answer).is_some()).await?;
            if let (true, Some(number)) = (answer.is_ok(), number(&answer)) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }
}

/// The card's number in an answer. Some modems write no name in front of it.
fn number(answer: &Answer) -> Option<String> {
    // An eSIM's own number may follow.
    let value = |line: &str| line.split_once(':').map_or(line, |(_, value)| value).split(',').next().and_then(iccid);
    answer.lines.iter().find_map(|line| value(line))
}

fn why_not_ready(answer: &Answer) -> String {
    let state = answer.values("+CPIN").last().unwrap_or_default();
    match answer.ended {
        Ended::Error(Some(NOT_INSERTED)) => "SIM: no card detected".to_owned(),
        Ended::Error(Some(_)) => {
            format!("SIM: the card does not answer the modem ({}): a bad contact, or dead", refusal(answer))
        }
        _ if state.eq_ignore_ascii_case("NOT INSERTED") => "SIM: no card detected".to_owned(),
        _ if state.eq_ignore_ascii_case("NOT READY") => {
            "SIM: the card does not answer the modem (NOT READY): a bad contact, or dead".to_owned()
        }
        _ if state.is_empty() => "SIM: not ready in time: it needs a PIN or is defective".to_owned(),
        _ => format!("SIM: not ready in time: it reports {state}: it needs a PIN or is defective"),
    }
}
