//! `modem-on`: presses the modem's power key and waits until it is on.

use super::at::Talk;
use super::state::{self, ModemOn, at_rest, buffer, expected, press, wait_sense};
use super::{ANSWER, Answer, PLAIN, Privacy, SETTLES, defect, flag, shares, spec, uses, yes};
use crate::resolve;
use crate::{Kind, Leaves, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_plan::{ModemPart, ModemWiring, ParamProblem, Resolved, Spanned, Surroundings, nearest_help};
use bench_run::{Limits, MeasurementSpec, MeasurementUnit};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The rail that feeds the modem; it must be on. None on a desk.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    supply: Option<Spanned<String>>,
    /// Type of modem; the model's default when left out.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    part: Option<Spanned<String>>,
    /// How ICCID, IMSI and IMEI are recorded.
    #[serde(default)]
    privacy: Privacy,
}

pub struct ModemOnStep {
    supply: Option<String>,
    wiring: ModemWiring,
    part: ModemPart,
    privacy: Privacy,
    off_before: MeasurementSpec,
    on_after: MeasurementSpec,
}

/// The slowest supported modem shows that it is on, and answers, by then.
const SLOWEST_ON: Duration = Duration::from_secs(15);
const SLOWEST_READY: Duration = Duration::from_secs(8);
/// Key press that switches every modem on: SARA-R5 needs a second, SARA-R4 no more than three.
const LONG_PRESS_MS: u16 = 1_500;

impl Kind for ModemOnStep {
    const NAME: &'static str = "modem-on";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = resolve::rail_unless_desk(around.fixture, params.supply.as_ref())?;
        let name = params.part.as_ref().map(|part| part.get_ref().as_str());
        let Some((wiring, part)) = expected(around.dut, around.model, name) else {
            let modems = around.dut.modem_parts.iter().map(|part| part.name.as_str());
            let text = match name {
                Some(name) => format!("the family {} has no modem `{name}`", around.dut.name),
                None => format!("no modem is described for a {}", around.model.name),
            };
            let problem = ParamProblem::new(text).help(nearest_help(name.unwrap_or_default(), modems, "modems"));
            return Err(match &params.part {
                Some(part) => problem.at(part.span(), "no such modem"),
                None => problem,
            });
        };
        let step = ModemOnStep {
            off_before: yes("modem.off-before"),
            on_after: spec("modem.on-after", MeasurementUnit::Seconds, Limits::at_most(part.on_within().as_secs_f64())),
            privacy: params.privacy,
            supply,
            wiring,
            part,
        };
        Ok(Resolved {
            measurements: vec![step.off_before.clone(), step.on_after.clone()],
            coverage: Vec::new(),
            uses: uses(),
            shares: shares(),
            default_timeout: 2 * (step.part.on_within() + step.part.off_within() + SLOWEST_ON + SLOWEST_READY),
            procedure: Box::new(step),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for ModemOnStep {
    fn leaves(&self) -> Option<Leaves> {
        Some(Leaves::ModemOn)
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        if let Some(supply) = &self.supply {
            let volts = nest.rails.measure(supply).await?.volts;
            if volts < SUPPLIED_VOLTS {
                return Err(StepError::Bench(format!(
                    "rail {supply} carries only {volts:.2} V: switch it on in an earlier step"
                )));
            }
        }
        at_rest(nest, &self.wiring).await?;
        let was_off = !state::is_on(nest, &self.wiring).await?;
        log.measured(&self.off_before.name, flag(was_off));
        if !was_off {
            // Whatever happens, the modem must be off before its supply is cut.
            nest.modem.set(self.modem(nest));
            return Err(defect(log, "modem: it is on before its key was pressed".to_owned()));
        }
        let modem = self.modem(nest);
        // Register the modem before the key is pressed: from here on, the safe state must switch it off.
        nest.modem.set(modem.clone());
        press(nest, self.wiring.power, self.part.power_on_pulse_ms).await?;
        let on = wait_sense(nest, &self.wiring, true, modem.since + self.part.on_within()).await?;
        let after = nest.clock.now() - modem.since;
        if !on {
            return Err(self.why_not(nest, log).await?);
        }
        log.measured(&self.on_after.name, Some(after.as_secs_f64()));
        buffer(nest, &self.wiring, true).await
    }
}

/// Below this no modem runs.
const SUPPLIED_VOLTS: f64 = 3.0;

impl ModemOnStep {
    fn modem(&self, nest: &Nest) -> ModemOn {
        ModemOn {
            supply: self.supply.clone(),
            wiring: self.wiring.clone(),
            part: self.part.clone(),
            since: nest.clock.now(),
            privacy: self.privacy,
            flow_control: true,
            baud: None,
            echo_is_off: false,
            keep_until: None,
        }
    }

    /// The modem did not come on as the expected one does. It may be another one, with other times.
    async fn why_not(&self, nest: &Nest, log: &dyn StepLog) -> Result<StepError, StepError> {
        let mut on = wait_sense(nest, &self.wiring, true, nest.clock.now() + SLOWEST_ON).await?;
        if !on {
            press(nest, self.wiring.power, LONG_PRESS_MS).await?;
            on = wait_sense(nest, &self.wiring, true, nest.clock.now() + SLOWEST_ON).await?;
        }
        let within = MeasurementUnit::Seconds.show(self.part.on_within().as_secs_f64());
        if !on {
            // Two key presses had no effect: there is nothing to switch off.
            nest.modem.clear();
            let text = format!(
                "modem does not switch on: V_INT or STATUS stays off after its key was pressed (within {within} expected)"
            );
            return Ok(defect(log, text));
        }
        buffer(nest, &self.wiring, true).await?;
        state::hold(nest, &self.wiring, SLOWEST_READY).await?;
        let modem = self.modem(nest);
        let note = |text: String| log.dialogue(text);
        for baud in RATES {
            let mut talk = Talk::open_quietly(nest, &modem, baud, false, &note).await?;
            let mut answers = false;
            // An earlier user may have left it so that it answers nothing.
            for command in ["AT", PLAIN] {
                answers = answers || talk.command(command, ANSWER).await?.is_ok();
            }
            if answers {
                let is_part = |who: &str| self.part.model_answers.iter().any(|model| who.starts_with(model));
                let accepted = |answer: &Answer| answer.is_ok() && answer.text().is_some_and(is_part);
                let answer = talk.ask_fact("AT+CGMM", ANSWER, SETTLES, &accepted).await?;
                nest.modem.update(|on| on.baud = Some(baud));
                let who = answer.text().unwrap_or("nothing");
                if !is_part(who) {
                    let who = modem.privacy.line(who);
                    let text = format!("wrong modem: it is a {who}, expected is a {}", self.part.name);
                    return Ok(defect(log, text));
                }
                break;
            }
        }
        Ok(defect(log, format!("modem is on too late: only after more than {within}")))
    }
}

/// Rates to which earlier use may have set the modem.
const RATES: [u32; 3] = [115_200, 460_800, 921_600];
