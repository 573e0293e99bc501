//! `modem-off`: switches the modem off in order, as it must be before its supply is cut.

use super::state::{WentOff, hold_until, switch_off};
use super::{defect, flag, shares, spec, uses, yes};
use crate::{Kind, Leaves, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_plan::{ParamProblem, Resolved, Surroundings};
use bench_run::{Limits, MeasurementSpec, MeasurementUnit};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

pub struct ModemOff {
    by_order: MeasurementSpec,
    after: MeasurementSpec,
}

/// Time for the emergency sequence, and for firmware that must not be switched off early.
const LONGEST: Duration = Duration::from_secs(60);

impl Kind for ModemOff {
    const NAME: &'static str = "modem-off";
    type Params = Params;

    fn resolve(_: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let parts = || around.model.modem_parts.iter().filter_map(|name| around.dut.modem_part(name));
        let Some(within) = parts().map(|part| part.off_within()).max() else {
            return Err(ParamProblem::new(format!("no modem is described for a {}", around.model.name)));
        };
        let step = ModemOff {
            by_order: yes("modem.off-by-order"),
            after: spec("modem.off-after", MeasurementUnit::Seconds, Limits::at_most(within.as_secs_f64())),
        };
        Ok(Resolved {
            measurements: vec![step.by_order.clone(), step.after.clone()],
            coverage: Vec::new(),
            uses: uses(),
            shares: shares(),
            default_timeout: 3 * within + LONGEST,
            procedure: Box::new(step),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for ModemOff {
    fn leaves(&self) -> Option<Leaves> {
        Some(Leaves::ModemOff)
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let modem = nest.modem.expect()?;
        if let Some(until) = modem.keep_until {
            hold_until(nest, &modem.wiring, until).await?;
        }
        let begun = nest.clock.now();
        let how = switch_off(nest, &modem, &|text| log.dialogue(text)).await?;
        let by_order = matches!(how, Some(WentOff::ByOrder));
        log.measured(&self.by_order.name, flag(by_order));
        match how {
            Some(WentOff::ByOrder) => {
                log.measured(&self.after.name, Some((nest.clock.now() - begun).as_secs_f64()));
                Ok(())
            }
            Some(WentOff::ByKey) => {
                Err(defect(log, "modem does not switch off by command, only by its key".to_owned()))
            }
            Some(WentOff::ByEmergency) => Err(defect(
                log,
                "modem does not switch off by command or key, only by the emergency sequence".to_owned(),
            )),
            Some(WentOff::WasOff) => Err(defect(log, "modem switched off by itself".to_owned())),
            None => {
                // Asking again would only take the same time again; the supply must be cut.
                nest.modem.clear();
                Err(defect(log, "modem does not switch off: V_INT or STATUS stays on".to_owned()))
            }
        }
    }
}
