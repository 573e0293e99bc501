//! `modem-boot`: measures the modem's current while it boots. It sends no request meanwhile, so that the module is free
//! for other steps.

use super::{spec, uses};
use crate::reach;
use crate::{Kind, Nest, Procedure, StepError, StepLog, resolve};
use async_trait::async_trait;
use bench_plan::{Amps, LimitsOf, ParamProblem, Reach, Resolved, Spanned, Surroundings};
use bench_run::{MeasurementSpec, MeasurementUnit, Verdict, judge};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The rail that feeds the modem.
    #[schemars(with = "String")]
    supply: Spanned<String>,
    /// Mean and greatest current on it while the modem boots.
    mean_amps: LimitsOf<Amps>,
    peak_amps: LimitsOf<Amps>,
}

pub struct ModemBoot {
    supply: String,
    mean: MeasurementSpec,
    peak: MeasurementSpec,
}

const LOOK: Duration = Duration::from_millis(150);
/// Time between two readings, the conversion included.
const LONGEST_GAP: Duration = Duration::from_millis(200);

impl Kind for ModemBoot {
    const NAME: &'static str = "modem-boot";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::amps("mean_amps", "supply"), reach::amps("peak_amps", "supply")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let parts = around.model.modem_parts.iter().filter_map(|name| around.dut.modem_part(name));
        let Some(boots) = parts.map(|part| part.boots()).max() else {
            return Err(ParamProblem::new(format!("no modem is described for a {}", around.model.name)));
        };
        let step = ModemBoot {
            supply: resolve::rail(around.fixture, &params.supply)?.name.clone(),
            mean: spec("modem.boot-current", MeasurementUnit::Amps, params.mean_amps.limits()),
            peak: spec("modem.boot-peak", MeasurementUnit::Amps, params.peak_amps.limits()),
        };
        Ok(Resolved {
            measurements: vec![step.mean.clone(), step.peak.clone()],
            coverage: Vec::new(),
            uses: uses(),
            shares: Vec::new(),
            default_timeout: boots + Duration::from_secs(5),
            procedure: Box::new(step),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for ModemBoot {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let modem = nest.modem.expect()?;
        let until = modem.since + modem.part.boots();
        let (mut sum, mut count, mut peak) = (0.0, 0.0, f64::MIN);
        loop {
            let began = nest.clock.now();
            let amps = nest.rails.measure(&self.supply).await?.amps;
            (sum, count, peak) = (sum + amps, count + 1.0, peak.max(amps));
            if nest.clock.now() >= until {
                break;
            }
            nest.settle(LOOK.min(until - nest.clock.now())).await;
            // A peak in a gap would be missed.
            log.within(began, LONGEST_GAP);
        }
        let mean = sum / count;
        log.measured(&self.mean.name, Some(mean));
        log.measured(&self.peak.name, Some(peak));
        if judge(&self.mean.limits, Some(mean)) != Verdict::Pass
            || judge(&self.peak.limits, Some(peak)) != Verdict::Pass
        {
            super::defect(
                log,
                format!(
                    "modem draws {} while it boots, {} at most",
                    MeasurementUnit::Amps.show(mean),
                    MeasurementUnit::Amps.show(peak)
                ),
            );
        }
        Ok(())
    }
}
