//! `reset`: checks that the reset contact rests high by the chip's own pull-up, and that a low level restarts the
//! firmware.

use crate::diagnose::divider;
use crate::diagnose::exchange::{self, DRIVEN};
use crate::diagnose::link::{LinkContacts, silent_module, starts_with_reset_high};
use crate::diagnose::short::{Meter, SHORT_OHMS};
use crate::reach;
use crate::resolve::{self, pin_name};
use crate::resource;
use crate::restart::{self, RESET_PIN, STARTS};
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::OPEN_OHMS;
use bench_plan::{Coverage, LimitsOf, Ohms, ParamProblem, Reach, Resolved, Spanned, Surroundings, Volts};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::INITIAL_BAUD;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The rail that supplies the MCU.
    #[schemars(with = "String")]
    supply: Spanned<String>,
    /// Voltage of the reset contact at rest.
    volts: LimitsOf<Volts>,
    /// Its pull-up.
    ohms: LimitsOf<Ohms>,
}

pub struct Reset {
    supply: String,
    reset: Contact,
    link: LinkContacts,
    rest: MeasurementSpec,
    pull_up: MeasurementSpec,
    restarts: MeasurementSpec,
}

/// How long the contact is held low.
const HELD: Duration = Duration::from_millis(2);

impl Kind for Reset {
    const NAME: &'static str = "reset";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::port_volts("volts"), reach::ohms("ohms")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let place = params.supply.span();
        let supply = resolve::supply(around.fixture, params.supply)?;
        let reset = resolve::reset_contact(around, place)?;
        let spec = |what: &str, unit, limits| MeasurementSpec {
            name: format!("{}.{what}", pin_name(around.dut, reset)),
            unit,
            limits,
            contacts: vec![reset],
        };
        let (rest, pull_up, restarts) = (
            spec("rest", MeasurementUnit::Volts, params.volts.limits()),
            spec("pull-up", MeasurementUnit::Ohms, params.ohms.limits()),
            spec("restarts", MeasurementUnit::One, Limits::exactly(1.0)),
        );
        Ok(Resolved {
            measurements: vec![rest.clone(), pull_up.clone(), restarts.clone()],
            coverage: vec![Coverage { contact: reset, aspects: vec!["open", "pull-up", "stuck high", "function"] }],
            uses: resource::list(&[resource::DUT, resource::NAILS, resource::MEASURE_BUS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(5),
            procedure: Box::new(Reset {
                supply,
                reset,
                link: LinkContacts { tx: around.fixture.link.dut_tx, rx: around.fixture.link.dut_rx },
                rest,
                pull_up,
                restarts,
            }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Reset {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, log)).await
    }
}

impl Reset {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.leave_link().await?;
        nest.release_nails().await?;
        let supply = nest.supply_volts(&self.supply).await?;
        let rest = nest.bus.volts(self.reset).await?;
        log.measured(&self.rest.name, Some(rest));
        // This also resets the module, which restarts meanwhile.
        let loaded = nest.bus.loaded_volts(self.reset, 0.0).await?;
        let pull_up = divider(nest.bus.source_ohms(), supply - loaded, loaded);
        log.measured(&self.pull_up.name, Some(pull_up));
        nest.settle(STARTS).await;
        let said = self.name(nest, supply, rest, pull_up).await?;
        let blamed = !said.is_empty();
        said.into_iter().for_each(|diagnosis| log.diagnosed(diagnosis));

        nest.join_link().await?;
        let Some(before) = restart::greet(nest, INITIAL_BAUD).await? else {
            return self.explain_silence(nest, log, supply, blamed).await;
        };
        nest.drive_nail(self.reset, false).await?;
        nest.settle(HELD).await;
        nest.release_nail(self.reset).await?;
        let released = nest.clock.now();
        nest.settle(STARTS).await;
        let Some(after) = restart::greet(nest, INITIAL_BAUD).await? else {
            return self.explain_silence(nest, log, supply, blamed).await;
        };
        let since = nest.clock.now() - released;
        // Both may be stale: the chip remembers the reason until it is read, and it may have been started before.
        let young = Duration::from_millis(after.uptime_ms.into()) <= since;
        let restarted = young && after.reset_reason & RESET_PIN != 0;
        log.note(format!(
            "before: reset reason {:#x}, up {} ms; after: reset reason {:#x}, up {} ms",
            before.reset_reason, before.uptime_ms, after.reset_reason, after.uptime_ms
        ));
        log.measured(&self.restarts.name, Some(if restarted { 1.0 } else { 0.0 }));
        if !restarted && !blamed {
            let text = format!("contact {}: a low level does not reset the module", nest.label(self.reset));
            log.diagnosed(Diagnosis { defect: Defect::Other, contacts: vec![self.reset], text });
        }
        Ok(())
    }

    async fn explain_silence(
        &self,
        nest: &Nest,
        log: &dyn StepLog,
        supply: f64,
        blamed: bool,
    ) -> Result<(), StepError> {
        if !nest.loopback_works().await? {
            return Err(StepError::Bench(crate::nest::LOOPBACK_BROKEN.to_owned()));
        }
        if !blamed {
            let diagnoses = silent_module(nest, self.link, (&self.supply, supply)).await?;
            diagnoses.into_iter().for_each(|diagnosis| log.diagnosed(diagnosis));
        }
        Err(StepError::Dut("the module does not answer".to_owned()))
    }

    async fn name(&self, nest: &Nest, supply: f64, rest: f64, pull_up: f64) -> Result<Vec<Diagnosis>, StepError> {
        let fits = |spec: &MeasurementSpec, value| judge(&spec.limits, Some(value)) == Verdict::Pass;
        if fits(&self.rest, rest) && fits(&self.pull_up, pull_up) {
            return Ok(Vec::new());
        }
        let exchanged = exchange::of_link_and_reset(nest, self.link, supply).await?;
        if !exchanged.is_empty() {
            return Ok(exchanged);
        }
        let (label, shown) = (nest.label(self.reset), MeasurementUnit::Ohms.show(pull_up));
        let at_rest = MeasurementUnit::Volts.show(without_noise(rest));
        let (defect, text) = if self.pull_up.limits.min.is_some_and(|min| pull_up < min) {
            (Defect::StuckHigh, format!("contact {label}: held high through {shown}"))
        } else if fits(&self.rest, rest) {
            (Defect::MissingPull, format!("contact {label}: pull-up out of tolerance, {shown}"))
        } else {
            let to_ground = Meter::Powered(supply).ohms(nest, self.reset).await?;
            // The firmware drives its TX as soon as it runs.
            let runs = nest.bus.loaded_volts(self.link.tx, 0.0).await? > DRIVEN * supply;
            let held = MeasurementUnit::Ohms.show(to_ground);
            if to_ground < SHORT_OHMS {
                (Defect::StuckLow, format!("contact {label}: held low through {held}"))
            } else if runs && pull_up >= OPEN_OHMS {
                (Defect::Open, format!("contact {label}: open, it rests at {at_rest} while the module runs"))
            } else if runs {
                // No port of an idle module drives, which leaves only ground. The reading is the pull-up in parallel to
                // the leak.
                let leak = MeasurementUnit::Ohms.show(to_ground * supply / (supply - rest).max(f64::MIN_POSITIVE));
                (Defect::Leak, format!("contact {label}: leak to ground, about {leak}: it rests at {at_rest}"))
            } else if starts_with_reset_high(nest, self.reset, self.link.tx, supply).await? {
                let text =
                    format!("contact {label}: not pulled up, it rests at {at_rest} and keeps the module in reset");
                (Defect::MissingPull, text)
            } else {
                // Nothing shows that the MCU is alive: the step that greets it reports its silence.
                return Ok(Vec::new());
            }
        };
        Ok(vec![Diagnosis { defect, contacts: vec![self.reset], text }])
    }
}

/// Rounds away the noise of the voltmeter.
pub(crate) fn without_noise(volts: f64) -> f64 {
    if volts.abs() < 1e-3 { 0.0 } else { volts }
}
