//! `modem-identity`: reads maker, model, firmware and IMEI of the modem.

use super::at::{Answer, Talk, imei, is_imei};
use super::silence::why;
use super::{ANSWER, Ended, SETTLES, defect, flag, instead, shares, uses, yes};
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_plan::{ParamProblem, Resolved, Surroundings};
use bench_run::MeasurementSpec;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Accepted firmware: prefixes of the answer to AT+CGMR. The family file's list when left out.
    #[serde(default)]
    firmware: Vec<String>,
}

pub struct ModemIdentity {
    firmware: Vec<String>,
    maker: MeasurementSpec,
    model: MeasurementSpec,
    firmware_known: MeasurementSpec,
    imei: MeasurementSpec,
}

/// IMEIs that many modems share because they were never given their own: test numbers of 3GPP and of chip makers.
const NOBODYS: [&str; 4] = ["004999010640000", "004400152020000", "000000000000000", "123456789012345"];

/// Whether many modems share this IMEI, because they were never given their own.
pub fn is_nobodys(imei: &str) -> bool {
    NOBODYS.contains(&imei)
}

const IMEI: &str = "AT+CGSN";

impl Kind for ModemIdentity {
    const NAME: &'static str = "modem-identity";
    type Params = Params;

    fn resolve(params: Params, _: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let step = ModemIdentity {
            firmware: params.firmware,
            maker: yes("modem.maker-matches"),
            model: yes("modem.model-matches"),
            firmware_known: yes("modem.firmware-matches"),
            imei: yes("modem.imei-is-valid"),
        };
        Ok(Resolved {
            measurements: [&step.maker, &step.model, &step.firmware_known, &step.imei].map(Clone::clone).to_vec(),
            coverage: Vec::new(),
            uses: uses(),
            shares: shares(),
            default_timeout: 4 * SETTLES + Duration::from_secs(15),
            procedure: Box::new(step),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for ModemIdentity {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let modem = nest.modem.expect()?;
        let part = &modem.part;
        let note = |text: String| log.dialogue(text);
        let mut talk = Talk::open(nest, &modem, &note).await?;
        let mut ask = async |command: &str, expected: &dyn Fn(&str) -> bool| -> Result<String, StepError> {
            let accepted = |answer: &Answer| answer.is_ok() && answer.text().is_some_and(expected);
            let answer = talk.ask_fact(command, ANSWER, SETTLES, &accepted).await?;
            match answer.text() {
                Some(text) if answer.is_ok() => Ok(text.to_owned()),
                _ if answer.ended == Ended::Silent => Err(why(nest, log, &modem, &mut talk, command, &answer).await?),
                // Of the modem's own number, the diagnosis says more.
                _ if command == IMEI => Ok(String::new()),
                _ => Err(defect(log, instead(command, &answer, modem.privacy))),
            }
        };
        let begins =
            |text: &str, expected: &[String]| expected.iter().any(|expected| text.starts_with(expected.as_str()));
        let is_maker = |said: &str| said.to_ascii_lowercase().contains(&part.maker_answer.to_ascii_lowercase());
        let is_model = |said: &str| begins(said, &part.model_answers);
        let expected = if self.firmware.is_empty() { &part.firmware_answers } else { &self.firmware };
        let is_firmware = |said: &str| expected.is_empty() || begins(said, expected);
        let maker = ask("AT+CGMI", &is_maker).await?;
        let model = ask("AT+CGMM", &is_model).await?;
        let firmware = ask("AT+CGMR", &is_firmware).await?;
        let number = ask(IMEI, &|text| is_imei(imei(text))).await?;
        let imei = (!number.is_empty()).then(|| imei(&number));

        let maker_matches = is_maker(&maker);
        let model_matches = is_model(&model);
        let firmware_matches = is_firmware(&firmware);
        log.measured(&self.maker.name, flag(maker_matches));
        log.measured(&self.model.name, flag(model_matches));
        log.measured(&self.firmware_known.name, flag(firmware_matches));
        let imei_wrong = imei_problem(imei, nest.imei.as_deref());
        log.measured(&self.imei.name, flag(imei_wrong.is_none()));

        if let Some(keep) = part.keep_on.iter().find(|keep| firmware.starts_with(&keep.firmware)) {
            let until = modem.since + Duration::from_millis(keep.ms.into());
            nest.modem.update(|on| on.keep_until = Some(until));
            log.note(format!("the modem stays on for {} s: {}", keep.ms / 1000, keep.reason));
        }
        if !maker_matches || !model_matches {
            let who = modem.privacy.line(&format!("{maker} {model}"));
            defect(log, format!("wrong modem: it is a {who}, expected is a {}", part.name));
        } else if !firmware_matches {
            let expected = expected.join("... or ");
            let firmware = modem.privacy.line(&firmware);
            defect(log, format!("modem: firmware {firmware} is not among those expected ({expected}...)"));
        }
        if let Some(text) = imei_wrong {
            defect(log, text);
        }
        Ok(())
    }
}

/// Returns what is wrong with an IMEI, also compared to the label's; `None`: nothing.
fn imei_problem(imei: Option<&str>, label: Option<&str>) -> Option<String> {
    let Some(imei) = imei else { return Some("modem: its IMEI cannot be read".to_owned()) };
    if is_nobodys(imei) {
        return Some("modem: its IMEI was never written: blank modems share this number".to_owned());
    }
    if !is_imei(imei) {
        return Some("modem: its IMEI is invalid: expected 15 digits with a correct check digit".to_owned());
    }
    // Four digits are no secret, whatever the plan's privacy setting.
    let last = |imei: &str| imei.get(imei.len().saturating_sub(4)..).unwrap_or_default().to_owned();
    let other = label.filter(|label| *label != imei)?;
    Some(format!("modem: its IMEI ends with {}, the label's with {}", last(imei), last(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imeis() {
        const GOOD: &str = "490154203237518";
        for (imei, label, good) in [
            (Some(GOOD), None, true),
            (Some(GOOD), Some(GOOD), true),
            (Some(GOOD), Some("356938035643809"), false),
            (Some("490154203237519"), None, false),
            (Some("49015420323751"), None, false),
            (Some("004999010640000"), None, false),
            (Some(""), None, false),
            (None, Some(GOOD), false),
        ] {
            assert_eq!(imei_problem(imei, label).is_none(), good, "{imei:?} {label:?}");
        }
        let problem = imei_problem(Some(GOOD), Some("356938035643809")).unwrap();
        assert_eq!(problem, "modem: its IMEI ends with 7518, the label's with 3809");
    }
}
